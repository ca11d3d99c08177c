"""Traces of rules: every condition asked, with its verdict, and why it cannot hold where it cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import partial
from typing import NamedTuple

from .events import to_json
from .javascript import js_string
from .js_regex.budget import GIVEN_UP, Searches, current, one_call
from .layers import Layer
from .operators import VALUELESS, ordinal_kind
from .problem import Problem
from .rules import Condition, Rules, as_data, compile_rules, uncounted
from .values import LISTS, MISSING, FactKey, plain, tree


class LeafTrace(NamedTuple):
    """One condition: what was asked, of which value, and the verdict."""

    key: str
    operator: str
    negated: bool
    comparand: object
    value: object
    """The visitor's value; None where the visitor has none, which `known` tells apart."""
    known: bool
    verdict: bool
    note: str = ""
    """The reason why it cannot hold for this value, where there is one; otherwise empty."""

    def __repr__(self) -> str:
        return f"LeafTrace({self.key!r}, {self.operator!r}, {self.verdict})"


Traced = tuple[tuple[tuple[LeafTrace, ...], ...], ...]
"""The conditions of a rule set: an OR of ANDs of ORs."""


class RuleTrace(NamedTuple):
    """One rule set: its conditions as OR of AND of OR, and the verdict. `str()` is for people, `to_json()` for tools.

    It holds what the facts hold: show it, do not log it.

    >>> leaf = {"key": "plan", "matching": {"match_type": "isIn", "negated": False}, "value": "pro|team"}
    >>> print(explain_rules({"OR": [{"AND": [{"OR_WHEN": [leaf]}]}]}, {"plan": "Pro"}))
    NO  rule set
        NO  plan isIn "pro|team", the visitor has "Pro"; isIn finds no capital letters
    """

    kind: str
    key: str
    verdict: bool
    leaves: tuple[tuple[tuple[LeafTrace, ...], ...], ...] = ()
    note: str = ""

    def __repr__(self) -> str:
        return f"RuleTrace({self.kind!r}, {self.key!r}, {self.verdict})"

    def __str__(self) -> str:
        return "\n".join(rules_text(self))

    def to_json(self) -> str:
        """The same as JSON text.

        >>> project.audience("germans").explain({"country": "FR"}).to_json()[:30]
        '{"kind":"audience","key":"germ'
        """
        return to_json(as_json(self))


def explain_rules(rule_set: object, facts: object) -> RuleTrace:
    """The verdict of `matches` for a rule set and some facts, condition by condition, and why.

    >>> leaf = {"key": "path", "matching": {"match_type": "startsWith"}, "value": "/checkout"}
    >>> explain_rules({"OR": [{"AND": [{"OR_WHEN": [leaf]}]}]}, {"path": "/checkout"}).leaves[0][0][0].note
    'expected matching with a text match_type and a boolean negated; the condition never matches'
    """
    problems: list[Problem] = []
    rules = compile_rules(rule_set, "$", lambda *problem: problems.append(Problem(*problem)))
    return trace_set("rule set", "", rules, facts, structural(rules, problems))


def structural(rules: Rules, problems: list[Problem]) -> tuple[Problem, ...]:
    """The problems that are no condition's own: parts that hold none."""
    leaves = {leaf.path for all_of in rules for any_of in all_of for leaf in any_of}
    return tuple(problem for problem in problems if problem.path not in leaves)


def trace_set(
    kind: str, key: str, rules: Rules | None, data: object, problems: tuple[Problem, ...] = (), note: str = ""
) -> RuleTrace:
    """The trace of a rule set; one without rules holds for nobody."""
    notes = [note] if note else []
    notes += [f"{problem.path}: {problem.message}" for problem in problems]
    facts = as_data(data)
    if facts is None:
        notes.append("the facts are no mapping, so nothing holds")
    if rules is None and not problems:
        notes.append("has no rules and takes nobody")
    if facts is None or rules is None:
        return RuleTrace(kind, key, False, note="; ".join(notes))
    searches = current()
    if searches is not None:  # an explanation opens it once for all its rule sets
        traced = _traced(rules, facts, searches)
    else:
        with one_call() as searches:
            traced = _traced(rules, facts, searches)
    return RuleTrace(kind, key, _holds(traced), traced, "; ".join(notes))


def _traced(rules: Rules, facts: Mapping[str, object], searches: Searches) -> Traced:
    return tuple(
        [
            tuple([tuple([_leaf(leaf, facts, searches) for leaf in either]) for either in every])
            for every in rules
        ]
    )


def _holds(traced: Traced) -> bool:
    for every in traced:
        verdicts = [True in [leaf.verdict for leaf in either] for either in every]
        if verdicts and False not in verdicts:
            return True
    return False


def _leaf(leaf: Condition, data: Mapping[str, object], searches: Searches) -> LeafTrace:
    value = data.get(leaf.lookup, MISSING)
    known = value is not MISSING or leaf.lookup in data
    searches.last = None
    verdict = uncounted(leaf.test)(value)
    outcome = searches.last
    note = leaf.problem
    if not note and outcome is not None:
        note = outcome.value if outcome in GIVEN_UP else ""
    shown = tree(value)
    return _new_leaf(
        (
            leaf.key or leaf.rule_type,
            leaf.match_type,
            leaf.negated,
            tree(leaf.comparand),
            None if shown is MISSING else shown,
            known,
            verdict,
            note or _note(leaf, value, data, verdict=verdict),
        )
    )


_new_leaf = partial(tuple.__new__, LeafTrace)
"""The call of a NamedTuple with eight fields costs three times as much."""


def _note(leaf: Condition, given: object, data: Mapping[str, object], *, verdict: bool) -> str:
    """The reason why a sound condition cannot hold for this value, or holds by a surprise."""
    if type(given) is str and leaf.match_type not in _NOTED:
        return ""
    value = plain(given)
    if value is MISSING:
        return "" if verdict else _absent(leaf, given, data)
    if leaf.match_type == "isIn":
        text = js_string(value)
        test = uncounted(leaf.test)
        return "isIn finds no capital letters" if test(text.lower()) is not test(text) else ""
    if leaf.match_type in _ORDERED and not verdict:
        own, wanted = ordinal_kind(value), ordinal_kind(leaf.comparand)
        return "" if own == wanted else f"{_A[own]} is not compared with {_A[wanted]}, negated or not"
    if leaf.match_type in _EQUAL and isinstance(value, LISTS) and verdict is leaf.negated:
        text = js_string(leaf.comparand).lower()
        if any(js_string(plain(item)).lower() == text for item in value):
            return "items of a list are compared by type and letter by letter"
    return ""


_ORDERED = frozenset({"less", "lessEqual"})
_NOTED = _ORDERED | {"isIn"}
"""Conditions of which there is something to say where the value is text."""
_EQUAL = frozenset({"equals", "equalsNumber", "matches"})


_A = {"number": "a number", "string": "text", "boolean": "a boolean", "object": "another value"}


def _absent(leaf: Condition, given: object, data: Mapping[str, object]) -> str:
    if given is not MISSING:
        return "the value cannot be read"
    if type(leaf.lookup) is FactKey:
        return (
            "the request does not tell"
            if isinstance(data, Layer)
            else "answered only from a web request's facts"
        )
    other = next((key for key in data if isinstance(key, str) and key.lower() == leaf.key.lower()), None)
    if other is not None:
        return f"the visitor has {other!r}: keys are compared letter by letter"
    return "a missing key never matches" if leaf.negated and leaf.match_type not in VALUELESS else ""


VERDICTS = {True: "yes", False: "NO", None: "-"}


def rules_text(rules: RuleTrace, indent: str = "") -> Iterator[str]:
    """The lines of a rule set's trace."""
    about = " ".join(part for part in (rules.kind, rules.key, rules.note) if part)
    yield f"{indent}{VERDICTS[rules.verdict]:<4}{about}"
    inner = f"{indent}    "
    for number, every in enumerate(rules.leaves):
        if number:
            yield f"{inner}or"
        for either in every:
            for position, leaf in enumerate(either):
                yield f"{inner}{VERDICTS[leaf.verdict]:<4}{'or ' if position else ''}{leaf_text(leaf)}"


def leaf_text(leaf: LeafTrace) -> str:
    """One condition in words: what was asked, and what the visitor has."""
    operator = f"not {leaf.operator}" if leaf.negated else leaf.operator
    value = _written(leaf.value) if leaf.known else "nothing"
    note = f"; {leaf.note}" if leaf.note else ""
    return f"{leaf.key} {operator} {_written(leaf.comparand)}, the visitor has {value}{note}"


def _written(value: object) -> str:
    """A value as JSON has it, and numbers too that JSON does not have."""
    if isinstance(value, Decimal) or _is_endless(value):
        return js_string(value)
    return to_json(value)


def _is_endless(value: object) -> bool:
    """True for the numbers that JSON lacks: those beyond a double, and none at all."""
    return isinstance(value, (int, float)) and to_json(value) == "null"


def as_json(value: object) -> object:
    """Records as objects, everything else as it is."""
    convert: Callable[[], object] | None = getattr(value, "to_dict", None)
    if convert is not None:
        return convert()
    fields: tuple[str, ...] | None = getattr(value, "_fields", None)
    if fields is not None:
        return {name: as_json(getattr(value, name)) for name in fields}
    if _is_endless(value):
        return js_string(value)
    return [as_json(item) for item in value] if isinstance(value, tuple) else value
