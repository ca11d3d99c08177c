"""Who met which fate: the figures behind the counts, and what is worth telling."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from threading import RLock
from typing import Literal, NamedTuple

from convert_sdk._core.events import Event
from convert_sdk._core.segments import Unknown
from convert_sdk._http.messages import Failure, Reply
from convert_sdk.status import Counts, DeadEvent, Trouble

_QUIET = 60.0


class Ledger:
    """The outbox writes it; whoever reads it may drain `endings` and `notices`, and changes nothing else."""

    __slots__ = (
        "_door",
        "_quiet_until",
        "_unknown",
        "_watched",
        "accepted",
        "dead",
        "dead_events",
        "deduplicated",
        "doubted",
        "dropped",
        "endings",
        "failures",
        "notices",
        "refused",
        "retries",
        "sent",
        "spooled",
        "standing",
        "trouble",
    )

    def __init__(self, *, watched: bool) -> None:
        self._watched = watched
        self._quiet_until = 0.0
        self._unknown = Unknown()
        self._door = RLock()
        self.refused: Counter[str] = Counter(
            full=0, closed=0
        )  # a first `+=` runs Python, which may be interrupted
        """Events that were never taken, by reason: counted under a lock that nothing slow is done under."""
        self.accepted = 0
        """Taken from the queue, or over from disk."""
        self.sent = self.dead = self.deduplicated = self.spooled = 0
        self.dropped: Counter[str] = Counter()
        """Events, by reason."""
        self.retries = 0
        """Requests to be made again."""
        self.doubted = 0
        """Events of requests that may have arrived although no answer did."""
        self.failures: Counter[str] = Counter()
        """Failed requests, by status or kind of failure."""
        self.standing: Standing = "ok"
        self.trouble: Trouble | None = None
        self.dead_events: deque[DeadEvent] = deque(maxlen=100)
        self.endings: deque[Ending] = deque()
        """What met its fate; filled only where `watched`."""
        self.notices: deque[Notice] = deque(maxlen=16)

    def settle(self, fate: Fate, events: Sequence[Event], reason: str = "") -> None:
        """Close the account of some events."""
        if fate == "sent":
            self.sent += len(events)
            self.notices.extend(Notice("warning", text) for text in self._unknown.among(events))
        elif fate == "dropped":
            self.dropped[reason] += len(events)
        elif fate == "deduplicated":
            self.deduplicated += len(events)
        else:
            self.dead += len(events)
            self.dead_events.extend(DeadEvent(event, self.trouble or _NO_TROUBLE) for event in events)
        if events and self._watched:
            self.endings.append(Ending(fate, tuple(events)))

    def refuse(self, count: int, now: float, reason: str = "full") -> None:
        """Turn events away, and say once a minute at most that there is no room. Any thread may."""
        with self._door:
            self.refused[reason] += count
            if reason != "full" or now < self._quiet_until:
                return
            self._quiet_until = now + _QUIET
        self.notices.append(Notice("warning", "the outbox is full: the newest events are dropped"))

    def losses(self) -> Mapping[str, int]:
        """Dropped events by reason, those that were never taken too."""
        return Counter({**self.dropped}) + Counter(
            {**self.refused}
        )  # copies: other threads add reasons meanwhile

    def counts(self, *, in_flight: int, queued: int, fresh: int) -> Counts:
        """The law, of which the outbox knows what is still on its way; `fresh` is not accepted yet."""
        refused = self.refused.total()
        return Counts(
            offered=self.accepted + fresh + refused,
            sent=self.sent,
            in_flight=in_flight,
            queued=queued,
            spooled=self.spooled,
            dropped=self.dropped.total() + refused,
            dead=self.dead,
            deduplicated=self.deduplicated,
        )

    def fail(self, answer: Reply | Failure, trouble: Trouble) -> None:
        """Note a request that failed."""
        self.trouble = trouble
        self.failures[str(answer.status) if isinstance(answer, Reply) else answer.kind] += 1

    def stand(self, standing: Standing, level: Literal["info", "warning", "error"], text: str) -> None:
        """Note how we stand with the endpoint, and tell of a change once."""
        if standing != self.standing:
            self.standing = standing
            self.notices.append(Notice(level, text))


_NO_TROUBLE = Trouble(None, None, "")


Fate = Literal["sent", "dropped", "dead", "deduplicated"]
Standing = Literal["ok", "retrying", "denied"]
Verdict = Literal["delivered", "malformed", "again", "doubtful", "denied"]
_MALFORMED = frozenset({400, 413, 422})
_GATEWAY = frozenset({502, 504})
_BUSY = frozenset({408, 425, 429})
_LONGEST_MESSAGE = 200
_LONGEST_BODY = 8_192


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
