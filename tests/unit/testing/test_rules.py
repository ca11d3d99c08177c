from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert_sdk import matches
from convert_sdk._core.operators import OPERATORS
from convert_sdk.testing import Attr, RuleExpression, all_of, any_of, attr, bucketed_into

Json = dict[str, object]
PLAN = attr("plan")


def wrong(value: object) -> Any:
    """A value that a type checker would refuse."""
    return value


class TestOperators:
    def test_each_match_type_is_a_method(self) -> None:
        methods = {name for name in vars(Attr) if not name.startswith("_") and name != "key"}
        assert methods == {re.sub("([A-Z])", r"_\1", name).lower() for name in OPERATORS}

    @pytest.mark.parametrize(
        ("rule", "facts", "verdict"),
        [
            (PLAN == "pro", {"plan": "Pro"}, True),
            (PLAN != "pro", {"plan": "Pro"}, False),
            (PLAN != "pro", {}, False),
            (PLAN.equals_number(5), {"plan": 5}, True),
            (PLAN.matches(5), {"plan": "5"}, True),
            (PLAN < 5, {"plan": 5}, False),
            (PLAN <= 5, {"plan": 5}, True),
            (PLAN > 5, {"plan": 5}, False),
            (PLAN >= 5, {"plan": 5}, True),
            (PLAN >= 5, {"plan": "five"}, False),
            (PLAN.contains("R"), {"plan": "pro"}, True),
            (PLAN.starts_with("p"), {"plan": "pro"}, True),
            (PLAN.ends_with("p"), {"plan": "pro"}, False),
            (PLAN.is_in("pro", "team", 3), {"plan": "team"}, True),
            (PLAN.is_in("pro", "team", 3), {"plan": 3}, True),
            (PLAN.is_in("DE"), {"plan": "DE"}, False),
            (PLAN.regex_matches("^p.o$"), {"plan": "PRO"}, True),
            (PLAN.exists(), {"plan": 0}, True),
            (~PLAN.exists(), {}, True),
            (PLAN.does_not_exist(), {}, True),
            (PLAN.not_exists(), {}, False),
            (PLAN.not_exists(), {"plan": ""}, True),
        ],
    )
    def test_a_verdict(self, rule: RuleExpression, facts: Json, verdict: bool) -> None:
        assert rule.matches(facts) is verdict

    def test_the_wire(self) -> None:
        assert (~(PLAN == "pro")).to_wire() == {
            "OR": [
                {
                    "AND": [
                        {
                            "OR_WHEN": [
                                {
                                    "key": "plan",
                                    "rule_type": "generic_text_key_value",
                                    "matching": {"match_type": "equals", "negated": True},
                                    "value": "pro",
                                }
                            ]
                        }
                    ]
                }
            ]
        }

    @pytest.mark.parametrize(
        ("value", "name"), [(True, "bool"), (5, "numeric"), (0.5, "numeric"), ("5", "text"), (None, "text")]
    )
    def test_the_type_of_a_rule(self, value: object, name: str) -> None:
        assert PLAN.equals(value).conditions[0].to_wire()["rule_type"] == f"generic_{name}_key_value"

    def test_a_rule_about_another_experience(self) -> None:
        assert bucketed_into("sale").conditions[0].to_wire() == {
            "rule_type": "bucketed_into_experience_key",
            "matching": {"match_type": "equals", "negated": False},
            "value": "sale",
        }

    @pytest.mark.parametrize(
        ("make", "error", "words"),
        [
            (PLAN.is_in, ValueError, "at least one value"),
            (lambda: PLAN.is_in("a|b"), ValueError, "two values"),
            (lambda: PLAN.is_in(["a", "b"]), TypeError, r"is_in\(\*values\)"),
            (lambda: PLAN.regex_matches("("), ValueError, r"attr\('plan'\)\.regexMatches: "),
            (lambda: PLAN.equals(float("nan")), ValueError, "a value of JSON"),
            (lambda: PLAN.equals({1}), TypeError, "a value of JSON"),
            (lambda: attr(""), TypeError, "not empty, not ''"),
            (lambda: bucketed_into(""), TypeError, "not empty"),
            (all_of, ValueError, "at least one rule"),
            (
                lambda: any_of(wrong(PLAN)),
                TypeError,
                r"compares with nothing yet: attr\('plan'\)\.exists\(\)",
            ),
            (lambda: any_of(wrong("plan")), TypeError, "not a str"),
            (lambda: bool(PLAN), TypeError, "is no rule yet"),
            (lambda: (PLAN == 1) and (PLAN == 2), TypeError, r"use all_of\(…\) for and"),
        ],
    )
    def test_a_mistake_is_named(self, make: Callable[[], Any], error: type[Exception], words: str) -> None:
        with pytest.raises(error, match=words):
            make()

    def test_more_blocks_than_the_wire_should_hold(self) -> None:
        pair = any_of(all_of(PLAN == 1, PLAN == 2), all_of(PLAN == 3, PLAN == 4))
        with pytest.raises(ValueError, match="1024 blocks"):
            all_of(*[pair] * 10)

    def test_rules_of_one_or_share_a_group(self) -> None:
        assert len(any_of(PLAN == 1, any_of(PLAN == 2, PLAN == 3)).to_wire()["OR"]) == 1  # type: ignore[arg-type]  # a list

    def test_what_is_the_same(self) -> None:
        assert any_of(PLAN == ["a"]) == (PLAN == ["a"])
        assert (PLAN == 1) != (PLAN == 2)
        assert (PLAN == 1) != 1

    def test_an_explanation(self) -> None:
        assert (PLAN == 1).explain({"plan": 2}).verdict is False


KEYS = ("a", "b", "c")
Tree = tuple[str, Any]
"""An operation and its parts; "is" has a key."""
trees: st.SearchStrategy[Tree] = st.recursive(
    st.tuples(st.just("is"), st.sampled_from(KEYS)),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["all", "any"]), st.lists(inner, min_size=1, max_size=3)),
        st.tuples(st.just("not"), inner),
    ),
    max_leaves=6,
)


def rule_of(tree: Tree) -> RuleExpression:
    operation, parts = tree
    if operation == "is":
        return attr(parts) == 1
    if operation == "not":
        return ~rule_of(parts)
    return (all_of if operation == "all" else any_of)(*map(rule_of, parts))


def holds(tree: Tree, facts: dict[str, int]) -> bool:
    operation, parts = tree
    if operation == "is":
        return facts[parts] == 1
    if operation == "not":
        return not holds(parts, facts)
    return (all if operation == "all" else any)(holds(part, facts) for part in parts)


@given(trees, st.fixed_dictionaries(dict.fromkeys(KEYS, st.integers(0, 1))))
def test_the_wire_holds_where_the_rules_do(tree: Tree, facts: dict[str, int]) -> None:
    rule = rule_of(tree)
    assert rule.matches(facts) is matches(rule.to_wire(), facts) is holds(tree, facts)
