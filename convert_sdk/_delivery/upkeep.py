"""What a worker does between exchanges: keep disk and memory in step, log, tell the application."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Container, Iterator, Mapping
from math import inf
from threading import RLock
from time import monotonic
from typing import TYPE_CHECKING, Literal, TypeVar

from convert_sdk._process.locks import is_mine
from convert_sdk.observation import Delivered, Lapse

from .engine import event_ids

if TYPE_CHECKING:
    from .counts import Ending, Notice
    from .engine import Engine
    from .outbox import Outbox
    from .shelf import Shelf

T = TypeVar("T")
Level = Literal["info", "warning", "error"]
_PATIENCE = 0.1
_log = logging.getLogger("convert_sdk")


class Upkeep:
    """The chores of one client. Everything here may touch disks and call the application; nothing here decides."""

    def __init__(self, engine: Engine, outbox: Outbox, notices: deque[Notice]) -> None:
        self.shelf: Shelf | None = None
        """Set where there is a spool."""
        self._engine = engine
        self._outbox = outbox
        self._notices = (outbox.ledger.notices, notices)
        self._survived: Counter[str] = Counter()
        self._disk = RLock()

    def due(self) -> float:
        """When the next chore is due; what wakes the worker need not be foreseen here."""
        shelf = self.shelf
        return shelf.due() if shelf is not None else inf

    def run(self, *, everything: bool = False) -> None:
        """Do what is due: commit to the spool, bring back what waits there, settle what was delivered, tell."""
        self.write(everything=everything)
        self._tell()

    def write(self, *, everything: bool = False) -> None:
        """The part of it that touches the disk."""
        with self._disk:
            if self.shelf is not None:
                self.shelf.commit(everything=everything)
                self.shelf.restock(monotonic())
            self._settle()

    @property
    def busy(self) -> bool:
        """Whether a signal's handler asks, in the middle of what this thread writes."""
        return is_mine(self._disk)

    def commit(self) -> None:
        """Write what was offered to the spool before this returns; in the middle of that, it is left to who began."""
        if self.busy or self._outbox.books.busy:
            return
        with self._disk:
            if self.shelf is not None:
                self.shelf.commit(everything=True)

    def _settle(self) -> None:
        endings: list[Ending] = list(drained(self._outbox.ledger.endings))
        for ending in endings:
            self._engine.note(Delivered(ending.fate, tuple(event.uuid for event in ending.events)))
        if self.shelf is not None:
            self.shelf.settle(endings, monotonic())

    def _tell(self) -> None:
        for notices in self._notices:
            for notice in drained(notices):
                self._log(notice.level, notice.text)
                self._engine.note(Lapse(notice.level, notice.text))
        if self._engine.seen is not None:
            self._engine.seen.tell()

    def close(self) -> None:
        """Leave what waits to the spool, or drop and count it. A disk that hangs is not waited for."""
        free = self._disk.acquire(timeout=_PATIENCE)
        try:
            if free and self.shelf is not None:
                self.shelf.commit(everything=True)
            lost = self._drop_kept() + self._outbox.close(self._on_disk())
            waiting = self._outbox.waiting().values()
            unheard = sum(event.uuid not in self._on_disk() for event in waiting)
            if lost or unheard:
                self.lapse("closed", _farewell(lost, unheard))
            if free:
                self._settle()
                if self.shelf is not None:
                    self.shelf.close()
                    self.shelf = None
        finally:
            if free:
                self._disk.release()
        self._tell()

    def _on_disk(self) -> Container[str]:
        return self.shelf.here if self.shelf is not None else ()

    def _drop_kept(self) -> int:
        with self._engine.lock:
            kept, self._engine.kept = self._engine.kept, {}
        on_disk = self._on_disk()
        lost = sum(event_ids(uuid)[0] not in on_disk for uuid in kept)
        if lost:
            self._outbox.ledger.refuse(lost, monotonic(), "closed")
        return lost

    def _log(self, level: Level, text: str) -> None:
        _log.log(logging.getLevelNamesMapping()[level.upper()], text)

    def lapse(self, kind: str, text: str) -> None:
        """Count a failure that was survived, and say so the first time."""
        self._survived[kind] += 1
        if self._survived[kind] == 1:
            self._log("warning", f"{kind}: {text}")
            self._engine.note(Lapse("warning", f"{kind}: {text}"))

    def survived(self) -> Mapping[str, int]:
        """The failures by kind."""
        seen = self._engine.seen
        observed = {"observe": seen.failures, "unobserved": seen.lost} if seen is not None else {}
        return {**self._survived, **{kind: count for kind, count in observed.items() if count}}


def _farewell(lost: int, unheard: int) -> str:
    """What becomes of events that are neither delivered nor on disk."""
    said = [f"{lost} events were not delivered in time and are dropped"] if lost else []
    if unheard:
        said.append(f"{unheard} events were sent and had no answer in time")
    return ", ".join(said)


def drained(queue: deque[T]) -> Iterator[T]:
    """Take everything out, beside other threads that may."""
    while queue:
        try:
            yield queue.popleft()
        except IndexError:
            return
