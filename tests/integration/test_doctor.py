"""The examination of clients beside a real Serving API, and beside none."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path
from time import time
from typing import Any

import httpx
import pytest
import trustme

pytest.importorskip("starlette", reason="needs the extra server")

from convert_sdk import AsyncClient, Client
from convert_sdk.diagnosis import Diagnosis, Examined
from convert_sdk.server import DEMO_SDK_KEY, LocalServer, Registry, demo_document, running
from convert_sdk.stores.sqlite import SqliteStore
from tests.processes import finished
from tests.reliability.collector import Collector
from tests.reliability.site import KEY, serving


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    registry = Registry()
    registry.add(demo_document(), sdk_key=DEMO_SDK_KEY)
    registry.add(demo_document(), sdk_key="with/secret", secret="s3cret")
    with running(registry) as found:
        yield found


def examined(
    server: LocalServer, key: str = DEMO_SDK_KEY, *, wait: float = 60.0, **options: object
) -> Diagnosis:
    at = {"config_endpoint": server.url, "track_endpoint": server.url, "trust_env": False, **options}
    with Client(key, start_wait=0, **at) as client:  # type: ignore[arg-type]  # as the caller says
        client.wait_until_ready(wait)
        return client.doctor(60)


def test_all_is_well(server: LocalServer, tmp_path: Path) -> None:
    # A store that processes share: without one, other tests of this process may have loaded a server's program.
    found = examined(server, store=SqliteStore(tmp_path / "visitors.sqlite"))
    assert found.healthy
    assert str(found).endswith("nothing failed, no warnings")
    assert found.of("config endpoint").found.startswith("HTTP 200 in ")
    assert found.of("key and secret").found == "taken, without a secret"
    assert found.of("tls").found == "the endpoint is plain HTTP"
    assert found.of("clock").verdict.value == "ok"
    assert found.of("proxy").found == "none; the environment is not read"


def test_no_event_is_sent(server: LocalServer) -> None:
    registry = Registry()
    shop = registry.add(demo_document(), sdk_key=DEMO_SDK_KEY)
    with running(registry) as own:
        assert examined(own).healthy
    assert shop.record.summary().received == 0


@pytest.mark.parametrize(
    ("key", "options", "said", "advice"),
    [
        ("no/such", {}, "refused without a secret: HTTP 401", "The key is unknown"),
        ("with/secret", {}, "refused without a secret", "CONVERT_SDK_SECRET"),
        ("with/secret", {"sdk_secret": "other"}, "refused with a secret", "not that of the key"),
    ],
)
def test_a_key_that_is_refused(
    server: LocalServer, key: str, options: dict[str, str], said: str, advice: str
) -> None:
    found = examined(server, key, wait=0, **options)
    assert not found.healthy
    assert said in found.of("key and secret").found
    assert advice in found.of("key and secret").advice
    assert "s3cret" not in str(found)
    assert "other" not in json.loads(found.to_json())["examined"][0]["found"]


def test_a_server_that_cannot_answer(server: LocalServer) -> None:
    with server.failing(503):
        found = examined(server, wait=0)
    assert found.of("config endpoint").found.startswith("HTTP 503")
    assert found.of("config endpoint").verdict.value == "failed"
    assert found.of("key and secret").verdict.value == "skipped"


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with Client("1/2", config_endpoint=url, track_endpoint=url, trust_env=False, start_wait=0) as client:
            found = client.doctor(60)
    assert {each.name for each in found.examined if each.verdict.value == "failed"} == {
        "config endpoint",
        "tracking endpoint",
    }
    assert "Nobody listens there" in found.of("config endpoint").advice


HERE = ("localhost", "127.0.0.1")
PAST, FUTURE = datetime(2019, 1, 1, tzinfo=UTC), datetime(2199, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("hosts", "times", "said", "advice"),
    [
        (HERE, {"not_before": PAST, "not_after": PAST + timedelta(days=90)}, "has expired", "renewed"),
        (HERE, {"not_before": FUTURE, "not_after": FUTURE + timedelta(days=90)}, "not yet valid", "clock"),
        (("shop.example",), {}, "is not valid for 'localhost'", "another host's"),
    ],
)
def test_a_certificate_that_is_not_good(
    tmp_path: Path, hosts: tuple[str, ...], times: dict[str, Any], said: str, advice: str
) -> None:
    authority = trustme.CA()
    found = examined_with_tls(authority, authority.issue_cert(*hosts, **times), tmp_path)
    for name in ("config endpoint", "tracking endpoint", "tls"):
        assert found.of(name).verdict.value == "failed"
        assert said in found.of(name).found
        assert advice in found.of(name).advice
    assert found.of("key and secret").verdict.value == "skipped"


def test_a_certificate_of_an_unknown_authority(tmp_path: Path) -> None:
    found = examined_with_tls(trustme.CA(), trustme.CA().issue_cert(*HERE), tmp_path)
    assert found.of("tls").verdict.value == "failed"
    assert "as ca_bundle" in found.of("tls").advice


def test_a_certificate_of_an_authority_of_one_s_own(tmp_path: Path) -> None:
    authority = trustme.CA()
    found = examined_with_tls(authority, authority.issue_cert(*HERE), tmp_path)
    assert found.of("tls").found == "verified by ca_bundle"
    assert found.of("config endpoint").verdict.value == "ok"


def examined_with_tls(trusted: trustme.CA, shown: trustme.LeafCert, folder: Path) -> Diagnosis:
    bundle = folder / "ca.pem"
    trusted.cert_pem.write_to_path(str(bundle))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shown.configure_cert(tls)
    with Collector(serving(), tls=tls) as convert:
        here = {"config_endpoint": convert.url, "track_endpoint": convert.url, "ca_bundle": str(bundle)}
        with Client(KEY, trust_env=False, start_wait=0, **here) as client:  # type: ignore[arg-type]  # all are texts
            return client.doctor(60)


def test_a_proxy_that_cannot_be_used(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://")
    monkeypatch.setenv("NO_PROXY", "a b,[")
    found = examined(server, wait=0, trust_env=True, config_endpoint="http://192.0.2.1", allow_http=True)
    assert found.of("proxy").verdict.value == "failed"
    assert "HTTP_PROXY" in found.of("proxy").found
    assert found.of("config endpoint").verdict.value == "failed"


@pytest.mark.parametrize(("skew", "verdict"), [(0, "ok"), (-400, "warning"), (400, "warning")])
def test_the_clock(skew: float, verdict: str) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=demo_document(), headers={"Date": formatdate(time() - skew)})

    with Client("1/2", transport=httpx.MockTransport(answer), start_wait=0) as client:
        found = client.doctor(60)
    assert found.of("clock").verdict.value == verdict
    assert found.of("proxy").found == "the application's own transport"


def test_a_key_that_is_not_there() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(404))
    with Client("1/2", transport=transport, start_wait=0) as client:
        found = client.doctor(60).of("key and secret")
    assert (found.verdict.value, found.found) == ("failed", "unknown: HTTP 404")


@pytest.mark.parametrize("given", ["s3cret\n", RuntimeError("s3cret")])
def test_a_debug_token_that_cannot_be_had(given: str | Exception) -> None:
    def token() -> str:
        if isinstance(given, Exception):
            raise given
        return given

    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=demo_document()))
    with Client("1/2", transport=transport, debug_token=token, start_wait=0) as client:
        found = client.doctor(60)
    assert found.of("key and secret").verdict.value == "failed"
    assert found.of("key and secret").found.startswith("debug_token ")
    assert found.of("config endpoint").verdict.value == "ok"
    assert "s3cret" not in str(found)


@pytest.mark.parametrize(
    ("status", "found", "advice"),
    [
        (301, "HTTP 301 and leads to https://***@login.example/, which is not followed", "track_endpoint"),
        (302, "HTTP 302 and leads to https://***@login.example/, which is not followed", "track_endpoint"),
        (401, "HTTP 401", "the key and its secret"),
        (403, "HTTP 403", "what stands in between"),
        (407, "HTTP 407", "the proxy wants a name"),
    ],
)
def test_a_tracking_endpoint_that_refuses(status: int, found: str, advice: str) -> None:
    examined = tracking_answered(status)
    assert (examined.verdict.value, examined.found) == ("warning", found)
    assert examined.advice.startswith("Events may be refused: ")
    assert advice in examined.advice


@pytest.mark.parametrize("status", [400, 404, 405])
def test_a_tracking_endpoint_that_takes_no_get(status: int) -> None:
    examined = tracking_answered(status)
    assert examined.verdict.value == "ok"
    assert f" (HTTP {status} for a GET), no event was sent" in examined.found


def test_a_tracking_endpoint_that_takes_a_get() -> None:
    examined = tracking_answered(204)
    assert examined.verdict.value == "ok"
    assert "HTTP" not in examined.found


def tracking_answered(status: int) -> Examined:
    """What is found of a tracking endpoint that answers so."""

    def answer(request: httpx.Request) -> httpx.Response:
        if "/track/" in request.url.path:
            return httpx.Response(status, headers={"Location": "https://me:s3cret@login.example/?token=1"})
        return httpx.Response(200, json=demo_document())

    with Client("1/2", transport=httpx.MockTransport(answer), start_wait=0) as client:
        return client.doctor(60).of("tracking endpoint")


def test_beside_a_loop(server: LocalServer) -> None:
    async def look() -> Diagnosis:
        async with AsyncClient(
            DEMO_SDK_KEY, config_endpoint=server.url, track_endpoint=server.url, trust_env=False
        ) as client:
            await client.wait_until_ready(60)
            return await client.doctor(60)

    assert asyncio.run(look()).healthy


def test_a_child_knows_that_its_client_came_before_it() -> None:
    program = """
import os
from convert_sdk import Client
here = "http://127.0.0.1:9"
client = Client("1/2", config_endpoint=here, track_endpoint=here, trust_env=False, start_wait=0)
child = os.fork()
if child == 0:
    print(client.doctor(5).of("preload").verdict.value, flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(client.doctor(5).of("preload").verdict.value)
"""
    status, out, err = finished(program)
    assert (status, out.split()) == (0, ["warning", "skipped"]), err
