"""Each decision that the page on the bridge writes down, by what Convert, the ledger or Convertmax has afterwards."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from convert_sdk.commerce.bridge import (
    BuyerRules,
    IdentityKey,
    IntoConvertmax,
    Ledger,
    LedgerStore,
    MemoryLedger,
    OrderConversion,
    OrderSnapshot,
    Policy,
    WebsiteRules,
    WebsiteSource,
    Written,
    facts_from_orders,
)
from convert_sdk.commerce.bridge.ledger import Version
from convert_sdk.commerce.bridge.sources import _warn_of_unsigned
from convert_sdk.commerce.convertmax import ConvertmaxClient
from convert_sdk.commerce.website import WebsiteClient
from convert_sdk.commerce.website.webhooks import parse
from convert_sdk.errors import OptionError, StoreError
from convert_sdk.server import Conversion
from convert_sdk.testing.stores import ConvertmaxStore, WebsiteStore

from .world import DAY, IDENTITY, World


def sent(world: World) -> dict[str, Any]:
    """Amounts by transaction id, of what Convert has."""
    world.deliver()
    found: dict[str, Any] = {}
    for each in world.conversions():
        data: Any = each.goal_data
        found[data["transactionId"]] = data.get("amount")
    return found


def bare(world: World) -> int:
    """How many conversions without data came: a visitor's first one of a goal."""
    world.deliver()
    events = world.shop.record.events()
    return sum(isinstance(each, Conversion) and not each.goal_data for each in events)


def number(row: dict[str, object]) -> int:
    return int(str(row["id"]))


class TestPartialRefunds:
    def test_are_reported_and_nothing_is_sent(self, world: World) -> None:
        row = world.order("v-1", total=49.9)
        world.hear_all()
        name = f"{world.site.scope}:{row['id']}"
        assert sent(world) == {name: 49.9}
        world.now += 60
        world.store.change_order(number(row), total=30)
        world.hear_all()
        assert world.bridge.report().reduced == (name,)
        [told] = world.reversals
        assert (told.transaction_id, told.state, told.given_back) == (name, "sent", Decimal("19.90"))
        world.now += 60
        world.store.change_order(number(row), total=40)  # a correction upwards takes nothing more back
        world.hear_all()
        assert len(world.reversals) == 1
        assert sent(world) == {name: 49.9}

    def test_are_taken_back_one_by_one_where_refunds_are_sent(self, world: World) -> None:
        world.client.close()
        world.open(Policy(refunds="negative"))
        row = world.order("v-1", total=49.9)
        name = f"{world.site.scope}:{row['id']}"
        world.hear_all()
        world.deliver()
        for changed in ({"total": 30}, {"total": 10.5}, {"status": "canceled"}):
            world.now += 60
            world.store.change_order(number(row), **changed)
            world.hear_all()
            world.deliver()
        world.hear_all()
        assert sent(world) == {
            name: 49.9, f"{name}:refund": -19.9, f"{name}:refund:2": -19.5, f"{name}:refund:3": -10.5,
        }  # fmt: skip

    def test_an_order_cancelled_and_unpaid_on_its_way_is_taken_back(self, world: World) -> None:
        world.client.close()
        world.open(Policy(refunds="negative"))
        world.expose("v-1")  # the document has arrived
        with world.server.failing(503):
            row = world.order("v-1", total=50)
            world.hear_all()
            world.now += 60
            world.store.change_order(number(row), paid=False, status="canceled")
            world.hear_all()
            assert world.bridge.report().states == {"claimed": 1}
        world.deliver()
        world.bridge.tick()
        name = f"{world.site.scope}:{row['id']}"
        assert sent(world) == {name: 50, f"{name}:refund": -50}


class TestSellers:
    PARTS: Any = {  # noqa: RUF012 - read only
        "items": [
            {"id": "i-1", "sellerOrderId": "s-1", "quantity": 2, "retailPrice": 10},
            {"id": "i-2", "sellerOrderId": "s-2", "quantity": 1, "retailPrice": 5},
        ],
        "sellerOrders": [{"id": "s-1", "refunded": False}, {"id": "s-2", "refunded": False}],
    }

    def bought(self, world: World, policy: Policy) -> dict[str, Any]:
        world.client.close()
        world.open(policy, sources=[world.buyer])
        row: dict[str, Any] = world.buyers.add_order(**{
            **self.PARTS, "sellerOrders": [dict(each) for each in self.PARTS["sellerOrders"]],
        })  # fmt: skip
        world.bridge.link("v-1", order=row["id"])
        return row

    def test_one_that_refunded_before_sending_does_not_count(self, world: World) -> None:
        row = self.bought(world, Policy())
        world.buyers.advance(row["id"], "refunded", seller=1)
        world.bridge.sync()
        assert sent(world) == {f"convictional:acme:{row['id']}": 20}
        assert [each.goal_data["productsCount"] for each in world.conversions() if each.goal_data] == [2]

    def test_one_that_refunds_after_sending_is_a_partial_refund(self, world: World) -> None:
        row = self.bought(world, Policy(refunds="negative"))
        world.bridge.sync()
        name = f"convictional:acme:{row['id']}"
        assert sent(world) == {name: 25}
        for seller in (1, 0):
            world.now += 60
            world.buyers.advance(row["id"], "refunded", seller=seller)
            world.bridge.sync()
            world.deliver()
        world.bridge.tick()
        assert sent(world) == {name: 25, f"{name}:refund": -5, f"{name}:refund:2": -20}
        assert len(world.reversals) == 2


class TestCurrencies:
    def sources(self, world: World) -> list[Any]:
        return [
            replace(world.site, rules=WebsiteRules(currency="EUR")),
            replace(world.buyer, rules=BuyerRules(currency="USD")),
        ]

    def place(self, world: World) -> tuple[str, str]:
        own = world.order("v-1", total=49.9)
        bought = world.buyers.add_order()
        world.bridge.link("v-2", source="convictional:acme", order=str(bought["id"]))
        world.now += 60
        world.bridge.sync()
        return f"{world.site.scope}:{own['id']}", f"convictional:acme:{bought['id']}"

    def test_two_need_a_word(self, world: World) -> None:
        world.client.close()
        with pytest.raises(OptionError, match=r"EUR and USD: give Policy\(currency"):
            world.open(Policy(), sources=self.sources(world))

    def test_the_other_one_waits_and_is_reported(self, world: World) -> None:
        world.client.close()
        world.open(Policy(currency="EUR"), sources=self.sources(world))
        own, _ = self.place(world)
        assert sent(world) == {own: 49.9}
        assert world.bridge.report().waiting == {"currency": 1}
        world.now += 8 * DAY
        world.bridge.tick()
        assert world.bridge.report().dropped == {"currency": 1}

    def test_or_is_converted_by_the_rate_of_its_day(self, world: World) -> None:
        from convert_sdk.commerce.bridge import Bridge

        world.client.close()
        world.open(Policy(currency="EUR"), sources=self.sources(world))
        asked: list[tuple[Decimal, str, datetime]] = []

        def rate(amount: Decimal, currency: str, at: datetime) -> Decimal:
            asked.append((amount, currency, at))
            return amount * Decimal("0.9")

        world.bridge = Bridge(
            world.client, world.ledger, goals=world.bridge.goals, identity=IDENTITY,
            sources=self.sources(world), rate=rate,
        )  # fmt: skip
        own, bought = self.place(world)
        assert sent(world) == {own: 49.9, bought: 77.38}
        assert {each[:2] for each in asked} == {(Decimal("85.98"), "USD")}

    def test_a_rate_that_fails_once_delays_by_a_minute(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        from convert_sdk.commerce.bridge import Bridge

        world.client.close()
        world.open(Policy(currency="EUR"), sources=self.sources(world))
        answers: list[Decimal | None] = []

        def rate(amount: Decimal, currency: str, at: datetime) -> Decimal | None:
            if not answers:
                raise ZeroDivisionError
            return answers[-1]

        world.bridge = Bridge(
            world.client, world.ledger, goals=world.bridge.goals, identity=IDENTITY,
            sources=self.sources(world), rate=rate,
        )  # fmt: skip
        own, bought = self.place(world)
        assert sent(world) == {own: 49.9}
        for answer in (None, Decimal(77)):  # not known, and known
            assert world.bridge.report().waiting == {"currency": 1}
            answers.append(answer)
            world.now += 61
            world.bridge.tick()
        assert sent(world) == {own: 49.9, bought: 77}
        assert caplog.messages.count("an amount could not be converted, and waits: ZeroDivisionError") == 1

    def test_lines_of_two_are_never_added_up(self, world: World) -> None:
        world.client.close()
        world.open(Policy(), sources=[world.buyer])
        item = {"quantity": 1, "retailPrice": 5}
        row = world.buyers.add_order(
            items=[{"id": "1", "retailCurrency": "EUR", **item}, {"id": "2", "retailCurrency": "USD", **item}]
        )
        world.bridge.link("v-1", order=str(row["id"]))
        world.bridge.sync()
        assert (sent(world), world.bridge.report().waiting) == ({}, {"currency": 1})

    def test_the_first_order_of_a_ledger_says_which(self, world: World) -> None:
        world.client.close()
        world.open(Policy(), sources=[world.buyer])
        for currency in ("EUR", "USD"):
            row = world.buyers.add_order(
                items=[{"id": "1", "quantity": 1, "retailPrice": 5, "retailCurrency": currency}]
            )
            world.bridge.link("v-1", order=str(row["id"]))
            world.bridge.sync()
        assert len(sent(world)) == 1
        assert world.bridge.report().waiting == {"currency": 1}

    def test_facts_have_no_sum_of_two(self) -> None:
        at = datetime(2026, 5, 1, tzinfo=UTC)
        orders = [
            OrderSnapshot("till", "b", currency, at, paid=True, amount=Decimal(5), currency=currency)
            for currency in ("EUR", "USD")
        ]
        assert facts_from_orders(orders[:1], now=at)["lifetime_value"] == 5.0
        assert "lifetime_value" not in facts_from_orders(orders, now=at)


class TestLatePayments:
    def test_one_whose_webhook_was_lost_is_found_while_the_order_waits(self, world: World) -> None:
        world.client.close()
        world.open(Policy(max_wait=30 * DAY), sources=[world.site])
        row = world.order("v-1", paid=False)
        world.now += 60
        world.bridge.sync()
        world.now += 20 * DAY
        world.bridge.sync()
        assert world.bridge.report().waiting == {"unpaid": 1}
        world.store.change_order(number(row), paid=True)
        world.webhooks()  # lost
        world.now += DAY
        world.bridge.sync()
        assert sent(world) == {f"{world.site.scope}:{row['id']}": 49.9}

    def test_it_is_asked_for_once_a_day(self, world: World) -> None:
        world.client.close()
        world.open(Policy(max_wait=30 * DAY), sources=[world.site])
        row = world.order("v-1", paid=False)
        world.now += 60
        world.bridge.sync()
        world.now += 20 * DAY
        world.bridge.sync()  # the daily reading has it once more
        world.now += DAY
        before = len(world.store.requests)
        for _ in range(4):
            world.bridge.sync()
            world.now += DAY / 8
        asked = [each for each in world.store.requests[before:] if each.path.endswith(f"/orders/{row['id']}")]
        assert len(asked) == 1

    def test_one_that_was_deleted_is_asked_for_no_more_that_day(self, world: World) -> None:
        world.client.close()
        world.open(Policy(max_wait=30 * DAY), sources=[world.site])
        row = world.order("v-1", paid=False)
        world.now += 60
        world.bridge.sync()
        del world.store.orders[number(row)]
        world.now += 20 * DAY
        before = len(world.store.requests)
        world.bridge.sync()
        world.bridge.sync()
        asked = [each for each in world.store.requests[before:] if each.path.endswith(f"/orders/{row['id']}")]
        assert len(asked) == 1
        assert world.bridge.report().waiting == {"unpaid": 1}


def test_a_restarted_process_without_a_store_repeats_no_first_conversion(world: World) -> None:
    for _ in range(2):
        world.order("v-1")
    world.hear_all()
    assert (len(sent(world)), bare(world)) == (2, 1)
    world.client.close()
    world.open(Policy())
    for _ in range(2):
        world.order("v-1")
    world.order("v-2")
    world.hear_all()
    assert (len(sent(world)), bare(world)) == (5, 2)


class TestTombstones:
    @pytest.fixture
    def shop(self, world: World) -> World:
        for at in range(1, 4):
            world.store.contacts[at] = {"id": at, "createdOn": 1_776_999_000}
            world.store.products[at] = {"id": at, "variants": [{"sku": f"S-{at}"}]}
            world.order(None)
        return world

    def test_what_is_gone_is_deleted_where_that_is_wanted(self, shop: World) -> None:
        with ConvertmaxStore() as target, ConvertmaxClient(target.key, base_url=target.url) as client:
            into = IntoConvertmax(client, shop.ledger)
            assert into.sync(shop.site, IDENTITY).accepted == 9
            gone = next(iter(shop.store.orders))
            del shop.store.contacts[2], shop.store.products[3], shop.store.orders[gone]
            shop.now += 60
            assert into.sync(shop.site, IDENTITY).deleted == 0
            assert len(target.records["contact"]) == 3
            assert into.sync(shop.site, IDENTITY, delete_gone=True).deleted == 3
            assert {*target.records["product"]} == {"S-1", "S-2"}
            assert f"{shop.site.scope}:{gone}" not in target.records["order"]
            assert len(target.records["contact"]) == 2
            assert into.sync(shop.site, IDENTITY, delete_gone=True).deleted == 0
            # What comes back is written again.
            shop.store.products[3] = {"id": 3, "variants": [{"sku": "S-3"}]}
            assert into.sync(shop.site, IDENTITY).accepted == 1
            assert {*target.records["product"]} == {"S-1", "S-2", "S-3"}

    def test_too_many_at_once_are_not_believed(self, shop: World, caplog: pytest.LogCaptureFixture) -> None:
        with ConvertmaxStore() as target, ConvertmaxClient(target.key, base_url=target.url) as client:
            into = IntoConvertmax(client, shop.ledger)
            into.sync(shop.site, IDENTITY)
            shop.store.contacts.clear()
            written = into.sync(shop.site, IDENTITY, delete_gone=True, at_most=2)
            assert (written.deleted, written.held_back) == (0, 3)
            assert len(target.records["contact"]) == 3
            assert "3 records are gone" in caplog.text
            assert into.sync(shop.site, IDENTITY, delete_gone=True).deleted == 3

    def test_nothing_is_deleted_where_something_cannot_be_read(self, shop: World) -> None:
        with ConvertmaxStore() as target, ConvertmaxClient(target.key, base_url=target.url) as client:
            into = IntoConvertmax(client, shop.ledger)
            into.sync(shop.site, IDENTITY)
            shop.store.contacts[2]["id"] = {"odd": 1}
            written = into.sync(shop.site, IDENTITY, delete_gone=True)
            assert (written.deleted, written.held_back, written.unreadable) == (0, 1, 1)
            shop.store.requests.clear()  # an id as no OpenAPI file allows

    def test_other_sources_are_left_alone(self, shop: World) -> None:
        with ConvertmaxStore() as target, ConvertmaxClient(target.key, base_url=target.url) as client:
            into = IntoConvertmax(client, shop.ledger)
            into.sync(shop.site, IDENTITY)
            shop.buyers.add_order()
            assert into.sync(shop.buyer, IDENTITY, delete_gone=True).deleted == 0
            assert len(target.records["contact"]) == 3

    def test_what_two_stores_have_is_deleted_when_neither_has_it(
        self, shop: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        with (
            ConvertmaxStore() as target,
            ConvertmaxClient(target.key, base_url=target.url) as client,
            WebsiteStore() as store,
            WebsiteClient(store.url, store.key) as api,
        ):
            branch = WebsiteSource(api, account="branch")
            for at in (1, 2):
                store.products[at] = {"id": at, "title": "Shoes", "variants": [{"sku": f"S-{at}"}]}
            into = IntoConvertmax(client, shop.ledger)
            for _ in range(2):
                for source in (shop.site, branch):
                    shop.now += 60
                    into.sync(source, IDENTITY)
                    IntoConvertmax(client, shop.ledger).sync(source, IDENTITY)
            assert caplog.text.count("is written from") == 1
            assert f"is written from {shop.site.scope} and from website:branch" in caplog.text
            assert target.records["product"]["S-1"]["data"]["name"] == "Shoes"  # type: ignore[index]  # an object
            del store.products[1]
            assert into.sync(branch, IDENTITY, delete_gone=True, at_most=0) == Written(unchanged=1)
            assert "S-1" in target.records["product"]
            del shop.store.products[1]
            assert into.sync(shop.site, IDENTITY, delete_gone=True).deleted == 1
            assert "S-1" not in target.records["product"]
            assert "S-2" in target.records["product"]


class TestLateWebhooks:
    def test_a_booking_counts_as_of_when_its_body_says(self, world: World) -> None:
        world.bridge.link("v-1", source=world.site.scope, contact=4)
        made = world.now
        world.now += 60
        world.expose("v-1")
        world.now += 3600
        world.store.book(eventId=9, contactId=4, createdAt=int(made))
        world.hear_all()
        world.deliver()
        [conversion] = world.conversions()
        assert conversion.bucketing == {}

    def test_one_that_says_nothing_counts_as_of_when_it_came(self, world: World) -> None:
        world.bridge.link("v-1", source=world.site.scope, contact=4)
        variation = world.expose("v-1")
        world.store.book(eventId=9, contactId=4)
        world.hear_all()
        world.deliver()
        [conversion] = world.conversions()
        assert [*conversion.bucketing.values()] == [variation]

    def test_a_form_counts_as_of_when_its_body_says(self, world: World) -> None:
        world.bridge.link("v-1", source=world.site.scope, contact=4)
        made = world.now
        world.now += 60
        world.expose("v-1")
        world.store.fire(
            "form_submitted",
            {"formName": "Contact", "contact": {"id": 4}, "formValues": [], "submittedAt": int(made)},
        )
        world.hear_all()
        world.deliver()
        [conversion] = world.conversions()
        assert conversion.bucketing == {}


class TestUnsignedWebhooks:
    """Anybody can have made them up: with a token of their own, and the store's real ids."""

    def told(self, world: World, topic: str, body: dict[str, Any]) -> None:
        world.store.deliveries.clear()
        world.store.fire(topic, body)
        [delivery] = world.store.deliveries
        event = parse(delivery.body, delivery.headers, None)
        assert not event.signed
        world.bridge.handle(event)

    def test_an_order_that_the_store_does_not_have(self, world: World) -> None:
        for order_id in (99, {"odd": 1}):
            self.told(world, "order_created", {"id": order_id, "paid": True, "total": 1e6})
        assert world.bridge.report()[:2] == ({}, {})
        assert world.bridge.report().unreadable == ()

    def test_a_booking_is_found_by_the_pull(self, world: World) -> None:
        world.client.close()
        world.open(Policy(), sources=[world.site])
        self.told(world, "booking_created", {"id": 99, "eventId": 9, "contactId": 4})
        assert world.bridge.report().states == {}
        row = world.store.book(eventId=9, contactId=4)
        self.told(world, "booking_created", row)
        assert world.bridge.report().states == {}
        world.bridge.sync()
        assert world.bridge.report().states == {"waiting": 1}

    def test_a_form_is_found_by_the_list_alone(self, world: World, caplog: pytest.LogCaptureFixture) -> None:
        _warn_of_unsigned.cache_clear()
        for _ in range(2):
            self.told(
                world, "form_submitted", {"formName": "Contact", "contact": {"id": 4}, "formValues": []}
            )
        assert world.bridge.report().states == {}
        assert sum("of form_submitted is not believed" in each for each in caplog.messages) == 1

    def test_a_contact_is_asked_for_at_the_store(self, world: World) -> None:
        def linked() -> list[str]:
            with world.ledger.transaction() as transaction:
                links = transaction.links(IdentityKey("contact", f"{world.site.scope}:4"))
            return [each.visitor_id for each in links]

        def contact(visitor_id: str) -> dict[str, Any]:
            token = {"name": "convert_visitor_id", "value": IDENTITY.token(visitor_id)}
            return {"id": 4, "createdOn": 1_776_999_000, "properties": [token]}

        self.told(world, "contact_updated", contact("v-2"))
        self.told(world, "contact_updated", {**contact("v-2"), "id": None})
        assert linked() == []
        world.store.contacts[4] = contact("v-1")
        self.told(world, "contact_updated", contact("v-2"))
        assert linked() == ["v-1"]


@pytest.mark.parametrize("kind", ["sqlite", "memory"])
def test_forget_has_a_way_back(world: World, kind: str) -> None:
    world.client.close()
    if kind == "memory":
        ledger: LedgerStore = MemoryLedger(clock=lambda: world.now)
        world.open(Policy(), ledger=ledger)
    else:
        world.open(Policy())
    world.bridge.forget("v-1")
    world.order("v-1")
    world.hear_all()
    assert world.bridge.report().dropped == {"forgotten": 1}
    assert not world.bridge.link("v-1", source=world.site.scope, member=3)
    world.bridge.readmit("v-1")
    row = world.order("v-1")
    world.hear_all()
    assert sent(world) == {f"{world.site.scope}:{row['id']}": 49.9}
    assert world.bridge.link("v-1", source=world.site.scope, member=3)


class TestOneNameOfASite:
    def test_a_ledger_keeps_the_spelling_that_it_began_with(self, world: World) -> None:
        """As the release before spelt it, by what the application had typed."""
        with world.ledger.transaction() as transaction:
            old = WebsiteSource(world.api, account="Shop.Example.com:443")
        world.client.close()
        world.open(Policy(), sources=[old])
        row = world.order("v-1")
        world.hear_all()
        name = f"website:Shop.Example.com:443:{row['id']}"
        assert sent(world) == {name: 49.9}
        world.client.close()
        ledger = Ledger(world.folder / "bridge.db", clock=lambda: world.now)
        with closing(sqlite3.connect(world.folder / "bridge.db")) as connection, connection:
            connection.execute("DELETE FROM scopes")  # the release before had none
        with ledger.transaction() as transaction:
            assert transaction.scope_of("website:shop.example.com") == "website:Shop.Example.com:443"
            assert transaction.scope_of("website:other.example.com") == "website:other.example.com"
        ledger.close()

    @pytest.mark.parametrize("found_by", ["links", "cursors"])
    def test_wherever_it_stands(self, tmp_path: Path, found_by: str) -> None:
        from convert_sdk.commerce.bridge import IdentityKey, Link

        ledger = Ledger(tmp_path / "bridge.db")
        with ledger.transaction() as transaction:
            if found_by == "links":
                key = IdentityKey("member", "website:Shop.Example.com:3")
                transaction.add_link(Link(key, "v-1", 1.0, 2.0))
            else:
                transaction.move_cursor("website:Shop.Example.com/orders", "{}")
            assert transaction.scope_of("website:shop.example.com") == "website:Shop.Example.com"
        ledger.close()

    def test_an_order_counts_once_by_whatever_spelling(self, tmp_path: Path) -> None:
        clients = [
            WebsiteClient(each, "k")
            for each in ("shop.example.com", "Shop.Example.COM.", "shop.example.com:443")
        ]
        assert {WebsiteSource(each).scope for each in clients} == {"website:shop.example.com"}


@pytest.mark.parametrize(
    "spelling",
    [
        "ann@bücher.example", "Ann@BÜCHER.example", " ann@bücher.example ", "ann@xn--bcher-kva.example",
        "Ann Doe <ann@bücher.example>", "\u200bann@bücher.example\ufeff", "ann@bücher.example.",
        "mailto:ann@bücher.example", "ａｎｎ@bücher.example",
    ],
)  # fmt: skip
def test_an_e_mail_address_has_one_key(spelling: str) -> None:
    assert IDENTITY.email_key(spelling) == IDENTITY.email_key("ann@bücher.example")
    assert IDENTITY.email_key(spelling) != IDENTITY.email_key("bob@bücher.example")


class TestLedgerFile:
    def test_one_of_a_later_release_is_left_alone(self, tmp_path: Path) -> None:
        ledger = Ledger(tmp_path / "bridge.db")
        with ledger.transaction() as transaction:
            transaction.move_cursor("a", "1")
        ledger.close()
        with closing(sqlite3.connect(tmp_path / "bridge.db")) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (3,)
            connection.execute("PRAGMA user_version=7")
        with (
            pytest.raises(StoreError, match="its version is 7, and this release knows 3"),
            ledger.transaction(),
        ):
            pass
        with closing(sqlite3.connect(tmp_path / "bridge.db")) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (7,)
            assert connection.execute("SELECT body FROM cursors").fetchone() == ("1",)

    def test_times_without_a_zone_that_a_file_may_have_are_of_utc(self, tmp_path: Path) -> None:
        ledger = Ledger(tmp_path / "bridge.db")
        version = datetime(2026, 5, 1, 1, tzinfo=UTC)
        order = OrderSnapshot("till", "berlin", "1", version, paid=True, version=version, earliest=version)
        with ledger.transaction() as transaction:
            transaction.keep(OrderConversion("purchase|1", "purchase", order, "seen", 0.0, 0.0, due=0.0))
        with closing(sqlite3.connect(tmp_path / "bridge.db", isolation_level=None)) as connection:
            [[body]] = connection.execute("SELECT body FROM effects")
            stored = json.loads(body)
            stored["order"] |= {"version": "2026-05-01T01:00:00", "earliest": "2026-05-01T01:00:00"}
            connection.execute("UPDATE effects SET body = ?", (json.dumps(stored),))
        with ledger.transaction() as transaction:
            assert [each.order for each in transaction.due(1.0, 10)] == [order]
        ledger.close()

    def test_one_of_the_release_before_keeps_where_its_records_are_from(self, tmp_path: Path) -> None:
        path = tmp_path / "bridge.db"
        ledger = Ledger(path)
        with ledger.transaction() as transaction:
            transaction.keep_version("product:1", Version("d", 1, sent=True), "website:a")
        ledger.close()
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.executescript(
                "DROP TABLE version_sources;"
                "CREATE TABLE version_sources (key TEXT PRIMARY KEY, source TEXT NOT NULL) WITHOUT ROWID;"
                "CREATE INDEX version_sources_source ON version_sources (source);"
                "INSERT INTO version_sources VALUES ('product:1', 'website:a'); PRAGMA user_version=2"
            )
        with ledger.transaction() as transaction:
            transaction.keep_version("product:1", Version("e", 2, sent=True), "website:b")
            assert transaction.version_sources("product:1") == ["website:a", "website:b"]
        ledger.close()
