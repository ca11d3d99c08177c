"""The table of an event's states is what the queue does: no move is missing in it, and none is invented."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from random import Random

from convert_sdk._core.events import Event, TrackingContext, exposure_wire
from convert_sdk._delivery.queue import (
    MOST_BYTES,
    TRANSITIONS,
    DeliveryConfig,
    Endpoint,
    EventQueue,
    EventState,
)
from convert_sdk._http.messages import Failure, Response
from convert_sdk.status import DropReason

ENDPOINT = Endpoint("https://collector.invalid/track/key", {}, TrackingContext("1", "2"))
ANSWERS: list[Response | Failure] = [
    *(Response(200) for _ in range(4)),
    Response(400),
    Response(401),
    Response(503),
    Failure("ambiguous", "reset"),
    Failure("undelivered", "refused"),
]
LARGE = exposure_wire("1", "x" * (MOST_BYTES // 3))
END = {EventState.SENT, EventState.REJECTED, EventState.DEDUPLICATED, EventState.DROPPED}


class Walk:
    """A queue that chance drives, and every move that one of its events has made."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.durable = self.random.random() < 0.5
        config = DeliveryConfig(
            max_queue=40,
            batch_size=3,
            durable=self.durable,
            delivery=self.random.choice(["at_least_once", "at_most_once"]),
            keep_settled=True,
        )
        self.queue = EventQueue(config, random=lambda: 0.5)
        self.queue.set_endpoint(ENDPOINT)
        self.now = 1_000.0
        self.events: list[Event] = []
        self.states: dict[str, EventState] = {}
        self.seen: defaultdict[str, set[tuple[EventState, EventState]]] = defaultdict(set)

    def event(self) -> Event:
        unwritable = Unwritable(country="DE") if self.random.random() < 0.06 else None
        wire = LARGE if self.random.random() < 0.2 else exposure_wire("1", "2")
        claim = "goal" if self.random.random() < 0.3 else None
        visitor_id = "visitor" if len(self.events) % 3 else "third"
        made = Event(f"e{len(self.events)}", visitor_id, wire, unwritable, claim)
        self.events.append(made)
        return made

    def of(self, *states: EventState) -> list[Event]:
        return [event for event in self.events if self.states.get(event.uuid) in states]

    def some(self, events: list[Event]) -> list[Event]:
        return [event for event in events if self.random.random() < 0.5]

    def call(self, method: str, work: Callable[[], object], *, gone: EventState | None = None) -> None:
        """Do something, and note every move; an event that leaves memory without an outcome is `gone`."""
        before = self.states
        work()
        found = {event.uuid: state for state, events in self.queue.by_state().items() for event in events}
        while self.queue.stats.settled:
            settled = self.queue.stats.settled.popleft()
            found |= dict.fromkeys((event.uuid for event in settled.events), EventState(settled.outcome))
        for uuid, state in before.items():
            if uuid not in found:
                left = state in END or state is EventState.SPOOLED
                found[uuid] = state if left else gone or EventState.SPOOLED
            if found[uuid] is not state:
                self.seen[method].add((state, found[uuid]))
        self.states = found

    def step(self) -> None:
        queue, random = self.queue, self.random
        self.now += random.choice([0.0, 0.5, 3.0, 400.0])
        choice = random.randrange(10)
        if choice <= 2:
            self.call("offer", lambda: queue.offer([self.event()], self.now))
        elif choice <= 4:
            self.call("next_request", lambda: queue.next_request(self.now))
        elif choice <= 6 and self.of(EventState.IN_FLIGHT):
            self.call("handle_response", lambda: queue.handle_response(random.choice(ANSWERS), self.now))
        elif choice == 7 and self.durable:
            self.call("unwritten", queue.unwritten)
            if random.random() < 0.5:
                self.call("written", lambda: queue.written(self.now))
            elif random.random() < 0.8:
                self.call("spooled", queue.spooled)
        elif choice == 8:
            self.bring_back()
        elif random.random() < 0.1:
            self.call("forget", lambda: queue.forget("third"))
        elif random.random() < 0.2:
            self.call("send_unclaimed", lambda: queue.send_unclaimed(self.now))
        else:
            self.decide()

    def bring_back(self) -> None:
        spooled = self.of(EventState.SPOOLED)
        if self.random.random() < 0.8:
            self.call("restore", lambda: self.queue.restore(spooled, self.now))
        elif spooled:
            expired = spooled[0].uuid
            self.call("drop_spooled", lambda: self.queue.drop_spooled(1, DropReason.EXPIRED))
            self.seen["drop_spooled"].add((self.states[expired], EventState.DROPPED))
            self.states[expired] = EventState.DROPPED

    def decide(self) -> None:
        waiting = self.of(EventState.HELD, EventState.OFFERED, EventState.WRITING, EventState.SPOOLED)
        names = [event.uuid for event in self.some(waiting)]
        won = {name for name in names if self.random.random() < 0.5}
        self.call("resolve_claims", lambda: self.queue.resolve_claims(won, set(names) - won, self.now))

    def close(self) -> None:
        on_disk = {event.uuid for event in self.some(self.events)} if self.durable else set()
        on_disk -= {event.uuid for event in self.of(EventState.OFFERED)}  # what nobody has written yet
        self.call("close", lambda: self.queue.close(on_disk))
        if self.of(EventState.IN_FLIGHT):
            self.call("handle_response", lambda: self.queue.handle_response(Response(503), self.now))


class Unwritable(dict[str, str]):
    """Segments that cannot be written as JSON."""

    def items(self) -> object:  # type: ignore[override]  # it is not meant to work
        raise RuntimeError("no")


def test_events_move_as_the_table_says_and_in_no_other_way() -> None:
    seen: defaultdict[str, set[tuple[EventState, EventState]]] = defaultdict(set)
    for seed in range(300):
        walk = Walk(seed)
        for _ in range(120):
            walk.step()
        walk.close()
        for method, moves in walk.seen.items():
            seen[method] |= moves
    assert {method: moves for method, moves in seen.items() if moves} == TRANSITIONS


def test_nothing_moves_out_of_an_end() -> None:
    moves = {move for moves in TRANSITIONS.values() for move in moves}
    assert {before for before, _ in moves} & END == set()
    assert {after for _, after in moves} >= END
