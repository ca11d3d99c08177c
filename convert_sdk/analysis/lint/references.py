"""Names that name nothing, names that are there twice, and entities that nobody names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from convert_sdk._config.coerce import as_id
from convert_sdk._config.variations import FEATURE_CHANGE
from convert_sdk._core.codes import Code
from convert_sdk._core.problem import Report
from convert_sdk.analysis.document import DocumentView, Item
from convert_sdk.analysis.vocabulary import near


def check_references(document: DocumentView, report: Report) -> None:
    """Report what names nothing, and what is never named."""
    for experience in document.section("experiences"):
        _check_goals(document, experience, report)
        _check_variation_keys(experience, report)
        for change in _feature_changes(experience):
            _check_variables(document, change, report)
    _check_archived(document, report)
    _check_environments(document, report)
    _check_use(document, report)


def _named(item: Item, name: str) -> Iterator[tuple[str, str]]:
    """The ids of a list, each with its path."""
    listed = item.raw.get(name)
    for position, each in enumerate(listed if isinstance(listed, list) else ()):
        if as_id(each):
            yield f"{item.path}.{name}[{position}]", as_id(each)


def _check_goals(document: DocumentView, experience: Item, report: Report) -> None:
    for path, goal_id in _named(experience, "goals"):
        if goal_id not in document.project.goals.ids():
            report(path, f"no goal has the id {goal_id!r}", Code.UNKNOWN_GOAL)


def _check_variation_keys(experience: Item, report: Report) -> None:
    known: set[str] = set()
    for arm in experience.items("variations"):
        if not arm.key:
            report(
                f"{arm.path}.key", "expected a key; nothing can name this variation by it", Code.MISSING_KEY
            )
        elif arm.key in known:
            what = f"another variation of this experience has the key {arm.key!r}"
            report(f"{arm.path}.key", what, Code.DUPLICATE_VARIATION_KEY)
        known.add(arm.key)


def _feature_changes(experience: Item) -> Iterator[Item]:
    for arm in experience.items("variations"):
        for change in arm.items("changes"):
            if change.raw.get("type") == FEATURE_CHANGE:
                yield change.item("data")


def _check_variables(document: DocumentView, change: Item, report: Report) -> None:
    feature = document.project.features.of_id(as_id(change.raw.get("feature_id")))
    values = change.item("variables_data")
    declared = {variable.key for variable in feature.variables} if feature is not None else set()
    for name in values.raw:
        if feature is not None and name not in declared:
            what = f"the feature {feature.key!r} has no variable {name!r}{near(name, declared)}"
            report(values.of(name), what, Code.UNDECLARED_VARIABLE)


def _check_archived(document: DocumentView, report: Report) -> None:
    for path, experience_id in _named(Item("$", document.raw), "archived_experiences"):
        if experience_id not in document.project.experiences.ids():
            report(path, f"no experience has the id {experience_id!r}", Code.UNKNOWN_ARCHIVED)


def _check_environments(document: DocumentView, report: Report) -> None:
    environments = Item("$", document.raw).item("project").item("environments")
    defaults = [
        name
        for name, each in environments.raw.items()
        if isinstance(each, Mapping) and each.get("is_default") is True
    ]
    if len(defaults) > 1:
        what = f"{' and '.join(map(repr, defaults))} are marked as default"
        report(environments.of(defaults[1]), what, Code.TWO_DEFAULT_ENVIRONMENTS)
    for experience in document.section("experiences") if environments.raw else ():
        names = [(f"{experience.path}.environment", as_id(experience.raw.get("environment")))]
        names += _named(experience, "environments")
        for path, name in names:
            if name and name not in environments.raw:
                what = f"the project has no environment {name!r}{near(name, environments.raw)}"
                report(path, what, Code.UNKNOWN_ENVIRONMENT)


def _check_use(document: DocumentView, report: Report) -> None:
    used: dict[str, set[str]] = {"audiences": set(), "locations": set(), "goals": set()}
    set_features: set[str] = set()
    for experience in document.section("experiences"):
        for name, ids in used.items():
            ids.update(each for _, each in _named(experience, name))
        set_features.update(as_id(change.raw.get("feature_id")) for change in _feature_changes(experience))
    for name, code in _UNUSED.items():
        for item in document.section(name):
            if item.id and item.id not in used[name]:
                report(item.path, f"no experience names the {name[:-1]} {item.key!r}", code)
    for item in document.section("features"):
        if item.id and item.id not in set_features:
            report(item.path, f"no variation sets the feature {item.key!r}", Code.FEATURE_NEVER_SET)


_UNUSED = {
    "audiences": Code.UNUSED_AUDIENCE,
    "locations": Code.UNUSED_LOCATION,
    "goals": Code.UNUSED_GOAL,
}
