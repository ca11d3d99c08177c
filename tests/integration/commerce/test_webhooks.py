"""Webhooks: what is verified, what is refused, and the two receivers."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import queue
import socket
import threading
from contextlib import contextmanager
from decimal import Decimal
from wsgiref.simple_server import WSGIRequestHandler, make_server

import httpx
import pytest
import uvicorn

from convert_sdk.commerce.website import Intake, WebsiteClient, asgi_receiver, wsgi_receiver
from convert_sdk.commerce.website.webhooks import (
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
from convert_sdk.errors import OptionError, ValidationError, WebhookVerificationError

from .openapi import FIXTURES

VECTORS = json.loads((FIXTURES / "commerce" / "webhook-signatures.json").read_text())
SECRET = "your-secret"
HEADERS = {"X-Webhook-Source": "shop.example.com", "X-Webhook-Id": "rh_1"}


def signed(body, topic="order_created", secret=SECRET, **options):
    return {**HEADERS, "X-Webhook-Topic": topic, "X-Webhook-Signature": sign(body, secret, **options)}


class TestSignatures:
    @pytest.mark.parametrize("vector", VECTORS, ids=lambda each: each["name"])
    @pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
    def test_vectors(self, vector, algorithm):
        body = vector["body_utf8"].encode()
        scheme = SignatureScheme(algorithm=algorithm)
        assert sign(body, vector["secret"], scheme=scheme) == vector[f"{algorithm}_hex"]

    @pytest.mark.parametrize(
        "vector", [each for each in VECTORS if each["body_utf8"]], ids=lambda e: e["name"]
    )
    def test_vectors_are_accepted(self, vector):
        headers = {"x-webhook-signature": vector["sha512_hex"].upper(), "X-Webhook-Topic": "new_topic"}
        event = parse(vector["body_utf8"].encode(), headers, vector["secret"])
        assert event.payload == json.loads(vector["body_utf8"])

    def test_any_of_several_secrets_fits_while_they_rotate(self):
        body = b'{"id": 1}'
        for secret in ("old", "new"):
            assert parse(body, signed(body, secret=secret), ["new", "old"]).order.id == 1
        with pytest.raises(WebhookVerificationError, match="does not fit"):
            parse(body, signed(body, secret="older"), ["new", "old"])

    def test_base64_with_a_prefix_in_another_header(self):
        scheme = SignatureScheme(header="X-Sig", algorithm="sha256", encoding="base64", prefix="sha256=")
        body = b'{"id": 1}'
        headers = {"X-Sig": sign(body, SECRET, scheme=scheme), "X-Webhook-Topic": "order_created"}
        base64.b64decode(headers["X-Sig"].removeprefix("sha256="), validate=True)
        assert parse(body, headers, SECRET, scheme=scheme).order.id == 1
        with pytest.raises(WebhookVerificationError, match="does not start with 'sha256='"):
            parse(body, {**headers, "X-Sig": "x"}, SECRET, scheme=scheme)

    def test_a_scheme_is_checked(self):
        with pytest.raises(OptionError):
            SignatureScheme(algorithm="md5")


class TestRefused:
    body = b'{"id": 1}'

    @pytest.mark.parametrize("secret", ["", " ", None, b"good", [None], [], ["good", ""], ()])
    def test_an_empty_secret(self, secret):
        with pytest.raises(WebhookVerificationError, match="no secret"):
            parse(self.body, signed(self.body), secret)
        with pytest.raises(WebhookVerificationError, match="no secret"):
            Intake(print, secret)

    def test_signing_with_an_empty_secret(self):
        with pytest.raises(WebhookVerificationError, match="no secret"):
            sign(self.body, "")

    def test_an_unsigned_body(self):
        with pytest.raises(WebhookVerificationError) as caught:
            parse(self.body, HEADERS, SECRET)
        assert caught.value.reason == "X-Webhook-Signature is missing: the delivery is unsigned"

    @pytest.mark.parametrize("body", [b'{"id": 2}', b'{"id": 1}\n', b"", b'{"id":1}'])
    def test_another_body(self, body):
        with pytest.raises(WebhookVerificationError, match="does not fit"):
            parse(body, signed(self.body), SECRET)

    @pytest.mark.parametrize("signature", ["zz", "abc", "ff" * 64, "f" * 126, "é", "0x" + "0" * 126])
    def test_another_signature(self, signature):
        with pytest.raises(WebhookVerificationError):
            parse(self.body, {"X-Webhook-Signature": signature}, SECRET)

    def test_two_signatures(self):
        headers = {**signed(self.body), "x-webhook-signature": "00"}
        with pytest.raises(WebhookVerificationError, match="more than once"):
            parse(self.body, headers, SECRET)

    def test_a_body_too_large_to_hash(self):
        with pytest.raises(WebhookVerificationError, match="larger than 8 bytes"):
            parse(self.body, signed(self.body), SECRET, max_body=8)

    @pytest.mark.parametrize("body", [{"id": 1}, '{"id": 1}', bytearray(b"{}"), None])
    def test_anything_but_the_raw_bytes(self, body):
        with pytest.raises(TypeError, match="raw bytes"):
            parse(body, {}, SECRET)

    @pytest.mark.parametrize(
        ("body", "place"), [(b"{", "not JSON"), (b"[1]", "$"), (b"[]", "$"), (b'{"total": "x"}', "$.total")]
    )
    def test_a_signed_body_that_is_not_its_topic(self, body, place):
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
    def test_each_documented_payload(self, examples, topic, example, kind, attribute):
        body = json.dumps(examples[example]).encode()
        event = parse(body, signed(body, topic), SECRET)
        assert type(event) is kind
        assert (event.topic, event.source, event.subscription_id) == (topic, "shop.example.com", "rh_1")
        record = getattr(event, attribute)
        assert record.raw == examples[example]
        assert event.subject == (None if kind is FormSubmitted else str(examples[example]["id"]))
        assert "john@" not in repr(event)

    def test_a_form_brings_its_contact_and_its_site(self, examples):
        body = json.dumps(examples["form_submitted"]).encode()
        form = parse(body, signed(body, "form_submitted"), SECRET).form
        assert (form.form_name, form.contact.id, form.website.domain) == (
            "Contact Form",
            123,
            "your-primary-domain.com",
        )
        assert [(each.field, each.value) for each in form.form_values] == [("string", "string")]

    def test_an_unknown_topic_is_an_event_too(self):
        body = b'{"amount": 1.10}'
        event = parse(body, signed(body, "order_refunded"), SECRET)
        assert isinstance(event, UnknownEvent)
        assert (event.topic, event.payload, event.subject) == (
            "order_refunded",
            {"amount": Decimal("1.10")},
            None,
        )
        assert "1.1" not in repr(event)

    def test_matching(self):
        body = b'{"id": 5, "paid": true}'
        match parse(body, signed(body, "order_updated"), SECRET):
            case OrderEvent(order=order):
                assert order.paid
            case _:
                pytest.fail("an order_updated is an OrderEvent")


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


@contextmanager
def wsgi_server(app):
    with make_server("127.0.0.1", 0, app, handler_class=_Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hook"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def asgi_server(app):
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
def events():
    return queue.Queue(maxsize=3)


@pytest.fixture
def intake(events):
    return Intake(events.put_nowait, ["next-secret", SECRET], max_body=2000)


@pytest.fixture(params=["asgi", "wsgi"])
def hook(request, intake):
    serve, receiver = (
        (asgi_server, asgi_receiver) if request.param == "asgi" else (wsgi_server, wsgi_receiver)
    )
    with serve(receiver(intake)) as url:
        yield url


def post(url, body, topic="order_created", **options):
    return httpx.post(url, content=body, headers=signed(body, topic, **options)).status_code


class TestReceivers:
    def test_a_delivery_is_verified_and_queued(self, hook, events, intake):
        assert post(hook, b'{"id": 1, "total": 49.9}') == 200
        event = events.get_nowait()
        assert (event.order.total, event.source) == (Decimal("49.9"), "shop.example.com")
        assert intake.accepted == 1

    def test_what_cannot_be_trusted_is_refused(self, hook, events, intake):
        assert post(hook, b'{"id": 1}', secret="other") == 401
        assert httpx.post(hook, content=b'{"id": 1}').status_code == 401
        assert httpx.post(hook).status_code == 401
        assert post(hook, b"x" * 2001) == 413
        assert post(hook, b"{") == 400
        assert httpx.get(hook).status_code == 405
        assert events.empty()
        assert intake.refused == 5

    def test_the_same_content_comes_through_once(self, hook, events, intake):
        first, second = b'{"id": 1, "paid": false}', b'{"id": 1, "paid": true}'
        for body in (first, first, second, first):
            assert post(hook, body) == 200
        assert [events.get_nowait().order.paid for _ in range(3)] == [False, True, False]
        assert (intake.accepted, intake.duplicates) == (3, 1)

    def test_topics_and_forms_are_told_apart(self, hook, events):
        for topic in ("order_created", "order_updated", "order_updated"):
            assert post(hook, b'{"id": 1}', topic) == 200
        assert [events.get_nowait().topic for _ in range(2)] == ["order_created", "order_updated"]
        for body in (b'{"formName": "a"}', b'{"formName": "b"}', b'{"formName": "a"}'):
            assert post(hook, body, "form_submitted") == 200
        assert [events.get_nowait().form.form_name for _ in range(2)] == ["a", "b"]
        assert events.empty()

    def test_a_full_queue_says_so_and_forgets_nothing(self, hook, events, intake, caplog):
        for number in range(3):
            assert post(hook, b'{"id": %d}' % number) == 200
        assert post(hook, b'{"id": 7}') == 503
        assert "Full" in caplog.text
        events.get_nowait()
        assert post(hook, b'{"id": 7}') == 200
        assert (intake.accepted, intake.failed) == (4, 1)

    def test_of_many_at_once_one_comes_through(self, events, intake):
        body = b'{"id": 1}'
        start = threading.Barrier(8)

        def deliver():
            start.wait()
            intake.receive(body, signed(body))

        threads = [threading.Thread(target=deliver) for _ in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert (events.qsize(), intake.accepted, intake.duplicates) == (1, 1, 7)

    def test_a_chunked_body_is_read_whole(self, intake, events):
        body = b'{"id": 1, "total": 12}'
        with asgi_server(asgi_receiver(intake)) as url:
            answer = httpx.post(url, content=iter([body[:5], body[5:]]), headers=signed(body))
        assert answer.status_code == 200
        assert events.get_nowait().order.total == 12


class TestOddCalls:
    """Calls that no server above makes, but some server does."""

    def test_a_sender_who_hangs_up_has_delivered_nothing(self, intake, events):
        sent = []

        async def receive():
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": "POST", "headers": []}
        asyncio.run(asgi_receiver(intake)(scope, receive, send))
        assert (sent[0]["status"], events.qsize()) == (400, 0)

    def test_a_header_that_comes_twice_fits_nothing(self, intake, events):
        body, sent = b'{"id": 1}', []
        pairs = [(name.encode(), value.encode()) for name, value in signed(body).items()] * 2

        async def receive():
            return {"type": "http.request", "body": body}

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": "POST", "headers": pairs}
        asyncio.run(asgi_receiver(intake)(scope, receive, send))
        assert (sent[0]["status"], events.qsize()) == (401, 0)

    def test_a_body_without_a_length_is_read_if_the_server_ends_it(self, intake, events):
        body, statuses = b'{"id": 1}', []
        environ = {"REQUEST_METHOD": "POST", "wsgi.input": io.BytesIO(body), "wsgi.input_terminated": True}
        environ |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in signed(body).items()}
        wsgi_receiver(intake)(environ, lambda status, _: statuses.append(status))
        assert (statuses, events.get_nowait().order.id) == (["200 OK"], 1)


class TestFromTheStore:
    def test_deliveries_late_twice_unsigned_and_tampered(self, website, hook, events):
        with WebsiteClient(website.url, website.key) as client:
            client.webhooks.create(hook, ["order_created", "order_updated"], secret=SECRET)
            order = website.place_order(total=20)
            client.orders.update(order["id"], paid=True)
        created, updated = website.deliveries
        assert [updated.send(), created.send(), updated.send()] == [200, 200, 200]
        assert [created.unsigned().send(), created.tampered().send()] == [401, 401]
        assert [events.get_nowait().topic for _ in range(2)] == ["order_updated", "order_created"]
        assert events.empty()

    def test_each_thing_that_happens_is_told(self, website):
        topics = [
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
            website.change_order(website.place_order()["id"], paid=True)
            product = client.products.create("physical", "Door")
            client.products.update(product.id, type="physical", title="Front door")
            website.submit_form("Contact", {"name": "Ada"})
            client.contacts.upsert("a@example.com")
            website.book()
        told = [parse(each.body, each.headers, SECRET).topic for each in website.deliveries]
        assert told == topics
