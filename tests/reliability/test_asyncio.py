"""An asyncio client and its loop: never blocked, cancelled at will, gone and back again."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from threading import Barrier, Event, Thread

import pytest

from convert_sdk import AsyncClient, ConversionResult, FlushReport
from convert_sdk._delivery.flush_request import Flush, FlushRequest
from convert_sdk._delivery.task import TaskWorker
from convert_sdk.status import EndpointState
from tests.processes import finished
from tests.reliability.collector import Answer, Received
from tests.reliability.fault_proxy import Fault, FaultProxy
from tests.reliability.site import BODY, KEY, dead, serving, site
from tests.waiting import PATIENCE, eventually


def worker_of(client: AsyncClient) -> TaskWorker:
    """What runs the tasks, to kill them and to make them fail."""
    assert isinstance(client._worker, TaskWorker)
    return client._worker


def client_of(url: str, **options: object) -> AsyncClient:
    given = {"start_wait": 120.0, "shutdown_timeout": 120.0, **options}
    return AsyncClient(KEY, config_endpoint=url, track_endpoint=url, **given)  # type: ignore[arg-type]


def test_two_loops_in_a_row_share_one_client() -> None:
    client = client_of("http://127.0.0.1:1", start_wait=0.01)

    async def one(number: int, *, flush: bool) -> None:
        visitor = await client.visitor(f"v{number}")
        visitor.track("goal-1")
        if flush:
            assert (await client.flush(120)).pending == 0

    with site() as convert:
        client = client_of(convert.url)
        for number in range(4):
            asyncio.run(one(number, flush=number % 2 == 1))
        assert len(convert.events) == 4
        assert convert.duplicates() == 0
        asyncio.run(client.close())


def test_loops_at_once_share_one_client() -> None:
    """None of them ends in the middle of the others' requests."""
    everybody = Barrier(4, timeout=PATIENCE)
    with site() as convert:
        client = client_of(convert.url)

        async def work(name: str) -> None:
            for n in range(50):
                visitor = await client.visitor(f"{name}{n}")
                visitor.track("goal-1")
            # What others track after a flush began is pending after it.
            await asyncio.to_thread(everybody.wait)
            assert (await client.flush(120)).pending == 0
            await asyncio.to_thread(everybody.wait)

        threads = [Thread(target=asyncio.run, args=(work(name),)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        asyncio.run(client.close())
        assert len(convert.events) == 200
        assert convert.duplicates() == 0


def test_a_loop_that_ends_in_a_request_fails_nobodys_flush() -> None:
    """The loop that waits goes on at once; the events of that request may arrive twice, and are counted."""
    asked, held = Event(), Event()

    def slow(_: Received) -> Answer:
        if not asked.is_set():
            asked.set()
            held.wait()
        return Answer()

    with site(slow) as convert:
        client = client_of(convert.url)

        async def sends() -> None:
            (await client.visitor("first")).track("goal-1")
            flush = asyncio.create_task(client.flush(120))
            await asyncio.to_thread(asked.wait)
            flush.cancel()

        async def waits() -> FlushReport:
            (await client.visitor("second")).track("goal-1")
            return await client.flush(120)

        asyncio.run(sends())
        try:
            report = asyncio.run(waits())
        finally:
            held.set()
        assert (report.sent, report.pending) == (2, 0)
        assert client.status().possibly_duplicated == 1
        assert client.status().endpoint is EndpointState.OK
        assert convert.wait_for(3)
        asyncio.run(client.close())
        assert convert.duplicates() == 1


def test_what_is_counted_while_the_last_flush_ends_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with site() as convert:
        client = client_of(convert.url)
        worker = worker_of(client)
        flush = worker._flush  # nothing public happens between its end and the closing
        late: list[ConversionResult] = []

        async def flush_and_track(until: float, kind: Flush) -> FlushRequest:
            request = await flush(until, kind)
            if not late:
                late.append((await client.visitor("late")).track("goal-1"))
            return request

        async def use() -> None:
            monkeypatch.setattr(worker, "_flush", flush_and_track)
            (await client.visitor("early")).track("goal-1")
            await client.close()

        asyncio.run(use())
        assert late[0]
        assert sorted(visitor for visitor, _ in convert.events) == ["early", "late"]
        assert client.status().dropped == {}


def test_cancelling_loses_nothing() -> None:
    """Flushes that are cancelled in every state, the worker's own task too, while the endpoint is slow."""

    async def use(url: str) -> None:
        client = client_of(url, flush_interval=0.01)
        async with client:
            for n in range(40):
                visitor = await client.visitor(f"v{n}")
                visitor.track("goal-1")
                flush = asyncio.create_task(client.flush(120))
                for _ in range(n):
                    await asyncio.sleep(0)
                flush.cancel()
                await asyncio.wait([flush])
                home = worker_of(client)._home
                if n % 10 == 0 and home is not None:
                    task = home.tasks[n // 10 % 2]
                    task.cancel()
                    await asyncio.wait([task])
            await client.visitor("again")
            assert (await client.flush(120)).pending == 0
            counts = client.status().events
            assert counts.offered == sum(counts[1:]) == counts.sent == 40

    with site() as convert, FaultProxy(convert.address, Fault("latency", seconds=0.005)) as proxy:
        asyncio.run(use(proxy.url))
        assert {visitor for visitor, _ in convert.events} == {f"v{n}" for n in range(40)}


def test_visitors_that_are_cancelled_while_they_wait_for_the_document() -> None:
    async def use(url: str) -> None:
        async with client_of(url, start_wait=30.0) as client:
            assert client.project is not None

    async def impatient(url: str) -> None:
        client = client_of(url, start_wait=30.0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.visitor("v"), 0.1)
        assert client.status().worker_alive
        await client.close(0)

    with site() as convert:
        with FaultProxy(convert.address, Fault("black_hole")) as proxy:
            asyncio.run(impatient(proxy.url))
        asyncio.run(use(convert.url))


def test_a_task_that_was_killed_is_replaced_by_the_next_visitor() -> None:
    async def use(url: str) -> None:
        async with client_of(url) as client:
            home = worker_of(client)._home
            assert home is not None
            task = home.tasks[0]
            task.cancel()
            await asyncio.wait([task])
            assert not client.status().worker_alive
            (await client.visitor("v")).track("goal-1")
            assert client.status().worker_alive
            assert (await client.flush(120)).pending == 0
            assert client.status().events.sent == 1

    with site() as convert:
        asyncio.run(use(convert.url))


BLOCKING = """
import asyncio, json, ssl, sys, threading
from convert_sdk import AsyncClient
from convert_sdk.stores.sqlite import SqliteStore

url, key, folder = sys.argv[1:4]
client = AsyncClient(key, config_endpoint=url, track_endpoint=url, start_wait=120, spool=folder,
                     cache_dir=folder + "/cache", store=SqliteStore(folder + "/visitors.db"),
                     observe=[lambda _: None], flush_interval=0.05)
import concurrent.futures.thread, queue  # what asyncio itself needs for its first thread
seen, loop_thread, watching = [], threading.get_ident(), False
SLOW = {"import", "compile", "sqlite3.connect", "open", "os.mkdir", "os.rename", "os.fsync", "socket.getaddrinfo",
        "socket.gethostbyname", "ssl.load", "subprocess.Popen", "time.sleep"}

def hook(event, arguments):
    if watching and event in SLOW and threading.get_ident() == loop_thread and arguments[0] != "sniffio":
        seen.append(f"{event} {str(arguments[:1])[:200]}")

sys.addaudithook(hook)
original = ssl.SSLContext.load_verify_locations
def load(self, *given, **named):
    sys.audit("ssl.load")
    return original(self, *given, **named)
ssl.SSLContext.load_verify_locations = load

async def main():
    global watching
    watching = True
    for n in range(20):
        visitor = await client.visitor(f"v{n}")
        visitor.decide("button-10")
        visitor.track("goal-1", revenue=5)
    assert (await client.flush(120)).pending == 0
    await client.load_preview("9999")
    await client.close()
    watching = False

asyncio.run(main())
print(json.dumps(seen))
"""


def test_the_loop_imports_opens_and_compiles_nothing(tmp_path: Path) -> None:
    """Everything slow (modules, files, SQLite, certificates, large documents) is another thread's work."""
    with site() as convert:
        status, out, err = finished(BLOCKING, convert.url, KEY, str(tmp_path))
        assert (status, err) == (0, "")
        assert json.loads(out) == []
        assert len(convert.events) == 60


def test_a_large_document_is_compiled_off_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    from convert_sdk import Project

    large = BODY[:-1] + b', "padding": "' + b"x" * 200_000 + b'"}'
    loops: list[bool] = []
    parse = Project.parse

    def noted(*given: object, **named: object) -> Project:
        try:
            loops.append(asyncio.get_running_loop() is not None)
        except RuntimeError:
            loops.append(False)
        return parse(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Project, "parse", noted)

    async def use(url: str) -> None:
        async with client_of(url) as client:
            assert client.project is not None

    with site(body=large) as convert:
        asyncio.run(use(convert.url))
    assert loops == [False]


def test_the_worker_survives_what_a_machine_or_a_store_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    async def use(url: str) -> None:
        async with client_of(url, flush_interval=0.01) as client:
            runtime = worker_of(client).runtime
            after_step, failures = runtime.after_step, iter([MemoryError, RuntimeError])

            def dying() -> None:
                error = next(failures, None)
                if error is not None:
                    raise error
                after_step()

            monkeypatch.setattr(runtime, "after_step", dying)
            (await client.visitor("v")).track("goal-1")
            assert await asyncio.to_thread(convert.wait_for, 1)
            await asyncio.to_thread(eventually, lambda: client.status().incidents.get("worker"))
            assert client.status().worker_alive

    with site() as convert:
        asyncio.run(use(convert.url))


def test_closing_in_the_middle_of_an_outage_keeps_to_its_time() -> None:
    async def use(url: str) -> None:
        client = client_of(url, shutdown_timeout=0.2, flush_interval=3600)
        (await client.visitor("v")).track("goal-1")
        report = await client.close()
        assert report.dropped == 1

    with site(dead) as convert:
        asyncio.run(use(convert.url))


def test_what_a_flush_could_not_deliver_is_tried_again() -> None:
    """Also where the flush is cancelled in the middle of its exchange."""

    async def work(url: str) -> None:
        client = client_of(url, flush_interval=0.01)
        for cancelled in (False, True):
            convert.answer = serving(dead)
            (await client.visitor(f"v{cancelled}")).track("goal-1")
            if cancelled:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(client.flush(120), 0.2)
            else:
                assert (await client.flush(0.2)).pending == 1
            convert.answer = serving()
            assert await asyncio.to_thread(convert.wait_for, 1 + cancelled)
        await client.close()

    with site() as convert:
        asyncio.run(work(convert.url))
