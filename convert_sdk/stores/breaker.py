"""A circuit breaker: nobody waits for a store that is down."""

from __future__ import annotations

import time

from convert_sdk._process.clock import Clock
from convert_sdk.errors import StoreError


class Breaker:
    """Refuses at once for `cooldown` seconds after a failure, then lets one caller try.

    It does no I/O and takes no lock. `clock` counts seconds and never goes back. A try that never
    reports (a cancelled task) holds the others off for one more `cooldown`, not for ever.

        >>> now = 0.0
        >>> breaker = Breaker(cooldown=3.0, clock=lambda: now)
        >>> breaker.failed()
        >>> breaker.state
        'open'
        >>> now = 3.0
        >>> breaker.enter()
        >>> breaker.succeeded()
        >>> breaker.state
        'closed'
    """

    __slots__ = ("_clock", "_retry_at", "cooldown")

    def __init__(self, *, cooldown: float = 3.0, clock: Clock = time.monotonic) -> None:
        self.cooldown = cooldown
        self._clock = clock
        self._retry_at: float | None = None

    @property
    def state(self) -> str:
        """`closed` (all may pass), `open` (nobody) or `half-open` (the next caller tries)."""
        if self._retry_at is None:
            return "closed"
        return "open" if self._clock() < self._retry_at else "half-open"

    def enter(self) -> None:
        """Pass, or raise StoreError at once while the store is spared."""
        if self._retry_at is None:
            return
        now = self._clock()
        if now < self._retry_at:
            raise StoreError("the store did not answer a moment ago; it is tried again shortly")
        self._retry_at = now + self.cooldown

    def succeeded(self) -> None:
        """The store answered: everybody may pass."""
        self._retry_at = None

    def failed(self) -> None:
        """The store did not answer: nobody passes for `cooldown` seconds."""
        self._retry_at = self._clock() + self.cooldown
