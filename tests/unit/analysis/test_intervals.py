from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from convert_sdk.analysis.intervals import (
    Moments,
    mean_interval,
    mean_uplift,
    rate_interval,
    rate_uplift,
)

trials = st.integers(1, 1_000_000)
values = st.lists(st.floats(0, 1e6), min_size=2, max_size=50)


def moments(found: list[float]) -> Moments:
    return Moments(len(found), sum(found), sum(each * each for each in found))


@given(trials, st.data())
def test_the_interval_of_a_rate_holds_it_and_is_a_rate(count: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, count))
    found = rate_interval(hits, count)
    assert found is not None
    assert 0 <= found.low <= hits / count + 1e-12
    assert hits / count - 1e-12 <= found.high <= 1


@given(trials, trials, st.data())
def test_an_uplift_lies_in_its_interval_and_turns_around(one: int, other: int, data: st.DataObject) -> None:
    hits, others = data.draw(st.integers(1, one)), data.draw(st.integers(1, other))
    found, back = rate_uplift(hits, one, others, other), rate_uplift(others, other, hits, one)
    assert found is not None
    assert back is not None
    assert found.interval.low <= found.value + 1e-9
    assert found.value <= found.interval.high + 1e-9
    assert abs((1 + found.value) * (1 + back.value) - 1) < 1e-9
    assert (found.interval.low > 0) is (back.interval.high < 0) or abs(found.interval.low) < 1e-9


@given(values, values)
def test_means_lie_in_their_intervals(one: list[float], other: list[float]) -> None:
    own, control = moments(one), moments(other)
    interval, uplift = mean_interval(own), mean_uplift(own, control)
    assert interval is not None
    assert interval.low <= own.mean <= interval.high
    assert uplift is None or uplift.interval.low <= uplift.value <= uplift.interval.high


def test_nothing_is_told_of_nothing() -> None:
    assert rate_interval(0, 0) is rate_interval(2, 1) is None
    assert rate_uplift(0, 10, 5, 10) is rate_uplift(5, 10, 0, 10) is None
    assert mean_interval(Moments(1, 5.0, 25.0)) is None
    assert mean_uplift(Moments(5, 5.0, 5.0), Moments(5, 0.0, 0.0)) is None


def test_95_of_100_intervals_hold_the_truth() -> None:
    chance, held = Random(3), 0
    for _ in range(1000):
        control = sum(chance.random() < 0.10 for _ in range(500))
        hits = sum(chance.random() < 0.12 for _ in range(500))
        found = rate_uplift(hits, 500, control, 500)
        held += found is not None and found.interval.low <= 0.2 <= found.interval.high
    assert 930 <= held <= 970
