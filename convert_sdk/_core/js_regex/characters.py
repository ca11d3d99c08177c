"""Characters as a JavaScript regex sees them: the named sets, and case by simple upper-casing.

ASCII folds only with ASCII. Pattern and subject are both folded, so the engine compares exactly
and its own folding, which lets U+017F equal `s` and U+212A equal `k`, stays out of the way.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from functools import cache
from typing import Final

Span = tuple[int, int]
"""The first and the last code point of a range."""

LAST: Final = 0x10FFFF
_ASTRAL = 0x10000


def fold(text: str) -> str:
    """The text as patterns are written against it."""
    return text.upper() if text.isascii() else text.translate(_FOLDS)


def fold_code(code: int) -> int:
    """One character's code point, folded."""
    if code >= _ASTRAL:
        return code
    upper = chr(code).upper()
    return ord(upper) if len(upper) == 1 and (code < 0x80 or upper >= "\x80") else code


def fold_range(first: int, last: int) -> list[Span]:
    """Ranges that hold the folded form of every character from `first` to `last`.

    The range itself is among them: a folded subject has nothing else in it that could match.
    """
    if first == last:
        return [(fold_code(first), fold_code(first))]
    cased, images = _images(last < 0x80)
    folded = images[bisect_left(cased, first) : bisect_right(cased, last)]
    return [(first, last), *((code, code) for code in folded if not first <= code <= last)]


def merge_ranges(ranges: Iterable[Span]) -> list[tuple[int, int]]:
    """The same characters in as few ranges as possible, in ascending order."""
    merged: list[Span] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


@cache
def _images(ascii_only: bool) -> tuple[list[int], list[int]]:
    """The characters that upper-casing changes, and what folding makes of each."""
    characters = map(chr, range(0x80 if ascii_only else _ASTRAL))
    cased = [ord(char) for char in characters if char.upper() != char]
    return cased, [fold_code(code) for code in cased]


class _Folds(dict[int, int]):
    """The table of `str.translate`; it remembers the characters it was asked for, one plane at most."""

    def __missing__(self, code: int) -> int:
        folded = fold_code(code)
        if code < _ASTRAL:
            self[code] = folded
        return folded


_FOLDS = _Folds()


def _others(spans: tuple[Span, ...]) -> tuple[Span, ...]:
    firsts = [0, *(last + 1 for _, last in spans)]
    lasts = [*(first - 1 for first, _ in spans), LAST]
    return tuple(span for span in zip(firsts, lasts, strict=True) if span[0] <= span[1])


_DIGITS = ((48, 57),)
_WORD = ((48, 57), (65, 90), (95, 95), (97, 122))
_SPACE = (
    *((9, 13), (32, 32), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029)),
    *((0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF)),
)
SETS: Final[dict[str, tuple[Span, ...]]] = {
    "d": _DIGITS,
    "D": _others(_DIGITS),
    "s": _SPACE,
    "S": _others(_SPACE),
    "w": _WORD,
    "W": _others(_WORD),
}
"""The sets of `\\d` and its like."""
