from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert_sdk._core.casting import UNCASTABLE, cast


@pytest.mark.parametrize(
    ("type_name", "value", "result"),
    [
        ("boolean", "true", True),
        ("boolean", "false", False),
        ("boolean", "TRUE", True),
        ("boolean", "0", True),
        ("boolean", [], True),
        ("boolean", "", False),
        ("boolean", None, False),
        ("integer", True, 1),
        ("integer", False, 0),
        ("integer", "12abc", 12),
        ("integer", "1e3", 1),
        ("integer", 5.9, 5),
        ("integer", 1e21, 1),
        ("integer", "\ufeff -0x1f!", -31),
        ("integer", "123456789012345678901", 1.2345678901234568e20),
        ("integer", "0x" + "f" * 300, inf),
        ("float", True, 1.0),
        ("float", "1,5", 1.0),
        ("float", "1.5.2", 1.5),
        ("float", 3, 3.0),
        ("float", "1e400", inf),
        ("string", 1.0, "1"),
        ("string", None, "null"),
        ("json", None, None),
        ("json", {"a": [1]}, {"a": [1]}),
        ("json", [1], [1]),
        ("json", '{"a": [1, 2.5, null]}', {"a": [1, 2.5, None]}),
        ("json", "NaN", "NaN"),
        ("json", "{'a': 1}", "{'a': 1}"),
        ("json", True, True),
        ("json", 5, 5),
        ("json", "12345678901234567890", 1.2345678901234567e19),
        ("json", "9" * 5000, inf),
        ("json", "[" * 100_000, "[" * 100_000),
        ("Boolean", "true", "true"),
        ("", 5, 5),
    ],
)
def test_cast(type_name: str, value: object, result: object) -> None:
    found = cast(value, type_name)
    assert found == result
    assert type(found) is type(result)


@pytest.mark.parametrize(
    ("type_name", "value"),
    [("integer", ""), ("integer", "x1"), ("integer", "0x"), ("float", {}), ("float", "abc")],
)
def test_what_has_no_form_in_the_type_is_uncastable(type_name: str, value: object) -> None:
    assert cast(value, type_name) is UNCASTABLE
    assert repr(UNCASTABLE) == "UNCASTABLE"


def test_structures_are_handed_on_not_copied() -> None:
    value = {"a": [1]}
    assert cast(value, "json") is value


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(json_values, st.sampled_from(["boolean", "integer", "float", "string", "json", "else"]))
def test_no_value_makes_casting_raise(value: object, type_name: str) -> None:
    types: dict[str, type | tuple[type, ...]] = {
        "boolean": bool,
        "integer": (int, float),
        "float": float,
        "string": str,
    }
    expected = types.get(type_name, object)
    result = cast(value, type_name)
    assert result is UNCASTABLE or isinstance(result, expected)
