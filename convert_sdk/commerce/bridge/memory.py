"""A ledger in memory."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from secrets import token_bytes
from threading import RLock
from typing import NamedTuple

from convert_sdk.commerce.bridge.conversions import REPORTED, OrderConversion, Policy
from convert_sdk.commerce.bridge.ledger import (
    ExposureRecord,
    LedgerTransaction,
    Link,
    StateAndReason,
    Version,
    forgotten,
    mark_of,
)
from convert_sdk.commerce.bridge.orders import IdentityKey
from convert_sdk.status import EventOutcome

_SALT = token_bytes(32)


class _Unreadable(NamedTuple):
    """The places of what cannot be read in an order, and the time at which it was first met."""

    places: str
    first: float


@dataclass(slots=True)
class _Tables:
    """Tables in memory; every value is immutable, so copying the tables is enough to undo."""

    conversions: dict[str, OrderConversion] = field(default_factory=dict)
    links_of: dict[IdentityKey, tuple[Link, ...]] = field(default_factory=dict)
    exposure_records: dict[tuple[str, str, float], ExposureRecord] = field(default_factory=dict)
    outcomes: dict[str, tuple[EventOutcome, float]] = field(default_factory=dict)
    cursors: dict[str, str] = field(default_factory=dict)
    versions: dict[str, Version] = field(default_factory=dict)
    sources_of: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unreadable_orders: dict[str, _Unreadable] = field(default_factory=dict)
    forgotten: dict[str, bool] = field(default_factory=dict)

    def copy(self) -> _Tables:
        return _Tables(*(dict(getattr(self, each.name)) for each in fields(self)))

    def conversion(self, key: str) -> OrderConversion | None:
        return self.conversions.get(key)

    def keep(self, conversion: OrderConversion) -> None:
        self.conversions[conversion.key] = conversion

    def due(self, now: float, limit: int) -> list[OrderConversion]:
        found = [(each.due, each.key, each) for each in self.conversions.values() if each.due is not None]
        return [each for due, _, each in sorted(found, key=lambda row: row[:2]) if due <= now][:limit]

    def make_due(self, identity_key: IdentityKey, now: float) -> None:
        for each in [*self.conversions.values()]:
            if (
                each.reason == "unresolved"
                and each.state == "waiting"
                and identity_key in each.order.identity_keys
            ):
                self.keep(replace(each, due=now))

    def awaiting(self, event: str) -> OrderConversion | None:
        return next((each for each in self.conversions.values() if each.event == event), None)

    def renew(self, owner: str, until: float) -> None:
        for each in [*self.conversions.values()]:
            if each.owner == owner and each.state == "claimed" and each.event is not None:
                self.keep(replace(each, due=until))

    def tally(self) -> Mapping[StateAndReason, int]:
        return Counter(StateAndReason(each.state, each.reason) for each in self.conversions.values())

    def waiting(self, reason: str, limit: int) -> list[OrderConversion]:
        found = [each for each in self.conversions.values() if each.reason == reason]
        return sorted(found, key=lambda each: (each.first_seen, each.key))[:limit]

    def still_waiting(self, reason: str, limit: int) -> list[OrderConversion]:
        found = [
            each for each in self.conversions.values() if each.reason == reason and each.state == "waiting"
        ]
        return sorted(found, key=lambda each: (each.due or 0.0, each.key))[:limit]

    def resent(self) -> int:
        return sum(each.resent for each in self.conversions.values())

    def note_outcome(self, event: str, outcome: EventOutcome, now: float) -> None:
        self.outcomes[event] = outcome, now

    def take_outcome(self, event: str) -> EventOutcome | None:
        found = self.outcomes.pop(event, None)
        return None if found is None else found[0]

    def add_link(self, link: Link) -> None:
        others = [each for each in self.links_of.get(link.identity_key, ()) if each[1:3] != link[1:3]]
        self.links_of[link.identity_key] = (*others, link)

    def links(self, identity_key: IdentityKey) -> list[Link]:
        return [*self.links_of.get(identity_key, ())]

    def links_to(self, visitor_id: str) -> list[Link]:
        return [each for links in self.links_of.values() for each in links if each.visitor_id == visitor_id]

    def add_exposure(self, record: ExposureRecord) -> None:
        self.exposure_records[record.visitor_id, record.experience_id, record.at] = record

    def exposures(self, visitor_id: str, since: float, until: float) -> list[ExposureRecord]:
        found = [each for each in self.exposure_records.values() if each.visitor_id == visitor_id]
        return sorted((each for each in found if since <= each.at <= until), key=lambda each: (each.at, each))

    def cursor(self, name: str) -> str | None:
        return self.cursors.get(name)

    def move_cursor(self, name: str, to: str) -> None:
        self.cursors[name] = to

    def version(self, key: str) -> Version | None:
        return self.versions.get(key)

    def keep_version(self, key: str, version: Version, source: str = "") -> None:
        self.versions[key] = version
        if source:
            self.sources_of[key] = tuple(sorted({*self.sources_of.get(key, ()), source}))

    def version_keys(self, source: str) -> list[str]:
        return sorted(key for key, sources in self.sources_of.items() if source in sources)

    def version_sources(self, key: str) -> list[str]:
        return [*self.sources_of.get(key, ())]

    def drop_source(self, key: str, source: str) -> None:
        self.sources_of[key] = tuple(each for each in self.sources_of.get(key, ()) if each != source)

    def drop_version(self, key: str) -> None:
        self.versions.pop(key, None)
        self.sources_of.pop(key, None)

    def scope_of(self, scope: str) -> str:
        return scope

    def note_unreadable(self, name: str, places: str, now: float) -> bool:
        known = self.unreadable_orders.get(name)
        self.unreadable_orders[name] = _Unreadable(places, now if known is None else known.first)
        return known is None

    def note_readable(self, name: str) -> None:
        self.unreadable_orders.pop(name, None)

    def unreadable(self, limit: int) -> list[str]:
        notes = self.unreadable_orders
        found = sorted(notes, key=lambda name: (notes[name].first, name))
        return [f"{name} ({notes[name].places})" for name in found][:limit]

    def has_reported(self, visitor_id: str, goal: str | int) -> bool:
        own = [
            each for each in self.conversions.values() if each.visitor_id == visitor_id and each.goal == goal
        ]
        return any(each.state in REPORTED and each.refund_of is None for each in own)

    def readmit(self, visitor_id: str) -> None:
        self.forgotten.pop(mark_of(_SALT, visitor_id), None)

    def conversions_of(self, transaction_id: str) -> list[OrderConversion]:
        found = [each for each in self.conversions.values() if each.order.transaction_id == transaction_id]
        return sorted((each for each in found if each.refund_of is None), key=lambda each: each.key)

    def unsent_of(self, visitor_id: str) -> list[OrderConversion]:  # noqa: ARG002 - any of them may be
        return [each for each in self.conversions.values() if not each.is_over]

    def unsent_with(self, identity_key: IdentityKey) -> list[OrderConversion]:
        return [
            each
            for each in self.conversions.values()
            if not each.is_over and identity_key in each.order.identity_keys
        ]

    def forget(self, visitor_id: str) -> None:
        self.forgotten[mark_of(_SALT, visitor_id)] = True
        for identity_key, links in [*self.links_of.items()]:
            self.links_of[identity_key] = tuple(each for each in links if each.visitor_id != visitor_id)
        for place, record in [*self.exposure_records.items()]:
            if record.visitor_id == visitor_id:
                del self.exposure_records[place]
        for conversion in [*self.conversions.values()]:
            if conversion.visitor_id == visitor_id:
                self.keep(forgotten(conversion))

    def is_forgotten(self, visitor_id: str) -> bool:
        return bool(self.forgotten) and mark_of(_SALT, visitor_id) in self.forgotten

    def unlink(self, identity_key: IdentityKey) -> None:
        self.links_of.pop(identity_key, None)

    def purge(self, *, links: float, exposures: float, outcomes: float) -> None:
        for identity_key, found in [*self.links_of.items()]:
            self.links_of[identity_key] = tuple(each for each in found if each.expires > links)
        self.exposure_records = {
            place: each for place, each in self.exposure_records.items() if each.at >= exposures
        }
        notes = self.unreadable_orders.items()
        self.unreadable_orders = {name: each for name, each in notes if each.first >= exposures}
        self.outcomes = {event: each for event, each in self.outcomes.items() if each[1] >= outcomes}


class MemoryLedger:
    """A ledger that ends with the process: for tests, and where losing orders at a restart is acceptable.

    >>> with MemoryLedger().transaction() as transaction:
    ...     transaction.tally()
    Counter()
    """

    def __init__(self, *, policy: Policy | None = None, clock: Callable[[], float] = time.time) -> None:
        self.policy = policy or Policy()
        self.clock = clock
        self._lock = RLock()
        self._tables = _Tables()

    @contextmanager
    def transaction(self) -> Iterator[LedgerTransaction]:
        """The ledger, for this thread alone; an exception undoes what was written."""
        with self._lock:
            before = self._tables.copy()
            try:
                yield self._tables
            except BaseException:
                self._tables = before
                raise
