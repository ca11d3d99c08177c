"""Places in a JSON text: line and column of every value, by its JSON path."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from convert_sdk._config.json import json_path

_BOM = b"\xef\xbb\xbf"
_TOKEN = re.compile(r'[ \t\n\r]*(?:([{}\[\],:])|("(?:[^"\\]|\\.)*+")|([^\s{}\[\],:"]+))', re.DOTALL)
_LAST_STEP = re.compile(r'(?:\.\w+|\[\d+\]|\["(?:[^"\\]|\\.)*"\])\Z')


class Place(NamedTuple):
    """A place in a text: both count from 1, columns in characters."""

    line: int
    column: int


class RepeatedKey(NamedTuple):
    """A key that an object has twice; the last one counts."""

    path: str
    key: str
    place: Place


class Positions:
    """The places of all values of one JSON text, which must be well formed.

    >>> positions = Positions(b'{"goals": [\\n  {"id": "7"}\\n]}')
    >>> positions.of("$.goals[0].id")
    Place(line=2, column=10)

    What is missing stands where it is missed: in the nearest value around it.

    >>> positions.of("$.goals[0].key")
    Place(line=2, column=3)
    """

    def __init__(self, source: bytes) -> None:
        text = source.removeprefix(_BOM).decode("utf-8", "replace")
        self._lines = [0, *(found.end() for found in re.finditer("\n", text))]
        scanned = _Scan(text)
        self._offsets: Mapping[str, int] = scanned.offsets
        self.repeated = tuple(
            RepeatedKey(path, key, self.at(offset)) for path, key, offset in scanned.repeated
        )
        """The keys that an object has twice, in the order of the text."""

    def at(self, offset: int) -> Place:
        """The place of a character."""
        line = bisect_right(self._lines, offset)
        return Place(line, offset - self._lines[line - 1] + 1)

    def of(self, path: str) -> Place:
        """The place of a value."""
        while path not in self._offsets and path != "$":
            shorter = _LAST_STEP.sub("", path)
            path = shorter if shorter != path else "$"
        return self.at(self._offsets.get(path, 0))

    def paths(self) -> Iterator[str]:
        """The paths of all values."""
        return iter(self._offsets)


class _Level:
    """An object or a list that is being read."""

    __slots__ = ("index", "is_list", "key", "keys", "path", "wants_key")

    def __init__(self, path: str, *, is_list: bool) -> None:
        self.path = path
        self.is_list = is_list
        self.index = 0
        self.key = ""
        self.keys: set[str] = set()
        self.wants_key = not is_list

    def child(self) -> str:
        step: object = self.index if self.is_list else self.key
        return self.path + json_path([step])[1:]


class _Scan:
    """One pass over a text."""

    def __init__(self, text: str) -> None:
        self.offsets: dict[str, int] = {}
        self.repeated: list[tuple[str, str, int]] = []
        self._levels: list[_Level] = []
        for token in _TOKEN.finditer(text):
            sign = token[1]
            if sign in ("{", "["):
                path = self._value(token.start(1))
                self._levels.append(_Level(path, is_list=sign == "["))
            elif sign in ("}", "]"):
                self._levels.pop()
            elif sign == ",":
                self._next()
            elif sign is None:
                self._scalar(token)

    def _scalar(self, token: re.Match[str]) -> None:
        level = self._levels[-1] if self._levels else None
        if token[2] is None:
            self._value(token.start(3))
        elif level is not None and level.wants_key:
            self._key(level, token[2], token.start(2))
        else:
            self._value(token.start(2))

    def _value(self, offset: int) -> str:
        path = self._levels[-1].child() if self._levels else "$"
        self.offsets[path] = offset
        return path

    def _key(self, level: _Level, written: str, offset: int) -> None:
        key: str = json.loads(written, strict=False)
        level.key, level.wants_key = key, False
        if key in level.keys:
            self.repeated.append((level.child(), key, offset))
        level.keys.add(key)

    def _next(self) -> None:
        level = self._levels[-1]
        level.index += 1
        level.wants_key = not level.is_list
