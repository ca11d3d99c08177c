"""The state that a browser keeps: what comes back, and what leaves first where it does not fit."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert_sdk import Client, VisitorState
from convert_sdk._tokens.signing import TokenPurpose, sign
from convert_sdk._tokens.state import CarriedState, carried_state, read_state, sign_state
from tests.documents import LOW, experience, project, variation
from tests.strategies import texts, values

SECRETS = ["a secret that all workers have"]
LIVE, GONE = (
    {
        f"{10**9 + n * 829_348_951 % 9_000_000_000}": f"{10**9 + n * 648_391_173 % 9_000_000_000}"
        for n in numbers
    }
    for numbers in (range(1, 101), range(101, 301))
)
"""Ids of ten digits without an order."""
SHOP = project(*(experience(key, f"e{key}", variations=[variation(value)]) for key, value in LIVE.items()))
ENGINE = Client.offline(SHOP, secrets=SECRETS)._engine


def kept(state: VisitorState) -> CarriedState:
    """What of a state is in its token."""
    signed = sign_state(ENGINE, carried_state(LOW, state), 3_600)
    assert signed is not None
    assert len(signed.token) <= 3_072
    reading = read_state(ENGINE, signed.token)
    assert reading is not None
    assert reading.carried.is_same(signed.carried)
    return reading.carried


ids = st.integers(0, 9_999_999_999).map(str) | texts
states = st.builds(
    VisitorState,
    st.dictionaries(ids, ids, max_size=200),
    st.dictionaries(texts, texts, max_size=50),
    st.dictionaries(texts, values, max_size=5),
)


@given(states)
@settings(max_examples=200)
def test_what_fits_comes_back(state: VisitorState) -> None:
    whole, found = carried_state(LOW, state), kept(state)
    assert found.decisions.items() <= whole.decisions.items()
    assert {*found.goals} <= {*whole.goals}
    assert found.segments in (whole.segments, {})
    assert found.is_same(carried_state(LOW, found.state()))


def test_first_leaves_what_the_document_lacks() -> None:
    found = kept(VisitorState(LIVE | GONE, {"buy": "a-claim"}, {"country": "DE"}))
    assert found == (LOW, LIVE, ("buy",), {"country": "DE"})


def test_then_the_oldest_decisions() -> None:
    many = LIVE | GONE
    live = project(
        *(experience(key, f"e{key}", variations=[variation(value)]) for key, value in many.items())
    )
    engine = Client.offline(live, secrets=SECRETS)._engine
    signed = sign_state(engine, carried_state(LOW, VisitorState(many, {"buy": ""})), 3_600)
    assert signed is not None
    left = [*signed.carried.decisions.items()]
    assert 0 < len(left) < len(many)
    assert left == [*many.items()][-len(left) :]
    assert signed.carried.goals == ("buy",)
    assert len(signed.token) > 2_900


def test_long_segments_leave_before_decisions() -> None:
    found = kept(VisitorState(LIVE | GONE, {"buy": ""}, {"customSegments": [str(n**7) for n in range(500)]}))
    assert found == (LOW, LIVE, ("buy",), {})


def test_goals_leave_last() -> None:
    goals = {f"goal-{n}-{n**9:x}": "" for n in range(900)}
    found = kept(VisitorState(LIVE, goals, {"country": "DE"}))
    assert (found.decisions, found.segments) == ({}, {})
    assert found.goals == (*goals,)[: len(found.goals)]
    assert len(found.goals) > 50


def test_nothing_is_kept_of_whose_id_does_not_fit() -> None:
    wide = "".join(map(chr, range(0x4E00, 0x5A00)))
    assert sign_state(ENGINE, carried_state(wide, VisitorState(LIVE)), 3_600) is None


@pytest.mark.parametrize(
    "body",
    [
        [],
        [LOW, [], []],
        [5, [], [], {}],
        [LOW, [1], [], {}],
        [LOW, [], [1], {}],
        [LOW, [], [], []],
        [LOW, [], {}, {}],
    ],
)
def test_another_shape(body: list[Any]) -> None:
    assert read_state(ENGINE, sign(ENGINE, TokenPurpose.STATE, body, 60)) is None


def test_the_order_says_nothing_new() -> None:
    first = carried_state(LOW, VisitorState({"1": "2", "3": "4"}, {"a": "", "b": ""}))
    second = carried_state(LOW, VisitorState({"3": "4", "1": "2"}, {"b": "x", "a": "y"}))
    assert first.is_same(second)
    others = [first._replace(visitor_id="v"), first._replace(goals=()), first._replace(segments={"a": 1})]
    assert not any(one.is_same(other) for one, other in pairwise([first, *others]))
