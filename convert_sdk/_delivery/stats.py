"""Who met which outcome: the figures behind the counts, and what is worth telling."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from threading import RLock
from typing import Literal, NamedTuple

from convert_sdk._core.events import Event
from convert_sdk._core.segments import UnknownSegments
from convert_sdk._http.messages import Failure, Response
from convert_sdk.status import Counts, DeliveryError, RejectedEvent

_QUIET = 60.0


class DeliveryStats:
    """The queue writes it; whoever reads it may drain `settled` and `notices`, and changes nothing else."""

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
        "failures",
        "last_error",
        "notices",
        "refused",
        "rejected",
        "rejected_events",
        "retries",
        "sent",
        "settled",
        "spooled",
    )

    def __init__(self, *, keep_settled: bool) -> None:
        self._keep_settled = keep_settled
        self._quiet_until = 0.0
        self._unknown = UnknownSegments()
        self._lock = RLock()
        self.refused: Counter[str] = Counter(
            full=0, closed=0
        )  # a first `+=` runs Python, which may be interrupted
        """Events that were never taken, by reason: counted under a lock that nothing slow is done under."""
        self.accepted = 0
        """Taken from the queue, or over from disk."""
        self.sent = self.rejected = self.deduplicated = self.spooled = 0
        self.dropped: Counter[str] = Counter()
        """Events, by reason."""
        self.retries = 0
        """Requests to be made again."""
        self.ambiguous = 0
        """Events of requests that may have arrived although no answer did."""
        self.failures: Counter[str] = Counter()
        """Failed requests, by status or kind of failure."""
        self.endpoint_state: EndpointState = "ok"
        self.last_error: DeliveryError | None = None
        self.rejected_events: deque[RejectedEvent] = deque(maxlen=100)
        self.settled: deque[Settled] = deque()
        """What met its outcome; filled only where `keep_settled`."""
        self.notices: deque[Notice] = deque(maxlen=16)

    def settle(self, outcome: EventOutcome, events: Sequence[Event], reason: str = "") -> None:
        """Close the account of some events."""
        if outcome == "sent":
            self.sent += len(events)
            self.notices.extend(Notice("warning", text) for text in self._unknown.among(events))
        elif outcome == "dropped":
            self.dropped[reason] += len(events)
        elif outcome == "deduplicated":
            self.deduplicated += len(events)
        else:
            self.rejected += len(events)
            self.rejected_events.extend(
                RejectedEvent(event, self.last_error or _NO_ERROR) for event in events
            )
        if events and self._keep_settled:
            self.settled.append(Settled(outcome, tuple(events)))

    def refuse(self, count: int, now: float, reason: str = "full") -> None:
        """Turn events away, and say once a minute at most that there is no room. Any thread may."""
        with self._lock:
            self.refused[reason] += count
            if reason != "full" or now < self._quiet_until:
                return
            self._quiet_until = now + _QUIET
        self.notices.append(Notice("warning", "the queue is full: the newest events are dropped"))

    def dropped_by_reason(self) -> Mapping[str, int]:
        """Dropped events by reason, those that were never taken too."""
        return Counter({**self.dropped}) + Counter(
            {**self.refused}
        )  # copies: other threads add reasons meanwhile

    def counts(self, *, in_flight: int, queued: int, fresh: int) -> Counts:
        """The law, of which the queue knows what is still on its way; `fresh` is not accepted yet."""
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
        """Note a request that failed."""
        self.last_error = error
        self.failures[str(answer.status) if isinstance(answer, Response) else answer.kind] += 1

    def set_endpoint_state(
        self, state: EndpointState, level: Literal["info", "warning", "error"], text: str
    ) -> None:
        """Note how we stand with the endpoint, and tell of a change once."""
        if state != self.endpoint_state:
            self.endpoint_state = state
            self.notices.append(Notice(level, text))


_NO_ERROR = DeliveryError(None, None, "")


EventOutcome = Literal["sent", "dropped", "rejected", "deduplicated"]
EndpointState = Literal["ok", "retrying", "denied"]
ResponseClass = Literal["delivered", "malformed", "again", "doubtful", "denied"]
_MALFORMED = frozenset({400, 413, 422})
_GATEWAY = frozenset({502, 504})
_BUSY = frozenset({408, 425, 429})
_LONGEST_MESSAGE = 200
_LONGEST_BODY = 8_192


class Settled(NamedTuple):
    """Events that have met their outcome: they may leave the spool."""

    outcome: EventOutcome
    events: tuple[Event, ...]


class Notice(NamedTuple):
    """A change of state that is worth one line in the log."""

    level: Literal["info", "warning", "error"]
    text: str


def classify(answer: Response | Failure) -> ResponseClass:
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


def error_of(answer: Response | Failure) -> DeliveryError:
    """What an answer says went wrong."""
    if isinstance(answer, Failure):
        return DeliveryError(None, None, f"{answer.kind}: {answer.detail}"[:_LONGEST_MESSAGE])
    from json import loads

    try:
        words = loads(answer.body[:_LONGEST_BODY])
    except (ValueError, RecursionError):
        words = None
    if not isinstance(words, dict):
        return DeliveryError(answer.status, None, "")
    code, message = words.get("code"), words.get("message")
    return DeliveryError(
        answer.status,
        code if type(code) is int else None,
        message[:_LONGEST_MESSAGE] if isinstance(message, str) else "",
    )
