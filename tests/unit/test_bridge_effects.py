"""What becomes of one order, step by step."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from convert_sdk.commerce.bridge import Effect, Match, Order, Policy
from convert_sdk.commerce.bridge.effects import claimed, examined, folded, refund, seen, settled

NOW = 1_777_000_000.0
POLICY = Policy()
ORDER = Order(
    "till", "berlin", "1", datetime.fromtimestamp(NOW, UTC), paid=True, amount=Decimal(5),
    version=datetime.fromtimestamp(NOW, UTC),
)  # fmt: skip


def under_way(order: Order = ORDER) -> Effect:
    effect = examined(seen("purchase", order, NOW, POLICY), Match("v-1", "token"), NOW, POLICY)
    return claimed(effect, {}, "me", NOW + 600)


def later(seconds: float, **fields: object) -> Order:
    version = datetime.fromtimestamp(NOW + seconds, UTC)
    return replace(ORDER, version=version, **fields)  # type: ignore[arg-type]  # whatever a test needs


@pytest.mark.parametrize("ahead", [1.0, 3600.0, 1e9])
def test_a_stores_clock_that_is_ahead_delays_nothing_and_credits_nothing_later(ahead: float) -> None:
    order = replace(ORDER, created=datetime.fromtimestamp(NOW + ahead, UTC))
    effect = seen("purchase", order, NOW, POLICY)
    assert effect.order.created.timestamp() == NOW
    assert examined(effect, Match("v-1", "token"), NOW, POLICY).state == "seen"
    assert folded(effect, order, NOW + 5).order.created.timestamp() == NOW


def test_a_refund_takes_back_what_was_reported() -> None:
    """The order came to more while it was on its way."""
    changed = folded(under_way(), later(1, amount=Decimal(9)), NOW + 1)
    assert changed.order.amount == Decimal(9)
    sent = settled(changed, "sent", NOW + 2, POLICY)
    gone = folded(sent, later(3, amount=Decimal(9), cancelled=True), NOW + 3)
    assert (sent.revenue, gone.state, refund(gone, NOW + 3).revenue) == (Decimal(5), "reversed", Decimal(-5))


def test_what_is_sent_again_says_what_the_order_has_come_to() -> None:
    changed = folded(under_way(), later(1, amount=Decimal(9)), NOW + 1)
    again = settled(changed, "dropped", NOW + 2, POLICY)
    assert claimed(again, {}, "me", NOW + 600).revenue == Decimal(9)


def test_an_order_that_was_gone_and_is_back_counts() -> None:
    gone = folded(seen("purchase", ORDER, NOW, POLICY), later(1, cancelled=True), NOW + 1)
    dropped = examined(gone, None, NOW + 1, POLICY)
    assert dropped.state == "dropped"
    assert folded(dropped, ORDER, NOW + 2) == dropped  # heard late
    assert folded(dropped, later(2), NOW + 2).state == "seen"
