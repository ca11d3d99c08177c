"""Visitor states on their way to the store, which may block, be awaited, or be slow or down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from convert_sdk._core.state import Changes, Winners

from .background import Scribe
from .engine import verdicts
from .visitors import Unsaved, changes

if TYPE_CHECKING:
    from convert_sdk.stores import AsyncStore, Store

    from .engine import Engine
    from .queue import Outbox

_AT_ONCE = 500
_RETRY_AFTER = 1.0


class Save(NamedTuple):
    """One visitor's changes."""

    visitor_id: str
    unsaved: Unsaved
    changes: Changes

    def __repr__(self) -> str:
        return f"Save({self.changes!r})"


class Saving:
    """Hands out what the store has yet to hear of, to a caller who can await or not, and takes its answers."""

    def __init__(self, engine: Engine, outbox: Outbox, lapse: Callable[[str, str], None]) -> None:
        self._engine = engine
        self._outbox = outbox
        self._lapse = lapse
        self._retry_at = 0.0
        self._in_hand: dict[str, Unsaved] = {}
        self.down = False

    @property
    def unsaved(self) -> int:
        """How many visitors the store has yet to hear of, or has not answered for."""
        return len(self._engine.memory.unsaved or ()) + len(self._in_hand)

    def save(self, store: Store, *, everything: bool) -> None:
        """Save what is to be saved in this thread, for as long as the store takes."""
        for save in self.take(monotonic(), everything=everything):
            try:
                winners = store.save(save.changes)
            except Exception as error:  # noqa: BLE001  # the store may be the application's own
                self.failed(error, monotonic())
            else:
                self.saved(save, winners, monotonic())

    async def asave(self, store: AsyncStore, *, everything: bool) -> None:
        """The same in this task; where it is cancelled, nothing is forgotten."""
        for save in self.take(monotonic(), everything=everything):
            try:
                winners = await store.save(save.changes)
            except Exception as error:  # noqa: BLE001  # the store may be the application's own
                self.failed(error, monotonic())
            else:
                self.saved(save, winners, monotonic())

    def due(self) -> float:
        """When there is something to save; `inf` while there is not."""
        return self._retry_at if self._engine.memory.unsaved and self._engine.project is not None else inf

    def take(self, now: float, *, everything: bool = False) -> Iterator[Save]:
        """What is to be saved, 500 visitors or all; after a failure the rest is for a second later."""
        if self._engine.project is None or (now < self._retry_at and not everything):
            return
        self.down = False
        memory = self._engine.memory
        with self._engine.lock:
            waiting = memory.take_unsaved(len(memory.unsaved or ()) if everything else _AT_ONCE)
            self._in_hand = waiting
        try:
            for visitor_id, unsaved in list(waiting.items()):
                yield Save(visitor_id, unsaved, changes(self._engine.store_key(visitor_id), unsaved))
                if self.down:
                    return
                del waiting[visitor_id]
        finally:
            with self._engine.lock:
                for visitor_id, unsaved in waiting.items():
                    memory.give_back(visitor_id, unsaved)
                self._in_hand = {}

    def saved(self, save: Save, winners: Winners, now: float) -> None:
        """The store has the changes: take over what it holds, and let winners go out."""
        with self._engine.lock:
            self._engine.memory.adopt(save.visitor_id, winners)
        self._outbox.claimed(*verdicts(save.changes.goals, winners), now)

    def failed(self, error: Exception, now: float) -> None:
        """The store did not take the last one: nothing is forgotten."""
        self.down = True
        self._retry_at = now + _RETRY_AFTER
        self._lapse("store", f"visitors are not saved: {error}")


def saver(
    saving: Saving, store: Store, *, done: Callable[[], None], trouble: Callable[[BaseException], None]
) -> Scribe:
    """The thread that waits for a store that blocks, so that nobody else does."""
    return Scribe(
        "convert_sdk-store",
        lambda everything: saving.save(store, everything=everything),
        saving.due,
        done=done,
        trouble=trouble,
    )
