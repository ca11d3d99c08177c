"""One text that a regular expression of JavaScript's dialect finds itself in."""

from __future__ import annotations

import re
from functools import lru_cache

from convert_sdk._core.js_regex.pattern import compile_pattern
from convert_sdk._core.js_regex.translate import UnusablePattern

_QUANTIFIER = re.compile(r"(?:[*+?]|\{(\d+)(?:,(\d*))?\})\??")
_GROUP = re.compile(r"\((?:\?(?::|<(?![=!])[^>]*>))?")
_LOOKAROUND = re.compile(r"\(\?(<?[=!])")
_HEX = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4}))")
_CLASSES = {"d": "1", "D": "a", "w": "a", "W": "-", "s": " ", "S": "a", "b": "", "B": ""}
_CONTROLS = {"t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r", "0": "\0"}
_PROBES = "a1-_ /.:@A0zZ%!~é"
"""Characters that a negated set is tried with."""
_MOST = 4
"""Alternatives of a group that are tried."""


@lru_cache(maxsize=256)
def regex_example(source: str) -> str | None:
    """A text that the pattern matches; None where none is found, which does not mean that there is none.

    >>> regex_example("^/(tents|boots)/[a-z0-9-]+$")
    '/tents/a'
    """
    try:
        pattern = compile_pattern(source)
    except UnusablePattern:
        return None
    for choice in range(_MOST):
        for repeat in (0, 1):
            try:
                text = _Example(source, choice, repeat).text()
            except (ValueError, IndexError, RecursionError):
                continue
            if pattern.search(text):
                return text
    return None


class _Example:
    """One reading of a pattern that writes the shortest text as it goes.

    `choice` is the alternative that is taken, where there are so many; `repeat` is added to the least number of
    times. What it writes is tried, so that it may be wrong about look-arounds and references.
    """

    def __init__(self, source: str, choice: int, repeat: int) -> None:
        self.source = source
        self.choice = choice
        self.repeat = repeat
        self.at = 0
        self.groups: list[str] = []

    def text(self) -> str:
        return self._alternatives()

    def _alternatives(self) -> str:
        found = [self._sequence()]
        while self._next() == "|":
            self.at += 1
            found.append(self._sequence())
        return found[min(self.choice, len(found) - 1)]

    def _sequence(self) -> str:
        written = ""
        while self._next() not in ("", "|", ")"):
            piece = self._piece()
            quantifier = _QUANTIFIER.match(self.source, self.at)
            if quantifier is not None:
                self.at = quantifier.end()
                piece *= self._times(quantifier)
            written += piece
        return written

    def _times(self, quantifier: re.Match[str]) -> int:
        least = quantifier[1]
        if least is None:
            return {"*": 0, "?": 0, "+": 1}[quantifier[0][0]] or self.repeat
        most = quantifier[2]
        if most is None:
            return int(least)
        return int(least) if most and int(most) == int(least) else max(int(least), self.repeat)

    def _piece(self) -> str:
        lookaround = _LOOKAROUND.match(self.source, self.at)
        if lookaround is not None:
            self.at = lookaround.end()
            inner = self._alternatives()
            self._close()
            return inner if lookaround[1] == "=" and self._next() == "" else ""
        group = _GROUP.match(self.source, self.at)
        if group is not None:
            self.at = group.end()
            inner = self._alternatives()
            self._close()
            if not group[0].endswith("?:"):
                self.groups.append(inner)
            return inner
        return self._character()

    def _close(self) -> None:
        if self._next() != ")":
            raise ValueError
        self.at += 1

    def _character(self) -> str:
        sign = self._next()
        if sign == "\\":
            return self._escape(in_set=False)
        if sign == "[":
            return self._set()
        self.at += 1
        return {".": "a", "^": "", "$": ""}.get(sign, sign)

    def _escape(self, *, in_set: bool) -> str:
        coded = _HEX.match(self.source, self.at)
        if coded is not None:
            self.at = coded.end()
            return chr(int(coded[1] or coded[2], 16))
        name = self.source[self.at + 1]
        self.at += 2
        if name.isdigit() and name != "0" and not in_set:
            place = int(name) - 1
            return self.groups[place] if place < len(self.groups) else ""
        return _CLASSES.get(name, _CONTROLS.get(name, name))

    def _set(self) -> str:
        start = self.at
        self.at += 1
        negated = self._next() == "^"
        self.at += negated
        members: list[str] = []
        while self._next() != "]":
            if self.at >= len(self.source):
                raise ValueError
            if self._next() == "\\":
                members.append(self._escape(in_set=True))
            else:
                members.append(self._next())
                self.at += 1
        self.at += 1
        if not negated:
            return members[0]
        inside = compile_pattern(f"^{self.source[start : self.at]}$")
        return next(probe for probe in _PROBES if inside.search(probe))

    def _next(self) -> str:
        return self.source[self.at : self.at + 1]
