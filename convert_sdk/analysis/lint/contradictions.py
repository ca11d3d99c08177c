"""Rules that nobody can satisfy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from convert_sdk._core.codes import Code
from convert_sdk._core.model import Audience, RuleSet
from convert_sdk._core.operators import never, ordinal_kind
from convert_sdk._core.problem import Report
from convert_sdk._core.rules import AllOf, AnyOf, Condition, Rules
from convert_sdk.analysis.border_values import Border, border_values
from convert_sdk.analysis.document import DocumentView

_TELLING = frozenset({
    *("equals", "equalsNumber", "matches", "less", "lessEqual", "isIn", "exists", "doesNotExist"),
    *("not_exists", "startsWith", "endsWith", "contains"),
})  # fmt: skip
"""The operators of which the borders tell whether any value satisfies them together."""


def check_contradictions(document: DocumentView, report: Report) -> None:
    """Report conditions that exclude each other, and rule sets that take nobody."""
    project = document.project
    for name, index in (
        ("audiences", project.audiences),
        ("locations", project.locations),
        ("segments", project.segments),
    ):
        items = {item.id: item.path for item in document.section(name)}
        for entity in index:
            path = items.get(entity.id)
            if path is not None and not (isinstance(entity, Audience) and entity.exclusion):
                _check_rule_set(entity, path, report)
    areas = {item.id: item.path for item in document.section("experiences")}
    for experience in project.experiences:
        if experience.site_area:
            _check_blocks(experience.site_area, areas.get(experience.id, "$"), report)
    for goal in project.goals:
        _check_blocks(goal.rules or (), "", report)


def _check_rule_set(entity: RuleSet, path: str, report: Report) -> None:
    kind = type(entity).__name__.lower()
    if entity.rules is None:
        report(path, f"the {kind} {entity.key!r} has no rules", Code.NEVER_MATCHES)
        return
    dead = _check_blocks(entity.rules, path, report)
    broken = bool(entity.problems) or any(leaf.problem for leaf in _leaves(entity.rules))
    if dead and not broken:
        report(path, f"no visitor satisfies the {kind} {entity.key!r}", Code.NEVER_MATCHES)


def _check_blocks(rules: Rules, path: str, report: Report) -> bool:
    """True if no alternative can hold; each contradiction is reported."""
    dead = True
    for all_of in rules:
        contradiction = contradicting(all_of)
        if contradiction:
            keys = contradiction[0].key
            words = " and ".join(map(str, _words(contradiction)))
            place = contradiction[0].path.rpartition(".AND[")[0] or path
            report(place, f"no value of {keys!r} satisfies {words}", Code.CONTRADICTION)
        elif not any(all(leaf.test is never for leaf in any_of) for any_of in all_of):
            dead = False
    return dead


def contradicting(all_of: AllOf) -> Sequence[Condition]:
    """Conditions on one key that no value satisfies together; empty where there are none."""
    by_key: dict[str, list[AnyOf]] = {}
    for any_of in all_of:
        keys = {leaf.key for leaf in any_of}
        if len(keys) == 1 and all(_tells(leaf) for leaf in any_of):
            by_key.setdefault(keys.pop(), []).append(any_of)
    for groups in by_key.values():
        leaves = [leaf for any_of in groups for leaf in any_of]
        tried = border_values(Border(leaf.match_type, leaf.comparand) for leaf in leaves)
        if len(groups) > 1 and not any(_satisfied(groups, value) for value in tried):
            return leaves
    return ()


def _tells(leaf: Condition) -> bool:
    if leaf.problem or not leaf.key or leaf.match_type not in _TELLING:
        return False  # what is asked without a key may be several values, such as all goals of a visitor
    return leaf.match_type not in ("less", "lessEqual") or ordinal_kind(leaf.comparand) == "number"


def _satisfied(groups: Iterable[AnyOf], value: object) -> bool:
    return all(any(leaf.test(value) for leaf in any_of) for any_of in groups)


def _words(leaves: Iterable[Condition]) -> list[str]:
    return [f"{'not ' * leaf.negated}{leaf.match_type} {leaf.comparand!r}" for leaf in leaves]


def _leaves(rules: Rules) -> Iterable[Condition]:
    return (leaf for all_of in rules for any_of in all_of for leaf in any_of)
