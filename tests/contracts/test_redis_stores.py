"""What only the Redis stores promise, and what they do when Redis is down."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from convert_sdk import AsyncClient
from convert_sdk.errors import OptionError, StoreError, VisitorStateError
from convert_sdk.stores import Changes, ForgottenState, Store, VisitorState, Winners
from convert_sdk.stores.breaker import Breaker
from convert_sdk.stores.redis import AsyncRedisStore, RedisStore
from tests.contracts.awaited import Awaited, state_of
from tests.reliability.site import KEY, site
from tests.servers.programs import redis_server, refused_port
from tests.waiting import eventually


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
            assert breaker.state == ("half_open" if spared_until else "closed")
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
        store, watching = made(lonely, redis_url, Breaker(), timeout=120), redis.Redis.from_url(redis_url)
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
        store, watching = RedisStore(redis_url, prefix="shop:", timeout=120), redis.Redis.from_url(redis_url)
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
        store, watching = RedisStore(redis_url, timeout=120), redis.Redis.from_url(redis_url)
        store.save(Changes(key, {"1": "a"}))
        watching.script_flush()
        assert store.save(Changes(key, {"1": "b"})).bucketing == {"1": "a"}
        store.close()
        watching.close()

    def test_a_refusal_is_no_outage(self, lonely: type[RedisStore | AsyncRedisStore], key: str) -> None:
        breaker = Breaker()
        with redis_server("--maxmemory", "1", "--maxmemory-policy", "noeviction") as server:
            store = made(lonely, server.url, breaker, timeout=120)
            with pytest.raises(StoreError, match=r"refused \((OutOfMemory|Response)Error\)") as raised:
                store.save(Changes(key, {"100": "one"}))
            assert not isinstance(raised.value, VisitorStateError)
            assert key not in str(raised.value)
            assert breaker.state == "closed"
            store.close()

    @pytest.mark.parametrize("decode", [False, True])
    def test_the_fields_that_can_be_read_are(self, redis_url: str, key: str, *, decode: bool) -> None:
        client = redis.Redis.from_url(redis_url, decode_responses=decode)
        store = RedisStore(client)
        store.save(Changes(key, {"100": "one"}, {"buy": "u"}, {"country": "DE"}, ("home",)))
        odd: Any = {"b:101": "\\q", "g:pay": '"', "s:browser": "{", "l": "5", "b:\\q": "x", "what": "else"}
        client.hset(f"convert:{key}", mapping=odd)
        assert store.load(key) == VisitorState({"100": "one"}, {"buy": "u"}, {"country": "DE"})
        won = store.save(Changes(key, {"100": "two", "101": "new"}, {"buy": "v", "pay": "v"}))
        assert won == Winners({"100": "one", "101": "new"}, {"buy": "u", "pay": "v"})
        again = store.save(Changes(key, {"101": "newer"}, {"pay": "w"}))
        assert again == Winners({"101": "new"}, {"pay": "v"})
        assert store.replaced == 1
        client.close()

    def test_after_a_day_nobody_was_forgotten(self, redis_url: str, key: str) -> None:
        store, watching = RedisStore(redis_url, timeout=120), redis.Redis.from_url(redis_url)
        store.delete(key)
        assert 0 < watching.ttl(f"convert:{key}") <= 86_400
        seconds, _ = watching.time()
        watching.hset(f"convert:{key}", "x", (seconds - 86_401) * 1000)
        assert not isinstance(store.load(key), ForgottenState)
        assert store.save(Changes(key, {"1": "a"})).bucketing == {"1": "a"}
        assert store.load(key) == VisitorState({"1": "a"})
        assert not watching.hexists(f"convert:{key}", "x")
        store.close()
        watching.close()

    def test_each_loop_has_its_own_connections(self, redis_url: str, key: str) -> None:
        store = AsyncRedisStore(redis_url, timeout=120)

        async def visit(name: str) -> Winners:
            won = await store.save(Changes(key, {"1": name}))
            await store.close()
            return won

        assert asyncio.run(visit("a")) == asyncio.run(visit("b"))

    @pytest.mark.filterwarnings("error::ResourceWarning")
    def test_a_loop_that_ends_leaves_no_connection(self, redis_url: str, key: str) -> None:
        store = AsyncRedisStore(f"{redis_url}?client_name=visits", timeout=120)

        async def visit() -> int:
            await store.save(Changes(key, {"1": "a"}))
            await store.load(key)
            return len(ours())

        def ours() -> list[object]:
            return [each for each in watching.client_list() if each["name"] == "visits"]

        with redis.Redis.from_url(redis_url) as watching:
            for _ in range(5):
                assert asyncio.run(visit()) > 0
                gc.collect()
            eventually(lambda: not ours())

    def test_two_loops_at_once_keep_their_connections(self, redis_url: str, key: str) -> None:
        store = AsyncRedisStore(redis_url, timeout=120)
        meet = threading.Barrier(2, timeout=120)

        async def visit() -> int:
            await store.load(key)
            await asyncio.to_thread(meet.wait)
            for _ in range(10):
                await store.load(key)
            await asyncio.to_thread(meet.wait)
            return len(store._connected)  # nothing public says how many there are

        with ThreadPoolExecutor(2) as loops:
            assert [*loops.map(lambda _: asyncio.run(visit()), range(2))] == [2, 2]
        assert store._connected == {} or all(loop.is_closed() for loop in store._connected)

    @pytest.mark.filterwarnings("error::ResourceWarning")
    def test_a_client_that_closes_closes_its_connections(self, redis_url: str) -> None:
        store = AsyncRedisStore(redis_url, timeout=120)

        async def main(url: str, watching: redis.Redis) -> int:
            client = AsyncClient(KEY, config_endpoint=url, track_endpoint=url, store=store, start_wait=120)
            (await client.visitor("v")).decide("button-10")
            assert (await client.flush(120)).pending == 0
            await client.close()
            await client.close()
            return len(watching.client_list())

        with site() as convert, redis.Redis.from_url(redis_url) as watching:
            before = len(watching.client_list())
            for _ in range(3):
                assert asyncio.run(main(convert.url, watching)) <= before

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

    @pytest.mark.servers
    def test_a_frozen_server_comes_back(self, lonely: type[RedisStore | AsyncRedisStore]) -> None:
        clock = Clock()
        breaker = Breaker(cooldown=3, clock=clock)
        with redis_server() as server:
            patient = made(lonely, server.url, Breaker(), timeout=120)
            patient.save(Changes("ann", {"100": "one"}))
            patient.close()
            store = made(lonely, server.url, breaker, timeout=0.5)

            def is_there() -> bool:
                clock.now += 3
                with suppress(StoreError):  # on a slow machine
                    assert store.load("ann") == VisitorState({"100": "one"})
                return breaker.state == "closed"

            eventually(is_there)
            server.process.freeze()
            with pytest.raises(StoreError, match="does not answer"):
                store.load("ann")
            assert breaker.state == "open"
            server.process.send(signal.SIGCONT)
            clock.now += 3
            assert breaker.state == "half_open"
            eventually(is_there)
            store.close()
