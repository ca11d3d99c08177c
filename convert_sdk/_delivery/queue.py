"""Events on their way out: queue, batches, retries and the books that prove that none got lost.

    offer ──▶ fresh ──(unsaved / saved)──▶ backlog ──speak──▶ flight ──hear──▶ sent, dead or back
                            │                 ▲ │
                         shelved ──restore────┘ └── held until claimed, or 5 s

The bracketed steps happen with `DeliveryConfig(durable=True)` only; otherwise `next_request` empties `fresh` itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from math import inf
from threading import RLock
from typing import Literal, NamedTuple

from cachetools import FIFOCache

from convert_sdk._core.events import Event, TrackingContext, tracking_body
from convert_sdk._http.backoff import MAX_RETRY_AFTER, Random, full_jitter, retry_after, slow_cadence
from convert_sdk._http.messages import TIMEOUT, Failure, Request, Response
from convert_sdk._process.locks import held_by_this_thread
from convert_sdk.status import Counts, DeliveryError

from .stats import DeliveryStats, classify, error_of


class EventQueue:
    """The machine that delivers events; nothing is due before `set_endpoint` says where to.

    Any thread may `offer`, without the lock that serialises all else. `notify` is called when an offer makes
    something due earlier. Who finds the `books` busy may `offer` and ask for `counts`, and no more.
    """

    __slots__ = (
        "_accepts",
        "_attempt",
        "_blocked_until",
        "_closing",
        "_config",
        "_endpoint",
        "_flight",
        "_fresh",
        "_lanes",
        "_notify",
        "_notify_at",
        "_overridden",
        "_random",
        "_ready_at",
        "_refusals",
        "_room",
        "_since",
        "_unwritten",
        "books",
        "stats",
    )  # fmt: skip

    def __init__(
        self, config: DeliveryConfig, *, random: Random, notify: Callable[[], None] = lambda: None
    ) -> None:
        self._config = config
        self._random = random
        self._notify = notify
        self.books = Books(self._counted)
        self._endpoint: Endpoint | None = None
        self._fresh: deque[Event] = deque()
        self._unwritten: list[Event] = []
        self._lanes = Lanes()
        self._flight: list[Event] = []
        self._room = config.max_queue
        self._notify_at: float = 1
        self._since = self._ready_at = self._blocked_until = 0.0
        self._attempt = self._refusals = self._overridden = 0
        self._closing: Container[str] | None = None
        self._accepts = True
        self.stats = DeliveryStats(keep_settled=config.keep_settled)

    # The request path.

    def offer(self, events: Sequence[Event], now: float) -> bool:
        """Take all of the events or, where they do not fit, none: the newest are dropped and counted."""
        fresh = self._fresh
        if len(fresh) + len(events) > self._room:
            self.stats.refuse(len(events), now, "closed" if self.closed else "full")
            return False
        fresh.extend(events)
        if len(fresh) >= self._notify_at:
            self._notify_once(now)
        return True

    def _notify_once(self, now: float) -> None:
        """Wake for the first event, and for a full batch; give up what was let in while a handler closed the queue."""
        if self._closing is not None:
            self.close(self._closing)
        if self._notify_at == 1:
            self._since = now
        self._notify_at = self._config.batch_size if len(self._fresh) < self._config.batch_size else inf
        if not self._fresh:
            self._notify_at = 1  # drain meanwhile: the next one is a first one
        self._notify()  # last: who is woken sees all that came without waking

    # The machine.

    def set_endpoint(self, endpoint: Endpoint) -> None:
        """Say where events go from now on."""
        with self.books.changing():
            self._endpoint = endpoint

    def due(self) -> float:
        """When the next request may start; `inf` while one is under way or nothing waits."""
        with self.books.lock:
            return self._due()

    def next_request(self, now: float) -> Request | None:
        """The next batch, if one is due: up to 1,000 events or 512 KiB."""
        with self.books.changing():
            if self._endpoint is None or self._due() > now:
                return None
            self._pull(now)
            self._lanes.release(now)
            part = self._flight = self._lanes.next_part(MOST_EVENTS, MOST_BYTES)
            self._measure()
            return self._request(self._endpoint, now) if part else None

    def handle_response(self, answer: Response | Failure, now: float) -> None:
        """Settle, split or keep the batch in flight."""
        with self.books.changing():
            part, self._flight = self._flight, []
            if part:
                self._settle(part, answer, now)
                self._measure()
            if self._closing is not None:
                self._give_up(self._closing)

    def override_backoff(self) -> None:
        """Make everything that waits due now, back-off or not, until it is sent or one request fails."""
        with self.books.changing():
            self._overridden = len(self._fresh) + len(self._unwritten) + len(self._lanes)
        self._notify()

    # The spool.

    def write_due(self, *, events: int = 100, window: float = 0.05) -> float:
        """When `unwritten` should be called: at so many events or so many seconds after the first."""
        with self.books.lock:
            if self._unwritten or len(self._fresh) >= events:
                return 0.0
            return self._since + window if self._fresh else inf

    def unwritten(self, most: int = 1_000) -> Sequence[Event]:
        """The events to write next; the same ones again until `written` or `spooled` is called."""
        with self.books.changing():
            self._collect(most)
            self._measure()
            return tuple(self._unwritten)

    def written(self, now: float) -> None:
        """What `unwritten` gave goes on to be sent, on disk or (where the disk failed) not."""
        with self.books.changing():
            if not self._lanes.sendable:
                self._ready_at = now + self._config.flush_interval
            self._admit(self._unwritten, now)
            self._unwritten = []

    def spooled(self) -> None:
        """What `unwritten` gave is on disk and leaves memory until `restore`."""
        with self.books.changing():
            self.stats.spooled += len(self._unwritten)
            self._unwritten = []
            self._measure()

    def count_spooled(self, count: int) -> None:
        """Answer for events that were found on disk: offered to an earlier process, counted here too."""
        with self.books.changing():
            self.stats.accepted += count
            self.stats.spooled += count

    def restore(self, events: Sequence[Event], now: float) -> None:
        """Take shelved or adopted events back from disk; claims are decided again."""
        with self.books.changing():
            if not self._lanes.sendable:
                self._ready_at = now
            self._admit(events, now)
            self.stats.spooled -= len(events)
            self._measure()

    def drop_spooled(self, count: int, reason: str) -> None:
        """Shelved events that the spool gave up, by age or size."""
        with self.books.changing():
            self.stats.spooled -= count
            self.stats.dropped[reason] += count

    # Claims in a shared store.

    def undecided_claims(self) -> Sequence[Event]:
        """Events that wait for the store: `claim` is the goal key, `uuid` the name to claim it under."""
        with self.books.lock:
            return self._lanes.held()

    def resolve_claims(self, won: Collection[str], lost: Collection[str], now: float) -> None:
        """The store's answers, by uuid; what it lost is not sent."""
        with self.books.changing():
            if not self._lanes.sendable:
                self._ready_at = now
            self.stats.settle("deduplicated", self._lanes.decide(won, lost))
            self._measure()

    @property
    def closed(self) -> bool:
        """Whether nothing more is taken."""
        return not self._accepts

    @property
    def room(self) -> int:
        """How many more events memory may hold."""
        return self._room - len(self._fresh)

    def counts(self) -> Counts:
        """The law, at one moment."""
        return self.books.read()

    def waiting(self) -> dict[int, Event]:
        """The events in memory, those in flight too, by their identity."""
        with self.books.lock:
            events = [*self._flight, *self._lanes.everything(), *self._unwritten, *self._fresh.copy()]
        return {id(event): event for event in events}

    def stop_accepting(self) -> None:
        """Take nothing more; what waits may still be sent, or written to the spool."""
        with self.books.changing():
            self._accepts = False
            self._measure()

    def close(self, on_disk: Container[str] = ()) -> int:
        """Take nothing more and give up what waits, in flight too if it fails; how many events were dropped.

        Those whose ids are `on_disk` are left to the spool instead.
        """
        with self.books.changing():
            self._closing, self._accepts = on_disk, False
            return self._give_up(on_disk)

    def send_unclaimed(self, now: float) -> None:
        """Stop waiting for the store: what was offered so far goes out unclaimed."""
        with self.books.changing():
            self._pull(now)
            self._lanes.release()
            self._ready_at = 0.0
            self._measure()

    # How it works.

    def _counted(self) -> Counts:
        fresh = len(self._fresh)  # once: any thread may offer meanwhile
        waiting = fresh + len(self._unwritten) + len(self._lanes)
        return self.stats.counts(in_flight=len(self._flight), queued=waiting, fresh=fresh)

    def _collect(self, most: int) -> None:
        taken = [self._fresh.popleft() for _ in range(min(len(self._fresh), most - len(self._unwritten)))]
        self._unwritten += taken
        self.stats.accepted += len(taken)
        self._notify_at = 1

    def _give_up(self, on_disk: Container[str]) -> int:
        self._room = -1  # first: what is offered from here on is turned away
        self._collect(len(self._fresh) + len(self._unwritten))
        events, self._unwritten = [*self._lanes.clear(), *self._unwritten], []
        lost = [event for event in events if event.uuid not in on_disk]
        self.stats.spooled += len(events) - len(lost)
        self.stats.settle("dropped", lost, "closed")
        self._measure()
        return len(lost)

    def _due(self) -> float:
        if self._flight or self._endpoint is None:
            return inf
        fresh = 0 if self._config.durable else len(self._fresh)
        sendable = self._lanes.sendable
        if self._overridden > 0 and (sendable or fresh):
            return 0.0
        when = self._lanes.expiry
        if self._lanes.again or sendable + fresh >= self._config.batch_size:
            when = 0.0
        elif sendable or fresh:
            first = self._since + self._config.flush_interval if fresh else inf
            when = min(when, first, self._ready_at if sendable else inf)
        return max(when, self._blocked_until)

    def _pull(self, now: float) -> None:
        if not self._config.durable:
            self._collect(len(self._fresh))
            self._admit(self._unwritten, now)
            self._unwritten, self._ready_at = [], 0.0

    def _admit(self, events: Sequence[Event], now: float) -> None:
        lost = self._lanes.admit(events, now + CLAIM_PATIENCE)
        if lost:
            self.stats.settle("deduplicated", lost)

    def _measure(self) -> None:
        room = self._config.max_queue - len(self._unwritten) - len(self._lanes) - len(self._flight)
        self._room = room if self._accepts else -1

    def _request(self, endpoint: Endpoint, now: float) -> Request | None:
        try:
            body = self._body(endpoint)
            while len(body) > MOST_BYTES and len(self._flight) > 1:
                middle = len(self._flight) // 2
                self._lanes.put_back(self._flight[middle:])
                self._flight = self._flight[:middle]
                body = self._body(endpoint)
        except BaseException as error:  # a segment value may be any object of the application
            part, self._flight = self._flight, []
            if not isinstance(error, Exception):
                self._lanes.put_back(part)
                raise
            self.stats.last_error = DeliveryError(
                None, None, f"not to be written as JSON: {type(error).__name__}"
            )
            self._bisect(part, now)
            return None
        self._overridden = max(0, self._overridden - len(self._flight))
        return Request("POST", endpoint.url, endpoint.headers, body, self._config.timeout)

    def _body(self, endpoint: Endpoint) -> bytes:
        enrich = endpoint.enrich_data and not self._flight[0].attributed
        return tracking_body(endpoint.address, self._flight, enrich_data=enrich)

    def _settle(self, part: list[Event], answer: Response | Failure, now: float) -> None:
        meaning = classify(answer)
        if meaning == "delivered":
            self._delivered(part)
            return
        self.stats.note_failure(answer, error_of(answer))
        if meaning == "malformed":
            self._bisect(part, now)
        elif meaning == "denied":
            self._keep(part)
            self._blocked_until = now + slow_cadence(self._random)
            self.stats.set_endpoint_state(
                "denied", "error", "the tracking endpoint refuses us: events are kept"
            )
        else:
            self._again(part, answer, now, doubtful=meaning == "doubtful")

    def _delivered(self, part: list[Event]) -> None:
        self.stats.settle("sent", part)
        self._attempt = self._refusals = 0
        self._blocked_until = 0.0
        self.stats.set_endpoint_state("ok", "info", "events are delivered again")

    def _again(self, part: list[Event], answer: Response | Failure, now: float, *, doubtful: bool) -> None:
        if doubtful:
            self.stats.ambiguous += len(part)
        if doubtful and self._config.delivery == "at_most_once":
            self.stats.settle("dropped", part, "ambiguous")
            self._overridden = 0
        else:
            self._keep(part)
        asked = retry_after(answer, cap=MAX_RETRY_AFTER) if isinstance(answer, Response) else None
        self._blocked_until = now + max(asked or 0.0, full_jitter(self._attempt, self._random))
        self._attempt += 1
        if self.stats.endpoint_state == "ok":
            self.stats.set_endpoint_state(
                "retrying", "warning", "the tracking endpoint fails: events are kept"
            )

    def _keep(self, part: list[Event]) -> None:
        self.stats.retries += 1
        self._lanes.put_back(part)
        self._overridden = 0

    def _bisect(self, part: list[Event], now: float) -> None:
        self._attempt = 0
        self._blocked_until = 0.0
        self._refusals += 1
        if len(part) == 1:
            self.stats.settle("rejected", part)
        else:
            middle = len(part) // 2
            self._lanes.put_back(part[middle:])
            self._lanes.put_back(part[:middle])
            self._overridden += len(part) if self._overridden else 0
        if self._refusals > MANY_REFUSALS:
            self._overridden = 0
            self._blocked_until = now + full_jitter(self._refusals - MANY_REFUSALS - 1, self._random)


_MOST_DECIDED = 10_000


class Lanes:
    """Parts to try again, then two lanes: attributed events travel apart. Claims are held."""

    __slots__ = ("_apart", "_apart_next", "_decided", "_held", "_parts", "_plain")

    def __init__(self) -> None:
        self._parts: deque[list[Event]] = deque()
        self._plain: deque[Event] = deque()
        self._apart: deque[Event] = deque()
        self._held: deque[tuple[float, Event]] = deque()
        self._apart_next = False
        self._decided: FIFOCache[str, bool] = FIFOCache(_MOST_DECIDED)

    def __len__(self) -> int:
        return self.sendable + len(self._held)

    @property
    def sendable(self) -> int:
        """Events that nothing holds back."""
        return len(self._plain) + len(self._apart) + sum(map(len, self._parts))

    @property
    def again(self) -> bool:
        """Whether a part waits to be tried again."""
        return bool(self._parts)

    @property
    def expiry(self) -> float:
        """When the first held event goes out unclaimed."""
        return self._held[0][0] if self._held else inf

    def admit(self, events: Iterable[Event], hold_until: float) -> list[Event]:
        """Runtime events up, or hold those whose claims must be decided first; gives back those that lost already."""
        lost: list[Event] = []
        for event in events:
            uuid, _, _, _, claim, attributed = event
            won = True if claim is None else self._decided.pop(uuid, None)
            if won:
                (self._apart if attributed else self._plain).append(event)
            elif won is None:
                self._held.append((hold_until, event))
            else:
                lost.append(event)
        return lost

    def put_back(self, part: list[Event]) -> None:
        """The next part to try."""
        self._parts.appendleft(part)

    def held(self) -> list[Event]:
        """The events whose claim is not decided."""
        return [event for _, event in self._held]

    def decide(self, won: Collection[str], lost: Collection[str]) -> list[Event]:
        """Runtime up the winners and give back the losers, by uuid; verdicts may come before their events."""
        verdicts = {**dict.fromkeys(won, True), **dict.fromkeys(lost, False)}
        losers: list[Event] = []
        undecided: deque[tuple[float, Event]] = deque()
        for until, event in self._held:
            verdict = verdicts.pop(event.uuid, None)
            if verdict is None:
                undecided.append((until, event))
            elif verdict:
                self._line_up(event)
            else:
                losers.append(event)
        self._held = undecided
        self._decided.update(verdicts)
        return losers

    def release(self, now: float = inf) -> None:
        """Runtime up unclaimed what was held for long enough."""
        while self._held and self._held[0][0] <= now:
            self._line_up(self._held.popleft()[1])

    def next_part(self, most: int, size: int) -> list[Event]:
        """Up to `most` events of one lane and about `size` characters; empty where none can go."""
        if self._parts:
            return self._parts.popleft()
        lane = self._apart if self._apart and (self._apart_next or not self._plain) else self._plain
        self._apart_next = lane is self._plain
        count = 0
        for _, visitor_id, wire, _, _, _ in islice(lane, most):
            count += 1
            size -= len(wire) + len(visitor_id)
            if size <= 0:
                break
        return [lane.popleft() for _ in range(count)]

    def everything(self) -> list[Event]:
        """All that wait here."""
        return [*chain.from_iterable(self._parts), *self._plain, *self._apart, *self.held()]

    def clear(self) -> list[Event]:
        """Take everything out."""
        everything = self.everything()
        for events in (self._parts, self._plain, self._apart, self._held):
            events.clear()
        return everything

    def _line_up(self, event: Event) -> None:
        (self._apart if event.attributed else self._plain).append(event)


class Books:
    """One thread at a time changes what is counted; who interrupts it reads what was true before."""

    __slots__ = ("_before", "_count", "lock")

    def __init__(self, count: Callable[[], Counts]) -> None:
        self.lock = RLock()
        self._count = count
        self._before: Counts | None = None

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the lock for a change."""
        with self.lock:
            try:
                self._before = self._count()
                yield
            finally:
                self._before = None

    def read(self) -> Counts:
        """The law, at one moment."""
        with self.lock:
            return self._before or self._count()

    @property
    def busy(self) -> bool:
        """Whether a signal's handler asks, in the middle of what this thread is at: it must change nothing."""
        return held_by_this_thread(self.lock)


MOST_EVENTS = 1_000
MOST_BYTES = 512 * 1024
"""Of one request."""
CLAIM_PATIENCE = 5.0
"""Seconds that a conversion waits for the store before it goes out unclaimed."""
MANY_REFUSALS = 32
"""More refusals in a row than this are not one bad event but a bad endpoint: bisecting slows down."""


class DeliveryConfig(NamedTuple):
    """How events are delivered."""

    max_queue: int = 10_000
    batch_size: int = 100
    """As many events start a request at once."""
    flush_interval: float = 1.0
    """Seconds after which fewer do."""
    delivery: Literal["at_least_once", "at_most_once"] = "at_least_once"
    durable: bool = False
    """Events pass through `unwritten` and `written` before they are sent."""
    timeout: float = TIMEOUT
    """Seconds for one whole answer."""
    keep_settled: bool = False
    """Somebody drains `stats.settled`."""


class Endpoint(NamedTuple):
    """Where events go, and whose they are."""

    url: str
    headers: Mapping[str, str]
    address: TrackingContext
    enrich_data: bool = True

    def __repr__(self) -> str:
        return f"Endpoint({self.url!r})"
