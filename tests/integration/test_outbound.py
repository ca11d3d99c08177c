"""Calls between services over real sockets: who gets the visitor of the request, and who does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

pytest.importorskip("requests", reason="needs requests: pip install convert-sdk[requests]")

import requests

from convert_sdk import Client, OptionError, Project, current_visitor
from convert_sdk.integrations.httpx import hand_over as hand_over_httpx
from convert_sdk.integrations.requests import hand_over as hand_over_requests
from convert_sdk.integrations.wsgi import ConvertMiddleware
from tests.documents import LOW, experience, project
from tests.reliability.collector import Answer, Collector, Received
from tests.waiting import PATIENCE

SHOP: Project = project(experience())
SECRETS = ["the secret of all services"]
OPTIONS: dict[str, Any] = {"follow_redirects": True, "trust_env": False, "timeout": PATIENCE}
Call = Callable[[list[str], str], None]
"""Asks a URL, with these hosts for the visitor."""


def by_httpx(hosts: list[str], url: str) -> None:
    with hand_over_httpx(httpx.Client(**OPTIONS), hosts) as http:
        assert http.get(url).status_code == 200


def by_httpx_awaited(hosts: list[str], url: str) -> None:
    async def ask() -> None:
        async with hand_over_httpx(httpx.AsyncClient(**OPTIONS), hosts) as http:
            assert (await http.get(url)).status_code == 200

    asyncio.run(ask())


def by_requests(hosts: list[str], url: str) -> None:
    with hand_over_requests(requests.Session(), hosts) as session:
        session.trust_env = False
        assert session.get(url, timeout=PATIENCE).status_code == 200


@pytest.fixture(params=[by_httpx, by_httpx_awaited, by_requests], ids=lambda call: call.__name__)
def call(request: pytest.FixtureRequest) -> Call:
    found: Call = request.param
    return found


def answer(received: Received) -> Answer:
    """`/to/HOST:PORT` leads there."""
    if received.path.startswith("/to/"):
        return Answer(302, {"Location": f"http://{received.path.removeprefix('/to/')}/end"})
    return Answer(200)


@pytest.fixture
def service() -> Iterator[Collector]:
    with Collector(answer) as running:
        yield running


def in_a_request(work: Callable[[], object], client: Client) -> None:
    """Do something while a request of LOW is served."""

    def application(environ: Any, start_response: Any) -> Any:
        work()
        start_response("200 OK", [])
        return [b""]

    wsgi = httpx.WSGITransport(ConvertMiddleware(application, client))
    with httpx.Client(transport=wsgi, base_url="http://shop.example") as http:
        http.get("/", headers={"Cookie": f"convert_visitor_id={LOW}", "User-Agent": "Mozilla/5.0"})


def headers(service: Collector) -> list[str | None]:
    """The header of each request that arrived."""
    return [
        {name.lower(): value for name, value in received.headers.items()}.get("convert-visitor")
        for received in service.requests
    ]


def asked(call: Call, hosts: list[str], url: str) -> Client:
    client = Client.offline(SHOP, secrets=SECRETS)
    in_a_request(lambda: call(hosts, url), client)
    return client


def handed(client: Client, token: str | None) -> str:
    visitor = client.visitor_from(token or "")
    assert visitor is not None
    return visitor.id


class TestHosts:
    def test_a_host_of_the_list_gets_the_visitor(self, call: Call, service: Collector) -> None:
        client = asked(call, ["prices.internal", "127.0.0.1"], service.url)
        assert [handed(client, token) for token in headers(service)] == [LOW]

    def test_a_port_may_be_named(self, call: Call, service: Collector) -> None:
        port = urlsplit(service.url).port
        client = asked(call, [f"127.0.0.1:{port}"], service.url)
        assert [handed(client, token) for token in headers(service)] == [LOW]
        asked(call, ["127.0.0.1:1"], service.url)
        assert headers(service)[1:] == [None]

    def test_no_other_host_does(self, call: Call, service: Collector) -> None:
        asked(call, ["localhost", "27.0.0.1"], service.url)
        assert headers(service) == [None]

    def test_nor_anybody_outside_of_a_request(self, call: Call, service: Collector) -> None:
        call(["127.0.0.1"], service.url)
        assert headers(service) == [None]

    @pytest.mark.parametrize(
        "hosts", ["prices.internal", [], ["*.internal"], ["https://prices.internal"], [5], None]
    )
    def test_other_hosts_cannot_be(self, hosts: Any) -> None:
        with pytest.raises(OptionError, match="hosts"):
            hand_over_httpx(httpx.Client(), hosts)

    def test_another_client_is_misuse(self) -> None:
        wrong: Any = object()
        with pytest.raises(TypeError, match=r"must be a client of httpx, not object"):
            hand_over_httpx(wrong, ["prices.internal"])
        with pytest.raises(TypeError, match=r"must be a requests\.Session, not object"):
            hand_over_requests(wrong, ["prices.internal"])


class TestRedirects:
    def test_the_token_goes_no_further(self, call: Call, service: Collector) -> None:
        with Collector(answer) as elsewhere:
            target = f"localhost:{urlsplit(elsewhere.url).port}"
            client = asked(call, ["127.0.0.1"], f"{service.url.rstrip('/')}/to/{target}")
            assert [handed(client, token) for token in headers(service)] == [LOW]
            assert headers(elsewhere) == [None]

    def test_nor_to_a_host_of_the_list(self, call: Call, service: Collector) -> None:
        with Collector(answer) as elsewhere:
            target = f"localhost:{urlsplit(elsewhere.url).port}"
            asked(call, ["127.0.0.1", "localhost"], f"{service.url.rstrip('/')}/to/{target}")
            assert headers(elsewhere) == [None]
            asked(call, ["localhost"], f"{service.url.rstrip('/')}/to/{target}")  # from one that is not on it
            assert headers(elsewhere) == [None, None]
            assert headers(service)[1:] == [None]


class TestRepeated:
    def test_a_request_that_is_sent_twice_has_the_visitor_twice(self, service: Collector) -> None:
        client = Client.offline(SHOP, secrets=SECRETS)

        def work() -> None:
            with hand_over_httpx(httpx.Client(**OPTIONS), ["127.0.0.1"]) as http:
                request = http.build_request("GET", service.url)
                http.send(request)
                http.send(request)

        in_a_request(work, client)
        assert [handed(client, token) for token in headers(service)] == [LOW, LOW]

    def test_the_same_for_requests(self, service: Collector) -> None:
        client = Client.offline(SHOP, secrets=SECRETS)

        def work() -> None:
            with hand_over_requests(requests.Session(), ["127.0.0.1"]) as session:
                session.trust_env = False
                prepared = session.prepare_request(requests.Request("GET", service.url))
                session.send(prepared, timeout=PATIENCE)
                session.send(prepared, timeout=PATIENCE)

        in_a_request(work, client)
        assert [handed(client, token) for token in headers(service)] == [LOW, LOW]


def test_without_a_secret_the_call_says_what_to_do(call: Call, service: Collector) -> None:
    said: list[str] = []

    def work() -> None:
        with pytest.raises(OptionError) as raised:
            call(["127.0.0.1"], service.url)
        said.append(str(raised.value))

    in_a_request(work, Client.offline(SHOP))
    assert ["secrets=[…]" in text for text in said] == [True]
    assert service.requests == []


def test_an_id_that_does_not_fit_stays_here(call: Call, service: Collector) -> None:
    client = Client.offline(SHOP, secrets=SECRETS)

    def work() -> None:
        current_visitor().id = "".join(map(chr, range(0x4E00, 0x5600)))
        call(["127.0.0.1"], service.url)

    in_a_request(work, client)
    assert headers(service) == [None]
