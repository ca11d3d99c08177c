"""Whatever happens in whatever order, the counts add up and every accepted event is accounted for once."""

from __future__ import annotations

import json
from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from convert_sdk._core.events import Event, TrackingContext, exposure_wire
from convert_sdk._delivery.queue import DeliveryConfig, Endpoint, EventQueue, EventState
from convert_sdk._http.messages import Failure, Response
from convert_sdk.status import DropReason

ENDPOINT = Endpoint("https://collector.invalid/track/key", {}, TrackingContext("1", "2"))

ANSWERS = st.one_of(
    st.sampled_from([200, 202, 204]).map(Response),
    st.sampled_from([400, 413, 422]).map(Response),
    st.sampled_from([301, 401, 403, 404]).map(Response),
    st.sampled_from([408, 425, 429, 500, 502, 503, 504]).map(Response),
    st.integers(0, 999).map(lambda seconds: Response(503, {"retry-after": str(seconds)})),
    st.sampled_from([Failure("undelivered", "refused"), Failure("ambiguous", "reset")]),
)


class QueueLife(RuleBasedStateMachine):
    @initialize(
        durable=st.booleans(),
        delivery=st.sampled_from(["at_least_once", "at_most_once"]),
        max_queue=st.integers(1, 40),
        batch_size=st.integers(1, 12),
        known=st.booleans(),
    )
    def open(self, durable: bool, delivery: str, max_queue: int, batch_size: int, known: bool) -> None:
        self.config = DeliveryConfig(max_queue, batch_size, 1.0, delivery, durable, keep_settled=True)  # type: ignore[arg-type]
        self.now = 1_000.0
        self.queue = EventQueue(self.config, random=lambda: 0.5)
        if known:
            self.queue.set_endpoint(ENDPOINT)
        self.offered = 0
        self.adopted = 0
        self.accepted: dict[str, Event] = {}
        self.flight: list[str] | None = None
        self.delivered: Counter[str] = Counter()
        self.doubted: Counter[str] = Counter()
        self.disk: list[Event] = []
        self.forgotten: set[str] = set()
        self.outcome: dict[str, str] = {}
        self.closed = False

    def made(self, claim: bool, attributed: bool, visitor: int) -> Event:
        name = f"e{self.offered + self.adopted}"
        wire = exposure_wire(name, "v")
        return Event(name, f"visitor-{visitor}", wire, None, "goal" if claim else None, attributed)

    def settle(self) -> None:
        while self.queue.stats.settled:
            settled_events = self.queue.stats.settled.popleft()
            for event in settled_events.events:
                assert event.uuid not in self.outcome, "an event has one outcome"
                self.outcome[event.uuid] = settled_events.outcome

    @rule(claim=st.booleans(), attributed=st.booleans(), visitor=st.integers(0, 2), count=st.integers(1, 5))
    def offer(self, claim: bool, attributed: bool, visitor: int, count: int) -> None:
        events = []
        for _ in range(count):
            events.append(self.made(claim, attributed, visitor))
            self.offered += 1
        held = self.queue.counts()
        fits = not self.closed and held.queued + held.in_flight + count <= self.config.max_queue
        taken = self.queue.offer(events, now=self.now)
        assert taken == fits
        if taken:
            self.accepted.update({event.uuid: event for event in events})

    @rule()
    def learn_the_address(self) -> None:
        self.queue.set_endpoint(ENDPOINT)

    @rule(seconds=st.floats(0.01, 400.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def override_backoff(self) -> None:
        self.queue.override_backoff()
        counts = self.queue.counts()
        if (
            counts.queued
            and not counts.in_flight
            and not self.config.durable
            and not self.queue.by_state()[EventState.HELD]
        ):
            assert self.queue.due() in (0.0, float("inf"))

    @rule()
    def next_request(self) -> None:
        due = self.queue.due()
        request = self.queue.next_request(self.now)
        if request is None:
            assert due > self.now or self.queue.due() > self.now or self.queue.counts().in_flight
            return
        assert due <= self.now
        assert self.flight is None, "one request at a time"
        body = json.loads(request.body or b"")
        self.flight = [
            event["data"]["experienceId"] for visitor in body["visitors"] for event in visitor["events"]
        ]
        kinds = {self.accepted[name].attributed for name in self.flight}
        assert len(kinds) == 1
        assert body["enrichData"] is not kinds.pop()
        assert len(self.flight) == self.queue.counts().in_flight

    @precondition(lambda self: self.flight is not None)
    @rule(answer=ANSWERS)
    def handle_response(self, answer: Response | Failure) -> None:
        self.queue.handle_response(answer, self.now)
        names, self.flight = self.flight or [], None
        if isinstance(answer, Response) and 200 <= answer.status < 300:
            self.delivered.update(names)
        elif isinstance(answer, Failure) and answer.kind == "ambiguous":
            self.doubted.update(names)
        if isinstance(answer, Response) and "retry-after" in answer.headers:
            assert self.queue.due() >= self.now + min(int(answer.headers["retry-after"]), 300)
        soonest = min(self.queue.due(), self.queue.write_due())
        assert soonest <= self.now + 330.0 or not self.queue.counts().queued
        self.look_at_the_disk()

    @rule(done=st.sampled_from(["saved", "spooled", "died"]))
    def commit(self, done: str) -> None:
        if not self.config.durable:
            return
        events = self.queue.unwritten(7)
        if done == "saved":
            self.queue.written(self.now)
        elif done == "spooled":
            self.queue.spooled()
            self.disk.extend(events)
        else:
            assert self.queue.unwritten(7)[: len(events)] == events

    @rule(claim=st.booleans(), count=st.integers(1, 3))
    def adopt(self, claim: bool, count: int) -> None:
        for _ in range(count):
            event = self.made(claim, False, 9)
            self.adopted += 1
            self.accepted[event.uuid] = event
            self.disk.append(event)
        self.queue.count_spooled(count)

    @rule(count=st.integers(1, 9))
    def restore(self, count: int) -> None:
        back, self.disk = self.disk[:count], self.disk[count:]
        self.queue.restore(back, self.now)

    @rule(count=st.integers(1, 3))
    def expire(self, count: int) -> None:
        gone, self.disk = self.disk[:count], self.disk[count:]
        self.queue.drop_spooled(len(gone), DropReason.EXPIRED)
        self.forgotten.update(event.uuid for event in gone)

    @rule(data=st.data())
    def the_store_answers(self, data: st.DataObject) -> None:
        names = [event.uuid for event in self.queue.by_state()[EventState.HELD]]
        won = set(data.draw(st.lists(st.sampled_from(names)))) if names else set()
        lost = set(data.draw(st.lists(st.sampled_from(names)))) - won if names else set()
        self.queue.resolve_claims(won, lost, self.now)
        assert not (won | lost) & {event.uuid for event in self.queue.by_state()[EventState.HELD]}

    @rule()
    def stop_waiting_for_the_store(self) -> None:
        self.queue.send_unclaimed(self.now)
        assert not self.queue.by_state()[EventState.HELD]

    @rule(answer=ANSWERS, seconds=st.floats(0.01, 400.0))
    def exchange(self, answer: Response | Failure, seconds: float) -> None:
        self.commit("saved")
        self.now += seconds
        if self.flight is None:
            self.next_request()
        if self.flight is not None:
            self.handle_response(answer)

    @precondition(lambda self: self.offered > 30)
    @rule(share=st.integers(1, 3))
    def close(self, share: int) -> None:
        self.written = {name for number, name in enumerate(self.accepted) if number % share == 0}
        self.closed = True
        self.queue.close(self.written)
        self.look_at_the_disk()
        assert self.queue.counts().queued == 0

    def look_at_the_disk(self) -> None:
        """What a closed queue leaves behind lies on disk, if it ever did."""
        if not self.closed:
            return
        self.settle()
        lying = {event.uuid for event in self.disk} | set(self.flight or ())
        for name in self.written - lying - set(self.outcome) - self.forgotten:
            self.disk.append(self.accepted[name])

    @invariant()
    def the_law_holds(self) -> None:
        counts = self.queue.counts()
        assert counts.offered == sum(counts[1:])
        assert counts.offered == self.offered + self.adopted
        assert min(counts) >= 0
        assert counts.spooled == len(self.disk)
        assert counts.in_flight == len(self.flight or ())

    @invariant()
    def every_event_is_accounted_for(self) -> None:
        self.settle()
        counts = self.queue.counts()
        fates = Counter(self.outcome.values())
        assert (counts.sent, counts.rejected, counts.deduplicated) == (
            fates["sent"],
            fates["rejected"],
            fates["deduplicated"],
        )
        open_events = set(self.accepted) - set(self.outcome) - self.forgotten
        assert len(open_events) == counts.pending
        assert {name for name, outcome in self.outcome.items() if outcome == "sent"} == set(self.delivered)
        assert all(times == 1 for times in self.delivered.values()), "delivered once by a 2xx"
        if self.config.delivery == "at_most_once":
            assert not set(self.doubted) & set(self.delivered)

    def teardown(self) -> None:
        if not hasattr(self, "queue") or self.closed:
            return
        self.queue.set_endpoint(ENDPOINT)
        self.queue.restore(self.disk, self.now)
        self.disk = []
        if self.flight is not None:
            self.handle_response(Response(503))
        for _ in range(10_000):
            self.commit("saved")
            self.queue.send_unclaimed(self.now)
            self.queue.override_backoff()
            self.next_request()
            if self.flight is not None:
                self.handle_response(Response(200))
            elif not self.queue.by_state()[EventState.HELD]:
                break
        self.the_law_holds()
        self.every_event_is_accounted_for()
        assert self.queue.counts().pending == 0


QueueLife.TestCase.settings = settings(
    max_examples=3 * settings().max_examples, stateful_step_count=40, deadline=None
)
TestQueueLife = QueueLife.TestCase
