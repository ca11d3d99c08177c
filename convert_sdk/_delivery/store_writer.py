"""Changes of visitors on their way to the store, which may block, be awaited, be slow or be down.

Theory of operation
-------------------
A save fails in one of two ways. *The store does not answer* (`StoreError`, `OSError`): the round ends, and the rest
follows a second later. *One visitor cannot be saved* (`VisitorStateError`, and whatever else a store of the
application raises): the round goes on without them, and they are tried again in the next rounds. Three times in vain,
with others saved between the tries, and their changes are given up, counted, and their conversions sent unclaimed.
Several such failures in a row with no save between them are an outage after all.

*Order.* The oldest changes come first. Visitors who were asked in vain come last, also behind those who came since: no
few of them keep the others from being saved, not even in the one round that a close has.

*Forgetting.* Visitors to be deleted come before those to be saved, and fail in the same two ways. Changes that are in
hand meanwhile are from before: the store keeps none of them, and what it answers is not applied.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterator
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, NamedTuple, cast

from convert_sdk._core.state import Changes, Winners, checked
from convert_sdk._process.clock import monotonic
from convert_sdk.errors import StoreError, VisitorStateError
from convert_sdk.status import StoreDeletion

from .background import BackgroundThread
from .engine import claim_results, event_ids
from .forgetting import ForgetRequest
from .visitors import PendingChanges, to_changes

if TYPE_CHECKING:
    from convert_sdk.stores import AsyncForgettingStore, AsyncStore, ForgettingStore, Store

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
    changes: Changes
    in_hand: dict[str, PendingChanges]
    """Those that were taken together: whoever is saved or given up is to be removed from them."""

    def __repr__(self) -> str:
        return f"StateSave({self.changes!r})"


class _Failures(NamedTuple):
    """The failures of one visitor's save, and how many saves of others had succeeded before the last of them."""

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
        self._failing: dict[str, _Failures] = {}
        self.deletions: deque[ForgetRequest] = deque()
        """Visitors whom the store is to forget."""
        self._saved = self._failed_in_a_row = self._replaced = 0
        self.down = False
        """True after a failed save, until the next one begins."""

    @property
    def waiting(self) -> int:
        """The number of visitors whom the store is to save or to forget."""
        return self.to_save + len(self.deletions)

    @property
    def to_save(self) -> int:
        """The number of visitors whose changes are not saved yet."""
        visitors = self._engine.visitors
        return len(visitors.pending or ()) + sum(map(len, visitors.in_hand))

    def forget(self, request: ForgetRequest) -> None:
        """Have the store forget a visitor, if it can."""
        if request.report().store is StoreDeletion.PENDING:
            self.deletions.append(request)

    def save(self, store: Store, *, everything: bool) -> None:
        """Delete and save what is due in this thread, for as long as the store takes."""
        for deletion in self.take_deletions(monotonic(), everything=everything):
            try:
                at = cast("ForgettingStore", store).delete(self._engine.store_key(deletion.visitor_id))
            except Exception as error:  # noqa: BLE001  # the store may be the application's own
                self.not_deleted(deletion, error, monotonic())
            else:
                self.deleted(deletion, at)
        for save in self.take(monotonic(), everything=everything):
            try:
                winners = checked(store.save(save.changes))
            except Exception as error:  # noqa: BLE001  # the store may be the application's own
                self.failed(save, error, monotonic())
            else:
                self.saved(save, winners, monotonic())
                self._report_replaced(store)

    async def asave(self, store: AsyncStore, *, everything: bool) -> None:
        """Delete and save what is due in this task; if it is cancelled, it is all done another time."""
        for deletion in self.take_deletions(monotonic(), everything=everything):
            try:
                at = await cast("AsyncForgettingStore", store).delete(
                    self._engine.store_key(deletion.visitor_id)
                )
            except Exception as error:  # noqa: BLE001  # the store may be the application's own
                self.not_deleted(deletion, error, monotonic())
            else:
                self.deleted(deletion, at)
        for save in self.take(monotonic(), everything=everything):
            try:
                winners = checked(await store.save(save.changes))
            except Exception as error:  # noqa: BLE001  # the store may be the application's own
                self.failed(save, error, monotonic())
            else:
                self.saved(save, winners, monotonic())
                self._report_replaced(store)

    def due(self) -> float:
        """The time of the next save or deletion; `inf` while there is none."""
        waits = self._engine.visitors.pending or self.deletions
        return self._retry_at if waits and self._engine.project is not None else inf

    def take_deletions(self, now: float, *, everything: bool) -> Iterator[ForgetRequest]:
        """The deletions that are due; each stays until `deleted` or `not_deleted` has taken it off the list."""
        if self._engine.project is None or (now < self._retry_at and not everything):
            return
        self.down = False
        for request in list(self.deletions):
            if self.down:
                return
            if request in self.deletions:
                yield request

    def deleted(self, request: ForgetRequest, at: object) -> None:
        """Note that the store has forgotten a visitor, and the time that it gave to it, if it did."""
        self._engine.forget_stored(request.visitor_id, at if isinstance(at, int) else 0)
        self._end(request, StoreDeletion.DELETED)

    def not_deleted(self, request: ForgetRequest, error: Exception, now: float) -> None:
        """Note that the store has not forgotten a visitor: it is tried again, unless that is hopeless."""
        text = error_text(error, self._engine.store_key(request.visitor_id), request.visitor_id)
        if isinstance(error, (StoreError, OSError)) and not isinstance(error, VisitorStateError):
            self._end_round(f"a visitor is not deleted: {text}", now)
            return
        self._retry_at = now + _RETRY_AFTER
        request.tries += 1
        if request.tries >= _TRIES:
            self._report("forget", f"a visitor cannot be deleted from the store: {text}")
            self._end(request, StoreDeletion.FAILED)

    def _end(self, request: ForgetRequest, outcome: StoreDeletion) -> None:
        with suppress(ValueError):  # another thread was quicker
            self.deletions.remove(request)
        request.left_store(outcome)

    def give_up_deletions(self) -> None:
        """Say how many visitors the store has not forgotten, as nobody will ask it any more."""
        if self.deletions:
            self._report("forget", f"visitors that are not deleted from the store: {len(self.deletions)}")

    def take(self, now: float, *, everything: bool = False) -> Iterator[StateSave]:
        """The saves that are due, of 500 visitors or all; after a failure the rest follows a second later."""
        if self._engine.project is None or (now < self._retry_at and not everything):
            return
        self.down = False
        most = None if everything else _AT_ONCE
        yield from saves(self._engine, most, last=self._failing, over=lambda: self.down)

    def saved(self, save: StateSave, winners: Winners, now: float) -> None:
        """Apply what the store holds after a save, and let conversions go that won their claims."""
        self._saved += 1
        self._failed_in_a_row = 0
        self._failing.pop(save.visitor_id, None)
        apply_save(self._engine, self._queue, save, winners, now)

    def failed(self, save: StateSave, error: Exception, now: float) -> None:
        """Note that a save failed: its changes are kept, unless it is this visitor's alone and hopeless."""
        text = error_text(error, save.changes.key, save.visitor_id)
        if isinstance(error, (StoreError, OSError)) and not isinstance(error, VisitorStateError):
            self._end_round(f"visitors are not saved: {text}", now)
            return
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= _OUTAGE:
            self._end_round(f"visitors are not saved: {text}", now)
            return
        self._retry_at = now + _RETRY_AFTER
        failures, saved_before = self._failing.get(save.visitor_id, _Failures(0, -1))
        if self._saved > saved_before:  # otherwise the store may be at fault
            failures += 1
            self._failing[save.visitor_id] = _Failures(failures, self._saved)
        if failures >= _TRIES:
            self._give_up(save, now)
        self._report("state", f"a visitor is not saved: {text}")

    def _end_round(self, text: str, now: float) -> None:
        self.down = True
        self._failed_in_a_row = 0
        self._retry_at = now + _RETRY_AFTER
        self._report("store", text)

    def _give_up(self, save: StateSave, now: float) -> None:
        del self._failing[save.visitor_id]
        save.in_hand.pop(save.visitor_id, None)
        self._engine.visitors.lost += 1
        unclaimed = {event_id for uuid in save.changes.goals.values() for event_id in event_ids(uuid)}
        self._queue.resolve_claims(unclaimed, (), now)

    def _report_replaced(self, store: Store | AsyncStore) -> None:
        """Say once, and count, that the store has replaced states that could not be read."""
        replaced = getattr(store, "replaced", 0)
        for _ in range(replaced - self._replaced):
            self._report("replaced", "the store held a visitor's state that cannot be read: it is replaced")
        self._replaced = max(replaced, self._replaced)


def saves(
    engine: Engine,
    most: int | None = None,
    *,
    last: Container[str] = (),
    over: Callable[[], bool] = lambda: False,
) -> Iterator[StateSave]:
    """The saves of so many visitors' changes, or of all, until `over`; those of some visitors `last`.

    What is neither saved nor given up by the end, be it that somebody cancels it, waits for the next time.
    """
    visitors = engine.visitors
    with engine.lock:
        in_hand = visitors.take_pending(most)
        known = {visitor_id: visitors.forgotten.get(visitor_id, 0) for visitor_id in in_hand}
    asked: set[str] = set()
    try:
        for visitor_id, pending in sorted(in_hand.items(), key=lambda each: each[0] in last):
            if visitor_id not in in_hand:  # forgotten meanwhile
                continue
            asked.add(visitor_id)
            changes = to_changes(engine.store_key(visitor_id), pending, known[visitor_id])
            yield StateSave(visitor_id, changes, in_hand)
            if over():
                return
    finally:
        with engine.lock:
            visitors.put_back(in_hand, asked)


def apply_save(engine: Engine, queue: EventQueue, save: StateSave, winners: Winners, now: float) -> None:
    """Apply what the store holds after a save, and let conversions go that won their claims."""
    with engine.lock:
        if save.in_hand.pop(save.visitor_id, None) is not None:  # not forgotten meanwhile
            engine.visitors.apply_winners(save.visitor_id, winners)
    results = claim_results(save.changes.goals, winners)
    queue.resolve_claims(results.won, results.lost, now)


def error_text(error: Exception, key: str, visitor_id: str) -> str:
    """The text of a store's error for the log, without the visitor: a store of the application may name them."""
    name = type(error).__name__
    if isinstance(error, StoreError):
        text = str(error)
    elif isinstance(error, OSError) and error.strerror:  # and not the name of the file
        text = f"{name}: {error.strerror}"
    else:
        return name
    return text.replace(key, "…").replace(visitor_id, "…")


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
