"""A clock that stands still until a test moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from convert_sdk._core.half_made import shown_half_made

_START = datetime(2026, 1, 1, tzinfo=UTC)


@shown_half_made
class FrozenClock:
    """The time of a recording client: it stands still until it is advanced.

    >>> clock = FrozenClock()
    >>> clock.now.isoformat()
    '2026-01-01T00:00:00+00:00'
    >>> clock.advance(90)
    >>> clock.now.isoformat()
    '2026-01-01T00:01:30+00:00'
    """

    def __init__(self, now: datetime = _START) -> None:
        self.now = now

    @property
    def now(self) -> datetime:
        """The time; set it to move the clock."""
        return self._now

    @now.setter
    def now(self, now: datetime) -> None:
        if not isinstance(now, datetime) or now.tzinfo is None:
            raise TypeError("a clock is set to a datetime with a time zone, as datetime.now(UTC)")
        self._now = now

    def advance(self, seconds: float) -> None:
        """Move the clock on by so many seconds."""
        self._now += timedelta(seconds=seconds)

    def __call__(self) -> float:
        """The time in seconds since the epoch."""
        return self._now.timestamp()

    def __repr__(self) -> str:
        return f"FrozenClock({self._now.isoformat()})"
