"""Records as no page of the documentation shows them: each is read, or left out and named, and none stops another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from convert_sdk.commerce import Http, Retries
from convert_sdk.commerce.bridge import IntoConvertmax, MemoryLedger, Policy, Upsert, WebsiteSource
from convert_sdk.commerce.bridge.sync import ask_unpaid
from convert_sdk.commerce.convertmax import ConvertmaxClient
from convert_sdk.commerce.convictional import BuyerClient
from convert_sdk.commerce.errors import ConnectorError, ServerError, SyncError
from convert_sdk.commerce.website import WebsiteClient
from convert_sdk.commerce.website.receivers import Intake
from convert_sdk.commerce.website.webhooks import AnyEvent, sign
from convert_sdk.testing.stores import ConvertmaxStore, ConvictionalStore, WebsiteStore
from convert_sdk.testing.stores._local import Fault

from .world import DAY, IDENTITY, SECRET, World

AT = 1_776_999_000
LONE = "\ud83d"
FIELD = {"field": "convert_visitor_id", "value": IDENTITY.token("v-1")}


class Gives(NamedTuple):
    """What an odd order gives: an amount and a number of products, or the places that make it unreadable."""

    amount: str | None = "49.90"
    products: int | None = 1
    unreadable: str = ""


def nested(levels: int) -> list[Any]:
    """Lists in lists."""
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


COUNTS = Gives()
ODD_ORDERS: dict[str, tuple[dict[str, Any], Gives]] = {
    # An amount that can mean only one thing is read, any other makes the order unreadable.
    "total as a text": ({"total": "49.90"}, COUNTS),
    "total grouped by commas": ({"total": "1,234.50"}, Gives("1234.50")),
    "total with a comma": ({"total": "49,90"}, COUNTS),
    "total grouped by points": ({"total": "1.234,50"}, Gives("1234.50")),
    "total grouped by spaces": ({"total": "1 234,50"}, Gives("1234.50")),
    "total grouped by narrow spaces": ({"total": "1\u202f234\u202f567,5"}, Gives("1234567.5")),
    "total grouped by apostrophes": ({"total": "1'234.50"}, Gives("1234.50")),
    "total grouped twice": ({"total": "1,234,567"}, Gives("1234567")),
    "total with an exponent": ({"total": "1e2"}, Gives("100")),
    "total written out to its last digit": ({"total": "49.89999999999999857891452847979962825775146484375"}, COUNTS),
    "total that could be either": ({"total": "1,234"}, Gives(unreadable="total")),
    "total with a sign of currency": ({"total": "$49.00"}, Gives(unreadable="total")),
    "total NaN": ({"total": float("nan")}, Gives(unreadable="total")),
    "total NaN as a text": ({"total": "NaN"}, Gives(unreadable="total")),
    "total as an object": ({"total": {"amount": 49.9, "currency": "EUR"}}, Gives(unreadable="total")),
    "total true": ({"total": True}, Gives(unreadable="total")),
    "total null": ({"total": None}, Gives(None)),
    # The time, likewise.
    "created in milliseconds": ({"created": AT * 1000}, COUNTS),
    "created in RFC 2822": ({"created": "Fri, 24 Apr 2026 02:50:00 +0000"}, COUNTS),
    "created in RFC 2822, without the day of the week": ({"created": "24 Apr 2026 02:50:00 +0000"}, COUNTS),
    "created as a date without separators": ({"created": "20260424025000"}, COUNTS),
    "created in seconds with a fraction, as a text": ({"created": f"{AT}.5"}, COUNTS),
    "created in words": ({"created": "yesterday"}, Gives(unreadable="created")),
    "created as an object": ({"created": {"date": "2026-04-24"}}, Gives(unreadable="created")),
    # What the bridge needs besides.
    "id as an object": ({"id": {"$oid": "5e50"}}, Gives(unreadable="id")),
    "id of two dots": ({"id": ".."}, Gives(unreadable="id")),
    "id of blanks": ({"id": " "}, Gives(unreadable="id")),
    "id as long as a page": ({"id": "x" * 100_000}, Gives(unreadable="id")),
    "id with half a character": ({"id": f"o-{LONE}"}, Gives(unreadable="id")),
    "paid in words": ({"paid": "perhaps"}, Gives(unreadable="paid")),
    "status as a list": ({"status": ["pending"]}, Gives(unreadable="status")),
    # Lines that are numbered are lines; a number of pieces that nobody can read is not known.
    "items numbered": ({"items": {"0": {"id": 1, "quantity": 2}, "2": {"id": 2, "quantity": 1}}}, Gives(products=3)),
    "items as a text": ({"items": "Shoes"}, Gives(products=None)),
    "quantity in words": ({"items": [{"id": 1, "quantity": "two"}]}, Gives(products=None)),
    # All else is no reason not to count an order.
    "taxes numbered": ({"taxes": {"0": {"name": "VAT", "total": 4.9}, "2": {"total": 1}}}, COUNTS),
    "item's weight with its unit": ({"items": [{"id": 1, "quantity": 1, "weight": "0.5 kg"}]}, COUNTS),
    "a note's time in words": ({"notes": [{"time": "yesterday", "value": "call"}]}, COUNTS),
    "tags as a text": ({"tags": "vip, new"}, COUNTS),
    "address as a text": ({"billingAddress": "1 Main Street"}, COUNTS),
    "an image as an object": ({"items": [{"id": 1, "quantity": 1, "images": [{"src": "a.png"}]}]}, COUNTS),
    "a deeply nested name": ({"customerName": nested(500)}, COUNTS),
    "a deeply nested note": ({"notes": nested(500), "extra": [nested(500), LONE]}, COUNTS),
    "weight as an object": ({"weight": {"value": 1, "unit": "kg"}}, COUNTS),
    "discount in words": ({"discountAmount": "ten"}, COUNTS),
    "half a character in a checkout field": (
        {"additionalFields": [FIELD, {"field": f"gift {LONE}", "value": f"{LONE}!"}]}, COUNTS,
    ),
    "half a character in an e-mail address and a member": (
        {"customerEmail": f"a{LONE}@example.com", "memberId": f"m{LONE}"}, COUNTS,
    ),
}  # fmt: skip


@pytest.fixture
def website(_website: WebsiteStore) -> WebsiteStore:
    """A website's store, whose answers are not held against its OpenAPI file: they are odd on purpose."""
    _website.reset()
    return _website


@pytest.fixture
def convictional(_convictional: ConvictionalStore) -> ConvictionalStore:
    """The Buyer API, likewise."""
    _convictional.reset()
    _convictional.rate = 0
    _convictional.key = "odd-key"
    return _convictional


@pytest.fixture
def one_site(world: World) -> World:
    """A shop with the website alone."""
    world.client.close()
    world.open(Policy(), sources=[world.site])
    return world


@pytest.mark.parametrize("odd", [*ODD_ORDERS])
@pytest.mark.parametrize("by", ["pull", "webhook"])
def test_an_odd_order_gives_what_can_be_read_and_stops_no_other(one_site: World, odd: str, by: str) -> None:
    world, (fields, gives) = one_site, ODD_ORDERS[odd]
    good = [world.order("v-2", created=AT)["id"] for _ in range(3)]
    row = world.order("v-1", **{"created": AT, **fields})
    if by == "webhook":
        body = json.dumps(row).encode()
        heard: list[AnyEvent] = []
        headers = {"X-Webhook-Topic": "order_created", "X-Webhook-Signature": sign(body, SECRET)}
        assert Intake(heard.append, SECRET).receive(body, headers) == 200
        world.bridge.handle(heard[0])
    report = world.bridge.sync()
    world.deliver()
    counted = {str(data(each)["transactionId"]): data(each) for each in world.conversions()}
    names = {f"{world.site.scope}:{each}" for each in good}
    own = set(counted) - names
    assert names <= set(counted)
    if gives.unreadable:
        assert not own
        [told] = world.bridge.report().unreadable
        assert told.endswith(f"({gives.unreadable})")
        assert report.unreadable == 1
    else:
        assert len(own) == 1
        found = counted[own.pop()]
        assert found.get("productsCount") == gives.products
        assert found.get("amount") == (None if gives.amount is None else float(gives.amount))
        assert (report.unreadable, world.bridge.report().unreadable) == (0, ())


def data(conversion: Any) -> dict[str, Any]:
    found: dict[str, Any] = conversion.goal_data
    return found


def test_an_order_that_can_be_read_after_all_is_counted(
    one_site: World, caplog: pytest.LogCaptureFixture
) -> None:
    world = one_site
    row = world.order("v-1", created=AT, total="$49.00")
    world.bridge.sync()
    world.bridge.sync()
    said = [each.message for each in caplog.records if "cannot be read" in each.message]
    assert said == [f"an order cannot be read and is passed over: {world.site.scope}:{row['id']} (total)"]
    assert world.bridge.report().unreadable == (f"{world.site.scope}:{row['id']} (total)",)
    world.store.change_order(int(str(row["id"])), total=49)
    world.bridge.sync()
    world.deliver()
    assert [data(each)["amount"] for each in world.conversions()] == [49]
    assert world.bridge.report().unreadable == ()


def test_what_is_no_order_at_all_is_counted_and_moves_no_page(one_site: World) -> None:
    world = one_site
    good = [world.order("v-2", created=AT)["id"] for _ in range(60)]
    world.store.orders[5] = "a row"  # type: ignore[assignment]  # what no store should have
    rows = [*world.store.orders.values()]
    page = {"items": rows[:50], "totalCount": 61, "limit": 50, "skip": 0}
    world.store.faults.append(Fault(200, page))
    world.store.faults.append(Fault(200, page | {"items": rows[50:], "skip": 50}))
    report = world.bridge.sync()
    assert (report.orders, report.unreadable) == (60, 1)
    world.deliver()
    assert len(world.conversions()) == len(good)
    assert world.bridge.report().unreadable == (f"{world.site.scope}/orders: row 60 ([60])",)


def test_a_row_that_is_no_record_is_named_by_its_list_and_number(world: World) -> None:
    rows = {number: [f"row {number}-{at}" for at in range(50)] for number in (0, 1)}
    for number, items in rows.items():
        page = {"items": items[:1] if number else items, "totalCount": 51, "limit": 50, "skip": 50 * number}
        world.store.faults.append(Fault(200, page))
    world.store.faults.append(Fault(200, {"items": ["a row"], "totalCount": 1, "limit": 50, "skip": 0}))
    world.buyers.faults.append(Fault(200, {"data": ["a row"], "error": []}))
    assert world.bridge.sync().unreadable == 53
    names = {each.rpartition(" (")[0] for each in world.bridge.report().unreadable}
    orders = {f"{world.site.scope}/orders: row {number}" for number in range(51)}
    assert names == orders | {
        f"{world.site.scope}/bookings: row 0",
        "convictional:acme/orders: page 0, row 0",
    }


def test_numbers_that_nothing_can_hold_do_no_harm(one_site: World, website: WebsiteStore) -> None:
    world = one_site
    good = world.order("v-2", created=AT)
    body = json.dumps(good).encode()
    for huge in (b"1e999999", b"-1e999999", b"9" * 5000, b"1e-999999", b"5e5012345678901234567890"):
        for name in (b"total", b"weight", b"id", b"created", b"invoiceNo"):
            odd = body[:-1] + b', "id": 1, "%s": %s}' % (name, huge)
            page = b'{"items": [%s, %s], "totalCount": 2, "limit": 50, "skip": 0}' % (odd, body)
            website.faults.append(Fault(200, page))
            with WebsiteClient(website.url, website.key) as client:
                records = [*client.orders.list()]
            assert records[-1].id == good["id"]
            assert records[-1].unreadable == ()
            heard: list[AnyEvent] = []
            headers = {"X-Webhook-Topic": "order_created", "X-Webhook-Signature": sign(odd, SECRET)}
            assert Intake(heard.append, SECRET).receive(odd, headers) == 200


@pytest.mark.parametrize("typed", [b"caf\xe9", b"two\nlines", b"tab\t", b"\xed\xa0\xbd", b"\xff\xfe"])
def test_bytes_that_are_no_text_stop_no_list(website: WebsiteStore, typed: bytes) -> None:
    page = (
        b'{"items": [{"id": 1, "customerName": "%s"}, {"id": 2}], "totalCount": 2, "limit": 50, "skip": 0}'
        % typed
    )
    website.faults.append(Fault(200, page))
    with WebsiteClient(website.url, website.key) as client:
        records = [*client.orders.list()]
    assert [each.id for each in records] == [1, 2]
    assert records[0].customer_name is not None
    records[0].customer_name.encode()  # every database and header takes it


@pytest.mark.parametrize(
    "answer", [{}, {"success": True}, {"message": "maintenance"}, "<html>", {"items": "none"}]
)
def test_an_answer_that_is_no_page_is_not_the_end_of_a_list(one_site: World, answer: Any) -> None:
    world = one_site
    good = world.order("v-2", created=AT)["id"]
    world.store.faults.append(Fault(200, answer))
    with pytest.raises(ServerError):
        world.bridge.sync()
    world.bridge.sync()
    world.deliver()
    assert [data(each)["transactionId"] for each in world.conversions()] == [f"{world.site.scope}:{good}"]


@pytest.mark.parametrize("answer", [{}, {"message": "maintenance"}])
def test_an_answer_that_is_no_page_is_not_the_end_of_a_buyers_list(
    convictional: ConvictionalStore, answer: Any
) -> None:
    convictional.faults.append(Fault(200, answer))
    with BuyerClient(convictional.key, base_url=convictional.url) as client, pytest.raises(ServerError):
        list(client.orders.list())


def test_pages_of_rows_that_are_no_records_are_passed_over(one_site: World) -> None:
    world = one_site
    good = world.order("v-2", created=AT)
    pages: list[Any] = [[f"row {number}-{at}" for at in range(50)] for number in range(4)] + [[good]]
    envelopes = [
        {"items": rows, "totalCount": 201, "limit": 50, "skip": 50 * number}
        for number, rows in enumerate(pages)
    ]
    world.store.faults += [Fault(200, each) for each in envelopes]
    report = world.bridge.sync()
    assert (report.orders, report.unreadable) == (1, 200)
    world.store.faults += [Fault(200, each) for each in envelopes]
    with WebsiteClient(world.store.url, world.store.key) as client:
        assert [each.id for each in client.orders.list()] == [good["id"]]


def test_pages_of_no_records_that_repeat_have_an_end(website: WebsiteStore) -> None:
    page = {"items": ["a row"], "limit": 50, "skip": 0}
    website.faults += [Fault(200, page) for _ in range(10)]
    with (
        WebsiteClient(website.url, website.key) as client,
        pytest.raises(ServerError, match="repeats its pages"),
    ):
        list(client.orders.list())


def test_an_unpaid_order_that_cannot_be_read_again_keeps_no_other_from_being_asked_for(
    one_site: World,
) -> None:
    world = one_site
    created = world.now - 6.9 * DAY
    rows = [world.order(f"v-{number}", created=int(created), paid=False) for number in range(4)]
    first, second, third, fourth = (int(str(each["id"])) for each in rows)
    world.bridge.sync()
    world.now += 2 * DAY
    world.bridge.sync()  # too old to be in any list from here on
    world.now += 1.5 * DAY
    world.store.orders[second]["total"] = "$49.00"
    del world.store.orders[third]
    world.store.orders[fourth]["paid"] = True
    world.store.requests.clear()
    world.store.fail(500)  # which the first of them gets
    with pytest.raises(ServerError):
        ask_unpaid(world.bridge._intake, world.site)
    ask_unpaid(world.bridge._intake, world.site)
    asked = [int(each.path.rpartition("/")[2]) for each in world.store.requests]
    assert asked == [first, second, third, fourth]
    world.bridge.tick()
    world.deliver()
    assert [data(each)["transactionId"] for each in world.conversions()] == [f"{world.site.scope}:{fourth}"]
    assert world.bridge.report().unreadable == (f"{world.site.scope}:{second} (total)",)


OTHERS: dict[str, dict[str, Any]] = {
    "contact_updated": {"tags": "vip", "createdOn": "yesterday", "properties": [{"name": LONE, "value": {"a": 1}}]},
    "product_updated": {"variants": {"0": {"sku": "S-1", "price": "ten"}}, "images": [{"src": "a"}], "hidden": "so"},
    "booking_created": {"start": "soon", "operator": "Ann", "service": "massage", "formAnswers": "none"},
    "form_submitted": {"formName": {"a": 1}, "formValues": "none", "contact": "Ann"},
}  # fmt: skip


@pytest.mark.parametrize("topic", [*OTHERS])
def test_odd_fields_of_every_webhook_are_left_out(one_site: World, topic: str) -> None:
    body = json.dumps({"id": 7, **OTHERS[topic]}).encode()
    heard: list[AnyEvent] = []
    headers = {"X-Webhook-Topic": topic, "X-Webhook-Signature": sign(body, SECRET)}
    assert Intake(heard.append, SECRET).receive(body, headers) == 200
    one_site.bridge.handle(heard[0])


def test_odd_contacts_and_products_stop_no_other(website: WebsiteStore) -> None:
    for number in range(1, 5):
        website.contacts[number] = {"id": number, "email": f"{number}@example.com", "createdOn": AT}
        website.products[number] = {"id": number, "title": "A", "variants": [{"sku": f"S-{number}"}]}
    website.contacts[2] |= OTHERS["contact_updated"] | {
        "subscribed": "so",
        "subscriberLists": {"0": 5, "1": 6},
    }
    website.products[3] |= OTHERS["product_updated"]
    with WebsiteClient(website.url, website.key) as client:
        contacts = {each.id: each for each in client.contacts.list()}
        products = {each.id: each for each in client.products.list()}
    assert set(contacts) == set(products) == {1, 2, 3, 4}
    assert contacts[2].subscriber_lists == (5, 6)
    assert set(contacts[2].unreadable) == {"createdOn", "subscribed", "tags"}
    assert products[3].variants[0].sku == "S-1"
    assert set(products[3].unreadable) == {"hidden", "images", "variants[0].price"}
    assert products[3].raw["images"] == [{"src": "a"}]


ODD_BUYER_ORDERS: dict[str, tuple[dict[str, Any], str]] = {
    "a price in words": ({"items": [{"id": "i", "quantity": 1, "retailPrice": "ten"}]}, "items[0].retailPrice"),
    "a quantity in words": ({"items": [{"id": "i", "quantity": "two", "retailPrice": 1}]}, "items[0].quantity"),
    "lines as a text": ({"items": "shoes"}, "items"),
    "ordered in words": ({"orderedDate": "yesterday"}, "orderedDate"),
    "refunded in words": ({"sellerOrders": [{"id": "s", "refunded": "partly"}]}, "sellerOrders[0].refunded"),
    "a price that is true": ({"items": [{"id": "i", "quantity": 1, "retailPrice": True}]}, "items[0].retailPrice"),
    "a test, perhaps": ({"isTest": "perhaps"}, "isTest"),
    "ordered in the year 10000": ({"orderedDate": "10000-01-01T00:00:00Z"}, "orderedDate"),
    "an odd address": ({"address": "1 Main Street"}, ""),
    "odd attributes": ({"attributes": "none"}, ""),
    "an odd note and fields of no use": ({"note": {"a": 1}, "metafields": [1], "quoteId": {"a": 1}}, ""),
    "dates in milliseconds": ({"orderedDate": AT * 1000, "created": AT * 1000}, ""),
}  # fmt: skip


@pytest.mark.parametrize("odd", [*ODD_BUYER_ORDERS])
def test_an_odd_order_of_a_buyer_stops_no_other(world: World, odd: str) -> None:
    fields, place = ODD_BUYER_ORDERS[odd]
    world.client.close()
    world.open(Policy(), sources=[world.buyer])
    good = world.buyers.add_order()
    row = world.buyers.add_order(**fields)
    for each in (good, row):
        world.bridge.link("v-1", order=str(each["id"]))
    report = world.bridge.sync()
    world.deliver()
    counted = {data(each)["transactionId"] for each in world.conversions()}
    expected = {f"convictional:acme:{good['id']}"} | (set() if place else {f"convictional:acme:{row['id']}"})
    assert counted == expected
    assert world.bridge.report().unreadable == (
        (f"convictional:acme:{row['id']} ({place})",) if place else ()
    )
    assert report.unreadable == bool(place)


def test_an_odd_time_moves_no_cursor_back(world: World) -> None:
    world.client.close()
    world.open(Policy(), sources=[world.buyer])
    world.buyers.add_order()
    world.bridge.sync()
    with world.ledger.transaction() as transaction:
        before = json.loads(str(transaction.cursor("convictional:acme/orders")))["until"]
    world.now += 3600
    row = world.buyers.add_order()
    page = {
        "data": [{**row, "updated": "1971-01-01T00:00:00Z"}, {**row, "id": "x", "updated": {}}],
        "error": [],
    }
    world.buyers.faults.append(Fault(200, page))
    world.bridge.sync()
    with world.ledger.transaction() as transaction:
        assert json.loads(str(transaction.cursor("convictional:acme/orders")))["until"] >= before


@pytest.mark.parametrize(
    "order_id", ["5e5012345678901234567890", "123", "1e999999", "0123", "9" * 5000, "Infinity"]
)
def test_a_bare_order_id_is_a_text(convictional: ConvictionalStore, order_id: str) -> None:
    from .test_convictional import HOME, LINE, ORDERED

    convictional.faults.append(Fault(200, order_id.encode()))
    with BuyerClient(convictional.key, base_url=convictional.url) as client:
        placed = client.orders.create("ref", address=HOME, items=[LINE], ordered_date=ORDERED)
    assert placed == order_id


def test_a_list_that_fails_keeps_no_other_from_being_pulled(world: World) -> None:
    world.order("v-1", created=AT)
    bought = world.buyers.add_order()
    world.bridge.link("v-2", source=world.buyer.scope, order=str(bought["id"]))
    world.store.fail(500, times=1)
    with pytest.raises(ServerError):
        world.bridge.sync()
    world.deliver()
    assert {data(each)["transactionId"] for each in world.conversions()} == {
        f"convictional:acme:{bought['id']}"
    }
    world.store.fail(500, times=2)
    world.buyers.fail(500, times=1)
    with pytest.raises(SyncError) as caught:
        world.bridge.sync()
    assert set(caught.value.errors) == {
        f"{world.site.scope}/orders", f"{world.site.scope}/bookings", "convictional:acme/orders",
    }  # fmt: skip
    assert all(isinstance(each, ServerError) for each in caught.value.errors.values())
    world.bridge.sync()
    world.deliver()
    assert len(world.conversions()) == 2


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_without_the_right_to_one_list_pulls_the_others(one_site: World, status: int) -> None:
    """While one that is refused altogether is not tried at every list."""
    world = one_site
    order_id = int(str(world.order("v-1", paid=False)["id"]))
    world.now += 60
    world.bridge.sync()
    world.store.orders[order_id]["paid"] = True
    world.store.book(eventId=9)
    world.now += 2 * DAY
    world.store.requests.clear()
    world.store.fail(status, times=2)
    with pytest.raises(ConnectorError):
        world.bridge.sync()
    asked = [each.path.removeprefix("/api/site/") for each in world.store.requests]
    others = ["orders", "bookings", f"orders/{order_id}"]
    assert asked == ["orders", *(others if status == 403 else [])]
    world.deliver()
    assert len(world.conversions()) == (status == 403)


def test_what_cannot_be_read_is_not_written_to_convertmax(world: World) -> None:
    with ConvertmaxStore() as target, ConvertmaxClient(target.key, base_url=target.url) as client:
        for number in range(1, 4):
            world.store.contacts[number] = {"id": number, "createdOn": AT}
            world.store.products[number] = {"id": number, "variants": [{"sku": f"S-{number}"}]}
            world.order(None, created=AT)
        world.store.contacts[2]["id"] = {"a": 1}
        world.store.products[3]["variants"] = "small"
        world.order(None, created=AT, total="$49.00")
        written = IntoConvertmax(client, world.ledger).sync(world.site, IDENTITY)
        assert (written.accepted, written.unreadable) == (7, 3)
        assert {*target.records["product"]} == {"S-1", "S-2"}
        assert len(target.records["order"]) == 3


def test_amounts_are_exact_whatever_the_context(one_site: World) -> None:
    import decimal
    from datetime import UTC, datetime

    from convert_sdk.commerce.bridge import facts_from_orders
    from convert_sdk.commerce.website import Order

    world = one_site
    with decimal.localcontext() as context:
        context.prec = 6
        world.order("v-1", created=AT, total=Decimal("123456.78").__float__())
        world.bridge.sync()
        orders = [Order.model_validate({"id": n, "paid": True, "total": "1234.56"}) for n in range(5)]
        assert facts_from_orders(orders, now=datetime.now(UTC))["lifetime_value"] == 6172.8
    world.deliver()
    assert [data(each)["amount"] for each in world.conversions()] == [123456.78]


@pytest.fixture
def convertmax(_convertmax: ConvertmaxStore) -> ConvertmaxStore:
    """Convertmax, likewise."""
    _convertmax.reset()
    return _convertmax


@pytest.fixture
def into(convertmax: ConvertmaxStore) -> Iterator[IntoConvertmax]:
    """The way into Convertmax, from a ledger in memory."""
    once = Http(retries=Retries(attempts=1))
    with ConvertmaxClient(convertmax.key, base_url=convertmax.url, http=once) as client:
        yield IntoConvertmax(client, MemoryLedger())


def test_an_odd_product_keeps_no_other_from_convertmax(
    convertmax: ConvertmaxStore, website: WebsiteStore, into: IntoConvertmax
) -> None:
    long = "49.899999999999998578914528479799628257751464843750"
    page = (
        b'{"items": [{"id": 1, "variants": [{"sku": " ", "price": %s}]}, {"title": "nameless"},'
        b' {"id": 2, "variants": [{"sku": "S-2", "price": 5.5}]}], "totalCount": 3, "limit": 50, "skip": 0}'
        % long.encode()
    )
    website.faults.append(Fault(200, page))
    with WebsiteClient(website.url, website.key) as client:
        written = into.sync(WebsiteSource(client), IDENTITY)
    assert (written.accepted, written.unreadable) == (2, 1)
    sent = {each.json()["id"]: each.json()["data"]["price"] for each in convertmax.requests}  # type: ignore[index]  # objects
    assert sent == {"1:0": long, "S-2": 5.5}


def test_a_record_that_convertmax_refuses_keeps_no_other_from_it(
    convertmax: ConvertmaxStore, into: IntoConvertmax, caplog: pytest.LogCaptureFixture
) -> None:
    records = [Upsert("contact", f"c-{number}", {"tags": []}) for number in range(3)]
    convertmax.fail(422)
    assert into.write(records)[:3] + into.write(records)[:3] == (2, 0, 0, 1, 0, 2)
    convertmax.fail(400, times=3)
    changed = [each._replace(data={"tags": ["vip"]}) for each in records]
    assert into.write(changed).refused == 3
    said = [each.message for each in caplog.records if "refused" in each.message]
    assert len(said) == 4
    assert not any("c-0" in each for each in said)


@pytest.mark.parametrize("status", [404, 422])
def test_a_deletion_that_convertmax_refuses_keeps_no_other_from_being_made(
    convertmax: ConvertmaxStore, website: WebsiteStore, into: IntoConvertmax, status: int
) -> None:
    for number in range(1, 4):
        website.contacts[number] = {"id": number, "email": f"{number}@example.com"}
    with WebsiteClient(website.url, website.key) as client:
        source = WebsiteSource(client)
        into.sync(source, IDENTITY)
        website.contacts.clear()
        convertmax.fail(status)
        written = into.sync(source, IDENTITY, delete_gone=True)
        refused = int(status == 422)
        assert (written.deleted, written.refused) == (3 - refused, refused)
        again = into.sync(source, IDENTITY, delete_gone=True)
        assert (again.deleted, again.refused) == (refused, 0)
