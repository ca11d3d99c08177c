from __future__ import annotations

import pytest

from convert_sdk._core.asks import AskedCondition
from tests.documents import bucketed_into, entity, every, experience, leaf, project, some


def asked(*conditions: AskedCondition) -> list[tuple[str, bool, object, str]]:
    return [(each.operator, each.negated, each.comparand, each.asked_by) for each in conditions]


class TestAsks:
    def test_keys_by_what_gives_them(self) -> None:
        asks = project(
            experience(site_area=some(leaf("path", "/cart", "contains"))),
            audiences=[entity("51", "adults", every(leaf("age", 18, "less", negated=True)))],
            segments=[entity("71", "vip", every(leaf("spent", 9, "lessEqual"), leaf("age", 99, "less")))],
            locations=[entity("61", "home", every(leaf("url", "^/$", "regexMatches")))],
            goals=[entity("7", "buy", every(leaf("total", 10, "less")))],
        ).asks()
        assert {key: asked(*found) for key, found in asks.attributes.items()} == {
            "age": [("less", True, 18, "audience adults"), ("less", False, 99, "segment vip")],
            "spent": [("lessEqual", False, 9, "segment vip")],
        }
        assert {key: asked(*found) for key, found in asks.location.items()} == {
            "url": [("regexMatches", False, "^/$", "location home")],
            "path": [("contains", False, "/cart", "site area of checkout")],
        }
        assert {key: asked(*found) for key, found in asks.goals.items()} == {
            "total": [("less", False, 10, "goal buy")]
        }

    def test_the_place_in_the_document(self) -> None:
        asks = project(audiences=[entity("51", "some", some(leaf(), leaf("age", 3)))]).asks()
        assert asks.attributes["age"][0].path == "$.audiences[0].rules.OR[0].AND[0].OR_WHEN[1]"

    def test_an_audience_that_another_experience_decides_asks_nothing(self) -> None:
        audience = entity("51", "others", every(leaf(), bucketed_into("checkout")))
        assert project(experience(), audiences=[audience]).asks() == ({}, {}, {})

    def test_what_has_no_rules_or_no_key_asks_nothing(self) -> None:
        keyless = every({**leaf(), "key": None})
        asks = project(audiences=[entity("51", "all"), entity("52", "odd", keyless)]).asks()
        assert asks.attributes == {}

    def test_a_condition_that_never_matches_still_asks(self) -> None:
        asks = project(audiences=[entity("51", "odd", every(leaf("plan", 1, "resembles")))]).asks()
        assert asked(*asks.attributes["plan"]) == [("resembles", False, 1, "audience odd")]

    def test_a_comparand_is_the_callers_to_change(self) -> None:
        compiled = project(audiences=[entity("51", "listed", every(leaf("plan", ["pro"])))])
        comparand = compiled.asks().attributes["plan"][0].comparand
        assert isinstance(comparand, list)
        comparand.clear()
        assert compiled.asks().attributes["plan"][0].comparand == ["pro"]

    @pytest.mark.parametrize(
        ("condition", "text"),
        [
            (leaf("plan", ["pro", 1]), 'equals ["pro",1], asked by audience a'),
            (leaf("plan", None, "exists", negated=True), "not exists, asked by audience a"),
        ],
    )
    def test_a_condition_in_words(self, condition: dict[str, object], text: str) -> None:
        asks = project(audiences=[entity("51", "a", every(condition))]).asks()
        assert str(asks.attributes["plan"][0]) == text
