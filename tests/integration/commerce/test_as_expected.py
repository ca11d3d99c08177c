"""Expectations that other clients of this kind have set: options of a call, raw requests, errors, lists that hold."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from convert_sdk.commerce import Http, Retries
from convert_sdk.commerce._operations import listing, operation
from convert_sdk.commerce._wire import StoreRecord
from convert_sdk.commerce.convertmax import ConvertmaxClient
from convert_sdk.commerce.convictional import BuyerClient
from convert_sdk.commerce.errors import ConnectorError, ServerError, ValidationError
from convert_sdk.commerce.website import (
    DiscountType,
    Product,
    ProductType,
    ProductVariant,
    WebsiteClient,
    asgi_receiver,
    wsgi_receiver,
)
from convert_sdk.commerce.website.receivers import Intake
from convert_sdk.commerce.website.webhooks import SignatureScheme, parse, sign
from convert_sdk.errors import OptionError
from convert_sdk.testing.stores import ConvertmaxStore, ConvictionalStore, WebsiteStore
from convert_sdk.testing.stores._local import Fault
from tests.waiting import PATIENCE

from .asking import Either

AT = 1_700_000_000


@pytest.fixture
def plain(_website: WebsiteStore) -> WebsiteStore:
    """A website's store that is not held against its OpenAPI file: what it has is odd on purpose."""
    _website.reset()
    return _website


class TestOptionsOfACall:
    def test_retries_timeout_and_headers(self, website: WebsiteStore) -> None:
        with WebsiteClient(
            website.url, website.key, http=Http(headers={"X-Shop": "1"}, sleep=waited.append)
        ) as client:
            once = client.with_options(retries=0, timeout=PATIENCE, headers={"X-Trace": "t-1"})
            website.fail(500, times=1)
            with pytest.raises(ServerError):
                once.webhooks.list()
            assert client.webhooks.list() == once.webhooks.list() == ()
            website.fail(500, times=2)
            with pytest.raises(ServerError):
                client.webhooks.list()
            website.fail(500, times=3)
            assert client.with_options(retries=3).webhooks.list() == ()
        headers = [(each.headers.get("x-shop"), each.headers.get("x-trace")) for each in website.requests]
        assert headers[:3] == [("1", "t-1"), ("1", None), ("1", "t-1")]

    def test_of_an_awaited_call(self, website: WebsiteStore, shop: Either) -> None:
        website.fail(500)
        with pytest.raises(ServerError):
            shop.do(lambda c: c.with_options(retries=0).webhooks.list())
        assert shop.do(lambda c: c.with_options(deadline=PATIENCE).webhooks.list()) == ()

    def test_what_cannot_be_used(self) -> None:
        client = ConvertmaxClient("private-key")
        with pytest.raises(OptionError, match="x-idempotency-key"):
            client.with_options(headers={"X-Idempotency-Key": "1"})
        with pytest.raises(OptionError, match="above 0"):
            client.with_options(timeout=0)
        client.close()


waited: list[float] = []


class TestRawRequests:
    def test_has_the_key_and_gives_the_answer(self, website: WebsiteStore, shop: Either) -> None:
        order = website.place_order()
        answer = shop.do(lambda c: c.raw_request("GET", "/orders", query={"limit": 1}))
        assert (answer.status, answer.payload["items"][0]["id"]) == (200, order["id"])
        assert answer.headers["content-type"] == "application/json"
        with pytest.raises(ConnectorError):
            shop.do(lambda c: c.raw_request("POST", "/webhooks", body={"target": "", "events": []}))
        assert website.requests[-1].json() == {"target": "", "events": []}

    @pytest.mark.parametrize(
        "path", ["orders", "//evil.example.com", "/../x", "/a?b=1", "https://a.example.com/", "/a b"]
    )
    def test_stays_at_its_address(self, website: WebsiteStore, path: str) -> None:
        with (
            WebsiteClient(website.url, website.key) as client,
            pytest.raises(ValueError, match="path: expected"),
        ):
            client.raw_request("GET", path)
        assert website.requests == []


class TestAnswers:
    def test_a_record_and_a_page_know_their_answer(self, website: WebsiteStore) -> None:
        order = website.place_order()
        with WebsiteClient(website.url, website.key) as client:
            read = client.orders.get(str(order["id"]))
            page = next(client.orders.list().pages())
        assert read.last_response is not None
        assert (read.last_response.status, read.last_response.payload) == (200, read.raw)
        assert page.last_response is not None
        assert page.items[0].last_response is None
        assert read == page.items[0]

    def test_an_error_knows_body_headers_and_fields(self, website: WebsiteStore) -> None:
        told = {"success": False, "errors": {"email": ["is taken", "is odd"], "general": "no"}}
        website.faults.append(Fault(422, told, headers={"X-Request-Id": "r-1"}))
        with WebsiteClient(website.url, website.key) as client, pytest.raises(ValidationError) as caught:
            client.contacts.upsert("a@example.com")
        error = caught.value
        assert (error.status, error.request_id, json.loads(error.body)) == (422, "r-1", told)
        assert error.headers["x-request-id"] == "r-1"
        assert error.fields == {"email": "is taken; is odd"}

    def test_errors_by_field_in_a_list(self, website: WebsiteStore) -> None:
        website.faults.append(Fault(400, {"errors": [{"field": "zip", "message": "too long"}, "odd"]}))
        with WebsiteClient(website.url, website.key) as client, pytest.raises(ValidationError) as caught:
            client.contacts.upsert("a@example.com")
        assert caught.value.fields == {"zip": "too long"}


class TestRecords:
    def test_a_field_that_we_do_not_know_survives_a_change(self, plain: WebsiteStore) -> None:
        variant = {"sku": "S-1", "price": 49.9, "barcode": "4006381333931", "weight": "0.5 kg"}
        plain.products[24] = {"id": 24, "type": "physical", "title": "Shoes", "variants": [variant]}
        with WebsiteClient(plain.url, plain.key) as client:
            product = client.products.get(24)
            cheaper = [each.model_copy(update={"price": Decimal("39.90")}) for each in product.variants]
            client.products.update(24, type="physical", title="Shoes", variants=cheaper)
        assert plain.products[24]["variants"] == [variant | {"price": 39.9}]

    def test_every_record_is_a_dictionary_and_a_json(self, plain: WebsiteStore) -> None:
        odd = {"total": 49.9, "subTotal": 0.1234567890123456789, "weight": "1 kg", "custom": {"a": [1.5]}}
        row = plain.place_order(**odd)
        plain.reset()
        plain.orders[7] = row
        with WebsiteClient(plain.url, plain.key) as client:
            order = client.orders.get(7)
        told = json.loads(order.to_json())
        assert told == order.to_dict()
        assert (told["total"], told["weight"], told["custom"]) == (49.9, "1 kg", {"a": [1.5]})
        assert told["created"].endswith("Z")
        exact = Product(variants=(ProductVariant(price=Decimal("0.1234567890123456789")),))
        assert exact.to_dict() == {"variants": [{"price": "0.1234567890123456789"}]}

    def test_closed_sets_keep_what_they_do_not_know(self) -> None:
        assert Product.model_validate({"type": "Physical"}).type is ProductType.PHYSICAL
        assert Product.model_validate({"type": "Rental"}).type == "rental"
        assert DiscountType("free_shipping") is DiscountType.FREE_SHIPPING


class TestLists:
    @pytest.mark.parametrize("newest_first", [True, False])
    @pytest.mark.parametrize("deleted", [1, 3])
    def test_a_deletion_hides_nothing(
        self,
        website: WebsiteStore,
        shop: Either,
        newest_first: bool,
        deleted: int,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        website.newest_first = newest_first
        placed = [website.place_order(created=AT)["id"] for _ in range(20)]
        seen = placed[::-1] if newest_first else placed
        page = website._page

        def deleting(*args: Any, **options: Any) -> Any:
            reply = page(*args, **options)
            if len(website.requests) == 1:  # after the second page was read
                for gone in seen[:deleted]:
                    del website.orders[gone]  # type: ignore[arg-type]  # a number
            return reply

        monkeypatch.setattr(website, "_page", deleting)
        found = [each.id for each in shop.items(lambda c: c.orders.list(limit=5))]
        assert set(placed) == set(found)
        assert len(found) == len(set(found))

    def test_the_total_of_a_list(self, website: WebsiteStore, shop: Either) -> None:
        for _ in range(3):
            website.place_order()
        assert shop.do(lambda c: c.orders.list().total()) == 3
        assert len(website.requests) == 1

    def test_first_of_a_buyers_list_sends_nothing_that_is_not_documented(
        self, convictional: ConvictionalStore
    ) -> None:
        for _ in range(3):
            convictional.add_order()
        with BuyerClient(convictional.key, base_url=convictional.url) as client:
            assert len(client.orders.list().first(2)) == 2
        assert convictional.requests[-1].query == ()


def operations() -> Iterator[tuple[str, Any]]:
    clients = (WebsiteClient("a.example.com", "k"), BuyerClient("k"), ConvertmaxClient("k"))
    for client in clients:
        for name, resource in vars(client).items():
            for method, each in vars(type(resource)).items():
                if isinstance(each, operation | listing):
                    yield f"{name}.{method}", getattr(resource, method)
        client.close()


@pytest.mark.parametrize(("name", "method"), [*operations()])
def test_help_shows_the_parameters_of_an_operation(name: str, method: Callable[..., object]) -> None:
    signature = inspect.signature(method)
    kinds = {each.kind for each in signature.parameters.values()}
    assert inspect.Parameter.VAR_KEYWORD not in kinds
    assert "Call[" not in str(signature)
    assert method.__doc__
    if name == "contacts.upsert" and "company_name" not in signature.parameters:
        assert "data" in signature.parameters  # Convertmax's


class TestAddresses:
    def test_the_base_path_is_an_option(self, plain: WebsiteStore) -> None:
        with (
            WebsiteClient(plain.url, plain.key, base_path="/shop/api/") as client,
            pytest.raises(ConnectorError),
        ):
            client.orders.get(1)
        assert plain.requests[-1].path == "/shop/api/orders/1"
        for wrong in ("api", "/a b", "/a?b"):
            with pytest.raises(OptionError, match="base_path"):
                WebsiteClient(plain.url, plain.key, base_path=wrong)

    def test_one_site_has_one_name(self) -> None:
        names = {
            WebsiteClient(each, "k").site
            for each in (
                "shop.example.com",
                "Shop.Example.com",
                "https://SHOP.example.com:443/",
                "shop.example.com.",
            )
        }
        assert names == {"shop.example.com"}
        for spelt in ("bu\u0308cher.example", " bücher.example\n", "BU\u0308CHER.example.:443"):
            assert WebsiteClient(spelt, "k").site == "xn--bcher-kva.example"
        assert WebsiteClient("bücher.example", "k").site == "xn--bcher-kva.example"


class TestDefaults:
    def test_convertmaxs_data_defaults_to_an_empty_object(self, convertmax: ConvertmaxStore) -> None:
        from datetime import UTC, datetime

        with ConvertmaxClient(convertmax.key, base_url=convertmax.url) as client:
            client.contacts.upsert("c-1", source_updated_at=datetime.now(UTC))
            written = client.contacts.upsert("c-1", source_updated_at=datetime(2026, 5, 1, tzinfo=UTC))
        assert written.last_response is not None
        assert written.last_response.status == 202
        sent: Any = convertmax.requests[-1].json()
        assert sent["data"] == {}

    def test_a_webhook_without_a_secret(self, website: WebsiteStore, shop: Either) -> None:
        shop.do(lambda c: c.webhooks.create("https://a.example.com/hook", ["order_created"]))
        assert website.requests[-1].json() == {
            "target": "https://a.example.com/hook",
            "events": ["order_created"],
        }
        with pytest.raises(ValueError, match="secret"):
            shop.do(lambda c: c.webhooks.create("https://a.example.com/hook", ["order_created"], secret=" "))


class TestReceivers:
    body = b'{"id": 7}'
    headers = {"X-Webhook-Topic": "order_created", "X-Webhook-Signature": sign(b'{"id": 7}', "secret")}  # noqa: RUF012 - read only

    def test_unsigned_deliveries_where_that_is_said(self, caplog: pytest.LogCaptureFixture) -> None:
        from convert_sdk.commerce.website.webhooks import warn_of_unsigned

        warn_of_unsigned.cache_clear()
        heard: list[Any] = []
        intake = Intake(heard.append, None)
        assert intake.receive(self.body, {"X-Webhook-Topic": "order_created"}) == 200
        assert intake.receive(b'{"id": 8}', {"X-Webhook-Topic": "order_created"}) == 200
        assert [each.signed for each in heard] == [False, False]
        assert [each.message for each in caplog.records] == [
            "webhooks are taken unsigned: anybody who knows the address can send them"
        ]
        assert parse(self.body, self.headers, "secret").signed

    def test_the_topics_header_is_an_option(self) -> None:
        scheme = SignatureScheme(topic_header="X-Event")
        event = parse(self.body, {"x-event": "order_updated", **self.headers}, "secret", scheme=scheme)
        assert event.topic == "order_updated"

    @pytest.mark.parametrize("body", [bytearray(b'{"id": 7}'), memoryview(b'{"id": 7}')])
    def test_bodies_of_other_kinds_of_bytes(self, body: Any) -> None:
        assert parse(body, self.headers, "secret").subject == "7"
        assert Intake(print, "secret").receive(body, self.headers) == 200

    def test_lists_as_values_of_headers(self) -> None:
        listed = {name: [value] for name, value in self.headers.items()}
        assert parse(self.body, listed, "secret").topic == "order_created"
        assert Intake(print, "secret").receive(self.body, listed) == 200
        twice = {**listed, "X-Webhook-Signature": ["00", self.headers["X-Webhook-Signature"]]}
        assert Intake(print, "secret").receive(self.body, twice) == 401
        raw: Any = {name.encode(): value.encode() for name, value in self.headers.items()}
        assert Intake(print, "secret").receive(self.body, raw) == 200

    @pytest.mark.parametrize("value", [None, [], 5, [None], bytearray(b"a")])
    def test_odd_values_of_headers(self, value: Any) -> None:
        assert Intake(print, "secret").receive(self.body, {**self.headers, "X-Other": value}) == 200
        for name in self.headers:
            odd = {**self.headers, name: value}
            refused = name == "X-Webhook-Signature"
            assert Intake(print, "secret").receive(self.body, odd) == (401 if refused else 200)

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_chunks_of_any_kind_of_bytes(self, kind: Any) -> None:
        chunks = [(kind(self.body[:3]), True), (kind(self.body[3:]), False)]
        answered: list[Any] = []

        async def receive() -> Any:
            body, more = chunks.pop(0)
            return {"type": "http.request", "body": body, "more_body": more}

        async def send(message: Any) -> None:
            answered.append(message)

        headers = [(name.lower().encode(), value.encode()) for name, value in self.headers.items()]
        app: Any = asgi_receiver(Intake(print, "secret"))
        asyncio.run(app({"type": "http", "method": "POST", "headers": headers}, receive, send))
        assert answered[0]["status"] == 200

    @pytest.mark.parametrize(
        ("length", "status"), [("9" * 5000, 200), (" 9 ", 200), ("٣", 401), ("-1", 401), ("", 401)]
    )
    def test_a_length_of_any_kind(self, length: str, status: int) -> None:
        import io

        environ = {
            "REQUEST_METHOD": "POST", "CONTENT_LENGTH": length, "wsgi.input": io.BytesIO(self.body),
            **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in self.headers.items()},
        }  # fmt: skip
        answered: list[str] = []
        app: Any = wsgi_receiver(Intake(print, "secret"))
        app(environ, lambda line, headers: answered.append(line))
        assert answered[0].startswith(str(status))

    def test_a_sender_that_has_gone(self) -> None:
        class Gone:
            def read(self, size: int) -> bytes:
                raise OSError("gone")

        answered: list[str] = []
        app: Any = wsgi_receiver(Intake(print, "secret"))
        app(
            {"REQUEST_METHOD": "POST", "CONTENT_LENGTH": "9", "wsgi.input": Gone()},
            lambda line, _: answered.append(line),
        )
        assert answered == ["400 Bad Request"]

    def test_over_a_wire(self) -> None:
        transport = httpx.ASGITransport(app=asgi_receiver(Intake(print, "secret")))

        async def post() -> int:
            async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
                return (await client.post("/", content=self.body, headers=self.headers)).status_code

        assert asyncio.run(post()) == 200


def test_retries_by_number_are_retries() -> None:
    with WebsiteClient("a.example.com", "k", http=Http(retries=Retries(backoff=0.1))) as client:
        assert client.with_options(retries=2)._sender.http.retries == Retries(3, 3, backoff=0.1)


def records(kind: type[StoreRecord] = StoreRecord) -> Iterator[type[StoreRecord]]:
    for each in kind.__subclasses__():
        yield from (each, *records(each))


@pytest.mark.parametrize("record", [each for each in records() if not each.__name__.startswith("_")])
def test_every_field_of_a_record_has_a_text(record: type[StoreRecord]) -> None:
    assert [name for name, field in record.model_fields.items() if not field.description] == []
