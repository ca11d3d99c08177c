"""The two exchanges against a server and a network that misbehave."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from math import inf
from threading import Event as Flag
from threading import Thread, current_thread, main_thread

import httpx
import pytest
import trustme

from convert_sdk._core.events import Event, TrackingContext, exposure_wire
from convert_sdk._delivery.loop import arun, astep, run, step
from convert_sdk._delivery.queue import DeliveryConfig, Endpoint, EventQueue
from convert_sdk._http.client import asend, open_async_client, open_client, send
from convert_sdk._http.messages import SIZE_CAP, Failure, Request, Response, request_headers
from tests.processes import finished

from .collector import Answer, Collector
from .fault_proxy import Fault, FaultProxy, canned

Ask = Callable[[Request], "Response | Failure"]
BODY = b'{"visitors": [{"visitorId": "v", "events": [{"eventType": "bucketing"}]}]}'


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture
def proxy(collector: Collector) -> Iterator[FaultProxy]:
    with FaultProxy(collector.address) as proxy:
        yield proxy


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


def post(url: str, timeout: float = 120.0) -> Request:
    return Request("POST", f"{url}/track/key", request_headers("s3cret"), BODY, timeout)


def get(url: str, timeout: float = 120.0) -> Request:
    return Request("GET", f"{url}/config/key?environment=a%20b", request_headers(), timeout=timeout)


def test_an_answer_is_heard_and_the_headers_are_exact(ask: Ask, collector: Collector) -> None:
    answer = ask(post(collector.url))
    assert isinstance(answer, Response)
    assert (answer.status, answer.body, answer.body_error) == (200, b'{"code": 200, "message": "OK"}', "")
    received = collector.requests[0]
    assert received.headers["user-agent"] == "ConvertAgent/1.0"
    assert received.headers["authorization"] == "Bearer s3cret"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["accept-encoding"] == "gzip"
    assert received.body == BODY


def test_the_url_is_sent_as_it_is(ask: Ask, collector: Collector) -> None:
    ask(get(collector.url))
    assert collector.requests[0].path == "/config/key?environment=a%20b"


def test_a_refused_connection_is_undelivered(ask: Ask) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        answer = ask(post(f"http://127.0.0.1:{reserved.getsockname()[1]}"))
    assert isinstance(answer, Failure)
    assert answer.kind == "undelivered"


@pytest.mark.parametrize(
    ("url", "headers"),
    [("ftp://127.0.0.1", {}), ("http://[", {}), ("http://127.0.0.1", {"Authorization": "Bearer schlüssel€"})],
)
def test_what_cannot_be_sent_is_undelivered(ask: Ask, url: str, headers: dict[str, str]) -> None:
    answer = ask(Request("POST", url, headers, b"{}"))
    assert isinstance(answer, Failure)
    assert answer.kind == "undelivered"


def test_a_header_that_cannot_be_sent_is_not_quoted(ask: Ask, collector: Collector) -> None:
    answer = ask(Request("GET", collector.url, {"Authorization": "Bearer s3cret\n"}))
    assert answer == Failure("undelivered", "LocalProtocolError: the request cannot be sent as it is")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ConnectError("dns"), "undelivered"),
        (httpx.ConnectTimeout("slow"), "undelivered"),
        (httpx.PoolTimeout("busy"), "undelivered"),
        (httpx.ProxyError("407"), "undelivered"),
        (httpx.ReadTimeout("slow"), "ambiguous"),
        (httpx.WriteTimeout("slow"), "ambiguous"),
        (httpx.ReadError("reset"), "ambiguous"),
        (httpx.RemoteProtocolError("closed"), "ambiguous"),
        (RuntimeError("a transport of the application's own"), "ambiguous"),
    ],
)
def test_failures_are_told_apart(error: Exception, kind: str) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error

    with open_client(transport=httpx.MockTransport(fail)) as client:
        answer = send(client, post("https://collector.invalid"))
    assert isinstance(answer, Failure)
    assert answer.kind == kind
    assert type(error).__name__ in answer.detail


@pytest.mark.parametrize("fault", [Fault("reset"), Fault("half_close")], ids=lambda fault: fault.kind)
def test_no_answer_after_the_body_is_ambiguous(
    ask: Ask, proxy: FaultProxy, collector: Collector, fault: Fault
) -> None:
    proxy.fault = fault
    answer = ask(post(proxy.url))
    assert isinstance(answer, Failure)
    assert answer.kind == "ambiguous"
    assert len(collector.events) == 1


@pytest.mark.parametrize("fault", [Fault("black_hole"), Fault("latency", 60.0), Fault("drip", 0.1)])
def test_the_deadline_is_total(ask: Ask, proxy: FaultProxy, fault: Fault) -> None:
    """Even where every single read is answered in time, as with headers that drip."""
    proxy.fault = fault
    answer = ask(post(proxy.url, timeout=5.0))
    assert isinstance(answer, Failure)
    assert answer.kind == "ambiguous"


def test_a_body_that_drips_leaves_its_status(ask: Ask, proxy: FaultProxy) -> None:
    proxy.fault = Fault("drip_body", 1.0)
    answer = ask(post(proxy.url, timeout=5.0))
    assert isinstance(answer, Response)
    assert answer.status == 200
    assert answer.body_error
    assert answer.body == b""


def test_a_deadline_holds_through_a_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, ask: Ask, collector: Collector, proxy: FaultProxy
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    answer = ask(get("http://cdn.invalid"))
    assert isinstance(answer, Response)
    assert collector.requests[0].path == "http://cdn.invalid/config/key?environment=a%20b"
    proxy.fault = Fault("drip", 0.02)
    assert isinstance(ask(get("http://cdn.invalid", timeout=1.0)), Failure)


def test_a_body_that_is_cut_short_is_flawed(ask: Ask, proxy: FaultProxy) -> None:
    proxy.fault = Fault("cut")
    answer = ask(get(proxy.url))
    assert isinstance(answer, Response)
    assert answer.body_error
    assert answer.body == b""


def test_gzip_is_read_and_checked(ask: Ask, proxy: FaultProxy, collector: Collector) -> None:
    document = bytes(range(256)) * 1_000
    packed = gzip.compress(document)
    collector.answer = lambda _: Answer(200, {"Content-Encoding": "gzip"}, packed)
    answer = ask(get(proxy.url))
    assert isinstance(answer, Response)
    assert (answer.body, answer.body_error) == (document, "")
    proxy.fault = Fault("corrupt")
    corrupt = ask(get(proxy.url))
    assert isinstance(corrupt, Response)
    assert corrupt.body_error
    assert corrupt.body == b""


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("gzip", gzip.compress(b"{}" * 100)[:-9]), ("gzip", b"not gzip"), ("br", b"\x0b\x00\x80{}\x03")],
    ids=["truncated", "not gzip", "not asked for"],
)
def test_bodies_that_cannot_be_read_are_flawed(
    ask: Ask, collector: Collector, encoding: str, body: bytes
) -> None:
    collector.answer = lambda _: Answer(200, {"Content-Encoding": encoding}, body)
    answer = ask(get(collector.url))
    assert isinstance(answer, Response)
    assert answer.body_error
    assert answer.body == b""


def test_a_gzip_body_may_have_several_members(ask: Ask, collector: Collector) -> None:
    body = gzip.compress(b"[1,") + gzip.compress(b"2]")
    collector.answer = lambda _: Answer(200, {"Content-Encoding": "gzip"}, body)
    answer = ask(get(collector.url))
    assert isinstance(answer, Response)
    assert answer.body == b"[1,2]"


def test_what_is_too_large_is_not_kept(ask: Ask, collector: Collector) -> None:
    collector.answer = lambda _: Answer(200, {}, b"x" * (SIZE_CAP + 1))
    answer = ask(get(collector.url))
    assert answer[0] == 200
    assert isinstance(answer, Response)
    assert (answer.body, answer.body_error) == (b"", "too large")


@pytest.fixture(scope="module")
def bomb() -> bytes:
    bomb = gzip.compress(b"\0" * 400_000_000, 6)
    assert len(bomb) < 400_000
    return bomb


def test_a_bomb_does_not_go_off(ask: Ask, collector: Collector, bomb: bytes) -> None:
    collector.answer = lambda _: Answer(200, {"Content-Encoding": "gzip"}, bomb)
    ask(post(collector.url))
    tracemalloc.start()
    try:
        answer = ask(get(collector.url))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(answer, Response)
    assert (answer.body, answer.body_error) == (b"", "too large")
    assert peak < SIZE_CAP


GROWTH = """
import resource, sys
from convert_sdk._http.client import send, open_client
from convert_sdk._http.messages import Request, request_headers
with open_client() as client:
    def fetch(path):
        return send(client, Request("GET", sys.argv[1] + path, request_headers()))
    assert fetch("/small").body
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert fetch("/bomb").body_error == "too large"
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_bomb_does_not_grow_a_process(collector: Collector, bomb: bytes) -> None:
    collector.answer = lambda received: (
        Answer(200, {"Content-Encoding": "gzip"}, bomb) if received.path == "/bomb" else Answer()
    )
    status, out, err = finished(GROWTH, collector.url)
    assert (status, err) == (0, "")
    assert int(out) * 1024 < SIZE_CAP


def test_redirects_are_not_followed(ask: Ask, collector: Collector) -> None:
    collector.answer = lambda _: Answer(302, {"Location": f"{collector.url}/elsewhere"})
    answer = ask(get(collector.url))
    assert answer[0] == 302
    assert len(collector.requests) == 1


def test_cookies_are_not_kept(collector: Collector) -> None:
    collector.answer = lambda _: Answer(200, {"Set-Cookie": "tracked=1; Path=/"})
    with open_client() as client:
        send(client, get(collector.url))
        send(client, get(collector.url))
    assert "cookie" not in collector.requests[1].headers
    assert collector.connections == 1


def test_a_connection_that_the_server_closed_is_replaced(collector: Collector) -> None:
    collector.answer = lambda _: Answer(200, {"Connection": "close"})
    with open_client() as client:
        assert [send(client, get(collector.url))[0] for _ in range(3)] == [200, 200, 200]


def test_an_idle_connection_that_the_server_dropped_costs_no_event(
    proxy: FaultProxy, collector: Collector
) -> None:
    proxy.fault = Fault("hang_up")
    with open_client() as client:
        assert send(client, post(proxy.url))[0] == 200
        assert proxy.hung_up.wait(120)
        assert send(client, post(proxy.url))[0] == 200
    assert len(collector.events) == 2


@pytest.mark.parametrize("trusted", [True, False])
def test_tls_is_verified(trusted: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    bundle = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    with (
        Collector(tls=context) as collector,
        open_client(ca_bundle=str(bundle) if trusted else None) as client,
    ):
        answer = send(client, get(collector.url))
    if trusted:
        assert answer[0] == 200
    else:
        assert isinstance(answer, Failure)
        assert answer.kind == "undelivered"


def test_a_mock_transport_is_understood(ask: Ask) -> None:
    packed = httpx.Response(200, headers={"content-encoding": "gzip"}, content=gzip.compress(b"{}"))
    with open_client(transport=httpx.MockTransport(lambda _: packed)) as client:
        answer = send(client, get("https://cdn.invalid"))
    assert isinstance(answer, Response)
    assert (answer.body, answer.body_error) == (b"{}", "")


# The loops.


def queue(url: str, **terms: object) -> EventQueue:
    machine = EventQueue(DeliveryConfig(flush_interval=0.0, **terms), random=lambda: 0.0)  # type: ignore[arg-type]
    machine.set_endpoint(Endpoint(f"{url}/track/key", request_headers(), TrackingContext("1", "2")))
    return machine


def offer(machine: EventQueue, count: int) -> None:
    for number in range(count):
        event = Event(f"u{number}", f"v{number}", exposure_wire("1", str(number)))
        assert machine.offer([event], now=0.0)


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured_in_both_forms(form: str, proxy: FaultProxy) -> None:
    value = "120" if form == "seconds" else formatdate(4_000_000_120, usegmt=True)
    date = {"Date": formatdate(4_000_000_000, usegmt=True)}
    proxy.fault = canned(429, {"Retry-After": value, **date})
    machine = queue(proxy.url)
    offer(machine, 3)
    with open_client() as client:
        assert step(machine, client, clock=lambda: 50.0)
    assert machine.due() == 170.0
    assert machine.counts().queued == 3


@pytest.mark.parametrize(
    "faults",
    [
        [Fault("reset"), Fault("half_close"), Fault("cut"), Fault("corrupt")],
        [canned(503), canned(500), canned(408), Fault("black_hole"), canned(429)],
    ],
)
def test_every_event_arrives_in_the_end(proxy: FaultProxy, collector: Collector, faults: list[Fault]) -> None:
    machine = queue(proxy.url)
    with open_client() as client:
        for number, fault in enumerate([*faults, Fault()]):
            offer(machine, 10)
            proxy.fault = fault
            assert step(machine, client, clock=lambda number=number: 10.0 * number, until=10.0 * number + 0.5)  # type: ignore[misc]
        machine.override_backoff()
        while step(machine, client, clock=lambda: 1_000.0):
            pass
    counts = machine.counts()
    assert counts.sent == counts.offered == 10 * (len(faults) + 1)
    assert len(collector.events) >= counts.offered


def test_at_most_once_never_arrives_twice(proxy: FaultProxy, collector: Collector) -> None:
    machine = queue(proxy.url, delivery="at_most_once")
    with open_client() as client:
        for fault in (Fault("reset"), Fault("half_close"), canned(503), Fault()):
            offer(machine, 1)
            proxy.fault = fault
            step(machine, client, clock=lambda: 1_000.0)
        assert step(machine, client, clock=lambda: 1_000.0)
    assert machine.counts().dropped == 2
    assert machine.stats.dropped == {"ambiguous": 2}
    assert machine.counts().sent == 2
    assert len(collector.events) == 4


def test_the_blocking_loop_carries_until_told_to_stop(collector: Collector) -> None:
    wake, stop = Flag(), Flag()
    machine = queue(collector.url)

    def rest(seconds: float) -> bool:
        wake.wait(min(seconds, 10.0))
        wake.clear()
        return not stop.is_set()

    with open_client() as client:
        worker = Thread(target=run, args=([machine], client), kwargs={"wait": rest, "on_error": print})
        worker.start()
        offer(machine, 250)
        wake.set()
        assert collector.wait_for(250)
        stop.set()
        wake.set()
        worker.join(120)
        assert not worker.is_alive()
    assert machine.counts().sent == 250


def test_the_awaiting_loop_carries_until_cancelled(collector: Collector) -> None:
    machine = queue(collector.url)

    async def main() -> None:
        wake, idle = asyncio.Event(), asyncio.Event()

        async def rest(seconds: float) -> bool:
            if seconds == inf and machine.counts().sent:
                idle.set()
            try:
                async with asyncio.timeout(min(seconds, 10.0)):
                    await wake.wait()
            except TimeoutError:
                pass
            wake.clear()
            return True

        async with open_async_client() as client:
            task = asyncio.create_task(arun([machine], client, wait=rest, on_error=print))
            offer(machine, 250)
            wake.set()
            await asyncio.wait_for(idle.wait(), 120)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert machine.counts().sent == len(collector.events) == 250


def test_a_cancelled_exchange_loses_nothing(proxy: FaultProxy, collector: Collector) -> None:
    proxy.fault = Fault("black_hole")
    machine = queue(proxy.url)
    offer(machine, 5)

    async def main() -> None:
        async with open_async_client() as client:
            task = asyncio.create_task(astep(machine, client, clock=lambda: 1.0))
            assert await asyncio.to_thread(proxy.arrived.wait, 120)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert machine.counts().queued == 5
    proxy.fault = Fault()
    with open_client() as client:
        assert step(machine, client, clock=lambda: 1_000.0)
    assert machine.counts().sent == 5


def test_an_interrupted_exchange_loses_nothing() -> None:
    def interrupt(request: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    machine = queue("https://collector.invalid")
    offer(machine, 5)
    with open_client(transport=httpx.MockTransport(interrupt)) as client, pytest.raises(KeyboardInterrupt):
        step(machine, client, clock=lambda: 1.0)
    assert machine.counts().queued == 5
    assert machine.stats.ambiguous == 5


class Listener:
    """Asks once, and remembers in which thread it heard what."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.heard: list[tuple[int, bool]] = []

    def due(self) -> float:
        return inf if self.heard else 0.0

    def next_request(self, now: float) -> Request | None:
        return get(self.url)

    def handle_response(self, answer: Response | Failure, now: float) -> None:
        size = len(answer.body) if isinstance(answer, Response) else 0
        self.heard.append((size, current_thread() is main_thread()))


@pytest.mark.parametrize(("size", "in_the_loop"), [(100, True), (1_000_000, False)])
def test_large_bodies_are_heard_beside_the_loop(collector: Collector, size: int, in_the_loop: bool) -> None:
    collector.answer = lambda _: Answer(200, {}, b"x" * size)
    listener = Listener(collector.url)

    async def main() -> bool:
        async with open_async_client() as client:
            return await astep(listener, client, clock=lambda: 1.0)

    assert asyncio.run(main())
    assert listener.heard == [(size, in_the_loop)]


def test_a_machine_hears_although_the_threads_of_the_loop_are_gone(collector: Collector) -> None:
    collector.answer = lambda _: Answer(200, {}, b"x" * 1_000_000)
    listener = Listener(collector.url)

    async def main() -> None:
        threads = ThreadPoolExecutor(1)
        asyncio.get_running_loop().set_default_executor(threads)
        async with open_async_client() as client:
            threads.shutdown()
            await astep(listener, client, clock=lambda: 1.0)

    asyncio.run(main())
    assert listener.heard == [(1_000_000, False)]


class Broken:
    """A machine with a defect."""

    def due(self) -> float:
        return 0.0

    def next_request(self, now: float) -> Request | None:
        raise ZeroDivisionError

    def handle_response(self, answer: Response | Failure, now: float) -> None:
        raise AssertionError


def test_a_defect_in_one_machine_stops_neither_the_loop_nor_the_others(collector: Collector) -> None:
    machine = queue(collector.url)
    offer(machine, 1)
    troubles: list[Exception] = []
    pauses: list[float] = []

    def rest(seconds: float) -> bool:
        pauses.append(seconds)
        return len(pauses) < 2

    with open_client() as client:
        run([Broken(), machine], client, wait=rest, on_error=troubles.append, clock=lambda: 5.0)
    assert [type(error) for error in troubles] == [ZeroDivisionError, ZeroDivisionError]
    assert pauses == [1.0, 1.0]
    assert machine.counts().sent == 1
