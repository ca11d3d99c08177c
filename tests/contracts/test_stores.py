"""One contract for every store, and what only some of them promise."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from convert_sdk._core.state import apply, merge
from convert_sdk.errors import OptionError, StoreError
from convert_sdk.stores import AsyncStore, Changes, MemoryStore, Store, VisitorState, Winners
from convert_sdk.stores.breaker import Breaker
from convert_sdk.stores.redis import AsyncRedisStore, RedisStore
from convert_sdk.stores.sqlite import SqliteStore
from tests.servers import redis_server, refused_port

ROOT = Path(__file__).parents[2]


class Awaited:
    """An asynchronous store, driven by a loop of its own."""

    def __init__(self, store: AsyncStore) -> None:
        self.store = store
        self.runner = asyncio.Runner()

    @property
    def shared(self) -> bool:
        return self.store.shared

    def load(self, key: str) -> VisitorState | None:
        return self.runner.run(self.store.load(key))

    def save(self, changes: Changes) -> Winners:
        return self.runner.run(self.store.save(changes))

    def close(self) -> None:
        self.runner.run(self.store.close())
        self.runner.close()


@pytest.fixture(scope="module", params=["memory", "sqlite", "redis", "redis, awaited"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    made: Store
    if request.param == "memory":
        made = MemoryStore(shared=True, max_visitors=None)
    elif request.param == "sqlite":
        made = SqliteStore(tmp_path_factory.mktemp("store") / "visitors.db")
    elif request.param == "redis":
        made = RedisStore(request.getfixturevalue("redis_url"), timeout=5)
    else:
        made = Awaited(AsyncRedisStore(request.getfixturevalue("redis_url"), timeout=5))
    yield made
    made.close()


@pytest.fixture
def key() -> str:
    return f"1-2-{uuid4()}"


names = st.text(st.characters(), min_size=1, max_size=8)
values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | names
changes = st.builds(
    Changes,
    key=st.just(""),
    bucketing=st.dictionaries(names, names, max_size=4),
    goals=st.dictionaries(names, st.text(st.characters(), max_size=8), max_size=4),
    segments=st.dictionaries(names, values, max_size=4),
    locations=st.none() | st.lists(names, max_size=3).map(tuple),
)


def together(store: Store, changes: list[Changes]) -> list[Winners]:
    """Every change saved at once: by threads, or by tasks where the store is awaited."""
    if isinstance(store, Awaited):
        awaited = store.store

        async def gathered() -> list[Winners]:
            return await asyncio.gather(*map(awaited.save, changes))

        return store.runner.run(gathered())
    ready = threading.Barrier(len(changes))
    with ThreadPoolExecutor(len(changes)) as pool:
        return list(pool.map(lambda change: (ready.wait(), store.save(change))[1], changes))


def state_of(change: Changes) -> VisitorState:
    state = VisitorState()
    apply(state, change)
    return state


class TestEveryStore:
    def test_a_stranger_has_no_state(self, store: Store, key: str) -> None:
        assert store.load(key) is None

    def test_what_is_saved_is_loaded(self, store: Store, key: str) -> None:
        store.save(Changes(key, {"100": "one"}, {"buy": "u1"}, {"country": "DE"}, ("home",)))
        assert store.load(key) == VisitorState({"100": "one"}, {"buy": "u1"}, {"country": "DE"}, ("home",))

    def test_the_first_decision_wins(self, store: Store, key: str) -> None:
        assert store.save(Changes(key, {"100": "one"})).bucketing == {"100": "one"}
        assert store.save(Changes(key, {"100": "two", "101": "a"})).bucketing == {"100": "one", "101": "a"}

    def test_a_goal_is_claimed_once(self, store: Store, key: str) -> None:
        assert store.save(Changes(key, goals={"buy": "u1"})).goals == {"buy": "u1"}
        assert store.save(Changes(key, goals={"buy": "u2"})).goals == {"buy": "u1"}

    def test_the_same_claim_wins_again(self, store: Store, key: str) -> None:
        store.save(Changes(key, goals={"buy": "u1"}))
        assert store.save(Changes(key, goals={"buy": "u1"})).goals == {"buy": "u1"}

    def test_the_last_segment_wins_key_by_key(self, store: Store, key: str) -> None:
        store.save(Changes(key, segments={"country": "DE", "browser": "firefox"}))
        store.save(Changes(key, segments={"country": "FR"}))
        loaded = store.load(key)
        assert loaded is not None
        assert loaded.segments == {"country": "FR", "browser": "firefox"}

    def test_the_last_locations_win_and_none_changes_nothing(self, store: Store, key: str) -> None:
        store.save(Changes(key, locations=("home", "cart")))
        store.save(Changes(key, locations=None))
        loaded = store.load(key)
        assert loaded is not None
        assert loaded.locations == ("home", "cart")
        store.save(Changes(key, locations=()))
        loaded = store.load(key)
        assert loaded is not None
        assert loaded.locations == ()

    def test_saving_nothing_makes_the_visitor_known(self, store: Store, key: str) -> None:
        assert store.save(Changes(key)) == Winners({}, {})
        assert store.load(key) == VisitorState()

    def test_what_was_loaded_is_the_callers(self, store: Store, key: str) -> None:
        store.save(Changes(key, {"100": "one"}))
        loaded = store.load(key)
        assert loaded is not None
        loaded.bucketing["100"] = loaded.goals["buy"] = "mine"
        assert store.load(key) == VisitorState({"100": "one"})

    def test_visitors_do_not_mix(self, store: Store, key: str) -> None:
        store.save(Changes(key, {"100": "one"}))
        store.save(Changes(key + "x", {"100": "two"}))
        assert store.load(key) == VisitorState({"100": "one"})

    def test_callers_at_once_agree(self, store: Store, key: str) -> None:
        won = together(store, [Changes(key, {"100": str(n)}, {"buy": str(n)}) for n in range(8)])
        assert len(won) == 8
        assert won == won[:1] * 8

    @given(changes=st.lists(changes, min_size=1, max_size=4), visitor=names)
    @settings(max_examples=50, deadline=None)
    def test_it_does_what_the_core_does(self, store: Store, changes: list[Changes], visitor: str) -> None:
        key = f"{uuid4()}-{visitor}"
        model = VisitorState()
        for change in changes:
            assert store.save(change._replace(key=key)) == apply(model, change)
        assert store.load(key) == model

    @given(change=changes)
    @settings(max_examples=30, deadline=None)
    def test_saving_twice_is_saving_once(self, store: Store, change: Changes) -> None:
        change = change._replace(key=str(uuid4()))
        won, once = store.save(change), store.load(change.key)
        assert store.save(change) == won
        assert store.load(change.key) == once

    @given(first=changes, second=changes)
    @settings(max_examples=30, deadline=None)
    def test_two_saves_merge_in_their_order(self, store: Store, first: Changes, second: Changes) -> None:
        key = str(uuid4())
        store.save(first._replace(key=key))
        store.save(second._replace(key=key))
        loaded, merged = store.load(key), merge(state_of(first), state_of(second))
        assert loaded is not None
        assert (loaded.bucketing, loaded.goals, loaded.segments) == (
            merged.bucketing,
            merged.goals,
            merged.segments,
        )


class TestMemoryStore:
    def test_the_longest_unused_is_forgotten(self) -> None:
        store = MemoryStore(max_visitors=2)
        for name in ("ann", "bob"):
            store.save(Changes(name))
        store.load("ann")
        store.save(Changes("eve"))
        assert store.load("bob") is None
        assert store.load("ann") is not None

    def test_no_room_is_refused(self) -> None:
        with pytest.raises(ValueError, match="at least 1"):
            MemoryStore(max_visitors=0)


class TestSqliteStore:
    def test_it_survives_a_restart(self, tmp_path: Path) -> None:
        store = SqliteStore(tmp_path / "visitors.db")
        store.save(Changes("ann", {"100": "one"}))
        store.close()
        store.close()
        assert SqliteStore(tmp_path / "visitors.db").load("ann") == VisitorState({"100": "one"})

    def test_the_files_are_private(self, tmp_path: Path) -> None:
        store = SqliteStore(tmp_path / "visitors.db")
        store.save(Changes("ann"))
        assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}

    def test_a_visitor_is_forgotten_after_its_life(self, tmp_path: Path) -> None:
        now = [1000.0]
        store = SqliteStore(tmp_path / "visitors.db", ttl=60, clock=lambda: now[0])
        store.save(Changes("ann", {"100": "one"}))
        now[0] += 59
        assert store.load("ann") is not None
        now[0] += 1
        assert store.load("ann") is None
        assert store.save(Changes("ann", {"100": "two"})).bucketing == {"100": "two"}

    def test_the_dead_leave_the_file(self, tmp_path: Path) -> None:
        now = [1000.0]
        store = SqliteStore(tmp_path / "visitors.db", ttl=60, clock=lambda: now[0])
        store.save(Changes("ann"))
        now[0] += 4000
        store.save(Changes("bob"))
        store.close()
        with sqlite3.connect(tmp_path / "visitors.db") as file:
            assert file.execute("SELECT count(*) FROM visitors").fetchone() == (1,)
        file.close()

    def test_a_file_that_is_no_database_is_a_store_error(self, tmp_path: Path) -> None:
        (tmp_path / "visitors.db").write_text("not a database, but long enough to be taken for one" * 50)
        store = SqliteStore(tmp_path / "visitors.db")
        with pytest.raises(StoreError, match="cannot be read"):
            store.load("ann")
        with pytest.raises(StoreError, match="cannot be written"):
            store.save(Changes("ann"))

    def test_an_empty_file_is_taken_over(self, tmp_path: Path) -> None:
        (tmp_path / "visitors.db").touch()
        store = SqliteStore(tmp_path / "visitors.db")
        store.save(Changes("ann"))
        assert store.load("ann") == VisitorState()

    def test_a_missing_folder_is_a_store_error(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="cannot be written"):
            SqliteStore(tmp_path / "absent" / "visitors.db").save(Changes("ann"))

    def test_a_damaged_state_is_a_store_error(self, tmp_path: Path) -> None:
        store = SqliteStore(tmp_path / "visitors.db")
        store.save(Changes("ann"))
        with sqlite3.connect(tmp_path / "visitors.db") as file:
            file.execute("UPDATE visitors SET state = '{'")
        file.close()
        with pytest.raises(StoreError, match="cannot be read"):
            store.load("ann")

    def test_its_repr_says_where(self, tmp_path: Path) -> None:
        assert (
            repr(SqliteStore(tmp_path / "visitors.db")) == f"SqliteStore({str(tmp_path / 'visitors.db')!r})"
        )

    def test_forks_while_another_thread_writes(self, tmp_path: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-c", FORKS, str(tmp_path / "visitors.db")],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        store = SqliteStore(tmp_path / "visitors.db")
        for child in range(8):
            for n in range(20):
                assert store.load(f"child-{child}-{n}") == VisitorState({"100": "one"})
        for n in range(int(done.stdout)):
            assert store.load(f"parent-{n}") is not None


FORKS = """
import os, sys, threading
from convert_sdk.stores import Changes
from convert_sdk.stores.sqlite import SqliteStore

store = SqliteStore(sys.argv[1])
store.save(Changes("before"))
stop = threading.Event()
written = [0]

def write():
    while not stop.is_set():
        store.save(Changes(f"parent-{written[0]}"))
        written[0] += 1

thread = threading.Thread(target=write)
thread.start()
for child in range(8):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            for n in range(20):
                store.save(Changes(f"child-{child}-{n}", {"100": "one"}))
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
stop.set()
thread.join()
print(written[0])
"""

RACE = """
import json, sys
from convert_sdk.stores import Changes
from convert_sdk.stores.redis import RedisStore
from convert_sdk.stores.sqlite import SqliteStore

kind, where, me = sys.argv[1:]
store = SqliteStore(where) if kind == "sqlite" else RedisStore(where, timeout=20)
store.load("nobody")
print("ready", flush=True)
sys.stdin.readline()
for n in range(50):
    won = store.save(Changes(f"racing-{n}", {"100": me}, {"buy": me}))
    print(json.dumps([won.bucketing["100"], won.goals["buy"]]), flush=True)
"""


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_eight_processes_converge(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    where = str(tmp_path / "visitors.db") if kind == "sqlite" else request.getfixturevalue("redis_url")
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, kind, where, str(me)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for me in range(8)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    told = []
    for racer in racers:
        output, _ = racer.communicate(timeout=120)
        assert racer.returncode == 0
        told.append([tuple(json.loads(line)) for line in output.splitlines()])
    for answers in zip(*told, strict=True):
        assert len(set(answers)) == 1
        variation, claim = answers[0]
        assert sum(claim == str(me) for me in range(8)) == 1
        assert variation in map(str, range(8))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class TestBreaker:
    @given(steps=st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=30))
    def test_it_lets_one_through_per_cooldown(self, steps: list[tuple[float, bool]]) -> None:
        clock = Clock()
        breaker = Breaker(cooldown=3, clock=clock)
        spared_until = 0.0
        for wait, answers in steps:
            clock.now += wait
            if clock.now < spared_until:
                assert breaker.state == "open"
                with pytest.raises(StoreError, match="tried again"):
                    breaker.enter()
                continue
            assert breaker.state == ("half-open" if spared_until else "closed")
            breaker.enter()
            if answers:
                breaker.succeeded()
                spared_until = 0.0
            else:
                breaker.failed()
                spared_until = clock.now + 3

    def test_one_tries_while_the_others_are_held_off(self) -> None:
        clock = Clock()
        breaker = Breaker(cooldown=3, clock=clock)
        breaker.failed()
        clock.now += 3
        breaker.enter()
        with pytest.raises(StoreError):
            breaker.enter()
        clock.now += 3
        breaker.enter()


@pytest.fixture(params=["redis", "redis, awaited"])
def lonely(request: pytest.FixtureRequest) -> type[RedisStore | AsyncRedisStore]:
    return RedisStore if request.param == "redis" else AsyncRedisStore


def made(
    kind: type[RedisStore | AsyncRedisStore], url: str, breaker: Breaker, timeout: float = 0.05
) -> Store:
    if issubclass(kind, RedisStore):
        return kind(url, breaker=breaker, timeout=timeout)
    return Awaited(kind(url, breaker=breaker, timeout=timeout))


class TestRedisStores:
    def test_one_round_trip_each(self, lonely: type[RedisStore | AsyncRedisStore], redis_url: str) -> None:
        store, watching = made(lonely, redis_url, Breaker(), timeout=5), redis.Redis.from_url(redis_url)
        change = Changes("counted", {"1": "a", "2": "b"}, {"buy": "u"}, {"country": "DE"}, ("home",))
        store.save(change)
        watching.config_resetstat()
        store.save(change)
        store.load("counted")
        calls = {name: stats["calls"] for name, stats in watching.info("commandstats").items()}
        assert calls.get("cmdstat_evalsha") == 1
        assert calls.get("cmdstat_hgetall") == 1
        # The script's own calls are counted too; nothing else was asked.
        inner = {"cmdstat_hset", "cmdstat_hsetnx", "cmdstat_hget", "cmdstat_pexpire"}
        own = {"cmdstat_info", "cmdstat_config|resetstat"}
        assert set(calls) <= inner | own | {"cmdstat_evalsha", "cmdstat_hgetall"}
        store.close()
        watching.close()

    def test_a_visitor_lives_90_days_under_the_prefix(self, redis_url: str) -> None:
        store, watching = RedisStore(redis_url, prefix="shop:", timeout=5), redis.Redis.from_url(redis_url)
        store.save(Changes("1-2-living"))
        assert 90 * 86_400 - 60 < watching.ttl("shop:1-2-living") <= 90 * 86_400
        store.close()
        watching.close()

    @pytest.mark.parametrize("options", [{}, {"decode_responses": True}, {"protocol": 2}, {"protocol": 3}])
    def test_your_own_client_is_used_and_left_open(self, redis_url: str, options: dict[str, object]) -> None:
        client = redis.Redis.from_url(redis_url, **options)
        store = RedisStore(client)
        change = Changes(str(uuid4()), {"1": "ä\ud800"}, {"buy": ""}, {"country": "\udfff"}, ("ü",))
        assert store.save(change) == Winners(change.bucketing, change.goals)
        assert store.load(change.key) == state_of(change)
        store.close()
        assert client.ping()
        client.close()

    def test_a_forgotten_script_is_sent_again(self, redis_url: str, key: str) -> None:
        store, watching = RedisStore(redis_url, timeout=5), redis.Redis.from_url(redis_url)
        store.save(Changes(key, {"1": "a"}))
        watching.script_flush()
        assert store.save(Changes(key, {"1": "b"})).bucketing == {"1": "a"}
        store.close()
        watching.close()

    def test_a_refusal_is_no_outage(
        self, lonely: type[RedisStore | AsyncRedisStore], redis_url: str, key: str
    ) -> None:
        breaker = Breaker()
        store, watching = made(lonely, redis_url, breaker, timeout=5), redis.Redis.from_url(redis_url)
        watching.set(f"convert:{key}", "no hash")
        with pytest.raises(StoreError, match=r"refused \(ResponseError\)") as raised:
            store.load(key)
        assert key not in str(raised.value)
        watching.delete(f"convert:{key}")
        watching.hset(f"convert:{key}", "s:country", "{")
        with pytest.raises(StoreError, match="cannot be read"):
            store.load(key)
        assert breaker.state == "closed"
        store.close()
        watching.close()

    def test_each_loop_has_its_own_connections(self, redis_url: str, key: str) -> None:
        store = AsyncRedisStore(redis_url, timeout=5)

        async def visit(name: str) -> Winners:
            won = await store.save(Changes(key, {"1": name}))
            await store.close()
            return won

        assert asyncio.run(visit("a")) == asyncio.run(visit("b"))

    @pytest.mark.parametrize("kind", [RedisStore, AsyncRedisStore])
    @pytest.mark.parametrize(
        "url",
        [
            "redis://:hun/ter2@cache/0",
            "redis://:hun#ter2@cache",
            "redis://:hun?ter2@cache",
            "redis://cache:hunter2",
            "http://hunter2",
            "hunter2",
        ],
    )
    def test_a_bad_url_is_refused_without_its_password(
        self, kind: type[RedisStore | AsyncRedisStore], url: str
    ) -> None:
        with pytest.raises(OptionError, match="percent-encoded") as raised:
            kind(url)
        assert "hun" not in str(raised.value)

    @pytest.mark.parametrize("kind", [RedisStore, AsyncRedisStore])
    def test_its_repr_has_no_password(self, kind: type[RedisStore | AsyncRedisStore]) -> None:
        store = kind("rediss://ann:hunter2@cache:6380/1?password=hunter2")
        assert repr(store) == f"{kind.__name__}('rediss://cache:6380/1')"


class TestRedisDown:
    def test_nobody_listens(self, lonely: type[RedisStore | AsyncRedisStore]) -> None:
        breaker = Breaker(clock=Clock())
        with refused_port() as port:
            store = made(lonely, f"redis://:hunter2@127.0.0.1:{port}/0", breaker)
            with pytest.raises(StoreError, match=rf"redis://127\.0\.0\.1:{port}/0 does not answer") as raised:
                store.load("ann")
            assert "hunter2" not in str(raised.value)
            assert breaker.state == "open"
            with pytest.raises(StoreError, match="a moment ago"):
                store.save(Changes("ann"))
            store.close()

    def test_a_black_hole_is_asked_once(self, lonely: type[RedisStore | AsyncRedisStore]) -> None:
        breaker = Breaker(clock=Clock())
        with socket.create_server(("127.0.0.1", 0)) as hole:
            hole.setblocking(False)
            store = made(lonely, f"redis://127.0.0.1:{hole.getsockname()[1]}/0", breaker)
            with pytest.raises(StoreError, match="does not answer"):
                store.save(Changes("ann"))
            hole.accept()[0].close()
            for _ in range(100):
                with pytest.raises(StoreError, match="a moment ago"):
                    store.load("ann")
            with pytest.raises(BlockingIOError):
                hole.accept()
            store.close()

    def test_a_frozen_server_comes_back(self, lonely: type[RedisStore | AsyncRedisStore]) -> None:
        clock = Clock()
        breaker = Breaker(cooldown=3, clock=clock)
        with redis_server() as server:
            store = made(lonely, server.url, breaker, timeout=2)
            store.save(Changes("ann", {"100": "one"}))
            server.process.send_signal(signal.SIGSTOP)
            with pytest.raises(StoreError, match="does not answer"):
                store.load("ann")
            assert breaker.state == "open"
            server.process.send_signal(signal.SIGCONT)
            clock.now += 3
            assert breaker.state == "half-open"
            assert store.load("ann") == VisitorState({"100": "one"})
            assert breaker.state == "closed"
            store.close()
