"""When to try again."""

from __future__ import annotations

from collections.abc import Callable

from .messages import Response

Random = Callable[[], float]
"""A number in [0, 1)."""

MAX_RETRY_AFTER = 300.0
"""The longest wait a server may ask for, and the cadence towards one that refuses us."""


def full_jitter(attempt: int, random: Random, *, base: float = 0.5, cap: float = 30.0) -> float:
    """Seconds to wait after failure number `attempt`, counted from 0.

    >>> full_jitter(3, lambda: 0.5)
    2.0
    """
    return random() * min(cap, base * 2.0 ** min(attempt, 60))


def slow_cadence(random: Random) -> float:
    """Five minutes, and a little more so that a fleet does not knock at once."""
    return MAX_RETRY_AFTER * (1.0 + 0.1 * random())


def retry_after(reply: Response) -> float:
    """The wait that the server asks for in seconds, 0 to 300; 0 where it does not say.

    A date is read against the reply's own `Date`, so that a wrong local clock does not matter, and
    against the local clock where there is none.

    >>> retry_after(Response(429, {"retry-after": "7"}))
    7.0
    """
    text = reply.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), MAX_RETRY_AFTER)
    until = _epoch(text)
    if until is None:
        return 0.0
    since = _epoch(reply.headers.get("date", ""))
    return min(max(until - (reply.received if since is None else since), 0.0), MAX_RETRY_AFTER)


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
