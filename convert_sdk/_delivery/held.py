"""Events that wait for a visitor's consent, in memory alone.

Theory of operation
-------------------
What would be remembered or sent is held in the order in which it happened. Nothing here has a lock but the table of
visitors: a deque is added to and emptied in single steps, so that a signal handler or another thread may come between
any two lines. Events that nobody agreed to end when the last reference to their `HeldEvents` goes, be it the visitor
object's or the table's: then, and only then, they are counted as dropped.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from convert_sdk._core.decision import Decision
from convert_sdk._core.facts import Facts
from convert_sdk._core.goals import ConversionRequest

_MOST_EVENTS = 100
"""Events that wait for one visitor."""
_MOST_ACTIONS = 300
"""The same, with what would be remembered alone."""
_MOST_VISITORS = 10_000
_LONGEST = 1_800.0
"""Seconds after a visitor's last request in which consent still counts for the events before it."""


class HeldDecision(NamedTuple):
    """A decision that would be remembered and reported."""

    facts: Facts
    decision: Decision
    events: int
    """1 for an exposure; 0 where only the visitor's locations would be remembered."""


class HeldConversion(NamedTuple):
    """A conversion that would be counted."""

    facts: Facts
    goal: str | int
    request: ConversionRequest

    @property
    def events(self) -> int:
        """Its events: one bare, one with the data if there are any."""
        return 1 if self.request.data is None else 2


class HeldSegments(NamedTuple):
    """Segments that would be remembered."""

    facts: Facts
    segments: dict[str, object]
    events: int = 0

    def __repr__(self) -> str:
        return f"HeldSegments({len(self.segments)} segments)"


HeldAction = HeldDecision | HeldConversion | HeldSegments


class HeldEvents:
    """The actions of one visitor that wait for consent, in order.

    Args:
        on_drop: Called with the number of events that nobody agreed to, when this ends.
    """

    __slots__ = ("_actions", "_events", "_on_drop")

    def __init__(self, on_drop: Callable[[int], None]) -> None:
        self._actions: deque[HeldAction] = deque()
        self._events = 0  # for the bound alone: two threads may add one of their two
        self._on_drop = on_drop

    def add(self, action: HeldAction) -> None:
        """Hold an action; where there is no room for it, its events are dropped."""
        events = self._events + action.events
        if events > _MOST_EVENTS or len(self._actions) >= _MOST_ACTIONS:
            self._on_drop(action.events)
        else:
            self._events = events
            self._actions.append(action)

    def take(self) -> Iterator[HeldAction]:
        """Take the actions out, the oldest first."""
        self._events = 0
        while self._actions:
            try:
                yield self._actions.popleft()
            except IndexError:  # somebody else took the last one
                return

    def drop(self) -> int:
        """Give up what waits; returns the number of its events."""
        dropped = sum(action.events for action in self.take())
        if dropped:
            self._on_drop(dropped)
        return dropped

    def __del__(self) -> None:
        self.drop()


class HeldEntry(NamedTuple):
    """The held events of one visitor, and the time of the last request."""

    since: float
    held: HeldEvents


class HeldVisitors:
    """The held events of visitors whose ids stay the same; those who were not here for long are forgotten."""

    def __init__(self, on_drop: Callable[[int], None]) -> None:
        self._on_drop = on_drop
        self._lock = threading.RLock()
        self._visitors: OrderedDict[str, HeldEntry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._visitors)

    def of(self, visitor_id: str, now: float) -> HeldEvents:
        """The held events of a visitor, to be added to."""
        forgotten = []
        with self._lock:
            entry = self._visitors.pop(visitor_id, None)
            held = HeldEvents(self._on_drop) if entry is None else entry.held
            self._visitors[visitor_id] = HeldEntry(now, held)
            forgotten += self._take_old(now)
        return held  # and what is forgotten is counted, without the lock

    def take(self, visitor_id: str, now: float) -> HeldEvents | None:
        """Take a visitor's held events out; None where there are none, or their time is over."""
        with self._lock:
            forgotten = self._take_old(now)
            found = self._visitors.pop(visitor_id, None)
        del forgotten
        return None if found is None else found.held

    def expire(self, now: float) -> None:
        """Forget those whose time is over."""
        with self._lock:
            forgotten = self._take_old(now)
        del forgotten

    def clear(self) -> None:
        """Forget everybody."""
        with self._lock:
            forgotten, self._visitors = self._visitors, OrderedDict()
        del forgotten

    def _take_old(self, now: float) -> list[HeldEvents]:
        old = []
        while self._visitors:
            oldest = next(iter(self._visitors.values()))
            if now - oldest.since < _LONGEST and len(self._visitors) <= _MOST_VISITORS:
                break
            self._visitors.popitem(last=False)
            old.append(oldest.held)
        return old
