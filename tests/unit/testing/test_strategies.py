from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TypeVar

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from convert_sdk import Client, Project
from convert_sdk._core.operators import OPERATORS
from convert_sdk._core.problem import Problem
from convert_sdk._core.rules import compile_rules
from convert_sdk.testing import (
    RuleExpression,
    all_of,
    any_of,
    attr,
    audience,
    experience,
    goal,
    location,
    project,
    segment,
)
from convert_sdk.testing.strategies import (
    Facts,
    attributes_for,
    documents,
    locations_for,
    rule_data_for,
    rule_sets,
    values_around,
    visitor_ids,
)

T = TypeVar("T")
Verdict = Callable[[Mapping[str, object]], bool]


def found_by(strategy: st.SearchStrategy[Facts], condition: Callable[[Facts], bool]) -> Facts:
    """The smallest that meets a condition; raises NoSuchExample where none is drawn."""
    return find(strategy, condition, settings=settings(database=None, max_examples=1_000))


def is_drawn(strategy: st.SearchStrategy[T], condition: Callable[[T], bool], most: int = 1_000) -> bool:
    """True if something that meets a condition is drawn; it is not made smaller."""
    try:
        find(
            strategy, condition, settings=settings(database=None, max_examples=most, phases=[Phase.generate])
        )
    except NoSuchExample:
        return False
    return True


def is_number(value: object) -> bool:
    return type(value) in (int, float)


class Planted:
    """A rule as somebody wrote it, and what they meant."""

    def __init__(self, rules: RuleExpression, meant: Verdict, sensible: Verdict) -> None:
        self.project = project(audience("tested", rules))
        self.meant = meant
        self.sensible = sensible

    def is_wrong(self, facts: Facts) -> bool:
        tested = self.project.audience("tested")
        assert tested is not None
        return self.sensible(facts) and tested.matches(facts) != self.meant(facts)


BUGS = {
    "the border": Planted(
        attr("age") > 18,
        meant=lambda facts: float(str(facts["age"])) >= 18,
        sensible=lambda facts: is_number(facts.get("age")),
    ),
    "the third of three conditions": Planted(
        all_of(attr("plan") == "pro", attr("visits") < 10, attr("country").is_in("DE", "AT")),
        meant=lambda facts: (
            facts["plan"] == "pro" and float(str(facts["visits"])) < 10 and facts["country"] in ("DE", "AT")
        ),
        sensible=lambda facts: (
            facts.get("plan") in ("pro", "free")
            and is_number(facts.get("visits"))
            and facts.get("country") in ("DE", "AT", "FR")
        ),
    ),
    "nobody without the key": Planted(
        attr("customer_group") != "staff",
        meant=lambda facts: facts.get("customer_group") != "staff",
        sensible=lambda facts: facts.get("customer_group", "staff") in ("staff", "other"),
    ),
}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("the border", {"age": 18}),
        ("the third of three conditions", {"plan": "pro", "visits": 9, "country": "DE"}),
        ("nobody without the key", {}),
    ],
)
def test_a_planted_bug_is_found(name: str, found: Facts) -> None:
    bug = BUGS[name]
    assert found_by(attributes_for(bug.project), bug.is_wrong) == found


def test_a_rule_that_is_right_is_not_accused() -> None:
    right = Planted(
        attr("age") >= 18,
        meant=lambda facts: float(str(facts["age"])) >= 18,
        sensible=lambda facts: is_number(facts.get("age")) and facts["age"] == facts["age"],  # no NaN
    )
    with pytest.raises(NoSuchExample):
        find(
            attributes_for(right.project), right.is_wrong, settings=settings(database=None, max_examples=300)
        )


SHOP = project(
    experience("checkout", site_area=attr("path").ends_with("/pay")),
    audience(
        "adults",
        all_of(attr("age") >= 18, attr("age") < 30, any_of(attr("plan") == "pro", attr("vip").exists())),
    ),
    audience("products", attr("sku").regex_matches("^[a-z]{3}-[0-9]+$")),
    audience("broken", fields={"rules": {"OR": [{"AND": [{"OR_WHEN": [{"key": "odd"}]}]}]}}),
    segment("spenders", attr("spent") > 1000),
    location("cart", attr("path").contains("cart")),
    goal("large-order", attr("total") >= 200),
)


def runs_there(place: Facts) -> bool:
    return Client.offline(SHOP).visitor("v", location=place).peek("checkout").variation is not None


class TestFacts:
    @pytest.mark.parametrize("key", ["adults", "products"])
    @pytest.mark.parametrize("verdict", [True, False])
    def test_open_an_audience_and_keep_it_closed(self, key: str, verdict: bool) -> None:
        tested = SHOP.audience(key)
        assert tested is not None
        assert is_drawn(attributes_for(SHOP), lambda facts: bool(facts) and tested.matches(facts) is verdict)

    def test_come_for_segments_places_and_conversions(self) -> None:
        spenders, cart = SHOP.segment("spenders"), SHOP.location("cart")
        order = SHOP.goal("large-order")
        assert spenders is not None
        assert cart is not None
        assert order is not None
        assert is_drawn(attributes_for(SHOP), spenders.matches)
        assert is_drawn(locations_for(SHOP), cart.matches)
        assert is_drawn(locations_for(SHOP), runs_there)
        assert is_drawn(rule_data_for(SHOP), order.matches)

    def test_have_every_key_none_and_other_types(self) -> None:
        asked = set(SHOP.asks().attributes)
        assert is_drawn(attributes_for(SHOP), lambda facts: facts.keys() == asked)
        assert is_drawn(attributes_for(SHOP), lambda facts: not facts)
        assert is_drawn(attributes_for(SHOP), lambda facts: isinstance(facts.get("age"), list))

    def test_of_a_project_that_asks_nothing(self) -> None:
        assert found_by(attributes_for(project()), lambda facts: True) == {}


@pytest.mark.parametrize(
    "comparand", ["pro", "", "18", 18, -0.5, 10**20, True, None, ["a"], {"a": 1}, "a\U0010ffff"]
)
@pytest.mark.parametrize("operator", sorted(OPERATORS))
def test_there_are_values_around_every_condition(operator: str, comparand: object) -> None:
    assert len(values_around(operator, comparand)) >= 2


@given(visitor_ids())
def test_every_id_makes_a_visitor(visitor_id: str) -> None:
    assert Client.offline(SHOP).visitor(visitor_id).id == visitor_id


def test_an_id_may_be_half_an_emoji() -> None:
    assert is_drawn(visitor_ids(), lambda visitor_id: "\ud800" <= visitor_id[0] <= "\udfff", most=5_000)


@given(rule_sets())
def test_rule_sets_are_sound(rules: dict[str, object]) -> None:
    wrong: list[Problem] = []
    compile_rules(rules, "$", lambda *about: wrong.append(Problem(*about)))
    assert wrong == []


@settings(max_examples=25)
@given(documents(), st.data())
def test_what_is_built_passes_the_check(wire: dict[str, object], data: st.DataObject) -> None:
    built = Project.parse(json.dumps(wire))
    assert built.problems == ()
    visitor = Client.offline(built).visitor(
        "v", data.draw(attributes_for(built)), location=data.draw(locations_for(built))
    )
    assert len(visitor.decide_all()) == len(built.experiences)
