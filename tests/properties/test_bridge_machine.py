"""Whatever webhooks, polls, crashes, payments and cancellations do: one effect for each paid order."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from convert_sdk import ConversionReason, ConversionResult
from convert_sdk.commerce.bridge import (
    Bridge,
    Goals,
    Identity,
    Ledger,
    LedgerStore,
    MemoryLedger,
    Order,
    Policy,
    recording,
)
from convert_sdk.observation import Delivered, Exposed

START = 1_777_000_000.0
IDENTITY = Identity("secret of the tests", pepper="pepper of the tests")
SITE = "website:shop.example.com"


class Sent(NamedTuple):
    """A conversion on its way: the ids of its events, and what Convert would hear."""

    events: tuple[str, ...]
    visitor_id: str
    transaction_id: str
    revenue: Decimal
    attributed: Mapping[str, str]


class Process:
    """A client of one process: what is tracked waits in memory, and dies with it."""

    def __init__(self, ledger: LedgerStore, name: str) -> None:
        self.observe = recording(ledger)
        self.options = SimpleNamespace(observe=self.observe)
        self.project = object()
        self.waiting: list[Sent] = []
        self._name = name
        self._counted: set[str] = set()
        self._number = 0

    def status(self) -> Any:
        return SimpleNamespace(events=SimpleNamespace(pending=len(self.waiting)))

    def visitor(self, visitor_id: str) -> Any:
        def track(goal: str, **told: Any) -> ConversionResult:
            assert told["again"] is True
            self._number += 1
            uuid = f"{self._name}-{self._number}"
            count = 1 if visitor_id in self._counted else 2
            self._counted.add(visitor_id)
            events = tuple(f"{uuid}.{number}" for number in range(count))
            self.waiting.append(
                Sent(events, visitor_id, told["transaction_id"], told["revenue"], told["attributed_to"])
            )
            return ConversionResult(ConversionReason.ACCEPTED, uuid, count)

        return SimpleNamespace(track=track)


@dataclass
class Truth:
    """What really happened to an order."""

    now: Order
    history: list[Order]
    visitor_id: str
    exposed: Mapping[str, str]
    told: set[int] = field(default_factory=set)
    """Which moments of its history the bridge has heard of."""
    stopped: bool = False
    """Whether the bridge heard of its cancellation before it had handed anything over."""

    @property
    def told_cancelled(self) -> bool:
        return any(self.history[number].cancelled for number in self.told)


class BridgeMachine(RuleBasedStateMachine):
    """Orders at a store, a bridge whose process may die at any time, and Convert at the other end."""

    make_ledger: Callable[[BridgeMachine], LedgerStore]

    def __init__(self) -> None:
        super().__init__()
        self.clock = START
        self.orders: list[Truth] = []
        self.heard: list[Sent] = []
        self.processes = 0
        self.doubtful: set[str] = set()
        self.exposed: dict[str, dict[str, str]] = {}
        self.reversals: list[str] = []

    @initialize(hold=st.sampled_from([0.0, 7200.0]), ambiguous=st.sampled_from(["resend", "drop"]))
    def open(self, hold: float, ambiguous: Any) -> None:
        self.policy = Policy(hold_for=hold, on_ambiguous=ambiguous, lease=600.0)
        self.ledger = type(self).make_ledger(self)
        self.start()

    def start(self) -> None:
        self.processes += 1
        self.client = Process(self.ledger, f"p{self.processes}")
        self.bridge = Bridge(
            self.client,  # type: ignore[arg-type]  # a client in miniature
            self.ledger,
            goals=Goals("purchase"),
            identity=IDENTITY,
            on_reversed=lambda effect: self.reversals.append(effect.transaction_id),
        )

    def changed(self, truth: Truth, **flags: bool) -> None:
        truth.now = replace(truth.now, **flags)  # type: ignore[arg-type]  # all of them are flags
        truth.history.append(truth.now)

    # The store, its shoppers and its webhooks.

    @rule(visitor=st.sampled_from(["v-1", "v-2", "v-3"]), cents=st.integers(100, 99_999), paid=st.booleans())
    def place(self, visitor: str, cents: int, paid: bool) -> None:
        created = datetime.fromtimestamp(int(self.clock), UTC)
        number = str(len(self.orders) + 1)
        amount = Decimal(cents) / 100
        order = Order("website", "shop.example.com", number, created, paid=paid, amount=amount, products=1)
        self.orders.append(Truth(order, [order], visitor, dict(self.exposed.get(visitor, {}))))

    @rule(visitor=st.sampled_from(["v-1", "v-2", "v-3"]), experience=st.sampled_from(["e-1", "e-2"]))
    def expose(self, visitor: str, experience: str) -> None:
        if experience in self.exposed.setdefault(visitor, {}):
            return
        self.clock += 10.0  # far enough from any order, on both sides, to be told apart
        self.exposed[visitor][experience] = f"{experience}-arm"
        self.client.observe(Exposed(f"{visitor}{experience}", visitor, experience, f"{experience}-arm"))
        self.clock += 10.0

    @precondition(lambda self: self.orders)
    @rule(data=st.data())
    def pay(self, data: st.DataObject) -> None:
        self.changed(data.draw(st.sampled_from(self.orders)), paid=True)

    @precondition(lambda self: self.orders)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.changed(data.draw(st.sampled_from(self.orders)), cancelled=True)

    @precondition(lambda self: self.orders)
    @rule(data=st.data())
    def webhook(self, data: st.DataObject) -> None:
        """The present or any earlier state, as often and as late as it likes."""
        truth = data.draw(st.sampled_from(self.orders))
        self.tell(truth, data.draw(st.integers(0, len(truth.history) - 1)))

    @rule()
    def poll(self) -> None:
        for truth in self.orders:
            self.tell(truth, len(truth.history) - 1)

    def tell(self, truth: Truth, number: int) -> None:
        if truth.history[number].cancelled and not self.was_handed_over(truth):
            truth.stopped = True
        truth.told.add(number)
        self.bridge.handle(truth.history[number])

    def was_handed_over(self, truth: Truth) -> bool:
        on_the_way = (*self.heard, *self.client.waiting)
        transaction_id = truth.now.transaction_id
        return transaction_id in self.doubtful or any(
            each.transaction_id == transaction_id for each in on_the_way
        )

    @precondition(lambda self: self.orders)
    @rule(data=st.data())
    def link(self, data: st.DataObject) -> None:
        self.link_order(data.draw(st.sampled_from(self.orders)))

    def link_order(self, truth: Truth) -> None:
        with self.ledger.transaction() as entries:
            for link in IDENTITY.links(truth.visitor_id, truth.now.clues, self.clock, tracking=True):
                entries.add_link(link)
                entries.wake(link.clue, self.clock)

    # The process and its line to Convert.

    @rule(seconds=st.sampled_from([1.0, 61.0, 601.0, 3600.0]))
    def wait(self, seconds: float) -> None:
        self.clock += seconds

    @rule()
    def tick(self) -> None:
        self.bridge.tick()

    @rule()
    def deliver(self) -> None:
        waiting, self.client.waiting = self.client.waiting, []
        self.heard += waiting
        for each in waiting:
            self.client.observe(Delivered("sent", each.events))

    @rule()
    def fail(self) -> None:
        """The outbox gives up."""
        waiting, self.client.waiting = self.client.waiting, []
        self.doubtful |= {each.transaction_id for each in waiting}
        for each in waiting:
            self.client.observe(Delivered("dropped", each.events))

    @rule(delivered=st.booleans())
    def crash(self, delivered: bool) -> None:
        """The process dies: with its events, or just after they arrived and before anybody knew."""
        self.doubtful |= {each.transaction_id for each in self.client.waiting}
        if delivered:
            self.heard += self.client.waiting
        self.start()

    @invariant()
    def never_more_than_allowed(self) -> None:
        counts = Counter(each.transaction_id for each in self.heard)
        for transaction_id, count in counts.items():
            assert count == 1 or transaction_id in self.doubtful
            assert count == 1 or self.policy.on_ambiguous == "resend"

    def teardown(self) -> None:
        if not self.processes:
            return
        for truth in self.orders:
            self.link_order(truth)
        for _ in range(4):  # until holds, leases and retries are over
            for truth in self.orders:
                if len(truth.history) - 1 not in truth.told:
                    self.tell(truth, len(truth.history) - 1)
            self.deliver()
            self.clock += 7201.0
            self.tick()
        self.deliver()
        self.tick()
        heard = {each.transaction_id: each for each in self.heard}
        for truth in self.orders:
            self.check(truth, heard.get(truth.now.transaction_id))

    def check(self, truth: Truth, sent: Sent | None) -> None:
        with self.ledger.transaction() as entries:
            [effect] = entries.effects_of(truth.now.transaction_id)
        assert effect.state in ("sent", "reversed", "dropped", "waiting")
        if sent is None:
            excused = truth.now.cancelled or not truth.now.paid
            assert excused or (
                self.policy.on_ambiguous == "drop" and truth.now.transaction_id in self.doubtful
            )
            assert (
                effect.state == "waiting"
                if excused and not truth.now.cancelled
                else effect.state == "dropped"
            )
            return
        assert not truth.stopped
        assert sent.visitor_id == truth.visitor_id
        assert sent.revenue == truth.now.amount
        assert sent.attributed == truth.exposed
        assert any(each.paid for each in truth.history)
        lost_sight = (effect.state, effect.reason) == ("dropped", "ambiguous")
        assert not lost_sight or sent.transaction_id in self.doubtful
        assert not lost_sight or truth.told_cancelled or self.policy.on_ambiguous == "drop"
        assert lost_sight or effect.state == ("reversed" if truth.told_cancelled else "sent")
        if effect.state == "reversed":
            assert self.reversals.count(effect.transaction_id) == 1


class InMemory(BridgeMachine):
    @staticmethod
    def make_ledger(machine: BridgeMachine) -> LedgerStore:
        return MemoryLedger(policy=machine.policy, clock=lambda: machine.clock)


class InSqlite(BridgeMachine):
    @staticmethod
    def make_ledger(machine: Any) -> LedgerStore:
        machine.folder = tempfile.TemporaryDirectory()
        machine.file = Ledger(
            Path(machine.folder.name) / "bridge.db", policy=machine.policy, clock=lambda: machine.clock
        )
        return machine.file

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            if self.processes:
                self.file.close()
                self.folder.cleanup()


TestInMemory = InMemory.TestCase
TestInMemory.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestInSqlite = InSqlite.TestCase
TestInSqlite.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
