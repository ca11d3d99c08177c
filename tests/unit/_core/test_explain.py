from __future__ import annotations

import json
from typing import Any

import pytest

from convert_sdk import ANYWHERE, Explanation, Reason, Visitor
from convert_sdk._core.explain import explain
from convert_sdk._core.facts import Facts
from convert_sdk._core.state import NOTHING
from tests.documents import (
    LOW,
    Json,
    bucketed_into,
    entity,
    every,
    experience,
    leaf,
    offline,
    project,
    remembering,
    some,
    variation,
)

PRO = entity("51", "pro", every(leaf("plan", "pro"), leaf("age", 18, "less", negated=True)))
CART = entity("61", "cart", every(leaf("url", "/cart", "startsWith")))


def gates(explanation: Explanation) -> dict[str, bool | None]:
    return {gate.name: gate.passed for gate in explanation.gates}


def detail(explanation: Explanation, name: str) -> str:
    (found,) = [gate.detail for gate in explanation.gates if gate.name == name]
    return found


def visitor_of(*experiences: Json, attributes: Json | None = None, **more: Any) -> Visitor:
    return offline(*experiences, **more).visitor(LOW, attributes)


class TestGates:
    def test_all_are_passed_where_there_is_a_variation(self) -> None:
        assert gates(visitor_of(experience()).explain("checkout")) == dict.fromkeys(
            ["known", "archived", "environment", "location", "audience", "segment", "variations"], True
        )

    def test_those_after_a_closed_one_are_not_asked(self) -> None:
        class Unasked(dict[str, object]):
            def get(self, key: object, default: object = None) -> object:
                raise AssertionError(key)

        subject = offline(experience(environment="staging", audiences=["51"]), audiences=[PRO])
        facts = subject.visitor(LOW, Unasked(plan="pro"))
        (audience,) = [gate for gate in facts.explain("checkout").gates if gate.name == "audience"]
        assert audience == ("audience", None, "", ())

    def test_those_after_a_closed_one_have_no_verdict(self) -> None:
        explanation = visitor_of(experience(environment="staging")).explain("checkout")
        assert gates(explanation) == {
            "known": True,
            "archived": True,
            "environment": False,
            "location": None,
            "audience": None,
            "segment": None,
            "variations": None,
        }

    def test_an_unknown_experience_has_one(self) -> None:
        assert gates(visitor_of().explain("home")) == {"known": False}

    def test_the_last_may_be_the_closed_one(self) -> None:
        explanation = visitor_of(experience(variations=[])).explain("checkout")
        assert gates(explanation)["variations"] is False

    def test_the_first_says_what_the_experience_is(self) -> None:
        explanation = visitor_of(experience(status="draft", type="a/b_fullstack")).explain("checkout")
        assert detail(explanation, "known") == "experience 100, a/b_fullstack, draft"

    def test_the_environment_names_both(self) -> None:
        explanation = visitor_of(experience(environment="staging")).explain("checkout")
        assert detail(explanation, "environment") == "'staging' wanted, None given"


class TestLocation:
    def test_not_known(self) -> None:
        visitor = visitor_of(experience()).with_context(location=None)
        assert detail(visitor.explain("checkout"), "location") == "the visitor's location is not known"

    def test_ignored(self) -> None:
        visitor = visitor_of(experience(locations=["61"]), locations=[CART]).with_context(location=ANYWHERE)
        assert detail(visitor.explain("checkout"), "location") == "location rules are ignored"

    def test_every_location_is_listed(self) -> None:
        locations = [CART, entity("62", "void")]
        explanation = visitor_of(experience(locations=["61", "62"]), locations=locations).explain("checkout")
        (found,) = [gate.rules for gate in explanation.gates if gate.name == "location"]
        assert [(trace.key, trace.verdict, trace.note) for trace in found] == [
            ("cart", False, ""),
            ("void", False, "has no rules and takes nobody"),
        ]

    def test_the_site_area(self) -> None:
        visitor = visitor_of(experience(site_area=every(leaf("url", "/a")))).with_context(
            location={"url": "/a"}
        )
        (found,) = [gate.rules for gate in visitor.explain("checkout").gates if gate.name == "location"]
        assert [(trace.kind, trace.verdict) for trace in found] == [("site area", True)]


class TestAudience:
    def test_each_condition_has_the_visitors_value_and_its_verdict(self) -> None:
        visitor = visitor_of(
            experience(audiences=["51"]), audiences=[PRO], attributes={"plan": "PRO", "age": 30}
        )
        (found,) = [gate.rules[0] for gate in visitor.explain("checkout").gates if gate.name == "audience"]
        (((plan,), (age,)),) = found.leaves
        assert plan == ("plan", "equals", False, "pro", "PRO", True, True, "")
        assert age == ("age", "less", True, 18, 30, True, True, "")

    def test_what_the_visitor_lacks_is_told_from_none(self) -> None:
        cases: list[tuple[Json, bool]] = [({"plan": None}, True), ({}, False)]
        for attributes, known in cases:
            visitor = visitor_of(experience(audiences=["51"]), audiences=[PRO], attributes=attributes)
            (found,) = [
                gate.rules[0] for gate in visitor.explain("checkout").gates if gate.name == "audience"
            ]
            assert (found.leaves[0][0][0].value, found.leaves[0][0][0].known) == (None, known)

    @pytest.mark.parametrize(
        ("options", "detail_wanted"),
        [({}, "any of the audiences"), ({"audiences": "all"}, "all of the audiences")],
    )
    def test_whether_all_are_wanted(self, options: Json, detail_wanted: str) -> None:
        one = experience(audiences=["51"], settings={"matching_options": options})
        assert detail(visitor_of(one, audiences=[PRO]).explain("checkout"), "audience") == detail_wanted

    def test_a_permanent_one_is_not_asked_again(self) -> None:
        client = offline(
            experience(audiences=["51"]),
            audiences=[{**PRO, "type": "permanent"}],
            store=remembering(LOW, bucketing={"100": "1"}),
        )
        explanation = client.visitor(LOW).explain("checkout")
        assert detail(explanation, "audience") == "decided earlier: permanent audiences are not asked again"

    @pytest.mark.parametrize(("negated", "words"), [(True, "not bucketed"), (False, "bucketed")])
    def test_a_rule_about_another_experience(self, negated: bool, words: str) -> None:
        audience = entity("51", "x", every(bucketed_into("other", negated=negated)))
        visitor = visitor_of(experience(audiences=["51"]), experience("200", "other"), audiences=[audience])
        (found,) = [gate.rules[0] for gate in visitor.explain("checkout").gates if gate.name == "audience"]
        assert (found.note, found.verdict) == (f"{words} into experience 'other'", negated)


def test_segments_are_named() -> None:
    visitor = visitor_of(experience(audiences=["72", "71"]), segments=[entity("71", "a"), entity("72", "b")])
    assert detail(visitor.explain("checkout"), "segment") == "any of 71 (a), 72 (b)"


class TestTheHash:
    def test_its_input_and_ranges_are_shown(self) -> None:
        hashed = visitor_of(experience()).explain("checkout").hashed
        assert hashed is not None
        assert (hashed.input, hashed.seed, hashed.bucket_value) == (f"100{LOW}", 9999, 1508)
        assert (hashed.layout, [item.end for item in hashed.ranges]) == ("packed", [5000, 10_000])

    def test_its_repr_shows_no_visitor(self) -> None:
        assert (
            repr(visitor_of(experience()).explain("checkout").hashed)
            == "HashTrace('packed', bucket_value=1508)"
        )

    def test_the_layout_is_named(self) -> None:
        hashed = visitor_of(experience(version=12)).explain("checkout").hashed
        assert hashed is not None
        assert hashed.layout == "anchored"

    def test_lone_surrogates_are_shown_as_they_are_hashed(self) -> None:
        hashed = offline(experience()).visitor("\ud800").explain("checkout").hashed
        assert hashed is not None
        assert hashed.input == "100\ufffd"


class TestText:
    def test_a_bucketed_visitor(self) -> None:
        visitor = visitor_of(
            experience(audiences=["51"]), audiences=[PRO], attributes={"plan": "PRO", "age": 30}
        )
        assert str(visitor.explain("checkout")) == (
            "checkout for visitor 'v-1': bucketed: arm-1\n"
            "  yes known        experience 100, no type, no status\n"
            "  yes archived     not archived\n"
            "  yes environment  any\n"
            "  yes location     everywhere\n"
            "  yes audience     any of the audiences\n"
            "        yes audience pro\n"
            '            yes plan equals "pro", the visitor has "PRO"\n'
            "            yes age not less 18, the visitor has 30\n"
            "  yes segment      everybody\n"
            "  yes variations   2 in the document\n"
            "  hash       '100v-1' with seed 9999 is 647936460, bucket value 1508\n"
            "  ranges     packed\n"
            "                   0.00 to    5000.00  1 arm-1  <- here\n"
            "                5000.00 to   10000.00  2 arm-2"
        )

    def test_alternatives(self) -> None:
        rules: Json = {"OR": [*_blocks(some(leaf("a"), leaf("b"))), *_blocks(every(leaf("c")))]}
        text = str(
            visitor_of(experience(audiences=["51"]), audiences=[entity("51", "x", rules)]).explain("checkout")
        )
        assert text.splitlines()[6:11] == [
            "        NO  audience x",
            '            NO  a equals "pro", the visitor has nothing',
            '            NO  or b equals "pro", the visitor has nothing',
            "            or",
            '            NO  c equals "pro", the visitor has nothing',
        ]

    def test_gates_that_were_not_asked_show_no_rules(self) -> None:
        archived = visitor_of(experience(audiences=["51"]), audiences=[PRO], archived_experiences=["100"])
        assert "  -   audience" in str(archived.explain("checkout")).splitlines()

    def test_a_remembered_decision(self) -> None:
        client = offline(experience(), store=remembering(LOW, bucketing={"100": "2"}))
        text = str(client.visitor(LOW).explain("checkout"))
        assert text.startswith("checkout for visitor 'v-1': sticky: arm-2\n")
        assert "  stored     variation 2 arm-2" in text.splitlines()

    def test_a_forced_variation(self) -> None:
        facts = Facts(LOW, NOTHING, NOTHING, None)
        text = str(explain(project(experience()), facts, "checkout", "2"))
        assert text.startswith("checkout for visitor 'v-1': forced: arm-2\n")
        assert "  forced     variation 2 arm-2" in text.splitlines()

    def test_a_visitor_beyond_the_ranges_is_in_none(self) -> None:
        found = visitor_of(experience(variations=[variation("1", 0.5)])).explain("checkout")
        assert str(found).splitlines()[-1] == "                   0.00 to      50.00  1 arm-1"

    def test_a_preview(self) -> None:
        visitor = visitor_of(experience())
        visitor.preview("100", "2")
        assert str(visitor.explain("checkout")) == (
            "checkout for visitor 'v-1': preview: arm-2\n  yes preview"
        )

    @pytest.mark.parametrize(
        ("more", "reason"),
        [
            ({}, Reason.UNKNOWN),
            ({"experiences": [experience()], "archived_experiences": ["100"]}, Reason.ARCHIVED),
        ],
    )
    def test_a_miss_is_its_reason(self, more: dict[str, Any], reason: Reason) -> None:
        experiences: object = more.get("experiences", [])
        assert isinstance(experiences, list)
        rest = {name: value for name, value in more.items() if name != "experiences"}
        text = str(offline(*experiences, **rest).visitor(LOW).explain("checkout"))
        assert text.splitlines()[0] == f"checkout for visitor 'v-1': {reason}"


def _blocks(rules: Json) -> list[object]:
    blocks = rules["OR"]
    assert isinstance(blocks, list)
    return blocks


def test_json_holds_the_same() -> None:
    visitor = visitor_of(experience(audiences=["51"]), audiences=[PRO], attributes={"plan": "pro"})
    told = json.loads(visitor.explain("checkout").to_json())
    assert told["decision"] == {
        "key": "checkout",
        "reason": "audience",
        "experience_id": "100",
        "variation_id": None,
        "variation_key": None,
        "bucket_value": None,
    }
    assert told["visitor_id"] == LOW
    assert told["gates"][4]["rules"][0]["leaves"][0][0][0] == {
        "key": "plan",
        "operator": "equals",
        "negated": False,
        "comparand": "pro",
        "value": "pro",
        "known": True,
        "verdict": True,
        "note": "",
    }
    assert told["hashed"]["ranges"][0] == {"variation_id": "1", "start": 0.0, "end": 5000.0}


def test_json_of_an_unknown_experience_names_none() -> None:
    assert json.loads(visitor_of().explain("home").to_json())["decision"]["experience_id"] is None


def test_the_repr_shows_no_visitor() -> None:
    assert repr(visitor_of().explain("home")) == "Explanation('home', 'unknown')"


def test_what_forcing_would_give() -> None:
    visitor = visitor_of(experience())
    explanation = visitor.explain("checkout", variation_id=2)
    assert (explanation.decision.reason, explanation.forced_variation_id) == (Reason.FORCED, "2")
    assert visitor.peek("checkout").reason is Reason.BUCKETED
    assert visitor.explain("checkout", "arm-2") == explanation


def test_what_forcing_an_unknown_key_would_give() -> None:
    visitor = visitor_of(experience())
    assert str(visitor.explain("checkout", "arm-3")) == (
        f"checkout for visitor '{LOW}': unknown_variation\n  NO  variation    none of key 'arm-3'"
    )
    assert visitor.explain("home", "arm-3").decision.reason is Reason.UNKNOWN
