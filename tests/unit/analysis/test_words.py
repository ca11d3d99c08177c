from __future__ import annotations

import json

import pytest

from convert_sdk import Project
from convert_sdk._core.problem import ignore
from convert_sdk._core.rules import compile_rules
from convert_sdk.analysis import Kind, describe, find, kinds_of, named_state, rule_set_words, rules_words
from convert_sdk.analysis.regex_example import regex_example
from convert_sdk.analysis.words import condition_words
from convert_sdk.errors import UnknownNameError
from tests.documents import Json, bucketed_into, entity, every, leaf, project, some
from tests.export import export_project


def words(rules: Json) -> str:
    return rules_words(compile_rules(rules, "$", ignore))


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        (leaf("plan", "pro"), 'plan is "pro"'),
        (leaf("plan", "pro", negated=True), 'plan is not "pro"'),
        (leaf("age", 18, "less", negated=True), "age is at least 18"),
        (leaf("age", "1,000", "lessEqual"), "age is at most 1000"),
        (leaf("plan", "a|b", "isIn"), 'plan is one of "a", "b"'),
        (leaf("path", "^/x", "regexMatches"), "path matches /^/x/"),
        (leaf("email", "", "doesNotExist"), "email is not known"),
        (leaf("email", "", "exists", negated=True), "email is not known"),
        (leaf("plan", match_type="greater"), "plan, which never holds (unknown match_type 'greater'"),
    ],
)
def test_a_condition(condition: Json, said: str) -> None:
    (((found,),),) = compile_rules(every(condition), "$", ignore)
    assert condition_words(found).startswith(said)


def test_how_they_are_joined() -> None:
    one, other = leaf("a", 1), leaf("b", 2)
    assert words(every(one, other)) == "a is 1 and b is 2"
    assert words(some(one, other)) == "a is 1 or b is 2"
    both: Json = {"OR": [*_list(every(one, other)), *_list(some(one, other))]}
    assert words(both) == "(a is 1 and b is 2) or (a is 1 or b is 2)"


def _list(rules: Json) -> list[object]:
    found = rules["OR"]
    assert isinstance(found, list)
    return found


def test_rules_that_are_none() -> None:
    assert rules_words(None) == "nobody, as there are no rules"


def test_an_exclusion() -> None:
    excluded = project(
        audiences=[entity("51", "new", every(bucketed_into("checkout", negated=True)))]
    ).audience("new")
    assert excluded is not None
    assert rule_set_words(excluded) == "not bucketed into experience 'checkout'"


@pytest.fixture(scope="module")
def shop() -> Project:
    return export_project()


class TestDescriptions:
    def test_of_an_experience(self, shop: Project) -> None:
        assert str(describe(shop, find(shop, "member-prices"))).splitlines() == [
            "experience member-prices (506): Member Prices",
            "  status    active, a/b_fullstack",
            "  runs in   production",
            "  where     everywhere",
            '  who       members (plan is one of "gold", "silver" or (spent is at least 500 and signed_in is true))',
            "  variation original (5061), 50 %",
            '  variation v2 (5062), 50 %; sets pricing {"discount":0.1,"badge":"Member"}',
            "  traffic   100 %, anchored ranges",
        ]

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("cart", "  used by   experience cart-layout, experience cart-upsell"),
            ("germans", "  asked     until the visitor has a decision"),
            ("bargain-hunters", "  used by   experience sale-banner"),
            ("search", "  variable  limit: integer"),
            ("large-order", "  used by   experience cart-layout, experience cart-upsell"),
            ("newsletter", "  type      code_trigger"),
            ("sale-banner", "  segments  any of bargain-hunters (251)"),
            ("phone-menu", "  who       phones (user_agent matches /android.+mobile|iphone/) and not-staff"),
        ],
    )
    def test_of_the_rest(self, shop: Project, name: str, said: str) -> None:
        assert any(line.startswith(said) for line in str(describe(shop, find(shop, name))).splitlines())

    def test_as_json(self, shop: Project) -> None:
        found = json.loads(describe(shop, find(shop, "germans")).to_json())
        assert found["kind"] == "audience"
        assert found["lines"][0] == {"name": "who", "words": 'country is "DE" or country is "AT"'}


class TestNames:
    def test_by_key_and_by_id(self) -> None:
        shop = export_project()
        assert find(shop, "513").entity.key == "wishlist-rollout"
        assert find(shop, "302", [Kind.LOCATION]).entity.key == "product"
        assert kinds_of(shop, "purchase") == [Kind.GOAL]

    def test_of_nothing(self) -> None:
        with pytest.raises(UnknownNameError) as caught:
            find(export_project(), "germns", [Kind.AUDIENCE])
        assert (caught.value.name, caught.value.near) == ("germns", ("germans",))
        assert str(caught.value) == "there is no audience 'germns': did you mean 'germans'?"


class TestState:
    def test_by_keys_and_by_ids(self) -> None:
        state = named_state(
            export_project(), {"bucketing": {"home-hero": "v2", "503": "5031"}, "goals": {"purchase": True}}
        )
        assert state.bucketing == {"501": "5012", "503": "5031"}
        assert set(state.goals) == {"purchase"}

    @pytest.mark.parametrize("bucketing", [{"home-heroes": "v2"}, {"home-hero": "v22"}])
    def test_of_nothing(self, bucketing: Json) -> None:
        with pytest.raises(UnknownNameError, match="did you mean"):
            named_state(export_project(), {"bucketing": bucketing})

    def test_a_part_that_no_state_has_is_told(self) -> None:
        with pytest.raises(
            UnknownNameError, match="there is no part of a state 'bucketting': did you mean 'bucketing'"
        ):
            named_state(export_project(), {"bucketting": {}})


@pytest.mark.parametrize(
    ("pattern", "example"),
    [
        ("^/(tents|boots)/[a-z0-9-]+$", "/tents/a"),
        (r"^\d{3}-\w+$", "111-a"),
        ("a(?=b)b", "ab"),
        (r"(\w)\1x", "aax"),
        ("[^/]+/x", "a/x"),
        ("^$", ""),
        (r".*\.(jpg|png)$", ".jpg"),
        (r"[\d]x", "1x"),
        (r"\x41\u0042", "AB"),
        ("(", None),
        ("^(?!.)x", None),
    ],
)
def test_an_example_of_a_pattern(pattern: str, example: str | None) -> None:
    assert regex_example(pattern) == example
