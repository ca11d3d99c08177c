"""Rules in Python, and what they are on the wire: an OR of ANDs of ORs of conditions.

>>> rule = all_of(attr("plan") == "pro", any_of(attr("age") >= 18, attr("country").exists()))
>>> rule.matches({"plan": "pro", "age": 20})
True
>>> print(rule.explain({"plan": "pro", "age": 17}))
NO  rule set
    yes plan equals "pro", the visitor has "pro"
    NO  age not less 18, the visitor has 17
    NO  or country exists "", the visitor has nothing
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import chain, product
from math import prod
from typing import Final, NamedTuple

from convert_sdk._core.half_made import shown_half_made
from convert_sdk._core.javascript import js_string
from convert_sdk._core.operators import compile_test
from convert_sdk._core.rules import EXCLUSION, matches_rule_set
from convert_sdk._core.trace import RuleTrace, explain_rules

Wire = dict[str, object]

MOST_BLOCKS: Final = 1_000
"""Blocks of one rule set: `all_of` of several `any_of` multiplies theirs."""


class ConditionSpec(NamedTuple):
    """One condition, as it is to stand in a document."""

    key: str
    match_type: str
    value: object
    negated: bool = False
    rule_type: str = ""

    def to_wire(self) -> Wire:
        """The condition as the wire has it."""
        wire: Wire = {
            "rule_type": self.rule_type or _rule_type(self.value),
            "matching": {"match_type": self.match_type, "negated": self.negated},
            "value": self.value,
        }
        return wire if self.rule_type == EXCLUSION else {"key": self.key, **wire}


def _rule_type(value: object) -> str:
    if isinstance(value, bool):
        return "generic_bool_key_value"
    return "generic_numeric_key_value" if isinstance(value, (int, float)) else "generic_text_key_value"


Block = tuple[tuple[ConditionSpec, ...], ...]
"""Groups that must all hold; of a group, one condition is enough."""


@shown_half_made
class RuleExpression:
    """Rules of an audience, location, segment or goal: of `attr`, `all_of`, `any_of` and `bucketed_into`.

    `~rule` negates every condition, and swaps all and any. As Convert compares, a condition about a key that the
    visitor does not have fails, negated or not; `exists` and `does_not_exist` alone are asked of nothing.

    >>> rule = ~attr("plan").is_in("pro", "team")
    >>> rule.matches({"plan": "free"}), rule.matches({})
    (True, False)
    """

    __slots__ = ("blocks",)

    def __init__(self, *blocks: Block) -> None:
        self.blocks = blocks

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.to_wire()})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RuleExpression) and self.blocks == other.blocks

    __hash__ = None  # type: ignore[assignment]  # values of conditions may be lists

    def __invert__(self) -> RuleExpression:
        return all_of(*(any_of(*map(_none_of, block)) for block in self.blocks))

    def __bool__(self) -> bool:
        raise TypeError(
            "a rule is neither true nor false: use all_of(…) for and, any_of(…) for or, ~ for not"
        )

    @property
    def conditions(self) -> tuple[ConditionSpec, ...]:
        """Every condition, in the order of the wire."""
        return tuple(each for block in self.blocks for group in block for each in group)

    def to_wire(self) -> Wire:
        """The rules as they stand in a document."""
        return {
            "OR": [
                {"AND": [{"OR_WHEN": [each.to_wire() for each in group]} for group in block]}
                for block in self.blocks
            ]
        }

    def matches(self, facts: Mapping[str, object]) -> bool:
        """True if the rules hold for some facts."""
        return matches_rule_set(self.to_wire(), facts)

    def explain(self, facts: Mapping[str, object]) -> RuleTrace:
        """The verdict of `matches`, condition by condition, and why."""
        return explain_rules(self.to_wire(), facts)


def _none_of(group: tuple[ConditionSpec, ...]) -> RuleExpression:
    return all_of(*(_only(each._replace(negated=not each.negated)) for each in group))


def _only(condition: ConditionSpec) -> RuleExpression:
    return RuleExpression(((condition,),))


def all_of(*rules: RuleExpression) -> RuleExpression:
    """Rules that hold where every one of them holds.

    Raises TypeError for what is no rule, ValueError for none, and for more than the wire can hold.

    >>> all_of(attr("plan") == "pro", attr("age") < 30).matches({"plan": "pro", "age": 30})
    False
    """
    _check("all_of", rules)
    blocks = prod(len(rule.blocks) for rule in rules)
    if blocks > MOST_BLOCKS:
        raise ValueError(
            f"these rules would be {blocks} blocks on the wire, and {MOST_BLOCKS} are the most: "
            "all_of multiplies the blocks of each any_of in it, so make several audiences of them"
        )
    return RuleExpression(*(tuple(chain(*chosen)) for chosen in product(*(rule.blocks for rule in rules))))


def any_of(*rules: RuleExpression) -> RuleExpression:
    """Rules that hold where any of them holds.

    Raises TypeError for what is no rule, ValueError for none.

    >>> any_of(attr("plan") == "pro", attr("age") < 30).matches({"plan": "pro", "age": 30})
    True
    """
    _check("any_of", rules)
    blocks = [block for rule in rules for block in rule.blocks]
    if all(len(block) == 1 for block in blocks):
        return RuleExpression((tuple(chain.from_iterable(block[0] for block in blocks)),))
    return RuleExpression(*blocks)


def _check(name: str, rules: tuple[RuleExpression, ...]) -> None:
    if not rules:
        raise ValueError(f"{name}() needs at least one rule: without any, nobody matches")
    for rule in rules:
        if isinstance(rule, Attr):
            raise TypeError(f"{rule!r} compares with nothing yet: {rule!r}.exists(), for one")
        if not isinstance(rule, RuleExpression):
            raise TypeError(
                f'{name}() takes rules such as attr("plan") == "pro", not a {type(rule).__name__}'
            )


def bucketed_into(experience_key: str) -> RuleExpression:
    """The rule of an audience about another experience: it holds for whom that one has a decision.

    It decides an audience alone, so it is never combined with others; `~bucketed_into(…)` is for everybody else.

    >>> ~bucketed_into("checkout")
    RuleExpression({'OR': [{'AND': [{'OR_WHEN': [{'rule_type': 'bucketed_into_experience_key', \
'matching': {'match_type': 'equals', 'negated': True}, 'value': 'checkout'}]}]}]})
    """
    return _only(ConditionSpec("", "equals", _text("bucketed_into", experience_key), rule_type=EXCLUSION))


@shown_half_made
class Attr:
    """One key of a visitor's attributes or location, or of a conversion's `rule_data`, to be compared.

    Every operator is a method, named as its `match_type`; `==`, `!=`, `<`, `<=`, `>` and `>=` are short for
    `equals`, `less` and `less_equal` and their negations. They compare as Convert does: `docs/differences.md`.
    """

    __slots__ = ("key",)

    def __init__(self, key: str) -> None:
        self.key = key

    def __repr__(self) -> str:
        return f"attr({self.key!r})"

    def __bool__(self) -> bool:
        raise TypeError(f"{self!r} is no rule yet: compare it, or ask {self!r}.exists()")

    def __eq__(self, other: object) -> RuleExpression:  # type: ignore[override]  # a rule is what it is for
        return self.equals(other)

    def __ne__(self, other: object) -> RuleExpression:  # type: ignore[override]  # as above
        return ~self.equals(other)

    __hash__ = None  # type: ignore[assignment]  # equality is no verdict here

    def __lt__(self, other: object) -> RuleExpression:
        return self.less(other)

    def __le__(self, other: object) -> RuleExpression:
        return self.less_equal(other)

    def __gt__(self, other: object) -> RuleExpression:
        return ~self.less_equal(other)

    def __ge__(self, other: object) -> RuleExpression:
        return ~self.less(other)

    def equals(self, value: object) -> RuleExpression:
        """The same text without regard to capitals; of a list, an item of the same type and value."""
        return self._rule("equals", value)

    def equals_number(self, value: object) -> RuleExpression:
        """Another name of `equals`, as the wire has it."""
        return self._rule("equalsNumber", value)

    def matches(self, value: object) -> RuleExpression:
        """Another name of `equals`, as the wire has it."""
        return self._rule("matches", value)

    def less(self, value: object) -> RuleExpression:
        """A smaller number, or an earlier text; values of two types are never compared."""
        return self._rule("less", value)

    def less_equal(self, value: object) -> RuleExpression:
        """As `less`, or the same."""
        return self._rule("lessEqual", value)

    def contains(self, value: object) -> RuleExpression:
        """A text that has this one in it, without regard to capitals."""
        return self._rule("contains", value)

    def starts_with(self, value: object) -> RuleExpression:
        """A text that begins with this one, without regard to capitals."""
        return self._rule("startsWith", value)

    def ends_with(self, value: object) -> RuleExpression:
        """A text that ends with this one, without regard to capitals."""
        return self._rule("endsWith", value)

    def is_in(self, *values: object) -> RuleExpression:
        """One of these values. As Convert compares, a visitor's value with capital letters is never found.

        For such values use `any_of(attr("country") == "DE", attr("country") == "AT")`.
        """
        if not values:
            raise ValueError(f"{self!r}.is_in() needs at least one value")
        for value in values:
            if isinstance(value, str) and "|" in value:
                raise ValueError(
                    f'{self!r}.is_in(): {value!r} would be two values, as the wire parts them by "|"'
                )
            if isinstance(value, (list, tuple, set, frozenset, dict)):
                raise TypeError(f"{self!r}.is_in() takes single values: is_in(*values)")
        return self._rule("isIn", "|".join(js_string(value) for value in values))

    def regex_matches(self, pattern: str) -> RuleExpression:
        """A text in which a regular expression of JavaScript finds something, without regard to capitals."""
        return self._rule("regexMatches", pattern)

    def exists(self) -> RuleExpression:
        """Any value but null and the empty text."""
        return self._rule("exists", "")

    def does_not_exist(self) -> RuleExpression:
        """No value, null or the empty text."""
        return self._rule("doesNotExist", "")

    def not_exists(self) -> RuleExpression:
        """Null or the empty text: as `does_not_exist`, except that a missing key does not match."""
        return self._rule("not_exists", "")

    def _rule(self, match_type: str, value: object) -> RuleExpression:
        where = f"{self!r}.{match_type}"
        try:
            wire: object = json.loads(json.dumps(value, allow_nan=False))
            compile_test(match_type, wire, negated=False)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{where}: {error}; a rule compares with a value of JSON") from None
        return _only(ConditionSpec(self.key, match_type, wire))


def attr(key: str) -> Attr:
    """A key of the visitor's attributes or location, or of a conversion's `rule_data`, to be compared.

    >>> (attr("visits") < 10).matches({"visits": 9})
    True
    """
    return Attr(_text("attr", key))


def _text(name: str, value: str) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"{name}() takes a key as text that is not empty, not {value!r}")
    return value
