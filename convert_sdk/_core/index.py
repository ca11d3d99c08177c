"""Entities by key, by id and by place, each compiled when it is first wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Generic, NamedTuple, TypeVar

Named = TypeVar("Named")


class Entry(NamedTuple):
    """An entity as the document has it, not yet compiled."""

    id: str
    key: str
    path: str
    raw: Mapping[str, object]


_COMPILED: Mapping[str, object] = MappingProxyType({})


class Index(Generic[Named]):
    """Entities in the order of the document, each compiled when it is first wanted; the first of a name wins."""

    __slots__ = ("_entries", "_ids", "_keys", "_listed", "_made", "_make", "distinct", "found")

    def __init__(self, entries: Iterable[Entry], make: Callable[[Entry], Named]) -> None:
        self._entries = list(entries)
        self._make: Callable[[Entry], Named] = make
        self._made: dict[int, Named] = {}
        self._listed: tuple[Named, ...] | None = None
        self._keys: dict[str, int] = {}
        self._ids: dict[str, list[int]] = {}
        self.found: dict[str, Named] = {}
        """By key, what `get` has found: look here first where it must be fast."""
        for place, entry in enumerate(self._entries):
            self._keys.setdefault(entry.key, place)
            self._ids.setdefault(entry.id, []).append(place)
        self.distinct = len(self._keys) == len(self._ids) == len(self._entries)
        """True if no two entities share a name."""

    def __iter__(self) -> Iterator[Named]:
        if self._listed is None:
            self._listed = tuple(map(self._at, range(len(self._entries))))
        return iter(self._listed)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> Named | None:
        """The entity of this key, or None."""
        known = self.found.get(key)
        if known is None and key in self._keys:
            known = self.found[key] = self._at(self._keys[key])
        return known

    def of_id(self, id: str) -> Named | None:
        """The entity of this id, or None."""
        places = self._ids.get(id)
        return None if places is None else self._at(places[0])

    def named(self, ids: Iterable[str]) -> tuple[Named, ...]:
        """Every entity of these ids, in the order of the document."""
        places = {place for each in ids for place in self._ids.get(each, ())}
        return tuple(self._at(place) for place in sorted(places))

    def ids(self) -> Mapping[str, list[int]]:
        """Every id, with the places that have it."""
        return self._ids

    def _at(self, place: int) -> Named:
        made = self._made.get(place)
        if made is None:
            entry = self._entries[place]
            made = self._made.setdefault(place, self._make(entry))  # of two threads the first one's counts
            self._entries[place] = entry._replace(raw=_COMPILED)
        return made
