"""What is explained is what is decided."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from convert_sdk import Decision, Explanation, Reason, VisitorState
from convert_sdk._core.decide import decide
from convert_sdk._core.explain import explain
from convert_sdk._core.facts import Facts
from tests import strategies as draw
from tests.documents import Json
from tests.strategies import Guest, parsed

GATES = {
    Reason.UNKNOWN: "known",
    Reason.ARCHIVED: "archived",
    Reason.ENVIRONMENT: "environment",
    Reason.LOCATION: "location",
    Reason.AUDIENCE: "audience",
    Reason.SEGMENT: "segment",
    Reason.NO_VARIATIONS: "variations",
}
"""The gate that each reason names; the other reasons come after all gates."""


def check(explanation: Explanation, decision: Decision) -> None:
    assert explanation.decision == decision
    closed = [gate.name for gate in explanation.gates if gate.passed is False]
    assert closed == ([GATES[decision.reason]] if decision.reason in GATES else [])
    if explanation.hashed is not None:
        check_hash(explanation, decision)


def check_hash(explanation: Explanation, decision: Decision) -> None:
    hashed = explanation.hashed
    assert hashed is not None
    value = hashed.bucket_value
    here = next((item.variation_id for item in hashed.ranges if item.start <= value < item.end), None)
    if decision.reason is Reason.BUCKETED:
        assert (decision.bucket_value, decision.variation_id) == (value, here)
    if decision.reason is Reason.NOT_ALLOCATED:
        assert here is None
    if decision.reason is Reason.STICKY:
        assert decision.variation_id == explanation.stored_variation_id
    if decision.reason is Reason.FORCED:
        assert decision.variation_id == explanation.forced_variation_id


@given(draw.documents(), draw.guests)
def test_explaining_agrees_with_peeking(raw: Json, guest: Guest) -> None:
    visitor = guest.visit(parsed(raw))
    for key in (*draw.KEYS, "nowhere"):
        check(visitor.explain(key), visitor.peek(key))


@given(draw.documents(), draw.guests)
def test_it_agrees_after_everything_was_decided(raw: Json, guest: Guest) -> None:
    visitor = guest.visit(parsed(raw))
    visitor.decide_all()
    for key in draw.KEYS:
        check(visitor.explain(key), visitor.peek(key))


@given(draw.documents(), draw.guests, st.sampled_from("12349"))
def test_it_agrees_where_a_variation_is_forced(raw: Json, guest: Guest, forced: str) -> None:
    compiled = parsed(raw)
    state = VisitorState(guest.remembered, segments=guest.segments)
    facts = Facts(guest.id, guest.attributes, guest.location, guest.environment, state)
    for key in draw.KEYS:
        check(explain(compiled, facts, key, forced), decide(compiled, facts, key, forced))


@given(draw.documents(), draw.guests)
def test_every_explanation_can_be_read(raw: Json, guest: Guest) -> None:
    visitor = guest.visit(parsed(raw))
    for key in draw.KEYS:
        explanation = visitor.explain(key)
        assert str(explanation).startswith(f"{key} for visitor ")
        assert explanation.to_json().isascii()


@given(draw.documents(), draw.guests)
def test_a_rule_set_is_shown_with_the_verdict_that_it_has(raw: Json, guest: Guest) -> None:
    visitor = guest.visit(parsed(raw))
    for key in draw.KEYS:
        explanation = visitor.explain(key)
        data = visitor._data()
        experience = explanation.decision.experience
        for gate in explanation.gates:
            for trace in gate.rules if experience is not None else ():
                asked = {each.key: each for each in (experience.audiences if experience else ())}
                if trace.kind == "audience" and asked[trace.key].exclusion is None:
                    assert trace.verdict is asked[trace.key].matches(data)
