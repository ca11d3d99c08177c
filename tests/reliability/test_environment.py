"""An environment that cannot be read stops neither a client nor its host; it is said by the name of the variable."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from convert_sdk import AsyncClient, Client
from convert_sdk._http.environment import read_environment
from convert_sdk.errors import OptionError
from tests.processes import finished

from .collector import Collector
from .connect_proxy import ConnectProxy
from .site import KEY, site

SCRIPT = """
import asyncio, logging, sys
logging.basicConfig(format="%(name)s %(levelname)s %(message)s")
from convert_sdk import AsyncClient, Client
url = sys.argv[1]
options = dict(config_endpoint=url, track_endpoint=url, start_wait=120)

def used(client, visitor):
    decision = visitor.decide("button-10")
    visitor.track("goal-1")
    return decision.variation is not None, client.status().fetch_error

async def main():
    client = AsyncClient("1001/2002", **options)
    said = used(client, await client.visitor("v"))
    report = await client.flush(120)
    await client.close()
    return (*said, report.sent)

print(*asyncio.run(main()))
client = Client("1001/2002", **options)
said = used(client, client.visitor("v"))
print(*said, client.flush(120).sent)
client.close()
"""
BOTH = 2
"""The clients of the script: each says what it cannot read."""
MISSING = "/nowhere/at/all"
UNREADABLE: Mapping[str, Mapping[str, str]] = {
    "a wildcard that means nothing": {"NO_PROXY": "localhost,exa mple,[::1"},
    "an entry of NO_PROXY that is no host": {"no_proxy": "http://["},
    "SOCKS without its package": {"ALL_PROXY": "socks5://127.0.0.1:1080"},
    "a scheme that nobody knows": {"ALL_PROXY": "gopher://127.0.0.1:70"},
    "# in a password": {"HTTP_PROXY": "http://user:pa#ss@127.0.0.1:3128"},
    "# in a name": {"HTTPS_PROXY": "http://us#er:pass@127.0.0.1:3128"},
    "a port that is no number": {"http_proxy": "http://127.0.0.1:port"},
    "a port beyond all": {"HTTPS_PROXY": "http://127.0.0.1:99999"},
    "a host that cannot be": {"HTTP_PROXY": "http://a..b:3128"},
    "no host": {"HTTPS_PROXY": "http://"},
    "a bracket": {"HTTP_PROXY": "http://[::1"},
}
READABLE: Mapping[str, Mapping[str, str]] = {
    "an IPv6 network": {"NO_PROXY": "localhost,fd07:b51a:cc66:f0::/64"},
    "an IPv6 address in brackets": {"NO_PROXY": "[::1]", "HTTP_PROXY": "http://127.0.0.1:9"},
    "spaces and stars": {
        "NO_PROXY": "*.example.com .example.org,, 10.0.0.0/8",
        "HTTP_PROXY": "http://127.0.0.1:9",
    },
    "no file of certificates where none is needed": {
        "SSL_CERT_FILE": MISSING,
        "SSLKEYLOGFILE": f"{MISSING}/keys",
    },
}


@pytest.mark.parametrize("variables", UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_unreadable_is_said_once_and_stops_nothing(variables: Mapping[str, str]) -> None:
    (name,) = variables
    with site() as convert:
        status, out, err = finished(SCRIPT, convert.url, env=variables)
    assert (status, out) == (0, "True None 2\n" * BOTH)
    lines = [line for line in err.splitlines() if name in line]
    assert len(lines) == BOTH
    assert all(line.startswith("convert_sdk WARNING ") for line in lines)
    assert "pa#ss" not in err
    assert "Traceback" not in err


@pytest.mark.parametrize("variables", READABLE.values(), ids=READABLE)
def test_what_other_tools_read_is_read(variables: Mapping[str, str]) -> None:
    with site() as convert:
        assert finished(SCRIPT, convert.url, env=variables) == (0, "True None 2\n" * BOTH, "")


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "http://user:pa#ss@127.0.0.1:3128"])
def test_a_request_is_not_sent_past_a_proxy_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    client = Client(KEY, config_endpoint="https://cdn.invalid", start_wait=120)
    visitor = client.visitor("v")
    assert visitor.track("goal-1")
    error = client.status().fetch_error
    assert error is not None
    assert "ALL_PROXY" in error
    assert "pa#ss" not in error
    client.flush(0.2)
    assert client.status().pending_conversions == 1
    client.close(0)


TLS = {
    "SSL_CERT_FILE": MISSING,
    "SSL_CERT_DIR": MISSING,
    "SSLKEYLOGFILE": f"{MISSING}/keys",
}


@pytest.mark.parametrize(("name", "value"), TLS.items(), ids=TLS)
def test_certificates_that_the_environment_misses_are_left_out(name: str, value: str) -> None:
    """The server speaks no TLS: it is reached, and the error is its own."""
    with site() as convert:
        script = SCRIPT.replace("start_wait=120)", "start_wait=120, shutdown_timeout=0)").replace(
            "flush(120)", "flush(0)"
        )
        url = convert.url.replace("http:", "https:")
        status, out, err = finished(script, url, env={"SSL_CERT_FILE": "", name: value})
    assert status == 0
    assert out.count("False ConnectError: [SSL") == BOTH
    lines = [line for line in err.splitlines() if name in line]
    assert len(lines) == BOTH
    assert all("WARNING" in line for line in lines)
    assert "Traceback" not in err


# Options.


@pytest.fixture(params=[Client, AsyncClient], ids=["sync", "async"])
def make(request: pytest.FixtureRequest) -> type[Client | AsyncClient]:
    made: type[Client | AsyncClient] = request.param
    return made


@pytest.mark.parametrize(
    "proxy",
    [
        "socks5://127.0.0.1:1080",
        "http://user:pa#ss@127.0.0.1:3128",
        "http://us#er:pass@127.0.0.1:3128",
        "http://user:pa/ss@127.0.0.1:3128",
        "http://user:pa?ss@127.0.0.1:3128",
        "http://127.0.0.1:port",
        "http://127.0.0.1:99999",
        "http://",
        "127.0.0.1:3128",
        "http://[::1",
    ],
)
def test_a_proxy_that_cannot_be_used_is_refused(make: type[Client | AsyncClient], proxy: str) -> None:
    with pytest.raises(OptionError, match=r"^proxy ") as refused:
        make(KEY, proxy=proxy)
    assert "ss@" not in str(refused.value)


def test_certificates_that_cannot_be_read_are_refused(
    make: type[Client | AsyncClient], tmp_path: Path
) -> None:
    empty = tmp_path / "empty.pem"
    empty.touch()
    for value, words in (
        (MISSING, "cannot be read: No such file or directory"),
        (str(tmp_path), "cannot be read: Is a directory"),
        (str(empty), "holds no certificate"),
        ("a\0b", "a character in it that nobody sees (U+0000)"),
    ):
        with pytest.raises(OptionError, match=r"^ca_bundle ") as refused:
            make(KEY, ca_bundle=value)
        assert words in str(refused.value)


def test_certificates_that_vanish_or_are_none_are_a_fetch_error(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("-----BEGIN CERTIFICATE-----\nnot base64\n-----END CERTIFICATE-----\n")
    for damage in ("damaged", "gone"):
        client = Client(KEY, config_endpoint="https://127.0.0.1:9", ca_bundle=str(bundle), start_wait=120)
        if damage == "gone":
            bundle.unlink()
        assert client.visitor("v").decide("button-10").variation is None
        error = client.status().fetch_error
        assert error is not None
        assert "ca_bundle cannot be read" in error
        client.flush(0.1)
        client.close(0)


# Proxies, for real.


def test_proxies_of_the_environment_are_taken_and_excepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://web.example:1")
    monkeypatch.setenv("ALL_PROXY", "all.example:2")
    monkeypatch.setenv(
        "NO_PROXY",
        "example.com,.example.org,192.168.0.0/16,fd07::/64,[fd08::1]:8080,https://only.example.net,10.0.0.1:81",
    )
    environment = read_environment()
    assert environment.flaws == ()

    def proxy(url: str) -> str | None:
        route = environment.route(httpx.URL(url))
        return None if route is None or route.proxy is None else route.proxy.url.host

    assert proxy("http://convert.example/") == "web.example"
    assert proxy("https://convert.example/") == "all.example"
    for direct in (
        "http://example.com",
        "http://www.example.com",
        "http://www.example.org",
        "http://192.168.3.4",
        "http://[fd07::5]",
        "http://[fd08::1]:8080",
        "https://only.example.net",
        "http://10.0.0.1:81",
        "http://localhost:9",
        "http://127.0.0.1:9",
        "https://[::1]",
    ):
        assert proxy(direct) is None, direct
    for proxied in (
        "http://badexample.com",
        "http://example.org",
        "http://192.169.3.4",
        "http://[fd07:0:0:1::5]",
        "http://[fd08::1]",
        "http://only.example.net",
        "http://10.0.0.1",
    ):
        assert proxy(proxied) is not None, proxied
    monkeypatch.setenv("NO_PROXY", "a,*")
    assert read_environment().route(httpx.URL("http://convert.example/")) is None


@pytest.fixture
def proxy() -> Iterator[ConnectProxy]:
    with ConnectProxy() as proxy:
        yield proxy


def test_the_option_sends_even_this_machine_through_the_proxy(proxy: ConnectProxy) -> None:
    with site() as convert:
        url = convert.url.replace("http:", "https:")
        client = Client(KEY, config_endpoint=url, proxy=proxy.url, start_wait=120)
        client.visitor("v")
        assert client.status().fetch_error is not None
        client.close(0)
        assert proxy.targets[0] == f"127.0.0.1:{convert.address[1]}"


# Logs.


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
def test_libraries_log_nothing_of_our_requests(caplog: pytest.LogCaptureFixture, level: int) -> None:
    caplog.set_level(level)
    others = {thread.ident for thread in threading.enumerate()} - {threading.get_ident()}  # of earlier tests
    with site() as convert:
        client = Client(KEY, config_endpoint=convert.url, track_endpoint=convert.url, start_wait=120)
        for number in range(3):
            client.visitor(f"v-{number}").decide("button-10")
            client.flush(120)
        client.close()

        async def main() -> None:
            at = {"config_endpoint": convert.url, "track_endpoint": convert.url}
            async with AsyncClient(KEY, **at, start_wait=120, shutdown_timeout=120) as client:  # type: ignore[arg-type]
                (await client.visitor("v-9")).decide("button-10")

        asyncio.run(main())
        assert len(convert.events) == 4
    named = [record.name for record in caplog.records if record.thread not in others]
    assert [name for name in named if name.startswith(("http", "convert_sdk"))] == []


def test_the_hosts_own_httpx_logs_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Collector() as collector, site() as convert:
        client = Client(KEY, config_endpoint=convert.url, track_endpoint=convert.url, start_wait=120)
        client.visitor("v").decide("button-10")
        with httpx.Client() as own:
            own.get(collector.url)
        client.close()
    named = {record.name for record in caplog.records}
    assert {"httpx", "httpcore.connection", "httpcore.http11"} <= named
    assert KEY not in caplog.text
