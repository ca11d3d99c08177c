"""Back-off: the time to wait before the next attempt."""

from __future__ import annotations

import re
from collections.abc import Callable
from math import inf

from .messages import Response

Random = Callable[[], float]
"""A source of random numbers in [0, 1)."""

MAX_RETRY_AFTER = 300.0
"""The longest wait in seconds that Convert's servers may ask for, and the interval towards one that refuses us."""
_NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)


def full_jitter(attempt: int, random: Random, *, base: float = 0.5, cap: float = 30.0) -> float:
    """Seconds to wait after failure number `attempt`, counted from 0.

    >>> full_jitter(3, lambda: 0.5)
    2.0
    """
    return random() * min(cap, base * 2.0 ** min(attempt, 60))


def slow_cadence(random: Random) -> float:
    """Five minutes, and a random bit more, so that many processes do not return at the same moment."""
    return MAX_RETRY_AFTER * (1.0 + 0.1 * random())


def retry_after(response: Response, *, cap: float = inf) -> float | None:
    """Read the wait that the server asks for, in seconds and at most `cap`; None if it does not ask for one.

    A date is read against the response's own `Date`, so that a wrong local clock does not matter, and
    against the local clock if there is none.

    >>> retry_after(Response(429, {"retry-after": "7"}))
    7.0
    """
    text = response.headers.get("retry-after", "").strip()
    if _NUMBER.fullmatch(text):
        return min(float(text), cap)
    until = _epoch(text)
    if until is None:
        return None
    since = _epoch(response.headers.get("date", ""))
    return min(max(until - (response.received if since is None else since), 0.0), cap)


def _epoch(text: str) -> float | None:
    if not text:
        return None
    from datetime import UTC
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
