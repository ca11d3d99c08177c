"""A ledger in memory."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from secrets import token_bytes
from threading import RLock

from convert_sdk.commerce.bridge.effects import Effect, Fate, Policy
from convert_sdk.commerce.bridge.ledger import Entries, Link, Shown, Version, forgotten, mark_of
from convert_sdk.commerce.bridge.orders import Clue

_SALT = token_bytes(32)


@dataclass(slots=True)
class _Books:
    """Tables in memory; every value is immutable, so copying the tables is enough to undo."""

    effects: dict[str, Effect] = field(default_factory=dict)
    links_of: dict[Clue, tuple[Link, ...]] = field(default_factory=dict)
    exposures: dict[tuple[str, str, float], Shown] = field(default_factory=dict)
    fates: dict[str, tuple[Fate, float]] = field(default_factory=dict)
    cursors: dict[str, str] = field(default_factory=dict)
    versions: dict[str, Version] = field(default_factory=dict)
    forgotten: dict[str, bool] = field(default_factory=dict)

    def copy(self) -> _Books:
        return _Books(*(dict(getattr(self, each.name)) for each in fields(self)))

    def effect(self, key: str) -> Effect | None:
        return self.effects.get(key)

    def keep(self, effect: Effect) -> None:
        self.effects[effect.key] = effect

    def due(self, now: float, limit: int) -> list[Effect]:
        found = [(each.due, each.key, each) for each in self.effects.values() if each.due is not None]
        return [each for due, _, each in sorted(found, key=lambda row: row[:2]) if due <= now][:limit]

    def wake(self, clue: Clue, now: float) -> None:
        for each in [*self.effects.values()]:
            if each.reason == "unresolved" and each.state == "waiting" and clue in each.order.clues:
                self.keep(replace(each, due=now))

    def awaiting(self, event: str) -> Effect | None:
        return next((each for each in self.effects.values() if each.event == event), None)

    def renew(self, owner: str, until: float) -> None:
        for each in [*self.effects.values()]:
            if each.owner == owner and each.state == "claimed":
                self.keep(replace(each, due=until))

    def tally(self) -> Mapping[tuple[str, str], int]:
        return Counter((each.state, each.reason) for each in self.effects.values())

    def waiting(self, reason: str, limit: int) -> list[Effect]:
        found = [each for each in self.effects.values() if each.reason == reason]
        return sorted(found, key=lambda each: (each.first_seen, each.key))[:limit]

    def resent(self) -> int:
        return sum(each.resent for each in self.effects.values())

    def note_fate(self, event: str, fate: Fate, now: float) -> None:
        self.fates[event] = fate, now

    def take_fate(self, event: str) -> Fate | None:
        found = self.fates.pop(event, None)
        return None if found is None else found[0]

    def add_link(self, link: Link) -> None:
        others = [each for each in self.links_of.get(link.clue, ()) if each[1:3] != link[1:3]]
        self.links_of[link.clue] = (*others, link)

    def links(self, clue: Clue) -> list[Link]:
        return [*self.links_of.get(clue, ())]

    def links_to(self, visitor_id: str) -> list[Link]:
        return [each for links in self.links_of.values() for each in links if each.visitor_id == visitor_id]

    def show(self, shown: Shown) -> None:
        self.exposures[shown.visitor_id, shown.experience_id, shown.at] = shown

    def shown(self, visitor_id: str, since: float, until: float) -> list[Shown]:
        found = [each for each in self.exposures.values() if each.visitor_id == visitor_id]
        return sorted((each for each in found if since <= each.at <= until), key=lambda each: (each.at, each))

    def cursor(self, name: str) -> str | None:
        return self.cursors.get(name)

    def move_cursor(self, name: str, to: str) -> None:
        self.cursors[name] = to

    def version(self, key: str) -> Version | None:
        return self.versions.get(key)

    def keep_version(self, key: str, version: Version) -> None:
        self.versions[key] = version

    def effects_of(self, transaction_id: str) -> list[Effect]:
        found = [each for each in self.effects.values() if each.order.transaction_id == transaction_id]
        return sorted((each for each in found if each.refund_of is None), key=lambda each: each.key)

    def unsent_of(self, visitor_id: str) -> list[Effect]:  # noqa: ARG002 - any of them may be
        return [each for each in self.effects.values() if not each.is_over]

    def unsent_with(self, clue: Clue) -> list[Effect]:
        return [each for each in self.effects.values() if not each.is_over and clue in each.order.clues]

    def forget(self, visitor_id: str) -> None:
        self.forgotten[mark_of(_SALT, visitor_id)] = True
        for clue, links in [*self.links_of.items()]:
            self.links_of[clue] = tuple(each for each in links if each.visitor_id != visitor_id)
        for place, shown in [*self.exposures.items()]:
            if shown.visitor_id == visitor_id:
                del self.exposures[place]
        for effect in [*self.effects.values()]:
            if effect.visitor_id == visitor_id:
                self.keep(forgotten(effect))

    def is_forgotten(self, visitor_id: str) -> bool:
        return bool(self.forgotten) and mark_of(_SALT, visitor_id) in self.forgotten

    def unlink(self, clue: Clue) -> None:
        self.links_of.pop(clue, None)

    def purge(self, *, links: float, exposures: float, fates: float) -> None:
        for clue, found in [*self.links_of.items()]:
            self.links_of[clue] = tuple(each for each in found if each.expires > links)
        self.exposures = {place: each for place, each in self.exposures.items() if each.at >= exposures}
        self.fates = {event: each for event, each in self.fates.items() if each[1] >= fates}


class MemoryLedger:
    """A ledger that ends with the process: for tests, and where losing orders at a restart is acceptable.

    >>> with MemoryLedger().transaction() as entries:
    ...     entries.tally()
    Counter()
    """

    def __init__(self, *, policy: Policy | None = None, clock: Callable[[], float] = time.time) -> None:
        self.policy = policy or Policy()
        self.clock = clock
        self._lock = RLock()
        self._books = _Books()

    @contextmanager
    def transaction(self) -> Iterator[Entries]:
        """The books, for this thread alone; an exception undoes what was written."""
        with self._lock:
            before = self._books.copy()
            try:
                yield self._books
            except BaseException:
                self._books = before
                raise
