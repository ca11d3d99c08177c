from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import count
from threading import Lock
from types import FrameType
from typing import Any

import pytest

from convert_sdk import ConversionReason, Project, Reason, Visitor
from convert_sdk._core.decision import Decision
from convert_sdk._core.events import Event, TrackingContext
from convert_sdk._core.facts import UNSEEN, Facts
from convert_sdk._core.state import NOTHING, VisitorState
from convert_sdk._delivery import engine as engine_module
from convert_sdk._delivery.engine import Engine, claim_results, event_ids
from convert_sdk._delivery.observer import Observer
from convert_sdk._delivery.queue import DeliveryConfig, Endpoint, EventQueue
from convert_sdk._delivery.visitors import VisitorCache
from convert_sdk.observation import Converted, Exposed, Observation
from convert_sdk.stores import Winners
from tests.documents import LOW, entity, every, experience, leaf, project

SHOP = project(experience(), goals=[entity("91", "buy")])


def engine(*, max_queue: int = 100, observer: Observer | None = None) -> Engine:
    """An engine that no document has reached, with an queue that nobody empties."""
    queue = EventQueue(DeliveryConfig(max_queue=max_queue), random=lambda: 0.0)
    queue.set_endpoint(Endpoint("", {}, TrackingContext("1", "2")))
    return Engine(VisitorCache(100, stored=False), queue, observer=observer)


def visitor(of: Engine, visitor_id: str = LOW) -> Visitor:
    return Visitor(of, visitor_id, NOTHING, NOTHING)


def offered(of: Engine) -> int:
    assert of.queue is not None
    return of.queue.counts().offered


class TestBeforeTheFirstDocument:
    def test_nothing_is_decided(self) -> None:
        early = visitor(engine())
        assert early.decide("checkout").reason is Reason.NOT_READY
        assert [each.reason for each in early.decide_all(["b", "a"])] == [Reason.NOT_READY] * 2
        assert [each.key for each in early.decide_all(["b", "a"])] == ["b", "a"]
        assert (early.decide_all(), early.features(), early.match_segments(["vip"])) == ([], [], [])
        assert not early.feature("pricing")
        assert not early.preview("100", "1")
        assert early.project is None

    @pytest.mark.parametrize("ask", [lambda early: early.decide("a"), lambda early: early.decide_all(["a"])])
    def test_the_reported_attributes_are_remembered_already(self, ask: Callable[[Visitor], object]) -> None:
        waiting = engine()
        ask(Visitor(waiting, LOW, {"country": "DE"}, NOTHING))
        assert visitor(waiting).segments == {"country": "DE"}

    def test_that_is_explained_too(self) -> None:
        explanation = visitor(engine()).explain("checkout")
        assert str(explanation) == "checkout for visitor 'v-1': not_ready\n  NO  not_ready"

    def test_a_conversion_is_kept_and_counted_later(self) -> None:
        waiting = engine()
        assert visitor(waiting).track("buy").reason is ConversionReason.PENDING
        assert offered(waiting) == 0
        waiting.install(SHOP)
        assert offered(waiting) == 1
        assert visitor(waiting).track("buy").reason is ConversionReason.DUPLICATE

    def test_rule_data_that_changes_meanwhile_counts_as_it_was(self) -> None:
        waiting = engine()
        order = {"total": 50, "skus": ["a"]}
        visitor(waiting).track("big", rule_data=order)
        order["total"] = 5
        waiting.install(project(experience(), goals=[entity("92", "big", every(leaf("total", 50)))]))
        assert offered(waiting) == 1

    def test_nothing_is_kept_of_a_visitor_without_tracking(self) -> None:
        waiting = engine()
        result = visitor(waiting).with_context(tracking=False).track("buy")
        assert (result.reason, len(waiting.pending)) == (ConversionReason.TRACKING_OFF, 0)
        waiting.install(SHOP)
        assert visitor(waiting).track("buy").reason is ConversionReason.ACCEPTED

    def test_a_kept_one_of_an_unknown_goal_goes_with_the_document(self) -> None:
        waiting = engine()
        visitor(waiting).track("nothing")
        visitor(waiting).track("buy")
        waiting.install(SHOP)
        assert offered(waiting) == 1

    def test_no_more_than_a_thousand_are_kept(self) -> None:
        waiting = engine()
        results = [visitor(waiting, str(number)).track("buy").reason for number in range(1001)]
        assert results == [ConversionReason.PENDING] * 1000 + [ConversionReason.QUEUE_FULL]

    def test_one_that_races_with_the_document_is_counted(self) -> None:
        waiting = engine()
        late = visitor(waiting)
        waiting.lock = Meanwhile(lambda: waiting.install(SHOP))  # type: ignore[assignment]  # a lock that is slow to get
        assert late.track("buy").reason is ConversionReason.ACCEPTED
        assert (offered(waiting), len(waiting.pending)) == (1, 0)

    def test_a_visitor_stays_without_a_project(self) -> None:
        waiting = engine()
        early = visitor(waiting)
        waiting.install(SHOP)
        assert early.decide("checkout").reason is Reason.NOT_READY
        assert visitor(waiting).decide("checkout").reason is Reason.BUCKETED


class Meanwhile:
    """A lock during the first wait for which something happens."""

    def __init__(self, happens: Callable[[], None]) -> None:
        self._lock = Lock()
        self._happens: Callable[[], None] | None = happens

    def __enter__(self) -> None:
        happens, self._happens = self._happens, None
        if happens is not None:
            happens()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_of_two_who_begin_the_same_visitor_one_reports() -> None:
    running = engine()
    running.install(SHOP)
    first, second = visitor(running), visitor(running)
    decision = second.peek("checkout")
    first.decide("checkout")
    running.remember(second, (decision,))
    assert offered(running) == 1
    assert second._state is first._state


class Picky(EventQueue):
    """A queue that refuses whatever goal 91 has sent."""

    def offer(self, events: Sequence[Event], now: float) -> bool:
        return '"goalId":"91"' not in events[0].wire and super().offer(events, now)


def interrupted(during: Callable[[], object], line: int, handler: Callable[[], object]) -> bool:
    """Call the handler before one line of the engine; False if it was over by then."""
    lines, measured = count(), sys.gettrace()  # coverage has a tracer of its own

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        if event == "line" and frame.f_code.co_filename == engine_module.__file__ and next(lines) == line:
            sys.settrace(measured)
            handler()
        return trace

    sys.settrace(trace)
    try:
        during()
    finally:
        sys.settrace(measured)
    return next(lines) > line


def test_a_decision_that_a_handler_made_first_is_reported_once() -> None:
    """Whatever line a signal's handler comes to of the way that a visitor takes who is known already."""
    line, over = 0, False
    while not over:
        running = engine()
        running.install(SHOP)
        running.set_segments(Facts(LOW), {"country": "DE"})
        served, handled = visitor(running), visitor(running)
        over = not interrupted(partial(served.decide, "checkout"), line, partial(handled.decide, "checkout"))
        assert offered(running) == 1, line
        line += 1
    assert line > 10


def test_a_refused_conversion_takes_no_other_goals_mark_along() -> None:
    """Whatever line a signal's handler comes to that tracks another goal, which nothing refuses."""
    shop = project(experience(), goals=[entity("91", "buy"), entity("92", "pay")])
    line = 0
    while True:
        running = engine()
        running.queue = Picky(DeliveryConfig(max_queue=100), random=lambda: 0.0)
        running.install(shop)
        tracking = visitor(running)
        handled = interrupted(partial(tracking.track, "buy"), line, partial(tracking.track, "pay"))
        if not handled:
            break
        assert (set(tracking._state.goals), offered(running)) == ({"pay"}, 1), line
        line += 1
    assert line > 20


class TestRefresh:
    def test_a_visitor_is_pinned_to_its_project(self) -> None:
        running = engine()
        running.install(SHOP)
        early = visitor(running)
        running.install(project(archived_experiences=["100"]))
        assert early.decide("checkout").reason is Reason.BUCKETED
        assert visitor(running).decide("checkout").reason is Reason.UNKNOWN

    def test_the_default_environment_is_that_of_the_document(self) -> None:
        running = engine()
        qa = Project.parse(
            b'{"account_id": 1, "project": {"id": 2, "environments": {"qa": {"is_default": true}}}}'
        )
        running.install(qa)
        assert Visitor(running, "v-1", {}, {}).environment == "qa"
        running.install(SHOP)
        assert Visitor(running, "v-1", {}, {}).environment is None

    def test_one_that_was_configured_stays(self) -> None:
        configured = Engine(VisitorCache(9, stored=False), None, environment="live")
        configured.install(SHOP)
        assert Visitor(configured, "v-1", {}, {}).environment == "live"


class TestAFullQueue:
    def test_refuses_the_conversion_and_sets_no_marker(self) -> None:
        full = engine(max_queue=1)
        full.install(SHOP)
        visitor(full, "first").track("buy")
        assert visitor(full).track("buy").reason is ConversionReason.QUEUE_FULL
        assert visitor(full).track("buy").reason is ConversionReason.QUEUE_FULL

    def test_does_not_touch_the_decision(self) -> None:
        full = engine(max_queue=1)
        full.install(SHOP)
        visitor(full, "first").track("buy")
        assert visitor(full).decide("checkout").reason is Reason.BUCKETED
        assert visitor(full).decide("checkout").reason is Reason.STICKY


class TestObservations:
    def test_tell_of_exposures_and_conversions(self) -> None:
        heard: list[Observation] = []
        watched = engine(observer=Observer((), [heard.append]))
        watched.install(SHOP)
        someone = visitor(watched)
        someone.decide("checkout")
        result = someone.track("buy")
        someone.track("buy")
        exposures = [each for each in heard if isinstance(each, Exposed)]
        conversions = [each for each in heard if isinstance(each, Converted)]
        assert [(each.experience_id, each.variation_id) for each in exposures] == [("100", "1")]
        assert conversions == [
            Converted(result.uuid, LOW, "buy", ConversionReason.ACCEPTED),
            Converted(None, LOW, "buy", ConversionReason.DUPLICATE),
        ]

    def test_a_forked_process_tells_nothing_of_its_parents(self) -> None:
        heard: list[Observation] = []
        observer = Observer([heard.append])
        watched = engine(observer=observer)
        watched.install(SHOP)
        visitor(watched).decide("checkout")
        watched.reset_after_fork()
        observer.deliver()
        assert not heard

    def test_nobody_listens_by_default(self) -> None:
        assert engine().observer is None


def test_a_forked_process_has_ids_of_its_own() -> None:
    forked = engine()
    forked.install(SHOP)
    before = visitor(forked, "a").track("buy").uuid
    forked.reset_after_fork()
    assert visitor(forked, "b").track("buy").uuid != before


def test_claims_are_won_or_lost_by_conversion() -> None:
    won, lost = claim_results({"buy": "u-1", "see": "u-2"}, Winners({}, {"buy": "u-1", "see": "theirs"}))
    assert (won, lost) == (set(event_ids("u-1")), set(event_ids("u-2")))


@pytest.mark.parametrize(("known", "key"), [(True, "1-2-v"), (False, "v")])
def test_a_visitors_key_in_a_store(known: bool, key: str) -> None:
    keyed = engine()
    if known:
        keyed.install(SHOP)
    assert keyed.store_key("v") == key


class Peeked(VisitorCache):
    """Another thread peeks by the same visitor: it had looked before the visitor was begun, and is done after."""

    __slots__ = ()

    def create(self, facts: Facts, decisions: Iterable[Decision]) -> VisitorState | None:
        state = super().create(facts, decisions)
        facts._state = UNSEEN
        return state


def test_an_exposure_has_its_segments_whatever_other_threads_look_at() -> None:
    queue = EventQueue(DeliveryConfig(batch_size=1), random=lambda: 0.0)
    queue.set_endpoint(Endpoint("", {}, TrackingContext("1", "2")))
    peeked = Engine(Peeked(100, stored=False), queue)
    peeked.install(SHOP)
    assert Visitor(peeked, LOW, {"country": "DE"}, NOTHING).decide("checkout")
    request = queue.next_request(0.0)
    assert request is not None
    assert b'"segments":{"country":"DE"}' in (request.body or b"")
