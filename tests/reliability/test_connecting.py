"""The way to a server: names, addresses that lead nowhere, TLS, what a body costs, and clocks that stand still."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from inspect import signature
from math import inf
from pathlib import Path
from typing import Any

import httpcore
import pytest
import trustme

from convert_sdk import Client
from convert_sdk._http import names
from convert_sdk._http.body import Body, decoded
from convert_sdk._http.client import asend, open_async_client, open_client, send
from convert_sdk._http.messages import TOO_SLOW, Failure, Request, Response, request_headers
from convert_sdk._http.names import Resolver
from convert_sdk._http.network import NetworkBackend
from tests.processes import finished
from tests.threads import client_threads
from tests.waiting import PATIENCE, eventually

from .collector import Answer, Collector
from .site import KEY, dead, site

HOST = "convert.test"
Ask = Callable[[Request], "Response | Failure"]


@pytest.fixture(autouse=True)
def strangers() -> None:
    """No test finds what another one has learned of a name."""
    for known in (names._last_good, names._connected):  # what a process knows has no public face
        known.clear()


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    if request.param == "sync":

        def blocking(question: Request) -> Response | Failure:
            with open_client() as client:
                return send(client, question)

        return blocking

    def awaited(question: Request) -> Response | Failure:
        async def main() -> Response | Failure:
            async with open_async_client() as client:
                return await asend(client, question)

        return asyncio.run(main())

    return awaited


class Names:
    """The system's resolver, as far as this process asks it."""

    def __init__(self) -> None:
        self.addresses: dict[str, list[str]] = {}
        self.asked: list[str] = []
        self.threads: set[int] = set()
        self.error: OSError | None = None
        self.answers = threading.Event()
        self.answers.set()

    def getaddrinfo(self, host: Any, port: Any, *rest: Any, **options: Any) -> list[Any]:
        self.asked.append(host)
        self.threads.add(threading.get_ident())
        self.answers.wait(300)
        if self.error is not None:
            raise self.error
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (address, port),
            )
            for address in self.addresses[host]
        ]


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    system = Names()
    monkeypatch.setattr(socket, "getaddrinfo", system.getaddrinfo)
    yield system
    system.answers.set()


def get(collector: Collector, timeout: float = 120.0) -> Request:
    return Request(
        "GET", f"http://{HOST}:{collector.address[1]}/config/key", request_headers(), timeout=timeout
    )


@contextmanager
def swallowing(address: str, port: int) -> Iterator[None]:
    """An address that answers no packet: its queue of connections is full and nobody takes one out."""
    with ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind((address, port))
        full.listen(0)
        for _ in range(8):
            knock = stack.enter_context(socket.socket())
            knock.setblocking(False)
            knock.connect_ex((address, port))
        yield


# Addresses.


def test_an_address_that_swallows_packets_costs_a_quarter_of_a_second(
    ask: Ask, system: Names, collector: Collector
) -> None:
    port = collector.address[1]
    system.addresses[HOST] = ["127.0.0.2", "127.0.0.1"]
    with swallowing("127.0.0.2", port):
        # The first address alone would take all of the time.
        assert ask(get(collector)._replace(timeout=60.0, step_timeout=60.0))[0] == 200
        assert names.last_good(HOST) == ("127.0.0.1", "127.0.0.2"), "and the next connection does not wait"


def test_an_address_that_refuses_costs_nothing(ask: Ask, system: Names, collector: Collector) -> None:
    system.addresses[HOST] = ["127.0.0.2", "::1", "127.0.0.1"]
    assert ask(get(collector))[0] == 200


def test_where_nobody_answers_the_connect_timeout_holds(
    ask: Ask, system: Names, collector: Collector
) -> None:
    port = collector.address[1]
    system.addresses[HOST] = ["127.0.0.2", "127.0.0.3"]
    with swallowing("127.0.0.2", port), swallowing("127.0.0.3", port):
        answer = ask(get(collector, timeout=0.6))
    assert isinstance(answer, Failure)
    assert answer.kind == "undelivered"
    assert "Timeout" in answer.detail


def test_the_losers_of_a_race_are_closed(ask: Ask, system: Names, collector: Collector) -> None:
    """Descriptors show it, and a ResourceWarning would fail the test."""
    port = collector.address[1]
    system.addresses[HOST] = ["127.0.0.2", "127.0.0.1"]
    with swallowing("127.0.0.2", port):
        ask(get(collector))
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(5):
            names._connected.clear()
            assert ask(get(collector))[0] == 200
        eventually(lambda: len(list(Path("/proc/self/fd").iterdir())) <= before)


def test_a_client_has_its_document_although_the_first_address_swallows_packets(system: Names) -> None:
    with site() as convert, swallowing("127.0.0.2", convert.address[1]):
        system.addresses[HOST] = ["127.0.0.2", "127.0.0.1"]
        url = f"http://{HOST}:{convert.address[1]}"
        client = Client(KEY, config_endpoint=url, track_endpoint=url, allow_http=True, start_wait=120)
        assert client.visitor("v").decide("button-10").variation is not None
        assert client.flush(120).pending == 0
        assert len(convert.events) == 1
        client.close()


# Names.


def resolving(before: set[threading.Thread]) -> list[threading.Thread]:
    """The threads that resolve names, without those of earlier tests."""
    return [each for each in client_threads() - before if each.name == "convert_sdk-names"]


def test_one_thread_of_a_client_resolves_all_names_and_ends_with_it(
    system: Names, collector: Collector
) -> None:
    system.addresses[HOST] = ["127.0.0.1"]
    collector.answer = lambda _: Answer(200, {"Connection": "close"})
    before = client_threads()
    with open_client() as client:
        assert [send(client, get(collector))[0] for _ in range(4)] == [200] * 4
        assert len(system.asked) == 4
        assert len(system.threads) == 1
        (thread,) = resolving(before)
    thread.join(120)
    assert not thread.is_alive()


def test_a_client_that_nobody_closes_leaves_no_thread(system: Names) -> None:
    system.addresses[HOST] = ["127.0.0.1"]
    before = client_threads()
    resolver = Resolver()
    assert resolver.resolve(HOST, 80, 120) == ("127.0.0.1",)
    (thread,) = resolving(before)
    del resolver
    thread.join(120)
    assert not thread.is_alive()


def test_the_last_good_address_serves_while_the_resolver_hangs(
    ask: Ask, system: Names, collector: Collector
) -> None:
    system.addresses[HOST] = ["127.0.0.1"]
    assert ask(get(collector))[0] == 200
    system.answers.clear()
    assert ask(get(collector))[0] == 200, "it did not take all of the time"
    system.answers.set()


def test_a_name_that_nobody_knows_is_waited_for_until_the_deadline(
    ask: Ask, system: Names, collector: Collector
) -> None:
    system.answers.clear()
    answer = ask(get(collector, timeout=0.3))
    assert isinstance(answer, Failure)
    assert answer.kind == "undelivered"
    system.answers.set()


@pytest.mark.parametrize(
    ("code", "served"), [(socket.EAI_AGAIN, True), (socket.EAI_NONAME, False)], ids=["fails", "says no"]
)
def test_the_last_good_address_serves_while_the_resolver_fails(
    ask: Ask, system: Names, collector: Collector, code: int, served: bool
) -> None:
    system.addresses[HOST] = ["127.0.0.1"]
    assert ask(get(collector))[0] == 200
    system.error = socket.gaierror(code, "no answer")
    answer = ask(get(collector))
    assert isinstance(answer, Response) == served
    if not served:
        assert isinstance(answer, Failure)
        assert f"{HOST} was not resolved: no answer" in answer.detail


def test_an_inline_client_asks_for_no_name_that_it_knows(system: Names, collector: Collector) -> None:
    system.addresses[HOST] = ["127.0.0.1"]
    with open_client(inline=True) as client:
        assert send(client, get(collector))[0] == 200
    with open_client(inline=True) as client:
        assert send(client, get(collector))[0] == 200
    assert len(system.asked) == 1
    names._last_good[HOST] = ("127.0.0.9",)
    names._connected.clear()
    with open_client(inline=True) as client:
        assert send(client, get(collector))[0] == 200, "an old address that refuses is not the end of it"
    assert len(system.asked) == 2


def test_names_are_resolved_where_no_thread_can_be_started(
    monkeypatch: pytest.MonkeyPatch, ask: Ask, system: Names, collector: Collector
) -> None:
    """As at the end of the interpreter."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread at interpreter shutdown")

    system.addresses[HOST] = ["127.0.0.1"]
    collector.answer = lambda _: Answer(200, {}, b"{}")
    serving = threading.Thread.start
    monkeypatch.setattr(
        threading.Thread,
        "start",
        lambda thread: refuse(thread) if thread.name.startswith("convert_sdk") else serving(thread),
    )
    assert ask(get(collector))[0] == 200
    assert system.threads == {threading.get_ident()}
    with open_client() as client:
        assert send(client, get(collector))[0] == 200
    assert len(system.asked) == 1, "an address that is known is tried before anybody waits for the resolver"


def test_the_end_of_a_process_does_not_wait_for_a_name() -> None:
    """Nor for anything else of an event loop: no executor, whose threads Python would join."""
    script = """
import asyncio, socket, threading
from convert_sdk._http.client import asend, open_async_client
from convert_sdk._http.messages import Request
socket.getaddrinfo = lambda *arguments, **options: threading.Event().wait()

async def main():
    async with open_async_client() as client:
        return await asend(client, Request("GET", "http://convert.test/", {}, timeout=0.2))

print(asyncio.run(main()).kind)
"""
    assert finished(script) == (0, "undelivered\n", "")


# TLS.


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, str]:
    authority = trustme.CA()
    bundle = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    return authority, str(bundle)


def server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


def test_large_bodies_pass_through_tls_in_both_directions(authority: tuple[trustme.CA, str]) -> None:
    document = bytes(range(256)) * 20_000
    events = b'{"visitors": [], "filler": "' + b"x" * 3_000_000 + b'"}'
    with (
        Collector(tls=server_context(authority[0])) as collector,
        open_client(ca_bundle=authority[1]) as client,
    ):
        collector.answer = lambda _: Answer(200, {}, document)
        for _ in range(2):
            answer = send(client, Request("POST", collector.url, request_headers(), events))
            assert isinstance(answer, Response)
            assert answer.body == document
        assert [received.body for received in collector.requests] == [events, events]
        assert collector.connections == 1


def test_a_handshake_that_nobody_answers_ends_at_the_deadline(
    authority: tuple[trustme.CA, str], ask: Ask
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        answer = ask(Request("GET", f"https://127.0.0.1:{silent.getsockname()[1]}", {}, timeout=0.3))
    assert isinstance(answer, Failure)
    assert answer.kind == "undelivered"


def test_plain_text_in_place_of_tls_is_undelivered(ask: Ask, collector: Collector) -> None:
    answer = ask(Request("GET", collector.url.replace("http:", "https:"), {}, timeout=120))
    assert isinstance(answer, Failure)
    assert answer.kind == "undelivered"


def test_a_certificate_that_is_not_trusted_comes_with_advice(
    monkeypatch: pytest.MonkeyPatch, ask: Ask, authority: tuple[trustme.CA, str]
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", authority[1])
    with Collector(tls=server_context(authority[0])) as collector:
        answer = ask(Request("GET", collector.url, request_headers(), timeout=120))
    assert isinstance(answer, Failure)
    assert "CERTIFICATE_VERIFY_FAILED" in answer.detail
    assert "as ca_bundle (REQUESTS_CA_BUNDLE is not read)" in answer.detail


def test_no_certificate_is_loaded_for_http(collector: Collector) -> None:
    script = """
import ssl, sys
ssl.SSLContext.load_verify_locations = lambda *arguments, **options: sys.exit("certificates were loaded")
from convert_sdk import Client
client = Client("1/2", config_endpoint=sys.argv[1], track_endpoint=sys.argv[1], start_wait=120)
client.visitor("v")
print(client.status().fetch_error is not None)
client.close()
"""
    assert finished(script, collector.url)[:2] == (0, "True\n")


def test_a_fork_finds_no_thread_in_the_middle_of_openssl(authority: tuple[trustme.CA, str]) -> None:
    """Children that are forked while other threads agree on TLS can use it themselves."""
    script = """
import os, sys, threading
from convert_sdk._http.client import open_client, send
from convert_sdk._http.messages import Request
url, bundle = sys.argv[1:3]

def fetch():
    with open_client(ca_bundle=bundle) as client:
        return send(client, Request("GET", url, {}, timeout=120))[0]

def keep_fetching():
    while not over.is_set():
        fetch()

over = threading.Event()
threads = [threading.Thread(target=keep_fetching) for _ in range(3)]
for thread in threads:
    thread.start()
statuses = []
for _ in range(20):
    child = os.fork()
    if not child:
        os._exit(0 if fetch() == 200 else 1)
    statuses.append(os.waitpid(child, 0)[1])
over.set()
for thread in threads:
    thread.join()
print(sum(statuses))
"""
    with Collector(tls=server_context(authority[0])) as collector:
        assert finished(script, collector.url, authority[1])[:2] == (0, "0\n")


def test_a_fork_finds_no_look_up_under_way() -> None:
    """The system's resolver would hang in a child that was forked while it worked for another thread."""
    script = """
import os, socket, threading
from convert_sdk._http import names
from convert_sdk._http.names import Resolver
from convert_sdk._process.fork import install_fork_hook

install_fork_hook()
names._FORK_WAIT = 60.0  # a fork goes on after it, come what may
entered, forking, looking_up = threading.Event(), threading.Event(), []

def getaddrinfo(*arguments, **named):
    looking_up.append(True)
    entered.set()
    forking.wait()
    looking_up.clear()
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))]

socket.getaddrinfo = getaddrinfo
os.register_at_fork(before=forking.set)
asking = threading.Thread(target=Resolver().resolve, args=("shop.test", 80, 60.0))
asking.start()
entered.wait()
child = os.fork()
if not child:
    os._exit(len(looking_up))
print(os.waitpid(child, 0)[1])
asking.join()
"""
    assert finished(script)[:2] == (0, "0\n")


def test_a_look_up_waits_for_a_fork_that_has_begun() -> None:
    script = """
import os, sys, threading
entered, asking = threading.Event(), []

def ask():
    asking.append(threading.Thread(target=Resolver().resolve, args=("shop.test", 80, 60.0)))
    asking[0].start()
    while not entered.is_set() and "no_fork" not in running():
        pass

def running():
    return {frame.f_code.co_name for frame in sys._current_frames().values()}

os.register_at_fork(before=ask)  # runs after ours, as those that were registered before them
import socket
from convert_sdk._http.names import Resolver
from convert_sdk._process.fork import install_fork_hook

install_fork_hook()  # as each client does

def getaddrinfo(*arguments, **named):
    entered.set()
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))]

socket.getaddrinfo = getaddrinfo
child = os.fork()
if not child:
    os._exit(entered.is_set())
print(os.waitpid(child, 0)[1])
asking[0].join()
"""
    assert finished(script)[:2] == (0, "0\n")


def test_an_https_proxy_may_lead_to_an_https_server(authority: tuple[trustme.CA, str]) -> None:
    """TLS within TLS; the proxy's certificate is checked with the same authorities."""
    from .connect_proxy import ConnectProxy

    with (
        Collector(tls=server_context(authority[0])) as collector,
        ConnectProxy(server_context(authority[0])) as proxy,
        open_client(ca_bundle=authority[1], proxy=proxy.url) as client,
    ):
        answer = send(client, Request("GET", collector.url, request_headers(), timeout=120))
        assert answer[0] == 200
        assert proxy.targets == [f"localhost:{collector.address[1]}"]


# Bodies.


@pytest.mark.parametrize("size", [1.5, 4.0])
def test_empty_members_without_end_are_refused(ask: Ask, collector: Collector, size: float) -> None:
    member = gzip.compress(b"")
    body = member * int(size * 1024 * 1024 / len(member))
    collector.answer = lambda _: Answer(200, {"Content-Encoding": "gzip"}, body)
    answer = ask(Request("GET", collector.url, request_headers(), timeout=120))
    assert isinstance(answer, Response)
    assert answer.body_error == "not gzip: it has more than 1,000 members"


def test_inflating_ends_at_the_deadline() -> None:
    """Of members that hold nothing, as of any others."""
    body = gzip.compress(b"") * 900
    assert decoded(body, "gzip", 1_000, inf) == Body(b"")
    assert decoded(body, "gzip", 1_000, -inf) == Body(error=TOO_SLOW)


@pytest.mark.parametrize("word", ["utf-8", "UTF8", "none", "binary", "identity", "", ","])
def test_a_word_that_is_no_compression_changes_nothing(ask: Ask, collector: Collector, word: str) -> None:
    collector.answer = lambda _: Answer(200, {"Content-Encoding": word}, b'{"a": 1}')
    answer = ask(Request("GET", collector.url, request_headers(), timeout=120))
    assert isinstance(answer, Response)
    assert (answer.body, answer.body_error) == (b'{"a": 1}', "")


@pytest.mark.parametrize("encoding", ["gzip, utf-8", "GZIP", "identity,x-gzip"])
def test_compression_is_found_beside_such_words(ask: Ask, collector: Collector, encoding: str) -> None:
    collector.answer = lambda _: Answer(200, {"Content-Encoding": encoding}, gzip.compress(b"{}"))
    answer = ask(Request("GET", collector.url, request_headers(), timeout=120))
    assert isinstance(answer, Response)
    assert (answer.body, answer.body_error) == (b"{}", "")


def test_deflate_is_read_with_its_header_and_without(ask: Ask, collector: Collector) -> None:
    packer = zlib.compressobj(wbits=-15)
    bare = packer.compress(b"[1]") + packer.flush()
    for body in (zlib.compress(b"[1]"), bare):
        collector.answer = lambda _, body=body: Answer(200, {"Content-Encoding": "deflate"}, body)  # type: ignore[misc]
        answer = ask(Request("GET", collector.url, request_headers(), timeout=120))
        assert isinstance(answer, Response)
        assert (answer.body, answer.body_error) == (b"[1]", "")


# Connections that outlive their pool.


def test_a_connection_that_is_made_while_the_client_closes_is_closed(collector: Collector) -> None:
    """The pool has let go of it, or never had it."""
    backend = NetworkBackend(Resolver())
    stream = backend.connect_tcp(*collector.address, PATIENCE)
    backend.close()
    assert stream.get_extra_info("socket").fileno() == -1
    with pytest.raises(httpcore.ConnectError, match="closed"):
        backend.connect_tcp(*collector.address, PATIENCE)


# Clocks, and what we rely on.


FLUSHES = """
print(client.flush(0.5).pending)
client.close(0)
"""


@pytest.mark.parametrize(("ending", "out"), [(FLUSHES, "1\n"), ("", "")])
def test_a_frozen_clock_ends_no_flush_and_no_process_late(ending: str, out: str) -> None:
    """Tools such as freezegun replace `time.monotonic` in every module that has it by this name."""
    script = """
import sys, time
real = time.monotonic
from convert_sdk import Client
import convert_sdk._http.client, convert_sdk._delivery.loop, convert_sdk._http.network

options = {"config_endpoint": sys.argv[1], "track_endpoint": sys.argv[1], "start_wait": 120}
client = Client("1001/2002", shutdown_timeout=0.5, **options)
client.visitor("v").decide("button-10")
stopped = real()
standing = lambda: stopped
for module in list(sys.modules.values()):
    for name, value in list(vars(module).items()) if module is not None else ():
        if value is real and module is not sys.modules["__main__"]:
            setattr(module, name, standing)
assert time.monotonic() == time.monotonic()
"""
    with site(dead) as convert:
        assert finished(script + ending, convert.url)[:2] == (0, out)


def test_httpcore_has_the_places_that_we_build_on() -> None:
    """All of them are public: a release that moves one fails here, not in production."""
    for name in ("ConnectionPool", "HTTPProxy"):
        for pool in (getattr(httpcore, name), getattr(httpcore, f"Async{name}")):
            assert "network_backend" in signature(pool).parameters, (
                f"{name} of httpcore {httpcore.__version__}"
            )
    assert issubclass(httpcore.AnyIOBackend, httpcore.AsyncNetworkBackend)


def test_no_private_attribute_of_the_libraries_is_touched() -> None:
    import ast

    folder = Path(names.__file__).parent
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.endswith("__"):
                assert isinstance(node.value, ast.Name), f"{path.name}: {node.attr}"
                assert node.value.id == "self", f"{path.name}: {node.value.id}.{node.attr}"
