"""Rule sets: an OR of ANDs of OR_WHENs of conditions, compiled once and walked as tuples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from .codes import Code
from .half_made import shown_half_made
from .javascript import js_string, truthy
from .js_regex.budget import one_call
from .layers import ANY_EXPERIENCE, NATIVE, VISITOR_FACTS, CookieKey, Layer
from .operators import OPERATORS, VALUELESS, Test, always, compile_test, is_timed, never
from .problem import Report, ignore
from .values import MISSING, FactKey, ReadableMapping

EXCLUSION = "bucketed_into_experience_key"
_OBJECT = (dict, Mapping)
"""A dict is recognised much faster than by the abstract class."""


@shown_half_made
class Condition:
    """One leaf of a rule set: the visitor's value of `key` is put to `test`.

    A leaf that is not as it should be keeps a `test` that never matches, and says in `problem` what is wrong.
    `path` is its place in the document; `timed` is true where a search may cost more than can be told. `lookup` is
    what data is asked for: the key, or a `FactKey` where there is none and a request or the visitor's memory answers.
    """

    __slots__ = (
        "comparand", "key", "lookup", "match_type", "negated", "path", "problem", "rule_type", "test", "timed",
    )  # fmt: skip

    def __init__(
        self, leaf: Mapping[str, object], path: str, test: Test, problem: str, lookup: FactKey | None = None
    ) -> None:
        match_type, negated = _matching(leaf)
        self.key = _text(leaf.get("key"))
        self.match_type = _text(match_type)
        self.comparand = leaf.get("value")
        self.negated = negated is True
        self.rule_type = _text(leaf.get("rule_type"))
        own = CookieKey(self.key) if self.rule_type == "cookie" and self.key else self.key
        self.lookup: Any = own if lookup is None else lookup
        self.path = path
        self.problem = problem
        self.test = test
        self.timed = is_timed(test)

    def __repr__(self) -> str:
        return f"Condition({self.key!r} {'not ' * self.negated}{self.match_type} {self.comparand!r})"


AnyOf = tuple[Condition, ...]
AllOf = tuple[AnyOf, ...]
Rules = tuple[AllOf, ...]
"""Matches where in one of them every group has a condition that matches."""


class ExclusionCondition(NamedTuple):
    """The leaf that decides a whole audience by another experience's decision."""

    experience_key: str
    negated: bool


def matches(rules: Rules, data: Mapping[str, object]) -> bool:
    """True if the data satisfies the rules; no rules match nothing."""
    get = data.get
    for all_of in rules:
        for any_of in all_of:
            for condition in any_of:
                if condition.test(get(condition.lookup, MISSING)):
                    break
            else:
                break
        else:
            return True
    return False


def conjunction(rules: Rules) -> tuple[tuple[str, Test], ...] | None:
    """Keys and tests that must all hold, where the rules are no more than that; None for other rules."""
    if len(rules) != 1 or any(len(any_of) != 1 for any_of in rules[0]):
        return None
    return tuple((any_of[0].lookup, any_of[0].test) for any_of in rules[0])


def matches_rule_set(rule_set: object, data: object) -> bool:
    """True if the data satisfies a rule set as it stands in a document.

    What is malformed never matches; nothing raises.

    >>> leaf = {"key": "country", "matching": {"match_type": "equals", "negated": False}, "value": "DE"}
    >>> matches_rule_set({"OR": [{"AND": [{"OR_WHEN": [leaf]}]}]}, {"country": "de"})
    True
    """
    facts = as_data(data)
    if facts is None:
        return False
    with one_call():
        return matches(compile_rules(rule_set, "$", ignore), facts)


def uncounted(test: Test) -> Test:
    """The test beneath one that rule coverage counts: for looks at a condition that no decision took."""
    beneath: Test = getattr(test, "uncounted", test)
    return beneath


def timed(rules: Rules | None) -> bool:
    """True if any condition searches for a pattern whose cost has no bound."""
    return any(leaf.timed for all_of in rules or () for any_of in all_of for leaf in any_of)


def as_data(value: object) -> Mapping[str, object] | None:
    """The data for rules: objects as they are, lists by index; None where nothing can match."""
    if type(value) is dict:
        return value
    if isinstance(value, Mapping):
        return value if isinstance(value, Layer) else ReadableMapping(value)
    if isinstance(value, (list, tuple)):
        return {str(index): item for index, item in enumerate(value)}
    return None


class Names(NamedTuple):
    """The ids and keys by which conditions about a visitor's memory name things of the document."""

    goals: Mapping[str, str] = MappingProxyType({})
    """Ids to keys."""
    experiences: Mapping[str, str] = MappingProxyType({})
    """Keys to ids."""


def compile_rules(rule_set: object, path: str, report: Report, names: Names | None = None) -> Rules:
    """Compile a rule set of a document; what can never match is reported."""
    known = names or Names()
    blocks = (
        tuple(
            tuple(
                _condition(leaf, place, report, known)
                for leaf, place in _members(any_of, "OR_WHEN", at, report)
            )
            for any_of, at in _members(all_of, "AND", where, report)
        )
        for all_of, where in _members(rule_set, "OR", path, report)
    )
    return tuple(all_of for all_of in blocks if all_of)


def _members(level: object, name: str, path: str, report: Report) -> Iterator[tuple[object, str]]:
    members = level.get(name) if isinstance(level, _OBJECT) else None
    if not isinstance(members, list) or not members:
        report(
            path,
            f"expected an object with a list {name} that is not empty; this part never matches",
            Code.EMPTY_RULES,
        )
        return
    for index, member in enumerate(members):
        yield member, f"{path}.{name}[{index}]"


def _condition(leaf: object, path: str, report: Report, names: Names) -> Condition:
    fields: Mapping[str, object] = leaf if isinstance(leaf, _OBJECT) else {}
    asked = _Keyless(fields, names) if fields.get("key") is None else None
    problem = "" if asked is None else asked.problem
    code = Code.CONDITION_WITHOUT_KEY if asked is None or not problem else asked.code
    try:
        test = _test(fields if asked is None else asked.leaf)
    except ValueError as error:
        problem = f"{error}; the condition never matches"
        code = error.code if isinstance(error, UnusableConditionError) else Code.UNUSABLE_PATTERN
        test = never
    else:
        if not isinstance(fields.get("key"), str) and (asked is None or asked.lookup is None):
            problem = f"expected a key; without one, {_rule(fields)} cannot be answered from a web request"
            test = always if test(MISSING) else never
    if problem:
        report(path, problem, code)
    return Condition(fields, path, test, problem, None if asked is None else asked.lookup)


def _rule(leaf: Mapping[str, object]) -> str:
    return repr(leaf["rule_type"]) if isinstance(leaf.get("rule_type"), str) else "a condition"


class _Keyless:
    """A condition without a key: the fact that it asks for, if there is one, and what is compared with it."""

    def __init__(self, leaf: Mapping[str, object], names: Names) -> None:
        rule_type, value = _text(leaf.get("rule_type")), leaf.get("value")
        self.leaf, self.lookup = leaf, NATIVE.get(rule_type)
        self.problem, self.code = (
            "",
            Code.UNKNOWN_GOAL if rule_type == _TRIGGERED else Code.UNKNOWN_EXPERIENCE,
        )
        if rule_type == _BUCKETED and isinstance(value, bool):
            self.lookup = ANY_EXPERIENCE
        elif rule_type in _NAMING and "value" in leaf:
            named = js_string(value)
            found: str | None = named
            if rule_type == _TRIGGERED:
                found = names.goals.get(named)
            elif rule_type == EXCLUSION:
                found = names.experiences.get(named)
            if found is None:
                self.problem = f"the document has nothing of the name {named!r}; no visitor has it either"
            self.leaf = {**leaf, "value": found}


_BUCKETED = "bucketed_into_experience"
_TRIGGERED = "goal_triggered"
_NAMING = frozenset({_BUCKETED, _TRIGGERED, EXCLUSION, "bucketed_into_segment"})
"""The rule types that compare with the id or the key of something in the document: texts in what is remembered."""


class UnusableConditionError(ValueError):
    """A condition that cannot be compiled; the message says why."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


def _test(leaf: Mapping[str, object]) -> Test:
    """The test of a leaf; raises ValueError with what is wrong with it."""
    match_type, negated = _matching(leaf)
    if not isinstance(match_type, str) or not isinstance(negated, bool):
        raise UnusableConditionError(
            Code.BAD_CONDITION, "expected matching with a text match_type and a boolean negated"
        )
    if "value" not in leaf and match_type not in VALUELESS:
        raise UnusableConditionError(
            Code.BAD_CONDITION, f"expected a value, which {match_type} compares with"
        )
    test = compile_test(match_type, leaf.get("value"), negated)
    if test is None:
        raise UnusableConditionError(
            Code.UNKNOWN_MATCH_TYPE,
            f"unknown match_type {match_type!r}, expected one of {', '.join(OPERATORS)}",
        )
    return test


def _matching(leaf: Mapping[str, object]) -> tuple[object, object]:
    matching = leaf.get("matching")
    return (
        (matching.get("match_type"), matching.get("negated"))
        if isinstance(matching, _OBJECT)
        else (None, None)
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def asks_memory(rules: Rules | None) -> bool:
    """True if any condition asks for something that only a visitor's memory knows."""
    return any(
        type(leaf.lookup) is FactKey and leaf.lookup.fact in VISITOR_FACTS
        for all_of in rules or ()
        for any_of in all_of
        for leaf in any_of
    )


def excludes(rules: Rules) -> bool:
    """True if any leaf asks for a decision of another experience."""
    return any(leaf.rule_type == EXCLUSION for all_of in rules for any_of in all_of for leaf in any_of)


def first_exclusion(rule_set: object) -> ExclusionCondition | None:
    """The first leaf of a rule set that asks for a decision of another experience, wherever it stands."""
    for all_of, _ in _members(rule_set, "OR", "", ignore):
        for any_of, _ in _members(all_of, "AND", "", ignore):
            for leaf, _ in _members(any_of, "OR_WHEN", "", ignore):
                if isinstance(leaf, _OBJECT) and leaf.get("rule_type") == EXCLUSION:
                    return ExclusionCondition(
                        js_string(leaf.get("value", MISSING)), truthy(_matching(leaf)[1])
                    )
    return None
