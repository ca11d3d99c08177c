"""Lenient reading of JSON values of any type: what does not fit is reported and left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from convert_sdk._core.codes import Code
from convert_sdk._core.javascript import js_string, truthy
from convert_sdk._core.problem import Report

Json = Mapping[str, object]


def kind(value: object) -> str:
    """The JSON type of a value, in words for a message."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "an object"


def kind_of(mapping: Json, key: str) -> str:
    """As `kind`, of an entry that may be missing."""
    return kind(mapping[key]) if key in mapping else "nothing"


def as_id(value: object) -> str:
    """An id or key as text; "" for what cannot be one, which the number 0 is not."""
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and truthy(value):
        return js_string(value)
    return ""


def as_text(value: object) -> str:
    """Text as it is; "" for anything else."""
    return value if isinstance(value, str) else ""


def as_object(value: object, path: str, report: Report) -> Json:
    """An object as it is; an empty one for null, and for anything else, which is reported."""
    if isinstance(value, dict):
        return value
    if value is not None:
        report(path, f"expected an object, found {kind(value)}; it is ignored", Code.WRONG_TYPE)
    return {}


def as_list(value: object, path: str, report: Report) -> list[object]:
    """A list as it is; an empty one for null, and for anything else, which is reported."""
    if isinstance(value, list):
        return value
    if value is not None:
        report(path, f"expected a list, found {kind(value)}; it is ignored", Code.WRONG_TYPE)
    return []


def objects(value: object, path: str, report: Report) -> Iterator[tuple[str, Json]]:
    """The objects of a list, each with its path; other items are reported and left out."""
    for position, item in enumerate(as_list(value, path, report)):
        if isinstance(item, dict):
            yield f"{path}[{position}]", item
        else:
            report(
                f"{path}[{position}]",
                f"expected an object, found {kind(item)}; it is left out",
                Code.WRONG_TYPE,
            )


def ids(value: object, path: str, report: Report) -> list[str]:
    """The ids of a list as text; other items are reported and left out."""
    found: list[str] = []
    for position, item in enumerate(as_list(value, path, report)):
        text = as_id(item)
        if text:
            found.append(text)
        else:
            report(
                f"{path}[{position}]",
                f"expected an id, found {kind(item)}; it names nothing",
                Code.WRONG_TYPE,
            )
    return found
