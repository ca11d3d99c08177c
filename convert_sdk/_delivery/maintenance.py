"""The work between two requests: the disk, the log and the callback of one client, in step with its queue."""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Container, Mapping
from contextlib import suppress
from itertools import chain
from math import inf
from typing import TYPE_CHECKING

from convert_sdk._process.clock import monotonic
from convert_sdk._process.locks import held_by_this_thread
from convert_sdk.errors import SpoolError
from convert_sdk.observation import Delivered, Incident
from convert_sdk.status import DropReason, IncidentLevel

from .background import drain
from .engine import Engine, event_ids
from .forgetting import ForgetRequest
from .queue import EventQueue, EventState

if TYPE_CHECKING:
    from .spool_sync import SpoolSync
    from .stats import Level, Notice

_RETRY_AFTER = 1.0
_DISK_PATIENCE = 1.0
"""Seconds that the end waits at least for a disk that another thread is busy with: what it does not take is lost."""
_log = logging.getLogger("convert_sdk")


class Maintenance:
    """The disk, the log and the callback of one client, kept in step with its queue."""

    def __init__(self, engine: Engine, queue: EventQueue, notices: tuple[deque[Notice], ...]) -> None:
        self.spool_sync: SpoolSync | None = None
        """Set where there is a spool."""
        self._engine = engine
        self._queue = queue
        self._notices = notices
        self.forgets: deque[ForgetRequest] = deque()
        """Visitors whose events are to leave queue and disk."""
        self._forget_at = 0.0
        self._reported: Counter[str] = Counter()
        self.left_pending = 0
        """Conversions from before the first document that the end has left to the spool."""
        self.reset_locks()

    def reset_locks(self) -> None:
        """Make a new lock; for a time at which nobody holds the old one."""
        self._disk = threading.RLock()

    @property
    def busy(self) -> bool:
        """True for a signal handler that interrupts a write in its own thread."""
        return held_by_this_thread(self._disk)

    @property
    def has_settled(self) -> bool:
        """True while settled events wait to be passed on."""
        return bool(self._queue.stats.settled)

    @property
    def has_rows(self) -> bool:
        """True while settled events, or their rows in the spool, wait to be looked at."""
        return self.has_settled or (self.spool_sync is not None and self.spool_sync.has_deletable)

    @property
    def only_in_memory(self) -> int:
        """The number of events, and of conversions before the first document, that wait and lie on no disk."""
        on_disk = self._on_disk()
        events = chain.from_iterable(self._queue.by_state().values())
        waiting = [event.uuid for event in events]
        waiting += [event_ids(uuid)[0] for uuid in list(self._engine.pending.waiting)]
        return sum(uuid not in on_disk for uuid in waiting) + self._engine.pending.in_hand

    def due(self) -> float:
        """The time of the next work on the disk; `inf` while there is none."""
        spool_sync = self.spool_sync
        if spool_sync is None:
            return inf
        forget_at = self._forget_at if self.forgets else inf
        return 0.0 if self._queue.stats.settled else min(forget_at, spool_sync.due())

    def next_change(self) -> float:
        """As `due`, of what a flush waits for."""
        spool_sync = self.spool_sync
        if spool_sync is None:
            return inf
        return 0.0 if self._queue.stats.settled else spool_sync.next_change()

    def sync(self, *, everything: bool = False) -> None:
        """Write offered events, bring spooled ones back, and delete settled ones."""
        with self._disk:
            self.forget_all()
            if self.spool_sync is not None:
                self.spool_sync.commit(everything=everything)
                self.spool_sync.refill(monotonic())
            self.settle()

    def forget_all(self) -> None:
        """Drop the events of visitors who are to be forgotten from the queue, and under the disk's lock from there."""
        for request in list(self.forgets):
            request.left_queue(*self._queue.forget(request.visitor_id))
            if self.spool_sync is not None:
                try:
                    self.spool_sync.forget(request)
                except SpoolError as error:
                    self.report("spool", f"{error}; a visitor is not forgotten there yet")
                    self._forget_at = monotonic() + _RETRY_AFTER
                    return
            with suppress(ValueError):  # another thread was quicker
                self.forgets.remove(request)
            request.left_spool()

    def commit(self) -> None:
        """Write what was offered before this returns; for a handler that interrupts a write, soon after it."""
        # Whoever has the disk may wait for a lock that the interrupted code holds.
        if self.busy or self._queue.busy or self._engine.busy:
            return
        with self._disk:
            if self.spool_sync is not None:
                self.spool_sync.commit(everything=True)

    def leave(self) -> None:
        """Write what was offered and delete what is settled, once nothing more is accepted: the process ends."""
        if self.spool_sync is None or not self._disk.acquire(timeout=_DISK_PATIENCE):
            return
        try:
            self.spool_sync.commit(everything=True)
            self.settle()
        finally:
            self._disk.release()

    def settle(self) -> None:
        """Pass settled events on to the callback and, under the lock of the disk, to the spool."""
        settled = list(drain(self._queue.stats.settled))
        for each in settled:
            self._engine.observe(Delivered(each.outcome, tuple(event.uuid for event in each.events)))
        if self.spool_sync is not None:
            self.spool_sync.settle(settled, monotonic())

    def publish(self) -> None:
        """Log the notices of the machines, and pass them on to the callback."""
        for notices in self._notices:
            for notice in drain(notices):
                self._log(notice.level, notice.text)
                self._engine.observe(Incident(IncidentLevel(notice.level), notice.text))

    def report(self, kind: str, text: str) -> None:
        """Count a failure that was survived, and log the first one of its kind; a damaged file is one of its own."""
        self._reported[kind] += 1
        if self._reported[kind] == 1 or kind == "damaged":
            self._log("warning", f"{kind}: {text}")
            self._engine.observe(Incident(IncidentLevel.WARNING, f"{kind}: {text}"))

    def incidents(self) -> Mapping[str, int]:
        """The number of failures that were reported, by kind."""
        return self._reported

    def close(self, until: float) -> None:
        """Leave what waits to the spool, or drop and count it; a disk that hangs is not waited for after `until`."""
        free = self._disk.acquire(timeout=max(_DISK_PATIENCE, until - monotonic()))
        try:
            self._queue.stop_accepting()  # first: what a handler offers after the commit would reach no disk
            if free and self.spool_sync is not None:
                self.spool_sync.commit(everything=True)
            lost = self._drop_pending() + self._queue.close(self._on_disk())
            in_flight = self._queue.by_state()[EventState.IN_FLIGHT]
            unheard = sum(event.uuid not in self._on_disk() for event in in_flight)
            if lost or unheard:
                self.report("closed", _closing_report(lost, unheard))
            if free:
                self.settle()
                if self.spool_sync is not None:
                    self.spool_sync.close()
                    self.spool_sync = None
        finally:
            if free:
                self._disk.release()
        self.publish()

    def _on_disk(self) -> Container[str]:
        return self.spool_sync.on_disk if self.spool_sync is not None else ()

    def _drop_pending(self) -> int:
        with self._engine.lock:
            waiting = self._engine.pending.take_all()
            self._engine.pending.spooled = 0  # they stay there
        on_disk = self._on_disk()
        lost = sum(event_ids(uuid)[0] not in on_disk for uuid in waiting)
        self.left_pending += len(waiting) - lost
        if lost:
            self._queue.stats.refuse(lost, monotonic(), DropReason.CLOSED)
        return lost

    def _log(self, level: Level, text: str) -> None:
        _log.log(logging.getLevelNamesMapping()[level.upper()], text)


def _closing_report(lost: int, unheard: int) -> str:
    """The sentence about events that are neither delivered nor on disk."""
    parts = [f"{lost} events were not delivered in time and are dropped"] if lost else []
    if unheard:
        parts.append(f"{unheard} events were sent and had no answer in time")
    return ", ".join(parts)
