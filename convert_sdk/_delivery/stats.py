"""The counters of one queue, and the meaning of a response for the events that were sent."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Literal, NamedTuple

from convert_sdk._core.events import Event
from convert_sdk._core.segments import UnknownSegments
from convert_sdk._http.messages import Failure, Response
from convert_sdk._urls import masked
from convert_sdk.status import (
    Counts,
    DeliveryError,
    DropReason,
    EndpointState,
    EventOutcome,
    RejectedEvent,
)

Level = Literal["info", "warning", "error"]
_QUIET = 60.0
"""Seconds between two warnings about a full queue."""
_MALFORMED = frozenset({400, 413, 422})
_GATEWAY = frozenset({502, 504})
BUSY = frozenset({408, 425, 429})
"""Statuses that ask for the same request later."""
_LONGEST_MESSAGE = 200
_LONGEST_BODY = 8_192
_NO_ERROR = DeliveryError(None, None, "")


class ResponseClass(StrEnum):
    """The meaning of a response for the events that were sent."""

    DELIVERED = "delivered"
    RETRY = "retry"
    REJECTED = "rejected"
    """One of the events, or all of them, is malformed."""
    DENIED = "denied"
    """This key or this endpoint is wrong."""
    AMBIGUOUS = "ambiguous"
    """They may have arrived: no response came, or only a gateway's."""


class Settled(NamedTuple):
    """Events that have met their end: they may leave the spool."""

    outcome: EventOutcome
    events: tuple[Event, ...]
    error: DeliveryError = _NO_ERROR
    """The reason why they were rejected."""


class Notice(NamedTuple):
    """A change of state that is worth one line in the log."""

    level: Level
    text: str


class DeliveryStats:
    """The counters of one queue, which alone writes them.

    Others may take `settled` and `notices` out, and call `refuse`; they change nothing else.
    """

    __slots__ = (
        "_keep_settled",
        "_lock",
        "_quiet_until",
        "_unknown",
        "accepted",
        "ambiguous",
        "deduplicated",
        "dropped",
        "endpoint_state",
        "failing_since",
        "failures",
        "last_error",
        "notices",
        "refused",
        "rejected",
        "rejected_events",
        "retries",
        "returned",
        "sent",
        "settled",
        "spooled",
    )

    def __init__(self, *, keep_settled: bool) -> None:
        self._keep_settled = keep_settled
        self._quiet_until = 0.0
        self._unknown = UnknownSegments()
        self.reset_locks()
        # All reasons from the start: the first `+=` of a missing one runs Python, which a handler may interrupt.
        self.refused: Counter[DropReason] = Counter(
            {DropReason.FULL: 0, DropReason.CLOSED: 0, DropReason.CONSENT: 0, DropReason.FORGOTTEN: 0}
        )
        """Events that were never accepted, under a lock that is never held for long."""
        self.accepted = 0
        """Events that were offered and taken, or found on disk."""
        self.sent = self.rejected = self.deduplicated = self.spooled = 0
        self.returned = 0
        """Events that were on disk only, and are so no longer."""
        self.dropped: Counter[DropReason] = Counter()
        """Accepted events that were dropped."""
        self.retries = 0
        """Requests to be made again."""
        self.ambiguous = 0
        """Events of requests that may have arrived although no response did."""
        self.failures: Counter[str] = Counter()
        """Failed requests, by status or kind of failure."""
        self.endpoint_state = EndpointState.OK
        self.failing_since: float | None = None
        """The time of the first failed request after the last good one; monotonic seconds."""
        self.last_error: DeliveryError | None = None
        self.rejected_events: deque[RejectedEvent] = deque(maxlen=100)
        self.settled: deque[Settled] = deque()
        """Filled only if `keep_settled`, for somebody who takes it out."""
        self.notices: deque[Notice] = deque(maxlen=16)

    def reset_locks(self) -> None:
        """Make a new lock; for a time at which nobody holds the old one."""
        self._lock = threading.RLock()

    def settle(self, outcome: EventOutcome, events: Sequence[Event]) -> None:
        """Count events that were sent, rejected or deduplicated."""
        error = _NO_ERROR
        if outcome is EventOutcome.SENT:
            self.sent += len(events)
            self.notices.extend(Notice("warning", text) for text in self._unknown.among(events))
        elif outcome is EventOutcome.DEDUPLICATED:
            self.deduplicated += len(events)
        else:
            self.rejected += len(events)
            error = self.last_error or _NO_ERROR
            self.rejected_events.extend(RejectedEvent(event, error) for event in events)
        self._note_settled(outcome, events, error)

    def drop(self, events: Sequence[Event], reason: DropReason) -> None:
        """Count accepted events that are given up."""
        self.dropped[reason] += len(events)
        self._note_settled(EventOutcome.DROPPED, events)

    def forget(self, visitor_id: str) -> None:
        """Forget the rejected events of a visitor, but not their number."""
        kept = [each for each in self.rejected_events if each.event.visitor_id != visitor_id]
        self.rejected_events = deque(kept, maxlen=self.rejected_events.maxlen)

    def _note_settled(
        self, outcome: EventOutcome, events: Sequence[Event], error: DeliveryError = _NO_ERROR
    ) -> None:
        if events and self._keep_settled:
            self.settled.append(Settled(outcome, tuple(events), error))

    def refuse(self, count: int, now: float, reason: DropReason = DropReason.FULL) -> None:
        """Count events that are not accepted, and warn of a full queue at most once a minute. For any thread."""
        with self._lock:
            self.refused[reason] += count
            if reason is not DropReason.FULL or now < self._quiet_until:
                return
            self._quiet_until = now + _QUIET
        self.notices.append(Notice("warning", "the queue is full: the newest events are dropped"))

    def dropped_by_reason(self) -> Mapping[DropReason, int]:
        """Dropped and refused events together."""
        # Copies, as other threads may add a reason meanwhile.
        return Counter({**self.dropped}) + Counter({**self.refused})

    def counts(self, *, in_flight: int, queued: int, fresh: int) -> Counts:
        """The counters, with the three figures that the queue itself knows; `fresh` events are not accepted yet."""
        refused = self.refused.total()
        return Counts(
            offered=self.accepted + fresh + refused,
            sent=self.sent,
            in_flight=in_flight,
            queued=queued,
            spooled=self.spooled,
            dropped=self.dropped.total() + refused,
            rejected=self.rejected,
            deduplicated=self.deduplicated,
        )

    def note_failure(self, answer: Response | Failure, error: DeliveryError) -> None:
        """Count a request that failed."""
        self.last_error = error
        self.failures[str(answer.status) if isinstance(answer, Response) else answer.kind] += 1

    def set_endpoint_state(self, state: EndpointState, level: Level, text: str) -> None:
        """Note the state of the endpoint, with one notice per change."""
        if state is not self.endpoint_state:
            self.endpoint_state = state
            self.notices.append(Notice(level, text))


def classify(answer: Response | Failure) -> ResponseClass:
    """The meaning of a response, or of none; redirects are not followed."""
    if isinstance(answer, Failure):
        return ResponseClass.RETRY if answer.kind == "undelivered" else ResponseClass.AMBIGUOUS
    status = answer.status
    if 200 <= status < 300:
        return ResponseClass.DELIVERED
    if status in _MALFORMED:
        return ResponseClass.REJECTED
    if status in _GATEWAY:
        return ResponseClass.AMBIGUOUS
    return ResponseClass.RETRY if status in BUSY or status >= 500 else ResponseClass.DENIED


def redirection(answer: Response | Failure) -> str:
    """The words that say where a redirect leads, which is not followed; nothing for another response."""
    if isinstance(answer, Failure) or not 300 <= answer.status < 400:
        return ""
    leads_to = masked(answer.headers.get("location", "").partition("?")[0])[:_LONGEST_MESSAGE]
    return f" and leads to {leads_to}, which is not followed" if leads_to else ""


def error_of(answer: Response | Failure) -> DeliveryError:
    """The error in a response, in the endpoint's own words if it has any."""
    if isinstance(answer, Failure):
        return DeliveryError(None, None, f"{answer.kind}: {answer.detail}"[:_LONGEST_MESSAGE])
    from json import loads

    try:
        body = loads(answer.body[:_LONGEST_BODY])
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        return DeliveryError(answer.status, None, redirection(answer).removeprefix(" and "))
    code, message = body.get("code"), body.get("message")
    return DeliveryError(
        answer.status,
        code if type(code) is int else None,
        message[:_LONGEST_MESSAGE] if isinstance(message, str) else "",
    )
