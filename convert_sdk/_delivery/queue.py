"""The queue of events on their way out: batches, retries, claims, and counters that prove that none gets lost.

Theory of operation
-------------------
An event is in one state at a time. `TRANSITIONS` lists, method by method, every move that an event can make; the
tests walk through all of them. In short:

    offer --> OFFERED --(unwritten)--> WRITING --(written)--> QUEUED --next_request--> IN_FLIGHT --> SENT
                 |                        |                   ^    ^                       |
                 |                    (spooled)               |    |                       +-------> REJECTED
                 |                        v                   |    |                       v
                 |                     SPOOLED --(restore)----+    +------next_request-- RETRY
                 |                                            |
                 +--------------next_request------------------+---- HELD, until its claim is decided

The steps in brackets exist only with `DeliveryConfig(durable=True)`, where a spool writes events before they are
sent. From every state an event may also become DROPPED; from HELD it may become DEDUPLICATED.

*Time.* The queue has no clock and never sleeps: callers pass `now`, in monotonic seconds, and a retry is a due time.
Four times matter. `_offered_at`: the first event that waits was offered; `flush_interval` later a request is due,
at once when a batch is full. `_ready_at`: the same for events that came back from the disk or from a claim.
`_blocked_until`: no request before this, because of back-off or `Retry-After`. `expiry` of the lanes: the first held
event has waited long enough for the store and is sent unclaimed. `override_backoff` ignores all but the last for the
events that wait at that moment, until they are sent or one request fails.

*Locks.* `offer` is on the request path and takes no lock: it appends to a deque, which any thread may do. All else
changes the state under `lock`, which is re-entrant and never held across I/O. While a change is under way, `counts`
answers with the figures from before it: a signal handler that interrupts the change, in the same thread, reads a sum
that adds up. Such a handler finds the queue `busy` and must not change anything but by `offer`.

*Notifications.* `notify` is called after the first event of a batch and after the one that fills it, always after
the events are in the queue: a sender that takes everything between the two loses nothing.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from itertools import chain, islice
from math import inf
from typing import Literal, NamedTuple

from cachetools import FIFOCache

from convert_sdk._core.events import Event, TrackingContext, tracking_body
from convert_sdk._http.backoff import MAX_RETRY_AFTER, Random, full_jitter, retry_after, slow_cadence
from convert_sdk._http.messages import TIMEOUT, Failure, Request, Response
from convert_sdk._process.locks import held_by_this_thread
from convert_sdk._urls import host_of
from convert_sdk.status import Counts, DeliveryError, DropReason, EndpointState, EventOutcome

from .stats import DeliveryStats, ResponseClass, classify, error_of, redirection

MOST_EVENTS = 1_000
MOST_BYTES = 512 * 1024
"""The largest body of one request."""
CLAIM_PATIENCE = 5.0
"""Seconds that a conversion waits for the store before it is sent unclaimed."""
MANY_REFUSALS = 32
"""More refusals in a row than this are not one bad event but a bad endpoint: bisecting slows down."""
_MARGIN = 2.0
"""A request may take so much longer than the one before it."""
_MOST_DECIDED = 10_000


class EventState(Enum):
    """The place of an event."""

    OFFERED = "offered"
    """Accepted; no other thread has looked at it yet."""
    WRITING = "writing"
    """About to be written to the spool."""
    SPOOLED = "spooled"
    """On disk only."""
    HELD = "held"
    """Waiting until its claim in a shared store is decided."""
    QUEUED = "queued"
    """Waiting for a request."""
    RETRY = "retry"
    """Part of a batch that is sent again, whole or halved."""
    IN_FLIGHT = "in_flight"
    """Part of the request under way."""
    SENT = "sent"
    REJECTED = "rejected"
    DEDUPLICATED = "deduplicated"
    DROPPED = "dropped"


def _moves(*pairs: tuple[str, str]) -> frozenset[tuple[EventState, EventState]]:
    """Every pair of a state on the left and one on the right."""
    return frozenset(
        (EventState[before], EventState[after])
        for left, right in pairs
        for before in left.split()
        for after in right.split()
    )


TRANSITIONS: Mapping[str, frozenset[tuple[EventState, EventState]]] = {
    "unwritten": _moves(("OFFERED", "WRITING")),
    "written": _moves(("WRITING", "QUEUED HELD DEDUPLICATED")),
    "spooled": _moves(("WRITING", "SPOOLED")),
    "restore": _moves(("SPOOLED", "QUEUED HELD DEDUPLICATED")),
    "drop_spooled": _moves(("SPOOLED", "DROPPED")),
    "resolve_claims": _moves(("HELD", "QUEUED DEDUPLICATED")),
    "send_unclaimed": _moves(("OFFERED", "QUEUED DEDUPLICATED"), ("HELD", "QUEUED")),
    # A batch that is too large, or cannot be written as JSON, is halved before it leaves.
    "next_request": _moves(
        ("OFFERED", "QUEUED HELD DEDUPLICATED IN_FLIGHT RETRY REJECTED"),
        ("HELD", "QUEUED IN_FLIGHT RETRY REJECTED"),
        ("QUEUED", "IN_FLIGHT RETRY REJECTED"),
        ("RETRY", "IN_FLIGHT REJECTED"),
    ),
    "handle_response": _moves(("IN_FLIGHT", "SENT RETRY REJECTED DROPPED SPOOLED")),
    "forget": _moves(("OFFERED WRITING HELD QUEUED RETRY", "DROPPED")),
    "close": _moves(("OFFERED", "DROPPED"), ("WRITING HELD QUEUED RETRY", "DROPPED SPOOLED")),
}
"""Every move of an event, by the method that makes it; `offer` is the beginning."""


class DeliveryConfig(NamedTuple):
    """The options that events are delivered by; times in seconds."""

    max_queue: int = 10_000
    batch_size: int = 100
    """As many events start a request at once."""
    flush_interval: float = 1.0
    """The time after which fewer events do."""
    delivery: Literal["at_least_once", "at_most_once"] = "at_least_once"
    durable: bool = False
    """True if events pass through `unwritten` and `written` before they are sent."""
    timeout: float = TIMEOUT
    """The time for one whole response."""
    keep_settled: bool = False
    """True if somebody takes `stats.settled` out."""


class Endpoint(NamedTuple):
    """The address that events are sent to, and the account and project that they belong to."""

    url: str
    headers: Mapping[str, str]
    address: TrackingContext
    enrich_data: bool = True

    def __repr__(self) -> str:
        return f"Endpoint({host_of(self.url)!r}, {self.address!r})"


class Snapshot(NamedTuple):
    """The events that waited at one moment, and the number of settled ones once all of them are."""

    waiting: Mapping[int, Event]
    """The events in memory by their identities; held, as a later event may get the identity of one that is gone."""
    settled: int


class ForgottenEvents(NamedTuple):
    """The events of a forgotten visitor: those that were dropped, and those of the request under way."""

    dropped: int
    in_flight: int


class EventQueue:
    """The machine that delivers events; nothing is due before `set_endpoint`.

    `notify` is called when an offer makes something due earlier. `random` gives numbers in [0, 1).
    """

    __slots__ = (
        "_accepts",
        "_attempt",
        "_before",
        "_begun_at",
        "_blocked_until",
        "_config",
        "_endpoint",
        "_flight",
        "_forcing",
        "_forgotten",
        "_fresh",
        "_kept_on_disk",
        "_lanes",
        "_notify",
        "_notify_at",
        "_offered_at",
        "_overridden",
        "_random",
        "_ready_at",
        "_refusals",
        "_room",
        "_sends",
        "_taken",
        "_until",
        "_unwritten",
        "forced_failures",
        "lock",
        "stats",
    )

    def __init__(
        self, config: DeliveryConfig, *, random: Random, notify: Callable[[], None] = lambda: None
    ) -> None:
        self._config = config
        self._random = random
        self._notify = notify
        self._before: Counts | None = None
        """The counts from before the change under way."""
        self._endpoint: Endpoint | None = None
        self._fresh: deque[Event] = deque()
        """Events in state OFFERED."""
        self._unwritten: list[Event] = []
        """Events in state WRITING."""
        self._lanes = Lanes()
        """Events in the states HELD, QUEUED and RETRY."""
        self._flight: list[Event] = []
        self._forgotten: set[str] = set()
        """Visitors who were forgotten while events of theirs were in flight."""
        self._room = config.max_queue
        """The number of OFFERED events that there is room for; less than 0 once closed."""
        self._notify_at: float = 1
        """The number of OFFERED events at which `notify` is called next."""
        self._offered_at = self._ready_at = self._blocked_until = 0.0
        self._attempt = self._refusals = 0
        """Failures and refusals in a row."""
        self._overridden = 0
        """The number of events that are still to be sent whatever the times say."""
        self._forcing = False
        """True while back-off is active and overridden."""
        self.forced_failures = 0
        """Requests that failed although back-off was overridden for them."""
        self._accepts = self._sends = True
        self._until = inf
        """The time after which no answer is waited for."""
        self._begun_at = self._taken = 0.0
        """The start of the last request, and the seconds until its answer."""
        self._kept_on_disk: Container[str] | None = None
        """Once closed, the ids of the events that stay in the spool."""
        self.stats = DeliveryStats(keep_settled=config.keep_settled)
        self.reset_locks()

    def reset_locks(self) -> None:
        """Make new locks of the kind that `threading` has at this moment; for a time at which nobody holds one."""
        self.lock = threading.RLock()
        self.stats.reset_locks()

    # The request path.

    def offer(self, events: Sequence[Event], now: float) -> bool:
        """Accept all of the events or, where they do not fit, none: the newest are dropped and counted."""
        fresh = self._fresh
        if len(fresh) + len(events) > self._room:
            self.stats.refuse(len(events), now, DropReason.CLOSED if self.closed else DropReason.FULL)
            return False
        fresh.extend(events)
        if len(fresh) >= self._notify_at:
            self._notify_once(now)
        return True

    def _notify_once(self, now: float) -> None:
        """Notify for the first event, and for a full batch."""
        if self._kept_on_disk is not None:  # a handler closed the queue between the check for room and this
            self.close(self._kept_on_disk)
        if self._notify_at == 1:
            self._offered_at = now
        self._notify_at = self._config.batch_size if len(self._fresh) < self._config.batch_size else inf
        if not self._fresh:
            self._notify_at = 1  # all taken meanwhile: the next event is a first one
        self._notify()  # last: the sender sees all that came without a notification

    # The machine.

    def set_endpoint(self, endpoint: Endpoint) -> None:
        """Send events to this address from now on."""
        with self._changing():
            self._endpoint = endpoint

    def due(self) -> float:
        """The time of the next request; `inf` while one is under way or nothing waits."""
        with self.lock:
            return self._due()

    def next_change(self) -> float:
        """The time at which something can happen next; 0 while a request is under way."""
        with self.lock:
            return 0.0 if self._flight else self._due()

    def next_request(self, now: float) -> Request | None:
        """The next batch, if one is due: up to 1,000 events or 512 KiB."""
        with self._changing():
            if self._endpoint is None or self._due() > now:
                return None
            if now + _MARGIN * self._taken > self._until:
                self._sends = False
                return None
            self._begun_at = now
            self._take_offered(now)
            self._lanes.release(now)
            self._flight = self._lanes.next_batch(MOST_EVENTS, MOST_BYTES)
            try:
                return self._request(self._endpoint, now) if self._flight else None
            finally:
                self._measure()

    def handle_response(self, answer: Response | Failure, now: float) -> None:
        """Settle, halve or keep the batch in flight."""
        with self._changing():
            batch, self._flight = self._flight, []
            self._taken = now - self._begun_at
            if batch:
                self._settle(batch, answer, now)
                if self._forgotten:
                    self._drop([event for event in batch if event.visitor_id in self._forgotten])
                    self._forgotten.clear()
                self._measure()
            if self._kept_on_disk is not None:
                self._give_up(self._kept_on_disk)

    def override_backoff(self) -> None:
        """Make everything that waits due now, back-off or not, until it is sent or one request fails."""
        with self._changing():
            self._overridden = len(self._fresh) + len(self._unwritten) + len(self._lanes)
            self._forcing = self._attempt > 0 or self.stats.endpoint_state is EndpointState.DENIED
        self._notify()

    def waive_interval(self, now: float) -> None:
        """Make due what waits for the end of `flush_interval`; a back-off stays."""
        with self._changing():
            self._offered_at = min(self._offered_at, now - self._config.flush_interval)
            self._ready_at = min(self._ready_at, now)

    def send_immediately(self) -> None:
        """Wait for no `flush_interval` any more: the process is about to end."""
        with self._changing():
            self._config = self._config._replace(flush_interval=0.0)
        self.override_backoff()

    # The spool.

    def write_due(self, *, events: int = 100, window: float = 0.05) -> float:
        """The time at which to call `unwritten`: at so many events, or so many seconds after the first."""
        with self.lock:
            if self._unwritten or len(self._fresh) >= events:
                return 0.0
            return self._offered_at + window if self._fresh else inf

    def unwritten(self, most: int | None = None) -> Sequence[Event]:
        """The events to write next; the same ones again until `written` or `spooled` is called."""
        with self._changing():
            self._collect(len(self._fresh) if most is None else most - len(self._unwritten))
            self._measure()
            return tuple(self._unwritten)

    def written(self, now: float) -> None:
        """Send the events of `unwritten`, which are on disk or, if the disk failed, not."""
        with self._changing():
            if not self._lanes.sendable:
                self._ready_at = now + self._config.flush_interval
            self._admit(self._unwritten, now)
            self._unwritten = []

    def spooled(self) -> None:
        """Let go of the events of `unwritten`: they are on disk, and come back by `restore`."""
        with self._changing():
            self.stats.spooled += len(self._unwritten)
            self._unwritten = []
            self._measure()

    def count_spooled(self, count: int) -> None:
        """Count events that were found on disk: offered to an earlier process, and to this one too."""
        with self._changing():
            self.stats.accepted += count
            self.stats.spooled += count

    def restore(self, events: Sequence[Event], now: float) -> None:
        """Take spooled events back from disk; their claims are decided again."""
        with self._changing():
            if not self._lanes.sendable:
                self._ready_at = now
            self._admit(events, now)
            self.stats.spooled -= len(events)
            self.stats.returned += len(events)
            self._measure()

    def drop_spooled(self, count: int, reason: DropReason) -> None:
        """Count spooled events that the disk no longer has."""
        with self._changing():
            self.stats.spooled -= count
            self.stats.returned += count
            self.stats.dropped[reason] += count

    # A visitor who is forgotten.

    def forget(self, visitor_id: str) -> ForgottenEvents:
        """Drop a visitor's events that are in memory; one in flight is dropped if its request fails."""
        with self._changing():
            dropped = self._drop_offered(visitor_id)
            waiting = [*self._unwritten, *self._lanes.all()]
            dropped += self._drop([event for event in waiting if event.visitor_id == visitor_id])
            in_flight = sum(event.visitor_id == visitor_id for event in self._flight)
            if in_flight:
                self._forgotten.add(visitor_id)
            self.stats.forget(visitor_id)
            self._measure()
            return ForgottenEvents(dropped, in_flight)

    # Claims in a shared store.

    def resolve_claims(self, won: Collection[str], lost: Collection[str], now: float) -> None:
        """Take the store's decisions, by the ids of events; an event that lost is not sent."""
        with self._changing():
            if not self._lanes.sendable:
                self._ready_at = now
            self.stats.settle(EventOutcome.DEDUPLICATED, self._lanes.decide(won, lost))
            self._measure()

    def send_unclaimed(self, now: float) -> None:
        """Stop waiting for the store: everything that was offered so far is sent unclaimed."""
        with self._changing():
            self._take_offered(now)
            self._lanes.release()
            self._ready_at = 0.0
            self._measure()

    # Figures.

    @property
    def closed(self) -> bool:
        """True once no event is accepted any more."""
        return not self._accepts

    @property
    def busy(self) -> bool:
        """True for a signal handler that interrupts a change: it must only `offer` and ask for `counts`."""
        return held_by_this_thread(self.lock)

    @property
    def room(self) -> int:
        """The number of events that memory still has room for."""
        return self._room - len(self._fresh)

    def counts(self) -> Counts:
        """The number of events in each place, at one moment."""
        with self.lock:
            return self._before or self._counted()

    def by_state(self) -> Mapping[EventState, Sequence[Event]]:
        """The events in memory, by their states."""
        with self.lock:
            lanes = self._lanes
            return {
                EventState.OFFERED: [*self._fresh.copy()],
                EventState.WRITING: [*self._unwritten],
                EventState.HELD: lanes.held(),
                EventState.QUEUED: lanes.queued(),
                EventState.RETRY: lanes.to_retry(),
                EventState.IN_FLIGHT: [*self._flight],
            }

    def snapshot(self) -> Snapshot:
        """The events that wait now, to ask later whether they are settled."""
        counts, waiting = self.counts(), self._in_memory()
        return Snapshot(waiting, counts.offered - counts.pending + len(waiting))

    def all_returned_at(self) -> int:
        """The count of `returned` at which all events are back, or dropped, that are on disk only now."""
        with self.lock:
            return self.stats.returned + self.stats.spooled

    def is_settled(self, snapshot: Snapshot) -> bool:
        """Tell whether every event of a snapshot is sent, rejected, deduplicated or dropped."""
        counts = self.counts()
        if counts.offered - counts.pending < snapshot.settled:
            return False  # without a look at every event
        return snapshot.waiting.keys().isdisjoint(self._in_memory())

    def send_until(self, until: float) -> None:
        """Begin no request that would have no answer by this time, by what the last one took; `inf` for no limit."""
        with self._changing():
            self._until, self._sends = until, True

    def stop_sending(self) -> None:
        """Begin no request more; events are accepted all the same, and wait in the spool."""
        with self._changing():
            self._sends = False

    def stop_accepting(self) -> None:
        """Accept nothing more; events that wait may still be sent, or written to the spool."""
        with self._changing():
            self._accepts = False
            self._measure()

    def close(self, on_disk: Container[str] = ()) -> int:
        """Accept nothing more and drop what waits; also what is in flight, if that fails.

        Events whose ids are `on_disk` stay in the spool. Returns the number of dropped events.
        """
        with self._changing():
            self._kept_on_disk, self._accepts = on_disk, False
            return self._give_up(on_disk)

    # Inner steps. All of them run under the lock.

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the lock for a change of the state."""
        with self.lock:
            try:
                self._before = self._counted()
                yield
            finally:
                self._before = None

    def _counted(self) -> Counts:
        fresh = len(self._fresh)  # once: any thread may offer meanwhile
        waiting = fresh + len(self._unwritten) + len(self._lanes)
        return self.stats.counts(in_flight=len(self._flight), queued=waiting, fresh=fresh)

    def _in_memory(self) -> Mapping[int, Event]:
        return {id(event): event for event in chain.from_iterable(self.by_state().values())}

    def _collect(self, most: int) -> None:
        taken = [self._fresh.popleft() for _ in range(min(len(self._fresh), most))]
        self._unwritten += taken
        self.stats.accepted += len(taken)
        self._notify_at = 1

    def _give_up(self, on_disk: Container[str]) -> int:
        self._room = -1  # first: events that are offered from here on are refused
        self._collect(len(self._fresh))
        events, self._unwritten = [*self._lanes.clear(), *self._unwritten], []
        lost = [event for event in events if event.uuid not in on_disk]
        self.stats.spooled += len(events) - len(lost)
        self.stats.drop(lost, DropReason.CLOSED)
        self._measure()
        return len(lost)

    def _drop_offered(self, visitor_id: str) -> int:
        """Drop a visitor's events that nobody has looked at yet, and leave the others; returns their number."""
        lost: list[Event] = []
        for _ in range(len(self._fresh)):  # once around: any thread may offer meanwhile
            event = self._fresh.popleft()
            (lost if event.visitor_id == visitor_id else self._fresh).append(event)
        if not self._fresh:
            self._notify_at = 1
        self.stats.accepted += len(lost)
        self.stats.drop(lost, DropReason.FORGOTTEN)
        return len(lost)

    def _drop(self, events: Sequence[Event]) -> int:
        """Drop those of these events that wait; returns their number."""
        chosen = {id(event) for event in events}
        lost = [event for event in self._unwritten if id(event) in chosen]
        self._unwritten = [event for event in self._unwritten if id(event) not in chosen]
        lost += self._lanes.remove(chosen)
        self.stats.drop(lost, DropReason.FORGOTTEN)
        return len(lost)

    def _due(self) -> float:
        if self._flight or self._endpoint is None or not self._sends:
            return inf
        fresh = 0 if self._config.durable else len(self._fresh)
        sendable = self._lanes.sendable
        if self._overridden > 0 and (sendable or fresh):
            return 0.0
        due = self._lanes.expiry
        if self._lanes.has_retries or sendable + fresh >= self._config.batch_size:
            due = 0.0
        elif sendable or fresh:
            first = self._offered_at + self._config.flush_interval if fresh else inf
            due = min(due, first, self._ready_at if sendable else inf)
        return max(due, self._blocked_until)

    def _take_offered(self, now: float) -> None:
        if not self._config.durable:
            self._collect(len(self._fresh))
            self._admit(self._unwritten, now)
            self._unwritten, self._ready_at = [], 0.0

    def _admit(self, events: Sequence[Event], now: float) -> None:
        self.stats.settle(EventOutcome.DEDUPLICATED, self._lanes.admit(events, now + CLAIM_PATIENCE))

    def _measure(self) -> None:
        waiting = len(self._unwritten) + len(self._lanes) + len(self._flight)
        self._room = self._config.max_queue - waiting if self._accepts else -1

    def _request(self, endpoint: Endpoint, now: float) -> Request | None:
        """The request for the batch in flight; without its second half, for later, while it is too large."""
        try:
            body = self._body(endpoint)
            while len(body) > MOST_BYTES and len(self._flight) > 1:
                middle = len(self._flight) // 2
                self._lanes.retry_first(self._flight[middle:])
                self._flight = self._flight[:middle]
                body = self._body(endpoint)
        except BaseException as error:  # a segment value may be any object of the application
            batch, self._flight = self._flight, []
            if not isinstance(error, Exception):
                self._lanes.retry_first(batch)
                raise
            self.stats.last_error = DeliveryError(
                None, None, f"not to be written as JSON: {type(error).__name__}"
            )
            self._bisect(batch, now)
            return None
        self._overridden = max(0, self._overridden - len(self._flight))
        return Request("POST", endpoint.url, endpoint.headers, body, self._config.timeout)

    def _body(self, endpoint: Endpoint) -> bytes:
        enrich = endpoint.enrich_data and not self._flight[0].attributed
        return tracking_body(endpoint.address, self._flight, enrich_data=enrich)

    def _settle(self, batch: list[Event], answer: Response | Failure, now: float) -> None:
        meaning = classify(answer)
        if meaning is ResponseClass.DELIVERED:
            self._delivered(batch)
            return
        if isinstance(answer, Failure) and answer.kind == "interrupted":
            self._resend(batch)
            return
        if self.stats.failing_since is None and meaning is not ResponseClass.REJECTED:
            self.stats.failing_since = now
        self.stats.note_failure(answer, error_of(answer))
        if meaning is ResponseClass.REJECTED:
            self._bisect(batch, now)
        elif meaning is ResponseClass.DENIED:
            self._keep(batch)
            self._blocked_until = now + slow_cadence(self._random)
            self.stats.set_endpoint_state(
                EndpointState.DENIED,
                "error",
                f"the tracking endpoint refuses us{redirection(answer)}: events are kept",
            )
        else:
            self._back_off(batch, answer, now, ambiguous=meaning is ResponseClass.AMBIGUOUS)

    def _delivered(self, batch: list[Event]) -> None:
        self.stats.settle(EventOutcome.SENT, batch)
        self.stats.failing_since = None
        self._attempt = self._refusals = 0
        self._blocked_until = 0.0
        self._forcing = False
        self.stats.set_endpoint_state(EndpointState.OK, "info", "events are delivered again")

    def _resend(self, batch: list[Event]) -> None:
        """Send again at once what was in a request that this process gave up: the endpoint did not fail."""
        self.stats.ambiguous += len(batch)
        if self._config.delivery == "at_most_once":
            self.stats.drop(batch, DropReason.AMBIGUOUS)
            return
        self.stats.retries += 1
        self._lanes.retry_first(batch)
        if self._forcing:
            self._overridden += len(batch)

    def _back_off(
        self, batch: list[Event], answer: Response | Failure, now: float, *, ambiguous: bool
    ) -> None:
        if ambiguous:
            self.stats.ambiguous += len(batch)
        if ambiguous and self._config.delivery == "at_most_once":
            self.stats.drop(batch, DropReason.AMBIGUOUS)
            self._end_override()
        else:
            self._keep(batch)
        asked = retry_after(answer, cap=MAX_RETRY_AFTER) if isinstance(answer, Response) else None
        self._blocked_until = now + max(asked or 0.0, full_jitter(self._attempt, self._random))
        self._attempt += 1
        if self.stats.endpoint_state is EndpointState.OK:
            self.stats.set_endpoint_state(
                EndpointState.RETRYING, "warning", "the tracking endpoint fails: events are kept"
            )

    def _keep(self, batch: list[Event]) -> None:
        self.stats.retries += 1
        self._lanes.retry_first(batch)
        self._end_override()

    def _end_override(self) -> None:
        self._overridden = 0
        if self._forcing:
            self._forcing = False
            self.forced_failures += 1

    def _bisect(self, batch: list[Event], now: float) -> None:
        """Halve a batch that was refused, until the event that is to blame is alone."""
        self._attempt = 0
        self._blocked_until = 0.0
        self._refusals += 1
        if len(batch) == 1:
            self.stats.settle(EventOutcome.REJECTED, batch)
        else:
            middle = len(batch) // 2
            self._lanes.retry_first(batch[middle:])
            self._lanes.retry_first(batch[:middle])
            self._overridden += len(batch) if self._overridden else 0
        if self._refusals > MANY_REFUSALS:
            self._end_override()
            self._blocked_until = now + full_jitter(self._refusals - MANY_REFUSALS - 1, self._random)


class Lanes:
    """The events between the queue and the wire, in the order in which they are sent.

    Batches to retry come first, then two lanes in turn: attributed events are sent apart from the others. Events
    whose claim is not decided are held.
    """

    __slots__ = ("_apart", "_apart_is_next", "_batches", "_decided", "_held", "_plain")

    def __init__(self) -> None:
        self._batches: deque[list[Event]] = deque()
        self._plain: deque[Event] = deque()
        self._apart: deque[Event] = deque()
        self._apart_is_next = False
        self._held: deque[tuple[float, Event]] = deque()
        """Events with the times at which they are sent unclaimed."""
        self._decided: FIFOCache[str, bool] = FIFOCache(_MOST_DECIDED)
        """Decided claims whose events have not come yet: True where the event won."""

    def __len__(self) -> int:
        return self.sendable + len(self._held)

    @property
    def sendable(self) -> int:
        """The number of events that nothing holds back."""
        return len(self._plain) + len(self._apart) + sum(map(len, self._batches))

    @property
    def has_retries(self) -> bool:
        """True while a batch waits to be sent again."""
        return bool(self._batches)

    @property
    def expiry(self) -> float:
        """The time at which the first held event is sent unclaimed."""
        return self._held[0][0] if self._held else inf

    def admit(self, events: Iterable[Event], hold_until: float) -> list[Event]:
        """Append events to their lanes, or hold them for their claims; returns those that have lost already."""
        lost: list[Event] = []
        for event in events:
            won = True if event.claim is None else self._decided.pop(event.uuid, None)
            if won:
                (self._apart if event.attributed else self._plain).append(
                    event
                )  # one call less for each event
            elif won is None:
                self._held.append((hold_until, event))
            else:
                lost.append(event)
        return lost

    def retry_first(self, batch: list[Event]) -> None:
        """Send this batch before everything else."""
        self._batches.appendleft(batch)

    def held(self) -> list[Event]:
        """The events whose claim is not decided."""
        return [event for _, event in self._held]

    def queued(self) -> list[Event]:
        """The events in their lanes."""
        return [*self._plain, *self._apart]

    def to_retry(self) -> list[Event]:
        """The events of the batches that are sent again."""
        return [*chain.from_iterable(self._batches)]

    def decide(self, won: Collection[str], lost: Collection[str]) -> list[Event]:
        """Let winners go and return losers, by the ids of events; decisions may come before their events."""
        decisions = {**dict.fromkeys(won, True), **dict.fromkeys(lost, False)}
        losers: list[Event] = []
        undecided: deque[tuple[float, Event]] = deque()
        for until, event in self._held:
            decision = decisions.pop(event.uuid, None)
            if decision is None:
                undecided.append((until, event))
            elif decision:
                self._append(event)
            else:
                losers.append(event)
        self._held = undecided
        self._decided.update(decisions)
        return losers

    def release(self, now: float = inf) -> None:
        """Let events go unclaimed that have been held for long enough."""
        while self._held and self._held[0][0] <= now:
            self._append(self._held.popleft()[1])

    def next_batch(self, most: int, size: int) -> list[Event]:
        """Up to `most` events of one lane and about `size` characters; empty if none can go."""
        if self._batches:
            return self._batches.popleft()
        lane = self._apart if self._apart and (self._apart_is_next or not self._plain) else self._plain
        self._apart_is_next = lane is self._plain
        count = 0
        for event in islice(lane, most):
            count += 1
            size -= len(event.wire) + len(event.visitor_id)
            if size <= 0:
                break
        return [lane.popleft() for _ in range(count)]

    def all(self) -> list[Event]:
        """The events in all lanes, and of the batches that are sent again."""
        return [*self.to_retry(), *self.queued(), *self.held()]

    def remove(self, chosen: Container[int]) -> list[Event]:
        """Take out the events with these identities, and return them."""
        removed = [event for event in self.all() if id(event) in chosen]
        batches = ([event for event in batch if id(event) not in chosen] for batch in self._batches)
        self._batches = deque(batch for batch in batches if batch)
        self._plain = deque(event for event in self._plain if id(event) not in chosen)
        self._apart = deque(event for event in self._apart if id(event) not in chosen)
        self._held = deque(held for held in self._held if id(held[1]) not in chosen)
        return removed

    def clear(self) -> list[Event]:
        """Take everything out."""
        everything = self.all()
        for events in (self._batches, self._plain, self._apart, self._held):
            events.clear()
        return everything

    def _append(self, event: Event) -> None:
        (self._apart if event.attributed else self._plain).append(event)
