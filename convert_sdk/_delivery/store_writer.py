"""Changes of visitors on their way to the store, which may block, be awaited, be slow or be down.

Theory of operation
-------------------
A save fails in one of two ways. *The store does not answer* (`StoreError`, `OSError`): the round ends, and the rest
follows a second later. *One visitor cannot be saved* (`VisitorStateError`, and whatever else a store of the
application raises): the round goes on without them, and they are tried again in the next rounds. Three times in vain,
while others were saved meanwhile, and their changes are given up, counted, and their conversions sent unclaimed.
Several such failures in a row with no save between them are an outage after all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from convert_sdk._core.state import Changes, Winners
from convert_sdk._process.clock import monotonic
from convert_sdk.errors import StoreError, VisitorStateError

from .background import BackgroundThread
from .engine import claim_results, event_ids
from .visitors import PendingChanges, to_changes

if TYPE_CHECKING:
    from convert_sdk.stores import AsyncStore, Store

    from .engine import Engine
    from .queue import EventQueue

_AT_ONCE = 500
_RETRY_AFTER = 1.0
_TRIES = 3
"""Saves of one visitor that fail before the changes are given up."""
_OUTAGE = 5
"""Visitors in a row that cannot be saved: it is not them, it is the store."""


class StateSave(NamedTuple):
    """The changes of one visitor that are being saved."""

    visitor_id: str
    pending: PendingChanges
    changes: Changes

    def __repr__(self) -> str:
        return f"StateSave({self.changes!r})"


class _Failures(NamedTuple):
    """The failures of one visitor's save, and how many saves of others had succeeded before the first."""

    failures: int
    saved_before: int


class StoreWriter:
    """Saves the pending changes of visitors, and applies what the store decides.

    A thread calls `save`, a task `asave`. `report` is called with a kind and a text when the store fails.
    """

    def __init__(self, engine: Engine, queue: EventQueue, report: Callable[[str, str], None]) -> None:
        self._engine = engine
        self._queue = queue
        self._report = report
        self._retry_at = 0.0
        self._in_hand: dict[str, PendingChanges] = {}
        self._failing: dict[str, _Failures] = {}
        self._saved = self._failed_in_a_row = self._replaced = 0
        self.down = False
        """True after a failed save, until the next one begins."""

    @property
    def waiting(self) -> int:
        """The number of visitors whose changes are not saved yet."""
        return len(self._engine.visitors.pending or ()) + len(self._in_hand)

    def save(self, store: Store, *, everything: bool) -> None:
        """Save what is due in this thread, for as long as the store takes."""
        for save in self.take(monotonic(), everything=everything):
            try:
                winners = store.save(save.changes)
            except Exception as error:  # noqa: BLE001  # the store may be the application's own
                self.failed(save, error, monotonic())
            else:
                self.saved(save, winners, monotonic())
                self._report_replaced(store)

    async def asave(self, store: AsyncStore, *, everything: bool) -> None:
        """Save what is due in this task; if it is cancelled, nothing is forgotten."""
        for save in self.take(monotonic(), everything=everything):
            try:
                winners = await store.save(save.changes)
            except Exception as error:  # noqa: BLE001  # the store may be the application's own
                self.failed(save, error, monotonic())
            else:
                self.saved(save, winners, monotonic())
                self._report_replaced(store)

    def due(self) -> float:
        """The time of the next save; `inf` while there is nothing to save."""
        return self._retry_at if self._engine.visitors.pending and self._engine.project is not None else inf

    def take(self, now: float, *, everything: bool = False) -> Iterator[StateSave]:
        """The saves that are due, of 500 visitors or all; after a failure the rest follows a second later."""
        if self._engine.project is None or (now < self._retry_at and not everything):
            return
        self.down = False
        visitors = self._engine.visitors
        with self._engine.lock:
            waiting = visitors.take_pending(len(visitors.pending or ()) if everything else _AT_ONCE)
            self._in_hand = waiting
        try:
            for visitor_id, pending in list(waiting.items()):
                yield StateSave(visitor_id, pending, to_changes(self._engine.store_key(visitor_id), pending))
                if self.down:
                    return
                if visitor_id not in self._failing:
                    del waiting[visitor_id]
        finally:
            with self._engine.lock:
                for visitor_id, pending in waiting.items():
                    visitors.restore_pending(visitor_id, pending)
                self._in_hand = {}

    def saved(self, save: StateSave, winners: Winners, now: float) -> None:
        """Apply what the store holds after a save, and let conversions go that won their claims."""
        self._saved += 1
        self._failed_in_a_row = 0
        self._failing.pop(save.visitor_id, None)
        with self._engine.lock:
            self._engine.visitors.apply_winners(save.visitor_id, winners)
        results = claim_results(save.changes.goals, winners)
        self._queue.resolve_claims(results.won, results.lost, now)

    def failed(self, save: StateSave, error: Exception, now: float) -> None:
        """Note that a save failed: its changes are kept, unless it is this visitor's alone and hopeless."""
        if isinstance(error, (StoreError, OSError)) and not isinstance(error, VisitorStateError):
            self._end_round(f"visitors are not saved: {error}", now)
            return
        # An error of the application's own store may name the visitor.
        text = str(error) if isinstance(error, StoreError) else type(error).__name__
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= _OUTAGE:
            self._end_round(f"visitors are not saved: {text}", now)
            return
        self._retry_at = now + _RETRY_AFTER
        failures, saved_before = self._failing.get(save.visitor_id, _Failures(0, self._saved))
        self._failing[save.visitor_id] = _Failures(failures + 1, saved_before)
        if failures + 1 >= _TRIES and self._saved > saved_before:
            self._give_up(save, now)
        self._report("state", f"a visitor is not saved: {text}")

    def _end_round(self, text: str, now: float) -> None:
        self.down = True
        self._failed_in_a_row = 0
        self._retry_at = now + _RETRY_AFTER
        self._report("store", text)

    def _give_up(self, save: StateSave, now: float) -> None:
        del self._failing[save.visitor_id]
        self._engine.visitors.lost += 1
        unclaimed = {event_id for uuid in save.changes.goals.values() for event_id in event_ids(uuid)}
        self._queue.resolve_claims(unclaimed, (), now)

    def _report_replaced(self, store: Store | AsyncStore) -> None:
        """Say once, and count, that the store has replaced states that could not be read."""
        replaced = getattr(store, "replaced", 0)
        for _ in range(replaced - self._replaced):
            self._report("replaced", "the store held a visitor's state that cannot be read: it is replaced")
        self._replaced = max(replaced, self._replaced)


def store_thread(
    store_writer: StoreWriter,
    store: Store,
    *,
    done: Callable[[], None],
    on_error: Callable[[BaseException], None],
    may_end: Callable[[], bool] = lambda: False,
) -> BackgroundThread:
    """The thread that waits for a store that blocks, so that nobody else does."""
    return BackgroundThread(
        "convert_sdk-store",
        lambda everything: store_writer.save(store, everything=everything),
        store_writer.due,
        done=done,
        on_error=on_error,
        may_end=may_end,
    )
