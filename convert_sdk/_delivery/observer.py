"""What the application's `observe` callback is told, and when."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from threading import Lock

from convert_sdk._core.decision import Decision
from convert_sdk._core.events import Event
from convert_sdk.observation import Decided, Exposed, Observation
from convert_sdk.visitor import Visitor

_MOST_WAITING = 100_000


class Observer:
    """Observations on their way to the callback: told by the worker in order, or at once where `inline`.

    Where the callback cannot keep up, the oldest goes and is counted in `lost`.
    """

    __slots__ = ("_callback", "_delivering", "_inline", "_waiting", "failures", "lost")

    def __init__(self, callback: Callable[[Observation], None], *, inline: bool) -> None:
        self._callback = callback
        self._inline = inline
        self.clear()

    def clear(self) -> None:
        """Begin anew, in a forked process."""
        self._waiting: deque[Observation] = deque(maxlen=_MOST_WAITING)
        self._delivering = Lock()
        self.failures = self.lost = 0

    def append(self, observation: Observation) -> None:
        """Take an observation; any thread may."""
        if self._inline:
            self._call(observation)
            return
        if len(self._waiting) == _MOST_WAITING:
            self.lost += 1
        self._waiting.append(observation)

    def add_exposures(self, exposures: Iterable[Event], decisions: Iterable[Decision]) -> None:
        """Take the exposures of these new decisions, which those without a variation have none of."""
        shown = (each for each in decisions if each.variation is not None)
        for event, (_, _, experience, variation, _) in zip(exposures, shown, strict=True):
            if experience is not None and variation is not None:
                self.append(Exposed(event.uuid, event.visitor_id, experience.id, variation.id))

    def deliver(self) -> None:
        """Call back with everything that waits; nothing where another thread is at it, or this one already."""
        if not self._delivering.acquire(blocking=False):
            return
        try:
            for _ in range(len(self._waiting)):  # what the callback itself brings about is for the next time
                self._call(self._waiting.popleft())
        finally:
            self._delivering.release()

    def _call(self, observation: Observation) -> None:
        try:
            self._callback(observation)
        except Exception:  # noqa: BLE001  # the application's own
            self.failures += 1


class ObservedVisitor(Visitor):
    """A visitor whose decisions are told to the application's `observe`: in a class, others need not ask."""

    __slots__ = ()

    def _settle(self, decisions: Sequence[Decision]) -> None:
        for decision in decisions:
            self._engine.observe(Decided(self.id, decision))
        super()._settle(decisions)
