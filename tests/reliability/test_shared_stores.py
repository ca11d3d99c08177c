"""Several processes and one store, and a store that is down, through whole clients."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from convert_sdk import AsyncClient, Client, MemoryStore, StoreError, VisitorState
from convert_sdk.stores import Changes, Winners
from convert_sdk.stores.breaker import Breaker
from convert_sdk.stores.redis import AsyncRedisStore, RedisStore
from tests.processes import running
from tests.reliability.site import KEY, dead, serving, site
from tests.servers.programs import redis_server, refused_port
from tests.waiting import PATIENCE, eventually


@pytest.fixture(autouse=True)
def patient_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim may take long on a busy machine, and ends within a flush of `PATIENCE` seconds."""
    monkeypatch.setattr("convert_sdk._delivery.queue.CLAIM_PATIENCE", PATIENCE / 2)


RACER = """
import sys
from convert_sdk import Client
from convert_sdk._delivery import queue
from convert_sdk.stores.redis import RedisStore
from convert_sdk.stores.sqlite import SqliteStore

url, key, where, arm = sys.argv[1:5]
queue.CLAIM_PATIENCE = 60.0
store = RedisStore(where, timeout=60) if where.startswith("unix:") else SqliteStore(where)
client = Client(key, config_endpoint=url, track_endpoint=url, start_wait=120, store=store, flush_interval=0.01)
client.visitor("warm")
print("ready", flush=True)
for visitor_id in sys.stdin.readline().split():
    visitor = client.visitor(visitor_id)
    visitor.force("button-10", variation_id=f"10{arm}")
    visitor.track("goal-1", revenue=5)
report = client.flush(120)
print("saved", flush=True)
sys.stdin.readline()
print(*(client.visitor(visitor_id).peek("button-10").variation.key for visitor_id in sys.argv[5:]))
counts = client.status().events
print(report.pending, counts.offered - sum(counts[1:]), flush=True)
"""


@pytest.fixture(params=[pytest.param("redis", marks=pytest.mark.servers), "sqlite"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "redis":
        with redis_server() as server:
            yield server.url
    else:
        yield str(tmp_path / "visitors.db")


def test_eight_processes_racing_for_the_same_visitors_agree(where: str) -> None:
    """Each wants a variation of its own choice for the same visitors, and to count their one conversion."""
    visitors = [f"v{n}" for n in range(25)]
    with site() as convert:
        with ExitStack() as stack:
            racers = [
                stack.enter_context(running(RACER, convert.url, KEY, where, str(1 + n % 2), *visitors))
                for n in range(8)
            ]
            for word, answer in (("ready", " ".join(visitors)), ("saved", "look")):
                for racer in racers:
                    racer.hear(word)
                for racer in racers:
                    racer.say(answer)
            outcomes = [racer.end().out.splitlines() for racer in racers]
        shown = {tuple(variations.split()) for variations, _ in outcomes}
        assert len(shown) == 1, "one variation for each visitor, in every process"
        books = [tuple(map(int, book.split())) for _, book in outcomes]
        assert all((pending, gap) == (0, 0) for pending, gap in books)
        conversions = [(who, event) for who, event in convert.events if "goalId" in event]
        assert len(conversions) == 2 * len(visitors)
        assert len(set(conversions)) == len(conversions), "the bare one and the one with revenue, once each"
        bodies = [json.loads(request.body) for request in convert.requests if request.method == "POST"]
        assert not any(body["enrichData"] for body in bodies)


def test_redis_that_is_down_costs_a_decision_nothing() -> None:
    with refused_port() as port, site() as convert:
        store = RedisStore(f"redis://127.0.0.1:{port}/0", breaker=Breaker(cooldown=60))
        with Client(
            KEY,
            config_endpoint=convert.url,
            track_endpoint=convert.url,
            start_wait=120,
            store=store,
            shutdown_timeout=120,
        ) as client:
            for n in range(50):
                visitor = client.visitor(f"v{n}")
                assert visitor.decide("button-10").variation is not None
                assert visitor.track("goal-1")
            status = client.status()
            assert status.breaker == "open"
            assert status.incidents["load"] == 50
            assert status.visitors == 50
        counts = client.status().events
        assert counts.offered == sum(counts[1:]) == counts.sent == 100, "closing sends what nobody claimed"
        assert len(convert.events) == 100


@pytest.mark.servers
def test_redis_that_comes_back_is_told_everything() -> None:
    with redis_server() as server, site() as convert:
        store = RedisStore(server.url, breaker=Breaker(cooldown=0.2))
        patient = RedisStore(server.url, timeout=60)
        with Client(
            KEY, config_endpoint=convert.url, track_endpoint=convert.url, start_wait=120, store=store
        ) as client:
            client.visitor("before").decide("button-10")
            eventually(lambda: client.flush(0.1) and patient.load("1001-2002-before"))
            server.process.freeze()
            for n in range(20):
                assert client.visitor(f"v{n}").decide("button-10").variation is not None
            client.flush(0.1)
            server.process.send(signal.SIGCONT)
            keys = [f"1001-2002-v{n}" for n in range(20)]
            eventually(lambda: client.flush(0.1) and all(patient.load(key) for key in keys))
            states = [patient.load(key) for key in keys]
            assert [state and set(state.bucketing) for state in states] == [{"10"}] * 20
            eventually(lambda: client.flush(0.1) and client.status().breaker == "closed")


class Moody:
    """A store of the application's own that keeps to no contract."""

    shared = True

    def __init__(self) -> None:
        self.inner = MemoryStore(shared=True)
        self.works = False

    def load(self, key: str) -> VisitorState | None:
        if not self.works:
            raise ZeroDivisionError
        return self.inner.load(key)

    def save(self, changes: Changes) -> Winners:
        if not self.works:
            raise KeyError(changes.key)
        return self.inner.save(changes)

    def close(self) -> None:
        self.works = False


@pytest.mark.parametrize("kind", ["thread", "task"])
def test_a_store_that_raises_anything_at_all_stops_nothing(kind: str) -> None:
    store = Moody()
    with site() as convert:
        options = {"config_endpoint": convert.url, "track_endpoint": convert.url, "store": store}
        options |= {"start_wait": 120, "shutdown_timeout": 120}

        async def use() -> None:
            async with AsyncClient(KEY, **options) as client:  # type: ignore[arg-type]
                visitor = await client.visitor("v")
                assert visitor.track("goal-1")
                assert visitor.decide("button-10").variation
                await client.flush(0.2)
                await asyncio.to_thread(eventually, lambda: client.status().incidents.get("state"))
                store.works = True
                assert (await client.flush(120)).pending == 0
                assert client.status().incidents["state"] >= 1

        if kind == "task":
            asyncio.run(use())
        else:
            with Client(KEY, **options) as client:  # type: ignore[arg-type]
                visitor = client.visitor("v")
                assert visitor.track("goal-1")
                assert visitor.decide("button-10").variation
                client.flush(0.2)
                eventually(lambda: client.status().incidents.get("state"))
                store.works = True
                assert client.flush(120).pending == 0
                assert client.status().incidents["state"] >= 1
        stored = store.inner.load("1001-2002-v")
        assert stored is not None
        assert set(stored.goals) == {"goal-1"}
        assert sum("goalId" in event for _, event in convert.events) == 1


@pytest.mark.servers
def test_an_asyncio_client_claims_in_redis() -> None:
    async def use(url: str, where: str) -> int:
        deduplicated = 0
        for _ in range(2):
            store = AsyncRedisStore(where, timeout=60)
            async with AsyncClient(
                KEY, config_endpoint=url, track_endpoint=url, start_wait=120, store=store
            ) as client:
                visitor = await client.visitor("v")
                visitor._engine.visitors.states.clear()
                visitor._state = VisitorState()
                visitor.track("goal-1")
                assert (await client.flush(120)).pending == 0
                deduplicated += client.status().events.deduplicated
            await store.close()
        return deduplicated

    with redis_server() as server, site() as convert:
        assert asyncio.run(use(convert.url, server.url)) == 1
        assert len(convert.events) == 1


CLAIMS = """
import os, sys
from convert_sdk import Client
from convert_sdk.stores.redis import RedisStore

url, key, where, spool = sys.argv[1:5]
store = RedisStore(where, timeout=60)
client = Client(key, config_endpoint=url, track_endpoint=url, start_wait=120,
                store=store, spool=spool, durability="sync")
assert all(client.visitor(f"v{n}").track("goal-1") for n in range(20))
os.kill(os.getpid(), 9)
"""


@pytest.mark.servers
def test_what_a_killed_process_left_is_claimed_again_before_it_is_sent(tmp_path: Path) -> None:
    """Half of its visitors converted elsewhere meanwhile: those conversions count there alone."""
    with redis_server() as server, site(dead) as convert:
        with running(CLAIMS, convert.url, KEY, server.url, str(tmp_path)) as process:
            assert process.end().status == -signal.SIGKILL
        convert.answer = serving()
        store = RedisStore(server.url, timeout=60)
        claimed = {
            f"v{n}": store.save(Changes(f"1001-2002-v{n}", goals={"goal-1": "elsewhere"})).goals["goal-1"]
            for n in range(10)
        }
        already = {visitor for visitor, winner in claimed.items() if winner != "elsewhere"}
        elsewhere = set(claimed) - already
        with Client(
            KEY,
            config_endpoint=convert.url,
            track_endpoint=convert.url,
            start_wait=120,
            store=store,
            spool=str(tmp_path),
        ) as client:
            client.visitor("restart")
            assert client.flush(120).pending == 0
            assert client.status().events.deduplicated == len(elsewhere)
        delivered = {visitor for visitor, _ in convert.events}
        assert delivered == {f"v{n}" for n in range(20)} - elsewhere
        assert convert.duplicates() == 0


def test_a_store_error_is_what_a_store_may_raise() -> None:
    with refused_port() as port, pytest.raises(StoreError):
        RedisStore(f"redis://127.0.0.1:{port}/0").load("v")
