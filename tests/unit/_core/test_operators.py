from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert_sdk._core.js_regex.pattern import InvalidPattern
from convert_sdk._core.operators import OPERATORS, VALUELESS, Test, always, compile_test, never
from convert_sdk._core.values import MISSING


def compiled(match_type: str, comparand: object, negated: bool = False) -> Test:
    test = compile_test(match_type, comparand, negated)
    assert test is not None
    return test


@pytest.mark.parametrize(
    ("match_type", "value", "comparand", "verdict"),
    [
        ("equals", "US", "us", True),
        ("equals", "Straße", "STRASSE", False),
        ("equals", "1.0", 1, False),
        ("equals", 1.0, "1", True),
        ("equals", None, "null", True),
        ("equals", {}, "[object Object]", True),
        ("equals", {"us": 1}, "us", True),
        ("equals", {"US": 1}, "us", False),
        ("equals", ["us"], "us", True),
        ("equals", ["US"], "us", False),
        ("equals", [1], "1", False),
        ("equals", [1], 1.0, True),
        ("equals", [2**53 + 1], 2.0**53, True),
        ("equals", [True], 1, False),
        ("equals", [1], True, False),
        ("equals", [None], None, True),
        ("equals", [None], 0, False),
        ("equals", [0], None, False),
        ("equals", [[1]], [1], False),
        ("equals", [], "", False),
        ("equalsNumber", 5, "5", True),
        ("matches", "A", "a", True),
        ("less", 1, 2, True),
        ("less", 2, 2, False),
        ("less", 2**53, 2**53 + 1, False),
        ("less", "1,000", 1001, True),
        ("less", "a", "b", True),
        ("less", "\U0001f600", "\uffff", True),
        ("less", False, True, True),
        ("less", None, [5], True),
        ("less", ["a"], ["b"], True),
        ("less", None, {}, False),
        ("less", nan, 5, False),
        ("less", inf, inf, False),
        ("lessEqual", inf, inf, True),
        ("lessEqual", 2, 2, True),
        ("lessEqual", None, None, True),
        ("lessEqual", "A", "a", True),
        ("contains", "Hello", "ELL", True),
        ("contains", [1, 2], "1,2", True),
        ("contains", "anything", " \u3000", True),
        ("contains", "anything", "\u0085", False),
        ("isIn", "us", "US|CA", True),
        ("isIn", "US", "US|CA", False),
        ("isIn", "x|ca", "us|ca", True),
        ("isIn", 1, [1, 2], True),
        ("isIn", 5, 5, False),
        ("startsWith", "/Shop/1", "/shop", True),
        ("startsWith", 12, 1, True),
        ("startsWith", "x", "", True),
        ("endsWith", "a.PNG", ".png", True),
        ("endsWith", 12, 2, True),
        ("regexMatches", "/Product/7", r"^/product/\d$", True),
        ("regexMatches", 17, "^1", True),
        ("exists", 0, None, True),
        ("exists", [], None, True),
        ("exists", "", None, False),
        ("exists", None, None, False),
        ("not_exists", "", None, True),
        ("doesNotExist", "x", None, False),
    ],
)
def test_verdict_and_its_negation(match_type: str, value: object, comparand: object, verdict: bool) -> None:
    assert compiled(match_type, comparand)(value) is verdict
    assert compiled(match_type, comparand, True)(value) is not verdict


@pytest.mark.parametrize(
    ("value", "comparand"), [("x", 1), (1, "x"), (True, 1), (None, 0), ([], ""), ("1e3", 5)]
)
@pytest.mark.parametrize("match_type", ["less", "lessEqual"])
@pytest.mark.parametrize("negated", [True, False])
def test_values_of_different_types_have_no_order_negated_or_not(
    match_type: str, negated: bool, value: object, comparand: object
) -> None:
    assert compiled(match_type, comparand, negated)(value) is False


@pytest.mark.parametrize("match_type", sorted(OPERATORS))
@pytest.mark.parametrize("negated", [True, False])
def test_a_missing_key_is_only_seen_by_existence_tests(match_type: str, negated: bool) -> None:
    expected = {"exists": negated, "doesNotExist": not negated}.get(match_type, False)
    assert compiled(match_type, "a", negated)(MISSING) is expected
    assert (match_type in VALUELESS) is (match_type in {"exists", "doesNotExist"})


def test_an_unknown_match_type_has_no_test() -> None:
    assert compile_test("Equals", "x", False) is None
    assert compile_test("_returnNegationCheck", "x", False) is None


def test_a_bad_pattern_is_said_when_compiling() -> None:
    with pytest.raises(InvalidPattern, match="missing \\)"):
        compile_test("regexMatches", "(", False)


def test_constant_tests() -> None:
    assert (always(MISSING), never("x")) == (True, False)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.sampled_from(sorted(OPERATORS.keys() - {"less", "lessEqual", "regexMatches"})),
    json_values,
    json_values,
)
def test_negation_inverts_for_any_value(match_type: str, comparand: object, value: object) -> None:
    claim_results = {compiled(match_type, comparand, negated)(value) for negated in (True, False)}
    assert claim_results == {True, False}


@given(json_values, json_values)
def test_less_implies_less_or_equal(value: object, comparand: object) -> None:
    assert compiled("less", comparand)(value) <= compiled("lessEqual", comparand)(value)
