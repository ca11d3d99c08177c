from __future__ import annotations

import pytest

from convert_sdk._core.model import Exclusion, Location
from tests.documents import change, entity, every, experience, feature, leaf, project, variation


class TestRuleSet:
    PRO = project(audiences=[entity("51", "pro", every(leaf("plan", "pro")))]).audience("pro")

    @pytest.mark.parametrize(
        ("data", "verdict"),
        [({"plan": "pro"}, True), ({"plan": "free"}, False), ({}, False), (None, False), ("pro", False)],
    )
    def test_can_be_tried_against_any_facts(self, data: object, verdict: bool) -> None:
        assert self.PRO is not None
        assert self.PRO.matches(data) is verdict

    def test_a_list_is_asked_by_position(self) -> None:
        first = project(segments=[entity("71", "first", every(leaf("0", "a")))]).segment("first")
        assert first is not None
        assert first.matches(["a"])

    def test_without_rules_never_matches(self) -> None:
        assert not Location("61", "cart", "", None).matches({})

    def test_shows_what_it_is(self) -> None:
        assert repr(self.PRO) == "Audience(id='51', key='pro')"


@pytest.mark.parametrize(
    ("experience_id", "negated", "verdict"),
    [
        ("100", False, True),
        ("100", True, False),
        ("200", False, False),
        ("200", True, True),
        (None, True, True),
    ],
)
def test_an_exclusion_asks_for_a_decision(experience_id: str | None, negated: bool, verdict: bool) -> None:
    assert Exclusion("checkout", experience_id, negated).holds({"100": "1"}) is verdict


def test_a_feature_knows_the_experiences_that_carry_it() -> None:
    arms = [variation("1", changes=[change("81")]), variation("2", changes=[change("81"), change("82")])]
    compiled = project(
        experience("100", "one", variations=arms),
        experience("200", "two"),
        experience("300", "three", variations=[variation("3", changes=[change("81")])]),
        features=[feature("81", "pricing"), feature("82", "badge")],
    )
    carriers = {each: [one.key for one in compiled.carriers(each)] for each in ("81", "82", "83")}
    assert carriers == {"81": ["one", "three"], "82": ["one"], "83": []}


def test_a_project_and_its_parts_show_what_they_are() -> None:
    compiled = project(experience())
    one = compiled.experiences.named(["100"])[0]
    assert [repr(compiled), repr(one), repr(one.variations["1"])] == [
        "Project(1/2, 1 experiences)",
        "Experience(id='100', key='checkout')",
        "Variation(id='1', key='arm-1')",
    ]
