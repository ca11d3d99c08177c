"""What becomes of one order, step by step."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from convert_sdk.commerce.bridge import Match, OrderConversion, OrderSnapshot, Policy
from convert_sdk.commerce.bridge.conversions import claimed, examined, folded, refund, seen, settled
from convert_sdk.commerce.bridge.orders import UNKNOWN
from convert_sdk.status import EventOutcome

NOW = 1_777_000_000.0
POLICY = Policy()
ORDER = OrderSnapshot(
    "till", "berlin", "1", datetime.fromtimestamp(NOW, UTC), paid=True, amount=Decimal(5),
    version=datetime.fromtimestamp(NOW, UTC),
)  # fmt: skip


def under_way(order: OrderSnapshot = ORDER) -> OrderConversion:
    conversion = examined(seen("purchase", order, NOW, POLICY), Match("v-1", "token"), NOW, POLICY)
    return claimed(conversion, {}, "me", NOW + 600)


def later(seconds: float, **fields: object) -> OrderSnapshot:
    version = datetime.fromtimestamp(NOW + seconds, UTC)
    return replace(ORDER, version=version, **fields)  # type: ignore[arg-type]  # whatever a test needs


@pytest.mark.parametrize("ahead", [1.0, 3600.0, 1e9])
def test_a_stores_clock_that_is_ahead_delays_nothing_and_credits_nothing_later(ahead: float) -> None:
    order = replace(ORDER, created=datetime.fromtimestamp(NOW + ahead, UTC))
    conversion = seen("purchase", order, NOW, POLICY)
    assert conversion.order.created.timestamp() == NOW
    assert examined(conversion, Match("v-1", "token"), NOW, POLICY).state == "seen"
    assert folded(conversion, order, NOW + 5).order.created.timestamp() == NOW


def test_a_refund_takes_back_what_was_reported() -> None:
    """The order came to more while it was on its way."""
    changed = folded(under_way(), later(1, amount=Decimal(9)), NOW + 1)
    assert changed.order.amount == Decimal(9)
    sent = settled(changed, EventOutcome.SENT, NOW + 2, POLICY)
    gone = folded(sent, later(3, amount=Decimal(9), cancelled=True), NOW + 3)
    _, taking = refund(gone, NOW + 3)
    assert taking is not None
    assert (sent.revenue, gone.state, taking.revenue) == (Decimal(5), "reversed", Decimal(-5))


def test_a_partial_refund_on_the_way_is_known_once_the_conversion_is_sent() -> None:
    changed = folded(under_way(), later(1, amount=Decimal(3)), NOW + 1)
    sent = settled(changed, EventOutcome.SENT, NOW + 2, POLICY)
    assert (sent.state, sent.reason, sent.revenue, sent.given_back, sent.due) == (
        "sent", "reduced", Decimal(5), Decimal(2), NOW + 2,
    )  # fmt: skip
    after, taking = refund(sent, NOW + 3)
    assert taking is not None
    assert (taking.revenue, taking.transaction_id) == (Decimal(-2), "till:berlin:1:refund")
    gone = folded(after, later(9, amount=Decimal(3), cancelled=True), NOW + 9)
    _, rest = refund(gone, NOW + 9)
    assert rest is not None
    assert (rest.revenue, rest.transaction_id) == (Decimal(-3), "till:berlin:1:refund:2")
    assert settled(rest, EventOutcome.SENT, NOW + 10, POLICY).state == "sent"


def test_a_reading_whose_rate_is_not_known_gives_nothing_back() -> None:
    """Read as 100 GBP and claimed as 120 EUR; read again on its way, when the rate is not to be had."""
    claim = under_way(replace(ORDER, amount=Decimal(120), currency="EUR"))
    read = folded(claim, later(1, amount=Decimal(100), currency="GBP", reference="r-1"), NOW + 1)
    assert (read.order.amount, read.order.currency, read.order.reference) == (Decimal(120), "EUR", "r-1")
    sent = settled(read, EventOutcome.SENT, NOW + 2, POLICY)
    assert (sent.state, sent.reason, sent.given_back) == ("sent", "", Decimal(0))
    again = folded(sent, later(1, amount=Decimal(108), currency="EUR"), NOW + 3)
    assert (again.reason, again.given_back) == ("reduced", Decimal(12))


@pytest.mark.parametrize("seconds", [0.0, POLICY.max_wait - 30, POLICY.max_wait])
def test_a_rate_is_asked_again_every_minute_until_the_order_is_let_go_of(seconds: float) -> None:
    first = examined(seen("purchase", ORDER, NOW, POLICY), None, NOW, POLICY, foreign=True, retry_rate=True)
    now = NOW + seconds
    waiting = examined(first, None, now, POLICY, foreign=True, retry_rate=True)
    due = None if seconds == POLICY.max_wait else min(now + 60, NOW + POLICY.max_wait)
    assert (waiting.reason, waiting.due) == ("currency", due)


def test_a_refund_waits_for_neither_payment_nor_date() -> None:
    placed = replace(ORDER, paid=False, earliest=UNKNOWN)
    gone = folded(settled(under_way(), EventOutcome.SENT, NOW, POLICY), later(1, cancelled=True), NOW + 1)
    _, taking = refund(gone, NOW + 1)
    assert taking is not None
    assert examined(replace(taking, order=placed), Match("v-1", "token"), NOW + 1, POLICY).state == "seen"


def test_what_an_earlier_reading_says_gives_nothing_back() -> None:
    sent = settled(under_way(), EventOutcome.SENT, NOW + 2, POLICY)
    assert folded(sent, later(-5, amount=Decimal(3)), NOW + 3) == sent
    assert folded(sent, later(5), NOW + 5) is sent  # nothing to write
    assert folded(sent, replace(ORDER, version=None, amount=Decimal(3)), NOW + 3) == sent


def test_what_is_sent_again_says_what_the_order_has_come_to() -> None:
    changed = folded(under_way(), later(1, amount=Decimal(9)), NOW + 1)
    again = settled(changed, EventOutcome.DROPPED, NOW + 2, POLICY)
    assert claimed(again, {}, "me", NOW + 600).revenue == Decimal(9)


def test_an_order_that_was_gone_and_is_back_counts() -> None:
    gone = folded(seen("purchase", ORDER, NOW, POLICY), later(1, cancelled=True), NOW + 1)
    dropped = examined(gone, None, NOW + 1, POLICY)
    assert dropped.state == "dropped"
    assert folded(dropped, ORDER, NOW + 2) == dropped  # heard late
    assert folded(dropped, later(2), NOW + 2).state == "seen"


class TestUnpaid:
    UNPAID = replace(ORDER, paid=False)

    def waited(self, seconds: float) -> OrderConversion:
        waiting = examined(seen("purchase", self.UNPAID, NOW, POLICY), None, NOW, POLICY)
        assert (waiting.state, waiting.reason, waiting.due) == ("waiting", "unpaid", NOW + POLICY.max_wait)
        return examined(waiting, None, NOW + seconds, POLICY)

    def test_waits_a_week_for_its_payment_and_is_then_let_go_of(self) -> None:
        assert self.waited(POLICY.max_wait - 1).state == "waiting"
        dropped = self.waited(POLICY.max_wait)
        assert (dropped.state, dropped.reason, dropped.due) == ("dropped", "unpaid", None)

    def test_a_payment_after_that_still_counts(self) -> None:
        late = POLICY.max_wait + 60
        dropped = self.waited(late)
        assert folded(dropped, self.UNPAID, NOW + late) == dropped
        paid = folded(dropped, later(late, token="t"), NOW + late)
        assert (paid.state, paid.due, paid.order.token) == ("seen", NOW + late, "t")

    @pytest.mark.parametrize("order", [later(-1), later(1, cancelled=True), later(1, refunded=True)])
    def test_but_not_one_from_before_or_of_an_order_that_is_gone(self, order: OrderSnapshot) -> None:
        assert folded(self.waited(POLICY.max_wait), order, NOW + POLICY.max_wait).state == "dropped"

    def test_the_wait_for_a_visitor_begins_with_the_payment(self) -> None:
        at = NOW + POLICY.max_wait - 1
        paid = folded(self.waited(POLICY.max_wait - 2), later(5), at)
        assert examined(paid, None, at, POLICY).due == at + POLICY.max_wait
