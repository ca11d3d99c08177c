"""Words that the API does not know: statuses, types, keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from convert_sdk._core.codes import Code
from convert_sdk._core.problem import Report
from convert_sdk.analysis import vocabulary as known
from convert_sdk.analysis.document import DocumentView, Item


def check_words(document: DocumentView, report: Report) -> None:
    """Report statuses and types outside their closed sets, and keys that nobody reads."""
    for item, name, allowed, code in _closed_sets(document):
        value = item.raw.get(name)
        if isinstance(value, str) and value and value not in allowed:
            expected = f"expected one of {', '.join(allowed)}"
            report(
                f"{item.path}.{name}",
                f"unknown {name} {value!r}{known.near(value, allowed) or f', {expected}'}",
                code,
            )
    _check_top_level(document, report)
    for kind, item in _objects(document):
        _check_spelling(kind, item, report)


def _closed_sets(document: DocumentView) -> Iterator[tuple[Item, str, Iterable[str], Code]]:
    yield Item("$", document.raw).item("project"), "type", known.PROJECT_TYPES, Code.UNKNOWN_TYPE
    for item in document.section("experiences"):
        yield item, "status", known.EXPERIENCE_STATUSES, Code.UNKNOWN_STATUS
        yield item, "type", known.EXPERIENCE_TYPES, Code.UNKNOWN_TYPE
        options = item.item("settings").item("matching_options")
        for name in ("audiences", "locations"):
            yield options, name, known.MATCHING_OPTIONS, Code.UNKNOWN_MATCHING_OPTION
        for arm in item.items("variations"):
            yield arm, "status", known.VARIATION_STATUSES, Code.UNKNOWN_STATUS
            for change in arm.items("changes"):
                yield change, "type", known.CHANGE_TYPES, Code.UNKNOWN_CHANGE_TYPE
    for item in document.section("features"):
        for variable in item.items("variables"):
            yield variable, "type", known.VARIABLE_TYPES, Code.UNKNOWN_VARIABLE_TYPE
    for name, allowed in (("audiences", known.AUDIENCE_TYPES), ("goals", known.GOAL_TYPES)):
        for item in document.section(name):
            yield item, "type", allowed, Code.UNKNOWN_TYPE
    for item in document.section("locations"):
        yield item.item("trigger"), "type", known.TRIGGER_TYPES, Code.UNKNOWN_TYPE
    for tree in document.rule_trees():
        for leaf in tree.leaves():
            yield Item(leaf.path, leaf.raw), "rule_type", known.RULE_TYPES, Code.UNKNOWN_RULE_TYPE


def _check_top_level(document: DocumentView, report: Report) -> None:
    for key in document.raw:
        if key not in known.TOP_LEVEL:
            close = known.near_key(key, known.TOP_LEVEL, document.raw)
            code = Code.MISSPELT_KEY if close else Code.UNKNOWN_TOP_LEVEL_KEY
            report(Item("$", {}).of(key), f"the API has no top-level key {key!r}{close}", code)


def _check_spelling(kind: str, item: Item, report: Report) -> None:
    for key in item.raw:
        if key not in known.KEYS[kind]:
            close = known.near_key(key, known.KEYS[kind], item.raw)
            if close:
                report(item.of(key), f"unknown key {key!r} of a {kind}{close}", Code.MISSPELT_KEY)


def _objects(document: DocumentView) -> Iterator[tuple[str, Item]]:
    yield "project", Item("$", document.raw).item("project")
    for item in document.section("experiences"):
        yield "experience", item
        for arm in item.items("variations"):
            yield "variation", arm
            yield from (("change", change) for change in arm.items("changes"))
    for item in document.section("features"):
        yield "feature", item
        yield from (("variable", variable) for variable in item.items("variables"))
    for name in ("audiences", "locations", "segments", "goals"):
        yield from ((name[:-1], item) for item in document.section(name))
    for tree in document.rule_trees():
        for leaf in tree.leaves():
            yield "condition", Item(leaf.path, leaf.raw)
            yield "matching", Item(leaf.path, leaf.raw).item("matching")
