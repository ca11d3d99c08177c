"""What a client does when a store fails, refuses, dawdles or talks nonsense."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import convert_sdk
from convert_sdk._http.backoff import retry_after
from convert_sdk._http.messages import Response
from convert_sdk.commerce import Http, Retries, TokenBucket
from convert_sdk.commerce.convertmax import ConvertmaxClient, ConvertmaxOptions
from convert_sdk.commerce.convictional import BuyerAddress, BuyerClient, OrderLine
from convert_sdk.commerce.errors import (
    AuthError,
    ConnectorError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    TransportError,
    ValidationError,
)
from convert_sdk.commerce.website import AsyncWebsiteClient, WebsiteClient
from convert_sdk.errors import OptionError
from convert_sdk.testing.stores import WebsiteStore
from convert_sdk.testing.stores._local import Fault
from tests.processes import finished
from tests.servers.programs import refused_port
from tests.shapes import present
from tests.waiting import PATIENCE, eventually

from .asking import Either

PACKAGE = Path(convert_sdk.__file__).parent
HOME = BuyerAddress(address_one="671 Lincoln Avenue", city="Winnetka", country="US")
LINE = OrderLine(variant_id="v-1", quantity=1)


class Clock:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.at = 1000.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.at += seconds


@contextmanager
def client_of(store: WebsiteStore, clock: Clock | None = None, **options: Any) -> Iterator[WebsiteClient]:
    clock = clock or Clock()
    http = Http(sleep=clock.sleep, clock=clock, random=lambda: 1.0, **options)
    with WebsiteClient(store.url, store.key, http=http) as client:
        yield client


class TestRetries:
    def test_a_429_waits_as_many_seconds_as_it_is_told(self, website: WebsiteStore, shop: Either) -> None:
        website.limit(7)
        assert shop.do(lambda c: c.webhooks.list()) == ()
        assert shop.waits == [7.0]

    def test_a_429_waits_until_the_date_it_is_told_by_the_stores_own_clock(
        self, website: WebsiteStore, shop: Either, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        date = format_datetime(now, usegmt=True)

        def told() -> str:
            return httpx.get(website.url, timeout=PATIENCE).headers["Date"]

        with monkeypatch.context() as patched:
            patched.setattr("uvicorn.server.formatdate", lambda *_, **__: date)
            eventually(lambda: told() == date)  # the server looks at the clock once a second
            website.limit(now + timedelta(seconds=30))
            assert shop.do(lambda c: c.webhooks.list()) == ()
        eventually(lambda: told() != date)
        assert shop.waits == [30.0]

    def test_a_date_in_the_past_asks_for_no_wait_but_ours(self, website: WebsiteStore) -> None:
        website.limit(datetime.now(UTC) - timedelta(days=1))
        clock = Clock()
        with client_of(website, clock) as client:
            client.webhooks.list()
        assert clock.waits == [0.5]

    def test_waits_grow_up_to_a_ceiling(self, website: WebsiteStore) -> None:
        website.limit(times=5)
        clock = Clock()
        with client_of(website, clock, retries=Retries(attempts=6, ceiling=3)) as client:
            client.webhooks.list()
        assert clock.waits == [0.5, 1.0, 2.0, 3.0, 3.0]

    def test_a_500_is_tried_once_more_as_it_may_mean_unprocessable(
        self, website: WebsiteStore, shop: Either
    ) -> None:
        website.fail(500)
        assert shop.do(lambda c: c.webhooks.list()) == ()
        website.fail(500, times=2)
        with pytest.raises(ServerError, match="GET /webhooks answered 500: out of order"):
            shop.do(lambda c: c.webhooks.list())
        assert len(website.requests) == 4

    def test_a_broken_connection_is_tried_again(self, website: WebsiteStore, shop: Either) -> None:
        website.fail(cut=True)
        assert shop.do(lambda c: c.webhooks.list()) == ()

    def test_a_contact_is_upserted_again_and_an_order_is_not_updated_again(
        self, website: WebsiteStore, shop: Either
    ) -> None:
        order = website.place_order()
        website.fail(503, applied=True)
        assert shop.do(lambda c: c.contacts.upsert("a@example.com")).id
        assert len(website.contacts) == 1
        spoils: list[Callable[[], None]] = [website.fail, website.limit, lambda: website.fail(cut=True)]
        for spoil in spoils:
            before = len(website.requests)
            spoil()
            with pytest.raises((ServerError, RateLimitedError, TransportError)):
                shop.do(lambda c: c.orders.update(order["id"], paid=True))
            assert len(website.requests) == before + 1

    def test_a_delete_whose_first_attempt_worked_has_worked(
        self, website: WebsiteStore, shop: Either
    ) -> None:
        hook = shop.do(lambda c: c.webhooks.create("https://a.example.com", ["order_created"], secret="s"))
        website.fail(500, applied=True)
        assert shop.do(lambda c: c.webhooks.delete(hook.id)) is None
        assert [each.status for each in website.requests[-2:]] == [500, 404]

    def test_a_delete_that_never_worked_has_not(self, website: WebsiteStore, shop: Either) -> None:
        website.limit()
        with pytest.raises(NotFoundError):
            shop.do(lambda c: c.webhooks.delete("rh_0"))

    @given(st.text() | st.from_regex(r"[0-9]{1,400}(\.[0-9]+)?", fullmatch=True), st.text())
    def test_no_header_can_break_the_wait(self, value: str, date: str) -> None:
        wait = retry_after(Response(429, {"retry-after": value, "date": date}, received=1000.0))
        assert wait is None or wait >= 0

    def test_no_wait_is_begun_that_would_pass_the_deadline(self, website: WebsiteStore) -> None:
        website.limit(60)
        clock = Clock()
        with client_of(website, clock, deadline=10.0) as client, pytest.raises(RateLimitedError) as caught:
            client.webhooks.list()
        assert (caught.value.retry_after, caught.value.status, clock.waits) == (60.0, 429, [])

    def test_attempts_end(self, website: WebsiteStore) -> None:
        website.limit(times=9)
        with client_of(website, retries=Retries(attempts=3)) as client, pytest.raises(RateLimitedError):
            client.webhooks.list()
        assert len(website.requests) == 3

    @pytest.mark.parametrize(
        ("head", "drop"),
        [
            (b"HTTP/1.1 200 OK\r\n", b"X-A: and so on\r\n"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b" "),
        ],
        ids=["headers", "body"],
    )
    @pytest.mark.parametrize("make", [WebsiteClient, AsyncWebsiteClient])
    def test_the_deadline_is_total_even_where_an_answer_never_ends(
        self, make: type[WebsiteClient | AsyncWebsiteClient], head: bytes, drop: bytes
    ) -> None:
        """Every single read is answered in time."""
        stop = threading.Event()

        def drip(listener: socket.socket) -> None:
            with listener.accept()[0] as line, suppress(OSError):
                line.sendall(head)
                while not stop.wait(0.001):
                    line.sendall(drop)

        async def awaited(client: AsyncWebsiteClient) -> object:
            async with client:
                return await client.webhooks.list()

        def ask(client: WebsiteClient | AsyncWebsiteClient) -> object:
            if isinstance(client, AsyncWebsiteClient):
                return asyncio.run(awaited(client))
            with client:
                return client.webhooks.list()

        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=drip, args=(listener,))
            thread.start()
            address: tuple[str, int] = listener.getsockname()
            http = Http(deadline=1.0, retries=Retries(attempts=1))
            client = make(f"http://127.0.0.1:{address[1]}", "key", http=http)
            try:
                # The last read may be the one that the deadline cuts; on a machine that stood still, the connecting.
                with pytest.raises(TransportError, match=r"the deadline|ReadTimeout|ConnectTimeout"):
                    ask(client)
            finally:
                stop.set()
                socket.create_connection(address).close()  # where the thread still waits for one
                thread.join()


class TestRefusals:
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, ValidationError),
            (401, AuthError),
            (403, AuthError),
            (404, NotFoundError),
            (409, ValidationError),
            (429, RateLimitedError),
            (500, ServerError),
            (503, ServerError),
        ],
    )
    def test_each_status_is_its_kind_of_error(
        self, website: WebsiteStore, status: int, kind: type[ConnectorError]
    ) -> None:
        website.faults.append(
            Fault(status, {"success": False, "message": "no, thanks"}, headers={"X-Request-ID": "r-1"})
        )
        with client_of(website, retries=Retries(attempts=1)) as client, pytest.raises(kind) as caught:
            client.orders.get(1)
        error = caught.value
        assert type(error) is kind
        assert (error.status, error.request_id, error.detail) == (status, "r-1", "no, thanks")
        assert str(error) == f"GET /orders/1 answered {status}: no, thanks"

    def test_success_false_is_no_success(self, website: WebsiteStore, shop: Either) -> None:
        website.faults.append(Fault(200, {"success": False, "message": "not today"}))
        with pytest.raises(ValidationError, match="not today") as caught:
            shop.do(lambda c: c.webhooks.list())
        assert caught.value.status == 200

    @pytest.mark.parametrize(
        ("payload", "told"),
        [
            ({"error": "a"}, "a"),
            ({"data": None, "error": [{"message": "b"}]}, "b"),
            ({"errors": {"general": ["c", "d"]}}, "c; d"),
            ({"errors": {"email": ["is taken"]}}, "email: is taken"),
            (b"plain", "plain"),
            (b"[" * 900 + b'"deep"' + b"]" * 900, None),
            (b"<html>nothing to read</html>", None),
            ({}, None),
        ],
    )
    def test_the_message_is_found_in_any_shape(
        self, website: WebsiteStore, payload: Any, told: str | None
    ) -> None:
        website.faults.append(Fault(400, payload))
        with client_of(website) as client, pytest.raises(ValidationError) as caught:
            client.orders.get(1)
        assert caught.value.detail == told

    def test_redirects_are_not_followed(self, website: WebsiteStore) -> None:
        elsewhere = {"Location": "https://elsewhere.example.com/api?token=1"}
        website.faults.append(Fault(301, {}, headers=elsewhere))
        with client_of(website) as client, pytest.raises(ValidationError) as caught:
            client.orders.get(1)
        assert "to https://elsewhere.example.com/api;" in str(caught.value)

    @pytest.mark.parametrize(
        ("payload", "told"),
        [
            (b"<html>", "200 with text/plain that is not the JSON expected"),
            (["a"], "200, but $: "),
            ([], "200, but $: "),
            (b'""', "200, but $: "),
            (b"", "200, but $: "),
            (b"[" * 90_000 + b"]" * 90_000, "not the JSON expected"),
            (b'{"customerName": ' + b"[" * 90_000 + b"]" * 90_000 + b"}", "200"),
        ],
    )
    def test_a_success_that_cannot_be_read_names_the_place_and_not_the_value(
        self, website: WebsiteStore, payload: Any, told: str
    ) -> None:
        website.faults.append(Fault(200, payload))
        with client_of(website) as client, pytest.raises(ServerError) as caught:
            client.orders.get(1)
        assert told in str(caught.value)
        assert caught.value.__cause__ is None

    def test_a_field_that_cannot_be_read_is_left_out_and_named(self, website: WebsiteStore) -> None:
        odd = {
            "id": 7,
            "total": "lots",
            "created": "yesterday",
            "items": [{"quantity": 1}, {"quantity": "many"}],
        }
        website.faults.append(Fault(200, odd))
        website.faults.append(Fault(200, b'{"id": 8, "total": NaN, "weight": 1e999999}'))
        with client_of(website) as client:
            order, other = client.orders.get(7), client.orders.get(8)
        assert (order.id, order.total, order.created) == (7, None, None)
        assert order.unreadable == ("created", "total", "items[1].quantity")
        assert order.raw == odd
        assert (other.unreadable, other.raw["weight"]) == (("total", "weight"), "1e999999")

    def test_an_answer_without_end_is_cut(self, website: WebsiteStore) -> None:
        website.faults.append(Fault(200, b"x" * 2000))
        with (
            client_of(website, largest_answer=1000, retries=Retries(attempts=1)) as client,
            pytest.raises(TransportError, match="larger than 1000 bytes"),
        ):
            client.webhooks.list()


class TestSecrets:
    def test_no_secret_in_errors_reprs_or_logs(
        self, website: WebsiteStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        secrets = (website.key, "pass-word-1", "hook-secret-1", "ada@example.com")
        for secret in ("pass-word-1", "hook-secret-1"):
            echo = {"success": False, "message": f"bad {website.key} {secret}"}
            website.faults.append(Fault(400, echo))
        told = []
        with client_of(website) as client:
            for ask in (
                lambda: client.members.create("Ada", "ada@example.com", password="pass-word-1"),
                lambda: client.webhooks.create(
                    "https://a.example.com", ["order_created"], secret="hook-secret-1"
                ),
                lambda: client.contacts.find("ada@example.com"),
            ):
                with pytest.raises((ValidationError, NotFoundError)) as caught:
                    ask()
                told += [repr(caught.value), str(caught.value)]
            contact = client.contacts.upsert("ada@example.com", name="Ada Lovelace")
            told += [
                repr(client),
                repr(contact),
                str(contact),
                repr(Http(headers={"X-Platform-Key": "pk-1"})),
            ]
        everything = "\n".join([*told, caplog.text])
        assert everything.count("answered 400: bad *** ***") == 4
        assert [each for each in (*secrets[:3], "Lovelace", "pk-1") if each in everything] == []
        assert "ada@example.com" not in "\n".join([*told[2:], caplog.text])

    def test_no_secret_in_what_an_error_tracker_prints(self, website: WebsiteStore) -> None:
        """The requests and every local variable of the frames an error went through in our code."""
        secrets, requests = ("private-1", "pk-1", "aaaaa.bbbbb.ccccc", "pass-word-1"), []

        def answer(request: httpx.Request) -> httpx.Response:
            requests.append(request)
            body = {
                "token": ["aaaaa.bbbbb.ccccc"],
                "accessUrl": "https://a/?sso=aaaaa.bbbbb.ccccc",
            }
            return httpx.Response(200, json=body)

        http = Http(transport=httpx.MockTransport(answer), headers={"X-Platform-Key": "pk-1"})
        options = ConvertmaxOptions(x_api_key=True)
        site = WebsiteClient("a.example.com", "private-1", http=http)
        target = ConvertmaxClient("private-1", options=options, http=http)
        buyer = BuyerClient("private-1", http=http)
        shown = []
        for ask in (
            lambda: site.members.sso("ada@example.com"),
            lambda: target.orders.upsert(1, {"total": Decimal("NaN")}, source_updated_at=datetime.now(UTC)),
            lambda: target.orders.upsert(1, {"total": "\ud800"}, source_updated_at=datetime.now(UTC)),
            lambda: buyer.orders.create(
                "r", address=HOME, items=[LINE], ordered_date=0, attributes={"x": float("nan")}
            ),
        ):
            with pytest.raises((ServerError, ValueError)) as caught:
                ask()
            ours = [each.frame for each in caught.traceback if PACKAGE in Path(str(each.path)).parents]
            shown += [repr(value) for frame in ours for value in frame.f_locals.values()]
            assert ours
        shown += [repr(each) for each in requests]
        assert [each for each in secrets for text in shown if each in text] == []

    def test_a_transport_error_says_why(self) -> None:
        http = Http(timeout=PATIENCE, deadline=PATIENCE, retries=Retries(attempts=1))
        with (
            refused_port() as port,
            WebsiteClient(f"http://127.0.0.1:{port}", "key-1", http=http) as client,
            pytest.raises(TransportError, match="GET /webhooks: ConnectError"),
        ):
            client.webhooks.list()


class TestOptions:
    def test_options_are_checked(self) -> None:
        for wrong in (
            lambda: Http(timeout=0),
            lambda: Http(deadline=-1),
            lambda: Retries(attempts=0),
            lambda: WebsiteClient("a.example.com", "k", http=Http(transport=httpx.AsyncHTTPTransport())),
            lambda: WebsiteClient("a.example.com", "k", app="Mÿ/1"),
            lambda: WebsiteClient("a.example.com:many", "k"),
            lambda: WebsiteClient("a.example.com/?x=1", "k"),
            lambda: WebsiteClient("https://a.example.com/#top", "k"),
        ):
            with pytest.raises(OptionError):
                wrong()

    def test_more_headers_go_along_and_may_replace_ours(self, website: WebsiteStore) -> None:
        headers = {"X-Platform-Key": "pk", "accept": "application/vnd.example"}
        with client_of(website, headers=headers) as client:
            client.webhooks.list()
        sent = website.requests[0].headers
        assert (sent["x-platform-key"], sent["accept"]) == ("pk", "application/vnd.example")


class TestTokenBucket:
    def test_no_second_holds_more_than_its_tokens(self) -> None:
        bucket = TokenBucket(5, seconds=1.0)
        now = 0.0
        times: list[float] = []
        for _ in range(23):
            now += present(bucket.reserve(now, latest=100.0))
            times.append(now)
            now += 0.0625  # exact in binary, so that no rounding shortens a second
        assert all(later - first >= 1.0 for first, later in zip(times, times[5:], strict=False))

    def test_a_token_after_the_deadline_is_not_taken(self) -> None:
        bucket = TokenBucket(1, seconds=10.0)
        assert bucket.reserve(0.0, latest=5.0) == 0.0
        assert bucket.reserve(0.0, latest=5.0) is None
        assert bucket.reserve(0.0, latest=10.0) == 10.0

    def test_threads_share_it(self) -> None:
        bucket = TokenBucket(5, seconds=1.0)
        waits: list[float] = []

        def take() -> None:
            waits.append(present(bucket.reserve(0.0, 100.0)))

        threads = [threading.Thread(target=take) for _ in range(20)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert sorted(waits) == [0.0] * 5 + [1.0] * 5 + [2.0] * 5 + [3.0] * 5


FORKED = """
import asyncio, os, sys
from convert_sdk.commerce.website import AsyncWebsiteClient, WebsiteClient

async def asked(client):
    return await client.webhooks.list()

def ask(client):
    asyncio.run(asked(client)) if isinstance(client, AsyncWebsiteClient) else client.webhooks.list()

client = (WebsiteClient if sys.argv[2] == "sync" else AsyncWebsiteClient)(sys.argv[1], "key")
ask(client)
child = os.fork()
if child == 0:
    ask(client.with_options(timeout=60))
    if sys.argv[2] == "sync":
        ask(client)
    os._exit(0)
print(os.waitpid(child, 0)[1], flush=True)
if sys.argv[2] == "sync":
    ask(client)
os._exit(0)
"""


class TestForks:
    @pytest.mark.parametrize("kind", ["sync", "async"])
    def test_a_child_neither_uses_nor_closes_its_parents_connection(self, kind: str) -> None:
        lines: list[object] = []

        class Answer(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                lines.append(self.client_address)
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"[]")

            def log_message(self, format: str, *args: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            try:
                status, out, err = finished(FORKED, f"http://127.0.0.1:{server.server_address[1]}", kind)
            finally:
                server.shutdown()
                thread.join()
        assert (status, out, err) == (0, "0\n", "")
        parents, childs = lines[:2]
        assert parents != childs
        assert lines[2:] == ([childs, parents] if kind == "sync" else [])
