"""Observations on their way to the application's `observe` callback."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from math import inf

from convert_sdk._core.decision import Decision
from convert_sdk._core.events import Event
from convert_sdk._process.clock import monotonic
from convert_sdk.observation import Exposed, Observation

_MOST_WAITING = 100_000
_PATIENCE = 1.0
"""Seconds that a flush waits for one call."""
_WINDOW = 0.05
"""Seconds after the first observation in which more are gathered, so that a busy thread is not woken for each."""


class Observer:
    """Observations that wait for the callback: delivered in order by a thread of their own, or at once if `inline`.

    Where the callback cannot keep up, the oldest observation is dropped and counted in `lost`.
    """

    __slots__ = (
        "_callback",
        "_called_at",
        "_delivering",
        "_since",
        "_waiting",
        "failures",
        "inline",
        "lost",
        "notify",
    )

    def __init__(self, callback: Callable[[Observation], None], *, inline: bool) -> None:
        self._callback = callback
        self.inline = inline
        """True if the callback is called where something happens."""
        self.notify: Callable[[], None] = lambda: None
        """Called when there is something to deliver where there was nothing."""
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """Start with nothing that waits: it is the parent's."""
        self._waiting: deque[Observation] = deque(maxlen=_MOST_WAITING)
        self._since = 0.0
        self._called_at = inf
        self.failures = self.lost = 0
        self.reset_locks()

    def reset_locks(self) -> None:
        """Make a new lock; for a time at which nobody holds the old one."""
        self._delivering = threading.Lock()

    @property
    def is_idle(self) -> bool:
        """True while nothing waits and no call is under way."""
        return not self._waiting and not self._delivering.locked()

    @property
    def is_stuck(self) -> bool:
        """True while a call lasts for so long that nobody should wait for it."""
        return monotonic() - self._called_at > _PATIENCE

    def due(self) -> float:
        """The time of the next delivery; `inf` while nothing waits."""
        return self._since + _WINDOW if self._waiting else inf

    def add(self, observation: Observation) -> None:
        """Take an observation; for any thread."""
        if self.inline:
            self._call(observation)
            return
        waiting = self._waiting
        if len(waiting) == _MOST_WAITING:
            self.lost += 1
        waiting.append(observation)
        if len(waiting) == 1:
            self._since = monotonic()
            self.notify()

    def add_exposures(self, exposures: Iterable[Event], decisions: Iterable[Decision]) -> None:
        """Take the exposures of these decisions; a decision without a variation has none."""
        with_variation = (decision for decision in decisions if decision.variation is not None)
        for event, decision in zip(exposures, with_variation, strict=True):
            if decision.experience is not None and decision.variation is not None:
                self.add(Exposed(event.uuid, event.visitor_id, decision.experience.id, decision.variation.id))

    def deliver(self, until: float = inf) -> None:
        """Call back with everything that waits; nothing if another thread does, or this one already.

        None is begun after `until`, in monotonic seconds.
        """
        if not self._delivering.acquire(blocking=False):
            return
        try:
            for _ in range(len(self._waiting)):  # what the callback itself brings about is for the next time
                if monotonic() >= until:
                    break
                self._call(self._waiting.popleft())
        finally:
            self._delivering.release()

    def drop(self) -> None:
        """Count what still waits as lost."""
        self.lost += len(self._waiting)
        self._waiting.clear()

    def _call(self, observation: Observation) -> None:
        self._called_at = monotonic()
        try:
            self._callback(observation)
        except Exception:  # noqa: BLE001  # the application's own
            self.failures += 1
        finally:
            self._called_at = inf
