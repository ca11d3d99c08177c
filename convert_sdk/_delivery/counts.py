"""The books of the outbox."""

from __future__ import annotations

from typing import Literal, NamedTuple

from convert_sdk._core.events import Event
from convert_sdk._http.messages import Failure, Reply

Fate = Literal["sent", "dropped", "dead", "deduplicated"]
Standing = Literal["ok", "retrying", "denied"]
Verdict = Literal["delivered", "malformed", "again", "doubtful", "denied"]
_MALFORMED = frozenset({400, 413, 422})
_GATEWAY = frozenset({502, 504})
_BUSY = frozenset({408, 425, 429})
_LONGEST_MESSAGE = 200
_LONGEST_BODY = 8_192


class Counts(NamedTuple):
    """Where every event is: `offered` is always the sum of the other seven.

    Events that an earlier process left on disk count as offered when this one takes them over.

    >>> client.status().events.pending
    0
    """

    offered: int = 0
    sent: int = 0
    in_flight: int = 0
    queued: int = 0
    """In memory, waiting."""
    spooled: int = 0
    """On disk only."""
    dropped: int = 0
    dead: int = 0
    """Refused by the endpoint as malformed and set aside."""
    deduplicated: int = 0
    """Another process had claimed the conversion."""

    @property
    def pending(self) -> int:
        """What still waits to be sent."""
        return self.in_flight + self.queued + self.spooled


class FlushReport(NamedTuple):
    """What a flush did: events `sent` and `dropped` during it, and those `pending` after it.

    >>> FlushReport.between(Counts(offered=3, queued=3), Counts(offered=3, sent=2, queued=1))
    FlushReport(sent=2, pending=1, dropped=0)
    """

    sent: int = 0
    pending: int = 0
    dropped: int = 0

    @classmethod
    def between(cls, before: Counts, after: Counts) -> FlushReport:
        """Fold two snapshots; what the endpoint refused as malformed counts as dropped."""
        gone = after.dropped + after.dead - before.dropped - before.dead
        return cls(after.sent - before.sent, after.pending, gone)


class Trouble(NamedTuple):
    """The last thing that went wrong; `code` and `message` are the endpoint's own words."""

    status: int | None
    code: int | None
    message: str


class DeadEvent(NamedTuple):
    """An event that the endpoint refused as malformed, and what it said."""

    event: Event
    trouble: Trouble

    def __repr__(self) -> str:
        return f"DeadEvent({self.event.uuid}, {self.trouble.status}, {self.trouble.message!r})"


class Ending(NamedTuple):
    """Events that have met their fate: they may leave the spool."""

    fate: Fate
    events: tuple[Event, ...]


class Notice(NamedTuple):
    """A change of state that is worth one line in the log."""

    level: Literal["info", "warning", "error"]
    text: str


def verdict(answer: Reply | Failure) -> Verdict:
    """What an answer means for the events that were sent; redirects are not followed.

    `doubtful`: they may have arrived, as no answer came, or only a gateway's. `denied`: this key or
    this endpoint is wrong.
    """
    if isinstance(answer, Failure):
        return "again" if answer.kind == "undelivered" else "doubtful"
    if 200 <= answer.status < 300:
        return "delivered"
    if answer.status in _MALFORMED:
        return "malformed"
    if answer.status in _GATEWAY:
        return "doubtful"
    return "again" if answer.status in _BUSY or answer.status >= 500 else "denied"


def trouble_of(answer: Reply | Failure) -> Trouble:
    """What an answer says went wrong."""
    if isinstance(answer, Failure):
        return Trouble(None, None, f"{answer.kind}: {answer.detail}"[:_LONGEST_MESSAGE])
    from json import loads

    try:
        words = loads(answer.body[:_LONGEST_BODY])
    except (ValueError, RecursionError):
        words = None
    if not isinstance(words, dict):
        return Trouble(answer.status, None, "")
    code, message = words.get("code"), words.get("message")
    return Trouble(
        answer.status,
        code if type(code) is int else None,
        message[:_LONGEST_MESSAGE] if isinstance(message, str) else "",
    )
