"""The events that a served project received, and their sums."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from threading import Lock
from typing import NamedTuple

from cachetools import LRUCache

from .tracking import LARGEST, ConversionData, ConversionEvent, ExposureData, TrackedVisitor, TrackingRequest

MAX_EVENTS = 100_000
MAX_VISITORS = 50_000
MAX_TRANSACTION_IDS = 20_000
"""Transactions of late, of which each is counted once."""
MAX_EVENT_BYTES = 256 * 1024 * 1024
"""Of events, and of what is stored about visitors, as they were received."""


class Exposure(NamedTuple):
    """A visitor was shown a variation.

    >>> Exposure("v-42", "100", "11", {"country": "DE"}).variation_id
    '11'
    """

    visitor_id: str
    experience_id: str
    variation_id: str
    segments: Mapping[str, object]


class Conversion(NamedTuple):
    """A visitor reached a goal; `bucketing` maps experience ids to the variations that get the credit.

    >>> Conversion("v-42", "900", {"amount": 49.9}, {"100": "11"}, {}).goal_data["amount"]
    49.9
    """

    visitor_id: str
    goal_id: str
    goal_data: Mapping[str, object]
    bucketing: Mapping[str, str]
    segments: Mapping[str, object]


class KnownVisitor(NamedTuple):
    """The last decisions that were recorded for a visitor, by ids, and the segments."""

    bucketing: Mapping[str, str]
    segments: Mapping[str, object]


Notice = Callable[[Exposure | Conversion, bool], None]


class VariationTotal(NamedTuple):
    """The number of recorded exposures of one variation.

    >>> VariationTotal("100", "11", 3).exposures
    3
    """

    experience_id: str
    variation_id: str
    exposures: int


class GoalTotal(NamedTuple):
    """The conversions and the revenue of one goal, in one variation where `variation_id` is given, else in all.

    A conversion is an event without goal data, a transaction one with it: the first purchase of
    a visitor is one of each.

    >>> total = GoalTotal("900", None, None, conversions=2, transactions=1, revenue=Decimal("49.90"), products=1)
    >>> total.conversions, total.revenue
    (2, Decimal('49.90'))
    """

    goal_id: str
    experience_id: str | None
    variation_id: str | None
    conversions: int
    transactions: int
    revenue: Decimal
    products: int


class Summary(NamedTuple):
    """The sums over everything received, also over events that are no longer kept one by one.

    >>> summary = Record().summary()
    >>> summary.received, summary.visitors, summary.goals
    (0, 0, ())
    """

    requests: int
    received: int
    recorded: int
    visitors: int
    transaction_ids: int
    variations: tuple[VariationTotal, ...]
    goals: tuple[GoalTotal, ...]


class _RecordedVisitor:
    """The stored state of one visitor."""

    __slots__ = ("bucketing", "exposed", "segments", "size")

    def __init__(self) -> None:
        self.size = 0
        self.bucketing: dict[str, str] = {}
        self.segments: dict[str, object] = {}
        self.exposed: set[tuple[str, str]] = set()


class _TrackedEvents(NamedTuple):
    visitor_id: str
    stored: _RecordedVisitor
    segments: Mapping[str, object]
    enrich: bool
    size: int
    """Bytes of each of its events, about."""
    notice: Notice | None


class _Sum:
    __slots__ = ("conversions", "products", "revenue", "transactions")

    def __init__(self) -> None:
        self.conversions = 0
        self.transactions = 0
        self.revenue = Decimal()
        self.products = 0

    def add(self, goal_data: Mapping[str, object]) -> None:
        if not goal_data:
            self.conversions += 1
            return
        self.transactions += 1
        self.revenue += _decimal(goal_data.get("amount"))
        self.products += int(_decimal(goal_data.get("productsCount")))


class Record:
    """The events of one project, safe to read from any thread.

    The last 100,000 events are kept one by one, the last 50,000 visitors are remembered.

    >>> Record().summary().received
    0
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self.clear()

    def clear(self) -> None:
        """Forget everything.

        >>> served.record.clear()
        >>> served.record.summary().received
        0
        """
        with self._lock:
            self._requests = self._received = self._recorded = 0
            self._events: deque[Exposure | Conversion] = deque()
            self._sizes: deque[int] = deque()
            self._event_bytes = self._visitor_bytes = 0
            self._visitors: LRUCache[str, _RecordedVisitor] = LRUCache(MAX_VISITORS)
            self._transaction_ids: LRUCache[str, None] = LRUCache(MAX_TRANSACTION_IDS)
            self._transaction_count = 0
            self._visitor_count = 0
            self._exposures: Counter[tuple[str, str]] = Counter()
            self._goals: dict[tuple[str, str | None, str | None], _Sum] = {}

    def events(self) -> tuple[Exposure | Conversion, ...]:
        """The recorded events, oldest first.

        >>> [event.visitor_id for event in served.record.events()]
        ['v-42']
        """
        with self._lock:
            return tuple(self._events)

    def known(self, visitor_id: str) -> KnownVisitor:
        """The state that the SDKs should remember of a visitor; an empty one where nobody told of them.

        >>> served.record.known("v-42").bucketing
        {'100': '11'}
        """
        with self._lock:
            found = self._visitors.get(visitor_id)
            return (
                KnownVisitor({}, {})
                if found is None
                else KnownVisitor({**found.bucketing}, {**found.segments})
            )

    def summary(self) -> Summary:
        """The sums so far.

        >>> served.record.summary().variations
        (VariationTotal(experience_id='100', variation_id='11', exposures=1),)
        """
        with self._lock:
            return Summary(
                requests=self._requests,
                received=self._received,
                recorded=self._recorded,
                visitors=self._visitor_count,
                transaction_ids=self._transaction_count,
                variations=tuple(
                    VariationTotal(*key, count) for key, count in sorted(self._exposures.items())
                ),
                goals=tuple(
                    GoalTotal(*key, total.conversions, total.transactions, total.revenue, total.products)
                    for key, total in self._goals.items()
                ),
            )

    def add(self, request: TrackingRequest, size: int = 0, notice: Notice | None = None) -> int:
        """Record a request's events; the answer is how many it held.

        Args:
            request: What was received.
            size: Its bytes, which count towards what is kept at most.
            notice: Called with each event, and True for one that was recorded before and is left out.

        >>> from .tracking import TrackingRequest
        >>> shown = {"eventType": "bucketing", "data": {"experienceId": "100", "variationId": "11"}}
        >>> body = {"visitors": [{"visitorId": "v-43", "events": [shown]}]}
        >>> Record().add(TrackingRequest.model_validate(body))
        1
        """
        share = size // max(1, len(request.visitors))
        enrich = bool(request.enrich_data)
        with self._lock:
            self._requests += 1
            return sum(self._add_visitor(visitor, enrich, share, notice) for visitor in request.visitors)

    def _add_visitor(self, visitor: TrackedVisitor, enrich: bool, size: int, notice: Notice | None) -> int:
        stored = self._stored(visitor.visitor_id, size)
        segments = _given(visitor)
        stored.segments.update(segments)
        if enrich and visitor.segments is None:
            segments = dict(stored.segments)
        share = size // max(1, len(visitor.events))
        tracked = _TrackedEvents(visitor.visitor_id, stored, segments, enrich, share, notice)
        for event in visitor.events:
            self._received += 1
            if isinstance(event, ConversionEvent):
                self._add_conversion(tracked, event.data)
            else:
                self._add_exposure(tracked, event.data)
        return len(visitor.events)

    def _stored(self, visitor_id: str, size: int) -> _RecordedVisitor:
        stored = self._visitors.get(visitor_id)
        if stored is None:
            if len(self._visitors) >= MAX_VISITORS:
                self._forget()
            stored = self._visitors[visitor_id] = _RecordedVisitor()
            self._visitor_count += 1
        stored.size += size
        self._visitor_bytes += size
        while self._visitor_bytes > MAX_EVENT_BYTES and len(self._visitors) > 1:
            self._forget()
        return stored

    def _forget(self) -> None:
        """Forget the visitor who was not heard of for the longest time."""
        _, forgotten = self._visitors.popitem()
        self._visitor_bytes -= forgotten.size

    def _add_exposure(self, tracked: _TrackedEvents, data: ExposureData) -> None:
        stored, shown = tracked.stored, (data.experience_id, data.variation_id)
        stored.bucketing[data.experience_id] = data.variation_id
        event = Exposure(tracked.visitor_id, *shown, tracked.segments)
        repeated = tracked.enrich and shown in stored.exposed
        if tracked.notice is not None:
            tracked.notice(event, repeated)
        if repeated:
            return
        stored.exposed.add(shown)
        self._exposures[shown] += 1
        self._keep(event, tracked.size)

    def _add_conversion(self, tracked: _TrackedEvents, data: ConversionData) -> None:
        bucketing = dict(data.bucketing_data or {})
        if tracked.enrich and not bucketing:
            bucketing = dict(tracked.stored.bucketing)
        tracked.stored.bucketing.update(bucketing)
        goal_data: dict[str, object] = {item.key: item.value for item in data.goal_data or ()}
        if "transactionId" in goal_data:
            transaction_id = str(goal_data["transactionId"])
            self._transaction_count += transaction_id not in self._transaction_ids
            self._transaction_ids[transaction_id] = None
        for credited in _credited(data.goal_id, bucketing):
            self._goals.setdefault(credited, _Sum()).add(goal_data)
        event = Conversion(tracked.visitor_id, data.goal_id, goal_data, bucketing, tracked.segments)
        if tracked.notice is not None:
            tracked.notice(event, False)  # the one argument of its kind
        self._keep(event, tracked.size)

    def _keep(self, event: Exposure | Conversion, size: int) -> None:
        self._recorded += 1
        self._events.append(event)
        self._sizes.append(size)
        self._event_bytes += size
        while len(self._events) > MAX_EVENTS or self._event_bytes > MAX_EVENT_BYTES:
            self._events.popleft()
            self._event_bytes -= self._sizes.popleft()


def _given(visitor: TrackedVisitor) -> dict[str, object]:
    if visitor.segments is None:
        return {}
    return visitor.segments.model_dump(by_alias=True, exclude_unset=True)


def _credited(goal_id: str, bucketing: Mapping[str, str]) -> Iterable[tuple[str, str | None, str | None]]:
    yield goal_id, None, None
    for experience_id, variation_id in bucketing.items():
        yield goal_id, experience_id, variation_id


def _decimal(value: object) -> Decimal:
    """The number in a figure; what is none that can be added counts as 0."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return Decimal()
    # It reads what a float does not, and the check of a request let pass: sNaN, nan123, 1_e9999999.
    return number if number.is_finite() and -LARGEST <= number <= LARGEST else Decimal()
