"""JavaScript's regex syntax, read as a browser reads it without the `u` flag, written for `regex`.

The result is matched against folded text (see `characters`), so no pattern needs a flag.
What differs from a browser: a character is a code point, not half of one, and a group inside a
repetition keeps its last capture where a browser forgets it with each turn.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from .captures import Capture, Lookaround, Reference, can_be_set
from .characters import LAST, SETS, Span, fold_code, fold_range, merge_ranges
from .cost import Cost

MAX_LENGTH: Final = 8192
"""Characters of a pattern."""
MAX_DEPTH: Final = 40
"""Groups within groups."""
MAX_SIZE: Final = 3072
"""The cost of preparing a pattern: a character 1, a repeated piece as often as it is written out."""
MAX_RUN: Final = 64
"""Characters in a row; the engine's preparation of a fixed text takes the cube of its length."""
MAX_RANGES: Final = 24
"""Ranges of one set: the engine goes through them for every character, and looks at its clock rarely."""
SUBJECT_LIMIT: Final = 8192
"""Characters of a text that are looked at; a longer repetition is as good as an endless one."""

_QUANTIFIER = re.compile(r"(?:([*+?])|\{([0-9]+)(,?)([0-9]*)\})(\??)")
_CAPTURE = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]?|\((?:(?!\?)|\?<(?![=!])([^>]*))", re.DOTALL)
_GROUP = re.compile(r"\((?:\?(?:(:)|(<?)([=!])|<([^>]*)>)|(?!\?))")
_NUMBER = re.compile("[1-9][0-9]*")
_ESCAPE = re.compile(
    r"x([0-9a-fA-F]{2})|u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|u([0-9a-fA-F]{4})"
    r"|([0-3][0-7]{0,2}|[4-7][0-7]?)|c([A-Za-z])"
)
_DOT = r"[^\n\r\u2028\u2029]"
_CONTROLS = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13}
_SET_SIZE = 4
_GROUP_SIZE = 4
_REFERENCE_SIZE = 12
_HYPHEN = (45, 45)


class UnusablePattern(ValueError):  # noqa: N818  # it names the pattern, as its heirs do
    """A pattern that cannot be matched against; the message says why."""


class InvalidPattern(UnusablePattern):
    """JavaScript refuses the pattern."""


class DangerousPattern(UnusablePattern):
    """The pattern is legal, and too costly for a request."""


class Translated(NamedTuple):
    """A pattern in the syntax of the `regex` package (V0, ASCII), and how long a subject needs no clock."""

    text: str
    untimed_length: int


def translate(source: str) -> Translated:
    """The pattern in the engine's syntax.

    Raises InvalidPattern or DangerousPattern.
    """
    if len(source) > MAX_LENGTH:
        raise DangerousPattern(f"pattern has {len(source)} characters, the limit is {MAX_LENGTH}")
    return _Translation(source).result()


class _Translation:
    """One pass over a pattern. `pieces` is what has been written, `at` where we read."""

    __slots__ = (
        *("at", "captures", "count", "depth", "cost", "names", "openings"),
        *("path", "pieces", "references", "run", "source"),
    )

    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0
        self.depth = 0
        self.cost = Cost(anchored=source.startswith("^") and "|" not in source)
        self.run = 0
        self.pieces: list[str] = []
        self.path: tuple[Lookaround, ...] = ()
        self.openings: dict[int, int] = {}
        self.captures: dict[int, Capture] = {}
        self.references: list[Reference] = []
        found = [match[1] for match in _CAPTURE.finditer(source) if match[0][0] == "("]
        self.count = len(found)
        self.names = {name: number for number, name in enumerate(found, 1) if name is not None}
        if len(self.names) < sum(name is not None for name in found):
            raise InvalidPattern("two groups of one name")

    def result(self) -> Translated:
        size = self._bounded(self._alternatives())
        if self.at < len(self.source):
            raise self._invalid("unmatched )")
        wanted = {reference.group for reference in self.references if self._write(reference)}
        for group, piece in self.openings.items():
            self.pieces[piece] = f"(?P<g{group}>" if group in wanted else "(?:"
        return Translated("".join(self.pieces), self.cost.untimed_length(size))

    def _next(self) -> str:
        """The character to be read, empty at the end."""
        return self.source[self.at : self.at + 1]

    def _alternatives(self) -> int:
        """Terms up to the end of the group: how many pieces they are."""
        size = 1
        while (char := self._next()) not in ("", ")"):
            if char == "|":
                self.at += 1
                self.pieces.append("|")
                self.cost.alternative()
            else:
                size += self._term(char)
        return size

    def _term(self, char: str) -> int:
        size, repeatable, choices = 1, True, self.cost.choices
        if char == "(":
            size, repeatable = self._group()
        elif char == "\\":
            size, repeatable = self._escape()
        elif char == "[":
            size = self._set()
        elif char in "^$":
            self.at += 1
            self.pieces.append(r"\A" if char == "^" else r"\Z")
            repeatable = False
        elif _QUANTIFIER.match(self.source, self.at):
            raise self._invalid("nothing to repeat")
        elif char == ".":
            self.at += 1
            size = 2 * _SET_SIZE
            self.pieces.append(_DOT)
        else:
            self.at += 1
            self._literal(ord(char))
        return self._repeated(size, of_choices=self.cost.choices > choices) if repeatable else size

    def _repeated(self, size: int, *, of_choices: bool) -> int:
        """The quantifier after a piece, if there is one."""
        found = _QUANTIFIER.match(self.source, self.at)
        if found is None:
            return size
        sign, least, comma, most, lazy = found.groups()
        if sign:
            low, high = (1 if sign == "+" else 0), (1 if sign == "?" else None)
        else:
            low = int(least)
            high = int(most) if most else None if comma else low
        if high is not None and high < low:
            raise self._invalid("numbers out of order in {}")
        self.at = found.end()
        self.cost.repetition(low, high, of_choices=of_choices)
        bound = "" if high is None or high > SUBJECT_LIMIT else high
        self.pieces.append(f"{sign or f'{{{low},{bound}}}'}{lazy}")
        return self._bounded(size * max(1, low + (low != high)) + 1)

    def _group(self) -> tuple[int, bool]:
        """A group of any kind: its size, and whether a quantifier may follow."""
        start, path = self.at, self.path
        found = _GROUP.match(self.source, start)
        if found is None:
            raise self._invalid("unknown kind of group")
        plain, behind, around, name = found.groups()
        self.at = found.end()
        number = 0 if plain or around else self._open(name)
        if around:
            self.cost.unbounded = True
            self.path = (*path, Lookaround(start, bool(behind), around == "!"))
        self.pieces.append(f"(?:(?{behind}{around}" if around else "(?:")
        size = self._nested()
        self.pieces.append("))" if around else ")")
        self.path = path
        if number:
            self.captures[number] = Capture(start, self.at, path)
        return size, not behind

    def _nested(self) -> int:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise DangerousPattern(f"pattern has groups nested deeper than {MAX_DEPTH}")
        size = self._alternatives()
        if not self._next():
            raise self._invalid("missing )")
        self.at += 1
        self.depth -= 1
        return size + _GROUP_SIZE

    def _open(self, name: str | None) -> int:
        """Note where a capturing group begins: its number."""
        if name is not None and not name.replace("$", "_").isidentifier():
            raise self._invalid("bad group name")
        number = len(self.openings) + 1
        self.openings[number] = len(self.pieces)
        return number

    def _escape(self) -> tuple[int, bool]:
        """An escape outside a set: its size, and whether a quantifier may follow."""
        self.at += 1
        char = self._next()
        if char and char in "bB":
            self.at += 1
            self.pieces.append(f"\\{char}")
            return 1, False
        if char in SETS:
            self.at += 1
            self.pieces.append(_brackets(SETS[char]))
            return _SET_SIZE + len(SETS[char]), True
        if group := self._referred(char):
            self.references.append(Reference(len(self.pieces), group, self.at, self.path))
            self.pieces.append("")
            self.cost.unbounded = True
            return _REFERENCE_SIZE, True
        self._literal(self._code(char))
        return 1, True

    def _literal(self, code: int) -> None:
        """One character; now and then as a set, with a letter that no folded text has."""
        self.run += 1
        char = chr(fold_code(code))
        text = char if char.isascii() and char.isalnum() else _escaped(ord(char))
        self.pieces.append(text if self.run % MAX_RUN else f"[{text}a]")

    def _referred(self, char: str) -> int:
        """The number of the group an escape refers to, 0 where it is none."""
        if char == "k" and self.names:
            name, closed, _ = self.source[self.at + 1 :].partition(">")
            if name[:1] != "<" or not closed or name[1:] not in self.names:
                raise self._invalid("\\k without the name of a group")
            self.at += len(name) + 2
            return self.names[name[1:]]
        digits = _NUMBER.match(self.source, self.at)
        if digits is None or int(digits[0]) > self.count:
            return 0
        self.at = digits.end()
        return int(digits[0])

    def _code(self, char: str) -> int:
        """The character an escape stands for; `char` is what follows the backslash."""
        found = _ESCAPE.match(self.source, self.at)
        if found is None:
            if not char or (char == "k" and self.names):
                raise self._invalid("bad escape")
            if char == "c":  # no control letter follows: the backslash is itself, the c is read next
                return ord("\\")
            self.at += 1
            return _CONTROLS.get(char, ord(char))
        self.at = found.end()
        short, high, low, unit, octal, letter = found.groups()
        if high:
            return 0x10000 + (int(high, 16) - 0xD800) * 0x400 + int(low, 16) - 0xDC00
        if letter:
            return ord(letter) % 32
        return int(octal, 8) if octal else int(short or unit, 16)

    def _set(self) -> int:
        negation = "^" if self.source.startswith("^", self.at + 1) else ""
        self.at += 1 + len(negation)
        spans: list[Span] = []
        while first := self._member():
            if self._next() == "-" and not self.source.startswith("-]", self.at):
                self.at += 1
                spans += self._range(first, self._member())
            else:
                spans += _folded(first)
        merged = merge_ranges(spans)
        if len(merged) > MAX_RANGES:
            raise DangerousPattern(f"a set has over {MAX_RANGES} ranges")
        self.pieces.append(_brackets(merged or [(0, LAST)], negation if merged else "" if negation else "^"))
        return _SET_SIZE + len(merged)

    def _range(self, first: tuple[Span, ...], last: tuple[Span, ...]) -> list[Span]:
        if not (_is_character(first) and _is_character(last)):
            return [*_folded(first), _HYPHEN, *_folded(last)]
        low, high = first[0][0], last[0][0]
        if high < low:
            raise self._invalid("range out of order")
        return fold_range(low, high)

    def _member(self) -> tuple[Span, ...]:
        """One member of a set, a character or another set; empty at the closing bracket."""
        char = self._next()
        self.at += 1
        if not char:
            raise self._invalid("missing ]")
        if char == "]":
            return ()
        if char != "\\":
            return ((ord(char), ord(char)),)
        char = self._next()
        if char in SETS:
            self.at += 1
            return SETS[char]
        code = self._set_code(char)
        return ((code, code),)

    def _set_code(self, char: str) -> int:
        """The character of an escape in a set, where `\\b` is a backspace and `\\c1` is a control character."""
        if char == "b":
            self.at += 1
            return 8
        if char == "c" and re.match("[0-9_]", self.source[self.at + 1 : self.at + 2]):
            self.at += 2
            return ord(self.source[self.at - 1]) % 32
        return self._code(char)

    def _write(self, reference: Reference) -> bool:
        """Write a reference to a group: false where it can only ever be empty."""
        if not can_be_set(self.captures[reference.group], reference):
            self.pieces[reference.piece] = "(?:)"
            return False
        self.pieces[reference.piece] = f"(?:(?(g{reference.group})(?P=g{reference.group})|))"
        return True

    def _bounded(self, size: int) -> int:
        if size > MAX_SIZE:
            raise DangerousPattern(f"pattern repeats too much: written out it has over {MAX_SIZE} pieces")
        return size

    def _invalid(self, what: str) -> InvalidPattern:
        return InvalidPattern(f"{what} at character {self.at}")


def _is_character(member: tuple[Span, ...]) -> bool:
    return len(member) == 1 and member[0][0] == member[0][1]


def _folded(member: tuple[Span, ...]) -> list[Span]:
    return fold_range(*member[0]) if _is_character(member) else [*member]


def _brackets(spans: Sequence[Span], negation: str = "") -> str:
    return f"[{negation}{''.join(f'{_escaped(first)}-{_escaped(last)}' for first, last in spans)}]"


def _escaped(code: int) -> str:
    return f"\\U{code:08x}"
