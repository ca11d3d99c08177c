"""Visitors in the memory of this process."""

from __future__ import annotations

import threading
from math import inf
from typing import TYPE_CHECKING

from convert_sdk._core.half_made import shown_half_made
from convert_sdk._core.state import (
    FORGOTTEN_FOR,
    Changes,
    ForgottenState,
    VisitorState,
    Winners,
    all_won,
    apply,
)
from convert_sdk._process.clock import Clock, steady_clock
from convert_sdk._process.fork import hook_fork, register_after_fork
from convert_sdk._process.locks import held_by_this_thread
from convert_sdk.errors import StoreError

if TYPE_CHECKING:
    from cachetools import LRUCache

# One lock for all stores, held through a fork: the child inherits no half-made change.
_lock = threading.RLock()


@shown_half_made
class MemoryStore:
    """Visitors in this process; beyond `max_visitors` the longest unused is forgotten.

    `shared` is for a process that serves its visitors alone. `max_visitors=None` forgets nobody.

        >>> store = MemoryStore(max_visitors=1)
        >>> _ = store.save(Changes("ann", bucketing={"100": "one"}))
        >>> store.load("ann")
        VisitorState(1 decisions, 0 goals)
        >>> _ = store.save(Changes("bob"))
        >>> store.load("ann") is None
        True
    """

    def __init__(
        self, *, shared: bool = False, max_visitors: int | None = 100_000, clock: Clock | None = None
    ) -> None:
        if max_visitors is not None and max_visitors < 1:
            raise ValueError("max_visitors must be at least 1, or None for no limit")
        from cachetools import LRUCache

        self.shared = shared
        self._states: LRUCache[str, VisitorState] = LRUCache(inf if max_visitors is None else max_visitors)
        self._forgotten: dict[str, int] = {}
        """The times in milliseconds at which visitors were forgotten, the oldest first."""
        self._clock = clock or steady_clock()

    def __repr__(self) -> str:
        return f"MemoryStore({len(self._states)} visitors)"

    def load(self, key: str) -> VisitorState | None:
        """The visitor's state, for the caller to keep; None for a stranger.

        >>> MemoryStore().load("1-2-stranger") is None
        True
        """
        with _lock:
            state, at = self._states.get(key), self._forgotten_at(key)
            if at:
                return ForgottenState(state or VisitorState(), at)
            return None if state is None else _copy(state)

    def save(self, changes: Changes) -> Winners:
        """Remember the changes and say which decisions and claims stand.

        >>> MemoryStore().save(Changes("1-2-visitor", goals={"7": "a-claim"})).goals
        {'7': 'a-claim'}
        """
        if held_by_this_thread(_lock):
            raise StoreError("a signal came in the middle of another call of this store")
        with _lock:
            if changes.forgotten < self._forgotten_at(changes.key):
                return all_won(changes)
            state = self._states.get(changes.key)
            if state is None:
                state = self._states[changes.key] = VisitorState()
            return apply(state, changes)

    def delete(self, key: str) -> int:
        """Forget the visitor, and for a day what processes had remembered before it; returns the time of it.

        >>> store = MemoryStore()
        >>> store.delete("1-2-visitor") < store.delete("1-2-visitor")
        True
        """
        if held_by_this_thread(_lock):
            raise StoreError("a signal came in the middle of another call of this store")
        with _lock:
            self._states.pop(key, None)
            at = max(round(self._clock() * 1000), self._forgotten.pop(key, 0) + 1)
            self._forgotten[key] = at
            while not self._forgotten_at(oldest := next(iter(self._forgotten))):
                del self._forgotten[oldest]
            return at

    def _forgotten_at(self, key: str) -> int:
        """The time at which the visitor was forgotten; 0 where that was more than a day ago, or never."""
        at = self._forgotten.get(key, 0)
        return at if at / 1000 + FORGOTTEN_FOR > self._clock() else 0

    def close(self) -> None:
        """Do nothing: what is remembered stays until the store itself goes.

        >>> MemoryStore().close()
        """


def _copy(state: VisitorState) -> VisitorState:
    return VisitorState(state.bucketing, state.goals, state.segments, state.locations)


def _before_fork() -> None:
    _lock.acquire()


def _after_fork_in_parent() -> None:
    _lock.release()


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603  # the child needs a lock of its own
    _lock = threading.RLock()


hook_fork(before=_before_fork, after_in_parent=_after_fork_in_parent)
register_after_fork(_after_fork_in_child)
