"""One contract for what both clients forget of a visitor: memory, queue, disk and store."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import quote

import pytest
import werkzeug.test

from convert_sdk import AsyncClient, Client, Consent, MemoryStore, Project, Visitor, current_visitor
from convert_sdk.errors import StoreError
from convert_sdk.integrations.wsgi import ConvertMiddleware
from convert_sdk.status import DropReason, ForgetReport, StoreDeletion
from convert_sdk.stores import Changes, Store, VisitorState, Winners
from convert_sdk.stores.redis import AsyncRedisStore, RedisStore
from convert_sdk.stores.sqlite import SqliteStore
from tests.processes import running
from tests.reliability.collector import Answer, Collector, Received
from tests.reliability.site import BODY, KEY, dead, serving, site
from tests.waiting import PATIENCE, eventually

ANN = "1001-2002-ann"
"""Her key in a store."""


class Driven:
    """A client of either kind: its verbs are called and, where that is so, awaited."""

    def __init__(self, client: Client | AsyncClient, runner: asyncio.Runner) -> None:
        self._client = client
        self._runner = runner

    def __getattr__(self, name: str) -> Callable[..., Any]:
        verb = getattr(self._client, name)

        def call(*arguments: object, **options: object) -> object:
            result = verb(*arguments, **options)
            return self._runner.run(awaited(result)) if isinstance(result, Awaitable) else result

        return call


async def awaited(result: Awaitable[object]) -> object:
    return await result


class Makes:
    """Makes clients of one kind, which are closed at the end."""

    def __init__(self, kind: type[Client | AsyncClient], runner: asyncio.Runner) -> None:
        self.kind = kind
        self.made: list[Driven] = []
        self._runner = runner

    def __call__(self, convert: Collector, **options: Any) -> Driven:
        at: Any = {"config_endpoint": convert.url, "track_endpoint": convert.url}
        given: Any = {**at, "start_wait": PATIENCE, **options}
        self.made.append(Driven(self.kind(KEY, **given), self._runner))
        return self.made[-1]

    def offline(self, **options: Any) -> Driven:
        self.made.append(Driven(self.kind.offline(Project.parse(BODY), **options), self._runner))
        return self.made[-1]


@pytest.fixture(params=[Client, AsyncClient])
def make(request: pytest.FixtureRequest) -> Iterator[Makes]:
    with asyncio.Runner() as runner:
        makes = Makes(request.param, runner)
        yield makes
        for client in makes.made:
            client.close(0)


@pytest.fixture(params=["memory", "sqlite", pytest.param("redis", marks=pytest.mark.servers)])
def store(request: pytest.FixtureRequest, tmp_path: Path, make: Makes) -> Callable[[], Any]:
    """A store that processes share, made anew for each."""
    shared = MemoryStore(shared=True)

    def made() -> Any:
        if request.param == "memory":
            return shared
        if request.param == "sqlite":
            return SqliteStore(tmp_path / "visitors.db")
        kind = RedisStore if make.kind is Client else AsyncRedisStore
        return kind(request.getfixturevalue("redis_url"), prefix=f"{tmp_path.name}:", timeout=PATIENCE)

    return made


def conversions(convert: Collector) -> list[dict[str, Any]]:
    events = [json.loads(event) for _, event in convert.events]
    return [event["data"] for event in events if event["eventType"] == "conversion"]


class TestAStoreThatProcessesShare:
    def test_what_is_forgotten_in_one_does_not_come_back_in_another(
        self, make: Makes, store: Callable[[], Any]
    ) -> None:
        with site() as convert:
            a, b = make(convert, store=store()), make(convert, store=store())
            visitor = a.visitor("ann")
            visitor.force("button-10", variation_id="102")
            assert visitor.track("goal-1")
            assert a.flush(PATIENCE).pending == 0
            elsewhere = b.visitor("ann")
            assert elsewhere.track("goal-1").reason == "duplicate"
            elsewhere.force("button-11", variation_id="112")  # B has not saved this when it is forgotten

            assert a.forget("ann", timeout=PATIENCE).store is StoreDeletion.DELETED
            again = b.visitor("ann")
            assert again.track("goal-2")
            assert b.flush(PATIENCE).pending == 0
            assert conversions(convert)[-1] == {"goalId": "72"}, "nothing that was decided before"
            assert again.track("goal-1"), "and nothing that had counted"
            assert b.flush(PATIENCE).pending == 0
            assert elsewhere.segments == {}
            back = a.visitor("ann")
            assert [back.track(f"goal-{n}").reason for n in (1, 2)] == ["duplicate"] * 2, (
                "what came after is kept"
            )
            decided = [back.decide("button-10"), back.decide("button-11")]
            assert not any(decision.reason == "sticky" for decision in decided)

    def test_a_process_that_saves_late_brings_nothing_back(
        self, make: Makes, store: Callable[[], Any]
    ) -> None:
        with site() as convert:
            a, b = make(convert, store=store()), make(convert, store=store(), flush_interval=3_600.0)
            b.visitor("ann").force("button-10", variation_id="102")
            a.visitor("warm")
            a.forget("ann", timeout=PATIENCE)
            b.flush(PATIENCE)
            assert a.visitor("ann").peek("button-10").reason == "bucketed"


class TestOneProcess:
    def test_memory_and_queue_are_purged(self, make: Makes) -> None:
        with site() as convert:
            client = make(convert, flush_interval=3_600.0, batch_size=1_000)
            ann, bob = client.visitor("ann", {"country": "DE"}), client.visitor("bob")
            for visitor in (ann, bob):
                visitor.force("button-10", variation_id="102")
                visitor.track("goal-1", revenue=3)
            assert client.forget("ann", timeout=PATIENCE) == ForgetReport(StoreDeletion.NONE, queued=3)
            assert client.status().dropped == {DropReason.FORGOTTEN: 3}
            assert client.flush(PATIENCE).sent == 3
            assert {who for who, _ in convert.events} == {"bob"}
            assert ann.peek("button-10").reason == "bucketed", "an object that was there before knows it, too"
            assert (ann.segments, ann.track("goal-1").reason) == ({}, "accepted")
            assert bob.peek("button-10").reason == "sticky"

    def test_what_waits_for_consent_is_gone(self, make: Makes) -> None:
        with site() as convert:
            client = make(convert)
            held = client.visitor("ann", consent=Consent.UNKNOWN, before_consent="decide")
            assert held.decide("button-10")
            assert client.forget("ann", timeout=PATIENCE).queued == 1
            client.visitor("ann", consent=Consent.GRANTED)
            client.flush(PATIENCE)
            assert not convert.events

    def test_what_waits_for_a_document_is_gone(self, make: Makes) -> None:
        with site() as convert:
            good, convert.answer = convert.answer, dead
            client = make(convert, start_wait=0.0)
            for name in ("ann", "bob"):
                assert client.visitor(name).track("goal-1").reason == "pending"
            assert client.forget("ann", timeout=PATIENCE).queued == 1
            convert.answer = good
            assert client.wait_until_ready(PATIENCE)
            client.flush(PATIENCE)
            assert [who for who, _ in convert.events] == ["bob"]
            counts = client.status().events
            assert counts.offered == sum(counts[1:])

    def test_what_is_on_its_way_is_counted_and_not_sent_again(self, make: Makes) -> None:
        arrived, may_answer = Event(), Event()

        def tracking(_: Received) -> Answer:
            arrived.set()
            assert may_answer.wait(PATIENCE)
            return Answer(503)

        with site(tracking) as convert:
            client = make(convert, flush_interval=0.01)
            client.visitor("ann").track("goal-1")
            client.visitor("bob").track("goal-1")
            eventually(lambda: (client.flush(0.05), arrived.is_set())[1])
            report = client.forget("ann", timeout=PATIENCE)
            assert (report.queued + report.in_flight, report.store) == (1, StoreDeletion.NONE)
            convert.answer = serving()
            may_answer.set()
            client.flush(PATIENCE)
            assert convert.wait_for(1)
            assert client.flush(PATIENCE).pending == 0
            assert {who for who, _ in convert.events} == {"bob"}

    def test_a_stranger_can_be_forgotten(self, make: Makes) -> None:
        with site() as convert:
            assert make(convert).forget(7, timeout=PATIENCE) == ForgetReport(StoreDeletion.NONE)

    @pytest.mark.parametrize(("id", "error"), [("", ValueError), (None, TypeError), (True, TypeError)])
    def test_who_is_nobody_is_refused(self, make: Makes, id: Any, error: type[Exception]) -> None:
        with site() as convert, pytest.raises(error):
            make(convert).forget(id, timeout=1)

    def test_offline(self, make: Makes) -> None:
        sent: list[bytes] = []
        store = MemoryStore()
        client = make.offline(sink=sent.append, store=store)
        client.visitor("ann").track("goal-1")
        client.flush()
        client.visitor("ann").track("goal-2")
        assert client.forget("ann", timeout=1) == ForgetReport(StoreDeletion.DELETED, queued=1)
        assert store.load(ANN) == VisitorState()
        client.visitor("ann").track("goal-1")
        client.flush()
        assert (len(sent), store.load(ANN) != VisitorState()) == (2, True)


class Stubborn:
    """A store of the application's own: without `delete`, or with one that fails as it is told."""

    shared = False

    def __init__(self, *errors: Exception) -> None:
        self.inner = MemoryStore()
        self.errors = [*errors]
        self.asked = 0

    def load(self, key: str) -> VisitorState | None:
        return self.inner.load(key)

    def save(self, changes: Changes) -> Winners:
        return self.inner.save(changes)

    def close(self) -> None:
        pass


class Failing(Stubborn):
    def delete(self, key: str) -> None:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        self.inner.delete(key)


@contextmanager
def client_with(store: Store) -> Iterator[Client]:
    with site() as convert:
        at: Any = {"config_endpoint": convert.url, "track_endpoint": convert.url}
        with Client(KEY, start_wait=PATIENCE, store=store, **at) as client:
            yield client


class TestAnApplicationsOwnStore:
    def test_without_delete_it_is_said(self, caplog: pytest.LogCaptureFixture) -> None:
        with client_with(Stubborn()) as client:
            assert client.forget("ann", timeout=PATIENCE).store is StoreDeletion.UNSUPPORTED
            eventually(lambda: (client.flush(1), "has no delete" in caplog.text)[1])
            assert "ann" not in caplog.text

    def test_an_outage_is_waited_out(self) -> None:
        store = Failing(StoreError("down"))
        with client_with(store) as client:
            assert client.forget("ann", timeout=PATIENCE).store is StoreDeletion.DELETED
            assert store.asked == 2

    def test_who_waits_no_longer_is_told(self) -> None:
        store = Failing(*[StoreError("down")] * 1_000)
        with client_with(store) as client:
            assert client.forget("ann", timeout=0).store is StoreDeletion.PENDING
            store.errors.clear()
            eventually(lambda: (client.flush(1), store.inner.load(ANN) is not None)[1])

    def test_an_error_of_this_visitor_ends_after_three_tries(self, caplog: pytest.LogCaptureFixture) -> None:
        store = Failing(*[KeyError("v-42")] * 3)
        with client_with(store) as client:
            assert client.forget("v-42", timeout=PATIENCE).store is StoreDeletion.FAILED
            eventually(lambda: (client.flush(1), "cannot be deleted" in caplog.text)[1])
            assert "v-42" not in caplog.text
            assert store.asked == 3

    def test_what_the_end_leaves_undone_is_said(self, caplog: pytest.LogCaptureFixture) -> None:
        with client_with(Failing(*[StoreError("down")] * 1_000)) as client:
            client.forget("ann", timeout=0)
            client.close(0)
            assert "not deleted from the store: 1" in caplog.text

    def test_offline_a_failure_is_one(self, make: Makes) -> None:
        client = make.offline(store=Failing(StoreError("down")))
        assert client.forget("ann", timeout=1).store is StoreDeletion.FAILED


class Awaiting(Stubborn):
    """As `Failing`, for an event loop."""

    async def load(self, key: str) -> VisitorState | None:  # type: ignore[override]  # awaited
        return self.inner.load(key)

    async def save(self, changes: Changes) -> Winners:  # type: ignore[override]  # awaited
        return self.inner.save(changes)

    async def close(self) -> None:  # type: ignore[override]  # awaited
        pass

    async def delete(self, key: str) -> int:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.inner.delete(key)


def test_an_outage_of_an_awaited_store_is_waited_out() -> None:
    async def forget(url: str, store: Awaiting) -> ForgetReport:
        at: Any = {"config_endpoint": url, "track_endpoint": url, "store": store}
        async with AsyncClient(KEY, start_wait=PATIENCE, **at) as client:
            return await client.forget("ann", timeout=PATIENCE)

    store = Awaiting(StoreError("down"))
    with site() as convert:
        assert asyncio.run(forget(convert.url, store)).store is StoreDeletion.DELETED
    assert store.asked == 2


NEIGHBOUR = """
import sys
from convert_sdk import Client

url, key, spool = sys.argv[1:]
client = Client(key, config_endpoint=url, track_endpoint=url, spool=spool, durability="sync", start_wait=120,
                flush_interval=3600.0)
for name in ("ann", "bob"):
    assert client.visitor(name).track("goal-1")
print("written", flush=True)
sys.stdin.readline()
"""


def names_in(folder: Path) -> list[str]:
    """The visitors of all rows of all files of a spool; one whose rows are being taken over may go meanwhile."""
    while True:
        paths = [*folder.rglob("*.db")]
        try:
            names = sorted(name for path in paths for name in names_of(path))
        except sqlite3.OperationalError:
            if all(path.exists() for path in paths):
                raise
        else:
            if all(path.exists() for path in paths):
                return names


def names_of(path: Path) -> list[str]:
    """The same of one file, which is not made if it is gone."""
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as file:
        return [json.loads(body)[0] for (body,) in file.execute("SELECT body FROM rows ORDER BY seq")]


class TestASpool:
    def test_this_host_s_disk_is_purged(self, make: Makes, tmp_path: Path) -> None:
        """The files of this process, of one that lives, and of one that died."""
        with site(dead) as convert:
            arguments = (convert.url, KEY, str(tmp_path))
            with running(NEIGHBOUR, *arguments) as dies, running(NEIGHBOUR, *arguments) as lives:
                for process in (dies, lives):
                    process.hear("written")
                dies.send(9)
                dies.end()
                client = make(convert, spool=str(tmp_path), durability="sync", flush_interval=3_600.0)
                for name in ("ann", "bob"):
                    assert client.visitor(name).track("goal-1")
                report = client.forget("ann", timeout=PATIENCE)
                assert report.queued + report.spooled + report.in_flight == 3
                assert set(names_in(tmp_path)) == {"bob"}
                counts = client.status().events
                assert counts.offered == sum(counts[1:])

    def test_what_waits_on_disk_alone_is_gone(self, make: Makes, tmp_path: Path) -> None:
        with site(dead) as convert:
            client = make(convert, spool=str(tmp_path), max_queue=4, flush_interval=3_600.0)
            for n in range(12):
                client.visitor("ann" if n % 2 else "bob").track(f"goal-{n}")
                client.flush(0)
            eventually(lambda: (client.flush(0), client.status().events.spooled)[1])
            report = client.forget("ann", timeout=PATIENCE)
            assert report.queued + report.spooled + report.in_flight <= 6
            assert set(names_in(tmp_path)) <= {"bob"}
            convert.answer = serving()
            eventually(lambda: client.flush(PATIENCE).pending == 0)
            assert sum(who == "ann" for who, _ in convert.events) <= report.in_flight
            counts = client.status().events
            assert counts.offered == sum(counts[1:])

    def test_conversions_before_the_document_are_gone(self, make: Makes, tmp_path: Path) -> None:
        with site() as convert:
            good, convert.answer = convert.answer, dead
            client = make(convert, spool=str(tmp_path), start_wait=0.0, durability="sync")
            for name in ("ann", "bob"):
                assert client.visitor(name).track("goal-1").reason == "pending"
            client.forget("ann", timeout=PATIENCE)
            convert.answer = good
            assert client.wait_until_ready(PATIENCE)
            eventually(lambda: (client.flush(PATIENCE), convert.events)[1])
            assert [who for who, _ in convert.events] == ["bob"]


class TestTokens:
    """Tokens from before: by the clock of who signs and who forgets, in whole seconds."""

    @staticmethod
    def shop(**options: Any) -> Client:
        return Client.offline(
            Project.parse(BODY), lambda _: None, secrets=["a secret of the shop's own"], **options
        )

    def test_a_handover_from_before_brings_no_decision(self) -> None:
        shared = MemoryStore(shared=True)
        web, worker = self.shop(store=shared), self.shop(store=shared)
        visitor = web.visitor("ann")
        visitor.force("button-10", variation_id="102")
        token = visitor.handover(max_age=3_600)
        web.forget("ann", timeout=1)
        handed = worker.visitor("ann") and worker.visitor_from(token)
        assert handed is not None
        assert (handed.id, handed.peek("button-10").reason) == ("ann", "bucketed")

    def test_the_cookie_with_the_state_is_cleared(self) -> None:
        client = self.shop()
        seen: list[str] = []
        asks: list[Callable[[Visitor], object]] = [
            lambda visitor: visitor.force("button-10", variation_id="102")
        ]

        def app(_: Any, start_response: Any) -> list[bytes]:
            asks[-1](current_visitor())
            start_response("200 OK", [])
            return [b""]

        browser = werkzeug.test.Client(ConvertMiddleware(app, client, state="cookie"))
        browser.get("/")
        before = browser.get_cookie("convert_state")
        assert before is not None
        asks.append(lambda visitor: client.forget(visitor.id, timeout=1))
        browser.get("/")
        assert browser.get_cookie("convert_state") is None, "within a request of theirs"

        browser.set_cookie("convert_state", before.value)
        asks.append(lambda visitor: seen.append(visitor.peek("button-10").reason))
        browser.get("/")
        assert (seen, browser.get_cookie("convert_state")) == (["bucketed"], None), "and in a later one"
        asks.append(asks[0])
        browser.get("/")
        assert browser.get_cookie("convert_state") is not None, "who comes back is remembered anew"
