from __future__ import annotations

import pickle
from decimal import Decimal
from math import inf, isnan, nan
from types import MappingProxyType
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert_sdk._core.javascript import double, js_number, js_string, numeric, parse_float, truthy
from convert_sdk._core.values import MISSING


class Text(str):
    """An application's own kind of text."""

    __slots__ = ()

    def __str__(self) -> str:
        return "not this"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (None, "null"),
        (MISSING, "undefined"),
        (1.0, "1"),
        (-0.0, "0"),
        (0.5, "0.5"),
        (-12.25, "-12.25"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (-1.5e21, "-1.5e+21"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (1.234e-7, "1.234e-7"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (123456789012345678901, "123456789012345680000"),
        (2**53 + 1, "9007199254740992"),
        (10**400, "Infinity"),
        (-(10**400), "-Infinity"),
        (nan, "NaN"),
        (inf, "Infinity"),
        (-inf, "-Infinity"),
        (Decimal("49.90"), "49.9"),
        (Decimal("sNaN"), "NaN"),
        ("as it is", "as it is"),
        (Text("own"), "own"),
        ([], ""),
        ([1, [2, [None, []]], [], {}], "1,2,,,,[object Object]"),
        (("a", None), "a,"),
        ({"a": 1}, "[object Object]"),
        (MappingProxyType({}), "[object Object]"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_text_is_what_javascript_writes(value: object, text: str) -> None:
    assert js_string(value) == text
    assert type(js_string(value)) is str


def test_a_list_inside_itself_and_a_very_deep_one_have_a_text() -> None:
    around: list[object] = ["a"]
    around.append(around)
    assert js_string(around) == "a,"
    deep: list[object] = ["x"]
    for _ in range(5_000):
        deep = [deep]
    assert js_string(deep) == "x"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_text_of_a_number_reads_as_that_number(number: float) -> None:
    assert float(js_string(number)) == number


@pytest.mark.parametrize("value", [None, False, 0, -0.0, nan, "", MISSING, Decimal(0), Decimal("NaN")])
def test_javascript_holds_these_for_false(value: object) -> None:
    assert truthy(value) is False


@pytest.mark.parametrize("value", [True, 1, -0.1, inf, " ", "0", [], {}, Decimal(1)])
def test_javascript_holds_these_for_true(value: object) -> None:
    assert truthy(value) is True


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (True, 1.0),
        (None, 0.0),
        ("", 0.0),
        (" \ufeff12\n", 12.0),
        ("0x1F", 31.0),
        ("0b11", 3.0),
        ("0o17", 15.0),
        ("0x" + "f" * 300, inf),
        ("-Infinity", -inf),
        (".5e1", 5.0),
        ("5.", 5.0),
        ([], 0.0),
        (["7"], 7.0),
        (3, 3.0),
        (10**400, inf),
    ],
)
def test_number_of(value: object, number: float) -> None:
    assert js_number(value) == number


@pytest.mark.parametrize("value", [MISSING, {}, "12a", "1,5", "-0x1", "inf", "nan", "١", [1, 2], "\x1c1"])
def test_no_number(value: object) -> None:
    assert isnan(js_number(value))


def test_double_of_numbers_beyond_the_range() -> None:
    assert (double(10**400), double(-(10**400)), double(2**53 + 1)) == (inf, -inf, 2.0**53)
    assert isnan(double(Decimal("sNaN")))


@pytest.mark.parametrize(
    ("text", "number"),
    [("1,5", 1.0), ("1.5.2", 1.5), (" \u00a0-3e2x", -300.0), ("1e", 1.0), ("-Infinityx", -inf)],
)
def test_parse_float_takes_the_longest_number_in_front(text: str, number: float) -> None:
    assert parse_float(text) == number


def test_parse_float_of_no_number() -> None:
    assert isnan(parse_float("x1"))


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("1,234,567.89", 1234567.89),
        ("0,500", 0.5),
        ("0,500,000", 0.5),
        ("-0,500", -500.0),
        ("00,500", 500.0),
        ("-.5", -0.5),
        ("007", 7.0),
        (5, 5.0),
        (0.5, 0.5),
        (Decimal("2.5"), 2.5),
    ],
)
def test_numeric(value: object, number: float) -> None:
    assert numeric(value) == number


@pytest.mark.parametrize(
    "value",
    [
        "",
        "1,00",
        "0,5",
        "5.",
        "1e3",
        " 5",
        "5\n",
        "+5",
        "0x1",
        "１",
        "-",
        "9" * 400,
        inf,
        nan,
        True,
        None,
        [],
    ],
)
def test_not_numeric(value: object) -> None:
    assert numeric(value) is None


def test_missing_is_one_false_thing() -> None:
    assert not MISSING
    assert repr(MISSING) == "MISSING"
    assert pickle.loads(pickle.dumps(MISSING)) is MISSING  # noqa: S301  # our own bytes
