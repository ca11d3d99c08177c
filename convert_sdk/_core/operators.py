"""The tests of rules, one compiler per match_type.

A test takes the visitor's value, or MISSING, and answers with negation applied. What depends on
the comparand alone is done when it is compiled; text, the usual value, is answered in one call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from math import ceil, floor
from operator import le, lt
from typing import Any, Final

from .javascript import SAFE_INTEGER, WHITE_SPACE, double, js_number, js_string, numeric
from .values import LISTS, MISSING, plain

Test = Callable[[object], bool]


def compile_test(match_type: str, comparand: object, negated: bool) -> Test | None:
    """The test of one condition, None where the match_type is unknown.

    Raises UnusablePattern where the comparand of `regexMatches` cannot be matched against.
    """
    compiler = OPERATORS.get(match_type)
    return compiler(plain(comparand), negated) if compiler else None


def is_timed(test: Test) -> bool:
    """True if a test searches for a pattern whose cost has no bound for every text."""
    return getattr(test, "timed", False)


def never(_: object) -> bool:
    """The test of a condition that cannot match."""
    return False


def always(_: object) -> bool:
    """The test of a condition that matches whatever the value."""
    return True


def _equals(comparand: object, negated: bool) -> Test:
    text = js_string(comparand)
    wanted = text.lower()

    def test(value: object) -> bool:
        if type(value) is str:  # most are written as the rule is
            return not negated if value == text else (value.lower() == wanted) is not negated
        value = plain(value)
        if value is MISSING:
            return False
        if isinstance(value, LISTS):
            return any(_identical(plain(item), comparand) for item in value) is not negated
        if isinstance(value, Mapping) and value:
            return (text in value) is not negated
        return (js_string(value).lower() == wanted) is not negated

    return test


def _identical(one: object, other: object) -> bool:
    """JavaScript's `===`, where two lists or objects are never the same."""
    if isinstance(one, bool) or isinstance(other, bool) or one is None:
        return one is other
    if isinstance(one, (int, float, Decimal)) and isinstance(other, (int, float, Decimal)):
        return double(one) == double(other)
    return isinstance(one, str) and isinstance(other, str) and one == other


def _less(comparand: object, negated: bool) -> Test:
    return _ordered(comparand, negated, lt)


def _less_equal(comparand: object, negated: bool) -> Test:
    return _ordered(comparand, negated, le)


def _ordered(comparand: object, negated: bool, order: Callable[[Any, Any], bool]) -> Test:
    kind, limit = _ordinal(comparand)

    def test(value: object) -> bool:
        value = plain(value)
        if value is MISSING:
            return False
        own_kind, own = _ordinal(value)
        if own_kind != kind:  # negation does not apply
            return False
        if isinstance(own, str) and isinstance(limit, str):
            return order(_units(own), _units(limit)) is not negated
        return order(js_number(own), js_number(limit)) is not negated

    if not isinstance(limit, float) or kind != "number" or not -SAFE_INTEGER < limit < SAFE_INTEGER:
        return test
    highest = floor(limit) if order is le else ceil(limit) - 1

    def number_test(value: object) -> bool:
        if type(value) is int:  # the whole numbers that a double cannot hold are all beyond the limit
            return (value <= highest) is not negated
        return order(value, limit) is not negated if type(value) is float else test(value)

    return number_test


def _ordinal(value: object) -> tuple[str, float | str]:
    """The operand of `<`: JavaScript's name of the type, and the number or text in its place."""
    number = numeric(value)
    if number is not None:
        return "number", number
    if isinstance(value, bool):
        return "boolean", float(value)
    if isinstance(value, (int, float, Decimal)):
        return "number", double(value)
    if isinstance(value, str):
        return "string", value
    return "object", 0.0 if value is None else js_string(value)


def ordinal_kind(value: object) -> str:
    """The type by which `less` compares a value: number, string, boolean or object."""
    return _ordinal(plain(value))[0]


def _units(text: str) -> bytes:
    """Text in the order of its UTF-16 units."""
    return text.encode("utf-16-be", "surrogatepass")


def _contains(comparand: object, negated: bool) -> Test:
    wanted = js_string(comparand).lower()
    if not wanted.strip(WHITE_SPACE):
        wanted = ""

    def test(value: object) -> bool:
        if type(value) is not str:
            value = plain(value)
            if value is MISSING:
                return False
            value = js_string(value)
        return (wanted in value.lower()) is not negated

    return test


def _starts_with(comparand: object, negated: bool) -> Test:
    wanted = js_string(comparand).lower()

    def test(value: object) -> bool:
        if type(value) is not str:
            value = plain(value)
            if value is MISSING:
                return False
            value = js_string(value)
        return value.lower().startswith(wanted) is not negated

    return test


def _ends_with(comparand: object, negated: bool) -> Test:
    wanted = js_string(comparand).lower()

    def test(value: object) -> bool:
        if type(value) is not str:
            value = plain(value)
            if value is MISSING:
                return False
            value = js_string(value)
        return value.lower().endswith(wanted) is not negated

    return test


def _is_in(comparand: object, negated: bool) -> Test:
    items = comparand.split("|") if isinstance(comparand, str) else comparand
    wanted = (
        frozenset(js_string(plain(item)).lower() for item in items)
        if isinstance(items, LISTS)
        else frozenset()
    )

    def test(value: object) -> bool:
        if type(value) is not str:
            value = plain(value)
            if value is MISSING:
                return False
            value = js_string(value)
        if "|" in value:
            return wanted.isdisjoint(value.split("|")) is negated
        return (value in wanted) is not negated

    return test


def _regex_matches(comparand: object, negated: bool) -> Test:
    from .js_regex.pattern import compile_pattern  # the dialect is only for documents that have patterns

    pattern = compile_pattern(js_string(comparand))
    search = pattern.search

    def test(value: object) -> bool:
        if type(value) is not str:
            value = plain(value)
            if value is MISSING:
                return False
            value = js_string(value)
        return search(value) is not negated

    if pattern.timed:
        test.timed = True  # type: ignore[attr-defined]  # see `is_timed`
    return test


def _exists(comparand: object, negated: bool) -> Test:  # noqa: ARG001  # asks for no value
    def test(value: object) -> bool:
        if type(value) is not str:
            value = plain(value)
        return (value is MISSING or value is None or value == "") is negated

    return test


def _does_not_exist(comparand: object, negated: bool) -> Test:
    return _exists(comparand, not negated)


def _not_exists(comparand: object, negated: bool) -> Test:
    """The test of not_exists: doesNotExist, except that a missing key never matches."""
    test = _exists(comparand, not negated)
    return lambda value: plain(value) is not MISSING and test(value)


OPERATORS: Final[Mapping[str, Callable[[object, bool], Test]]] = {
    "equals": _equals,
    "equalsNumber": _equals,
    "matches": _equals,
    "less": _less,
    "lessEqual": _less_equal,
    "contains": _contains,
    "isIn": _is_in,
    "startsWith": _starts_with,
    "endsWith": _ends_with,
    "regexMatches": _regex_matches,
    "exists": _exists,
    "not_exists": _not_exists,
    "doesNotExist": _does_not_exist,
}
"""Every match_type, and what compiles its test."""

VALUELESS: Final = frozenset({"exists", "doesNotExist"})
"""The match_types that ask for no value and are asked even where the key is missing."""
