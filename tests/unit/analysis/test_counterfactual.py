from __future__ import annotations

import json
from typing import Any

import pytest

from convert_sdk import ANYWHERE, Client, Project, Visitor
from convert_sdk.analysis import Counterfactual, counterfactual
from convert_sdk.errors import UnknownNameError
from tests.documents import (
    LOW,
    Json,
    bucketed_into,
    document,
    entity,
    every,
    experience,
    leaf,
    remembering,
    some,
    variation,
)
from tests.export import export_project


def visitor(
    project: Project, facts: Json | None = None, location: Json | None = None, id: str = LOW
) -> Visitor:
    return Client.offline(project).visitor(id, facts or {}, location=location or {})


def asked(*rules: Json, facts: Json | None = None, **more: Any) -> Counterfactual:
    """The answer for an experience with these audiences."""
    audiences = [entity(str(50 + place), f"a{place}", each) for place, each in enumerate(rules)]
    raw = document(experience(audiences=[each["id"] for each in audiences], **more), audiences=audiences)
    return counterfactual(visitor(Project.parse(json.dumps(raw)), facts), "checkout")


def changed(found: Counterfactual) -> Json:
    assert found.found
    assert found.minimal
    return {change.key: change.after for change in found.changes}


@pytest.mark.parametrize(
    ("condition", "value"),
    [
        (leaf("x", "pro"), "pro"),
        (leaf("x", True), True),
        (leaf("x", 18, "less"), 17),
        (leaf("x", 18, "less", negated=True), 18),
        (leaf("x", 18, "lessEqual", negated=True), 19),
        (leaf("x", 0.25, "less"), 0.24),
        (leaf("x", "DE|AT", "isIn"), "de"),
        (leaf("x", "/cart", "startsWith"), "/cart"),
        (leaf("x", "^[a-c]{2}[0-9]$", "regexMatches"), "aa0"),
        (leaf("x", "", "exists"), "other"),
        (leaf("x", "pro", negated=True), "other"),
    ],
)
def test_the_value_for_one_condition(condition: Json, value: object) -> None:
    assert changed(asked(every(condition))) == {"x": value}


def test_texts_are_put_together() -> None:
    rules = every(
        leaf("x", "/a/", "startsWith"), leaf("x", "sale", "contains"), leaf("x", ".html", "endsWith")
    )
    assert changed(asked(rules)) == {"x": "/a/sale.html"}


def test_the_shorter_way_is_taken() -> None:
    longer = every(leaf("a"), leaf("b"), leaf("c"))
    assert changed(asked(longer, every(leaf("d"), leaf("a")), facts={"a": "pro"})) == {"d": "pro"}


def test_one_value_for_several_conditions() -> None:
    rules = every(leaf("age", 18, "less", negated=True), leaf("age", 30, "less"), some_of("plan"))
    assert changed(asked(rules, facts={"plan": "pro"})) == {"age": 18}


def some_of(key: str) -> Json:
    return leaf(key, "pro")


def test_a_fact_that_must_go() -> None:
    found = asked(every(leaf("email", "", "doesNotExist")), facts={"email": "a@b.example"})
    (change,) = found.changes
    assert (change.removed, change.before) == (True, "a@b.example")
    assert str(change) == 'no attributes.email, in place of "a@b.example"'


def test_all_audiences_at_once() -> None:
    options = {"matching_options": {"audiences": "all"}}
    found = asked(every(leaf("a")), some(leaf("b"), leaf("c")), settings=options)
    assert [change.key for change in found.changes] == ["a", "b"]
    assert found.minimal


class TestWhatNoFactOpens:
    def test_a_pattern_without_an_example(self) -> None:
        found = asked(every(leaf("x", "^(?!.)x", "regexMatches")))
        assert (found.found, found.unsolved) == (False, ("audiences",))
        assert "no value was found for the audiences" in str(found)

    def test_the_archive_the_environment_and_the_segments(self) -> None:
        raw = document(
            experience(environment="live", audiences=["71"]),
            archived_experiences=["100"],
            segments=[entity("71", "vip", every(leaf()))],
        )
        found = counterfactual(visitor(Project.parse(json.dumps(raw))), "checkout")
        assert found.closed == (
            "the experience is archived",
            "it runs in the environment live, and not in none",
            "it is for the segments vip (71), which the application gives",
        )

    def test_another_experience(self) -> None:
        found = asked(every(bucketed_into("checkout")))
        assert found.closed == ("the audience a0: bucketed into experience 'checkout'",)

    def test_an_audience_without_rules(self) -> None:
        raw = document(experience(audiences=["51"]), audiences=[entity("51", "empty")])
        found = counterfactual(visitor(Project.parse(json.dumps(raw))), "checkout")
        assert found.closed == ("the audience empty: it has no rules that can hold",)

    def test_a_location_that_is_not_known(self) -> None:
        project = Project.parse(json.dumps(document(experience())))
        nowhere = Client.offline(project).visitor(LOW, location=None)
        closed = ("the location is not known: give one, which may be empty",)
        assert counterfactual(nowhere, "checkout").closed == closed
        assert counterfactual(nowhere.with_context(location=ANYWHERE), "checkout").found

    def test_a_location_that_is_not_known_where_the_empty_one_would_do(self) -> None:
        """Rules that hold of an empty location say nothing of one that is not known."""
        raw = document(experience(site_area=every(leaf("plan", None, "doesNotExist"))))
        nowhere = Client.offline(Project.parse(json.dumps(raw))).visitor(LOW, location=None)
        closed = ("the location is not known: give one, which may be empty",)
        assert (counterfactual(nowhere, "checkout").found, counterfactual(nowhere, "checkout").closed) == (
            False,
            closed,
        )
        assert counterfactual(nowhere.with_context(location={}), "checkout").found


class TestTraffic:
    def test_a_part_of_it(self) -> None:
        project = Project.parse(json.dumps(document(experience(variations=[variation("1", 10)]))))
        found = counterfactual(visitor(project), "checkout")
        assert found.found
        assert (
            str(found.traffic) == "at 10 % traffic, bucket value 1508 gets no variation, whatever the facts"
        )

    def test_of_somebody_who_takes_part(self) -> None:
        found = counterfactual(visitor(Project.parse(json.dumps(document(experience())))), "checkout")
        assert (
            str(found) == "checkout: the facts are enough\n  at 100 % traffic, bucket value 1508 gets arm-1"
        )

    def test_of_somebody_who_had(self) -> None:
        project = Project.parse(json.dumps(document(experience())))
        client = Client.offline(project, store=remembering(LOW, bucketing={"100": "2"}))
        assert str(counterfactual(client.visitor(LOW), "checkout").traffic) == "the visitor keeps arm-2"


def test_locations_and_audiences_are_changed_together() -> None:
    found = counterfactual(visitor(export_project(), location={"path": "/"}), "checkout-steps")
    assert [str(change) for change in found.changes] == [
        'location.path = "/checkout", in place of "/"',
        "attributes.signed_in = true, in place of nothing",
    ]


def test_an_unknown_experience() -> None:
    with pytest.raises(
        UnknownNameError, match="no experience 'chekcout-steps': did you mean 'checkout-steps'"
    ):
        counterfactual(visitor(export_project()), "chekcout-steps")


def test_as_json() -> None:
    found = asked(every(leaf("plan")), facts={"plan": "free"})
    parsed = json.loads(found.to_json())
    assert parsed["changes"] == [
        {
            "where": "attributes",
            "key": "plan",
            "before": "free",
            "known": True,
            "after": "pro",
            "removed": False,
        }
    ]
    assert parsed["traffic"]["variation"] == "arm-1"
    assert "free" not in repr(found)


def test_many_alternatives_end() -> None:
    """Twelve audiences of four alternatives each, all wanted: too many to prove anything."""
    rules: list[Json] = [
        {
            "OR": [
                {"AND": [{"OR_WHEN": [leaf(f"k{n}{m}{i}") for i in range(3)]} for m in range(3)]}
                for _ in range(4)
            ]
        }
        for n in range(12)
    ]
    options = {"matching_options": {"audiences": "all"}}
    found = asked(*rules, settings=options)
    assert found.found
    assert not found.minimal
    assert len(found.changes) == 36
    assert "a small change" in str(found)
