"""The tracking request as the API defines it, and what is wrong with one that is not."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails, PydanticCustomError

from convert_sdk._config.json import json_path, read_json
from convert_sdk._config.schema.values import kind
from convert_sdk.errors import DocumentError


def _unexpected(expected: str, value: object) -> PydanticCustomError:
    context = {"expected": expected, "found": "empty text" if value == "" else kind(value)}
    return PydanticCustomError("unexpected", "expected {expected}, found {found}", context)


def _id(value: object) -> str:
    if isinstance(value, str) and value:
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value):
        return str(int(value)) if value == int(value) else str(value)
    raise _unexpected("an id", value)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise _unexpected("text", value)


def _devices(value: object) -> object:
    if isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value)):
        return value
    raise _unexpected("a list of texts", value)


def _metric(value: object) -> object:
    if isinstance(value, float) and not isfinite(value):
        raise _unexpected("a finite number", value)
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise _unexpected("a number or text", value)


Id = Annotated[str, PlainValidator(_id)]
Text = Annotated[str, PlainValidator(_text)]
TextList = Annotated[object, PlainValidator(_devices)]
Metric = Annotated[object, PlainValidator(_metric)]
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
    """Which variation was shown."""

    experience_id: Id
    variation_id: Id


class GoalDatum(_Part):
    """One figure of a conversion."""

    key: MetricName
    value: Metric


class ConversionData(_Part):
    """Which goal, with what, and what the visitor had been shown."""

    goal_id: Id
    goal_data: tuple[GoalDatum, ...] | None = None
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
    custom_segments: tuple[Id, ...] | None = None


TrackedEvent = Annotated[ExposureEvent | ConversionEvent, Field(discriminator="event_type")]


class TrackedVisitor(_Part):
    """One visitor and what they did."""

    visitor_id: Id
    events: tuple[TrackedEvent, ...]
    segments: Segments | None = None


class TrackingRequest(_Part):
    """The body of one tracking request."""

    visitors: tuple[TrackedVisitor, ...]
    account_id: Id | None = None
    project_id: Id | None = None
    enrich_data: bool | None = None
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
