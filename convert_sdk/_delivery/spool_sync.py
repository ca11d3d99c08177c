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
    from .queue import EventQueue
    from .stats import Settled

_LOOK_EVERY = 30.0
_RETRY_AFTER = 1.0
_MOST_PENDING = 1_000


class SpoolSync:
    """Moves events between the queue and the spool. One thread at a time; everything may touch the disk.

    Events are written before they are sent. While the queue is half full they wait on disk alone, and come
    back in their turn. `report` is told, by kind and text, of a disk that fails: then memory goes on alone.
    """

    def __init__(
        self,
        spool: Spool,
        engine: Engine,
        queue: EventQueue,
        *,
        capacity: int,
        report: Callable[[str, str], None],
    ) -> None:
        self._spool = spool
        self._engine = engine
        self._queue = queue
        self._share = max(1, capacity // 2)
        self._capacity = capacity
        self._report = report
        self.on_disk: set[str] = set()
        """The ids of the rows that memory holds, too."""
        self._pending_noted: set[str] = set()
        self._deletable: set[str] = set()
        self._refused: deque[Settled] = deque(maxlen=_MOST_PENDING)
        self._look_at = self._retry_at = 0.0
        self._expired = 0

    def due(self) -> float:
        """When something is to be done; `inf` while there is nothing."""
        if self._engine.project is None:
            return 0.0 if self._unnoted() else inf
        moment = min(self._queue.write_due(), self._look_at)
        waiting = self._deletable or self._refused or (self._queue.stats.spooled and self._free())
        return min(moment, self._retry_at) if waiting else moment

    # To the disk.

    def commit(self, *, everything: bool = False) -> None:
        """Write what was offered, if it is time or `everything` must be on disk now."""
        self._write_pending()
        queue = self._queue
        now = monotonic()
        while (everything or queue.write_due() <= now) and (events := queue.unwritten()):
            stored = 0
            with self._reporting_errors():
                stored = self._spool.append(events)
                if stored < len(events):
                    self._report("spool", "it is full: events are kept in memory only")
            if stored == len(events) and (queue.stats.spooled or not self._free()):
                self.on_disk.difference_update(event.uuid for event in events)
                queue.spooled()
            else:
                self.on_disk.update(event.uuid for event in events[:stored])
                queue.written(now)

    def _unnoted(self) -> bool:
        return not self._pending_noted.issuperset(self._engine.pending)

    def _write_pending(self) -> None:
        kept = [each for uuid, each in list(self._engine.pending.items()) if uuid not in self._pending_noted]
        if not kept:
            return
        self._pending_noted.update(each.uuid for each in kept)
        with self._reporting_errors():
            stored = self._spool.append_pending({event_ids(each.uuid)[0]: to_record(each) for each in kept})
            self.on_disk.update(event_ids(each.uuid)[0] for each in kept[:stored])

    # From the disk.

    def refill(self, now: float) -> None:
        """Take over what died processes left, and bring back what waits on disk alone."""
        if self._engine.project is None:
            return
        if now >= self._look_at:
            self._look_at = now + _LOOK_EVERY
            with self._reporting_errors():
                self._take_over()
        if now >= self._retry_at and self._queue.stats.spooled and self._free():
            with self._reporting_errors():
                self._bring_back(now)

    def _take_over(self) -> None:
        moved = self._spool.recover()
        expired = self._newly_expired()
        self._queue.count_spooled(moved + expired)
        self._queue.drop_spooled(expired, "expired")
        pending = self._spool.load_pending(_MOST_PENDING, skip=self.on_disk)
        expired = self._newly_expired()
        self._queue.count_spooled(expired)
        self._queue.drop_spooled(expired, "expired")
        for event_id, record in pending.items():
            self.on_disk.add(event_id)
            uuid = conversion_of(event_id)
            conversion = from_record(self._engine, uuid, record)
            if conversion is None:
                self._engine.cancelled.append(uuid)
            else:
                self._engine.resolve(conversion)

    def _bring_back(self, now: float) -> None:
        queue = self._queue
        events = self._spool.load(self._share, skip=self.on_disk)
        queue.drop_spooled(min(self._newly_expired(), queue.stats.spooled), "expired")
        if not events:
            # Somebody deleted the file: what it held is lost, and is not to be waited for.
            queue.drop_spooled(queue.stats.spooled, "spool")
        queue.count_spooled(max(0, len(events) - queue.stats.spooled))
        self.on_disk.update(event.uuid for event in events)
        queue.restore(events, now)
        queue.resolve_claims((), self._engine.reclaim(events), now)

    def _free(self) -> bool:
        return self._capacity - self._queue.room < self._share

    def _newly_expired(self) -> int:
        expired = self._spool.counts().expired
        new, self._expired = expired - self._expired, expired
        return new

    # Off the disk.

    def settle(self, settled: Iterable[Settled], now: float) -> None:
        """Delete what met its outcome, or set it aside where it was refused; what fails is tried again."""
        for settled_events in settled:
            if settled_events.outcome == "rejected":
                self._refused.append(settled_events)
            else:
                self._delete(event.uuid for event in settled_events.events)
        while self._engine.cancelled:
            self._delete(event_ids(self._engine.cancelled.popleft())[:1])
        if now >= self._retry_at and (self._refused or self._deletable):
            with self._reporting_errors():
                self._forget()

    def _delete(self, uuids: Iterable[str]) -> None:
        self._deletable.update(self.on_disk.intersection(uuids))

    def _forget(self) -> None:
        error = self._queue.stats.last_error
        status, message = (error.status, error.message) if error is not None else (None, "")
        while self._refused:
            self._spool.reject(self._refused[0].events, status, message)
            self.on_disk.difference_update(event.uuid for event in self._refused.popleft().events)
        if self._deletable:
            self._spool.delete(self._deletable)
            self.on_disk -= self._deletable
            self._deletable.clear()

    def close(self) -> None:
        """Let go of the file; what lies in it is for the next process."""
        with self._reporting_errors():
            self._spool.close()

    @contextmanager
    def _reporting_errors(self) -> Iterator[None]:
        try:
            yield
        except SpoolError as error:
            self._retry_at = monotonic() + _RETRY_AFTER
            self._report("spool", f"{error}; events are kept in memory only")


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
