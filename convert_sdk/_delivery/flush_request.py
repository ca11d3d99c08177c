"""A flush, as the sender sees it: the conditions that it waits for, and its deadline."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from math import inf

from convert_sdk._process.clock import monotonic


class Flush(Enum):
    """The events that a flush waits for, and how long it tries."""

    NOW = "now"
    """Those that wait at its start, until a request fails that was sent ahead of a back-off."""
    ENDING = "ending"
    """Those that wait at its start, with every retry that the time allows: the process may end."""
    CLOSING = "closing"
    """Later ones, too."""
    LAST = "last"
    """Those in a request; none is begun any more: the process ends, and the others wait in the spool."""


class FlushRequest:
    """One flush, from the call to its end.

    Args:
        until: The deadline, in monotonic seconds.
        steps: Conditions, each to be asked once the one before it holds.
        failed: Called to learn whether a request failed that was sent ahead of a back-off.
        releases: True where conversions are sent unclaimed rather than not at all.
    """

    __slots__ = ("_failed", "_over", "_step", "_steps", "ended", "halfway", "release_at", "until")

    def __init__(
        self,
        until: float,
        steps: Iterator[Callable[[], bool]],
        failed: Callable[[], bool],
        *,
        releases: bool,
    ) -> None:
        self.until = until
        self.halfway = (monotonic() + until) / 2
        """The time until which the sender waits for the store, so that all goes out together."""
        self.release_at = self.halfway if releases else inf
        """The time at which conversions no longer wait for the store; `inf` if they do to the end."""
        self.ended: Callable[[], None] = lambda: None
        """Called once it is over."""
        self._steps = steps
        self._step = next(steps, None)
        self._failed = failed
        self._over = False
        self.check(lambda: 0.0)

    @property
    def over(self) -> bool:
        """True once nobody needs to wait any more."""
        return self._over

    @property
    def is_complete(self) -> bool:
        """True if all that was waited for has come about."""
        return self._step is None

    def check(self, next_change: Callable[[], float]) -> bool:
        """Go through the conditions that hold by this time; True once it is over.

        `next_change` gives the time at which something can happen next. The sender asks it, between two requests.
        """
        if not self._over:
            while self._step is not None and self._step():
                self._step = next(self._steps, None)
            over = self._step is None or monotonic() >= self.until or self._failed()
            if over or min(next_change(), self.release_at) > self.until:
                self._over = True
                self.ended()
        return self._over
