from __future__ import annotations

import pytest

from convert_sdk._config.coerce import as_id, as_list, as_object, as_text, ids, kind, objects
from convert_sdk._core.problem import Report


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def report(told: list[str]) -> Report:
    return lambda path, message, _: told.append(f"{path}: {message}")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"),
        (True, "a boolean"),
        (1, "a number"),
        (1.5, "a number"),
        ("", "text"),
        ([], "a list"),
        ({}, "an object"),
    ],
)
def test_values_are_called_as_json_calls_them(value: object, words: str) -> None:
    assert kind(value) == words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("51", "51"),
        (51, "51"),
        (51.0, "51"),
        (1e21, "1e+21"),
        (True, ""),
        (None, ""),
        ([], ""),
        (0, ""),
        (0.0, ""),
    ],
)
def test_an_id_is_text(value: object, text: str) -> None:
    assert as_id(value) == text


@pytest.mark.parametrize(("value", "text"), [("a", "a"), (5, ""), (None, "")])
def test_a_name_is_text_or_empty(value: object, text: str) -> None:
    assert as_text(value) == text


def test_an_object_is_an_object(told: list[str], report: Report) -> None:
    assert [as_object({"a": 1}, "$", report), as_object(None, "$", report), told] == [{"a": 1}, {}, []]
    assert as_object([], "$", report) == {}
    assert told == ["$: expected an object, found a list; it is ignored"]


def test_a_list_is_a_list(told: list[str], report: Report) -> None:
    assert [as_list([1], "$", report), as_list(None, "$", report), told] == [[1], [], []]
    assert as_list({}, "$", report) == []
    assert told == ["$: expected a list, found an object; it is ignored"]


def test_objects_keep_their_paths(told: list[str], report: Report) -> None:
    assert list(objects([{"a": 1}, None, {}], "$.x", report)) == [("$.x[0]", {"a": 1}), ("$.x[2]", {})]
    assert told == ["$.x[1]: expected an object, found null; it is left out"]


def test_ids_are_text_in_their_order(told: list[str], report: Report) -> None:
    assert ids(["b", 1, None, ""], "$.x", report) == ["b", "1"]
    assert told == [
        "$.x[2]: expected an id, found null; it names nothing",
        "$.x[3]: expected an id, found text; it names nothing",
    ]
