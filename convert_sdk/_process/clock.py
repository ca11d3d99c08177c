"""Wall-clock time that a correction of the clock does not move."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]


def steady_clock() -> Clock:
    """Seconds since the epoch as read once, now, and carried on by the monotonic clock.

    What is stored outlives the process, so its age needs the wall clock; but a clock that is set
    years forward while the process runs must not make everything old at once.
    """
    offset = time.time() - time.monotonic()
    return lambda: time.monotonic() + offset
