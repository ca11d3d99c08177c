"""What holds for every document and every visitor."""

from __future__ import annotations

import json
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert_sdk import Decision, Project, Reason, Visitor, VisitorState, matches
from convert_sdk._core.state import Changes, apply, merge
from tests import strategies as draw
from tests.documents import Json, experience, leaf, offline, project, some, variation
from tests.strategies import Guest, parsed


def all_decisions(visitor: Visitor) -> list[tuple[str, str, str | None, int | None]]:
    return [brief(decision) for decision in visitor.decide_all()]


def brief(decision: Decision) -> tuple[str, str, str | None, int | None]:
    """A decision, to be compared with that of another project."""
    return decision.key, decision.reason.value, decision.variation_id, decision.bucket_value


@given(draw.documents(), draw.guests)
def test_the_same_facts_give_the_same_decisions(raw: Json, guest: Guest) -> None:
    assert all_decisions(guest.visit(parsed(raw))) == all_decisions(guest.visit(parsed(raw)))


@given(draw.documents(), draw.guests)
def test_a_decision_is_kept(raw: Json, guest: Guest) -> None:
    visitor = guest.visit(parsed(raw))
    first = {each.key: each for each in visitor.decide_all() if each}
    for key, decision in first.items():
        again = visitor.decide(key)
        assert again.variation_id == decision.variation_id or again.reason in {
            Reason.AUDIENCE,
            Reason.SEGMENT,
        }


@given(draw.documents(), draw.guests)
def test_peeking_tells_what_deciding_will_do(raw: Json, guest: Guest) -> None:
    visitor = guest.visit(parsed(raw))
    for each in raw["experiences"]:  # type: ignore[attr-defined]  # a list, as drawn
        assert brief(visitor.peek(each["key"])) == brief(visitor.decide(each["key"]))


@given(draw.documents(), draw.guests, draw.visitor_ids)
def test_a_bucketing_id_decides_as_whoever_has_it(raw: Json, guest: Guest, other: str) -> None:
    hashed = guest._replace(id=other).visit(parsed(raw)).peek_all()
    visitor = guest.visit(parsed(raw)).with_context(bucketing_id=other)
    assert [brief(each) for each in visitor.peek_all()] == [brief(each) for each in hashed]


@given(draw.documents(), draw.guests, st.sampled_from(["", "key", "id"]))
def test_all_at_once_is_one_by_one(raw: Json, guest: Guest, shared: str) -> None:
    listed: list[Json] = raw["experiences"]  # type: ignore[assignment]  # a list, as drawn
    if shared and listed:
        other = "id" if shared == "key" else "key"
        raw = {**raw, "experiences": [*listed, {**listed[0], other: "900"}]}
        listed = [*listed, {**listed[0], other: "900"}]
    together, alone = guest.visit(parsed(raw)), guest.visit(parsed(raw))
    keys = [str(each["key"]) for each in listed]
    assert [brief(each) for each in together.peek_all()] == [brief(alone.peek(key)) for key in keys]
    assert all_decisions(together) == [brief(alone.decide(key)) for key in keys]
    assert [brief(each) for each in together.peek_all()] == [brief(alone.peek(key)) for key in keys]
    assert together._state == alone._state


@given(draw.documents(), draw.guests, st.integers(0, 3), draw.experiences(0))
def test_an_unrelated_experience_changes_nothing(raw: Json, guest: Guest, place: int, other: Json) -> None:
    more = deepcopy(raw)
    more["experiences"].insert(place, {**other, "id": "900", "key": "unrelated"})  # type: ignore[attr-defined]  # a list
    found = all_decisions(guest.visit(parsed(more)))
    assert [each for each in found if each[0] != "unrelated"] == all_decisions(guest.visit(parsed(raw)))


@pytest.mark.parametrize("version", [11, 12], ids=["packed", "anchored"])
@pytest.mark.parametrize("percents", [(50, 50), (33.33, 33.33, 33.34), (10, 20, 5), (1, 99)], ids=str)
def test_shares_are_the_allocation(version: int, percents: tuple[float, ...]) -> None:
    """Within four standard deviations, over 100,000 visitors."""
    count = 100_000
    arms = [variation(str(number), percent) for number, percent in enumerate(percents, 1)]
    client = offline(experience(variations=arms, version=version))
    drawn = [client.visitor(f"visitor-{number}").peek("checkout").variation_id for number in range(count)]
    for number, percent in enumerate(percents, 1):
        share = percent / 100
        deviation = (count * share * (1 - share)) ** 0.5
        assert abs(drawn.count(str(number)) - count * share) <= 4 * deviation


weights = st.lists(st.integers(1, 10), min_size=1, max_size=5)


def anchored(percents: list[int], running: list[bool]) -> Project:
    arms = [
        variation(str(number), percent, status="running" if runs else "stopped")
        for number, (percent, runs) in enumerate(zip(percents, running, strict=True), 1)
    ]
    return project(experience(variations=arms, version=12))


def owners(of: Project) -> list[str | None]:
    """Who owns each bucket value."""
    (one,) = of.experiences
    return [one.split.pick(value) for value in range(10_000)]


@given(weights, st.integers(1, 2), st.data())
def test_anchored_traffic_can_be_raised_without_moving_anybody(
    percents: list[int], by: int, data: st.DataObject
) -> None:
    running = data.draw(st.lists(st.booleans(), min_size=len(percents), max_size=len(percents)))
    before, after = anchored(percents, running), anchored([by * percent for percent in percents], running)
    for old, new in zip(owners(before), owners(after), strict=True):
        assert old is None or new == old


@given(weights, st.data())
def test_anchored_variations_can_be_started_without_moving_anybody(
    percents: list[int], data: st.DataObject
) -> None:
    running = data.draw(st.lists(st.booleans(), min_size=len(percents), max_size=len(percents)))
    before, after = anchored(percents, running), anchored(percents, [True] * len(percents))
    for old, new in zip(owners(before), owners(after), strict=True):
        assert old is None or new == old


@given(
    st.sampled_from([each for each in draw.MATCH_TYPES if each not in {"less", "lessEqual", "regexMatches"}]),
    draw.values,
    draw.values,
)
def test_negation_turns_a_verdict_around(match_type: str, comparand: object, value: object) -> None:
    plain, negated = (some(leaf("a", comparand, match_type, negated=each)) for each in (False, True))
    assert matches(plain, {"a": value}) is not matches(negated, {"a": value})


@given(st.sampled_from(["less", "lessEqual"]), st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_negation_turns_an_order_around(match_type: str, limit: float, value: float) -> None:
    plain, negated = (some(leaf("a", limit, match_type, negated=each)) for each in (False, True))
    assert matches(plain, {"a": value}) is not matches(negated, {"a": value})


@given(
    st.sampled_from(["less", "lessEqual"]), st.integers(), draw.texts.filter(lambda text: not text.isdigit())
)
def test_negation_makes_no_order_of_two_types(match_type: str, limit: int, value: str) -> None:
    for negated in (False, True):
        rule = some(leaf("a", limit, match_type, negated=negated))
        assert matches(rule, {"a": [value]}) is False


@given(st.sampled_from(draw.MATCH_TYPES), draw.values, st.booleans())
def test_a_key_that_is_missing_matches_only_its_absence(
    match_type: str, comparand: object, negated: bool
) -> None:
    held = matches(some(leaf("a", comparand, match_type, negated=negated)), {"b": 1})
    assert held is ((match_type, negated) in {("exists", True), ("doesNotExist", False)})


states = st.builds(
    VisitorState,
    st.dictionaries(st.sampled_from("123"), st.sampled_from("ab")),
    st.dictionaries(st.sampled_from(["buy", "see"]), st.sampled_from(["u", "v"])),
    st.dictionaries(st.sampled_from(["country", "team"]), st.sampled_from(["x", "y"])),
    st.lists(st.sampled_from(["cart", "home"]), max_size=2).map(tuple),
)


@given(states, states, states)
def test_states_merge_in_any_grouping(one: VisitorState, two: VisitorState, three: VisitorState) -> None:
    assert merge(merge(one, two), three) == merge(one, merge(two, three))


@given(states, states)
def test_merging_a_state_again_changes_nothing(one: VisitorState, two: VisitorState) -> None:
    assert merge(one, one) == one
    assert merge(merge(one, two), two) == merge(one, two)


@given(states, states)
def test_changes_can_be_saved_twice(state: VisitorState, new: VisitorState) -> None:
    changes = Changes("k", new.bucketing, new.goals, new.segments, new.locations)
    first = apply(state, changes)
    once = VisitorState.from_json(state.to_json())
    assert (apply(state, changes), state) == (first, once)


@given(states)
def test_a_state_survives_its_json(state: VisitorState) -> None:
    assert VisitorState.from_json(state.to_json()) == state


@given(draw.documents(), draw.guests)
def test_a_document_that_is_written_again_is_the_same(raw: Json, guest: Guest) -> None:
    first = parsed(raw)
    second = Project.parse(json.dumps(first.document))
    assert second.problems == first.problems
    assert json.dumps(second.document) == json.dumps(first.document)  # as text, where NaN is NaN
    assert all_decisions(guest.visit(second)) == all_decisions(guest.visit(first))
