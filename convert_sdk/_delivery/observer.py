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


class Observer:
    """Observations on their way to the hooks, at once, and to the callbacks, in order by a thread of their own.

    If the callbacks cannot keep up, the oldest observation is dropped and counted in `lost`.
    """

    __slots__ = (
        "_callbacks",
        "_called_at",
        "_delivering",
        "_hooks",
        "_told",
        "_waiting",
        "failures",
        "hook_failures",
        "lost",
        "notify",
        "with_facts",
    )

    def __init__(
        self,
        callbacks: Iterable[Callable[[Observation], object]],
        hooks: Iterable[Callable[[Observation], object]] = (),
        *,
        with_facts: bool = False,
    ) -> None:
        self._callbacks = (*callbacks,)
        self._hooks = (*hooks,)
        self.with_facts = with_facts
        self.notify: Callable[[], None] = lambda: None
        """Called when there is something to deliver of which nobody was told yet."""
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """Start with nothing that waits: it is the parent's."""
        self._waiting: deque[Observation] = deque(maxlen=_MOST_WAITING)
        self._called_at = inf
        self.failures = self.hook_failures = self.lost = 0
        self.reset_locks()

    def reset_locks(self) -> None:
        """Make a new lock; for a time at which nobody holds the old one. Whoever delivers then is told anew."""
        self._delivering = threading.Lock()
        self._told = False

    @property
    def has_callbacks(self) -> bool:
        """True if there are callbacks, which need a thread, and not hooks alone."""
        return bool(self._callbacks)

    @property
    def is_idle(self) -> bool:
        """True while nothing waits and no call is under way."""
        return not self._waiting and not self._delivering.locked()

    @property
    def is_stuck(self) -> bool:
        """True while a call lasts for so long that nobody should wait for it."""
        return monotonic() - self._called_at > _PATIENCE

    def due(self) -> float:
        """The time of the next delivery: at once, or `inf` while nothing waits."""
        return 0.0 if self._waiting else inf

    def add(self, observation: Observation) -> None:
        """Take an observation; for any thread."""
        for hook in self._hooks:
            try:
                hook(observation)
            except Exception:  # noqa: BLE001  # the application's own
                self.hook_failures += 1
        if not self._callbacks:
            return
        waiting = self._waiting
        if len(waiting) == _MOST_WAITING:
            self.lost += 1
        waiting.append(observation)
        # Not by their number: of two threads that append at once, neither need see the first one alone.
        if not self._told:
            self._told = True
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
            self._told = False  # before they are counted: what comes after the count is told anew
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
        self._told = False

    def _call(self, observation: Observation) -> None:
        for callback in self._callbacks:
            self._called_at = monotonic()
            try:
                callback(observation)
            except Exception:  # noqa: BLE001  # the application's own
                self.failures += 1
            finally:
                self._called_at = inf
