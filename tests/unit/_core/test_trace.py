from __future__ import annotations

import json
from decimal import Decimal
from math import inf, nan
from typing import Any

import pytest

from convert_sdk import Project, RuleTrace, explain_rules, matches
from tests.documents import Json, entity, every, leaf, offline, some


def traced(facts: object, **changes: Any) -> tuple[bool, str]:
    """The verdict on one leaf, and its note."""
    trace = explain_rules(every({**leaf("k", "v"), **changes}), facts)
    found = trace.leaves[0][0][0]
    assert trace.verdict is found.verdict is matches(every({**leaf("k", "v"), **changes}), facts)
    return found.verdict, found.note


def asks(match_type: object, negated: object = False) -> Json:
    return {"match_type": match_type, "negated": negated}


class Broken:
    @property  # type: ignore[misc]  # as a lazy object outside of its request
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]  # read only
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "shown", "in_json"),
    [
        (inf, "Infinity", "Infinity"),
        (-inf, "-Infinity", "-Infinity"),
        (nan, "NaN", "NaN"),
        (Decimal("5.50"), "5.5", "5.50"),
        (5, "5", 5),
        (None, "null", None),
    ],
)
def test_a_number_is_shown_as_one(value: object, shown: str, in_json: object) -> None:
    trace = explain_rules(every({**leaf("k", 5), "matching": asks("less")}), {"k": value})
    assert f"the visitor has {shown}" in str(trace)
    assert json.loads(trace.to_json())["leaves"][0][0][0]["value"] == in_json


def test_a_number_of_more_digits_than_python_writes_is_shown() -> None:
    trace = explain_rules(every({**leaf("k", 5), "matching": asks("less")}), {"k": 10**5000})
    assert "the visitor has Infinity" in str(trace)
    assert json.loads(trace.to_json())["leaves"][0][0][0]["value"] == "Infinity"


def test_a_condition_that_holds_needs_no_reason() -> None:
    assert traced({"k": "V"}) == (True, "")


@pytest.mark.parametrize(
    ("facts", "changes", "note"),
    [
        (
            {"k": "v"},
            {"matching": {"match_type": "equals"}},
            "expected matching with a text match_type and a boolean",
        ),
        ({"k": "v"}, {"matching": asks("like")}, "unknown match_type 'like', expected one of equals,"),
        ({"k": "v"}, {"matching": asks("regexMatches"), "value": "("}, "the condition never matches"),
        ({"k": "v"}, {"key": None}, "expected a key"),
        ({"k": "Pro"}, {"matching": asks("isIn"), "value": "pro|team"}, "isIn finds no capital letters"),
        (
            {"k": "big"},
            {"matching": asks("less"), "value": 5},
            "text is not compared with a number, negated or not",
        ),
        (
            {"k": True},
            {"matching": asks("less", True), "value": 5},
            "a boolean is not compared with a number",
        ),
        (
            {"k": [1]},
            {"matching": asks("less", True), "value": 5},
            "another value is not compared with a number",
        ),
        ({"K": "v"}, {}, "the visitor has 'K': keys are compared letter by letter"),
        ({}, {"matching": asks("equals", True)}, "a missing key never matches"),
        ({"k": ["V"]}, {}, "items of a list are compared by type and letter by letter"),
        ({"k": Broken()}, {}, "the value cannot be read"),
    ],
)
def test_the_reason_why_it_cannot_hold(facts: object, changes: Json, note: str) -> None:
    verdict, found = traced(facts, **changes)
    assert not verdict
    assert note in found


@pytest.mark.parametrize(
    ("facts", "changes"),
    [
        ({"k": "w"}, {}),
        ({}, {}),
        ({}, {"matching": asks("exists")}),
        ({"k": "team"}, {"matching": asks("isIn"), "value": "pro"}),
        ({"k": 9}, {"matching": asks("less"), "value": 5}),
        ({"k": ["w"]}, {}),
    ],
)
def test_a_condition_that_could_hold_needs_no_reason(facts: object, changes: Json) -> None:
    assert traced(facts, **changes) == (False, "")


def test_one_that_holds_by_surprise_says_so() -> None:
    assert traced({"k": "V"}, matching=asks("isIn", True)) == (True, "isIn finds no capital letters")
    assert traced({"k": Broken()}, matching=asks("doesNotExist")) == (True, "")


@pytest.mark.parametrize("rules", [None, {}, {"OR": []}, {"OR": [{"AND": []}]}, "x"])
def test_a_part_without_conditions_is_told(rules: object) -> None:
    trace = explain_rules(rules, {"k": "v"})
    assert not trace.verdict
    assert trace.note.startswith("$")
    assert "this part never matches" in trace.note


def test_facts_that_are_none() -> None:
    assert explain_rules(every(leaf("k", "v")), 5) == RuleTrace(
        "rule set", "", False, note="the facts are no mapping, so nothing holds"
    )
    assert explain_rules(every(leaf("0", "v")), ["v"]).verdict


def test_text_and_json_hold_the_same() -> None:
    both: Any = every(leaf("a", 1), leaf("b", 2))
    either: Any = some(leaf("c", 3), leaf("d", 4, negated=True))
    rules = {"OR": [*both["OR"], *either["OR"]]}
    trace = explain_rules(rules, {"a": 1, "d": 4})
    assert str(trace).splitlines() == [
        "NO  rule set",
        "    yes a equals 1, the visitor has 1",
        "    NO  b equals 2, the visitor has nothing",
        "    or",
        "    NO  c equals 3, the visitor has nothing",
        "    NO  or d not equals 4, the visitor has 4",
    ]
    told = json.loads(trace.to_json())
    assert (told["kind"], told["verdict"], len(told["leaves"])) == ("rule set", False, 2)
    assert told["leaves"][1][0][1] == {
        "key": "d",
        "operator": "equals",
        "negated": True,
        "comparand": 4,
        "value": 4,
        "known": True,
        "verdict": False,
        "note": "",
    }
    assert repr(trace) == "RuleTrace('rule set', '', False)"


@pytest.mark.parametrize("name", ["audience", "location", "segment", "goal"])
def test_every_rule_set_of_a_project_explains_itself(name: str) -> None:
    broken: Any = every(leaf("k", "v"))
    broken["OR"].append({"AND": "x"})
    rules = {"sound": every(leaf("k", "v")), "part": broken, "none": None}
    entities = [entity(str(number), key, each) for number, (key, each) in enumerate(rules.items())]
    project = Project.parse(json.dumps({"account_id": "1", "project": {"id": "2"}, f"{name}s": entities}))
    sound, part, none = (getattr(project, name)(key) for key in ("sound", "part", "none"))
    assert (sound.explain({"k": "v"}).verdict, sound.explain({"k": "w"}).verdict) == (True, False)
    assert str(sound.explain({"k": "w"})).startswith(f"NO  {name} sound\n    NO  k equals")
    assert part.explain({"k": "v"}).verdict
    assert part.explain({"k": "v"}).note.startswith(
        f"$.{name}s[1].rules.OR[1]: expected an object with a list AND"
    )
    assert none.explain({"k": "v"}).note == "has no rules and takes nobody"


def test_an_audience_that_another_experience_decides_says_so() -> None:
    rule = {**leaf("k", "checkout"), "rule_type": "bucketed_into_experience_key"}
    project = offline(audiences=[entity("1", "a", every(rule))]).project
    assert project is not None
    audience = project.audience("a")
    assert audience is not None
    note = "a visitor is decided by one rule alone, bucketed into experience 'checkout'"
    assert audience.explain({"k": "v"}).note == note


def test_the_repr_of_a_leaf_shows_no_value_of_the_visitor() -> None:
    trace = explain_rules(every(leaf("plan", "pro")), {"plan": "s3cret"})
    assert repr(trace.leaves[0][0][0]) == "LeafTrace('plan', 'equals', False)"
    assert "s3cret" not in repr(trace)
