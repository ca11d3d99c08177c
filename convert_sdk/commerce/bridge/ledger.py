"""What the bridge remembers, and where: the protocol, and a ledger in memory."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, fields, replace
from threading import RLock
from typing import NamedTuple, Protocol

from convert_sdk.commerce.bridge.effects import Effect, Fate, Policy
from convert_sdk.commerce.bridge.orders import Clue


class Link(NamedTuple):
    """A visitor known by a clue since `at`, until `expires` (epoch seconds)."""

    clue: Clue
    visitor_id: str
    at: float
    expires: float
    tracking: bool = True

    def __repr__(self) -> str:
        return f"Link({self.clue!r}, at={self.at!r})"


class Shown(NamedTuple):
    """A variation that a visitor was shown, and when (epoch seconds)."""

    visitor_id: str
    experience_id: str
    variation_id: str
    at: float

    def __repr__(self) -> str:
        return f"Shown({self.experience_id!r}, {self.variation_id!r}, at={self.at!r})"


class Version(NamedTuple):
    """What was last told of a record: its content's hash, as of which millisecond, and whether it arrived."""

    digest: str
    at: int
    sent: bool


class Entries(Protocol):
    """A ledger's contents within one transaction."""

    def effect(self, key: str) -> Effect | None:
        """The effect of this key."""
        ...

    def keep(self, effect: Effect) -> None:
        """Store an effect over the one of its key."""
        ...

    def due(self, now: float, limit: int) -> list[Effect]:
        """Effects that need looking at, the longest waiting first."""
        ...

    def wake(self, clue: Clue, now: float) -> None:
        """Make effects due that wait for a visitor and have this clue."""
        ...

    def awaiting(self, event: str) -> Effect | None:
        """The claimed effect whose last event this is."""
        ...

    def renew(self, owner: str, until: float) -> None:
        """Prolong an owner's claims."""
        ...

    def tally(self) -> Mapping[tuple[str, str], int]:
        """How many effects there are by state and reason."""
        ...

    def waiting(self, reason: str, limit: int) -> list[Effect]:
        """Effects that wait for, or were dropped for, this reason; the oldest first."""
        ...

    def resent(self) -> int:
        """How often a claim had to be sent again."""
        ...

    def note_fate(self, event: str, fate: Fate, now: float) -> None:
        """Keep news of an event that nobody awaits yet."""
        ...

    def take_fate(self, event: str) -> Fate | None:
        """The news of an event, once."""
        ...

    def add_link(self, link: Link) -> None:
        """Keep a link."""
        ...

    def links(self, clue: Clue) -> list[Link]:
        """The links of a clue."""
        ...

    def show(self, shown: Shown) -> None:
        """Keep an exposure."""
        ...

    def shown(self, visitor_id: str, since: float, until: float) -> list[Shown]:
        """A visitor's exposures between two times, both included, in their order."""
        ...

    def cursor(self, name: str) -> str | None:
        """Where a stream stands."""
        ...

    def move_cursor(self, name: str, to: str) -> None:
        """Note where a stream stands."""
        ...

    def version(self, key: str) -> Version | None:
        """What was last told of a record."""
        ...

    def keep_version(self, key: str, version: Version) -> None:
        """Note what is being told of a record."""
        ...

    def effects_of(self, transaction_id: str) -> list[Effect]:
        """The effects of one order by their keys, refunds left out."""
        ...

    def forget(self, visitor_id: str) -> None:
        """Delete a visitor's links and exposures, and blank them in effects; what is unsent is dropped."""
        ...

    def unlink(self, clue: Clue) -> None:
        """Delete the links of a clue."""
        ...

    def purge(self, *, links: float, exposures: float, fates: float) -> None:
        """Delete links that expired by then, and older exposures and news."""
        ...


class LedgerStore(Protocol):
    """Where a bridge keeps its books, by which policy and clock (epoch seconds).

    `transaction` is all or nothing, and alone; it may raise StoreError.
    """

    policy: Policy
    clock: Callable[[], float]

    def transaction(self) -> AbstractContextManager[Entries]:
        """Open the books."""
        ...


@dataclass(slots=True)
class _Books:
    """Tables in memory; every value is immutable, so copying the tables is enough to undo."""

    effects: dict[str, Effect] = field(default_factory=dict)
    links_of: dict[Clue, tuple[Link, ...]] = field(default_factory=dict)
    exposures: dict[tuple[str, str, float], Shown] = field(default_factory=dict)
    fates: dict[str, tuple[Fate, float]] = field(default_factory=dict)
    cursors: dict[str, str] = field(default_factory=dict)
    versions: dict[str, Version] = field(default_factory=dict)

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

    def forget(self, visitor_id: str) -> None:
        for clue, links in [*self.links_of.items()]:
            self.links_of[clue] = tuple(each for each in links if each.visitor_id != visitor_id)
        for place, shown in [*self.exposures.items()]:
            if shown.visitor_id == visitor_id:
                del self.exposures[place]
        for effect in [*self.effects.values()]:
            if effect.visitor_id == visitor_id:
                self.keep(forgotten(effect))

    def unlink(self, clue: Clue) -> None:
        self.links_of.pop(clue, None)

    def purge(self, *, links: float, exposures: float, fates: float) -> None:
        for clue, found in [*self.links_of.items()]:
            self.links_of[clue] = tuple(each for each in found if each.expires > links)
        self.exposures = {place: each for place, each in self.exposures.items() if each.at >= exposures}
        self.fates = {event: each for event, each in self.fates.items() if each[1] >= fates}


def forgotten(effect: Effect) -> Effect:
    """An effect that names nobody any more; one that was not sent never will be."""
    blank = replace(effect, visitor_id=None, attributed={}, order=effect.order.anonymous())
    if effect.is_over:
        return blank
    return replace(blank, state="dropped", reason="forgotten", due=None, owner=None, event=None)


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
