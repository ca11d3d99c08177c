"""The tracking request as the API defines it, and what is wrong with one that is not."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Annotated, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    StrictBool,
    ValidationError,
    ValidationInfo,
)
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails, PydanticCustomError

from convert_sdk._config.json import json_path, read_json
from convert_sdk._config.schema.values import kind
from convert_sdk.errors import DocumentError

LARGEST = 10**15
"""Beyond it no number is an amount, a count or an id that anybody means."""
_LONGEST_NUMBER = 100
"""Characters of the text of one."""


def _unexpected(expected: str, value: object) -> PydanticCustomError:
    context = {"expected": expected, "found": "empty text" if value == "" else kind(value)}
    return PydanticCustomError("unexpected", "expected {expected}, found {found}", context)


def _id(value: object) -> str:
    if isinstance(value, str) and value:
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= LARGEST:
        return str(int(value)) if value == int(value) else str(value)
    raise _unexpected("an id", value)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise _unexpected("text", value)


def _texts(value: object) -> list[str]:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise _unexpected("a list of texts", value)


def _metric(value: object, info: ValidationInfo) -> object:
    if isinstance(value, float) and not isfinite(value):
        raise _unexpected("a finite number", value)
    if isinstance(value, str) and info.data.get("key") in ("amount", "productsCount"):
        return _addable(value)
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _small(value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise _unexpected("a number or text", value)


def _addable(text: str) -> str:
    """The text of a figure; one that is no number adds nothing, one that is must not take hours to add."""
    try:
        number = float(text[:_LONGEST_NUMBER])
    except ValueError:
        return text
    if len(text) > _LONGEST_NUMBER:
        raise _unexpected(f"a number of at most {_LONGEST_NUMBER} characters", text)
    _small(number)
    return text


def _small(number: float) -> float:
    if not abs(number) <= LARGEST:
        raise _unexpected(f"a number of at most {LARGEST}", number)
    return number


Id = Annotated[str, PlainValidator(_id)]
Text = Annotated[str, PlainValidator(_text)]
TextList = Annotated[list[str], PlainValidator(_texts)]
Metric = Annotated[object, PlainValidator(_metric)]
# Every list is left at its first mistake: only that one is told, and a million of them would take gigabytes.
FIRST_MISTAKE = Field(fail_fast=True)
MetricName = Literal[
    "amount",
    "productsCount",
    "transactionId",
    "customDimension1",
    "customDimension2",
    "customDimension3",
    "customDimension4",
    "customDimension5",
]


class _Part(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(alias_generator=to_camel, extra="allow", frozen=True)


class ExposureData(_Part):
    """The data of an exposure."""

    experience_id: Id
    variation_id: Id


class GoalDatum(_Part):
    """One figure of a conversion."""

    key: MetricName
    value: Metric


class ConversionData(_Part):
    """The data of a conversion."""

    goal_id: Id
    goal_data: Annotated[tuple[GoalDatum, ...], FIRST_MISTAKE] | None = None
    bucketing_data: Mapping[Text, Id] | None = None


class ExposureEvent(_Part):
    """A variation was shown."""

    event_type: Literal["bucketing"]
    data: ExposureData


class ConversionEvent(_Part):
    """A goal was reached."""

    event_type: Literal["conversion"]
    data: ConversionData


class Segments(_Part):
    """The segments that the API knows by name; any other is kept as it came."""

    browser: Text | None = None
    devices: TextList | None = None
    source: Text | None = None
    campaign: Text | None = None
    visitor_type: Text | None = None
    country: Text | None = None
    custom_segments: Annotated[tuple[Id, ...], FIRST_MISTAKE] | None = None


TrackedEvent = Annotated[ExposureEvent | ConversionEvent, Field(discriminator="event_type")]


class TrackedVisitor(_Part):
    """One visitor and what they did."""

    visitor_id: Id
    events: Annotated[tuple[TrackedEvent, ...], FIRST_MISTAKE]
    segments: Segments | None = None


class TrackingRequest(_Part):
    """The body of one tracking request."""

    visitors: Annotated[tuple[TrackedVisitor, ...], FIRST_MISTAKE]
    account_id: Id | None = None
    project_id: Id | None = None
    enrich_data: StrictBool | None = None
    source: Text | None = None


_EXPECTED = {
    "missing": "a value",
    "tuple_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "union_tag_invalid": "bucketing or conversion",
    "union_tag_not_found": "bucketing or conversion",
}
_KINDS_OF_EVENT = ("bucketing", "conversion")


def read_tracking(body: bytes) -> TrackingRequest:
    """The events in one tracking request's body.

    Raises `DocumentError` that names the JSON path of the first thing wrong.
    """
    value = read_json(body)
    if not isinstance(value, dict):
        raise DocumentError("$", "an object", kind(value))
    try:
        return TrackingRequest.model_validate(value)
    except ValidationError as error:
        raise _refusal(error.errors(include_url=False)[0]) from None


def _refusal(wrong: ErrorDetails) -> DocumentError:
    context = wrong.get("ctx", {})
    place = wrong["loc"]
    if place[4:5] and place[4] in _KINDS_OF_EVENT:  # a step of the models, not of the document
        place = (*place[:4], *place[5:])
    found = context.get("found", kind(wrong["input"]))
    if wrong["type"] == "missing":
        found = "nothing"
    elif wrong["type"] == "literal_error":
        found = repr(wrong["input"])[:40]
    elif wrong["type"].startswith("union_tag"):
        place = (*place, to_camel("event_type"))
        found = context.get("tag", "nothing")
    expected = _EXPECTED.get(wrong["type"]) or context.get("expected", wrong["msg"])
    return DocumentError(json_path(place), str(expected), str(found))
