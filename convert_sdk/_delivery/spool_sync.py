"""Events on disk and in memory, kept in step."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from convert_sdk.errors import SpoolError
from convert_sdk.options import TRACK_ENDPOINT, Options

from .engine import conversion_of, event_ids
from .pending import from_record, to_record

if TYPE_CHECKING:
    from convert_sdk._spool.spool import Spool

    from .engine import Engine
    from .queue import Outbox
    from .stats import Ending

_LOOK_EVERY = 30.0
_RETRY_AFTER = 1.0
_MOST_PENDING = 1_000


class Shelf:
    """Moves events between the outbox and the spool. One thread at a time; everything may touch the disk.

    Events are written before they are sent. While the queue is half full they wait on disk alone, and come
    back in their turn. `lapse` is told, by kind and text, of a disk that fails: then memory goes on alone.
    """

    def __init__(
        self,
        spool: Spool,
        engine: Engine,
        outbox: Outbox,
        *,
        capacity: int,
        lapse: Callable[[str, str], None],
    ) -> None:
        self._spool = spool
        self._engine = engine
        self._outbox = outbox
        self._share = max(1, capacity // 2)
        self._capacity = capacity
        self._lapse = lapse
        self.here: set[str] = set()
        """The ids of the rows that memory holds, too."""
        self._noted: set[str] = set()
        self._gone: set[str] = set()
        self._refused: deque[Ending] = deque(maxlen=_MOST_PENDING)
        self._look_at = self._retry_at = 0.0
        self._expired = 0

    def due(self) -> float:
        """When something is to be done; `inf` while there is nothing."""
        if self._engine.project is None:
            return 0.0 if self._unnoted() else inf
        moment = min(self._outbox.save_due(), self._look_at)
        waiting = self._gone or self._refused or (self._outbox.ledger.spooled and self._free())
        return min(moment, self._retry_at) if waiting else moment

    # To the disk.

    def commit(self, *, everything: bool = False) -> None:
        """Write what was offered, if it is time or `everything` must be on disk now."""
        self._note_kept()
        outbox = self._outbox
        now = monotonic()
        while (everything or outbox.save_due() <= now) and (events := outbox.unsaved()):
            stored = 0
            with self._touching():
                stored = self._spool.append(events)
                if stored < len(events):
                    self._lapse("spool", "it is full: events are kept in memory only")
            if stored == len(events) and (outbox.ledger.spooled or not self._free()):
                self.here.difference_update(event.uuid for event in events)
                outbox.shelved()
            else:
                self.here.update(event.uuid for event in events[:stored])
                outbox.saved(now)

    def _unnoted(self) -> bool:
        return not self._noted.issuperset(self._engine.kept)

    def _note_kept(self) -> None:
        kept = [each for uuid, each in list(self._engine.kept.items()) if uuid not in self._noted]
        if not kept:
            return
        self._noted.update(each.uuid for each in kept)
        with self._touching():
            stored = self._spool.append_pending({event_ids(each.uuid)[0]: to_record(each) for each in kept})
            self.here.update(event_ids(each.uuid)[0] for each in kept[:stored])

    # From the disk.

    def restock(self, now: float) -> None:
        """Take over what died processes left, and bring back what waits on disk alone."""
        if self._engine.project is None:
            return
        if now >= self._look_at:
            self._look_at = now + _LOOK_EVERY
            with self._touching():
                self._adopt()
        if now >= self._retry_at and self._outbox.ledger.spooled and self._free():
            with self._touching():
                self._bring_back(now)

    def _adopt(self) -> None:
        moved = self._spool.adopt()
        expired = self._newly_expired()
        self._outbox.adopt(moved + expired)
        self._outbox.forget(expired, "expired")
        pending = self._spool.load_pending(_MOST_PENDING, skip=self.here)
        expired = self._newly_expired()
        self._outbox.adopt(expired)
        self._outbox.forget(expired, "expired")
        for event_id, record in pending.items():
            self.here.add(event_id)
            uuid = conversion_of(event_id)
            conversion = from_record(self._engine, uuid, record)
            if conversion is None:
                self._engine.void.append(uuid)
            else:
                self._engine.resolve(conversion)

    def _bring_back(self, now: float) -> None:
        outbox = self._outbox
        events = self._spool.load(self._share, skip=self.here)
        outbox.forget(min(self._newly_expired(), outbox.ledger.spooled), "expired")
        if not events:
            # Somebody deleted the file: what it held is lost, and is not to be waited for.
            outbox.forget(outbox.ledger.spooled, "spool")
        outbox.adopt(max(0, len(events) - outbox.ledger.spooled))
        self.here.update(event.uuid for event in events)
        outbox.restore(events, now)
        outbox.claimed((), self._engine.reclaim(events), now)

    def _free(self) -> bool:
        return self._capacity - self._outbox.room < self._share

    def _newly_expired(self) -> int:
        expired = self._spool.counts().expired
        new, self._expired = expired - self._expired, expired
        return new

    # Off the disk.

    def settle(self, endings: Iterable[Ending], now: float) -> None:
        """Delete what met its fate, or set it aside where it was refused; what fails is tried again."""
        for ending in endings:
            if ending.fate == "dead":
                self._refused.append(ending)
            else:
                self._delete(event.uuid for event in ending.events)
        while self._engine.void:
            self._delete(event_ids(self._engine.void.popleft())[:1])
        if now >= self._retry_at and (self._refused or self._gone):
            with self._touching():
                self._forget()

    def _delete(self, uuids: Iterable[str]) -> None:
        self._gone.update(self.here.intersection(uuids))

    def _forget(self) -> None:
        trouble = self._outbox.ledger.trouble
        status, message = (trouble.status, trouble.message) if trouble is not None else (None, "")
        while self._refused:
            self._spool.set_aside(self._refused[0].events, status, message)
            self.here.difference_update(event.uuid for event in self._refused.popleft().events)
        if self._gone:
            self._spool.delete(self._gone)
            self.here -= self._gone
            self._gone.clear()

    def close(self) -> None:
        """Let go of the file; what lies in it is for the next process."""
        with self._touching():
            self._spool.close()

    @contextmanager
    def _touching(self) -> Iterator[None]:
        try:
            yield
        except SpoolError as error:
            self._retry_at = monotonic() + _RETRY_AFTER
            self._lapse("spool", f"{error}; events are kept in memory only")


def open_spool(path: str, key: str, options: Options) -> Spool:
    """The spool that these options ask for; the disk is not touched yet."""
    from convert_sdk._spool.spool import Spool

    return Spool(path, spool_owner(key, options), sync=options.durability == "sync")


def spool_owner(key: str, options: Options) -> str:
    """Whose events these are: those of one key, endpoint and environment may travel together.

    >>> spool_owner("1002/1003", Options(environment="staging"))
    '1002/1003 staging'
    """
    endpoint = options.track_endpoint
    parts = [key]
    if options.environment:
        parts.append(options.environment)
    if endpoint != TRACK_ENDPOINT:
        scheme, _, rest = endpoint.rstrip("/").partition("://")
        host, slash, path = rest.partition("/")
        parts.append(f"{scheme}://{host.rpartition('@')[2]}{slash}{path}")
    return " ".join(parts)
