"""The bridge between real stores, a real client and a real Serving API, all on loopback."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from threading import Thread
from typing import Any

import pytest

from convert_sdk import Client, OptionError, StoreError
from convert_sdk.commerce.bridge import (
    Bridge,
    BuyerRules,
    Goals,
    Ledger,
    MemoryLedger,
    OrderConversion,
    OrderSnapshot,
    Policy,
    SyncProgress,
)
from convert_sdk.commerce.errors import ServerError
from convert_sdk.server import DEMO_SDK_KEY
from convert_sdk.status import EventOutcome
from tests.waiting import PATIENCE, eventually

from .world import DAY, IDENTITY, STORY, World


class TestOneOrder:
    def test_becomes_one_conversion_of_who_saw_what(self, world: World) -> None:
        variation = world.expose("v-1")
        order = world.order(items=[{"id": 1, "quantity": 3, "total": 49.9}])
        world.hear_all()
        world.deliver()
        [conversion] = world.conversions()
        transaction_id = f"{world.site.scope}:{order['id']}"
        assert conversion.visitor_id == "v-1"
        assert conversion.goal_data == {"amount": 49.9, "productsCount": 3, "transactionId": transaction_id}
        assert conversion.bucketing == {STORY: variation}
        assert world.bridge.report().states == {"sent": 1}

    def test_webhooks_and_polls_make_one_conversion(self, world: World) -> None:
        world.order()
        events = world.webhooks() * 2
        for event in events:
            world.bridge.handle(event)
        world.bridge.sync()
        world.deliver()  # before its lease runs out
        world.now += 3600
        world.bridge.sync()
        world.deliver()
        world.bridge.sync()
        world.bridge.handle(events[0])
        world.deliver()
        assert len(world.conversions()) == 1

    def test_the_second_order_of_a_visitor_counts_too(self, world: World) -> None:
        for total in (10, 20):
            world.order(total=total)
        world.hear_all()
        world.deliver()
        assert sorted(each.goal_data["amount"] for each in world.conversions()) == [10, 20]  # type: ignore[type-var]

    def test_exposures_after_the_order_get_nothing(self, world: World) -> None:
        before = world.expose("v-1")
        world.order()
        world.now += 60
        world.expose("v-1", "checkout-layout")
        world.hear_all()
        world.deliver()
        [conversion] = world.conversions()
        assert conversion.bucketing == {STORY: before}

    def test_exposures_outside_the_window_get_nothing(self, world: World) -> None:
        world.expose("v-1")
        world.now += 31 * DAY
        world.order()
        world.hear_all()
        world.deliver()
        [conversion] = world.conversions()
        assert conversion.bucketing == {}

    def test_an_old_webhook_that_comes_late_changes_nothing(self, world: World) -> None:
        """The order is read again: the body of a webhook is what was, not what is."""
        order = world.order(paid=False)
        early = world.webhooks()
        world.store.change_order(int(str(order["id"])), paid=True, total=60)
        world.hear_all()
        for event in early:
            world.bridge.handle(event)
        world.deliver()
        [conversion] = world.conversions()
        assert conversion.goal_data["amount"] == 60

    def test_bodies_are_believed_where_asked(self, world: World) -> None:
        world.client.close()
        world.open(Policy(), sources=[replace(world.site, refetch=False)])
        order = world.order()
        del world.store.orders[int(str(order["id"]))]
        world.hear_all()
        world.deliver()
        assert len(world.conversions()) == 1

    def test_an_order_that_was_deleted_counts_as_told(self, world: World) -> None:
        order = world.order()
        del world.store.orders[int(str(order["id"]))]
        world.hear_all()
        world.deliver()
        assert len(world.conversions()) == 1

    def test_another_orders_record_is_not_taken_for_it(self, world: World) -> None:
        asked = world.order("v-1", total=10)
        world.store.orders[int(str(asked["id"]))] = world.order("v-1", total=90)
        mistaken = world.webhooks()[0]
        with pytest.raises(ServerError, match="answered with another order"):
            world.bridge.handle(mistaken)
        assert world.bridge.report().states == {}


class TestSeveralVisitors:
    def test_the_one_linked_in_the_second_of_the_order_has_it(self, world: World) -> None:
        """The store cuts the order's time to whole seconds."""
        for visitor_id, moment in (("laptop", 0.0), ("phone", DAY + 0.7)):
            world.now = 1_777_000_000.0 + moment
            world.bridge.link(visitor_id, source=world.site.scope, member=3)
        order = world.order(None, memberId=3)
        assert float(str(order["created"])) < world.now
        world.hear_all()
        world.deliver()
        [conversion] = world.conversions()
        assert conversion.visitor_id == "phone"


class TestWaiting:
    def test_for_payment(self, world: World) -> None:
        order = world.order(paid=False)
        world.hear_all()
        assert world.bridge.report().waiting == {"unpaid": 1}
        world.store.change_order(int(str(order["id"])), paid=True)
        world.hear_all()
        world.deliver()
        assert len(world.conversions()) == 1

    def test_for_payment_a_week_and_then_for_a_webhook_alone(self, world: World) -> None:
        order = world.order(paid=False)
        world.hear_all()
        world.now += 7 * DAY
        world.bridge.tick()
        report = world.bridge.report()
        assert (report.states, report.dropped) == ({"dropped": 1}, {"unpaid": 1})
        world.store.change_order(int(str(order["id"])), paid=True)
        world.hear_all()
        world.deliver()
        assert len(world.conversions()) == 1

    def test_held_back_a_cancelled_order_costs_nothing(self, world: World) -> None:
        world.client.close()
        world.open(Policy(hold_for=DAY))
        kept, cancelled = world.order(), world.order()
        world.hear_all()
        assert world.bridge.report().waiting == {"held": 2}
        world.store.change_order(int(str(cancelled["id"])), status="canceled")
        world.hear_all()
        world.now += DAY
        world.bridge.tick()
        world.deliver()
        [conversion] = world.conversions()
        assert conversion.goal_data["transactionId"] == f"{world.site.scope}:{kept['id']}"
        assert world.bridge.report().dropped == {"cancelled": 1}
        assert world.reversals == []

    @pytest.mark.parametrize(
        ("fields", "known", "match_source"),
        [
            ({}, {"order": 1002}, "order"),
            ({"memberId": 3}, {"member": 3}, "member"),
            ({"contactId": 4}, {"contact": "4"}, "contact"),
            ({"customerEmail": "Ann@Example.com"}, {"email": "ann@example.com "}, "email"),
        ],
    )
    def test_for_a_link(self, world: World, fields: Any, known: Any, match_source: str) -> None:
        order = world.order(None, **fields)
        if "order" in known:
            known = {"order": order["id"]}
        world.hear_all()
        assert world.bridge.report().unresolved == (f"{world.site.scope}:{order['id']}",)
        world.now += 2 * DAY
        assert world.bridge.link("v-9", source=world.site.scope, **known)
        world.bridge.tick()
        world.deliver()
        [conversion] = world.conversions()
        assert conversion.visitor_id == "v-9"
        with world.ledger.transaction() as transaction:
            [entry] = transaction.conversions_of(f"{world.site.scope}:{order['id']}")
        assert entry.match_source == match_source

    def test_for_nobody_is_reported_after_a_week_and_never_invented(self, world: World) -> None:
        order = world.order(None)
        world.hear_all()
        world.now += 7 * DAY
        world.bridge.tick()
        world.deliver()
        report = world.bridge.report()
        assert (report.dropped, report.unresolved) == (
            {"unresolved": 1}, (f"{world.site.scope}:{order['id']}",),
        )  # fmt: skip
        assert world.conversions() == []

    def test_a_forged_token_is_nobody(self, world: World) -> None:
        world.order(
            None, additionalFields=[{"field": "convert_visitor_id", "value": "v1.v-1.0123456789abcdef"}]
        )
        world.hear_all()
        assert world.bridge.report().waiting == {"unresolved": 1}

    def test_a_goal_that_the_document_lacks_is_tried_again(self, world: World) -> None:
        world.client.close()
        world.open(Policy(), goals=Goals("no-such-goal"))
        world.order()
        world.hear_all()
        assert world.bridge.report().waiting == {"unknown goal": 1}
        world.now += 8 * DAY
        world.bridge.tick()
        assert world.bridge.report().dropped == {"unknown goal": 1}

    def test_who_wishes_not_to_be_tracked_is_not(self, world: World) -> None:
        world.bridge.link("v-1", source=world.site.scope, member=3, tracking=False)
        world.order(None, memberId=3)
        world.hear_all()
        assert world.bridge.report().dropped == {"tracking off": 1}


class TestReversals:
    def test_are_told_once_and_nothing_negative_is_sent(self, world: World) -> None:
        order = world.order()
        world.hear_all()
        world.deliver()
        world.store.change_order(int(str(order["id"])), status="canceled")
        world.hear_all()
        world.bridge.sync()
        world.bridge.tick()
        [conversion] = world.reversals
        assert (conversion.transaction_id, conversion.revenue) == (
            f"{world.site.scope}:{order['id']}",
            Decimal("49.90"),
        )
        assert world.bridge.report().states == {"reversed": 1}
        assert len(world.conversions()) == 1

    def test_are_negative_where_asked(self, world: World) -> None:
        world.client.close()
        world.open(Policy(refunds="negative"))
        variation = world.expose("v-1")
        order = world.order()
        world.hear_all()
        world.deliver()
        world.store.change_order(int(str(order["id"])), status="canceled")
        world.hear_all()
        world.bridge.tick()
        world.deliver()
        sale, refund = world.conversions()
        assert (sale.goal_data["amount"], refund.goal_data["amount"]) == (49.9, -49.9)
        assert refund.goal_data["transactionId"] == f"{sale.goal_data['transactionId']}:refund"
        assert sale.bucketing == refund.bucketing == {STORY: variation}

    def test_what_the_application_raises_stops_nothing(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        def stumble(conversion: OrderConversion) -> None:
            raise ZeroDivisionError

        bridge = Bridge(
            world.client, world.ledger, goals=Goals("purchase"), identity=IDENTITY, sources=[world.site],
            on_reversed=stumble,
        )  # fmt: skip
        first, second = world.order(), world.order()
        world.hear_all()
        world.deliver()
        for order in (first, second):
            world.store.change_order(int(str(order["id"])), status="canceled")
        for event in world.webhooks():
            bridge.handle(event)
        assert bridge.report().states == {"reversed": 2}
        assert caplog.messages.count("on_reversed raised ZeroDivisionError") == 2

    def test_the_application_may_use_the_bridge_meanwhile(self, world: World) -> None:
        """Where it is told, and in a thread that it waits for."""
        other = OrderSnapshot(
            "till",
            "berlin",
            "1",
            datetime.fromtimestamp(world.now, UTC),
            paid=True,
            token=IDENTITY.token("v-2"),
        )

        def use(conversion: OrderConversion) -> None:
            bridge.handle(other)
            thread = Thread(target=bridge.tick, daemon=True)
            thread.start()
            thread.join()

        bridge = Bridge(
            world.client, world.ledger, goals=Goals("purchase"), identity=IDENTITY, sources=[world.site],
            on_reversed=use,
        )  # fmt: skip
        order = world.order()
        world.hear_all()
        world.deliver()
        world.store.change_order(int(str(order["id"])), status="canceled")
        [event] = world.webhooks()
        caller = Thread(target=bridge.handle, args=[event], daemon=True)
        caller.start()
        caller.join(PATIENCE)
        assert not caller.is_alive()
        world.deliver()
        assert bridge.report().states == {"reversed": 1, "sent": 1}

    def test_are_told_before_anything_else_is_handed_over(self, world: World) -> None:
        """The process may die while that is done, and a reversal is told once."""
        states: list[Mapping[str, int]] = []
        world.client.close()
        world.open(Policy(hold_for=60))
        bridge = Bridge(
            world.client, world.ledger, goals=Goals("purchase"), identity=IDENTITY, sources=[world.site],
            on_reversed=lambda _: states.append(bridge.report().states),
        )  # fmt: skip
        order = world.order()
        world.hear_all()
        world.now += 61
        bridge.tick()
        world.deliver()
        world.order("v-2")
        world.hear_all()
        world.store.change_order(int(str(order["id"])), status="canceled")
        world.now += 61
        for event in world.webhooks():
            bridge.handle(event)
        assert states == [{"reversed": 1, "waiting": 1}]


class TestTrouble:
    def test_an_endpoint_that_is_down_loses_nothing(self, world: World) -> None:
        world.expose("v-1")
        with world.server.failing(503):
            world.order()
            world.hear_all()
            world.client.flush(timeout=0.2)
            assert world.bridge.report().states == {"claimed": 1}
            world.now += 400
            world.bridge.tick()  # the lease is prolonged while the events wait
            world.now += 400
            world.bridge.tick()
            assert world.bridge.report().resent == 0
        world.deliver()
        assert len(world.conversions()) == 1

    def test_a_refused_conversion_is_dropped_and_said(self, world: World) -> None:
        world.expose("v-1")
        with world.server.failing(400):
            world.order()
            world.hear_all()
            world.client.flush(120)
            world.until(lambda: world.bridge.report().dropped == {"refused": 1})
        assert world.conversions() == []

    @pytest.mark.parametrize(("policy", "arrived"), [("resend", 1), ("drop", 0)])
    def test_a_claim_nobody_hears_of_again(self, world: World, policy: Any, arrived: int) -> None:
        world.client.close()
        world.open(Policy(on_ambiguous=policy))
        world.expose("v-1")
        order = world.order()
        with world.server.failing(503):
            world.hear_all()
            world.client.close(timeout=0.0)  # what was in memory is gone
            eventually(lambda: not world.client.status().events.in_flight)  # and so is what was on its way
        with world.ledger.transaction() as transaction:
            [conversion] = transaction.conversions_of(f"{world.site.scope}:{order['id']}")
            died = replace(
                conversion, state="claimed", reason="", owner="a process that died", event="gone.1"
            )
            transaction.keep(replace(died, due=world.now + 600))
        world.open(Policy(on_ambiguous=policy))
        world.now += 599
        world.bridge.tick()
        assert world.conversions() == []
        world.now += 60
        world.bridge.tick()
        world.deliver()
        assert len(world.conversions()) == arrived
        report = world.bridge.report()
        assert (report.resent, report.dropped) == (arrived, {} if arrived else {"ambiguous": 1})

    def test_the_notice_may_come_before_the_books_know_the_event(self, world: World) -> None:
        """The client delivers in a thread of its own."""
        world.order()
        [event] = world.webhooks()
        with world.ledger.transaction() as transaction:
            transaction.note_outcome("early.0", EventOutcome.SENT, world.now)

        class Early:
            _options, project = world.client._options, world.client.project or object()

            def status(self) -> Any:
                return world.client.status()

            def visitor(self, visitor_id: str) -> Any:
                from types import SimpleNamespace

                from convert_sdk import ConversionReason, ConversionResult

                result = ConversionResult(ConversionReason.ACCEPTED, "early", 1)
                return SimpleNamespace(track=lambda *_, **__: result)

        early: Any = Early()
        bridge = Bridge(early, world.ledger, goals=Goals("purchase"), identity=IDENTITY, sources=[world.site])
        [conversion] = bridge.handle(event)
        assert conversion.state == "sent"

    def test_a_ledger_that_cannot_be_written_fails_the_webhook_and_not_the_page(self, world: World) -> None:
        broken = Ledger(world.folder / "missing" / "bridge.db")
        bridge = Bridge(
            world.client, broken, goals=Goals("purchase"), identity=IDENTITY, sources=[world.site]
        )
        assert bridge.link("v-1", member=3) is False
        world.order()
        [event] = world.webhooks()
        with pytest.raises(StoreError):
            bridge.handle(event)

    def test_a_client_that_hears_of_no_delivery_is_refused(self) -> None:
        with Client(DEMO_SDK_KEY) as client, pytest.raises(OptionError, match=r"observe=\[recording"):
            Bridge(client, MemoryLedger(), goals=Goals("purchase"), identity=IDENTITY)


class TestSync:
    def test_finds_what_no_webhook_told(self, world: World) -> None:
        for _ in range(120):
            world.order()
        world.now += 60
        progress: list[SyncProgress] = []
        report = world.bridge.sync(progress=progress.append)
        world.deliver()
        assert (report.new, report.too_old) == (120, 0)
        assert len(world.conversions()) == 120
        assert [each.read for each in progress if each.source == world.site.scope and each.stream == "orders"] == [
            50, 100, 120,
        ]  # fmt: skip

    def test_goes_on_at_the_page_where_it_was_cut_off(self, world: World) -> None:
        for _ in range(120):
            world.order()
        world.now += 60
        world.open(Policy(), sources=[world.site])
        progress: list[SyncProgress] = []

        def cut(each: SyncProgress) -> None:
            if each.read == 50:
                world.store.fail(500)

        with pytest.raises(ServerError):
            world.bridge.sync(progress=cut)
        world.now += 1.0
        world.store.requests.clear()
        world.bridge.sync(progress=progress.append)
        skips = [
            dict(each.query).get("skip") for each in world.store.requests if each.path.endswith("/orders")
        ]
        assert skips[:2] == ["50", "100"]
        assert world.bridge.report().states == {"claimed": 120} or world.bridge.report().states["sent"] > 0
        world.deliver()
        assert len({each.goal_data["transactionId"] for each in world.conversions()}) == 120
        assert len(world.conversions()) == 120

    def test_orders_placed_while_it_pages_shift_nothing_out_of_sight(self, world: World) -> None:
        world.store.drift = 3
        for _ in range(110):
            world.order()
        world.now += 60
        world.bridge.sync()
        world.store.drift = 0
        world.now += 60
        world.bridge.sync()
        world.deliver()
        with_token = {
            f"{world.site.scope}:{number}" for number, row in world.store.orders.items() if row["paid"]
        }
        assert {each.goal_data["transactionId"] for each in world.conversions()} == with_token
        assert len(world.conversions()) == len(with_token)

    def test_the_next_pull_overlaps_and_counts_nothing_twice(self, world: World) -> None:
        world.order()
        world.now += 60
        world.bridge.sync()
        world.order(created=int(world.now - 1800))  # written late
        world.now += 60
        assert world.bridge.sync().new == 1
        world.deliver()
        assert len(world.conversions()) == 2

    def test_once_a_day_the_last_week_is_read_again(self, world: World) -> None:
        order = world.order(paid=False)
        world.now += 60
        world.bridge.sync()
        world.store.change_order(int(str(order["id"])), paid=True)
        world.now += 5 * DAY
        world.bridge.sync()
        world.deliver()
        assert len(world.conversions()) == 1

    def test_what_is_older_than_a_week_is_refused_until_asked_for(self, world: World) -> None:
        world.open(Policy(), sources=[replace(world.site, first=30 * DAY)])
        world.order(created=int(world.now - 10 * DAY))
        report = world.bridge.sync()
        assert (report.new, report.too_old) == (1, 1)
        world.now += DAY
        world.open(Policy(), sources=[replace(world.site, rescan=30 * DAY)])
        world.bridge.sync(allow_late=True)
        world.deliver()
        assert len(world.conversions()) == 1

    def test_a_list_that_ignores_its_paging_is_an_error_and_no_loss(self, world: World) -> None:
        for _ in range(120):
            world.order()
        world.now += 60
        world.store.ignore_skip = True
        with pytest.raises(ServerError, match="repeats its pages"):
            world.bridge.sync()
        world.store.ignore_skip = False
        world.bridge.sync()
        world.deliver()
        assert len(world.conversions()) == 120

    def test_forms_from_the_list(self, world: World) -> None:
        world.open(Policy(), sources=[replace(world.site, forms="list")])
        world.bridge.link("v-1", email="ann@example.com")
        world.store.submit_form("Contact", {"email": "ann@example.com"})
        world.hear_all()
        world.now += 60
        for _ in range(2):
            world.bridge.sync()
        world.deliver()
        assert len(world.conversions()) == 1


class TestOtherWebhooks:
    def test_a_form(self, world: World) -> None:
        world.bridge.link("v-1", source=world.site.scope, contact=4)
        world.store.submit_form("Contact", {"a": "b"}, {"id": 4, "email": "ann@example.com"})
        events = world.webhooks()
        for event in events * 2:
            world.bridge.handle(event)
        world.now += 300
        world.bridge.handle(events[0])
        world.deliver()
        [conversion] = world.conversions()
        assert (conversion.visitor_id, conversion.goal_id) == ("v-1", "100341903")

    def test_a_contact_that_carries_a_token_makes_links(self, world: World) -> None:
        token = {"convert_visitor_id": IDENTITY.token("v-1")}
        contact = world.api.contacts.upsert("ann@example.com", properties=token)
        world.hear_all()
        world.order(None, contactId=contact.id)
        world.hear_all()
        world.deliver()
        [conversion] = world.conversions()
        assert conversion.visitor_id == "v-1"

    def test_a_forged_contact_makes_none(self, world: World) -> None:
        contact = world.api.contacts.upsert("ann@example.com", properties={"convert_visitor_id": "v-1"})
        world.hear_all()
        world.order(None, contactId=contact.id)
        world.hear_all()
        assert world.bridge.report().waiting == {"unresolved": 1}


class TestBuyer:
    def test_orders_by_their_reference(self, world: World) -> None:
        order = world.buyers.add_order(buyerReference="our-1")
        world.bridge.link("v-1", source="convictional:acme", reference="our-1")
        world.bridge.sync()
        world.deliver()
        [conversion] = world.conversions()
        assert conversion.goal_data == {
            "amount": 85.98, "productsCount": 2, "transactionId": f"convictional:acme:{order['id']}",
        }  # fmt: skip

    def test_changes_come_by_updated_min(self, world: World) -> None:
        order = world.buyers.add_order(buyerReference="our-1")
        world.bridge.link("v-1", source="convictional:acme", reference="our-1")
        world.bridge.sync()
        world.deliver()
        world.now += 2 * DAY
        world.buyers.advance(str(order["id"]), "refunded")
        world.bridge.sync()
        world.bridge.tick()
        assert [each.transaction_id for each in world.reversals] == [f"convictional:acme:{order['id']}"]
        asked = [dict(each.query)["updatedMin"] for each in world.buyers.requests]
        assert asked == sorted(asked)
        assert len(set(asked)) == 2

    def test_every_page_is_read_and_a_cut_off_pull_goes_on(self, world: World) -> None:
        for number in range(120):
            world.buyers.add_order(buyerReference=f"our-{number}")
            world.bridge.link("v-1", source="convictional:acme", reference=f"our-{number}")
        world.open(Policy(), sources=[world.buyer])

        def cut(each: SyncProgress) -> None:
            if each.read == 50:
                world.buyers.fail(500)

        with pytest.raises(ServerError):
            world.bridge.sync(progress=cut)
        world.buyers.requests.clear()
        world.bridge.sync()
        assert [dict(each.query).get("page") for each in world.buyers.requests] == ["1", None, "2", "1"]
        world.deliver()
        assert len(world.conversions()) == 120

    def test_waits_for_sellers(self, world: World) -> None:
        world.open(Policy(), sources=[replace(world.buyer, rules=BuyerRules(when_posted=True))])
        order = world.buyers.add_order(buyerReference="our-1")
        world.bridge.link("v-1", reference="our-1")
        world.bridge.sync()
        assert world.bridge.report().waiting == {"unpaid": 1}
        world.now += 60
        world.buyers.advance(str(order["id"]), "posted")
        world.bridge.sync()
        world.deliver()
        assert len(world.conversions()) == 1


class TestCalls:
    def test_a_link_by_half_a_character_fails_no_page(self, world: World) -> None:
        assert world.bridge.link(
            "v-1", source=world.site.scope, reference="r-\ud83d", email="a\ud83d@example.com"
        )

    def test_a_link_needs_something_to_know_a_visitor_by(self, world: World) -> None:
        with pytest.raises(ValueError, match="nothing to link"):
            world.bridge.link("v-1")
        with pytest.raises(TypeError, match="unexpected argument 'phone'"):
            world.bridge.link("v-1", phone="1")  # type: ignore[call-arg]  # what is refused
        with pytest.raises(ValueError, match="which source's"):
            world.bridge.link("v-1", member=3)
        with pytest.raises(ValueError, match="no such source"):
            world.bridge.link("v-1", source="website:other", member=3)

    def test_an_order_of_our_own_making(self, world: World) -> None:
        from datetime import UTC, datetime

        at = datetime.fromtimestamp(world.now, UTC)
        order = OrderSnapshot(
            "till", "berlin", "1", at, paid=True, amount=Decimal(5), token=IDENTITY.token("v-1")
        )
        [conversion] = world.bridge.handle(order)
        assert conversion.transaction_id == "till:berlin:1"
        world.deliver()
        assert len(world.conversions()) == 1

    def test_says_whose_bridge_it_is_and_no_more(self, world: World) -> None:
        assert repr(world.bridge) == f"Bridge({world.site.scope}, convictional:acme)"
