"""One contract for every store."""

from __future__ import annotations

import asyncio
import sqlite3
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
from convert_sdk.stores import (
    Changes,
    ForgettingStore,
    ForgottenState,
    MemoryStore,
    Store,
    VisitorState,
    Winners,
)
from convert_sdk.stores.redis import AsyncRedisStore, RedisStore
from convert_sdk.stores.sqlite import SqliteStore
from tests.contracts.awaited import Awaited, state_of
from tests.shapes import of

REDIS = [pytest.param(kind, marks=pytest.mark.servers) for kind in ("redis", "redis, awaited")]


@pytest.fixture(scope="module", params=["memory", "sqlite", *REDIS])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    made: Store
    if request.param == "memory":
        made = MemoryStore(shared=True, max_visitors=None)
    elif request.param == "sqlite":
        made = SqliteStore(tmp_path_factory.mktemp("store") / "visitors.db")
    elif request.param == "redis":
        made = RedisStore(request.getfixturevalue("redis_url"), timeout=120)
    else:
        made = Awaited(AsyncRedisStore(request.getfixturevalue("redis_url"), timeout=120))
    yield made
    made.close()


names = st.text(st.characters(), min_size=1, max_size=8)
values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | names
changes = st.builds(
    Changes,
    key=st.just(""),
    bucketing=st.dictionaries(names, names, max_size=4),
    goals=st.dictionaries(names, st.text(st.characters(), max_size=8), max_size=4),
    segments=st.dictionaries(names, values, max_size=4),
    locations=st.none() | st.lists(names, max_size=3).map(tuple),
    overruled=st.dictionaries(names, names, max_size=4),
    forgotten=st.just(0),
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
        loaded.bucketing["100"] = of(dict, loaded.goals)["buy"] = "mine"
        assert store.load(key) == VisitorState({"100": "one"})

    def test_visitors_do_not_mix(self, store: Store, key: str) -> None:
        store.save(Changes(key, {"100": "one"}))
        store.save(Changes(key + "x", {"100": "two"}))
        assert store.load(key) == VisitorState({"100": "one"})

    def test_the_forgotten_are_strangers(self, store: ForgettingStore, key: str) -> None:
        store.save(Changes(key, {"100": "one"}, {"buy": "u1"}, {"country": "DE"}, ("home",)))
        moment = store.delete(key)
        state = store.load(key)
        assert state == VisitorState()
        assert isinstance(state, ForgottenState)
        assert state.at == moment

    def test_nobody_need_be_known_to_be_forgotten(self, store: ForgettingStore, key: str) -> None:
        assert store.delete(key) < store.delete(key)

    def test_what_is_older_than_the_forgetting_stays_away(self, store: ForgettingStore, key: str) -> None:
        first = store.delete(key)
        late = Changes(key, {"100": "one"}, {"buy": "u1"}, {"country": "DE"}, ("home",))
        assert store.save(late) == Winners({"100": "one"}, {"buy": "u1"})
        assert store.load(key) == VisitorState()
        store.delete(key)
        store.save(late._replace(forgotten=first))
        assert store.load(key) == VisitorState()

    def test_who_comes_back_is_remembered_anew(self, store: ForgettingStore, key: str) -> None:
        store.save(Changes(key, {"100": "one"}))
        moment = store.delete(key)
        assert store.save(Changes(key, {"100": "two"}, forgotten=moment)).bucketing == {"100": "two"}
        assert store.save(Changes(key, {"101": "old"})).bucketing == {"101": "old"}
        state = store.load(key)
        assert isinstance(state, ForgottenState)
        assert (state, state.at) == (VisitorState({"100": "two"}), moment)

    def test_the_forgotten_do_not_mix(self, store: ForgettingStore, key: str) -> None:
        store.save(Changes(key + "x", {"100": "two"}))
        store.delete(key)
        assert store.load(key + "x") == VisitorState({"100": "two"})
        assert not isinstance(store.load(key + "x"), ForgottenState)

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

    def test_a_decision_that_was_seen_and_made_anew_replaces_the_stored_one(
        self, store: Store, key: str
    ) -> None:
        store.save(Changes(key, {"100": "one", "101": "kept"}))
        changes = Changes(key, {"100": "two", "101": "new"}, overruled={"100": "one", "101": "other"})
        assert store.save(changes).bucketing == {"100": "two", "101": "kept"}
        assert store.load(key) == VisitorState({"100": "two", "101": "kept"})

    def test_two_who_overrule_the_same_decision_agree_on_the_first(self, store: Store, key: str) -> None:
        store.save(Changes(key, {"100": "one"}))
        anew = [Changes(key, {"100": name}, overruled={"100": "one"}) for name in ("two", "three")]
        assert [store.save(changes).bucketing["100"] for changes in anew] == ["two", "two"]

    def test_overruling_what_the_store_does_not_hold_changes_nothing_more(
        self, store: Store, key: str
    ) -> None:
        changes = Changes(key, {"100": "one"}, overruled={"100": "old", "101": "other"})
        assert store.save(changes).bucketing == {"100": "one"}
        assert store.load(key) == VisitorState({"100": "one"})

    @given(first=changes, second=changes)
    @settings(max_examples=30, deadline=None)
    def test_two_saves_merge_in_their_order(self, store: Store, first: Changes, second: Changes) -> None:
        key = str(uuid4())
        first, second = first._replace(overruled={}), second._replace(overruled={})
        store.save(first._replace(key=key))
        store.save(second._replace(key=key))
        loaded, merged = store.load(key), merge(state_of(first), state_of(second))
        assert loaded is not None
        assert (loaded.bucketing, loaded.goals, loaded.segments) == (
            merged.bucketing,
            merged.goals,
            merged.segments,
        )


UNREADABLE = {
    "sqlite": [
        "UPDATE visitors SET state = '{' WHERE key = json_quote(?)",
        "UPDATE visitors SET state = x'ff00' WHERE key = json_quote(?)",
        "UPDATE visitors SET state = CAST(x'7bff7d' AS TEXT) WHERE key = json_quote(?)",
        "UPDATE visitors SET state = replace(hex(zeroblob(100000)), '0', '[') WHERE key = json_quote(?)",
        "UPDATE visitors SET state = 5 WHERE key = json_quote(?)",
        'UPDATE visitors SET state = \'{"bucketing":[1],"goals":7,"locations":{}}\' WHERE key = json_quote(?)',
    ],
    "redis": ["set", "lpush", "sadd"],
}
"""Ways to spoil the state of one visitor."""


@pytest.fixture(
    params=[
        *[("sqlite", how) for how in UNREADABLE["sqlite"]],
        *[
            pytest.param((kind, how), marks=pytest.mark.servers)
            for kind in ("redis", "redis, awaited")
            for how in UNREADABLE["redis"]
        ],
    ],
    ids=lambda param: f"{param[0]}, {param[1][:40]}",
)
def spoilt(request: pytest.FixtureRequest, tmp_path: Path, key: str) -> Iterator[Store]:
    """A store in which this key holds what is no state."""
    kind, how = request.param
    made: Store
    if kind == "sqlite":
        made = SqliteStore(tmp_path / "visitors.db")
        made.save(Changes(key))
        with sqlite3.connect(tmp_path / "visitors.db") as file:
            assert file.execute(how, (key,)).rowcount == 1
        file.close()
    else:
        url = request.getfixturevalue("redis_url")
        made = RedisStore(url, timeout=120) if kind == "redis" else Awaited(AsyncRedisStore(url, timeout=120))
        client = redis.Redis.from_url(url)
        getattr(client, how)(f"convert:{key}", "no state")
        client.close()
    yield made
    made.close()


class TestAStateThatCannotBeRead:
    def test_its_visitor_is_a_stranger(self, spoilt: Store, key: str) -> None:
        assert spoilt.load(key) in (None, VisitorState())

    def test_a_save_replaces_it(self, spoilt: Store, key: str) -> None:
        assert spoilt.save(Changes(key, {"100": "one"}, {"buy": "u1"})) == Winners(
            {"100": "one"}, {"buy": "u1"}
        )
        assert spoilt.save(Changes(key, {"100": "two"}, {"buy": "u2"})) == Winners(
            {"100": "one"}, {"buy": "u1"}
        )
        assert spoilt.load(key) == VisitorState({"100": "one"}, {"buy": "u1"})

    def test_the_others_are_not_touched(self, spoilt: Store, key: str) -> None:
        spoilt.save(Changes(f"{key}-other", {"100": "one"}))
        spoilt.save(Changes(key, {"100": "two"}))
        assert spoilt.load(f"{key}-other") == VisitorState({"100": "one"})
