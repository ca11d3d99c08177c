"""Clocks that do not jump when somebody sets or freezes the time."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

Clock = Callable[[], float]
monotonic: Clock = partial(time.monotonic)
"""The clock of intervals and deadlines. Tools that freeze time for a host's tests replace `time.monotonic` in every
module, by its identity; what waits for a time must come to an end all the same."""


def steady_clock() -> Clock:
    """Return a clock of seconds since the epoch: the wall clock read once, carried on by the monotonic clock.

    Stored rows outlive the process, so their age needs the wall clock; but a clock that is set years
    forward while the process runs must not make every row old at once.
    """
    offset = time.time() - time.monotonic()
    return lambda: time.monotonic() + offset


def wall_time() -> float:
    """The time in seconds since the epoch, as tools that freeze it for a host's tests say."""
    return time.time()
