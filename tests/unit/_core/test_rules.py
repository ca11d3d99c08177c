from __future__ import annotations

from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert_sdk._core.codes import Code
from convert_sdk._core.problem import Problem, ignore
from convert_sdk._core.rules import (
    EXCLUSION,
    ExclusionCondition,
    as_data,
    compile_rules,
    conjunction,
    excludes,
    first_exclusion,
    matches,
    matches_rule_set,
)


def leaf(
    key: str = "a", match_type: str = "equals", value: object = "1", *, negated: object = False
) -> dict[str, object]:
    return {"key": key, "matching": {"match_type": match_type, "negated": negated}, "value": value}


def rule_set(*blocks: object) -> dict[str, object]:
    """A block is a list of groups, a group a list of leaves."""
    return {"OR": [{"AND": [{"OR_WHEN": group} for group in block]} for block in blocks]}  # type: ignore[attr-defined]


def compiled(rules: object) -> tuple[bool, list[Problem]]:
    problems: list[Problem] = []
    found = compile_rules(rules, "$.rules", lambda *problem: problems.append(Problem(*problem)))
    return matches(found, {"a": "1", "b": "2", "": "x"}), problems


YES, NO = leaf("a"), leaf("b")


@pytest.mark.parametrize(
    ("rules", "verdict"),
    [
        (rule_set([[YES]]), True),
        (rule_set([[NO]]), False),
        (rule_set([[NO, YES]]), True),
        (rule_set([[YES], [NO]]), False),
        (rule_set([[YES], [NO, YES]]), True),
        (rule_set([[NO]], [[YES]]), True),
        (rule_set([[YES], [NO]], [[NO]]), False),
    ],
)
def test_any_of_all_of_any_of(rules: object, verdict: bool) -> None:
    assert compiled(rules) == (verdict, [])


LIST = "expected an object with a list {} that is not empty; this part never matches"


@pytest.mark.parametrize(
    ("rules", "path", "level"),
    [
        (None, "$.rules", "OR"),
        ({}, "$.rules", "OR"),
        ({"OR": {}}, "$.rules", "OR"),
        ({"OR": []}, "$.rules", "OR"),
        ({"OR": [None]}, "$.rules.OR[0]", "AND"),
        ({"OR": [{"AND": []}]}, "$.rules.OR[0]", "AND"),
        ({"OR": [{"AND": [{"OR_WHEN": [YES]}, {}]}]}, "$.rules.OR[0].AND[1]", "OR_WHEN"),
    ],
)
def test_a_malformed_level_never_matches(rules: object, path: str, level: str) -> None:
    assert compiled(rules) == (False, [Problem(path, LIST.format(level), Code.EMPTY_RULES)])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (None, "expected matching with a text match_type and a boolean negated"),
        ({"key": "a", "matching": None, "value": "1"}, "expected matching"),
        (leaf(negated=None), "boolean negated"),
        (leaf(negated="true"), "boolean negated"),
        (leaf(negated=0), "boolean negated"),
        ({"key": "a", "matching": {"match_type": 5, "negated": True}, "value": "1"}, "text match_type"),
        ({"key": "c", "matching": {"match_type": "not_exists", "negated": True}}, "expected a value"),
        (leaf(match_type="EQUALS", negated=True), "unknown match_type 'EQUALS', expected one of equals, "),
        (leaf(match_type="regexMatches", value="(", negated=True), "missing ) at character 1"),
        (leaf(match_type="regexMatches", value="(a{999}){999}", negated=True), "repeats too much"),
    ],
)
def test_a_malformed_leaf_never_matches_and_is_named(bad: object, message: str) -> None:
    verdict, problems = compiled(rule_set([[bad]]))
    assert verdict is False
    assert [problem.path for problem in problems] == ["$.rules.OR[0].AND[0].OR_WHEN[0]"]
    assert message in problems[0].message
    assert problems[0].message.endswith("; the condition never matches")
    assert compiled(rule_set([[bad, YES]]))[0] is True


@pytest.mark.parametrize(
    ("match_type", "negated", "verdict"),
    [
        ("exists", True, True),
        ("exists", False, False),
        ("doesNotExist", False, True),
        ("equals", True, False),
    ],
)
@pytest.mark.parametrize("key", [{}, {"key": None}, {"key": 5}])
def test_a_leaf_without_a_key_sees_a_missing_value(
    match_type: str, negated: bool, verdict: bool, key: dict[str, object]
) -> None:
    bad = {"matching": {"match_type": match_type, "negated": negated}, "value": "x", **key}
    found, problems = compiled(rule_set([[bad]]))
    assert found is verdict
    assert [problem.message for problem in problems] == [
        "expected a key; without one, a condition cannot be answered from a web request"
    ]


def test_a_condition_shows_its_parts() -> None:
    (((only,),),) = compile_rules(rule_set([[{**leaf(negated=True), "rule_type": "cookie"}]]), "$", ignore)
    assert (only.key, only.match_type, only.comparand, only.negated) == ("a", "equals", "1", True)
    assert (only.rule_type, only.path) == ("cookie", "$.OR[0].AND[0].OR_WHEN[0]")
    assert repr(only) == "Condition('a' not equals '1')"


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        ({"a": 1}, {"a": 1}),
        (["x"], {"0": "x"}),
        (("x",), {"0": "x"}),
        (None, None),
        ("text", None),
        (5, None),
    ],
)
def test_what_rules_are_asked_about(data: object, seen: object) -> None:
    assert as_data(data) == seen


def test_matches_rule_set() -> None:
    rules = rule_set([[leaf("0", "exists")]])
    assert matches_rule_set(rules, ["x"]) is True
    assert matches_rule_set(rules, MappingProxyType({"0": 1})) is True
    assert matches_rule_set(rules, "x") is False
    assert matches_rule_set(None, {"0": 1}) is False


def test_the_first_exclusion_in_the_tree_is_found() -> None:
    first = {"rule_type": EXCLUSION, "value": 7, "matching": {"negated": "yes"}}
    second = {"rule_type": EXCLUSION, "value": "other"}
    assert first_exclusion(rule_set([[YES]], [[None, YES, first], [second]])) == ExclusionCondition("7", True)
    assert first_exclusion(rule_set([[second]])) == ExclusionCondition("other", False)
    assert first_exclusion(rule_set([[YES]])) is None
    assert first_exclusion(None) is None


@pytest.mark.parametrize("malformed", [{}, {"matching": None, "value": "x"}])
def test_excludes_sees_what_first_exclusion_finds(malformed: dict[str, object]) -> None:
    asking = rule_set([[YES]], [[NO, {**malformed, "rule_type": EXCLUSION}]])
    assert excludes(compile_rules(asking, "$", ignore)) is True
    assert first_exclusion(asking) is not None
    assert excludes(compile_rules(rule_set([[YES]]), "$", ignore)) is False


def test_a_conjunction_is_all_of_single_conditions() -> None:
    both = compile_rules(rule_set([[YES], [leaf("b", value="2")]]), "$", ignore)
    parts = conjunction(both)
    assert parts is not None
    assert [key for key, _ in parts] == ["a", "b"]
    assert [test(value) for (_, test), value in zip(parts, ["1", "3"], strict=True)] == [True, False]
    for other in (rule_set([[YES, NO]]), rule_set([[YES]], [[NO]]), None):
        assert conjunction(compile_rules(other, "$", ignore)) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["OR", "AND", "OR_WHEN", "key", "matching", "match_type", "negated", "value", "a"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(json_values, json_values)
def test_nothing_makes_rules_raise(rules: object, data: object) -> None:
    assert matches_rule_set(rules, data) in (True, False)
    assert first_exclusion(rules) is None or isinstance(first_exclusion(rules), ExclusionCondition)


@given(st.lists(st.lists(st.lists(st.booleans(), min_size=1), min_size=1), min_size=1))
def test_a_tree_of_verdicts_is_or_of_and_of_or(tree: list[list[list[bool]]]) -> None:
    rules = rule_set(*[[[YES if one else NO for one in group] for group in block] for block in tree])
    assert compiled(rules)[0] is any(all(any(group) for group in block) for block in tree)
