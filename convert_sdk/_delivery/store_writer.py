"""Changes of visitors on their way to the store, which may block, be awaited, be slow or be down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from convert_sdk._core.state import Changes, Winners
from convert_sdk._process.clock import monotonic

from .background import BackgroundThread
from .engine import claim_results
from .visitors import PendingChanges, to_changes

if TYPE_CHECKING:
    from convert_sdk.stores import AsyncStore, Store

    from .engine import Engine
    from .queue import EventQueue

_AT_ONCE = 500
_RETRY_AFTER = 1.0


class StateSave(NamedTuple):
    """The changes of one visitor that are being saved."""

    visitor_id: str
    pending: PendingChanges
    changes: Changes

    def __repr__(self) -> str:
        return f"StateSave({self.changes!r})"


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
                self.failed(error, monotonic())
            else:
                self.saved(save, winners, monotonic())

    async def asave(self, store: AsyncStore, *, everything: bool) -> None:
        """Save what is due in this task; if it is cancelled, nothing is forgotten."""
        for save in self.take(monotonic(), everything=everything):
            try:
                winners = await store.save(save.changes)
            except Exception as error:  # noqa: BLE001  # the store may be the application's own
                self.failed(error, monotonic())
            else:
                self.saved(save, winners, monotonic())

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
                del waiting[visitor_id]
        finally:
            with self._engine.lock:
                for visitor_id, pending in waiting.items():
                    visitors.restore_pending(visitor_id, pending)
                self._in_hand = {}

    def saved(self, save: StateSave, winners: Winners, now: float) -> None:
        """Apply what the store holds after a save, and let conversions go that won their claims."""
        with self._engine.lock:
            self._engine.visitors.apply_winners(save.visitor_id, winners)
        results = claim_results(save.changes.goals, winners)
        self._queue.resolve_claims(results.won, results.lost, now)

    def failed(self, error: Exception, now: float) -> None:
        """Note that the last save failed; its changes are kept."""
        self.down = True
        self._retry_at = now + _RETRY_AFTER
        self._report("store", f"visitors are not saved: {error}")


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
