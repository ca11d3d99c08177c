"""Who is forgotten and who objects: nothing is sent for them, and nothing kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from convert_sdk import ANYWHERE
from convert_sdk.commerce.bridge import IdentityKey, IntoConvertmax, OrderConversion, OrderSnapshot, Policy
from convert_sdk.commerce.convertmax import ConvertmaxClient
from convert_sdk.testing.stores import ConvertmaxStore
from tests.waiting import PATIENCE

from .world import DAY, IDENTITY, STORY, World

TOKEN = {"field": "convert_visitor_id", "value": IDENTITY.token("v-1")}


def change(world: World, order: Mapping[str, object], **fields: object) -> None:
    world.store.change_order(int(str(order["id"])), **fields)


def written(world: World) -> bytes:
    """What the ledger's files hold while it is in use, read as somebody with a hex editor would."""
    return b"".join(each.read_bytes() for each in world.folder.glob("bridge.db*"))


def effect_of(world: World, order: Mapping[str, object]) -> OrderConversion:
    with world.ledger.transaction() as transaction:
        [conversion] = transaction.conversions_of(f"{world.site.scope}:{order['id']}")
    return conversion


KNOWN_BY: list[dict[str, Any]] = [
    {"additionalFields": [TOKEN]},
    {"memberId": 3},
    {"contactId": 4},
    {"customerEmail": "Ann@Example.com"},
]


def know(world: World) -> None:
    world.bridge.link("v-1", source=world.site.scope, member=3, contact=4, email="ann@example.com")


def sold(world: World) -> dict[str, object]:
    """An order that is counted, where refunds are counted too."""
    world.client.close()
    world.open(Policy(refunds="negative"))
    order = world.order()
    world.hear_all()
    world.deliver()
    return order


class TestForgetting:
    @pytest.mark.parametrize("fields", KNOWN_BY)
    def test_an_order_that_waits_for_its_payment_never_counts(self, world: World, fields: Any) -> None:
        know(world)
        order = world.order(None, paid=False, **fields)
        early = world.webhooks()
        for event in early:
            world.bridge.handle(event)
        world.bridge.forget("v-1")
        change(world, order, paid=True)
        for event in (*world.webhooks(), *early):
            world.bridge.handle(event)
        world.now += 60
        world.bridge.sync(allow_late=True)
        world.deliver()
        assert world.conversions() == []
        assert world.bridge.report().dropped == {"forgotten": 1}

    def test_nor_one_that_is_held(self, world: World) -> None:
        world.client.close()
        world.open(Policy(hold_for=DAY))
        world.order()
        world.hear_all()
        world.bridge.forget("v-1")
        world.now += DAY
        world.bridge.tick()
        world.deliver()
        assert world.conversions() == []
        assert world.bridge.report().dropped == {"forgotten": 1}

    def test_nor_one_that_waits_to_be_sent_again(self, world: World) -> None:
        world.client.close()
        world.open(Policy(), flush_interval=3600)
        world.expose("v-9")  # the document has arrived
        # Longer than the close waits: it gives up, and has time to say so.
        refusing = {"on": True, "value": 300}
        world.server.faults.switch({"track": {"too_many": refusing}})
        order = world.order()
        world.hear_all()
        world.client.close(timeout=PATIENCE / 2)
        world.server.faults.reset()
        assert effect_of(world, order).reason == "undelivered"
        world.open(Policy())
        world.bridge.forget("v-1")
        world.now += 3600
        world.bridge.tick()
        world.deliver()
        assert world.conversions() == []

    def test_nor_one_that_nobody_had_told_of(self, world: World) -> None:
        """Its token still names the visitor: the shop had kept it."""
        world.order()
        world.bridge.forget("v-1")
        world.hear_all()
        world.now += 60
        world.bridge.sync(allow_late=True)
        world.deliver()
        assert world.conversions() == []
        assert world.bridge.report().dropped == {"forgotten": 1}

    def test_nor_one_whose_token_comes_with_its_payment(self, world: World) -> None:
        order = world.order(None, paid=False)
        world.hear_all()
        world.bridge.forget("v-1")
        change(world, order, paid=True, additionalFields=[TOKEN])
        world.hear_all()
        world.deliver()
        assert world.conversions() == []
        assert world.bridge.report().dropped == {"forgotten": 1}

    def test_nor_a_refund(self, world: World) -> None:
        order = sold(world)
        world.bridge.forget("v-1")
        change(world, order, status="canceled")
        world.hear_all()
        world.bridge.tick()
        world.deliver()
        assert [each.goal_data["amount"] for each in world.conversions()] == [49.9]
        assert len(world.reversals) == 1

    def test_what_another_visitor_ordered_still_counts(self, world: World) -> None:
        """Two visitors of one member: the order is the one's who was linked last before it."""
        world.bridge.link("v-1", source=world.site.scope, member=3)
        world.now += 10
        world.bridge.link("v-2", source=world.site.scope, member=3)
        order = world.order(None, paid=False, memberId=3)
        world.hear_all()
        world.bridge.forget("v-1")
        change(world, order, paid=True)
        world.hear_all()
        world.deliver()
        assert [each.visitor_id for each in world.conversions()] == ["v-2"]

    def test_nobody_else_gets_the_order(self, world: World) -> None:
        know(world)
        world.now += 10
        order = world.order(None, paid=False, memberId=3)
        world.hear_all()
        world.now += 10
        world.bridge.link("v-2", source=world.site.scope, member=3)
        world.bridge.forget("v-1")
        change(world, order, paid=True)
        world.hear_all()
        world.deliver()
        assert world.conversions() == []

    def test_nothing_is_left_of_them(self, world: World) -> None:
        know(world)
        world.expose("v-1")
        sent = world.order(memberId=3)
        world.hear_all()
        world.deliver()
        for fields in KNOWN_BY:
            world.order(None, paid=False, **fields)
        world.hear_all()
        assert b"v-1" in written(world)
        world.bridge.forget("v-1")
        left = written(world)
        for name in ("v-1", IDENTITY.email_key("ann@example.com")):
            assert name.encode() not in left
        assert world.bridge.report().states == {"sent": 1, "dropped": 4}
        assert effect_of(world, sent).visitor_id is None

    def test_nothing_new_is_kept_of_them(self, world: World) -> None:
        world.bridge.forget("v-1")
        assert world.bridge.link("v-1", source=world.site.scope, member=3) is False
        assert world.client.visitor("v-1", location=ANYWHERE).decide("home-story").variation_id
        world.expose("v-2")  # told after it
        world.order(paid=False)
        world.api.contacts.upsert("ann@example.com", properties={"convert_visitor_id": IDENTITY.token("v-1")})
        world.hear_all()
        assert b"v-1" not in written(world)

    @pytest.mark.parametrize("restart", [False, True])
    def test_a_restart_remembers_who_was_forgotten(self, world: World, *, restart: bool) -> None:
        world.bridge.forget("v-1")
        if restart:
            world.client.close()
            world.ledger.close()
            world.open(Policy())
        world.order()
        world.hear_all()
        world.deliver()
        assert world.conversions() == []

    def test_by_an_address_goes_everybody_it_leads_to(self, world: World) -> None:
        world.bridge.link("v-1", email="ann@example.com")
        world.order(None, paid=False, customerEmail="ann@example.com")
        world.order(paid=False)  # by its token
        world.hear_all()
        world.bridge.forget(email="ANN@example.com")
        for order in [*world.store.orders.values()]:
            change(world, order, paid=True)
        world.order(None, customerEmail="ann@example.com")
        world.hear_all()
        world.deliver()
        assert world.conversions() == []
        report = world.bridge.report()
        assert (report.dropped, report.waiting) == ({"forgotten": 2}, {"unresolved": 1})

    def test_an_address_that_leads_to_nobody_yet(self, world: World) -> None:
        order = world.order(None, customerEmail="ann@example.com")
        world.hear_all()
        world.bridge.forget(email="ann@example.com")
        world.bridge.link("v-2", source=world.site.scope, order=str(order["id"]))
        world.bridge.tick()
        world.deliver()
        assert world.conversions() == []
        assert IDENTITY.email_key("ann@example.com").encode() not in written(world)

    def test_a_link_that_was_forgotten_leads_nowhere(self, world: World) -> None:
        world.bridge.link("v-1", source=world.site.scope, member=3)
        world.bridge.forget("v-1")
        world.order(None, memberId=3)
        world.hear_all()
        assert world.bridge.report().waiting == {"unresolved": 1}

    def test_bookings_and_forms_too(self, world: World) -> None:
        know(world)
        world.client.close()
        world.open(Policy(hold_for=DAY))
        world.store.book(eventId=9, contactId=4)
        world.store.submit_form("Contact", {"a": "b"}, {"id": 4})
        events = world.webhooks()
        for event in events:
            world.bridge.handle(event)
        world.bridge.forget("v-1")
        for event in events:
            world.bridge.handle(event)
        world.now += DAY
        world.bridge.sync()
        world.deliver()
        assert world.conversions() == []
        assert world.bridge.report().dropped == {"forgotten": 2}

    def test_no_address_is_ever_written(self, world: World) -> None:
        world.bridge.link("v-1", email="ann@example.com")
        world.order(None, customerEmail="ann@example.com", customerName="Ann Example")
        world.order(None, customerEmail="bob@example.com", customerName="Bob Example")
        world.hear_all()
        left = written(world)
        for word in (b"ann@", b"bob@", b"Example"):
            assert word not in left


OBJECT: list[Callable[[World], object]] = [
    lambda world: world.bridge.link("v-1", source=world.site.scope, member=3, tracking=False),
    lambda world: world.bridge.link("v-1", email="ann@example.com", tracking=False),
    lambda world: world.bridge.link("v-1", source=world.site.scope, order=99, tracking=False),
]


class TestObjecting:
    @pytest.mark.parametrize("objecting", OBJECT)
    @pytest.mark.parametrize("fields", [{}, {"memberId": 3}, {"customerEmail": "ann@example.com"}])
    def test_wins_over_a_signed_token(self, world: World, objecting: Any, fields: Any) -> None:
        objecting(world)
        world.order(**fields)
        world.hear_all()
        world.deliver()
        assert world.conversions() == []
        assert world.bridge.report().dropped == {"tracking off": 1}

    def test_wins_over_another_visitor_of_the_same_member(self, world: World) -> None:
        world.bridge.link("v-2", source=world.site.scope, member=3, tracking=False)
        world.order(memberId=3)
        world.hear_all()
        assert world.bridge.report().dropped == {"tracking off": 1}

    def test_wins_over_a_surer_link(self, world: World) -> None:
        world.bridge.link("v-1", source=world.site.scope, member=3)
        world.bridge.link("v-1", source=world.site.scope, contact=4, tracking=False)
        world.order(None, memberId=3, contactId=4)
        world.hear_all()
        assert world.bridge.report().dropped == {"tracking off": 1}

    @pytest.mark.parametrize("hold", [0.0, DAY])
    def test_after_the_order_and_before_it_is_sent(self, world: World, hold: float) -> None:
        world.client.close()
        world.open(Policy(hold_for=hold))
        order = world.order(paid=hold > 0, memberId=3)
        world.hear_all()
        world.now += 60
        world.bridge.link("v-1", source=world.site.scope, member=3, tracking=False)
        world.now += DAY
        change(world, order, paid=True)
        world.hear_all()
        world.deliver()
        assert world.conversions() == []
        assert world.bridge.report().dropped == {"tracking off": 1}

    def test_consent_that_comes_later_is_for_later_orders(self, world: World) -> None:
        world.bridge.link("v-1", source=world.site.scope, member=3, tracking=False)
        world.order(memberId=3, paid=False)
        world.now += 60
        world.bridge.link("v-1", source=world.site.scope, member=3, tracking=True)
        world.now += 60
        world.order(memberId=3, total=7)
        for order in [*world.store.orders.values()]:
            change(world, order, paid=True)
        world.hear_all()
        world.deliver()
        assert [each.goal_data["amount"] for each in world.conversions()] == [7]

    def test_outlives_every_link(self, world: World) -> None:
        world.bridge.link("v-1", source=world.site.scope, member=3, tracking=False)
        world.now += 400 * DAY
        world.order()
        world.hear_all()
        assert world.bridge.report().dropped == {"tracking off": 1}

    def test_consent_ends_it_for_good(self, world: World) -> None:
        for tracking in (False, True):
            world.bridge.link("v-1", source=world.site.scope, member=3, tracking=tracking)
            world.now += 60
        world.now += 100 * DAY
        world.bridge.tick()
        world.order(memberId=3)
        world.hear_all()
        world.deliver()
        assert len(world.conversions()) == 1

    def test_is_not_taken_back_by_a_link_that_says_nothing_of_it(self, world: World) -> None:
        world.bridge.link("v-1", source=world.site.scope, contact=4, tracking=False)
        world.now += 60
        world.bridge.link("v-1", source=world.site.scope, contact=4, order=1)
        token = {"convert_visitor_id": IDENTITY.token("v-1")}
        world.store.contacts[4] = {"id": 4, "email": "ann@example.com"}
        world.api.contacts.update(4, email="ann@example.com", properties=token)
        world.hear_all()
        world.now += 60
        world.order(contactId=4)
        world.hear_all()
        assert world.bridge.report().dropped == {"tracking off": 1}

    def test_no_refund_is_sent_either(self, world: World) -> None:
        order = sold(world)
        world.bridge.link("v-1", source=world.site.scope, member=3, tracking=False)
        change(world, order, status="canceled")
        world.hear_all()
        world.bridge.tick()
        world.deliver()
        assert [each.goal_data["amount"] for each in world.conversions()] == [49.9]

    def test_an_order_by_hand(self, world: World) -> None:
        world.bridge.link("v-1", source=world.site.scope, member=3, tracking=False)
        at = datetime.fromtimestamp(world.now, UTC)
        order = OrderSnapshot(
            "till", "berlin", "1", at, paid=True, amount=Decimal(5), token=IDENTITY.token("v-1")
        )
        [conversion] = world.bridge.handle(order)
        assert (conversion.reason, conversion.visitor_id) == ("tracking off", None)


class TestIntoConvertmax:
    def test_hears_nothing_of_who_objected_or_was_forgotten(self, world: World) -> None:
        world.store.contacts |= {
            number: {"id": number, "email": f"{number}@example.com"} for number in (4, 5)
        }
        for number, visitor_id in ((4, "v-1"), (5, "v-2")):
            world.bridge.link(visitor_id, source=world.site.scope, contact=number)
            world.expose(visitor_id)
            world.order(visitor_id, contactId=number)
        world.hear_all()
        world.deliver()
        with ConvertmaxStore() as target, ConvertmaxClient(target.key, base_url=target.url) as client:
            into = IntoConvertmax(client, world.ledger)
            into.sync(world.site, IDENTITY)
            assert [STORY in str(each) for each in target.records["contact"].values()] == [True, True]
            assert [STORY in str(each) for each in target.records["order"].values()] == [True, True]
            world.bridge.link("v-1", email="4@example.com", tracking=False)
            world.bridge.forget("v-2")
            world.now += 60
            into.sync(world.site, IDENTITY)
            assert STORY not in str(target.records)


def test_a_identity_key_of_another_store_says_nothing(world: World) -> None:
    """Member 3 of one shop is nobody in another."""
    world.bridge.link("v-1", source=world.site.scope, member=3, tracking=False)
    other = replace(world.site, forms="list")
    order = other.order(world.api.orders.get(str(world.order(None, memberId=3)["id"])), IDENTITY)
    assert isinstance(order, OrderSnapshot)
    elsewhere = replace(order, account="other.example.com")
    assert IdentityKey("member", "website:other.example.com:3") in elsewhere.identity_keys
    [conversion] = world.bridge.handle(elsewhere)
    assert conversion.reason == "unresolved"
