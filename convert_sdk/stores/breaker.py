"""A circuit breaker: nobody waits for a store that is down."""

from __future__ import annotations

import time
from enum import StrEnum

from convert_sdk._process.clock import Clock
from convert_sdk.errors import StoreError


class BreakerState(StrEnum):
    """The callers that may pass.

    >>> Breaker().state is BreakerState.CLOSED
    True
    """

    CLOSED = "closed"
    """Everybody."""
    OPEN = "open"
    """Nobody: the store is spared."""
    HALF_OPEN = "half_open"
    """The next caller, who tries."""


class Breaker:
    """Refuses at once for `cooldown` seconds after a failure, then lets one caller try.

    It does no I/O and takes no lock. `clock` counts seconds and never goes back. A try that never
    reports (a cancelled task) holds the others off for one more `cooldown`, not for ever.

        >>> now = 0.0
        >>> breaker = Breaker(cooldown=3.0, clock=lambda: now)
        >>> breaker.failed()
        >>> breaker.state.value
        'open'
        >>> now = 3.0
        >>> breaker.enter()
        >>> breaker.succeeded()
        >>> breaker.state.value
        'closed'
    """

    __slots__ = ("_clock", "_retry_at", "cooldown")

    def __init__(self, *, cooldown: float = 3.0, clock: Clock = time.monotonic) -> None:
        self.cooldown = cooldown
        self._clock = clock
        self._retry_at: float | None = None

    @property
    def state(self) -> BreakerState:
        """The state of this moment.

        >>> Breaker().state.value
        'closed'
        """
        if self._retry_at is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self._clock() < self._retry_at else BreakerState.HALF_OPEN

    def enter(self) -> None:
        """Pass, or raise StoreError at once while the store is spared.

        >>> Breaker().enter()
        """
        if self._retry_at is None:
            return
        now = self._clock()
        if now < self._retry_at:
            raise StoreError("the store did not answer a moment ago; it is tried again shortly")
        self._retry_at = now + self.cooldown

    def succeeded(self) -> None:
        """The store answered: everybody may pass.

        >>> Breaker().succeeded()
        """
        self._retry_at = None

    def failed(self) -> None:
        """The store did not answer: nobody passes for `cooldown` seconds.

        >>> breaker = Breaker(cooldown=60)
        >>> breaker.failed()
        >>> breaker.state.value
        'open'
        """
        self._retry_at = self._clock() + self.cooldown
