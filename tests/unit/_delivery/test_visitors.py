from __future__ import annotations

from enum import Enum

import pytest

from convert_sdk import Client, ConversionReason, MemoryStore, Reason, StoreError, VisitorState
from convert_sdk._core.facts import Facts
from convert_sdk._delivery.visitors import VisitorCache, to_changes
from convert_sdk.stores import Changes, Winners
from tests.documents import LOW, Sink, entity, experience, offline, project, remembering

BUY = entity("91", "buy")


def remembered(memory: VisitorCache, visitor_id: str) -> VisitorState:
    """The visitor's state, made now if need be."""
    return memory.get_for_update(Facts(visitor_id))


class TestTheBound:
    def test_the_oldest_is_forgotten(self) -> None:
        memory = VisitorCache(2, stored=False)
        for visitor_id in "abc":
            remembered(memory, visitor_id)
        assert list(memory.states) == ["b", "c"]

    def test_writing_again_makes_nobody_younger(self) -> None:
        memory = VisitorCache(2, stored=False)
        for visitor_id in "abac":
            remembered(memory, visitor_id)
        assert list(memory.states) == ["b", "c"]

    def test_who_has_unsaved_changes_is_kept(self) -> None:
        memory = VisitorCache(2, stored=True)
        remembered(memory, "a")
        memory.changes_of("a").bucketing["100"] = "1"
        for visitor_id in "bcd":
            remembered(memory, visitor_id)
        assert "a" in memory.states

    def test_up_to_twice_the_bound(self) -> None:
        memory = VisitorCache(2, stored=True)
        for number in range(10):
            remembered(memory, str(number))
            memory.changes_of(str(number)).bucketing["100"] = "1"
        assert len(memory.states) <= 5
        assert memory.lost == 10 - len(memory.states)

    def test_a_bound_of_one_keeps_the_newest(self) -> None:
        memory = VisitorCache(1, stored=False)
        remembered(memory, "a")
        remembered(memory, "b")
        assert list(memory.states) == ["b"]

    def test_loaded_visitors_count(self) -> None:
        memory = VisitorCache(2, stored=True)
        for visitor_id in "abc":
            memory.merge_loaded(visitor_id, VisitorState())
        assert list(memory.states) == ["b", "c"]

    def test_visitors_of_one_id_share_a_state_even_after_it_was_forgotten(self) -> None:
        client = Client.offline(project(goals=[BUY]), Sink(), max_visitors=1)
        first = client.visitor("a")
        first.set_segments({"team": "x"})
        client.visitor("b").set_segments({"team": "x"})
        assert client.visitor("a").track("buy")
        assert first.track("buy").reason is ConversionReason.DUPLICATE


class TestLoading:
    def test_a_stranger_is_taken_as_the_store_knows_them(self) -> None:
        memory, loaded = VisitorCache(2, stored=True), VisitorState({"100": "1"})
        memory.merge_loaded("a", loaded)
        assert memory.states["a"] is loaded

    def test_what_the_store_knows_joins_what_is_known(self) -> None:
        memory = VisitorCache(2, stored=True)
        own = remembered(memory, "a")
        own.bucketing["200"] = "5"
        memory.merge_loaded("a", VisitorState({"100": "1"}, {"buy": "u"}, {"country": "DE"}, ("cart",)))
        assert own == VisitorState({"100": "1", "200": "5"}, {"buy": "u"}, {"country": "DE"}, ("cart",))

    def test_what_is_unsaved_wins(self) -> None:
        memory = VisitorCache(2, stored=True)
        own, pending = remembered(memory, "a"), memory.changes_of("a")
        own.bucketing["100"] = pending.bucketing["100"] = "2"
        own.segments = pending.segments = {"country": "FR"}
        own.locations = pending.locations = ("shop",)
        memory.merge_loaded("a", VisitorState({"100": "1"}, segments={"country": "DE"}, locations=("cart",)))
        assert own == VisitorState({"100": "2"}, segments={"country": "FR"}, locations=("shop",))

    def test_what_is_being_saved_wins_and_what_came_since_wins_over_that(self) -> None:
        memory = VisitorCache(2, stored=True)
        own, in_hand = remembered(memory, "a"), memory.changes_of("a")
        own.bucketing["100"] = in_hand.bucketing["100"] = "2"
        own.segments = in_hand.segments = {"country": "FR", "browser": "CH"}
        own.locations = in_hand.locations = ("shop",)
        memory.take_pending()
        own.segments = {"country": "IT", "browser": "CH"}
        memory.changes_of("a").segments = {"country": "IT"}
        memory.merge_loaded("a", VisitorState({"100": "1"}, segments={"country": "DE"}, locations=("cart",)))
        assert own == VisitorState(
            {"100": "2"}, segments={"country": "IT", "browser": "CH"}, locations=("shop",)
        )

    def test_who_left_memory_while_they_were_saved_comes_back_with_that(self) -> None:
        memory = VisitorCache(1, stored=True)
        remembered(memory, "a")
        in_hand = memory.changes_of("a")
        in_hand.bucketing, in_hand.goals, in_hand.segments = {"100": "1"}, {"buy": "u"}, {"country": "DE"}
        memory.take_pending()
        remembered(memory, "b")
        assert "a" not in memory.states
        memory.merge_loaded("a", VisitorState())
        assert memory.states["a"] == VisitorState({"100": "1"}, {"buy": "u"}, {"country": "DE"})

    def test_what_was_being_saved_of_somebody_forgotten_is_gone(self) -> None:
        memory = VisitorCache(2, stored=True)
        remembered(memory, "a")
        memory.changes_of("a").segments = {"country": "FR"}
        memory.take_pending()
        memory.forget("a")
        memory.merge_loaded("a", VisitorState({"100": "1"}))
        assert memory.states["a"] == VisitorState({"100": "1"})


class TestSaving:
    def test_the_worker_is_told_of_the_first_change(self) -> None:
        stirred: list[bool] = []
        memory = VisitorCache(9, stored=True, notify=lambda: stirred.append(True))
        memory.changes_of("a")
        memory.changes_of("a")
        memory.changes_of("b")
        assert len(stirred) == 1

    def test_the_oldest_changes_are_taken_first(self) -> None:
        memory = VisitorCache(9, stored=True)
        for visitor_id in "cab":
            memory.changes_of(visitor_id)
        assert [list(memory.take_pending(2)), list(memory.take_pending(2))] == [["c", "a"], ["b"]]

    def test_without_a_store_there_is_nothing_to_save(self) -> None:
        assert VisitorCache(9, stored=False).take_pending(1) == {}

    def test_changes_are_named_by_the_stores_key(self) -> None:
        memory = VisitorCache(9, stored=True)
        memory.changes_of("a").goals["buy"] = "u"
        (pending,) = memory.take_pending(9).values()
        assert to_changes("1-2-a", pending) == Changes("1-2-a", goals={"buy": "u"})

    def test_what_was_given_back_is_older_than_what_came_since(self) -> None:
        memory = VisitorCache(9, stored=True)
        older = memory.changes_of("a")
        older.bucketing |= {"100": "1", "200": "5"}
        older.segments, older.locations = {"country": "DE", "team": "a"}, ("cart",)
        memory.take_pending(9)
        newer = memory.changes_of("a")
        newer.bucketing["100"] = "2"
        newer.segments = {"country": "FR"}
        memory.restore_pending("a", older)
        (pending,) = memory.take_pending(9).values()
        assert pending.bucketing == {"100": "2", "200": "5"}
        assert (pending.segments, pending.locations) == ({"country": "FR", "team": "a"}, ("cart",))

    def test_what_is_put_back_is_in_the_order_of_the_next_time(self) -> None:
        memory = VisitorCache(9, stored=True)
        for visitor_id in "abcd":
            memory.changes_of(visitor_id)
        taken = memory.take_pending()
        del taken["b"]
        memory.put_back(taken, {"a", "c"})
        assert memory.in_hand == []
        assert list(memory.take_pending()) == ["d", "a", "c"]

    def test_a_forked_process_leaves_it_to_its_parent(self) -> None:
        memory = VisitorCache(9, stored=True)
        memory.changes_of("a")
        memory.take_pending()
        memory.changes_of("b")
        memory.reset_after_fork()
        assert (memory.take_pending(9), memory.in_hand) == ({}, [])


class TestWinners:
    def test_what_the_store_holds_counts(self) -> None:
        memory = VisitorCache(9, stored=True)
        remembered(memory, "a").bucketing["100"] = "1"
        memory.apply_winners("a", Winners({"100": "2"}, {"buy": "theirs"}))
        assert memory.states["a"] == VisitorState({"100": "2"}, {"buy": "theirs"})

    def test_what_was_decided_since_stands(self) -> None:
        memory = VisitorCache(9, stored=True)
        remembered(memory, "a").bucketing["100"] = "3"
        memory.changes_of("a").bucketing["100"] = "3"
        memory.apply_winners("a", Winners({"100": "2"}, {}))
        assert memory.states["a"].bucketing == {"100": "3"}

    def test_who_was_forgotten_is_left_alone(self) -> None:
        memory = VisitorCache(9, stored=True)
        memory.apply_winners("a", Winners({"100": "2"}, {}))
        assert "a" not in memory.states


class TestThroughAClient:
    def test_a_forced_decision_overrules_what_the_store_holds(self) -> None:
        store = remembering(LOW, bucketing={"100": "1"})
        with offline(experience(), store=store) as client:
            client.visitor(LOW).force("checkout", variation_id="2")
        state = store.load(f"1-2-{LOW}")
        assert state is not None
        assert state.bucketing == {"100": "2"}

    def test_a_decision_for_a_variation_that_is_gone_is_overruled(self) -> None:
        store = remembering(LOW, bucketing={"100": "gone"})
        with offline(experience(), store=store) as client:
            client.visitor(LOW).decide("checkout")
        state = store.load(f"1-2-{LOW}")
        assert state is not None
        assert state.bucketing == {"100": "1"}

    def test_another_processes_decision_is_adopted(self) -> None:
        store = MemoryStore(shared=True)
        client = offline(experience(), store=store)
        visitor = client.visitor(LOW)
        visitor.decide("checkout")
        store.save(Changes(f"1-2-{LOW}", bucketing={"100": "2"}))
        client.flush()
        assert (visitor.decide("checkout").variation_id, visitor.peek("checkout").reason) == (
            "2",
            Reason.STICKY,
        )

    def test_a_store_that_fails_to_load_makes_strangers(self) -> None:
        class Down(MemoryStore):
            def load(self, key: str) -> VisitorState | None:
                raise StoreError("down")

        client = Client.offline(project(experience()), store=Down())
        assert client.visitor(LOW).decide("checkout").reason is Reason.BUCKETED


@pytest.mark.parametrize("stored", [True, False])
def test_reported_attributes_are_remembered_with_the_first_write(stored: bool) -> None:
    memory = VisitorCache(9, stored=stored)
    state = memory.get_for_update(Facts("a", {"country": "DE", "plan": "pro"}))
    assert state.segments == {"country": "DE"}


@pytest.mark.parametrize("stored", [True, False])
def test_a_list_among_the_attributes_stays_the_applications(stored: bool) -> None:
    custom = ["71"]
    store = MemoryStore() if stored else None
    with offline(experience(), sink=(sink := Sink()), store=store) as client:
        visitor = client.visitor(LOW, {"customSegments": custom})
        visitor.decide("checkout")
        custom.append("72")
        assert visitor.segments == {"customSegments": ["71"]}
    assert [entry["segments"] for entry in sink.visitors] == [{"customSegments": ["71"]}]


def test_whoever_reports_the_same_shares_one_object_and_equals_of_other_types_do_not() -> None:
    class Name(str, Enum):  # noqa: UP042  # its `str` is no text of its own
        COUNTRY = "country"

    memory = VisitorCache(99, stored=False)
    reports: list[dict[str, object]] = [
        {"source": 1},
        {"source": True},
        {"source": 1.0},
        {Name.COUNTRY: "DE"},  # remembered as the text that it is
        {"country": "DE"},
    ]
    kept = [memory.get_for_update(Facts(str(place), each)).segments for place, each in enumerate(reports)]
    assert [[(type(key), type(value)) for key, value in each.items()] for each in kept] == [
        [(str, type(value)) for value in each.values()] for each in reports
    ]
    assert memory.get_for_update(Facts("another", {"country": "DE"})).segments is kept[-1]
