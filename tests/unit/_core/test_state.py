from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest

from convert_sdk import VisitorState
from convert_sdk._core.state import Changes, ForgottenState, Winners, apply, checked, merge, store_key

STATE = VisitorState({"100": "1"}, {"buy": "u-1"}, {"country": "DE", "customSegments": ["71"]}, ("cart",))


@pytest.mark.parametrize(
    "value",
    [
        VisitorState({"100": "1"}, {"buy": "claim"}, {"country": "DE"}, ("cart",)),
        Changes("1-2-ann", {"100": "1"}, {"buy": "claim"}),
        Changes("1-2-ann"),
    ],
)
def test_it_leaves_the_process(value: VisitorState | Changes) -> None:
    assert pickle.loads(pickle.dumps(value)) == copy.deepcopy(value) == value  # noqa: S301  # made right here


def test_a_forgotten_visitors_state_leaves_it_too() -> None:
    there = pickle.loads(pickle.dumps(ForgottenState(STATE, at=1_764)))  # noqa: S301  # made right here
    assert (there, there.at) == (STATE, 1_764)


def test_the_key_in_a_store() -> None:
    assert store_key("1", "2", "ann") == "1-2-ann"


class TestJson:
    def test_says_its_version(self) -> None:
        assert json.loads(STATE.to_json()) == {
            "version": 1,
            "bucketing": {"100": "1"},
            "goals": {"buy": "u-1"},
            "segments": {"country": "DE", "customSegments": ["71"]},
            "locations": ["cart"],
        }

    def test_is_read_back(self) -> None:
        assert VisitorState.from_json(STATE.to_json()) == STATE

    def test_any_text_survives(self) -> None:
        state = VisitorState({"\ud800": "\0"}, {"é": "😀"})
        assert state.to_json().isascii()
        assert VisitorState.from_json(state.to_json()) == state

    def test_text_that_is_no_json_raises(self) -> None:
        with pytest.raises(ValueError, match="Expecting value"):
            VisitorState.from_json("nonsense")

    def test_the_references_goals_are_claims_without_an_id(self) -> None:
        assert VisitorState.from_dict({"goals": {"buy": True, "gone": False}}).goals == {"buy": ""}

    @pytest.mark.parametrize(
        "stored", [None, 5, "text", [], {"bucketing": [], "goals": 7, "locations": "cart"}]
    )
    def test_another_shape_counts_as_absent(self, stored: object) -> None:
        assert VisitorState.from_dict(stored) == VisitorState()

    def test_items_of_another_shape_are_left_out(self) -> None:
        stored = {"bucketing": {"100": "1", "200": [], "300": "", "400": True}, "locations": ["cart", 5]}
        assert VisitorState.from_dict(stored) == VisitorState({"100": "1"}, locations=("cart",))

    def test_variation_ids_that_were_stored_as_numbers_become_text(self) -> None:
        stored = {"bucketing": {"100": 2, "200": 3.0, "300": 0}}
        assert VisitorState.from_dict(stored).bucketing == {"100": "2", "200": "3"}


class TestMerge:
    def test_the_first_decision_wins(self) -> None:
        assert merge(VisitorState({"100": "1"}), VisitorState({"100": "2", "200": "3"})).bucketing == {
            "100": "1",
            "200": "3",
        }

    def test_the_first_claim_wins(self) -> None:
        assert merge(VisitorState(goals={"buy": "a"}), VisitorState(goals={"buy": "b"})).goals == {"buy": "a"}

    def test_the_last_segments_win(self) -> None:
        first, second = VisitorState(segments={"a": 1, "b": 1}), VisitorState(segments={"b": 2})
        assert merge(first, second).segments == {"a": 1, "b": 2}

    def test_the_last_locations_win(self) -> None:
        first, second = VisitorState(locations=("a",)), VisitorState(locations=("b",))
        assert merge(first, second).locations == ("b",)

    def test_no_locations_are_no_news(self) -> None:
        assert merge(STATE, VisitorState()).locations == ("cart",)


class TestApply:
    def test_the_winners_are_what_stands(self) -> None:
        state = VisitorState({"100": "1"}, {"buy": "a"})
        winners = apply(state, Changes("k", {"100": "2", "200": "3"}, {"buy": "b", "see": "c"}))
        assert winners.bucketing == {"100": "1", "200": "3"}
        assert winners.goals == {"buy": "a", "see": "c"}

    def test_an_overruled_decision_gives_way(self) -> None:
        state = VisitorState({"100": "1"})
        winners = apply(state, Changes("k", {"100": "2"}, overruled={"100": "1"}))
        assert winners.bucketing == state.bucketing == {"100": "2"}

    def test_a_decision_that_was_not_seen_is_not_overruled(self) -> None:
        state = VisitorState({"100": "3"})
        assert apply(state, Changes("k", {"100": "2"}, overruled={"100": "1"})).bucketing == {"100": "3"}

    def test_segments_are_put_over_the_present_ones(self) -> None:
        state = VisitorState(segments={"a": 1})
        apply(state, Changes("k", segments={"b": 2}))
        assert state.segments == {"a": 1, "b": 2}

    def test_locations_are_replaced_where_they_changed(self) -> None:
        state = VisitorState(locations=("a",))
        remembered = []
        for changes in (Changes("k"), Changes("k", locations=())):
            apply(state, changes)
            remembered.append(state.locations)
        assert remembered == [("a",), ()]


def test_equal_states_hold_the_same() -> None:
    assert VisitorState({"100": "1"}) != VisitorState({"100": "2"})
    assert VisitorState() != "a state"


def test_a_state_has_no_hash() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(STATE)


def test_the_repr_counts_and_tells_nothing() -> None:
    assert repr(STATE) == "VisitorState(1 decisions, 1 goals)"


def test_winners_are_winners() -> None:
    winners = Winners({"100": "1"}, {})
    assert checked(winners) is winners
    wrong: Any = "saved"
    with pytest.raises(TypeError, match="save must give Winners, not str"):
        checked(wrong)
