"""A store's records on their way into Convertmax."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from convert_sdk.commerce import Http, Retries
from convert_sdk.commerce.bridge import (
    ConvictionalSource,
    ExposureRecord,
    Identity,
    IdentityKey,
    IntoConvertmax,
    Ledger,
    Link,
    OrderConversion,
    OrderSnapshot,
    Upsert,
    WebsiteSource,
    Written,
)
from convert_sdk.commerce.convertmax import ConvertmaxClient
from convert_sdk.commerce.convictional import BuyerClient
from convert_sdk.commerce.errors import ServerError
from convert_sdk.commerce.website import NameValue, ProductVariant, WebsiteClient
from convert_sdk.testing.stores import ConvertmaxStore, ConvictionalStore, WebsiteStore
from tests.shapes import of

IDENTITY = Identity("secret of the tests", pepper="pepper of the tests")
NOW = 1_777_000_000.0
ONCE = Http(retries=Retries(attempts=1))


class Carrier:
    """A ledger with a clock of its own, and the way into Convertmax."""

    def __init__(self, path: Path, store: ConvertmaxStore) -> None:
        self.now = NOW
        self.path = path
        self.store = store
        self.client = ConvertmaxClient(store.key, base_url=store.url, http=ONCE)
        self.open()

    def open(self, project: Any = None) -> None:
        self.ledger = Ledger(self.path, clock=lambda: self.now)
        self.into = IntoConvertmax(self.client, self.ledger, project=lambda: project)

    def times(self) -> list[str]:
        return [each.json()["sourceUpdatedAt"] for each in self.store.requests]  # type: ignore[index]  # an object

    def keys(self) -> list[str]:
        return [each.headers["x-idempotency-key"] for each in self.store.requests]


@pytest.fixture
def carrier(tmp_path: Path, convertmax: ConvertmaxStore) -> Iterator[Carrier]:
    found = Carrier(tmp_path / "bridge.db", convertmax)
    yield found
    found.client.close()
    found.ledger.close()


def version(name: str) -> list[Upsert]:
    return [Upsert("product", "sku/1", {"name": name, "price": Decimal("49.90")})]


class TestVersions:
    def test_what_is_unchanged_is_not_sent(self, carrier: Carrier) -> None:
        assert carrier.into.write(version("A")) == Written(accepted=1)
        carrier.now += 60
        assert carrier.into.write(version("A")) == Written(unchanged=1)
        assert len(carrier.store.requests) == 1

    def test_back_to_what_it_was_is_a_change(self, carrier: Carrier) -> None:
        for name in "ABA":
            assert carrier.into.write(version(name)) == Written(accepted=1)
        assert carrier.store.records["product"]["sku/1"]["data"] == {"name": "A", "price": 49.9}
        assert len(set(carrier.keys())) == 3

    def test_a_later_version_is_later_even_within_a_millisecond(self, carrier: Carrier) -> None:
        for name in "ABC":
            carrier.into.write(version(name))
            carrier.now -= 10  # and where the clock is set back
        assert carrier.times() == [f"2026-04-24T03:06:40.{number:03}Z" for number in range(3)]

    def test_every_millisecond_is_told_as_it_is(self, carrier: Carrier) -> None:
        for number in range(1, 100, 7):
            carrier.now = NOW + number / 1000 + 0.0001
            carrier.into.write(version(str(number)))
        assert [int(each[20:23]) for each in carrier.times()] == [*range(1, 100, 7)]

    @pytest.mark.parametrize(
        ("applied", "outcome"), [(False, Written(accepted=1)), (True, Written(duplicate=1))]
    )
    def test_a_retry_of_the_next_process_repeats_the_key(
        self, carrier: Carrier, applied: bool, outcome: Written
    ) -> None:
        carrier.store.fail(500, applied=applied)
        with pytest.raises(ServerError):
            carrier.into.write(version("A"))
        carrier.ledger.close()
        carrier.now += 3600
        carrier.open()
        assert carrier.into.write(version("A")) == outcome
        first, second = carrier.keys()
        assert first == second

    def test_a_change_before_the_retry_is_a_version_of_its_own(self, carrier: Carrier) -> None:
        carrier.store.fail(500)
        with pytest.raises(ServerError):
            carrier.into.write(version("A"))
        assert carrier.into.write(version("B")) == Written(accepted=1)
        assert carrier.store.records["product"]["sku/1"]["data"]["name"] == "B"  # type: ignore[index]  # an object


@pytest.fixture
def source(website: WebsiteStore) -> Iterator[WebsiteSource]:
    with WebsiteClient(website.url, website.key, http=ONCE) as client:
        yield WebsiteSource(client)


class TestWebsite:
    def test_products_contacts_and_orders(
        self, carrier: Carrier, website: WebsiteStore, source: WebsiteSource
    ) -> None:
        variants = (ProductVariant(sku="S-1", price=Decimal(5)), ProductVariant(price=Decimal(6)))
        product = source.client.products.create("physical", "Shoes", variants=variants)
        plain = source.client.products.create("service", "Advice")
        contact = source.client.contacts.upsert(
            "ann@example.com", name="Ann Example", phone="123", tags=["vip"], country="DE", note="secret",
            properties=[NameValue(name="size", value="41")],
        )  # fmt: skip
        order = website.place_order(paid=True, customerEmail="ann@example.com", created=int(NOW))
        assert carrier.into.sync(source, IDENTITY) == Written(accepted=5)
        records = carrier.store.records
        assert set(records["product"]) == {"S-1", f"{product.id}:1", f"{plain.id}:0"}
        assert records["contact"][f"{source.site}:contact:{contact.id}"]["data"] == {
            "tags": ["vip"], "subscriber_lists": [], "country": "DE",
        }  # fmt: skip
        transaction_id = f"{source.scope}:{order['id']}"
        assert records["order"][transaction_id]["data"] == {
            "id": transaction_id, "revenue": "49.00", "products_count": 1, "paid": True, "cancelled": False,
            "refunded": False, "created": "2026-04-24T03:06:40.000Z",
        }  # fmt: skip
        for word in (b"ann@", b"Ann", b'123"', b"secret"):
            assert not any(word in each.body for each in carrier.store.requests)
        assert carrier.into.sync(source, IDENTITY) == Written(unchanged=5)
        website.change_order(int(str(order["id"])), status="canceled")
        assert carrier.into.sync(source, IDENTITY) == Written(accepted=1, unchanged=4)

    def test_an_order_carries_what_its_visitor_had_seen(
        self, carrier: Carrier, website: WebsiteStore, source: WebsiteSource
    ) -> None:
        order = website.place_order(paid=True, created=int(NOW))
        neutral = OrderSnapshot("website", source.site, str(order["id"]), datetime.fromtimestamp(NOW, UTC))
        conversion = OrderConversion(
            "purchase|x", "purchase", neutral, "sent", NOW, NOW, visitor_id="v-1", attributed={"7": "8"}
        )
        with carrier.ledger.transaction() as transaction:
            transaction.keep(conversion)
            transaction.add_exposure(ExposureRecord("v-1", "7", "8", NOW - 60))
            transaction.add_exposure(ExposureRecord("v-1", "9", "1", NOW + 60))
        carrier.into.sync(source, IDENTITY)
        data: Any = carrier.store.records["order"][f"{source.scope}:{order['id']}"]["data"]
        assert data["convert"] == {
            "visitor_id": "v-1",
            "experiences": [{"experience_id": "7", "variation_id": "8", "bucketed_at": "2026-04-24T03:05:40.000Z"}],
        }  # fmt: skip
        assert data["convert_7"] == "8"

    def test_a_contact_carries_what_its_visitor_has_seen_by_key(
        self, carrier: Carrier, website: WebsiteStore, source: WebsiteSource
    ) -> None:
        contact = source.client.contacts.upsert("ann@example.com")
        arm = SimpleNamespace(key="one-page")
        experience = SimpleNamespace(key="checkout", variations={"8": arm})
        carrier.open(SimpleNamespace(experiences=SimpleNamespace(of_id={"7": experience}.get)))
        with carrier.ledger.transaction() as transaction:
            transaction.add_link(
                Link(IdentityKey("contact", f"{source.scope}:{contact.id}"), "v-1", 1.0, 1e12)
            )
            transaction.add_exposure(ExposureRecord("v-1", "7", "8", NOW - 60))
        carrier.into.sync(source, IDENTITY)
        [record] = carrier.store.records["contact"].values()
        data: Any = record["data"]
        assert data["convert_checkout"] == "one-page"
        assert data["convert"]["experiences"][0]["variation_key"] == "one-page"

    @pytest.mark.parametrize(("expires", "tracking"), [(NOW - 1, True), (1e12, False)])
    def test_a_link_that_ended_or_must_not_be_followed(
        self, carrier: Carrier, website: WebsiteStore, source: WebsiteSource, expires: float, tracking: bool
    ) -> None:
        contact = source.client.contacts.upsert("ann@example.com")
        with carrier.ledger.transaction() as transaction:
            identity_key = IdentityKey("contact", f"{source.scope}:{contact.id}")
            transaction.add_link(Link(identity_key, "v-1", 1.0, expires, tracking))
            transaction.add_exposure(ExposureRecord("v-1", "7", "8", NOW - 60))
        carrier.into.sync(source, IDENTITY)
        [record] = carrier.store.records["contact"].values()
        assert "convert" not in str(record["data"])


class TestBuyer:
    def test_products_by_retail_price_and_orders(
        self, carrier: Carrier, convictional: ConvictionalStore
    ) -> None:
        product = convictional.add_product()
        order = convictional.add_order()
        convictional.add_order(isTest=True)
        with BuyerClient(convictional.key, base_url=convictional.url, http=ONCE) as client:
            assert carrier.into.sync(ConvictionalSource(client, "acme"), IDENTITY) == Written(accepted=2)
        [record] = carrier.store.records["product"].values()
        data: Any = record["data"]
        assert data["price"] == 42.99
        assert "20" not in str(data)
        assert product["title"] == data["name"]
        assert [*carrier.store.records["order"]] == [f"convictional:acme:{order['id']}"]

    def test_an_order_that_says_no_date_is_not_written_twice(
        self, carrier: Carrier, convictional: ConvictionalStore
    ) -> None:
        convictional.add_order(orderedDate=None, created=None)
        with BuyerClient(convictional.key, base_url=convictional.url) as client:
            source = ConvictionalSource(client, "acme")
            assert carrier.into.sync(source, IDENTITY) == Written(accepted=1)
            assert carrier.into.sync(source, IDENTITY) == Written(unchanged=1)
        [record] = carrier.store.records["order"].values()
        assert "created" not in of(dict, record["data"])
