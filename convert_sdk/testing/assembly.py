"""The wire document of what builders gave: ids given, keys turned into ids, and put into a document.

An id follows from the key, so that the visitors of one experience keep their variations when a test adds another.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from math import isfinite
from typing import cast
from zlib import crc32

from convert_sdk._checks import Unchanged, nearest
from convert_sdk._config.coerce import as_id
from convert_sdk._config.variations import FEATURE_CHANGE
from convert_sdk._core.casting import UNCASTABLE
from convert_sdk._core.casting import cast as cast_variable
from convert_sdk._core.javascript import js_number
from convert_sdk._core.model import SECTIONS
from convert_sdk._core.rules import EXCLUSION

from .rules import RuleExpression, Wire
from .specs import Entity, ExperienceSpec, FeatureSpec, Named, RulesSpec, Sets, VariationSpec

_FIRST_ID = 100_000
_IDS = 900_000
_TOO_MUCH = 100.01


def assemble(
    raw: Wire, entities: Iterable[Entity], environments: Iterable[str], default_environment: str | None
) -> Wire:
    """The document with these entities in it; what it has of their keys is changed in what they name.

    Raises ValueError where keys lead nowhere or are taken, and where a value cannot be.
    """
    assembly = _Assembly(raw)
    listed = [*entities]
    for each in listed:
        if not isinstance(each, (ExperienceSpec, RulesSpec, FeatureSpec)):
            raise TypeError(f"a project is built of experience(…), audience(…) and their like, not {each!r}")
    experiences = [each for each in listed if isinstance(each, ExperienceSpec)]
    assembly.reserve([*listed, *(inner for each in experiences for inner in _inline(each))])
    for each in listed:
        if isinstance(each, RulesSpec):
            assembly.put_rules(each)
        elif isinstance(each, FeatureSpec):
            assembly.put_feature(each)
    for each in experiences:
        for inner in _inline(each):
            assembly.put_rules(inner)
    for each in experiences:
        assembly.put_experience(each)
    assembly.check_exclusions()
    assembly.put_environments(environments, default_environment, experiences)
    return assembly.raw


class _Assembly:
    """A document on its way: what it has by section and key, and the ids that are taken."""

    def __init__(self, raw: Wire) -> None:
        self.raw = raw
        self.sections: dict[str, dict[str, Wire]] = {}
        """By section and key, the first of a key."""
        self.ids: set[str] = set()
        self.given: dict[tuple[str, str], Entity] = {}
        self.exclusions: list[tuple[str, str]] = []
        """Keys of audiences, and of the experiences that decide them."""
        for section in SECTIONS:
            found = self.sections[section] = {}
            for entry in _objects(raw.get(section)):
                found.setdefault(as_id(entry.get("key")), entry)
                self.ids.add(as_id(entry.get("id")))

    def reserve(self, entities: Iterable[Entity]) -> None:
        """Keep the ids that are named from being given to others."""
        self.ids |= {each.id for each in entities if each.id is not None}

    def entry(self, section: str, spec: Entity) -> Wire:
        """The entry of a key: that of the document, or a new one. Raises ValueError for a key that is built twice."""
        what = section.removesuffix("s")
        if self.given.setdefault((section, spec.key), spec) != spec:
            raise ValueError(f"{what}({spec.key!r}) is built twice, in two ways")
        found: Wire | None = self.sections[section].get(spec.key)
        if found is None:
            found = {"id": self.new_id(section, spec.key), "key": spec.key, "name": spec.key}
            self.sections[section][spec.key] = found
            cast("list[Wire]", self.section(section)).append(found)
        if spec.id is not None:
            taken = next(
                (
                    key
                    for other in _SHARED.get(section, (section,))
                    for key, entry in self.sections[other].items()
                    if entry is not found and as_id(entry.get("id")) == spec.id
                ),
                None,
            )
            if taken is not None:
                raise ValueError(f"{what}({spec.key!r}): the id {spec.id!r} is that of {taken!r}")
            found["id"] = spec.id
        found.update(spec.fields)
        return found

    def section(self, name: str) -> list[object]:
        """The list of a section, an empty one where the document has none."""
        found = self.raw.get(name)
        if not isinstance(found, list):
            found = self.raw[name] = []
        return found

    def new_id(self, section: str, key: str) -> str:
        """An id that follows from the key, the next one where it is taken."""
        number = crc32(f"{section}:{key}".encode("utf-8", "surrogatepass")) % _IDS
        while str(_FIRST_ID + number) in self.ids:
            number = (number + 1) % _IDS
        made = str(_FIRST_ID + number)
        self.ids.add(made)
        return made

    def put_rules(self, spec: RulesSpec) -> Wire:
        """Put an audience, location, segment or goal into its section."""
        entry = self.entry(spec.section, spec)
        if not isinstance(spec.rules, Unchanged):
            entry["rules"] = (
                None if spec.rules is None else self.wire_rules(spec.section, spec.key, spec.rules)
            )
        entry.setdefault("rules", None)
        if spec.section == "audiences":
            entry.setdefault("type", "transient")
        elif spec.section == "goals":
            entry.setdefault("type", "code_trigger" if entry["rules"] is None else "advanced")
        return entry

    def wire_rules(self, section: str, key: str, rules: RuleExpression) -> Wire:
        """The rules of an entity. Raises ValueError for a condition about another experience that is not alone."""
        excluding = [each for each in rules.conditions if each.rule_type == EXCLUSION]
        if excluding:
            what = f"{section.removesuffix('s')}({key!r})"
            if section != "audiences":
                raise ValueError(f"{what}: bucketed_into(…) decides audiences only")
            if len(rules.conditions) > 1:
                raise ValueError(
                    f"{what}: bucketed_into(…) decides an audience alone, and its other rules would be ignored; "
                    "give the experience two audiences and match_all=True"
                )
            self.exclusions.append((key, cast("str", excluding[0].value)))
        return rules.to_wire()

    def put_feature(self, spec: FeatureSpec) -> None:
        """Put a feature into its section; it keeps the variables that are not named."""
        entry = self.entry("features", spec)
        variables = {as_id(each.get("key")): each for each in _objects(entry.get("variables"))}
        for name, type_name in spec.variables.items():
            variables[name] = {"key": name, "type": type_name}
        entry["variables"] = [*variables.values()]

    def put_experience(self, spec: ExperienceSpec) -> None:
        """Put an experience into its section, and what it names into theirs."""
        entry = self.entry("experiences", spec)
        entry.setdefault("status", "active")
        entry.setdefault("type", "a/b_fullstack")
        for section in ("locations", "goals"):
            named = getattr(spec, section)
            if not isinstance(named, Unchanged):
                entry[section] = self.names(section, spec.key, named)
        self.put_audiences(entry, spec)
        if not isinstance(spec.site_area, Unchanged):
            area = spec.site_area
            entry["site_area"] = None if area is None else self.wire_rules("site areas", spec.key, area)
        if not isinstance(spec.match_all, Unchanged):
            settings = _inner(entry, "settings")
            _inner(settings, "matching_options")["audiences"] = "all" if spec.match_all else "any"
        if not isinstance(spec.archived, Unchanged):
            archived = self.section("archived_experiences")
            self.raw["archived_experiences"] = [each for each in archived if as_id(each) != entry["id"]]
            if spec.archived:
                self.section("archived_experiences").append(entry["id"])
        self.put_variations(entry, spec)

    def put_audiences(self, entry: Wire, spec: ExperienceSpec) -> None:
        """Put audiences and segments into the one list that the wire has for both."""
        before = entry.get("audiences")
        listed = [as_id(each) for each in before] if isinstance(before, list) else []
        of_segments = {as_id(each.get("id")) for each in self.sections["segments"].values()}
        audiences: Collection[str] = [each for each in listed if each not in of_segments]
        segments: Collection[str] = [each for each in listed if each in of_segments]
        if not isinstance(spec.audiences, Unchanged):
            audiences = self.names("audiences", spec.key, spec.audiences)
        if not isinstance(spec.segments, Unchanged):
            segments = self.names("segments", spec.key, spec.segments)
        entry["audiences"] = [*audiences, *segments]

    def names(self, section: str, key: str, named: tuple[Named, ...]) -> list[str]:
        """The ids of what an experience names, after what it brings has been put into the document."""
        return [self.id_of(section, key, each, number) for number, each in enumerate(named, 1)]

    def id_of(self, section: str, key: str, named: Named, number: int) -> str:
        """The id of one of them."""
        what = section.removesuffix("s")
        if isinstance(named, str):
            found = self.sections[section].get(named)
            if found is None:
                near = nearest(named, self.sections[section])
                raise ValueError(f"experience({key!r}): there is no {what} {named!r}{near}")
            return as_id(found.get("id"))
        if isinstance(named, RuleExpression):
            alone = f"{key}-{what}" if number == 1 else f"{key}-{what}-{number}"
            named = RulesSpec(section, alone, None, named, {})
        return as_id(self.put_rules(named).get("id"))

    def put_variations(self, entry: Wire, spec: ExperienceSpec) -> None:
        """Put the variations into an experience; those that are not named stay."""
        before = {as_id(each.get("key")): each for each in _objects(entry.get("variations"))}
        given: tuple[VariationSpec, ...] = () if isinstance(spec.variations, Unchanged) else spec.variations
        if not before and not given:
            given = tuple(VariationSpec(key, None, 50.0, {}, {}) for key in ("a", "b"))
        where = f"experience({spec.key!r})"
        variations = {**before}
        for each in given:
            found = variations.setdefault(each.key, {})
            if each.id is not None:
                found["id"] = each.id
            found.setdefault("id", _variation_id(as_id(entry["id"]), variations.values()))
            found.setdefault("name", each.key)
            found["key"] = each.key
            found.setdefault("status", "running")
            if not isinstance(each.traffic, Unchanged):
                found["traffic_allocation"] = _percent(where, each)
            found.update(each.fields)
            found.setdefault("changes", [])
        if len({each.key for each in given}) < len(given):
            raise ValueError(f"{where}: two variations share a key")
        if len({as_id(each.get("id")) for each in variations.values()}) < len(variations):
            raise ValueError(f"{where}: two variations share an id")
        _share_traffic(where, variations.values(), is_new=bool(given))
        entry["variations"] = [*variations.values()]
        for each in given:
            self.set_features(where, variations[each.key], each.sets)
        for key, sets in spec.sets.items():
            if key not in variations:
                raise ValueError(f"{where}: there is no variation {key!r}{nearest(key, variations)}")
            self.set_features(where, variations[key], sets)

    def set_features(self, where: str, variation: Wire, sets: Sets) -> None:
        """Add a variation's changes of features; each replaces what the variation set of the same feature."""
        for key, values in sets.items():
            feature = self.sections["features"].get(key)
            if feature is None:
                near = nearest(key, self.sections["features"])
                raise ValueError(f"{where}: there is no feature {key!r}{near}")
            feature_id = as_id(feature.get("id"))
            _check_values(f"{where}: feature {key!r}", feature, values)
            before = _objects(variation.get("changes"))
            kept = [each for each in before if _changed_feature(each) != feature_id]
            number = 1 + max((int(js_number(each.get("id", 0)) or 0) for each in kept), default=0)
            change = {"feature_id": feature_id, "variables_data": {**values}}
            variation["changes"] = [*kept, {"id": number, "type": FEATURE_CHANGE, "data": change}]

    def check_exclusions(self) -> None:
        """Raise ValueError for audiences about an experience that nobody has."""
        for audience, experience in self.exclusions:
            if experience not in self.sections["experiences"]:
                near = nearest(experience, self.sections["experiences"])
                raise ValueError(f"audience({audience!r}): there is no experience {experience!r}{near}")

    def put_environments(
        self, named: Iterable[str], default: str | None, experiences: Iterable[ExperienceSpec]
    ) -> None:
        """Put environments into the project: those that are named, and those that experiences run in."""
        environments = _inner(_inner(self.raw, "project"), "environments")
        used = (each.fields.get("environment") for each in experiences)
        for each in (*named, *used, default):
            if isinstance(each, str) and each:
                environments.setdefault(each, {"label": each, "is_default": False})
        if default is not None:
            for name, about in environments.items():
                if isinstance(about, dict):
                    about["is_default"] = name == default


_SHARED: Mapping[str, tuple[str, ...]] = dict.fromkeys(("audiences", "segments"), ("audiences", "segments"))
"""Sections whose ids stand in one list of an experience."""


def _inline(spec: ExperienceSpec) -> Iterator[RulesSpec]:
    """The entities with keys of their own that stand in an experience."""
    for named in (spec.audiences, spec.locations, spec.segments, spec.goals):
        if not isinstance(named, Unchanged):
            yield from (each for each in named if isinstance(each, RulesSpec))


def _objects(value: object) -> list[Wire]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _inner(holder: Wire, name: str) -> Wire:
    found = holder.get(name)
    if not isinstance(found, dict):
        found = holder[name] = {}
    return found


def _variation_id(experience_id: str, variations: Iterable[Wire]) -> str:
    """An id above those of the variations before: a packed layout has them in ascending order."""
    taken = [as_id(each.get("id")) for each in variations]
    highest = max((int(each) for each in taken if each.isascii() and each.isdigit()), default=0)
    start = f"{experience_id}{len(taken):02}"
    return start if start not in taken and (not start.isdigit() or int(start) > highest) else str(highest + 1)


def _percent(where: str, variation: VariationSpec) -> float:
    traffic = variation.traffic
    if isinstance(traffic, bool) or not isinstance(traffic, (int, float)) or not isfinite(traffic):
        raise TypeError(f"{where}: the traffic of {variation.key!r} is a percentage, not {traffic!r}")
    if not 0 <= traffic <= 100:
        raise ValueError(
            f"{where}: the traffic of {variation.key!r} is a percentage of 0 to 100, not {traffic!r}"
        )
    return traffic


def _share_traffic(where: str, variations: Collection[Wire], *, is_new: bool) -> None:
    """Share what is left among the variations that name no traffic. Raises ValueError for more than there is."""
    running = [each for each in variations if each.get("status") in (None, "", "running")]
    named = sum(js_number(each["traffic_allocation"]) for each in running if "traffic_allocation" in each)
    unnamed = [each for each in variations if "traffic_allocation" not in each]
    for each in unnamed if is_new else ():
        each["traffic_allocation"] = max(0.0, 100.0 - named) / len(unnamed)
    if is_new and named > _TOO_MUCH:
        raise ValueError(
            f"{where}: its running variations share {named:g} % of the traffic, more than there is"
        )


def _changed_feature(change: Wire) -> str:
    data = change.get("data")
    is_of_feature = change.get("type") == FEATURE_CHANGE and isinstance(data, dict)
    return as_id(data.get("feature_id")) if is_of_feature and isinstance(data, dict) else ""


def _check_values(where: str, feature: Wire, values: Mapping[str, object]) -> None:
    types = {as_id(each.get("key")): each.get("type") for each in _objects(feature.get("variables"))}
    for name, value in values.items():
        if name not in types:
            raise ValueError(f"{where} declares no variable {name!r}{nearest(name, types)}")
        if cast_variable(value, str(types[name])) is UNCASTABLE:
            raise ValueError(f"{where}: {value!r} is no {types[name]}, as {name!r} is declared")
