"""Somebody else sends: a flush asks, and nothing that takes long delays anything else."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Any

import pytest

from convert_sdk import AsyncClient, Client, ConversionResult, FlushReport, MemoryStore
from convert_sdk._delivery.flush_request import Flush
from convert_sdk.observation import Observation
from convert_sdk.stores import Changes, VisitorState, Winners
from tests.reliability.collector import Answer, Collector, Received
from tests.reliability.site import KEY, dead, serving, site
from tests.threads import client_threads
from tests.waiting import PATIENCE, eventually


def client_of(convert: Collector, **options: Any) -> Client:
    at = {"config_endpoint": convert.url, "track_endpoint": convert.url, "start_wait": PATIENCE}
    return Client(KEY, **{**at, **options})


def async_client_of(convert: Collector, **options: Any) -> AsyncClient:
    at = {"config_endpoint": convert.url, "track_endpoint": convert.url, "start_wait": PATIENCE}
    return AsyncClient(KEY, **{**at, **options})


def ask_of(convert: Collector, asked: Event, let_go: Event) -> Callable[[Received], Answer]:
    """A tracking endpoint that says when it is asked, and answers when it is let go."""

    def answer(_: Received) -> Answer:
        asked.set()
        let_go.wait(PATIENCE)
        return Answer()

    return answer


def test_a_flush_that_gives_up_cuts_no_request_short() -> None:
    """A hundred flushes that come back before the collector has answered: nothing arrives twice."""
    asked, let_go = Event(), Event()
    with site() as convert, client_of(convert) as client:
        convert.answer = serving(ask_of(convert, asked, let_go))
        for n in range(100):
            client.visitor(f"v{n}").track("goal-1")
            assert client.flush(0.001).pending > 0
        assert asked.wait(PATIENCE)
        let_go.set()
        assert client.flush(PATIENCE).pending == 0
        assert len(convert.events) == 100
        assert convert.duplicates() == 0
        assert client.status().retries == 0


def test_a_flush_ends_when_a_request_fails_that_was_sent_ahead_of_a_back_off() -> None:
    with site() as convert, client_of(convert, flush_interval=0.01) as client:
        convert.answer = serving(lambda _: Answer(429, {"Retry-After": "300"}))
        client.visitor("v").track("goal-1")
        eventually(lambda: client.status().retries == 1)
        assert client.flush(PATIENCE) == FlushReport(sent=0, pending=1, dropped=0)
        assert client.status().retries == 2
        convert.answer = serving()
        assert client.flush(PATIENCE).pending == 0


def test_a_flush_tries_again_what_fails_without_a_back_off() -> None:
    answers = [Answer(503)]
    with (
        site(lambda _: answers.pop() if answers else Answer()) as convert,
        client_of(convert, flush_interval=3600.0) as client,
    ):
        client.visitor("v").track("goal-1")
        assert client.flush(PATIENCE) == FlushReport(sent=1, pending=0, dropped=0)
        assert client.status().retries == 1


def test_a_conversion_waits_until_it_is_in_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """The document has come, and the poller stands still before it counts the conversion that waited for it."""
    taken, go_on = Event(), Event()
    with Collector(dead) as convert, client_of(convert, start_wait=0.0) as client:
        assert client.visitor("v").track("goal-1").reason == "pending"
        convert_goal = client._engine.convert

        def held_up(*args: Any, **options: Any) -> ConversionResult:
            taken.set()
            go_on.wait(PATIENCE)
            return convert_goal(*args, **options)

        monkeypatch.setattr(client._engine, "convert", held_up)
        convert.answer = serving()
        assert taken.wait(PATIENCE)
        assert client.flush(0.01) == FlushReport(sent=0, pending=1, dropped=0)
        assert client._worker.runtime.only_in_memory == 1  # type: ignore[union-attr]
        flushed: list[FlushReport] = []
        flush = Thread(target=lambda: flushed.append(client.flush(PATIENCE)))
        flush.start()
        eventually(lambda: client._worker._flushes or flushed)  # type: ignore[union-attr]
        go_on.set()
        flush.join(PATIENCE)
        assert [report.pending for report in flushed] == [0]
        assert {visitor for visitor, _ in convert.events} == {"v"}


@pytest.mark.parametrize("spooled", [False, True])
def test_a_close_sends_what_comes_meanwhile_at_once(spooled: bool, tmp_path: Path) -> None:
    """However long `flush_interval` is."""
    asked, let_go = Event(), Event()
    spool = str(tmp_path) if spooled else None
    with site() as convert:
        convert.answer = serving(ask_of(convert, asked, let_go))
        client = client_of(convert, flush_interval=3600, spool=spool)
        visitor = client.visitor("v")
        visitor.track("goal-1")
        closing = Thread(target=client.close, args=(PATIENCE,))
        closing.start()
        assert asked.wait(PATIENCE)
        visitor.track("goal-2")
        let_go.set()
        closing.join()
        assert len(convert.events) == 2


def test_what_is_counted_while_the_last_flush_ends_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with site() as convert:
        client = client_of(convert)
        worker: Any = client._worker
        flush = worker._flush  # nothing public happens between its end and the closing
        late: list[ConversionResult] = []

        def flush_and_track(until: float, kind: object) -> object:
            request = flush(until, kind)
            if not late:
                late.append(client.visitor("late").track("goal-1"))
            return request

        monkeypatch.setattr(worker, "_flush", flush_and_track)
        client.visitor("early").track("goal-1")
        client.close(PATIENCE)
        assert late[0]
        assert sorted(visitor for visitor, _ in convert.events) == ["early", "late"]
        assert client.status().dropped == {}


def test_a_request_that_begins_while_the_last_flush_ends_is_not_cut_short(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What other threads track then goes at once; the next process would send it again."""
    asked, let_go = Event(), Event()
    with site() as convert:
        client = client_of(convert, spool=str(tmp_path), shutdown_timeout=PATIENCE)
        worker: Any = client._worker
        flush = worker._flush  # nothing public happens between its end and the closing
        kinds: list[Flush] = []

        def flush_and_track(until: float, kind: Flush) -> object:
            if kind is Flush.LAST:
                let_go.set()
            request = flush(until, kind)
            if not kinds:
                convert.answer = serving(ask_of(convert, asked, let_go))
                client.visitor("late").track("goal-1")
                assert asked.wait(PATIENCE)
            kinds.append(kind)
            return request

        monkeypatch.setattr(worker, "_flush", flush_and_track)
        client.visitor("early").track("goal-1")
        client.close()
        let_go.set()
        with client_of(convert, spool=str(tmp_path)) as heir:
            heir.visitor("heir")
        assert sorted(visitor for visitor, _ in convert.events) == ["early", "late"]
        assert client.status().events.spooled == 0


def test_a_request_that_begins_while_the_last_flush_of_a_loop_ends_is_not_cut_short(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked, let_go = Event(), Event()

    async def work(convert: Collector) -> None:
        client = async_client_of(convert, spool=str(tmp_path), shutdown_timeout=PATIENCE)
        worker: Any = client._worker
        flush = worker._flush  # nothing public happens between its end and the closing
        kinds: list[Flush] = []

        async def flush_and_track(until: float, kind: Flush) -> object:
            if kind is Flush.LAST:
                let_go.set()
            request = await flush(until, kind)
            if not kinds:
                convert.answer = serving(ask_of(convert, asked, let_go))
                visitor.track("goal-1")
                assert await asyncio.to_thread(asked.wait, PATIENCE)
            kinds.append(kind)
            return request

        monkeypatch.setattr(worker, "_flush", flush_and_track)
        visitor = await client.visitor("late")
        (await client.visitor("early")).track("goal-1")
        await client.close()
        assert client.status().events.spooled == 0

    with site() as convert:
        asyncio.run(work(convert))
        let_go.set()
        with client_of(convert, spool=str(tmp_path)) as heir:
            heir.visitor("heir")
        assert sorted(visitor for visitor, _ in convert.events) == ["early", "late"]


def test_a_spool_keeps_no_close_waiting_for_what_cannot_happen(tmp_path: Path) -> None:
    """The next try is after the deadline: it ends at once, and what waits lies on disk."""
    with site(lambda _: Answer(429, {"Retry-After": "300"})) as convert:
        client = client_of(convert, spool=str(tmp_path))
        client.visitor("v").track("goal-1")
        closing = Thread(target=client.close, args=(2 * PATIENCE,), daemon=True)
        closing.start()
        closing.join(PATIENCE)
        assert not closing.is_alive()
        assert client.status().events.spooled == 1


def test_a_close_that_is_left_to_the_sender_ends_with_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for the next try; another close does not, and wakes the sender before all else is ended."""
    with site(lambda _: Answer(429, {"Retry-After": "300"})) as convert:
        client = client_of(convert)
        worker: Any = client._worker
        client.visitor("v").track("goal-1")
        worker._asked.append(partial(worker.close_by, monotonic() + 2 * 300))  # as from a signal's handler
        worker.notify()
        eventually(lambda: worker._sender._thread.ident in worker._inside)
        eventually(lambda: client.status().retries)
        end = worker.runtime.close

        def end_later(until: float) -> None:
            eventually(worker._sender.wake_event._lock.locked)
            end(until)

        monkeypatch.setattr(worker.runtime, "close", end_later)
        client.close(0)
        eventually(lambda: not worker.is_alive)


def test_a_flush_in_the_middle_of_a_load_is_left_to_the_sender() -> None:
    """As one in a signal's handler: the store may hold a lock that its own thread waits for."""
    lock, loading = threading.Lock(), Event()

    class Locked(MemoryStore):
        def load(self, key: str) -> VisitorState | None:
            with lock:
                if key.endswith("second"):
                    loading.set()
                    client.flush(3 * PATIENCE)
                return super().load(key)

        def save(self, changes: Changes) -> Winners:
            assert loading.wait(PATIENCE)
            with lock:
                return super().save(changes)

    with site() as convert, client_of(convert, store=Locked()) as client:
        client.visitor("first").decide("button-10")
        second = Thread(target=client.visitor, args=("second",), daemon=True)
        second.start()
        second.join(PATIENCE)
        assert not second.is_alive()
        assert client.close(PATIENCE).pending == 0


def test_a_flush_with_nothing_to_do_starts_nothing() -> None:
    with site() as convert:
        client = client_of(convert)
        before = client_threads()
        assert client.flush(PATIENCE) == FlushReport()
        assert client_threads() <= before
        assert not convert.requests


def test_an_idle_client_has_two_threads() -> None:
    before = client_threads()
    with site() as convert, client_of(convert) as client:
        client.visitor("v").track("goal-1")
        assert client.flush(PATIENCE).pending == 0
        assert {thread.name for thread in client_threads() - before} <= {
            "convert_sdk-sender",
            "convert_sdk-poller",
        }


def test_a_config_endpoint_that_never_answers_holds_up_no_event() -> None:
    asked, let_go = Event(), Event()

    with site() as convert, client_of(convert, refresh_interval=0.01) as client:
        visitor = client.visitor("v")

        def answer(received: Received) -> Answer:
            if received.method == "GET":
                asked.set()
                let_go.wait(PATIENCE)
            return Answer()

        convert.answer = answer
        assert asked.wait(PATIENCE)
        for n in range(50):
            visitor.track(f"goal-{n % 20}", allow_repeat=True, revenue=1)
        assert client.flush(PATIENCE).pending == 0
        assert not let_go.is_set()
        assert len(convert.events) == client.status().events.sent > 50
        let_go.set()


def test_a_callback_and_a_store_that_hang_hold_up_no_event_and_no_flush() -> None:
    let_go = Event()

    def hang(_: Observation) -> None:
        let_go.wait(PATIENCE)

    class Hanging(MemoryStore):
        def save(self, changes: Any) -> Any:
            let_go.wait(PATIENCE)
            return super().save(changes)

    with site() as convert:
        client = client_of(convert, observe=[hang], store=Hanging(), flush_interval=0.01)
        for n in range(5):
            client.visitor(f"v{n}").decide("button-10")
        assert convert.wait_for(5)
        client.flush(0.05)
        assert not let_go.is_set(), "it came back while both still hung"
        let_go.set()
        assert client.close(PATIENCE).pending == 0


def test_a_flush_from_a_callback_is_left_to_the_sender() -> None:
    reports: list[FlushReport] = []

    with site() as convert:

        def flush(_: Observation) -> None:
            if not reports:
                reports.append(client.flush(PATIENCE))

        client = client_of(convert, observe=[flush], flush_interval=3600)
        client.visitor("v").track("goal-1")
        assert convert.wait_for(1), "the sender did it"
        client.close(PATIENCE)
        assert len(reports) == 1


class TestACollectedClient:
    def test_its_threads_end_and_start_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("convert_sdk._delivery.worker.IDLE_TIME", 0.01)
        monkeypatch.setattr("convert_sdk._delivery.background.IDLE_TIME", 0.01)
        before = client_threads()
        with site() as convert:
            client = client_of(convert, flush_interval=0.01)
            visitor = client.visitor("v")
            visitor.track("goal-1")
            assert client.flush(PATIENCE).pending == 0
            kept = [client]
            del client
            with pytest.warns(ResourceWarning, match="close"):
                kept.clear()
            eventually(lambda: client_threads() <= before)
            assert visitor.track("goal-2")
            assert convert.wait_for(2)
            eventually(lambda: client_threads() <= before)

    @pytest.mark.skipif(sys.platform != "linux", reason="descriptors are counted in /proc")
    def test_thirty_that_are_dropped_deliver_and_leave_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("convert_sdk._delivery.worker.IDLE_TIME", 0.01)
        monkeypatch.setattr("convert_sdk._delivery.background.IDLE_TIME", 0.01)
        threads, descriptors = client_threads(), len(list(Path("/proc/self/fd").iterdir()))
        with site() as convert:
            clients = [client_of(convert, flush_interval=3600) for _ in range(30)]
            assert all(client.visitor(f"v{n}").track("goal-1") for n, client in enumerate(clients))
            with pytest.warns(ResourceWarning, match="close"):
                clients.clear()
            assert convert.wait_for(30)
            assert (len(convert.events), convert.duplicates()) == (30, 0)
            eventually(lambda: client_threads() <= threads)
        eventually(lambda: len(list(Path("/proc/self/fd").iterdir())) <= descriptors)

    def test_what_waits_is_delivered_first(self) -> None:
        with site(dead) as convert:
            client = client_of(convert, flush_interval=0.01)
            client.visitor("v").track("goal-1")
            kept = [client]
            del client
            with pytest.warns(ResourceWarning):
                kept.clear()
            convert.answer = serving()
            assert convert.wait_for(1)

    def test_a_closed_one_warns_nobody(self) -> None:
        with site() as convert, warnings.catch_warnings():
            warnings.simplefilter("error")
            client = client_of(convert)
            client.visitor("v")
            client.close()
            del client
            gc.collect()


class TestSeveralLoops:
    def test_a_flush_from_another_loop_is_awaited_there(self) -> None:
        """The tasks live in a loop that goes on in its thread; nothing is sent over connections of another one."""
        with site() as convert:
            client = async_client_of(convert, flush_interval=3600)
            home = asyncio.new_event_loop()
            thread = Thread(target=home.run_forever)
            thread.start()
            visitor = asyncio.run_coroutine_threadsafe(client.visitor("v"), home).result(PATIENCE)
            visitor.track("goal-1")
            connections = convert.connections
            assert asyncio.run(client.flush(PATIENCE)).pending == 0
            assert convert.connections == connections
            assert len(convert.events) == 1
            asyncio.run_coroutine_threadsafe(client.close(), home).result(PATIENCE)
            home.call_soon_threadsafe(home.stop)
            thread.join(PATIENCE)
            home.close()

    def test_a_loop_that_stops_in_the_middle_of_a_request_hands_over(self) -> None:
        """The batch on its way counts as ambiguous, and what its old task hears later changes nothing."""
        asked, let_go = Event(), Event()
        with site() as convert:
            client = async_client_of(convert, flush_interval=0.01)
            home = asyncio.new_event_loop()
            visitor = home.run_until_complete(client.visitor("v"))
            convert.answer = serving(ask_of(convert, asked, let_go))
            visitor.track("goal-1")
            home.run_until_complete(asyncio.to_thread(asked.wait, PATIENCE))
            convert.answer = serving()
            assert asyncio.run(client.flush(PATIENCE)).pending == 0
            assert client.status().possibly_duplicated == 1
            assert client.status().events.sent == 1
            let_go.set()
            home.run_until_complete(asyncio.sleep(0.0))
            assert client.status().events.sent == 1
            asyncio.run(client.close())
            home.run_until_complete(home.shutdown_default_executor())
            home.close()
