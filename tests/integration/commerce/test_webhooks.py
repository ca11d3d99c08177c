"""Webhooks: what is verified, what is refused, and the two receivers."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from typing import Any, Literal, TypeAlias, cast
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import WSGIApplication

import httpx
import pytest
import uvicorn
from cachetools import TTLCache

from convert_sdk.commerce.errors import ValidationError, WebhookVerificationError
from convert_sdk.commerce.website import Intake, WebsiteClient, asgi_receiver, wsgi_receiver
from convert_sdk.commerce.website.models import Topic
from convert_sdk.commerce.website.receivers import Message, Receive, Send
from convert_sdk.commerce.website.webhooks import (
    AnyEvent,
    BookingCreated,
    ContactUpdated,
    FormSubmitted,
    OrderCreated,
    OrderEvent,
    OrderUpdated,
    ProductCreated,
    ProductUpdated,
    SignatureScheme,
    UnknownEvent,
    parse,
    sign,
)
from convert_sdk.errors import OptionError
from convert_sdk.testing.stores import WebsiteStore
from tests.shapes import of, present
from tests.waiting import PATIENCE

from .openapi import FIXTURES

VECTORS = json.loads((FIXTURES / "commerce" / "webhook-signatures.json").read_text())
SECRET = "your-secret"
Events: TypeAlias = queue.Queue[Any]
"""What came through: of each event a test knows the kind."""

HEADERS = {"X-Webhook-Source": "shop.example.com", "X-Webhook-Id": "rh_1"}


def signed(body: bytes, topic: str = "order_created", secret: str = SECRET, **options: Any) -> dict[str, str]:
    return {**HEADERS, "X-Webhook-Topic": topic, "X-Webhook-Signature": sign(body, secret, **options)}


class TestSignatures:
    @pytest.mark.parametrize("vector", VECTORS, ids=lambda each: each["name"])
    @pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
    def test_vectors(self, vector: dict[str, str], algorithm: Literal["sha256", "sha512"]) -> None:
        body = vector["body_utf8"].encode()
        scheme = SignatureScheme(algorithm=algorithm)
        assert sign(body, vector["secret"], scheme=scheme) == vector[f"{algorithm}_hex"]

    @pytest.mark.parametrize(
        "vector", [each for each in VECTORS if each["body_utf8"]], ids=lambda e: e["name"]
    )
    def test_vectors_are_accepted(self, vector: dict[str, str]) -> None:
        headers = {"x-webhook-signature": vector["sha512_hex"].upper(), "X-Webhook-Topic": "new_topic"}
        event = parse(vector["body_utf8"].encode(), headers, vector["secret"])
        assert of(UnknownEvent, event).payload == json.loads(vector["body_utf8"])

    def test_any_of_several_secrets_fits_while_they_rotate(self) -> None:
        body = b'{"id": 1}'
        for secret in ("old", "new"):
            assert of(OrderEvent, parse(body, signed(body, secret=secret), ["new", "old"])).order.id == 1
        with pytest.raises(WebhookVerificationError, match="does not fit"):
            parse(body, signed(body, secret="older"), ["new", "old"])

    def test_base64_with_a_prefix_in_another_header(self) -> None:
        scheme = SignatureScheme(header="X-Sig", algorithm="sha256", encoding="base64", prefix="sha256=")
        body = b'{"id": 1}'
        headers = {"X-Sig": sign(body, SECRET, scheme=scheme), "X-Webhook-Topic": "order_created"}
        base64.b64decode(headers["X-Sig"].removeprefix("sha256="), validate=True)
        assert of(OrderEvent, parse(body, headers, SECRET, scheme=scheme)).order.id == 1
        with pytest.raises(WebhookVerificationError, match="does not start with 'sha256='"):
            parse(body, {**headers, "X-Sig": "x"}, SECRET, scheme=scheme)

    def test_a_scheme_is_checked(self) -> None:
        with pytest.raises(OptionError):
            SignatureScheme(algorithm=cast("Any", "md5"))


class TestRefused:
    body = b'{"id": 1}'

    @pytest.mark.parametrize("secret", ["", " ", b"good", [None], [], ["good", ""], ()])
    def test_an_empty_secret(self, secret: Any) -> None:
        with pytest.raises(WebhookVerificationError, match="no secret"):
            parse(self.body, signed(self.body), secret)
        with pytest.raises(WebhookVerificationError, match="no secret"):
            Intake(print, secret)

    def test_signing_with_an_empty_secret(self) -> None:
        with pytest.raises(WebhookVerificationError, match="no secret"):
            sign(self.body, "")

    def test_an_unsigned_body(self) -> None:
        with pytest.raises(WebhookVerificationError) as caught:
            parse(self.body, HEADERS, SECRET)
        assert caught.value.reason == "X-Webhook-Signature is missing: the delivery is unsigned"

    @pytest.mark.parametrize("body", [b'{"id": 2}', b'{"id": 1}\n', b"", b'{"id":1}'])
    def test_another_body(self, body: bytes) -> None:
        with pytest.raises(WebhookVerificationError, match="does not fit"):
            parse(body, signed(self.body), SECRET)

    @pytest.mark.parametrize("signature", ["zz", "abc", "ff" * 64, "f" * 126, "é", "0x" + "0" * 126])
    def test_another_signature(self, signature: str) -> None:
        with pytest.raises(WebhookVerificationError):
            parse(self.body, {"X-Webhook-Signature": signature}, SECRET)

    def test_two_signatures(self) -> None:
        headers = {**signed(self.body), "x-webhook-signature": "00"}
        with pytest.raises(WebhookVerificationError, match="more than once"):
            parse(self.body, headers, SECRET)

    def test_a_body_too_large_to_hash(self) -> None:
        with pytest.raises(WebhookVerificationError, match="larger than 8 bytes"):
            parse(self.body, signed(self.body), SECRET, max_body=8)

    @pytest.mark.parametrize("body", [{"id": 1}, '{"id": 1}', None])
    def test_anything_but_the_raw_bytes(self, body: Any) -> None:
        with pytest.raises(TypeError, match="raw bytes"):
            parse(body, {}, SECRET)

    @pytest.mark.parametrize(("body", "place"), [(b"{", "not JSON"), (b"[1]", "$"), (b"[]", "$")])
    def test_a_signed_body_that_is_not_its_topic(self, body: bytes, place: str) -> None:
        with pytest.raises(ValidationError, match="webhook 'order_created'") as caught:
            parse(body, signed(body), SECRET)
        assert place in str(caught.value)


class TestEvents:
    @pytest.mark.parametrize(
        ("topic", "example", "kind", "attribute"),
        [
            ("order_created", "order", OrderCreated, "order"),
            ("order_updated", "order", OrderUpdated, "order"),
            ("product_created", "product", ProductCreated, "product"),
            ("product_updated", "product", ProductUpdated, "product"),
            ("contact_updated", "contact", ContactUpdated, "contact"),
            ("booking_created", "booking", BookingCreated, "booking"),
            ("form_submitted", "form_submitted", FormSubmitted, "form"),
        ],
    )
    def test_each_documented_payload(
        self, examples: dict[str, Any], topic: str, example: str, kind: type, attribute: str
    ) -> None:
        body = json.dumps(examples[example]).encode()
        event = parse(body, signed(body, topic), SECRET)
        assert type(event) is kind
        assert (event.topic, event.source, event.subscription_id) == (topic, "shop.example.com", "rh_1")
        record = getattr(event, attribute)
        assert record.raw == examples[example]
        assert event.subject == (None if kind is FormSubmitted else str(examples[example]["id"]))
        assert "john@" not in repr(event)

    def test_a_form_brings_its_contact_and_its_site(self, examples: dict[str, Any]) -> None:
        body = json.dumps(examples["form_submitted"]).encode()
        form = of(FormSubmitted, parse(body, signed(body, "form_submitted"), SECRET)).form
        assert (form.form_name, present(form.contact).id, present(form.website).domain) == (
            "Contact Form",
            123,
            "your-primary-domain.com",
        )
        assert [(each.field, each.value) for each in form.form_values] == [("string", "string")]

    def test_an_unknown_topic_is_an_event_too(self) -> None:
        body = b'{"amount": 1.10}'
        event = parse(body, signed(body, "order_refunded"), SECRET)
        assert isinstance(event, UnknownEvent)
        assert (event.topic, event.payload, event.subject) == (
            "order_refunded",
            {"amount": Decimal("1.10")},
            None,
        )
        assert "1.1" not in repr(event)

    def test_matching(self) -> None:
        body = b'{"id": 5, "paid": true}'
        match parse(body, signed(body, "order_updated"), SECRET):
            case OrderEvent(order=order):
                assert order.paid
            case _:
                pytest.fail("an order_updated is an OrderEvent")


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def wsgi_server(app: WSGIApplication) -> Iterator[str]:
    with make_server("127.0.0.1", 0, app, handler_class=_Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hook"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def asgi_server(app: Any) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="on", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/hook"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def events() -> Events:
    return queue.Queue(maxsize=3)


@pytest.fixture
def intake(events: Events) -> Intake:
    return Intake(events.put_nowait, ["next-secret", SECRET], max_body=2000)


@pytest.fixture(params=["asgi", "wsgi"])
def hook(request: pytest.FixtureRequest, intake: Intake) -> Iterator[str]:
    serving = (
        asgi_server(asgi_receiver(intake)) if request.param == "asgi" else wsgi_server(wsgi_receiver(intake))
    )
    with serving as url:
        yield url


def post(url: str, body: bytes, topic: str = "order_created", **options: Any) -> int:
    return httpx.post(url, content=body, headers=signed(body, topic, **options), timeout=PATIENCE).status_code


class TestReceivers:
    def test_the_same_form_after_ten_minutes_is_another(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now, heard = [0.0], list[Any]()
        monkeypatch.setattr(
            "convert_sdk.commerce.website.receivers._memory",
            lambda seconds: TTLCache[Any, str](10, seconds, timer=lambda: now[0]),
        )
        intake = Intake(heard.append, SECRET)
        form, order = b'{"formName": "Contact"}', b'{"id": 1}'
        for now[0] in (0, 599, 601, 1300):
            assert intake.receive(form, signed(form, "form_submitted")) == 200
            assert intake.receive(order, signed(order)) == 200
        assert [event.topic for event in heard].count("form_submitted") == 3
        assert [event.topic for event in heard].count("order_created") == 1

    def test_a_queue_that_would_have_to_be_awaited_is_refused(self) -> None:
        waiting: asyncio.Queue[Any] = asyncio.Queue()
        for enqueue in (waiting.put, partial(waiting.put)):
            with pytest.raises(OptionError, match="enqueue: it is not awaited: give a queue's put_nowait"):
                Intake(enqueue, SECRET)
        intake = Intake(waiting.put_nowait, SECRET)
        assert intake.receive(b'{"id": 1}', signed(b'{"id": 1}')) == 200
        assert waiting.qsize() == 1

    def test_what_was_not_awaited_was_not_taken(self, caplog: pytest.LogCaptureFixture) -> None:
        waiting: asyncio.Queue[Any] = asyncio.Queue()

        class Enqueue:
            async def __call__(self, event: AnyEvent) -> None:
                await waiting.put(event)

        intake = Intake(Enqueue(), SECRET)
        for _ in range(2):
            assert intake.receive(b'{"id": 1}', signed(b'{"id": 1}')) == 503
        assert (intake.failed, intake.accepted, intake.duplicates, waiting.qsize()) == (2, 0, 0, 0)
        assert "what enqueue gives would have to be awaited" in caplog.text

    def test_a_task_goes_on_by_itself(self) -> None:
        async def main() -> Any:
            waiting: asyncio.Queue[Any] = asyncio.Queue()
            intake = Intake(lambda event: asyncio.ensure_future(waiting.put(event)), SECRET)
            assert intake.receive(b'{"id": 1}', signed(b'{"id": 1}')) == 200
            return await waiting.get()

        assert asyncio.run(main()).order.id == 1

    def test_neither_is_anything_else_awaited_that_runs_by_itself(self) -> None:
        class Reference:
            def __await__(self) -> Iterator[None]:
                yield

        intake = Intake(lambda _: Reference(), SECRET)
        assert intake.receive(b'{"id": 1}', signed(b'{"id": 1}')) == 200
        assert (intake.accepted, intake.failed) == (1, 0)

    def test_a_delivery_is_verified_and_queued(self, hook: str, events: Events, intake: Intake) -> None:
        assert post(hook, b'{"id": 1, "total": 49.9}') == 200
        event = events.get_nowait()
        assert (event.order.total, event.source) == (Decimal("49.9"), "shop.example.com")
        assert intake.accepted == 1

    def test_what_cannot_be_trusted_is_refused(self, hook: str, events: Events, intake: Intake) -> None:
        assert post(hook, b'{"id": 1}', secret="other") == 401
        assert httpx.post(hook, content=b'{"id": 1}', timeout=PATIENCE).status_code == 401
        assert httpx.post(hook, timeout=PATIENCE).status_code == 401
        assert post(hook, b"x" * 2001) == 413
        assert post(hook, b"{") == 400
        assert httpx.get(hook, timeout=PATIENCE).status_code == 405
        assert events.empty()
        assert intake.refused == 5

    def test_the_same_content_comes_through_once(self, hook: str, events: Events, intake: Intake) -> None:
        first, second = b'{"id": 1, "paid": false}', b'{"id": 1, "paid": true}'
        for body in (first, first, second, first):
            assert post(hook, body) == 200
        assert [events.get_nowait().order.paid for _ in range(3)] == [False, True, False]
        assert (intake.accepted, intake.duplicates) == (3, 1)

    def test_topics_and_forms_are_told_apart(self, hook: str, events: Events) -> None:
        for topic in ("order_created", "order_updated", "order_updated"):
            assert post(hook, b'{"id": 1}', topic) == 200
        assert [events.get_nowait().topic for _ in range(2)] == ["order_created", "order_updated"]
        for body in (b'{"formName": "a"}', b'{"formName": "b"}', b'{"formName": "a"}'):
            assert post(hook, body, "form_submitted") == 200
        assert [events.get_nowait().form.form_name for _ in range(2)] == ["a", "b"]
        assert events.empty()

    def test_a_full_queue_says_so_and_forgets_nothing(
        self, hook: str, events: Events, intake: Intake, caplog: pytest.LogCaptureFixture
    ) -> None:
        for number in range(3):
            assert post(hook, b'{"id": %d}' % number) == 200
        assert post(hook, b'{"id": 7}') == 503
        assert "Full" in caplog.text
        events.get_nowait()
        assert post(hook, b'{"id": 7}') == 200
        assert (intake.accepted, intake.failed) == (4, 1)

    def test_of_many_at_once_one_comes_through(self, events: Events, intake: Intake) -> None:
        body = b'{"id": 1}'
        start = threading.Barrier(8)

        def deliver() -> None:
            start.wait()
            intake.receive(body, signed(body))

        threads = [threading.Thread(target=deliver) for _ in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert (events.qsize(), intake.accepted, intake.duplicates) == (1, 1, 7)

    def test_a_chunked_body_is_read_whole(self, intake: Intake, events: Events) -> None:
        body = b'{"id": 1, "total": 12}'
        with asgi_server(asgi_receiver(intake)) as url:
            pieces = iter([body[:5], body[5:]])
            answer = httpx.post(url, content=pieces, headers=signed(body), timeout=PATIENCE)
        assert answer.status_code == 200
        assert events.get_nowait().order.total == 12


def called(intake: Intake, scope: Message, receive: Receive, send: Send) -> None:
    """Call the ASGI receiver as a server would."""

    async def call() -> None:
        await asgi_receiver(intake)(scope, receive, send)

    asyncio.run(call())


class TestOddCalls:
    """Calls that no server above makes, but some server does."""

    def test_a_sender_who_hangs_up_has_delivered_nothing(self, intake: Intake, events: Events) -> None:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        scope: Message = {"type": "http", "method": "POST", "headers": []}
        called(intake, scope, receive, send)
        assert (sent[0]["status"], events.qsize()) == (400, 0)

    def test_a_header_that_comes_twice_fits_nothing(self, intake: Intake, events: Events) -> None:
        body = b'{"id": 1}'
        sent: list[Message] = []
        pairs = [(name.encode(), value.encode()) for name, value in signed(body).items()] * 2

        async def receive() -> Message:
            return {"type": "http.request", "body": body}

        async def send(message: Message) -> None:
            sent.append(message)

        scope: Message = {"type": "http", "method": "POST", "headers": pairs}
        called(intake, scope, receive, send)
        assert (sent[0]["status"], events.qsize()) == (401, 0)

    def test_a_body_without_a_length_is_read_if_the_server_ends_it(
        self, intake: Intake, events: Events
    ) -> None:
        body = b'{"id": 1}'
        statuses: list[str] = []
        environ: dict[str, object] = {
            "REQUEST_METHOD": "POST",
            "wsgi.input": io.BytesIO(body),
            "wsgi.input_terminated": True,
        }
        environ |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in signed(body).items()}

        def start_response(
            status: str, headers: list[tuple[str, str]], error: object = None
        ) -> Callable[[bytes], object]:
            statuses.append(status)
            return body_parts.append

        body_parts: list[bytes] = []
        wsgi_receiver(intake)(environ, start_response)
        assert (statuses, events.get_nowait().order.id) == (["200 OK"], 1)


class TestFromTheStore:
    def test_deliveries_late_twice_unsigned_and_tampered(
        self, website: WebsiteStore, hook: str, events: Events
    ) -> None:
        with WebsiteClient(website.url, website.key) as client:
            client.webhooks.create(hook, ["order_created", "order_updated"], secret=SECRET)
            order = website.place_order(total=20)
            client.orders.update(of(int, order["id"]), paid=True)
        created, updated = website.deliveries
        assert [updated.send(), created.send(), updated.send()] == [200, 200, 200]
        assert [created.unsigned().send(), created.tampered().send()] == [401, 401]
        assert [events.get_nowait().topic for _ in range(2)] == ["order_updated", "order_created"]
        assert events.empty()

    def test_each_thing_that_happens_is_told(self, website: WebsiteStore) -> None:
        topics: list[Topic] = [
            "order_created",
            "order_updated",
            "product_created",
            "product_updated",
            "form_submitted",
            "contact_updated",
            "booking_created",
        ]
        with WebsiteClient(website.url, website.key) as client:
            client.webhooks.create("https://app.example.com/hook", topics, secret=SECRET)
            website.change_order(of(int, website.place_order()["id"]), paid=True)
            product = client.products.create("physical", "Door")
            client.products.update(of(int, product.id), type="physical", title="Front door")
            website.submit_form("Contact", {"name": "Ada"})
            client.contacts.upsert("a@example.com")
            website.book()
        told = [parse(each.body, each.headers, SECRET).topic for each in website.deliveries]
        assert told == topics
