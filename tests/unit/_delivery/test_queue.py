"""The queue, one promise at a time."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable
from math import inf
from threading import Thread

import pytest

from convert_sdk._core.events import Event, TrackingContext, exposure_wire
from convert_sdk._delivery.queue import MOST_BYTES, DeliveryConfig, Endpoint, EventQueue, EventState
from convert_sdk._delivery.stats import classify, error_of
from convert_sdk._http.messages import Failure, Request, Response, request_headers
from convert_sdk.status import Counts, DeliveryError, DropReason, EndpointState, FlushReport, RejectedEvent

ENDPOINT = Endpoint(
    "https://collector.invalid/track/key", request_headers("s3cret"), TrackingContext("1", "2")
)
OK = Response(200)
LOST = Failure("undelivered", "refused")


def event(name: str, *, claim: str | None = None, attributed: bool = False) -> Event:
    return Event(name, f"visitor-{name}", exposure_wire(name, "v"), None, claim, attributed)


def queue(config: DeliveryConfig | None = None, random: float = 0.5) -> EventQueue:
    machine = EventQueue(config or DeliveryConfig(), random=lambda: random)
    machine.set_endpoint(ENDPOINT)
    return machine


def offer(machine: EventQueue, count: int, *, now: float = 0.0) -> None:
    for number in range(count):
        assert machine.offer([event(f"e{number}")], now=now)


def standing(machine: EventQueue) -> EndpointState:
    """Read by a call: a checker takes what an attribute was once asserted to be for what it still is."""
    return machine.stats.endpoint_state


def names(request: Request | None) -> list[str]:
    assert request is not None
    assert request.body is not None
    visitors = json.loads(request.body)["visitors"]
    return [event["data"]["experienceId"] for visitor in visitors for event in visitor["events"]]


def enriched(request: Request | None) -> object:
    assert request is not None
    return json.loads(request.body or b"")["enrichData"]


# When a request starts.


def test_nothing_is_due_before_an_event_and_an_address() -> None:
    machine = EventQueue(DeliveryConfig(), random=lambda: 0.5)
    offer(machine, 200)
    assert machine.due() == inf
    assert machine.next_request(1e9) is None
    machine.set_endpoint(ENDPOINT)
    assert machine.due() == 0.0
    assert queue().due() == inf


def test_a_few_events_wait_for_the_interval_and_many_do_not() -> None:
    machine = queue(DeliveryConfig(batch_size=3, flush_interval=1.0))
    offer(machine, 2, now=10.0)
    assert machine.due() == 11.0
    assert machine.next_request(10.9) is None
    assert machine.offer([event("third")], now=10.9)
    assert machine.due() == 0.0


def test_no_request_begins_that_would_not_end_in_time() -> None:
    """It would be cut short, and sent again; the one before tells how long it takes."""
    machine = queue(DeliveryConfig(flush_interval=0.0))
    offer(machine, 1)
    machine.send_until(10.0)
    assert names(machine.next_request(4.0)) == ["e0"]
    machine.handle_response(OK, 6.0)
    assert machine.offer([event("late")], now=6.0)
    assert machine.next_request(6.1) is None
    assert machine.due() == inf
    machine.send_until(inf)
    assert names(machine.next_request(6.2)) == ["late"]


def test_a_request_says_who_and_where() -> None:
    machine = queue()
    offer(machine, 1)
    request = machine.next_request(1.0)
    assert request is not None
    assert (request.method, request.url) == ("POST", ENDPOINT.url)
    assert request.headers["Authorization"] == "Bearer s3cret"
    assert "s3cret" not in repr(request)
    assert "visitor" not in repr(request)


def test_one_request_drains_a_thousand_and_the_rest_follows_at_once() -> None:
    machine = queue()
    offer(machine, 1_500)
    assert len(names(machine.next_request(0.0))) == 1_000
    assert machine.due() == inf
    assert machine.next_request(9.0) is None
    machine.handle_response(OK, 0.1)
    assert machine.due() == 0.0
    assert len(names(machine.next_request(0.1))) == 500


def test_one_request_is_no_larger_than_half_a_mebibyte() -> None:
    machine = queue()
    heavy = {"country": "x" * 10_000}
    for number in range(200):
        machine.offer([Event(f"u{number}", f"v{number}", exposure_wire("1", "2"), heavy)], now=0.0)
    sizes = []
    while request := machine.next_request(5.0):
        sizes.append(len(request.body or b""))
        machine.handle_response(OK, 5.0)
    assert max(sizes) <= MOST_BYTES
    assert len(sizes) < 10
    assert machine.counts().sent == 200


def test_an_event_larger_than_a_request_travels_alone() -> None:
    machine = queue()
    giant = Event("giant", "v", f'{{"eventType":"bucketing","data":{{"x":"{"y" * MOST_BYTES}"}}}}')
    machine.offer([event("a"), giant, event("b")], now=0.0)
    counts = []
    while machine.next_request(5.0):
        counts.append(machine.counts().in_flight)
        machine.handle_response(OK, 5.0)
    assert sum(counts) == 3
    assert 1 in counts


def test_attributed_events_travel_apart_and_in_turn() -> None:
    machine = queue()
    offer(machine, 2_000)
    machine.offer([event("apart", attributed=True)], now=0.0)
    kinds = []
    while request := machine.next_request(1.0):
        kinds.append(enriched(request))
        machine.handle_response(OK, 1.0)
    assert kinds == [True, False, True]


def test_events_offered_during_a_flight_stay() -> None:
    machine = queue()
    offer(machine, 1)
    machine.next_request(1.0)
    machine.offer([event("late")], now=1.0)
    assert machine.counts() == Counts(offered=2, in_flight=1, queued=1)
    machine.handle_response(OK, 1.2)
    assert names(machine.next_request(2.0)) == ["late"]


def test_waking_happens_when_something_is_due_earlier() -> None:
    woken: list[None] = []
    machine = EventQueue(DeliveryConfig(batch_size=3), random=lambda: 0.5, notify=lambda: woken.append(None))
    for number in range(5):
        machine.offer([event(f"{number}")], now=0.0)
    assert len(woken) == 2
    machine.override_backoff()
    assert len(woken) == 3


# The bound.


def test_a_full_outbox_drops_the_newest_and_says_so_once_a_minute() -> None:
    machine = queue(DeliveryConfig(max_queue=5))
    offer(machine, 4)
    assert not machine.offer([event("x"), event("y")], now=0.0)
    assert machine.offer([event("z")], now=1.0)
    for now in (2.0, 59.0, 61.0):
        assert not machine.offer([event("x")], now=now)
    assert machine.stats.dropped_by_reason() == {"full": 5}
    assert len(machine.stats.notices) == 2
    assert machine.counts() == Counts(offered=10, queued=5, dropped=5)
    assert names(machine.next_request(61.0)) == ["e0", "e1", "e2", "e3", "z"]


def test_what_is_in_flight_or_waits_again_counts_towards_the_bound() -> None:
    machine = queue(DeliveryConfig(max_queue=5))
    offer(machine, 5)
    machine.next_request(1.0)
    assert machine.room == 0
    assert not machine.offer([event("x")], now=1.0)
    machine.handle_response(LOST, 1.0)
    assert not machine.offer([event("x")], now=1.0)
    machine.next_request(9.0)
    machine.handle_response(OK, 9.0)
    assert machine.room == 5


def test_many_threads_lose_no_count() -> None:
    machine = EventQueue(DeliveryConfig(max_queue=10_000), random=lambda: 0.5)
    machine.set_endpoint(ENDPOINT)
    accepted: list[int] = []

    def visit(thread: int) -> None:
        accepted.append(sum(machine.offer([event(f"{thread}-{n}")], now=0.0) for n in range(4_000)))

    threads = [Thread(target=visit, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if machine.next_request(5.0):
            machine.handle_response(OK, 5.0)
    while machine.next_request(5.0):
        machine.handle_response(OK, 5.0)
    counts = machine.counts()
    assert counts.offered == 16_000
    assert counts.sent == sum(accepted)
    assert counts.dropped == 16_000 - sum(accepted)


class Drained(deque[Event]):
    """A queue that is emptied just before the next events come in."""

    def extend(self, events: Iterable[Event]) -> None:
        self.clear()
        super().extend(events)


def test_an_event_that_finds_the_queue_just_drained_wakes_too() -> None:
    woken: list[int] = []
    machine = EventQueue(DeliveryConfig(), random=lambda: 0.5, notify=lambda: woken.append(1))
    machine.set_endpoint(ENDPOINT)
    assert machine.offer([event("first")], now=0.0)
    assert machine.next_request(5.0)
    machine.handle_response(OK, 5.0)
    machine._fresh = Drained([event("seen, and gone")])
    assert machine.offer([event("second")], now=6.0)
    assert len(woken) == 2
    assert machine.due() == 7.0


def test_what_is_drained_before_the_waking_leaves_the_next_one_a_first_one() -> None:
    woken: list[int] = []
    machine = EventQueue(DeliveryConfig(), random=lambda: 0.5, notify=lambda: woken.append(1))
    machine.set_endpoint(ENDPOINT)
    machine._notify_once(0.0)
    assert machine.offer([event("next")], now=6.0)
    assert len(woken) == 2
    assert machine.due() == 7.0


# What an answer means.


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        *((Response(status), "delivered") for status in (200, 201, 202, 204, 299)),
        (Response(200, body_error="too slow"), "delivered"),
        *((Response(status), "rejected") for status in (400, 413, 422)),
        *((Response(status), "retry") for status in (408, 425, 429, 500, 501, 503, 599)),
        *((Response(status), "ambiguous") for status in (502, 504)),
        *((Response(status), "denied") for status in (301, 304, 307, 401, 403, 404, 405, 410, 451)),
        (Failure("undelivered", ""), "retry"),
        (Failure("ambiguous", ""), "ambiguous"),
    ],
)
def test_the_meaning_of_an_answer(answer: Response | Failure, meaning: str) -> None:
    assert classify(answer) == meaning


@pytest.mark.parametrize(
    "answer",
    [LOST, Failure("ambiguous", "reset"), Response(408), Response(425), Response(429), Response(502)],
)
def test_back_off_doubles_with_full_jitter_up_to_thirty_seconds(answer: Response | Failure) -> None:
    machine = queue(random=1.0)
    offer(machine, 1)
    now, waits = 1.0, []
    for _ in range(9):
        assert machine.next_request(now)
        machine.handle_response(answer, now)
        waits.append(machine.due() - now)
        now = machine.due()
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert machine.stats.retries == 9
    assert machine.counts() == Counts(offered=1, queued=1)
    machine.next_request(now)
    machine.handle_response(OK, now)
    machine.offer([event("next")], now=now)
    machine.next_request(now + 1.0)
    machine.handle_response(answer, now + 1.0)
    assert machine.due() == now + 1.5


def test_retry_after_is_a_minimum() -> None:
    machine = queue(random=1.0)
    offer(machine, 1)
    machine.next_request(1.0)
    machine.handle_response(Response(503, {"retry-after": "0"}), 1.0)
    assert machine.due() == 1.5
    machine.next_request(1.5)
    machine.handle_response(Response(429, {"retry-after": "100"}), 2.0)
    assert machine.due() == 102.0
    assert machine.next_request(101.9) is None


@pytest.mark.parametrize("status", [301, 401, 403, 404])
def test_a_refusal_slows_down_keeps_everything_and_is_told_once(status: int) -> None:
    machine = queue(random=0.0)
    offer(machine, 3)
    now = 1.0
    for _ in range(4):
        assert len(names(machine.next_request(now))) == 3
        machine.handle_response(Response(status, body=b'{"code": 7, "message": "no"}'), now)
        assert machine.due() == now + 300.0
        now += 300.0
    assert machine.stats.endpoint_state == "denied"
    assert machine.stats.last_error == DeliveryError(status, 7, "no")
    assert [notice.level for notice in machine.stats.notices] == ["error"]
    assert machine.counts().queued == 3
    machine.next_request(now)
    machine.handle_response(OK, now)
    assert standing(machine) == "ok"
    assert [notice.level for notice in machine.stats.notices] == ["error", "info"]


def test_a_failing_endpoint_is_told_of_once_and_so_is_its_return() -> None:
    machine = queue()
    offer(machine, 1)
    for now in (100.0, 200.0, 300.0):
        machine.next_request(now)
        machine.handle_response(Response(503), now)
    machine.next_request(400.0)
    machine.handle_response(OK, 400.0)
    assert [notice.level for notice in machine.stats.notices] == ["warning", "info"]
    assert machine.stats.failures == {"503": 3}


@pytest.mark.parametrize("bad", [{0}, {99}, {37}, {3, 4, 5, 6}, {0, 50, 99}])
@pytest.mark.parametrize("status", [400, 413, 422])
def test_only_the_bad_events_are_set_aside(bad: set[int], status: int) -> None:
    machine = queue(DeliveryConfig(keep_settled=True))
    offer(machine, 100)
    poison = {f"e{number}" for number in bad}
    requests = 0
    while request := machine.next_request(1.0):
        requests += 1
        refused = poison & set(names(request))
        machine.handle_response(
            Response(status, body=b'{"code": 1, "message": "events[0]"}') if refused else OK, 1.0
        )
    assert machine.counts() == Counts(offered=100, sent=100 - len(bad), rejected=len(bad))
    assert {dead.event.uuid for dead in machine.stats.rejected_events} == poison
    assert all(dead.error == DeliveryError(status, 1, "events[0]") for dead in machine.stats.rejected_events)
    assert requests <= 1 + 2 * 7 * len(bad)
    assert {outcome.outcome for outcome in machine.stats.settled} == {"sent", "rejected"}


def test_an_endpoint_that_refuses_everything_is_not_stormed() -> None:
    machine = queue(random=1.0)
    offer(machine, 1_000)
    now, requests = 1.0, 0
    while now < 3_600.0:
        if machine.next_request(now):
            requests += 1
            machine.handle_response(Response(400), now)
        else:
            assert machine.due() > now
            now = machine.due()
    assert 100 < requests < 200
    assert machine.counts().queued > 800


def test_dead_events_are_bounded_and_do_not_name_the_visitor() -> None:
    machine = queue()
    for number in range(150):
        machine.offer([event(f"e{number}")], now=0.0)
        machine.next_request(1_000.0 * number + 1.0)
        machine.handle_response(Response(400), 1_000.0 * number + 1.0)
    assert len(machine.stats.rejected_events) == 100
    assert machine.counts().rejected == 150
    assert "visitor-" not in repr(RejectedEvent(event("e"), DeliveryError(400, None, "")))


class Unprintable:
    def __str__(self) -> str:
        raise LookupError

    __repr__ = __str__


def test_an_event_that_cannot_be_written_does_not_hold_up_the_others() -> None:
    machine = queue()
    offer(machine, 10)
    machine.offer([Event("bad", "v", exposure_wire("1", "2"), {"segment": Unprintable()})], now=0.0)
    offer(machine, 10)
    while machine.due() <= 1.0:
        if machine.next_request(1.0):
            machine.handle_response(OK, 1.0)
    assert machine.counts() == Counts(offered=21, sent=20, rejected=1)
    assert machine.stats.rejected_events[0].event.uuid == "bad"


# Ambiguous failures.


@pytest.mark.parametrize("answer", [Failure("ambiguous", "reset"), Response(504)])
def test_an_ambiguous_batch_is_sent_again_unless_at_most_once_was_asked_for(
    answer: Response | Failure,
) -> None:
    patient, strict = queue(), queue(DeliveryConfig(delivery="at_most_once", keep_settled=True))
    for machine in (patient, strict):
        offer(machine, 2)
        machine.next_request(1.0)
        machine.handle_response(answer, 1.0)
        assert machine.stats.ambiguous == 2
    assert patient.counts() == Counts(offered=2, queued=2)
    assert strict.counts() == Counts(offered=2, dropped=2)
    assert strict.stats.dropped == {"ambiguous": 2}
    assert strict.stats.settled[0].outcome == "dropped"
    strict.offer([event("next")], now=1.0)
    assert strict.due() > 1.0


def test_a_certain_failure_is_sent_again_even_at_most_once() -> None:
    machine = queue(DeliveryConfig(delivery="at_most_once"))
    offer(machine, 2)
    machine.next_request(1.0)
    machine.handle_response(LOST, 1.0)
    assert machine.counts() == Counts(offered=2, queued=2)
    assert machine.stats.ambiguous == 0


def test_a_request_that_this_process_gave_up_is_no_failure_of_the_endpoint() -> None:
    """It may have arrived; a flush that is under way, ahead of a back-off, goes on with it."""
    machine, strict = queue(), queue(DeliveryConfig(delivery="at_most_once"))
    for each in (machine, strict):
        offer(each, 2)
        each.next_request(1.0)
        each.handle_response(Response(503), 1.0)
        each.override_backoff()
        first = each.next_request(1.0)
        each.handle_response(Failure("interrupted", "the event loop stopped"), 1.0)
        assert each.stats.ambiguous == 2
        assert each.forced_failures == 0
    assert machine.due() == 0.0
    assert names(machine.next_request(1.0)) == names(first)
    assert strict.stats.dropped == {"ambiguous": 2}


# Flushing and closing.


def test_hurry_ignores_the_interval_and_the_back_off_once() -> None:
    machine = queue(random=1.0)
    offer(machine, 2, now=1.0)
    machine.override_backoff()
    assert machine.due() == 0.0
    assert machine.next_request(1.0)
    machine.handle_response(Response(429, {"retry-after": "60"}), 1.0)
    assert machine.due() == 61.0
    machine.override_backoff()
    assert machine.next_request(2.0)
    machine.handle_response(LOST, 2.0)
    assert machine.due() > 2.0


def test_the_interval_may_be_waived_but_no_back_off() -> None:
    machine = queue()
    offer(machine, 2, now=1.0)
    machine.waive_interval(1.5)
    assert machine.due() <= 1.5
    assert machine.next_request(1.5)
    machine.handle_response(Response(429, {"retry-after": "60"}), 1.5)
    machine.waive_interval(2.0)
    assert machine.due() == 61.5


def test_hurry_ends_with_what_was_there() -> None:
    machine = queue()
    offer(machine, 2)
    machine.override_backoff()
    machine.next_request(0.0)
    machine.offer([event("late")], now=0.5)
    machine.handle_response(OK, 0.5)
    assert machine.due() == 1.5


def test_an_answer_nobody_waits_for_changes_nothing() -> None:
    machine = queue()
    offer(machine, 1)
    before = machine.counts()
    machine.handle_response(Response(500), 1.0)
    assert machine.counts() == before
    assert machine.due() == 1.0


def test_what_is_given_up_is_counted() -> None:
    machine = queue(DeliveryConfig(keep_settled=True))
    offer(machine, 3)
    assert machine.close() == 3
    assert machine.stats.dropped == {"closed": 3}
    assert machine.counts() == Counts(offered=3, dropped=3)
    assert machine.due() == inf


def test_no_later_event_is_taken_for_one_of_a_snapshot_that_is_gone() -> None:
    machine = queue()
    offer(machine, 500)
    snapshot = machine.snapshot()
    assert not machine.is_settled(snapshot)
    assert len(names(machine.next_request(9.0))) == 500
    machine.handle_response(OK, 9.0)
    offer(machine, 2_000, now=9.0)  # some would lie where the first ones lay, if nobody held those
    assert machine.is_settled(snapshot)


def test_a_flush_report_is_the_law_folded() -> None:
    before = Counts(offered=10, sent=4, queued=5, rejected=1)
    after = Counts(offered=12, sent=7, in_flight=1, queued=1, spooled=1, dropped=1, rejected=1)
    assert FlushReport.between(before, after) == FlushReport(sent=3, pending=3, dropped=1)


# The spool.


def test_durable_events_are_saved_before_they_are_sent() -> None:
    machine = queue(DeliveryConfig(durable=True, batch_size=2))
    offer(machine, 3, now=10.0)
    machine.override_backoff()
    assert machine.due() == inf
    assert machine.write_due() == 10.05
    assert machine.write_due(events=3) == 0.0
    batch = machine.unwritten(2)
    assert machine.unwritten(2) == batch
    assert machine.write_due() == 0.0
    machine.written(10.05)
    assert names(machine.next_request(10.05)) == ["e0", "e1"]
    assert machine.counts() == Counts(offered=3, in_flight=2, queued=1)


def test_saved_events_still_wait_for_a_batch() -> None:
    machine = queue(DeliveryConfig(durable=True))
    offer(machine, 1, now=10.0)
    machine.unwritten()
    machine.written(10.05)
    assert machine.due() == 11.05
    assert machine.write_due() == inf


def test_shelved_events_leave_memory_and_come_back() -> None:
    machine = queue(DeliveryConfig(durable=True, max_queue=3))
    offer(machine, 3)
    batch = machine.unwritten()
    machine.spooled()
    assert machine.room == 3
    assert machine.counts() == Counts(offered=3, spooled=3)
    assert (machine.stats.returned, machine.all_returned_at()) == (0, 3)
    machine.restore(batch[:2], 5.0)
    assert machine.counts() == Counts(offered=3, queued=2, spooled=1)
    assert machine.due() == 5.0
    assert (machine.stats.returned, machine.all_returned_at()) == (2, 3)
    machine.drop_spooled(1, DropReason.EXPIRED)
    assert machine.counts() == Counts(offered=3, queued=2, dropped=1)
    assert machine.stats.returned == 3


def test_events_of_an_earlier_process_count_as_offered() -> None:
    machine = queue(DeliveryConfig(durable=True))
    machine.count_spooled(2)
    assert machine.counts() == Counts(offered=2, spooled=2)
    machine.restore([event("a"), event("b")], 1.0)
    assert names(machine.next_request(1.0)) == ["a", "b"]


def test_endings_say_what_may_leave_the_spool() -> None:
    machine = queue(DeliveryConfig(keep_settled=True))
    offer(machine, 2)
    machine.next_request(1.0)
    machine.handle_response(OK, 1.0)
    ending = machine.stats.settled.popleft()
    assert ending.outcome == "sent"
    assert [event.uuid for event in ending.events] == ["e0", "e1"]
    unwatched = queue()
    offer(unwatched, 2)
    unwatched.next_request(1.0)
    unwatched.handle_response(OK, 1.0)
    assert not unwatched.stats.settled


def test_leaving_the_rest_to_the_spool() -> None:
    machine = queue(DeliveryConfig(durable=True))
    offer(machine, 3)
    machine.unwritten()
    machine.written(0.0)
    assert machine.close({"e0", "e2"}) == 1
    assert machine.counts() == Counts(offered=3, spooled=2, dropped=1)


def test_a_closed_outbox_turns_events_away_and_gives_up_a_flight_that_fails() -> None:
    machine = queue(DeliveryConfig(keep_settled=True))
    offer(machine, 2)
    machine.next_request(1.0)
    machine.close()
    assert not machine.offer([event("late")], now=1.0)
    assert machine.stats.dropped_by_reason() == {"closed": 1}
    assert machine.counts() == Counts(offered=3, in_flight=2, dropped=1)
    machine.handle_response(LOST, 2.0)
    assert machine.counts() == Counts(offered=3, dropped=3)


# Claims.


def test_a_claim_is_decided_before_its_event_is_sent() -> None:
    machine = queue(DeliveryConfig(keep_settled=True))
    machine.offer([event("a", claim="g"), event("b", claim="g"), event("free")], now=0.0)
    assert names(machine.next_request(1.0)) == ["free"]
    machine.handle_response(OK, 1.0)
    assert [event.uuid for event in machine.by_state()[EventState.HELD]] == ["a", "b"]
    assert machine.due() == 6.0
    machine.resolve_claims({"a"}, {"b"}, 1.5)
    assert names(machine.next_request(1.5)) == ["a"]
    machine.handle_response(OK, 1.6)
    assert machine.counts() == Counts(offered=3, sent=2, deduplicated=1)
    assert [ending.outcome for ending in machine.stats.settled] == ["sent", "deduplicated", "sent"]


def test_a_store_that_does_not_answer_is_waited_for_five_seconds() -> None:
    machine = queue()
    machine.offer([event("a", claim="g")], now=0.0)
    assert machine.next_request(1.0) is None
    assert machine.due() == 6.0
    assert machine.next_request(5.9) is None
    assert names(machine.next_request(6.0)) == ["a"]


def test_release_stops_waiting_for_the_store() -> None:
    machine = queue()
    machine.offer([event("a", claim="g")], now=0.0)
    machine.next_request(1.0)
    machine.offer([event("b", claim="g")], now=1.0)
    machine.send_unclaimed(1.0)
    machine.override_backoff()
    assert names(machine.next_request(1.0)) == ["a", "b"]


# What the endpoint says.


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b'{"code": 123, "message": "wrong account"}', 123, "wrong account"),
        (b'{"code": true, "message": 5}', None, ""),
        (b"<html>", None, ""),
        (b"\xff\xfe", None, ""),
        (b"[" * 8_000, None, ""),
        (b"[]", None, ""),
        (b'{"message": "' + b"x" * 1_000 + b'"}', None, "x" * 200),
        (b'{"message": "' + b"x" * 100_000 + b'"}', None, ""),
    ],
)
def test_trouble_is_told_in_the_words_of_the_endpoint(body: bytes, code: int | None, message: str) -> None:
    assert error_of(Response(400, body=body)) == DeliveryError(400, code, message)


def test_trouble_without_an_answer() -> None:
    assert error_of(Failure("ambiguous", "ReadError: reset")) == DeliveryError(
        None, None, "ambiguous: ReadError: reset"
    )
