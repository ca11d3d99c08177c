from __future__ import annotations

from bisect import bisect_right
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert_sdk import bucket_value
from convert_sdk._core.bucketing import (
    Allocation,
    Bucketing,
    Range,
    _split,  # the one part of `packed` and `anchored` that might take more than its share
    anchored,
    hash_value,
    packed,
    property_order,
    scale,
    threshold,
)


@pytest.mark.parametrize(
    ("text", "hashed"),
    [("", 3523940263), ("é", 3298638250), ("日本", 2666490598), ("😀", 689720682)],
)
def test_text_is_hashed_as_utf8(text: str, hashed: int) -> None:
    assert hash_value("", text) == hashed


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert hash_value("", "\ud83d\ude00") == hash_value("", "😀")


@pytest.mark.parametrize("text", ["\ud83d", "\ude00", "a\ud800b", "\udc00\ud800"])  # noqa: PT014  # two halves, not one
def test_a_lone_surrogate_is_hashed_as_the_replacement_character(text: str) -> None:
    replaced = "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)
    assert hash_value("", text) == hash_value("", replaced)


def test_nul_is_a_character_like_any_other() -> None:
    assert len({hash_value("", text) for text in ("", "\0", "\0\0", "a", "a\0")}) == 5


def test_experience_and_visitor_are_hashed_without_a_separator() -> None:
    assert bucket_value("12", "3") == bucket_value("1", "23")


def test_the_experience_can_be_left_out_of_the_hash() -> None:
    alone = Bucketing(exclude_experience_id=True)
    assert bucket_value("100", "v", alone) == bucket_value("200", "v", alone) == bucket_value("", "v")


def test_the_seed_changes_the_hash() -> None:
    assert hash_value("100", "v", Bucketing(seed=1)) != hash_value("100", "v")


def test_the_bucket_value_scales_with_the_traffic() -> None:
    assert bucket_value("100", "v-1", Bucketing(max_traffic=20_000)) // 2 == bucket_value("100", "v-1")


class TestPacked:
    def test_ranges_follow_one_another(self) -> None:
        split = packed([Allocation("a", 20), Allocation("b", 30)])
        assert split.ranges == (Range("a", 0, 2000), Range("b", 2000, 5000))

    def test_a_range_holds_its_start_but_not_its_end(self) -> None:
        split = packed([Allocation("a", 20), Allocation("b", 30)])
        assert [split.pick(value) for value in (0, 1999, 2000, 4999, 5000, 9999)] == [
            *("a", "a", "b", "b", None, None)
        ]

    def test_ids_that_are_indices_come_first_ascending(self) -> None:
        split = packed([Allocation("b", 10), Allocation("900", 50), Allocation("12", 40)])
        assert [item.variation_id for item in split.ranges] == ["12", "900", "b"]

    def test_what_does_not_run_gets_no_range(self) -> None:
        split = packed([Allocation("a", 50, active=False), Allocation("b", 50)])
        assert split.ranges == (Range("b", 0, 5000),)

    def test_a_repeated_id_takes_the_last_weight_at_the_first_place(self) -> None:
        split = packed([Allocation("a", 10), Allocation("b", 20), Allocation("a", 30)])
        assert split.ranges == (Range("a", 0, 3000), Range("b", 3000, 5000))

    def test_more_than_all_the_traffic_starves_the_last(self) -> None:
        split = packed([Allocation("a", 80), Allocation("b", 80)])
        assert split.pick(9999) == "b"
        assert packed([Allocation("a", 100), Allocation("b", 50)]).pick(9999) == "a"

    def test_thirds_leave_a_tail(self) -> None:
        split = packed([Allocation(each, 33.33) for each in "abc"])
        assert (split.pick(9998), split.pick(9999)) == ("c", None)

    def test_a_weight_that_is_no_number_ends_the_walk(self) -> None:
        split = packed([Allocation("a", 20), Allocation("b", nan), Allocation("c", 20)])
        assert (split.pick(1999), split.pick(2000), split.pick(9999)) == ("a", None, None)

    def test_an_endless_weight_takes_the_rest(self) -> None:
        assert packed([Allocation("a", 20), Allocation("b", inf)]).pick(9999) == "b"

    def test_nothing_is_picked_of_nothing(self) -> None:
        assert packed([]).pick(0) is None


class TestAnchored:
    def test_each_range_begins_at_its_share_of_the_total(self) -> None:
        split = anchored([Allocation("a", 10), Allocation("b", 10)])
        assert split.ranges == (Range("a", 0, 1000), Range("b", 5000, 6000))

    def test_the_order_of_the_document_is_kept(self) -> None:
        split = anchored([Allocation("900", 50), Allocation("12", 50)])
        assert (split.pick(0), split.pick(5000)) == ("900", "12")

    def test_what_does_not_run_keeps_its_anchor_empty(self) -> None:
        split = anchored([Allocation("a", 50, active=False), Allocation("b", 50)])
        assert (split.pick(0), split.pick(4999), split.pick(5000)) == (None, None, "b")

    def test_where_ranges_overlap_the_first_wins(self) -> None:
        split = anchored([Allocation("a", 80), Allocation("b", 80)])
        assert [split.pick(value) for value in (4999, 5000, 7999, 8000)] == ["a", "a", "a", "b"]

    @pytest.mark.parametrize("percent", [0.0, -50.0, nan])
    def test_no_weight_at_all_buckets_nobody(self, percent: float) -> None:
        assert anchored([Allocation("a", percent)]).pick(0) is None


@pytest.mark.parametrize(
    ("ids", "order"),
    [
        (["b", "a"], ["b", "a"]),
        (["b", "2", "10", "a", "1"], ["1", "2", "10", "b", "a"]),
        (["01", "1"], ["1", "01"]),
        (["1", "0"], ["0", "1"]),
        (["4294967295", "4294967294"], ["4294967294", "4294967295"]),
        (["99999999999", "7"], ["7", "99999999999"]),
        (["-1", "1.5", "", "٣", "3"], ["3", "-1", "1.5", "", "٣"]),
    ],
)
def test_keys_are_walked_as_javascript_walks_them(ids: list[str], order: list[str]) -> None:
    assert property_order(ids) == order


@given(
    st.integers(0, 2**32 - 1),
    st.floats(-5, 25_000) | st.integers(0, 20_000),
    st.sampled_from([10_000, 1, 9_999.5, 0.3, 2**21, 2**21 + 1, 1e9]),
)
def test_a_threshold_is_an_edge_for_hashes(hashed: int, edge: float, traffic: float) -> None:
    assert (hashed >= threshold(edge, traffic)) is (scale(hashed, traffic) >= edge)


def test_the_work_for_many_ranges_grows_with_their_number() -> None:
    compared = 0

    class Counted(float):
        """A place whose comparisons are counted, which no other load on the machine can change."""

        def __lt__(self, other: float) -> bool:
            nonlocal compared
            compared += 1
            return float(self) < float(other)

        def __le__(self, other: float) -> bool:
            nonlocal compared
            compared += 1
            return float(self) <= float(other)

    def work(number: int) -> int:
        nonlocal compared
        compared = 0
        _split([Range(f"v{n}", Counted(n), Counted(n + 1)) for n in range(number)])
        return compared

    assert 500 < work(1_000) <= 2.5 * work(500)


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12), st.booleans()), max_size=12),
)
def test_of_ranges_that_overlap_the_first_one_owns(parts: list[tuple[int, int, bool]]) -> None:
    laid = anchored(
        [Allocation(str(n), start + width, active) for n, (start, width, active) in enumerate(parts)]
    )
    for value in {edge for item in laid.ranges for edge in (item.start, item.start + 0.5, item.end)}:
        first = next((item.variation_id for item in laid.ranges if item.start <= value < item.end), None)
        assert laid.owners[bisect_right(laid.edges, value)] == first
