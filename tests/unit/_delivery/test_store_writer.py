from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from convert_sdk import Visitor
from convert_sdk._core.events import TrackingContext
from convert_sdk._core.state import NOTHING
from convert_sdk._delivery import store_writer
from convert_sdk._delivery.engine import Engine
from convert_sdk._delivery.forgetting import ForgetRequest
from convert_sdk._delivery.queue import DeliveryConfig, Endpoint, EventQueue, EventState
from convert_sdk._delivery.store_writer import StoreWriter
from convert_sdk._delivery.visitors import VisitorCache
from convert_sdk._http.messages import Response
from convert_sdk._new_visitor import merge_loaded
from convert_sdk._process.clock import monotonic
from convert_sdk.errors import StoreError, VisitorStateError
from convert_sdk.status import StoreDeletion
from convert_sdk.stores import Changes, MemoryStore, VisitorState, Winners
from convert_sdk.stores.sqlite import SqliteStore
from tests.documents import entity, experience, project

SHOP = project(experience(), goals=[entity("91", "buy")])


class Failing:
    """A store that raises for some visitors, as often as it is asked, and remembers the others."""

    shared = True

    def __init__(self, failures: dict[str, Exception]) -> None:
        self.memory = MemoryStore(shared=True)
        self.failures = failures
        self.asked: list[str] = []

    def load(self, key: str) -> VisitorState | None:
        return self.memory.load(key)

    def save(self, changes: Changes) -> Winners:
        name = changes.key.removeprefix("1-2-")
        self.asked.append(name)
        if name in self.failures:
            raise self.failures[name]
        return self.memory.save(changes)

    def close(self) -> None:
        pass


class Awaited(Failing):
    """The same, awaited."""

    async def load(self, key: str) -> VisitorState | None:  # type: ignore[override]  # one store, two contracts
        return Failing.load(self, key)

    async def save(self, changes: Changes) -> Winners:  # type: ignore[override]  # as above
        return Failing.save(self, changes)

    async def close(self) -> None:  # type: ignore[override]  # as above
        pass


class Shop:
    """An engine whose visitors are saved by a writer, and what the writer reports."""

    def __init__(self) -> None:
        queue = EventQueue(DeliveryConfig(max_queue=1000, flush_interval=0.0), random=lambda: 0.0)
        queue.set_endpoint(Endpoint("http://127.0.0.1", {}, TrackingContext("1", "2")))
        self.queue = queue
        self.engine = Engine(VisitorCache(1000, stored=True), queue, claiming=True)
        self.engine.install(SHOP)
        self.reports: list[tuple[str, str]] = []
        self.writer = StoreWriter(self.engine, queue, lambda kind, text: self.reports.append((kind, text)))

    def visit(self, *names: str) -> None:
        for name in names:
            visitor = Visitor(self.engine, name, NOTHING, NOTHING)
            visitor.decide("checkout")
            visitor.track("buy")
        # Exposures are sent, and conversions wait for the store.
        while self.queue.next_request(monotonic()):
            self.queue.handle_response(Response(200), monotonic())

    def held(self) -> int:
        """The conversions that wait for the store."""
        return len(self.queue.by_state()[EventState.HELD])

    def save(self, store: Failing, times: int = 1) -> None:
        for _ in range(times):
            if isinstance(store, Awaited):
                asyncio.run(self.writer.asave(store, everything=True))
            else:
                self.writer.save(store, everything=True)

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.reports]


ALONE = [VisitorStateError("this one"), ValueError("v-2 is odd"), KeyError("v-2"), RuntimeError()]
OUTAGES = [StoreError("down"), ConnectionRefusedError(), TimeoutError()]


@pytest.fixture(params=[Failing, Awaited])
def kind(request: pytest.FixtureRequest) -> type[Failing]:
    made: type[Failing] = request.param
    return made


class TestAVisitorThatCannotBeSaved:
    @pytest.mark.parametrize("error", ALONE, ids=repr)
    def test_the_others_are(self, kind: type[Failing], error: Exception) -> None:
        shop, store = Shop(), kind({"v-2": error})
        shop.visit(*(f"v-{number}" for number in range(40)))
        shop.save(store)
        assert store.asked == [f"v-{number}" for number in range(40)]
        assert shop.writer.waiting == 1
        assert not shop.writer.down
        assert shop.kinds() == ["state"]
        assert "v-2" not in shop.reports[0][1]

    def test_is_tried_again_and_given_up(self, kind: type[Failing]) -> None:
        shop, store = Shop(), kind({"v-2": ValueError()})
        for turn in range(3):
            shop.visit("v-2", f"other-{turn}")
            assert shop.held() == 2
            shop.save(store)
        assert store.asked.count("v-2") == 3
        assert (shop.writer.waiting, shop.engine.visitors.lost) == (0, 1)
        assert shop.held() == 0  # its conversion is sent without a claim

    def test_one_that_recovers_is_saved(self, kind: type[Failing]) -> None:
        shop, store = Shop(), kind({"v-2": ValueError()})
        shop.visit("v-1", "v-2")
        shop.save(store)
        store.failures.clear()
        shop.save(store)
        assert (shop.writer.waiting, shop.engine.visitors.lost) == (0, 0)
        loaded = store.memory.load("1-2-v-2")
        assert loaded is not None
        assert "100" in loaded.bucketing

    def test_alone_it_is_kept_as_the_store_may_be_at_fault(self, kind: type[Failing]) -> None:
        shop, store = Shop(), kind({"v-2": ValueError()})
        shop.visit("v-2")
        shop.save(store, times=10)
        assert (shop.writer.waiting, shop.engine.visitors.lost) == (1, 0)

    def test_several_keep_nobody_else_waiting(self, kind: type[Failing]) -> None:
        bad, good = [f"bad-{number}" for number in range(5)], [f"good-{number}" for number in range(3)]
        shop, store = Shop(), kind(dict.fromkeys(bad, ValueError()))
        shop.visit(*bad, *good)
        shop.save(store, times=2)
        assert [name for name in good if store.memory.load(f"1-2-{name}") is None] == []
        assert (shop.writer.waiting, shop.engine.visitors.lost) == (5, 0)
        shop.save(store, times=10)
        assert shop.engine.visitors.lost == 0, "with nobody saved meanwhile it may be the store"
        for turn in range(12):
            shop.visit(f"other-{turn}")
            shop.save(store)
        assert (shop.writer.waiting, shop.engine.visitors.lost) == (0, 5)
        assert shop.held() == 0

    def test_several_come_behind_those_who_came_since(self, kind: type[Failing]) -> None:
        bad, good = [f"bad-{number}" for number in range(5)], [f"good-{number}" for number in range(3)]
        shop, store = Shop(), kind(dict.fromkeys(bad, ValueError()))
        shop.visit(*bad)
        shop.save(store)
        shop.visit(*good)
        shop.save(store)
        assert [name for name in good if store.memory.load(f"1-2-{name}") is None] == []

    def test_the_next_round_is_a_second_later(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = 100.0
        monkeypatch.setattr(store_writer, "monotonic", lambda: now)
        shop, store = Shop(), Failing({"v-2": ValueError()})
        shop.visit("v-2")
        assert shop.writer.due() == 0.0
        shop.writer.save(store, everything=False)
        now = 100.9
        shop.writer.save(store, everything=False)
        assert store.asked == ["v-2"]
        assert shop.writer.due() == 101.0
        now = 101.0
        shop.writer.save(store, everything=False)
        assert store.asked == ["v-2", "v-2"]


class TestAnOutage:
    @pytest.mark.parametrize("error", OUTAGES, ids=repr)
    def test_ends_the_round_and_loses_nothing(self, kind: type[Failing], error: Exception) -> None:
        shop, store = Shop(), kind({"v-2": error})
        shop.visit(*(f"v-{number}" for number in range(6)))
        shop.save(store)
        assert store.asked == ["v-0", "v-1", "v-2"]
        assert shop.writer.down
        assert (shop.writer.waiting, shop.kinds()) == (4, ["store"])

    def test_many_odd_failures_in_a_row_are_one(self, kind: type[Failing]) -> None:
        names = [f"v-{number}" for number in range(40)]
        shop, store = Shop(), kind(dict.fromkeys(names, RuntimeError()))
        shop.visit(*names)
        shop.save(store, times=8)
        assert len(store.asked) == 40
        assert shop.writer.down
        assert (shop.writer.waiting, shop.engine.visitors.lost) == (40, 0)


def test_a_row_that_cannot_be_read_is_replaced_and_reported(tmp_path: Path) -> None:
    names = [f"v-{number}" for number in range(40)]
    path = tmp_path / "visitors.db"
    store = SqliteStore(path)
    first, second = Shop(), Shop()
    first.visit(*names)
    first.writer.save(store, everything=True)
    with sqlite3.connect(path) as file:
        spoilt = file.execute("UPDATE visitors SET state = '{' WHERE key = json_quote('1-2-v-0')").rowcount
    file.close()
    assert spoilt == 1
    second.visit(*names)
    second.writer.save(store, everything=True)
    assert (second.writer.waiting, second.kinds()) == (0, ["replaced"])
    # 39 conversions were counted by the first process; the one whose claim could not be read, by both.
    assert second.queue.counts().deduplicated == 39
    store.close()


ANN = "ann@example.com"
NAMING = [
    (
        FileNotFoundError(2, "No such file or directory", f"/no/such/1-2-{ANN}.json"),
        "FileNotFoundError: No such file or directory",
    ),
    (OSError(5, f"1-2-{ANN} is on a bad block"), "OSError: … is on a bad block"),
    (OSError(ANN), "OSError"),
    (StoreError(f"1-2-{ANN} is locked, and so is {ANN}"), "… is locked, and so is …"),
    (VisitorStateError(f"cannot read 1-2-{ANN}"), "cannot read …"),
    (KeyError(ANN), "KeyError"),
]


class Undeletable(Failing):
    """A store of the same kind whose deletions fail, too."""

    def delete(self, key: str) -> int:
        raise self.failures[ANN]


@pytest.mark.parametrize(("error", "text"), NAMING, ids=lambda value: type(value).__name__)
class TestAnErrorThatNamesTheVisitor:
    def test_of_a_save(self, kind: type[Failing], error: Exception, text: str) -> None:
        shop = Shop()
        shop.visit(ANN)
        shop.save(kind({ANN: error}))
        assert [said.rpartition("saved: ")[2] for _, said in shop.reports] == [text]

    def test_of_a_deletion(self, error: Exception, text: str) -> None:
        shop = Shop()
        shop.visit("warm")
        shop.writer.forget(ForgetRequest(ANN, in_spool=False, store=StoreDeletion.PENDING))
        shop.save(Undeletable({ANN: error}), times=3)
        assert {said.rpartition(": ")[2] for _, said in shop.reports} == {text.rpartition(": ")[2]}


class TestALoadInTheMiddleOfASave:
    """The store still has what was there before."""

    @staticmethod
    def shop() -> Shop:
        shop = Shop()
        ann = Visitor(shop.engine, "ann", NOTHING, NOTHING)
        ann.force("checkout", variation_id="1")
        ann.set_segments({"country": "DE"})
        shop.engine.states["ann"].locations = shop.engine.visitors.changes_of("ann").locations = ("new",)
        return shop

    def test_what_this_process_has_written_stands(self) -> None:
        shop, store = self.shop(), MemoryStore(shared=True)
        store.save(Changes("1-2-ann", segments={"country": "US", "browser": "CH"}, locations=("old",)))
        saves = shop.writer.take(0.0)
        save = next(saves)
        merge_loaded(shop.engine, "ann", store.load("1-2-ann"), None)
        written = VisitorState({"100": "1"}, {}, {"country": "DE", "browser": "CH"}, ("new",))
        assert shop.engine.states["ann"] == written
        shop.writer.saved(save, store.save(save.changes), 0.0)
        assert [*saves] == []
        assert (shop.writer.to_save, shop.engine.states["ann"]) == (0, written)
        assert store.load("1-2-ann") == written

    def test_somebody_new_whom_memory_let_go_comes_back_whole(self) -> None:
        shop = self.shop()
        saves = shop.writer.take(0.0)
        next(saves)
        del shop.engine.states["ann"]
        merge_loaded(shop.engine, "ann", None, None)
        assert shop.engine.states["ann"] == VisitorState({"100": "1"}, {}, {"country": "DE"}, ("new",))

    def test_what_the_store_has_decided_stands_as_soon_as_it_is_known(self) -> None:
        shop, store = self.shop(), MemoryStore(shared=True)
        store.save(Changes("1-2-ann", {"100": "2"}))
        saves = shop.writer.take(0.0)
        save = next(saves)
        shop.writer.saved(save, store.save(save.changes), 0.0)
        merge_loaded(shop.engine, "ann", store.load("1-2-ann"), None)
        assert shop.engine.states["ann"].bucketing == {"100": "2"}

    def test_what_could_not_be_saved_is_tried_again(self) -> None:
        shop = self.shop()
        saves = shop.writer.take(0.0)
        shop.writer.failed(next(saves), StoreError("down"), 0.0)
        assert [*saves] == []
        assert (shop.writer.to_save, shop.engine.visitors.in_hand) == (1, [])

    def test_two_that_save_at_once_lose_nothing(self) -> None:
        """As tasks of two loops do: the second one begins anew what the first one has found to be down."""
        shop = self.shop()
        first = shop.writer.take(0.0)
        shop.writer.failed(next(first), StoreError("down"), 0.0)
        assert [*shop.writer.take(0.0, everything=True)] == []
        assert [*first] == []
        assert shop.writer.to_save == 1


class Forgetful(Failing):
    """A store that hears in the middle of a save that the visitor was forgotten elsewhere, as a request may."""

    def __init__(self, shop: Shop, failures: dict[str, Exception]) -> None:
        super().__init__(failures)
        self._shop = shop

    def save(self, changes: Changes) -> Winners:
        self._shop.engine.forget_stored("ann", 5)
        self._shop.engine.visitors.states["ann"] = VisitorState()  # and came back
        return super().save(changes)


class TestForgottenMeanwhile:
    def test_what_the_save_gives_is_not_taken_over(self) -> None:
        shop = Shop()
        shop.visit("ann")
        shop.save(Forgetful(shop, {}))
        assert shop.engine.states["ann"] == VisitorState()
        assert shop.writer.to_save == 0

    def test_a_save_that_fails_is_not_tried_again(self) -> None:
        shop = Shop()
        shop.visit("ann")
        shop.save(Forgetful(shop, {"ann": StoreError("down")}))
        assert shop.writer.to_save == 0

    def test_later_changes_carry_the_time(self) -> None:
        shop = Shop()
        shop.engine.forget_stored("ann", 5)
        shop.visit("ann")
        assert [save.changes.forgotten for save in shop.writer.take(0.0)] == [5]
