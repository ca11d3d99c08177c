"""The Buyer API on both clients, in every shape it answers in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Literal, TypeAlias

import httpx
import pytest

from convert_sdk.commerce import Http, TokenBucket
from convert_sdk.commerce.convictional import BuyerAddress, BuyerClient, BuyerPaths, OrderLine
from convert_sdk.commerce.errors import (
    AuthError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    ValidationError,
)
from convert_sdk.errors import OptionError
from convert_sdk.testing.stores import ConvictionalStore
from convert_sdk.testing.stores._local import Fault
from tests.shapes import of
from tests.waiting import PATIENCE

from .asking import Either
from .openapi import FIXTURES

Shape: TypeAlias = Literal["envelope", "array"]

ORDERED = datetime(2020, 2, 22, 10, tzinfo=UTC)
HOME = BuyerAddress(
    address_one="671 Lincoln Avenue",
    name="Kevin McCallister",
    city="Winnetka",
    state="IL",
    country="US",
    zip="60093",
)
LINE = OrderLine(
    variant_id="1d61779c1ed12a5bbf13e4638271ac68", buyer_reference="InternalVariantID", quantity=4
)


def place(client: Any, reference: str = "MyReferenceNumber", **fields: Any) -> Any:
    return client.orders.create(reference, address=HOME, items=[LINE], ordered_date=ORDERED, **fields)


class TestProducts:
    @pytest.mark.parametrize("shape", ["envelope", "array"])
    @pytest.mark.parametrize("id_name", ["id", "_id"])
    def test_list_and_get(
        self, convictional: ConvictionalStore, buyer: Either, shape: Shape, id_name: Literal["id", "_id"]
    ) -> None:
        convictional.shape, convictional.id_name = shape, id_name
        made = convictional.add_product()
        (product,) = buyer.items(lambda c: c.products.list())
        assert (product.id, product.variants[0].id) == (made[id_name], of(list, made["variants"])[0][id_name])
        assert product.variants[0].retail_price == Decimal("42.99")
        assert buyer.do(lambda c: c.products.get(product.id)) == product

    @pytest.mark.parametrize("empty", [[], None, {"data": None, "error": []}, {"data": []}])
    def test_without_a_partner_the_list_is_empty(
        self, convictional: ConvictionalStore, buyer: Either, empty: object
    ) -> None:
        convictional.faults.append(Fault(200, empty))
        assert buyer.items(lambda c: c.products.list()) == []

    def test_pages_follow_the_next_link(self, convictional: ConvictionalStore, buyer: Either) -> None:
        for _ in range(7):
            convictional.add_product()
        found = buyer.items(lambda c: c.products.list(limit=3))
        assert [each.id for each in found] == list(convictional.products)
        assert [dict(each.query).get("page") for each in convictional.requests] == [None, "1", "2"]
        assert {each.headers["authorization"] for each in convictional.requests} == {convictional.key}
        assert len(buyer.items(lambda c: c.products.list(limit=3, page=2))) == 1

    def test_a_link_to_another_origin_is_not_followed(
        self, convictional: ConvictionalStore, buyer: Either
    ) -> None:
        for _ in range(3):
            convictional.add_product()
        for elsewhere in (
            "https://evil.example.com",
            convictional.url.replace("127.0.0.1", "localhost"),
            convictional.url.replace("http", "https"),
            convictional.url.replace("http://", "http://somebody@"),
            "//evil.example.com",
            "http://evil.example.com\\@" + convictional.url.removeprefix("http://"),
            "http://127.0.0.1:many",
            "\nhttp://evil.example.com",
            "http://[",
        ):
            convictional.foreign_next = elsewhere
            before = len(convictional.requests)
            with pytest.raises(ServerError, match="another origin"):
                buyer.items(lambda c: c.products.list(limit=2))
            assert len(convictional.requests) == before + 1

    def test_a_link_that_leads_back_ends(self, convictional: ConvictionalStore, buyer: Either) -> None:
        product = {"id": "p-1"}
        convictional.faults.extend([Fault(200, {"data": [product], "next": "/buyer/products?page=0"})] * 9)
        with pytest.raises(ServerError, match="repeats its pages"):
            buyer.items(lambda c: c.products.list())

    @pytest.mark.parametrize(("limit", "page"), [(0, None), (251, None), (None, -1)])
    def test_nonsense_is_refused_before_anything_is_sent(
        self, convictional: ConvictionalStore, buyer: Either, limit: int | None, page: int | None
    ) -> None:
        with pytest.raises(TypeError, match="limit is an int, not str"):
            buyer.client.orders.list(limit="5")
        asks: tuple[Callable[[Any], object], ...] = (
            lambda c: c.products.list(limit=limit, page=page),
            lambda c: c.orders.list(limit=limit, page=page),
        )
        for ask in asks:
            with pytest.raises(ValueError, match="expected"):
                ask(buyer.client)
        assert convictional.requests == []


class TestOrders:
    @pytest.mark.parametrize("answer", ["text", "json", "order", "envelope"])
    def test_create_sends_the_documented_body_and_answers_the_id(
        self,
        convictional: ConvictionalStore,
        buyer: Either,
        answer: Literal["text", "json", "order", "envelope"],
    ) -> None:
        convictional.order_answer = answer
        number = buyer.do(lambda c: place(c, created=ORDERED, note="Please ship this extra fast"))
        assert number in convictional.orders
        documented = (FIXTURES / "commerce" / "convictional-order.json").read_bytes().strip()
        assert convictional.requests[-1].body == documented

    @pytest.mark.parametrize("body", [b"123456", b"61e1779", b'"5e51"', b"000123", b'{"_id": "5e51"}'])
    def test_any_spelling_of_an_id_is_read(
        self, convictional: ConvictionalStore, buyer: Either, body: bytes
    ) -> None:
        convictional.faults.append(Fault(200, body))
        expected = body.decode().strip('"') if body[:1] != b"{" else "5e51"
        assert buyer.do(place) == expected

    @pytest.mark.parametrize("body", [b"", b"<html></html>", b"{}", b"null", b"[]"])
    def test_an_answer_without_an_id_is_an_error(
        self, convictional: ConvictionalStore, buyer: Either, body: bytes
    ) -> None:
        convictional.faults.append(Fault(200, body))
        with pytest.raises(ServerError, match="POST /buyer/orders answered 200"):
            buyer.do(place)

    def test_create_refuses_what_cannot_work(self, convictional: ConvictionalStore, buyer: Either) -> None:
        for wrong in (
            lambda c: c.orders.create("", address=HOME, items=[LINE], ordered_date=ORDERED),
            lambda c: c.orders.create(
                "r", address=BuyerAddress(city="x"), items=[LINE], ordered_date=ORDERED
            ),
            lambda c: c.orders.create("r", address=HOME, items=[], ordered_date=ORDERED),
            lambda c: c.orders.create("r", address=HOME, items=[LINE], ordered_date=datetime(2020, 2, 22)),  # noqa: DTZ001
            lambda c: OrderLine(variant_id="v", quantity=0),
        ):
            with pytest.raises(ValueError, match=r"required|at least one|naive|greater"):
                buyer.do(wrong)
        assert convictional.requests == []

    def test_an_order_is_sent_once_whatever_happens(
        self, convictional: ConvictionalStore, buyer: Either
    ) -> None:
        convictional.fail(500, applied=True)
        with pytest.raises(ServerError):
            buyer.do(place)
        assert len(convictional.orders) == len(convictional.requests) == 1
        with pytest.raises(ValidationError, match="buyerReference must be unique"):
            buyer.do(place)

    def test_list_since_a_moment(self, convictional: ConvictionalStore, buyer: Either) -> None:
        for seconds in (0, 10, 20):
            convictional.now = partial(float, ORDERED.timestamp() + seconds)
            convictional.add_order()
        since = ORDERED + timedelta(seconds=10)
        found = buyer.items(lambda c: c.orders.list(updated_min=since))
        assert [each.id for each in found] == ["order-2", "order-3"]
        assert dict(convictional.requests[0].query)["updatedMin"] == "2020-02-22T10:00:10.000Z"
        convictional.inclusive = False
        assert len(buyer.items(lambda c: c.orders.list(updated_min=since))) == 1
        assert len(buyer.items(lambda c: c.orders.list())) == 3
        assert len(buyer.items(lambda c: c.orders.list(limit=2))) == 3

    @pytest.mark.parametrize("newest_first", [False, True])
    def test_orders_that_move_while_they_are_read_come_once_and_a_second_list_has_the_rest(
        self, convictional: ConvictionalStore, buyer: Either, newest_first: bool
    ) -> None:
        for seconds in range(6):
            convictional.now = partial(float, ORDERED.timestamp() + seconds)
            convictional.add_order()
        convictional.now = lambda: ORDERED.timestamp() + 60
        convictional.drift, convictional.newest_first = 1, newest_first
        found = [each.id for each in buyer.items(lambda c: c.orders.list(limit=2))]
        assert len(found) == len(set(found)) < 6
        convictional.drift = 0
        again = buyer.items(lambda c: c.orders.list(updated_min=ORDERED + timedelta(seconds=1)))
        assert {*found} | {each.id for each in again} == set(convictional.orders)

    @pytest.mark.parametrize("shape", ["envelope", "array"])
    @pytest.mark.parametrize("no_date", [None, "", "0001-01-01T00:00:00Z"])
    def test_get_and_how_far_it_is(
        self, convictional: ConvictionalStore, buyer: Either, shape: Shape, no_date: str | None
    ) -> None:
        convictional.shape, convictional.no_date = shape, no_date
        placed = convictional.add_order()
        of(list, placed["sellerOrders"]).append({"id": "seller-b", "posted": None})
        convictional.advance(of(str, placed["id"]), "posted")
        order = buyer.do(lambda c: c.orders.get(placed["id"]))
        first, second = order.seller_orders
        assert (first.posted, second.posted, first.fulfilled) == (True, False, False)
        assert first.posted_date.tzinfo is UTC
        assert (first.fulfilled_date, second.posted_date) == (None, None)
        assert (order.posted.any, order.posted.all) == (True, False)
        convictional.advance(of(str, placed["id"]), "posted", seller=1)
        order = buyer.do(lambda c: c.orders.get(placed["id"]))
        assert order.posted == (True, True)
        assert order.fulfilled == order.invoiced == order.refunded == (False, False)
        assert order.items[0].retail_price == Decimal("42.99")

    def test_an_order_without_sellers_has_come_nowhere(
        self, convictional: ConvictionalStore, buyer: Either
    ) -> None:
        placed = convictional.add_order(sellerOrders=None)
        assert buyer.do(lambda c: c.orders.get(placed["id"])).posted == (False, False)

    def test_errors(self, convictional: ConvictionalStore, buyer: Either) -> None:
        with pytest.raises(NotFoundError) as caught:
            buyer.do(lambda c: c.orders.get("nothing"))
        assert caught.value.detail == "not found"
        convictional.faults.append(Fault(200, {"data": None, "error": [{"message": "not for you"}]}))
        with pytest.raises(ValidationError, match="not for you"):
            buyer.items(lambda c: c.orders.list())


class TestManners:
    def test_the_key_is_sent_raw_and_without_it_nothing_works(self, convictional: ConvictionalStore) -> None:
        with BuyerClient("wrong", base_url=convictional.url) as client, pytest.raises(AuthError) as caught:
            client.products.list().first(1)
        assert (caught.value.status, caught.value.detail) == (401, "unauthorized")
        assert httpx.get(f"{convictional.url}/buyer/products", timeout=PATIENCE).status_code == 401
        with pytest.raises(OptionError, match="a key is needed"):
            BuyerClient("")

    def test_no_second_sees_more_than_five_requests(self, convictional: ConvictionalStore) -> None:
        clock = [1000.0]

        def sleep(seconds: float) -> None:
            clock[0] += seconds

        convictional.rate, convictional.now = 5, lambda: clock[0]
        http = Http(sleep=sleep, clock=lambda: clock[0])
        clients = [BuyerClient(convictional.key, base_url=convictional.url, http=http) for _ in range(2)]
        for number in range(12):
            clients[number % 2].products.list().first(1)
        assert {each.status for each in convictional.requests} == {200}
        assert clock[0] == 1002.0
        for each in clients:
            each.close()

    def test_a_turn_after_the_deadline_is_refused(self, convictional: ConvictionalStore) -> None:
        pace = TokenBucket(5, seconds=2 * PATIENCE)
        http = Http(clock=lambda: 1000.0, deadline=PATIENCE, pace=pace)
        with BuyerClient("another-key", base_url=convictional.url, http=http) as client:
            for _ in range(5):
                with pytest.raises(AuthError):
                    client.products.list().first(1)
            with pytest.raises(RateLimitedError, match="our own request rate"):
                client.products.list().first(1)

    def test_paths_can_be_corrected(self) -> None:
        assert BuyerPaths(get_order="GET /v2/orders/{id}").get_order == "GET /v2/orders/{id}"
        with pytest.raises(OptionError):
            BuyerPaths(get_order="GET /v2/orders")
