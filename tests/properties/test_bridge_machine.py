"""Whatever webhooks, polls, crashes, payments and cancellations do: one conversion for each paid order, none for who
objects or is forgotten.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
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
    OrderConversion,
    OrderSnapshot,
    Policy,
    WebsiteSource,
    recording,
)
from convert_sdk.commerce.bridge.orders import UNKNOWN
from convert_sdk.commerce.website import WebsiteClient
from convert_sdk.commerce.website.webhooks import FORM_WINDOW
from convert_sdk.observation import Delivered, Exposed
from convert_sdk.status import EventOutcome

START = 1_777_000_000.0
DAY = 86_400.0
AGES = 1_000 * DAY
IDENTITY = Identity("secret of the tests", pepper="pepper of the tests", ttl=AGES)
SITE = "shop.example.com"
VISITORS = st.sampled_from(["v-1", "v-2", "v-3", "v-4"])
KNOWN = ["token", "member", "order"]


class Sent(NamedTuple):
    """A conversion on its way: the ids of its events, and what Convert would hear."""

    events: tuple[str, ...]
    visitor_id: str
    transaction_id: str
    revenue: Decimal | None
    attributed: Mapping[str, str]


class Process:
    """A client of one process: what is tracked waits in memory, and dies with it."""

    def __init__(self, ledger: LedgerStore, name: str) -> None:
        self.observe = recording(ledger)
        self._options = SimpleNamespace(observe=[self.observe])
        self.project = object()
        self.waiting: list[Sent] = []
        self._name = name
        self._counted: set[str] = set()
        self._number = 0

    def status(self) -> Any:
        return SimpleNamespace(events=SimpleNamespace(pending=len(self.waiting)))

    def visitor(self, visitor_id: str) -> Any:
        def track(goal: str, **told: Any) -> ConversionResult:
            assert told["allow_repeat"] is True
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
    """What really happened to an order, a booking or a form."""

    now: OrderSnapshot
    history: list[OrderSnapshot]
    visitor_id: str
    placed: float
    told: set[int] = field(default_factory=set)
    """Which moments of its history the bridge has heard of."""
    first_sight: float | None = None
    pulled_first: bool = False
    bounded: bool = False
    """Whether an earlier pull had not found it."""
    stopped: bool = False
    """Whether the bridge heard of its end before it had handed anything over."""
    at_most: int | None = None
    """How many were under way when the visitor objected or was forgotten: no more may follow."""

    @property
    def told_gone(self) -> bool:
        return any(is_gone(self.history[number]) for number in self.told)


def is_gone(order: OrderSnapshot) -> bool:
    return order.cancelled or order.refunded


def window(at: float) -> int:
    return int(at) // FORM_WINDOW


class BridgeMachine(RuleBasedStateMachine):
    """Orders at two stores, a bridge whose process may die at any time, and Convert at the other end.

    A visitor may object or be forgotten at any time; nothing may be sent for them from then on.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = START
        self.orders: list[Truth] = []
        self.heard: list[Sent] = []
        self.processes = 0
        self.doubtful: set[str] = set()
        self.exposed: dict[str, dict[str, float]] = {}
        self.reversals: list[str] = []
        self.forgotten: set[str] = set()
        self.objecting: set[str] = set()
        self.scanned: float | None = None

    @initialize(hold=st.sampled_from([0.0, 7200.0]), ambiguous=st.sampled_from(["resend", "drop"]))
    def open(self, hold: float, ambiguous: Any) -> None:
        self.policy = Policy(
            hold_for=hold, on_ambiguous=ambiguous, lease=600.0, max_age=AGES, window=AGES, max_wait=7 * DAY
        )
        self.ledger = self.make_ledger()
        self.start()

    def make_ledger(self) -> LedgerStore:
        raise NotImplementedError

    def start(self) -> None:
        self.processes += 1
        self.client = Process(self.ledger, f"p{self.processes}")
        self.bridge = Bridge(
            self.client,  # type: ignore[arg-type]  # a client in miniature
            self.ledger,
            goals=Goals("purchase", bookings={"*": "booked"}, forms={"*": "lead"}),
            identity=IDENTITY,
            sources=[WebsiteSource(WebsiteClient("shop.example.com", "key"))],
            on_reversed=lambda conversion: self.reversals.append(conversion.transaction_id),
        )

    def changed(self, truth: Truth, **flags: bool) -> None:
        fields: dict[str, Any] = dict(flags)
        if truth.now.system == "convictional":
            fields["version"] = self.time()
        truth.now = replace(truth.now, **fields)
        truth.history.append(truth.now)

    def time(self) -> datetime:
        return datetime.fromtimestamp(int(self.clock), UTC)

    def happened(self, visitor: str, order: OrderSnapshot) -> None:
        self.orders.append(Truth(order, [order], visitor, self.clock))
        if visitor in self.forgotten | self.objecting:
            self.orders[-1].at_most = 0

    def credit(self, visitor: str, at: float) -> dict[str, str]:
        shown = self.exposed.get(visitor, {})
        return {experience: f"{experience}-arm" for experience, when in shown.items() if when <= at}

    # The stores, their shoppers and their webhooks.

    @rule(
        visitor=VISITORS, cents=st.integers(100, 99_999), paid=st.booleans(), known=st.sampled_from(KNOWN),
        system=st.sampled_from(["website", "website", "convictional"]),
    )  # fmt: skip
    def place(self, visitor: str, cents: int, paid: bool, known: str, system: str) -> None:
        number, amount = str(len(self.orders) + 1), Decimal(cents) / 100
        token = IDENTITY.token(visitor) if known == "token" else None
        member = f"m-{visitor}" if known == "member" else None
        account, version = (SITE, None) if system == "website" else ("acme", self.time())
        order = OrderSnapshot(
            system, account, number, self.time(), paid=paid, amount=amount, products=1, token=token,
            member_id=member, version=version,
        )  # fmt: skip
        self.happened(visitor, order)

    @rule(visitor=VISITORS)
    def book(self, visitor: str) -> None:
        number = str(len(self.orders) + 1)
        contact = f"c-{visitor}"
        booking = OrderSnapshot(
            "website", SITE, number, self.time(), kind="booking", topic="9", paid=True, contact_id=contact
        )
        self.happened(visitor, booking)

    @rule(visitor=VISITORS)
    def submit(self, visitor: str) -> None:
        number, contact = str(len(self.orders) + 1), f"c-{visitor}"
        form = OrderSnapshot("website", SITE, number, self.time(), kind="form", paid=True, contact_id=contact)
        self.happened(visitor, form)

    @rule(visitor=VISITORS, experience=st.sampled_from(["e-1", "e-2"]))
    def expose(self, visitor: str, experience: str) -> None:
        if experience in self.exposed.setdefault(visitor, {}):
            return
        self.clock += 10.0  # far enough from any order, on both sides, to be told apart
        self.exposed[visitor][experience] = self.clock
        self.client.observe(Exposed(f"{visitor}{experience}", visitor, experience, f"{experience}-arm"))
        self.clock += 10.0

    @property
    def bought(self) -> list[Truth]:
        return [each for each in self.orders if each.now.kind == "order"]

    @precondition(lambda self: self.bought)
    @rule(data=st.data())
    def pay(self, data: st.DataObject) -> None:
        self.changed(data.draw(st.sampled_from(self.bought)), paid=True)

    @precondition(lambda self: self.bought)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        truth = data.draw(st.sampled_from(self.bought))
        gone = "refunded" if truth.now.system == "convictional" and data.draw(st.booleans()) else "cancelled"
        self.changed(truth, **{gone: True})

    @precondition(lambda self: self.orders)
    @rule(data=st.data())
    def webhook(self, data: st.DataObject) -> None:
        """The present or any earlier state, as often and as late as it likes; a form only for a while."""
        truth = data.draw(st.sampled_from(self.orders))
        if truth.now.kind == "form" and self.clock - (truth.first_sight or self.clock) >= FORM_WINDOW:
            return
        self.tell(truth, data.draw(st.integers(0, len(truth.history) - 1)))

    @rule()
    def poll(self) -> None:
        for truth in self.orders:
            if truth.now.kind != "form":
                self.tell(truth, len(truth.history) - 1, pulled=True)
        self.scanned = self.clock

    def tell(self, truth: Truth, number: int, *, pulled: bool = False) -> None:
        if is_gone(truth.history[number]) and not self.was_handed_over(truth):
            truth.stopped = True
        if truth.first_sight is None:
            truth.first_sight, truth.pulled_first = self.clock, pulled
            truth.bounded = self.scanned is not None
        truth.told.add(number)
        self.bridge.handle(self.sight(truth, number, pulled=pulled))

    def sight(self, truth: Truth, number: int, *, pulled: bool) -> OrderSnapshot:
        order = truth.history[number]
        if order.kind == "order":
            return order
        seen = datetime.fromtimestamp(self.clock, UTC)
        if order.kind == "form":
            truth.now = replace(truth.now, id=f"{order.id}:{window(truth.first_sight or self.clock)}")
            return replace(order, id=f"{order.id}:{window(self.clock)}", created=seen)
        unseen = UNKNOWN if self.scanned is None else datetime.fromtimestamp(self.scanned, UTC)
        return replace(order, created=seen, earliest=unseen if pulled else None)

    def was_handed_over(self, truth: Truth) -> bool:
        return truth.now.transaction_id in self.doubtful or self.under_way(truth) > 0

    def under_way(self, truth: Truth) -> int:
        on_the_way = (*self.heard, *self.client.waiting)
        return sum(each.transaction_id == truth.now.transaction_id for each in on_the_way)

    @precondition(lambda self: self.orders)
    @rule(data=st.data())
    def link(self, data: st.DataObject) -> None:
        self.link_order(data.draw(st.sampled_from(self.orders)))

    def link_order(self, truth: Truth) -> None:
        """As a page does that knows nothing of objections."""
        order = truth.now
        if order.kind == "order" and order.system == "website" and order.member_id is None:
            self.bridge.link(truth.visitor_id, order=order.id)
            return
        identity_key = order.identity_keys[0] if order.member_id is None else order.identity_keys[1]
        self.bridge._link(truth.visitor_id, [identity_key], None)

    # Who wants to be left alone.

    @rule(visitor=VISITORS)
    def forget(self, visitor: str) -> None:
        self.leave_alone(visitor)
        self.forgotten.add(visitor)
        self.bridge.forget(visitor)

    @rule(visitor=VISITORS, known=st.sampled_from(["member", "contact", "order"]))
    def object(self, visitor: str, known: Any) -> None:
        """By something that need not be in any order."""
        self.leave_alone(visitor)
        self.objecting.add(visitor)
        self.bridge.link(visitor, tracking=False, **{known: f"{known[0]}-{visitor}"})

    def leave_alone(self, visitor: str) -> None:
        if visitor in self.forgotten | self.objecting:
            return
        for truth in self.orders:
            if truth.visitor_id == visitor:
                truth.at_most = self.under_way(truth)

    # The process and its line to Convert.

    @rule(seconds=st.sampled_from([1.0, 61.0, 601.0, 3600.0]))
    def wait(self, seconds: float) -> None:
        self.clock += seconds

    @rule()
    def wait_a_week(self) -> None:
        """Longer than an order waits for anything; all but its payment is there."""
        for truth in self.orders:
            self.link_order(truth)
        self.tick()
        self.clock += 8 * DAY
        self.tick()

    @rule()
    def tick(self) -> None:
        self.bridge.tick()

    @rule()
    def deliver(self) -> None:
        waiting, self.client.waiting = self.client.waiting, []
        self.heard += waiting
        for each in waiting:
            self.client.observe(Delivered(EventOutcome.SENT, each.events))

    @rule()
    def fail(self) -> None:
        """The queue gives up."""
        waiting, self.client.waiting = self.client.waiting, []
        self.doubtful |= {each.transaction_id for each in waiting}
        for each in waiting:
            self.client.observe(Delivered(EventOutcome.DROPPED, each.events))

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

    @invariant()
    def never_anything_for_who_wants_to_be_left_alone(self) -> None:
        for truth in self.orders:
            assert truth.at_most is None or self.under_way(truth) <= truth.at_most

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
        self.never_more_than_allowed()
        self.never_anything_for_who_wants_to_be_left_alone()
        heard = {each.transaction_id: each for each in self.heard}
        for truth in self.orders:
            sent = heard.get(truth.now.transaction_id)
            if truth.at_most is None:
                self.check(truth, sent)
            elif sent is not None:
                self.check_content(truth, sent)
        for visitor in self.forgotten:
            self.check_forgotten(visitor)
        if self.policy.on_ambiguous == "drop" or not self.doubtful:
            self.check_revenue()

    def conversion(self, truth: Truth) -> OrderConversion:
        with self.ledger.transaction() as transaction:
            [conversion] = transaction.conversions_of(truth.now.transaction_id)
        assert conversion.state in ("sent", "reversed", "dropped", "waiting")
        return conversion

    def check(self, truth: Truth, sent: Sent | None) -> None:
        conversion = self.conversion(truth)
        gone = is_gone(truth.now)
        if sent is None:
            excused = gone or not truth.now.paid
            assert excused or (
                self.policy.on_ambiguous == "drop" and truth.now.transaction_id in self.doubtful
            )
            assert conversion.state == "dropped" or (excused and not gone and conversion.state == "waiting")
            return
        assert not truth.stopped
        self.check_content(truth, sent)
        assert any(each.paid for each in truth.history)
        lost_sight = (conversion.state, conversion.reason) == ("dropped", "ambiguous")
        assert not lost_sight or sent.transaction_id in self.doubtful
        assert not lost_sight or truth.told_gone or self.policy.on_ambiguous == "drop"
        assert lost_sight or conversion.state == ("reversed" if truth.told_gone else "sent")
        if conversion.state == "reversed":
            assert self.reversals.count(conversion.transaction_id) == 1

    def check_content(self, truth: Truth, sent: Sent) -> None:
        assert sent.visitor_id == truth.visitor_id
        assert sent.revenue == truth.now.amount
        assert truth.first_sight is not None
        if truth.now.kind == "order":
            assert sent.attributed == self.credit(truth.visitor_id, truth.placed)
        elif not truth.pulled_first:
            assert sent.attributed == self.credit(truth.visitor_id, truth.first_sight)
        else:  # nobody knows when it was made: only what was surely before it counts, or what a webhook says
            known = self.credit(truth.visitor_id, truth.placed if truth.bounded else truth.first_sight)
            assert sent.attributed.items() <= known.items()

    def check_forgotten(self, visitor: str) -> None:
        with self.ledger.transaction() as transaction:
            assert transaction.is_forgotten(visitor)
            assert transaction.links_to(visitor) == []
            assert transaction.exposures(visitor, 0.0, 1e12) == []
            for truth in self.orders:
                if truth.visitor_id == visitor:
                    [conversion] = transaction.conversions_of(truth.now.transaction_id)
                    assert conversion.visitor_id is None
                    assert conversion.is_over or conversion.order.token is None

    def check_revenue(self) -> None:
        """What Convert heard of those it may hear of is what they paid, but for what was lost in between."""
        heard: dict[str, Decimal] = {each.transaction_id: each.revenue for each in self.heard if each.revenue}
        lost = {each.now.transaction_id for each in self.orders} & self.doubtful
        due = [
            each for each in self.orders
            if each.at_most is None and each.now.paid and not is_gone(each.now) and each.now.amount
        ]  # fmt: skip
        for truth in due:
            transaction_id = truth.now.transaction_id
            assert transaction_id in lost or heard[transaction_id] == truth.now.amount


class InMemory(BridgeMachine):
    def make_ledger(self) -> LedgerStore:
        return MemoryLedger(policy=self.policy, clock=lambda: self.clock)


class InSqlite(BridgeMachine):
    def make_ledger(self) -> LedgerStore:
        self.folder = tempfile.TemporaryDirectory()
        self.file = Ledger(Path(self.folder.name) / "bridge.db", policy=self.policy, clock=lambda: self.clock)
        return self.file

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            if self.processes:
                self.file.close()
                self.folder.cleanup()


TestInMemory = InMemory.TestCase
TestInMemory.settings = settings(
    max_examples=2 * settings().max_examples, stateful_step_count=40, deadline=None
)
TestInSqlite = InSqlite.TestCase
TestInSqlite.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
