from __future__ import annotations

import gzip
import json
from contextlib import suppress
from math import inf, isnan
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert_sdk._config.json import MAX_DEPTH, json_path, read_json
from convert_sdk.errors import DocumentError

EXAMPLE = (Path(__file__).parents[2] / "fixtures" / "serving_document.json").read_bytes()


def refusal(body: bytes) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        read_json(body)
    assert caught.value.path == "$"
    return caught.value


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"", "an empty body"),
        (b" \n\t", "an empty body"),
        (b"\xef\xbb\xbf", "an empty body"),
        (b"\n<!DOCTYPE html><html></html>", "an HTML page"),
        (b"nonsense", "no value at byte 1"),
        (b"{} {}", "trailing characters at byte 3"),
        (b'{\n "a": x}', "no value at byte 8"),
        (b'{"a": [1, 2', "a truncated document (EOF while parsing a list) at byte 10"),
        (b'{"a" 1}', "no `:` at byte 5"),
        (b'["\\ud800", ', "a truncated document (no value) at byte 11"),
        (b'["\\ud800 ', "a truncated document (Unterminated string) at byte 1"),
        (b'["\\ud800", x]', "no value at byte 11"),
        (b'["\xff"]', "invalid unicode code point at byte 2"),
        (b'["\\ud800", "\xff"]', "an invalid byte at byte 12"),
        ('{"a": 1}'.encode("utf-16"), "UTF-16"),
        ('{"a": 1}'.encode("utf-16-le"), "what looks like UTF-16"),
        ('{"a": 1}'.encode("utf-32"), "UTF-32"),
        ('{"a": 1}'.encode("utf-32-be"), "what looks like UTF-32"),
        (gzip.compress(b"{}", mtime=0), "gzip data that no Content-Encoding announces"),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(body: bytes, found: str) -> None:
    assert refusal(body).found.startswith(found)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'["\\ud800", ' + b"[" * 100_000,
        b'["\\ud800", ' + b"[" * 100_000 + b"]" * 100_001,
    ],
    ids=["lists", "objects", "closed", "half an emoji", "half an emoji, closed"],
)
def test_depth_is_bounded(body: bytes) -> None:
    assert refusal(body).expected == f"at most {MAX_DEPTH} levels"


@pytest.mark.parametrize("first", [b"1", b'"\\ud800"'], ids=["fast", "slow"])
def test_the_deepest_document_is_the_same_for_both_parsers(first: bytes) -> None:
    def nested(depth: int) -> bytes:
        return b"[" * depth + first + b"]" * depth

    assert isinstance(read_json(nested(MAX_DEPTH)), list)
    assert "nests deeper" in refusal(nested(MAX_DEPTH + 1)).found


def test_brackets_in_texts_are_no_depth() -> None:
    assert read_json(b'["\\ud800", "' + b"[" * 500 + b'\\"{{{"]') == ["\ud800", "[" * 500 + '"{{{']


def test_half_an_emoji_is_kept() -> None:
    assert read_json(b'{"\\udc00": "a\\ud800b"}') == {"\udc00": "a\ud800b"}


def test_a_byte_order_mark_is_no_error() -> None:
    assert read_json(b"\xef\xbb\xbf" + EXAMPLE) == json.loads(EXAMPLE)


def test_the_last_of_duplicate_keys_counts() -> None:
    assert read_json(b'{"a": 1, "a": 2}') == {"a": 2}


def test_numbers_that_are_not_finite_are_reported() -> None:
    problems: list[str] = []
    value: Any = read_json(
        b'{"a": [1, NaN, {"b c": 1e999}], "d": -Infinity}', lambda path, *_: problems.append(path)
    )
    assert problems == ["$.a[1]", '$.a[2]["b c"]', "$.d"]
    assert isnan(value["a"][1])
    assert value["d"] == -inf


def test_the_text_infinity_is_no_number() -> None:
    problems: list[str] = []
    read_json(b'["NaN", "Infinity", "\\ud800"]', lambda path, *_: problems.append(path))
    assert problems == []


@pytest.mark.parametrize("digits", ["9" * 100_000, "9" * 100_000 + ".5", "1e" + "9" * 10_000])
def test_endless_numbers_are_read_as_javascript_does(digits: str) -> None:
    problems: list[str] = []
    assert read_json(f"[-{digits}]".encode(), lambda path, *_: problems.append(path)) == [-inf]
    assert problems == ["$[0]"]


def test_long_integers_are_exact() -> None:
    assert read_json(b"[" + b"9" * 4000 + b"]") == [10**4000 - 1]


def test_json_path() -> None:
    assert json_path(["a", 0, "b-c", 'quote"', "2x", "é"]) == '$.a[0]["b-c"]["quote\\""]["2x"]["\\u00e9"]'


BITS = [b'"\\ud800"', b"NaN", b"1e999", b"[" * 300, b"\x00", b'"']


@given(st.binary())
def test_any_bytes_are_a_value_or_a_document_error(body: bytes) -> None:
    assert_read_or_refused(body)


@given(st.data())
def test_any_mutant_is_a_value_or_a_document_error(data: st.DataObject) -> None:
    body = bytearray(EXAMPLE)
    for _ in range(data.draw(st.integers(1, 5))):
        start = data.draw(st.integers(0, len(body)))
        length = data.draw(st.integers(0, 40))
        bits = st.binary(max_size=6) | st.sampled_from(
            [b'"\\ud800"', b"NaN", b"1e999", b"[" * 300, b"\x00", b'"']
        )
        body[start : start + length] = data.draw(bits)
    assert_read_or_refused(bytes(body))


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(), st.lists)
)
def test_what_json_writes_is_read(value: object) -> None:
    assert read_json(json.dumps(value).encode()) == value


def assert_read_or_refused(body: bytes) -> None:
    problems: list[str] = []
    with suppress(DocumentError):
        read_json(body, lambda path, *_: problems.append(path))
    assert all(path.startswith("$") for path in problems)
