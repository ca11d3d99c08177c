from __future__ import annotations

import pytest

from convert_sdk._core.facts import Facts, deep_merge
from convert_sdk._core.state import NOTHING, VisitorState


def data(
    attributes: dict[str, object], *, call: dict[str, object] | None = None, **segments: object
) -> object:
    facts = Facts("v", attributes, NOTHING, None, VisitorState(segments=segments))
    facts._call = call
    facts._attributes_remembered = True
    return facts._data()


class TestData:
    def test_attributes_are_what_rules_are_asked_about(self) -> None:
        assert data({"plan": "pro"}) == {"plan": "pro"}

    def test_remembered_segments_can_be_asked_about(self) -> None:
        assert data({"plan": "pro"}, group="a") == {"plan": "pro", "group": "a"}

    def test_attributes_win_over_segments(self) -> None:
        assert data({"group": "b"}, group="a") == {"group": "b"}

    def test_report_keys_come_from_the_segments_alone(self) -> None:
        assert data({"country": "DE", "plan": "pro"}, country="FR") == {"country": "FR", "plan": "pro"}

    def test_until_they_are_remembered_they_count_as_attributes(self) -> None:
        facts = Facts("v", {"country": "DE"}, state=VisitorState(segments={"country": "FR"}))
        assert facts._data() == {"country": "DE"}

    def test_facts_of_the_call_win_over_everything(self) -> None:
        assert data({"plan": "pro"}, call={"country": "IT", "plan": "free"}, country="FR") == {
            "country": "IT",
            "plan": "free",
        }

    def test_new_segments_are_seen(self) -> None:
        facts = Facts("v", {"plan": "pro"}, NOTHING, None, VisitorState())
        assert facts._data() == {"plan": "pro"}
        facts._state.segments = {"group": "a"}
        assert facts._data() == {"plan": "pro", "group": "a"}

    @pytest.mark.parametrize(
        ("segments", "attributes", "call", "seen"),
        [
            (["vip"], "none", ["new"], ["new", "vip"]),
            ({"a": 1}, "none", {"b": 2}, {"a": 1, "b": 2}),
            (["vip"], ["old"], "new", "new"),
            ("vip", ["old"], ["new"], ["new", "old"]),
        ],
    )
    def test_the_call_meets_the_attributes_before_the_segments(
        self, segments: object, attributes: object, call: object, seen: object
    ) -> None:
        assert data({"tags": attributes}, call={"tags": call}, tags=segments) == {"tags": seen}

    def test_rule_data_is_a_part_of_the_call(self) -> None:
        facts = Facts("v", {"tags": "none"}, state=VisitorState(segments={"tags": ["vip"]}))
        assert facts._data_with({"tags": ["new"]}) == {"tags": ["new", "vip"]}
        assert facts._data_with({}) is facts._data()


class TestDeepMerge:
    def test_the_upper_wins(self) -> None:
        assert deep_merge({"a": 1, "b": 1}, {"b": 2}) == {"a": 1, "b": 2}

    @pytest.mark.parametrize(("under", "over"), [({}, {"a": 1}), ({"a": 1}, {})])
    def test_nothing_is_neutral(self, under: dict[str, object], over: dict[str, object]) -> None:
        assert deep_merge(under, over) == {"a": 1}

    def test_objects_merge(self) -> None:
        assert deep_merge({"a": {"x": 1, "y": 1}}, {"a": {"y": 2}}) == {"a": {"x": 1, "y": 2}}

    def test_an_object_replaces_anything_else(self) -> None:
        assert deep_merge({"a": "x"}, {"a": {"y": 2}}) == {"a": {"y": 2}}

    def test_a_list_and_an_object_merge_by_index(self) -> None:
        assert deep_merge({"a": ["x", "y"]}, {"a": {"1": "z"}}) == {"a": {"0": "x", "1": "z"}}
        assert deep_merge({"a": {"k": 1}}, {"a": ["x"]}) == {"a": {"k": 1, "0": "x"}}

    def test_of_two_lists_the_new_items_come_first(self) -> None:
        assert deep_merge({"a": [1, 2]}, {"a": [3, 2]}) == {"a": [3, 2, 1]}

    def test_items_are_told_apart_by_type(self) -> None:
        assert deep_merge({"a": ["1", True, None]}, {"a": [1, False]}) == {"a": [1, False, "1", True, None]}

    def test_a_whole_float_is_the_same_number(self) -> None:
        assert deep_merge({"a": [1.0]}, {"a": [1]}) == {"a": [1]}

    def test_lists_in_lists_are_kept_one_by_one(self) -> None:
        assert deep_merge({"a": [[1]]}, {"a": [[1]]}) == {"a": [[1], [1]]}

    def test_neither_side_is_changed(self) -> None:
        under: dict[str, object] = {"a": {"x": {"y": 1}}}
        over: dict[str, object] = {"a": {"x": {"z": 1}}}
        deep_merge(under, over)
        assert (under, over) == ({"a": {"x": {"y": 1}}}, {"a": {"x": {"z": 1}}})

    def test_depth_is_no_limit(self) -> None:
        deep: dict[str, object] = {"bottom": 1}
        deeper: dict[str, object] = {"top": 2}
        for _ in range(10_000):
            deep, deeper = {"a": deep}, {"a": deeper}
        merged: object = deep_merge(deep, deeper)
        for _ in range(10_000):
            assert isinstance(merged, dict)
            merged = merged["a"]
        assert merged == {"bottom": 1, "top": 2}

    def test_objects_in_lists_are_told_apart_by_identity_or_by_value(self) -> None:
        one, same = {"a": [1], "b": 2}, {"b": 2, "a": [1]}
        assert deep_merge({"x": [one]}, {"x": [same]}) == {"x": [same, one]}
        assert deep_merge({"x": [one]}, {"x": [same]}, by_value=True) == {"x": [one]}
        assert deep_merge({"x": [[1]]}, {"x": [[1], ["1"]]}, by_value=True) == {"x": [[1], ["1"]]}

    def test_an_object_that_cannot_be_written_is_told_by_identity(self) -> None:
        itself: dict[str, object] = {}
        itself["me"] = itself
        merged = deep_merge({"x": [itself]}, {"x": [itself, {1: 0, "1": 0}]}, by_value=True)
        assert merged == {"x": [itself, {1: 0, "1": 0}]}
