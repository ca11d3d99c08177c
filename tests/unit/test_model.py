from __future__ import annotations

import pytest

from convert_sdk._core.model import Entry, Exclusion, Index, Location, Segment
from tests.documents import change, entity, every, experience, feature, leaf, project, variation


class TestIndex:
    ENTRIES = (Entry("1", "a", "$[0]", {}), Entry("2", "b", "$[1]", {}), Entry("1", "b", "$[2]", {}))

    @pytest.fixture
    def made(self) -> list[str]:
        return []

    @pytest.fixture
    def index(self, made: list[str]) -> Index[Segment]:
        def make(entry: Entry) -> Segment:
            made.append(entry.path)
            return Segment(entry.id, entry.key, "", None)

        return Index(self.ENTRIES, make)

    def test_keeps_the_order(self, index: Index[Segment]) -> None:
        assert ([segment.key for segment in index], len(index)) == (["a", "b", "b"], 3)

    def test_the_first_of_a_name_wins(self, index: Index[Segment]) -> None:
        assert index.get("b") is index.of_id("2")
        assert index.of_id("1") is index.get("a")

    def test_gives_every_entity_of_some_ids(self, index: Index[Segment]) -> None:
        assert index.named(["2", "1", "9"]) == tuple(index)

    def test_a_miss_is_none(self, index: Index[Segment]) -> None:
        assert (index.get("c"), index.of_id("9")) == (None, None)

    def test_makes_each_entity_once_and_only_when_it_is_wanted(
        self, index: Index[Segment], made: list[str]
    ) -> None:
        index.get("b")
        assert made == ["$[1]"]
        assert index.get("b") is tuple(index)[1]
        assert sorted(made) == ["$[0]", "$[1]", "$[2]"]

    def test_two_threads_get_the_same_entity(self) -> None:
        def make(entry: Entry) -> Segment:
            if not meanwhile:  # another thread makes it while this one does
                meanwhile.append(Segment("0", "", "", None))
                meanwhile[0] = index.get("a")
            return Segment(entry.id, entry.key, "", None)

        meanwhile: list[Segment | None] = []
        index = Index(self.ENTRIES[:1], make)
        assert index.get("a") is meanwhile[0]


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
