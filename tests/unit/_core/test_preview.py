from __future__ import annotations

from typing import Any

import pytest

from convert_sdk import parse_preview


@pytest.mark.parametrize(
    ("text", "ids"), [("123.456", ("123", "456")), ("01.02", ("01", "02")), ("0.0", ("0", "0"))]
)
def test_two_numbers_and_a_dot(text: str, ids: tuple[str, str]) -> None:
    assert parse_preview(text) == ids


@pytest.mark.parametrize(
    "text",
    ["", ".", "1", "1.", ".1", "1.2.3", "1..2", " 1.2", "1.2\n", "-1.2", "1,2", "a.1", "１.2", "1.٣", "1.²"],
)
def test_anything_else_is_none(text: str) -> None:
    assert parse_preview(text) is None


@pytest.mark.parametrize("missing", [None, 1.2, ["1.2"]])
def test_what_is_no_text_is_none(missing: Any) -> None:
    assert parse_preview(missing) is None
