"""Memory and disk together, through restarts and kills: what was committed is delivered, and the books balance."""

from __future__ import annotations

import json
from collections import Counter
from tempfile import TemporaryDirectory

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from convert_sdk import Project
from convert_sdk._core.events import Event, TrackingContext, exposure_wire
from convert_sdk._delivery.engine import Engine
from convert_sdk._delivery.maintenance import Maintenance
from convert_sdk._delivery.queue import DeliveryConfig, Endpoint, EventQueue
from convert_sdk._delivery.spool_sync import SpoolSync
from convert_sdk._delivery.visitors import VisitorCache
from convert_sdk._http.messages import Failure, Response
from convert_sdk._spool.files import release_lock
from convert_sdk._spool.spool import Spool

ENDPOINT = Endpoint("https://collector.invalid/track/key", {}, TrackingContext("1", "2"))
PROJECT = Project.parse(b'{"account_id": "1", "project": {"id": "2"}}')
FAILURES = st.sampled_from(
    [Response(503), Response(401), Failure("undelivered", "refused"), Failure("ambiguous", "reset")]
)


class Process:
    """What one process of an application has of a client with a spool."""

    def __init__(self, folder: str, capacity: int) -> None:
        terms = DeliveryConfig(max_queue=capacity, batch_size=1, durable=True, keep_settled=True)
        self.queue = EventQueue(terms, random=lambda: 0.0)
        self.queue.set_endpoint(ENDPOINT)
        engine = Engine(VisitorCache(100, stored=False), self.queue)
        engine.install(PROJECT)
        self.spool = Spool(folder, "owner")
        self.maintenance = Maintenance(engine, self.queue, (self.queue.stats.notices,))
        self.maintenance.spool_sync = SpoolSync(
            self.spool, engine, self.queue, capacity=capacity, report=self.maintenance.report
        )

    def kill(self) -> None:
        """Nothing is said or written any more; the system lets go of the lock."""
        current = self.spool._current
        if current is not None:
            current.database.close()
            release_lock(current.lock)


class ShelfLife(RuleBasedStateMachine):
    @initialize(capacity=st.integers(2, 12))
    def open(self, capacity: int) -> None:
        self.folder = TemporaryDirectory()
        self.capacity = capacity
        self.names = 0
        self.committed: set[str] = set()
        self.fresh: set[str] = set()
        self.arrived: Counter[str] = Counter()
        self.doubted: set[str] = set()
        self.unsettled: set[str] = set()
        self.dead: set[str] = set()
        self.flight: list[str] = []
        self.process = Process(self.folder.name, capacity)

    @rule(count=st.integers(1, 6))
    def offer(self, count: int) -> None:
        for _ in range(count):
            name = f"e{self.names}"
            self.names += 1
            if self.process.queue.offer([Event(name, "visitor", exposure_wire(name, "v"))], now=0.0):
                self.fresh.add(name)

    @rule()
    def write(self) -> None:
        """Commit, bring back, and delete what is settled."""
        self.process.maintenance.sync(everything=True)
        self.committed |= self.fresh
        self.fresh = set()
        self.unsettled = set()

    @precondition(lambda self: not self.flight)
    @rule()
    def next_request(self) -> None:
        self.process.queue.override_backoff()
        request = self.process.queue.next_request(1e9)
        if request is not None:
            (visitor,) = json.loads(request.body or b"")["visitors"]
            self.flight = [event["data"]["experienceId"] for event in visitor["events"]]

    @precondition(lambda self: self.flight)
    @rule()
    def accept(self) -> None:
        self.process.queue.handle_response(Response(200), 1e9)
        self.arrived.update(self.flight)
        self.unsettled.update(self.flight)
        self.flight = []

    @precondition(lambda self: self.flight)
    @rule()
    def refuse(self) -> None:
        self.process.queue.handle_response(Response(400), 1e9)
        if len(self.flight) == 1:
            self.dead.update(self.flight)
        self.flight = []

    @precondition(lambda self: self.flight)
    @rule(answer=FAILURES)
    def fail(self, answer: Response | Failure) -> None:
        self.process.queue.handle_response(answer, 0.0)
        self.flight = []

    @rule(orderly=st.booleans())
    def restart(self, orderly: bool) -> None:
        if orderly:
            self.process.maintenance.close(0.0)
            self.committed |= self.fresh
        else:
            self.process.kill()
            self.doubted |= self.unsettled  # they arrived, and their deletion was not written
        self.fresh, self.unsettled, self.flight = set(), set(), []
        self.process = Process(self.folder.name, self.capacity)

    @invariant()
    def the_law_holds(self) -> None:
        counts = self.process.queue.counts()
        assert counts.offered == sum(counts[1:])
        assert min(counts) >= 0
        assert {name for name, times in self.arrived.items() if times > 1} <= self.doubted

    def teardown(self) -> None:
        if not hasattr(self, "process"):
            return
        for _ in range(200):
            if self.flight:
                self.accept()
            self.write()
            self.next_request()
            if not self.flight and not self.process.queue.counts().pending:
                break
        self.the_law_holds()
        assert self.committed <= set(self.arrived) | self.dead
        self.process.maintenance.close(0.0)
        self.folder.cleanup()


ShelfLife.TestCase.settings = settings(
    max_examples=settings().max_examples * 3 // 5, stateful_step_count=30, deadline=None
)
TestShelfLife = ShelfLife.TestCase
