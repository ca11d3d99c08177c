"""Projects for tests, in a few words: builders of experiences, audiences, features and goals, and one real export.

>>> shop = project(
...     experience(
...         "checkout",
...         {"a": 50, "b": 50},
...         audience=all_of(attr("plan") == "pro", attr("visits") < 10),
...         sets={"b": {"pricing": {"discount": 0.2}}},
...     ),
...     feature("pricing", discount=0.0),
...     goal("purchase"),
... )
>>> shop.problems
()
>>> shop.audience("checkout-audience").matches({"plan": "pro", "visits": 3})
True
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Literal, Self, cast

from convert_sdk._checks import UNCHANGED, Unchanged
from convert_sdk.project import Project

from .assembly import assemble
from .rules import RuleExpression, Wire
from .specs import Entity, ExperienceSpec, FeatureSpec, Given, Named, RulesSpec, Sets, VariationSpec

Layout = Literal["packed", "anchored"]


def experience(
    key: str,
    variations: Given[Mapping[str, float] | Iterable[str | VariationSpec]] = UNCHANGED,
    *,
    audience: Given[Named | Iterable[Named] | None] = UNCHANGED,
    location: Given[Named | Iterable[Named] | None] = UNCHANGED,
    segment: Given[Named | Iterable[Named] | None] = UNCHANGED,
    site_area: Given[RuleExpression | None] = UNCHANGED,
    match_all: Given[bool] = UNCHANGED,
    goals: Given[Named | Iterable[Named] | None] = UNCHANGED,
    sets: Mapping[str, Sets] | None = None,
    layout: Given[Layout] = UNCHANGED,
    environment: Given[str | None] = UNCHANGED,
    status: Given[str] = UNCHANGED,
    archived: Given[bool] = UNCHANGED,
    id: str | int | None = None,
    name: str | None = None,
    fields: Wire | None = None,
) -> ExperienceSpec:
    """An experience; by default of two halves, "a" and "b", for everybody everywhere.

    Args:
        key: The experience's key.
        variations: Keys to percentages of the traffic; or keys that share it equally, and `variation(…)`.
        audience: Rules, `audience(…)`, the key of one, or several of these; None is everybody.
        location: The same with `location(…)`; None is everywhere.
        segment: The same with `segment(…)`; None asks for none.
        site_area: Rules of the location that count where the experience names no location.
        match_all: True asks for all of the audiences, in place of any.
        goals: The goals that the experience is measured by: `goal(…)` or keys.
        sets: By a variation's key the features that it sets, each with its variables.
        layout: The layout of the variations' ranges: "packed", or "anchored" as of experiences since version 12.
        environment: The environment that it runs in; None is every one.
        status: The word of the document; deciding ignores it.
        archived: True takes the experience out of use.
        id: The id, which visitors are hashed with; by default one that follows from the key.
        name: The name that reports show; by default the key.
        fields: Anything else, as it is to stand in the document.

    Returns:
        What `project`, `document` and `with_` take.

    >>> decision = Client.offline(project(experience("sale", {"on": 100}))).visitor("v").decide("sale")
    >>> decision.variation_key
    'on'
    """
    more: Wire = {**(fields or {})}
    if not isinstance(layout, Unchanged):
        if layout not in _VERSIONS:
            raise ValueError(f"experience({key!r}): layout is packed or anchored, not {layout!r}")
        more["version"] = _VERSIONS[layout]
    for field, value in (("environment", environment), ("status", status)):
        if not isinstance(value, Unchanged):
            more[field] = value
    if name is not None:
        more["name"] = name
    return ExperienceSpec(
        _key("experience", key),
        _id(id),
        variations if isinstance(variations, Unchanged) else _variations(key, variations),
        _several("audiences", audience),
        _several("locations", location),
        _several("segments", segment),
        _several("goals", goals),
        site_area,
        match_all,
        {**(sets or {})},
        archived,
        more,
    )


_VERSIONS = {"packed": 11, "anchored": 12}


def variation(
    key: str,
    traffic: Given[float] = UNCHANGED,
    *,
    sets: Sets | None = None,
    status: Given[str] = UNCHANGED,
    id: str | int | None = None,
    name: str | None = None,
    fields: Wire | None = None,
) -> VariationSpec:
    """A variation of an experience, where a key and a percentage do not say enough.

    Args:
        key: The variation's key.
        traffic: Its percentage of the traffic; by default an equal share of what is left.
        sets: The features that it sets, each with its variables.
        status: "stopped" takes no new visitors.
        id: The id; by default one that follows from the experience's.
        name: The name that reports show; by default the key.
        fields: Anything else, as it is to stand in the document.

    Returns:
        What `experience` takes.

    >>> arms = [variation("old", 100), variation("new", 0, status="stopped")]
    >>> Client.offline(project(experience("sale", arms))).visitor("v").peek("sale").variation_key
    'old'
    """
    more: Wire = {**(fields or {})}
    if not isinstance(status, Unchanged):
        more["status"] = status
    if name is not None:
        more["name"] = name
    return VariationSpec(_key("variation", key), _id(id), traffic, {**(sets or {})}, more)


def audience(
    key: str,
    rules: Given[RuleExpression | None] = UNCHANGED,
    *,
    permanent: Given[bool] = UNCHANGED,
    id: str | int | None = None,
    name: str | None = None,
    fields: Wire | None = None,
) -> RulesSpec:
    """An audience with a key of its own, for several experiences or for tests of its rules.

    Args:
        key: The audience's key.
        rules: Rules of `attr`, or `bucketed_into(…)` alone; None takes nobody.
        permanent: True asks a visitor only until there is a decision.
        id: The id; by default one that follows from the key.
        name: The name; by default the key.
        fields: Anything else, as it is to stand in the document.

    Returns:
        What `project`, `with_` and an experience's `audience=` take.

    >>> shop = project(audience("adults", attr("age") >= 18))
    >>> shop.audience("adults").matches({"age": 17})
    False
    """
    more: Wire = {**(fields or {})}
    if not isinstance(permanent, Unchanged):
        more["type"] = "permanent" if permanent else "transient"
    return _entity("audiences", key, rules, id, name, more)


def location(
    key: str,
    rules: Given[RuleExpression | None] = UNCHANGED,
    *,
    id: str | int | None = None,
    name: str | None = None,
    fields: Wire | None = None,
) -> RulesSpec:
    """A location, where experiences run; the arguments are those of `audience`.

    >>> shop = project(location("cart", attr("path").starts_with("/cart")))
    >>> shop.location("cart").matches({"path": "/cart/1"})
    True
    """
    return _entity("locations", key, rules, id, name, fields)


def segment(
    key: str,
    rules: Given[RuleExpression | None] = UNCHANGED,
    *,
    id: str | int | None = None,
    name: str | None = None,
    fields: Wire | None = None,
) -> RulesSpec:
    """A custom segment, which `visitor.match_segments` asks for; the arguments are those of `audience`.

    >>> project(segment("big-spenders", attr("spent") > 1000)).segment("big-spenders").matches({"spent": 1000})
    False
    """
    return _entity("segments", key, rules, id, name, fields)


def goal(
    key: str,
    rules: Given[RuleExpression | None] = UNCHANGED,
    *,
    id: str | int | None = None,
    name: str | None = None,
    fields: Wire | None = None,
) -> RulesSpec:
    """A goal, with rules for the `rule_data` of a conversion or without; the arguments are those of `audience`.

    >>> shop = project(goal("large-order", attr("total") >= 200))
    >>> Client.offline(shop).visitor("v").track("large-order", rule_data={"total": 20}).reason.value
    'rules'
    """
    return _entity("goals", key, rules, id, name, fields)


def feature(
    key: str,
    *,
    variables: Mapping[str, object] | None = None,
    id: str | int | None = None,
    name: str | None = None,
    fields: Wire | None = None,
    **more_variables: object,
) -> FeatureSpec:
    """A feature; each variable is declared by a value of its type, or by the type: bool, int, float, str, dict or list.

    Args:
        key: The feature's key.
        variables: The variables by name, for names that are no keywords.
        id: The id; by default one that follows from the key.
        name: The name; by default the key.
        fields: Anything else, as it is to stand in the document.
        more_variables: The variables by name.

    Returns:
        What `project` and `with_` take.

    >>> [*project(feature("pricing", discount=0.0, rows=int)).feature("pricing").variables]
    [Variable(key='discount', type='float'), Variable(key='rows', type='integer')]
    """
    types = {each: _type(value) for each, value in {**(variables or {}), **more_variables}.items()}
    more: Wire = {**(fields or {})}
    if name is not None:
        more["name"] = name
    return FeatureSpec(_key("feature", key), _id(id), types, more)


class BuiltProject(Project):
    """A project of a test: what `project` and `from_export` give. `with_` gives another one."""

    def with_(
        self, *entities: Entity, environments: Iterable[str] = (), default_environment: str | None = None
    ) -> Self:
        """The same project with something changed.

        Of an entity whose key the document has, what is given is changed and everything else stays; another one is
        added.

        Args:
            entities: What `experience`, `audience`, `location`, `segment`, `feature` and `goal` give.
            environments: Environments to be added.
            default_environment: The environment of clients that name none.

        Returns:
            Another project; this one stays as it is.

        Raises:
            ValueError: For keys that neither the document nor the entities have, and what cannot be built.

        >>> shop = project(experience("checkout", {"a": 50, "b": 50}, audience=attr("plan") == "pro"))
        >>> changed = shop.with_(experience("checkout", {"a": 0, "b": 100}))
        >>> visitor = Client.offline(changed).visitor("v-1", {"plan": "pro"})
        >>> visitor.decide("checkout").variation_key
        'b'
        """
        return self.parse(
            _json(assemble(self.document, entities, environments, default_environment)),
            bucketing=self.bucketing,
        )


def project(
    *entities: Entity,
    environments: Iterable[str] = (),
    default_environment: str | None = None,
    account_id: str = "1",
    id: str = "2",
    name: str = "Tests",
) -> BuiltProject:
    """The project of some entities, as it would come from Convert: `document` has the arguments.

    >>> project(experience("checkout")).experience("checkout").variation("b").percent
    50.0
    """
    return BuiltProject.parse(
        _json(
            document(
                *entities,
                environments=environments,
                default_environment=default_environment,
                account_id=account_id,
                id=id,
                name=name,
            )
        )
    )


def document(
    *entities: Entity,
    environments: Iterable[str] = (),
    default_environment: str | None = None,
    account_id: str = "1",
    id: str = "2",
    name: str = "Tests",
) -> Wire:
    """The wire document of some entities: what the Serving API would give.

    Args:
        entities: What `experience`, `audience`, `location`, `segment`, `feature` and `goal` give; what an experience
            names by `audience(…)` and its like need not be named again.
        environments: The project's environments; those that experiences name are added.
        default_environment: The environment of clients that name none.
        account_id: The account's id.
        id: The project's id.
        name: The project's name.

    Returns:
        The document, in which `Project.parse(json.dumps(…))` finds no problem, except that traffic of less than
        100 % is mentioned.

    Raises:
        ValueError: For keys that nothing has, names that are taken, and shares of more than 100 %.

    >>> document(experience("checkout"))["experiences"][0]["variations"][0]["traffic_allocation"]
    50.0
    """
    empty: Wire = {
        "account_id": account_id,
        "project": {"id": id, "name": name, "type": "fullstack", "environments": {}},
        "goals": [],
        "locations": [],
        "audiences": [],
        "segments": [],
        "experiences": [],
        "archived_experiences": [],
        "features": [],
        "is_debug": False,
    }
    return assemble(empty, entities, environments, default_environment)


def from_export(path: str | PathLike[str]) -> BuiltProject:
    """The project of a real document in a file, to be tested as it is or `with_` one thing changed.

    Args:
        path: A file such as `curl …/config/{sdk key}` gives.

    Returns:
        A project whose `with_` gives another one.

    Raises:
        OSError: For a file that cannot be read.
        DocumentError: For one that is no document.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export = pathlib.Path(folder, "project.json")
    ...     _ = export.write_bytes(project(experience("checkout")).source)
    ...     from_export(export).with_(experience("checkout", archived=True)).experience("checkout").archived
    True
    """
    return BuiltProject.load(path)


def _json(wire: Wire) -> str:
    return json.dumps(wire, allow_nan=False)


def _entity(
    section: str,
    key: str,
    rules: Given[RuleExpression | None],
    id: str | int | None,
    name: str | None,
    fields: Wire | None,
) -> RulesSpec:
    what = section.removesuffix("s")
    if not isinstance(rules, (RuleExpression, Unchanged)) and rules is not None:
        raise TypeError(f'{what}({key!r}) takes rules such as attr("plan") == "pro", not {rules!r}')
    more: Wire = {**(fields or {})}
    if name is not None:
        more["name"] = name
    return RulesSpec(section, _key(what, key), _id(id), rules, more)


def _key(what: str, key: str) -> str:
    if not isinstance(key, str) or not key:
        raise TypeError(f"{what}() takes a key as text that is not empty, not {key!r}")
    return key


def _id(id: str | int | None) -> str | None:
    if id is None:
        return None
    if isinstance(id, bool) or not isinstance(id, (str, int)) or id == "":
        raise TypeError(f"an id is text that is not empty, or a whole number, not {id!r}")
    return str(id)


_SECTION_OF = {"audiences": "audience", "locations": "location", "segments": "segment", "goals": "goals"}


def _several(section: str, given: Given[Named | Iterable[Named] | None]) -> Given[tuple[Named, ...]]:
    if isinstance(given, Unchanged):
        return given
    if given is None:
        return ()
    listed = (given,) if isinstance(given, (RuleExpression, RulesSpec, str)) else tuple(given)
    for each in listed:
        fits = isinstance(each, (RuleExpression, str)) or (
            isinstance(each, RulesSpec) and each.section == section
        )
        if not fits or (section == "goals" and isinstance(each, RuleExpression)):
            raise TypeError(
                f"{_SECTION_OF[section]}= takes {section.removesuffix('s')}(…), the key of one"
                f"{'' if section == 'goals' else ', or rules'}, not {each!r}"
            )
    return listed


def _variations(
    key: str, variations: Mapping[str, float] | Iterable[str | VariationSpec]
) -> tuple[VariationSpec, ...]:
    if isinstance(variations, str):
        raise TypeError(f"experience({key!r}) takes several variations, not the text {variations!r}")
    if isinstance(variations, Mapping):
        percentages = cast("Mapping[str, float]", variations)
        return tuple(variation(each, percent) for each, percent in percentages.items())
    listed: Iterable[str | VariationSpec] = variations
    return tuple(each if isinstance(each, VariationSpec) else variation(each) for each in listed)


_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "boolean"),  # first: True is an int, too
    (int, "integer"),
    (float, "float"),
    (str, "string"),
)


def _type(value: object) -> str:
    wanted = value if isinstance(value, type) else type(value)
    return next((name for kind, name in _TYPES if issubclass(wanted, kind)), "json")
