"""The queue and the spool in step: events are written before they are sent, and deleted when they are settled.

Theory of operation
-------------------
While the queue has room, events are on disk and in memory. Once it is half full, events that were written leave
memory (`EventQueue.spooled`) and come back when there is room (`refill`), in their order. Every 30 seconds the spool
takes over the files of processes that died. Conversions from before the first document (`pending`), of this process
and of those, are brought back before events, once there is a document.

`on_disk` holds the ids of the rows that memory knows too: they are skipped by what is read from the disk, and deleted
or set aside when their events are settled. A disk that fails is reported, and memory goes on alone; what should be
deleted stays in `_deletable` and is tried again a second later.

All methods run in one thread at a time, under the lock of `Maintenance`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING

from convert_sdk._process.clock import monotonic
from convert_sdk._spool.files import RowKind
from convert_sdk._urls import TRACK_ENDPOINT
from convert_sdk.errors import SpoolError
from convert_sdk.options import Options
from convert_sdk.status import DropReason, EventOutcome

from .background import drain
from .engine import conversion_of, event_ids
from .pending import MOST_PENDING, PendingConversion, from_record, to_record

if TYPE_CHECKING:
    from convert_sdk._spool.spool import Spool

    from .engine import Engine
    from .forgetting import ForgetRequest
    from .queue import EventQueue
    from .stats import Settled

_LOOK_EVERY = 30.0
_RETRY_AFTER = 1.0
_MOST_REJECTED = 1_000


class SpoolSync:
    """The way between the queue and the spool; everything here may touch the disk.

    Args:
        spool: The file of this process.
        engine: The owner of conversions that wait for the first document.
        queue: The events in memory.
        capacity: The size of the queue.
        report: Called with a kind and a text when the disk fails.
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
        self._rejected: deque[Settled] = deque(maxlen=_MOST_REJECTED)
        self.found = 0
        """Events and conversions of earlier processes that were taken over."""
        self._look_at = self._retry_at = 0.0
        self._may_have_pending = False
        """True until there is no conversion on disk that memory does not hold."""
        self._expired = 0

    def due(self) -> float:
        """The time of the next work; `inf` while there is none."""
        return self.next_change() if self._engine.project is None else min(self.next_change(), self._look_at)

    def next_change(self) -> float:
        """The time of the next work that anybody waits for: the first look for other processes' files, but no later."""
        if self._engine.project is None:
            return 0.0 if self._new_pending() else inf
        moment = self._queue.write_due() if self._look_at else 0.0
        waiting = self.has_deletable or (self._has_more and self._free())
        return min(moment, self._retry_at) if waiting else moment

    @property
    def has_deletable(self) -> bool:
        """True while rows of settled events wait to be deleted or set aside."""
        return bool(self._deletable or self._rejected or self._engine.pending.cancelled)

    @property
    def _has_more(self) -> bool:
        """True while events or conversions are to be brought back."""
        return bool(self._queue.stats.spooled or self._engine.pending or self._may_have_pending)

    # To the disk.

    def commit(self, *, everything: bool = False) -> None:
        """Write the offered events in one transaction, if it is time or `everything` must be on disk now."""
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

    def _new_pending(self) -> list[PendingConversion]:
        """The conversions before the first document that are not on disk yet."""
        waiting = list(self._engine.pending.waiting.values())
        return [conversion for conversion in waiting if conversion.uuid not in self._pending_noted]

    def _write_pending(self) -> None:
        new = self._new_pending()
        if not new:
            return
        self._pending_noted.update(conversion.uuid for conversion in new)
        records = {
            event_ids(conversion.uuid)[0]: to_record(conversion, self._engine.segments_of(conversion.facts))
            for conversion in new
        }
        with self._reporting_errors():
            stored = self._spool.append_pending(records)
            if stored < len(records):
                self._report("spool", "it is full: conversions are kept in memory only")
            self.on_disk.update(list(records)[:stored])
            with self._engine.lock:
                left = self._engine.pending.leave(conversion.uuid for conversion in new[:stored])
            self._pending_noted -= left
            self.on_disk.difference_update(event_ids(uuid)[0] for uuid in left)

    # From the disk.

    def refill(self, now: float) -> None:
        """Take over the files of processes that died, and bring back events that are on disk only."""
        if self._engine.project is None:
            return
        if now >= self._look_at:
            self._look_at = now + _LOOK_EVERY
            with self._reporting_errors():
                self._take_over()
        if now >= self._retry_at and self._has_more and self._free():
            with self._reporting_errors():
                self._bring_back_pending()
                if self._queue.stats.spooled and self._free():
                    self._bring_back(now)
                self._tell_problems()

    def _take_over(self) -> None:
        self._may_have_pending = True
        moved = self._spool.recover()
        self._tell_problems()
        self.found += moved
        expired = self._newly_expired()
        self._queue.count_spooled(moved + expired)
        self._queue.drop_spooled(expired, DropReason.EXPIRED)

    def _tell_problems(self) -> None:
        for problem in drain(self._spool.problems):
            self._report("damaged", problem)

    def _bring_back_pending(self) -> None:
        """Count conversions that waited for a document, as many as the queue has room for."""
        pending = self._engine.pending
        self._engine.resolve_waiting()
        if not (self._free() and (pending.spooled or self._may_have_pending)):
            return
        most = max(1, min(MOST_PENDING, self._share // 2))  # each becomes two events at the most
        records = self._spool.load_pending(most, skip=self.on_disk)
        expired = self._newly_expired()
        self._queue.count_spooled(expired)
        self._queue.drop_spooled(expired, DropReason.EXPIRED)
        self.found += len(records)
        for event_id, record in records.items():
            self.on_disk.add(event_id)
            uuid = conversion_of(event_id)
            stored = from_record(uuid, record)
            if stored is None:
                pending.cancelled.append(uuid)
            else:
                self._engine.resolve_stored(stored)
        self._may_have_pending = len(records) == most
        pending.spooled = max(0, pending.spooled - len(records)) if self._may_have_pending else 0

    def _bring_back(self, now: float) -> None:
        queue = self._queue
        events = self._spool.load(self._share, skip=self.on_disk)
        queue.drop_spooled(min(self._newly_expired(), queue.stats.spooled), DropReason.EXPIRED)
        if not events:
            # Somebody deleted the file: its events are lost, and nobody may wait for them.
            queue.drop_spooled(queue.stats.spooled, DropReason.SPOOL)
        queue.count_spooled(max(0, len(events) - queue.stats.spooled))
        self.on_disk.update(event.uuid for event in events)
        queue.restore(events, now)
        queue.resolve_claims((), self._engine.claim_restored(events), now)

    def _free(self) -> bool:
        return self._capacity - self._queue.room < self._share

    def _newly_expired(self) -> int:
        expired = self._spool.counts().expired
        new, self._expired = expired - self._expired, expired
        return new

    # Off the disk.

    def settle(self, settled: Iterable[Settled], now: float) -> None:
        """Delete settled events, or set them aside if they were rejected; a failure is tried again later."""
        for each in settled:
            if each.outcome is EventOutcome.REJECTED:
                self._rejected.append(each)
            else:
                self._delete(event.uuid for event in each.events)
        for uuid in drain(self._engine.pending.cancelled):
            self._delete(event_ids(uuid)[:1])
        if now >= self._retry_at and (self._rejected or self._deletable):
            with self._reporting_errors():
                self._forget()

    def forget(self, request: ForgetRequest) -> None:
        """Delete a visitor's rows in all files of this host, and count those that memory did not hold.

        Raises SpoolError if the disk fails.
        """
        rows = self._spool.delete_visitor(request.visitor_id)
        alone = [row for row in rows if row.uuid not in self.on_disk]
        self.on_disk.difference_update(row.uuid for row in rows)
        spooled = sum(row.kind == RowKind.EVENT for row in alone)
        self._queue.drop_spooled(min(spooled, self._queue.stats.spooled), DropReason.FORGOTTEN)
        pending = sum(row.kind == RowKind.PENDING for row in alone)
        with self._engine.lock:
            self._engine.pending.spooled = max(0, self._engine.pending.spooled - pending)
        request.spooled += len(alone)
        request.spooled += self._spool.delete_visitor_elsewhere(request.visitor_id)

    def _delete(self, uuids: Iterable[str]) -> None:
        self._deletable.update(self.on_disk.intersection(uuids))

    def _forget(self) -> None:
        while self._rejected:
            _, events, error = self._rejected[0]
            self._spool.reject(events, error.status, error.message)
            self.on_disk.difference_update(event.uuid for event in self._rejected.popleft().events)
        if self._deletable:
            self._spool.delete(self._deletable)
            self.on_disk -= self._deletable
            self._deletable.clear()

    def close(self) -> None:
        """Let go of the file; the next process takes over what lies in it."""
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
    """The spool of these options; the disk is not touched yet."""
    from convert_sdk._spool.spool import Spool

    return Spool(path, spool_owner(key, options), sync=options.durability == "sync")


def spool_owner(key: str, options: Options) -> str:
    """The name of a spool's folder: events of one key, endpoint and environment may be sent together.

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
