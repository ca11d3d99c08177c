"""Wall-clock time that does not jump when somebody sets the clock."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]


def steady_clock() -> Clock:
    """Return a clock of seconds since the epoch: the wall clock read once, carried on by the monotonic clock.

    Stored rows outlive the process, so their age needs the wall clock; but a clock that is set years
    forward while the process runs must not make every row old at once.
    """
    offset = time.time() - time.monotonic()
    return lambda: time.monotonic() + offset
