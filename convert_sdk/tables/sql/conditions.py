"""The conditions of rules, as SQL: those of which the engine's answer is the core's, for every value of the column.

What a null gives, and what each of the two truth values gives, is what the core's own test gives for it. Text is
compared in lower case, which engines do in different ways, so the script changes capitals itself: that is exact where
the rule's text is ASCII. Only two characters beyond ASCII have ASCII in their lower case, the Kelvin sign and the
dotted capital I.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite
from string import ascii_lowercase, ascii_uppercase
from typing import Final

from convert_sdk._core.javascript import WHITE_SPACE, js_string, numeric
from convert_sdk._core.rules import Condition, Rules
from convert_sdk._core.values import LISTS, MISSING, plain

from .dialects import Dialect

KINDS: Final = ("text", "number", "boolean")
"""The types that a column can be declared as."""
_EQUAL = frozenset({"equals", "equalsNumber", "matches"})
_PRESENCE = frozenset({"exists", "doesNotExist", "not_exists"})
_WITHIN = frozenset({"contains", "startsWith", "endsWith"})
_ORDERED = frozenset({"less", "lessEqual"})


class Refused(Exception):  # noqa: N818  # it is caught here, and becomes one of the reasons of a TableError
    """A condition that this engine cannot say; the message is the reason."""


class Conditions:
    """Rules as SQL over columns of declared types."""

    __slots__ = ("_columns", "_dialect", "_null", "refused")

    def __init__(self, dialect: Dialect, columns: Mapping[str, str], *, nulls_are_missing: bool) -> None:
        self._dialect = dialect
        self._columns = columns
        self._null: object = MISSING if nulls_are_missing else None
        self.refused: list[str] = []
        """The conditions that cannot be said, and why."""

    def rules(self, rules: Rules) -> str:
        """An OR of ANDs of ORs."""
        return _any(_all(_any(map(self._condition, any_of)) for any_of in all_of) for all_of in rules)

    def _condition(self, condition: Condition) -> str:
        if condition.problem:
            return _truth(condition.test(MISSING))
        try:
            return self._said(condition)
        except Refused as reason:
            self.refused.append(f"{condition.match_type} on {condition.key!r} {reason}")
            return _truth(value=False)

    def _said(self, condition: Condition) -> str:
        kind = self._columns.get(condition.key)
        if kind is None:
            raise Refused(
                "has no declared type: name the column and its type, or its absence changes the answer"
            )
        column = self._dialect.column(condition.key)
        test = condition.test
        null = _truth(test(self._null))
        if kind == "boolean":
            self._run_only(kind)
            yes, no = _truth(test(True)), _truth(test(False))
            return f"CASE WHEN {column} IS NULL THEN {null} WHEN {column} THEN {yes} ELSE {no} END"
        said = self._of_number(condition, column) if kind == "number" else self._of_text(condition, column)
        return f"CASE WHEN {column} IS NULL THEN {null} ELSE {said} END"

    def _run_only(self, what: str) -> None:
        if not self._dialect.run:
            raise Refused(f"is refused for {self._dialect.name}: we do not run it there ({what})")

    def _of_number(self, condition: Condition, column: str) -> str:
        self._run_only("numbers")
        operator = condition.match_type
        value = f"CAST({column} AS {self._dialect.double})"
        if operator in _PRESENCE:
            return _truth(condition.test(1.0))
        if operator in _ORDERED:
            limit = numeric(plain(condition.comparand))
            if limit is None:  # of another type: never, whatever the number
                return _truth(condition.test(1.0))
            sign = "<" if operator == "less" else "<="
            return _negated(f"{value} {sign} {self._dialect.number(limit)}", condition)
        if operator in _EQUAL:
            return _negated(self._number_in(value, [js_string(plain(condition.comparand))]), condition)
        if operator == "isIn":
            return _negated(self._number_in(value, _items(condition)), condition)
        raise Refused(
            "compares the text of a number, which engines write in different ways: declare the column as text"
        )

    def _number_in(self, value: str, texts: Iterable[str]) -> str:
        """True if the number's text in JavaScript is one of these, in lower case."""
        found = []
        for text in map(str.lower, texts):
            number = _number_of(text)
            if number is not None:
                found.append(f"{value} = {self._dialect.number(number)}")
        return _any(found)

    def _of_text(self, condition: Condition, column: str) -> str:
        operator = condition.match_type
        if operator in _PRESENCE:
            empty, some = _truth(condition.test("")), _truth(condition.test("a"))
            return f"CASE WHEN {column} = '' THEN {empty} ELSE {some} END"
        if operator in _EQUAL:
            wanted = js_string(plain(condition.comparand)).lower()
            return _negated(f"{self._lower(column, wanted)} = {self._dialect.literal(wanted)}", condition)
        self._run_only("more than equality")
        if operator == "isIn":
            items = [self._dialect.literal(each) for each in _items(condition)]
            return _negated(
                self._dialect.any_part_in(column, items) if items else _truth(value=False), condition
            )
        if operator in _WITHIN:
            return self._within(condition, column)
        if operator in _ORDERED:
            raise Refused("reads numbers out of text: declare the column as number")
        raise Refused("is a regular expression of JavaScript, which no engine reads as JavaScript does")

    def _within(self, condition: Condition, column: str) -> str:
        wanted = js_string(plain(condition.comparand)).lower()
        if condition.match_type == "contains" and not wanted.strip(WHITE_SPACE):
            wanted = ""
        if not wanted:
            return _negated("TRUE", condition)
        text, part = self._lower(column, wanted), self._dialect.literal(wanted)
        if condition.match_type == "contains":
            return _negated(self._dialect.contains(text, part), condition)
        side = "left" if condition.match_type == "startsWith" else "right"
        return _negated(f"{side}({text}, {len(wanted)}) = {part}", condition)

    def _lower(self, column: str, wanted: str) -> str:
        """The text in lower case, as far as text of ASCII can tell."""
        if not wanted.isascii():
            raise Refused(f"compares with {wanted!r}, whose lower case beyond ASCII differs between engines")
        return f"translate(replace({column}, '\u0130', 'i\u0307'), '{ascii_uppercase}\u212a', '{ascii_lowercase}k')"


def _items(condition: Condition) -> list[str]:
    """The texts that isIn looks for."""
    comparand = plain(condition.comparand)
    items = comparand.split("|") if isinstance(comparand, str) else comparand
    return sorted({js_string(plain(item)).lower() for item in items}) if isinstance(items, LISTS) else []


def _number_of(text: str) -> float | None:
    """The number that JavaScript writes so, but for capitals; None where it writes none so."""
    try:
        number = float(text)
    except ValueError:
        return None
    if not isfinite(number):
        raise Refused(f"compares with {text}, which is no finite number")
    return number if js_string(number).lower() == text else None


def _truth(value: bool) -> str:  # it is the value
    return "TRUE" if value else "FALSE"


def _negated(said: str, condition: Condition) -> str:
    return f"NOT ({said})" if condition.negated else f"({said})"


def _any(parts: Iterable[str]) -> str:
    return f"({' OR '.join(parts)})".replace("()", "FALSE")


def _all(parts: Iterable[str]) -> str:
    return f"({' AND '.join(parts)})".replace("()", "TRUE")
