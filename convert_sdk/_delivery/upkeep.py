"""What a worker does between exchanges: save states, commit events, tell what happened."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from convert_sdk._core.state import Changes, Winners
from convert_sdk.errors import SpoolError, StoreError
from convert_sdk.observation import Delivered, Lapse, Observation

from .engine import verdicts
from .memory import Unsaved, changes

if TYPE_CHECKING:
    from .counts import Notice
    from .engine import Engine
    from .outbox import Outbox
    from .spool import Spool

T = TypeVar("T")
Level = Literal["info", "warning", "error"]

MOST_SAVES = 500
_ADOPT_EVERY = 30.0
_AGAIN_AFTER = 1.0


class Save(NamedTuple):
    """One visitor's changes on their way to the store."""

    visitor_id: str
    unsaved: Unsaved
    changes: Changes


class Upkeep:
    """The chores of one client. Everything here may touch disks and call the application; nothing here decides."""

    def __init__(
        self,
        engine: Engine,
        outbox: Outbox,
        notices: deque[Notice],
        *,
        spool: Spool | None = None,
        observe: Callable[[Observation], None] | None = None,
    ) -> None:
        self.lapses: Counter[str] = Counter()
        self._engine = engine
        self._outbox = outbox
        self._spool = spool
        self._observe = observe
        self._notices: tuple[deque[Notice], ...] = (outbox.ledger.notices, notices)
        self._in_hand: set[str] = set()
        self._adopt_at = 0.0
        self._expired = 0
        self._store_down = False

    def due(self, now: float) -> float:
        """When the next chore is due; what wakes the worker need not be foreseen here."""
        moment = self._outbox.save_due() if self._spool is not None else inf
        if self._spool is not None:
            moment = min(moment, self._adopt_at)
        return min(moment, now + _AGAIN_AFTER) if self._store_down else moment

    # States, which a caller that can await or not carries to the store.

    def to_save(self) -> Iterator[Save]:
        """What the store has yet to hear of; after a failure the rest is for the next time."""
        with self._engine.lock:
            taken = self._engine.memory.take_unsaved(MOST_SAVES)
        key_of = self._engine.store_key
        self._store_down = False
        for visitor_id, unsaved in taken.items():
            if self._store_down:
                self._give_back(visitor_id, unsaved)
            else:
                yield Save(visitor_id, unsaved, changes(key_of(visitor_id), unsaved))

    def saved(self, save: Save, winners: Winners, now: float) -> None:
        """The store has the changes: take over what it holds, and let winners go out."""
        with self._engine.lock:
            self._engine.memory.adopt(save.visitor_id, winners)
        self._outbox.claimed(*verdicts(save.changes.goals, winners), now)

    def not_saved(self, save: Save, error: StoreError) -> None:
        """The store failed: nothing is forgotten."""
        self._store_down = True
        self.lapse("store", str(error))
        self._give_back(save.visitor_id, save.unsaved)

    def _give_back(self, visitor_id: str, unsaved: Unsaved) -> None:
        with self._engine.lock:
            self._engine.memory.give_back(visitor_id, unsaved)

    # Disk and application.

    def run(self, now: float) -> None:
        """Do what is due: commit to the spool, take over orphans, settle what was delivered, tell."""
        if self._spool is not None:
            self._commit(self._spool, now)
            self._adopt(self._spool, now)
        self._settle()
        self._tell()

    def _commit(self, spool: Spool, now: float) -> None:
        outbox = self._outbox
        while outbox.save_due() <= now and (events := outbox.unsaved()):
            with self._touching():
                stored = spool.append(events)
                self._in_hand.update(event.uuid for event in events[:stored])
            outbox.saved(now)

    def _adopt(self, spool: Spool, now: float) -> None:
        if now < self._adopt_at:
            return
        self._adopt_at = now + _ADOPT_EVERY
        outbox = self._outbox
        with self._touching():
            outbox.adopt(spool.adopt())
            events = spool.load(max(outbox.room, 0), skip=self._in_hand)
            self._in_hand.update(event.uuid for event in events)
            outbox.restore(events, now)
            expired = spool.counts().expired
            outbox.forget(expired - self._expired, "expired")
            self._expired = expired

    def _settle(self) -> None:
        for ending in drained(self._outbox.ledger.endings):
            uuids = tuple(event.uuid for event in ending.events)
            if self._spool is not None:
                with self._touching():
                    if ending.fate == "dead":
                        trouble = self._outbox.ledger.trouble
                        status, message = (
                            (trouble.status, trouble.message) if trouble is not None else (None, "")
                        )
                        self._spool.set_aside(ending.events, status, message)
                    else:
                        self._spool.delete(uuids)
                self._in_hand.difference_update(uuids)
            self._engine.note(Delivered(ending.fate, uuids))

    def _tell(self) -> None:
        for notices in self._notices:
            for notice in drained(notices):
                self._log(notice.level, notice.text)
                self._engine.note(Lapse(notice.level, notice.text))
        seen = self._engine.seen
        while self._observe is not None and seen:
            try:
                self._observe(seen.popleft())
            except Exception:  # noqa: BLE001 # the application's own callback
                self.lapse("observe", "the observe callback raised")

    def close(self) -> None:
        """Let go of the spool; what lies in it is for the next process."""
        if self._spool is not None:
            with self._touching():
                self._spool.close()

    @contextmanager
    def _touching(self) -> Iterator[None]:
        """The disk may fail: then memory goes on alone, and it is said once."""
        try:
            yield
        except SpoolError as error:
            self.lapse("spool", f"{error}; events are kept in memory only")

    def _log(self, level: Level, text: str) -> None:
        from logging import getLevelNamesMapping, getLogger

        getLogger("convert_sdk").log(getLevelNamesMapping()[level.upper()], text)

    def lapse(self, kind: str, text: str) -> None:
        """Count a failure that was survived, and say so the first time."""
        self.lapses[kind] += 1
        if self.lapses[kind] == 1:
            self._log("warning", f"{kind}: {text}")
            self._engine.note(Lapse("warning", f"{kind}: {text}"))


def drained(queue: deque[T]) -> Iterator[T]:
    """Take everything out that is there now."""
    for _ in range(len(queue)):
        yield queue.popleft()
