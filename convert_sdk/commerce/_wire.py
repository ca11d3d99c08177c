"""What a store's JSON means in Python, and what Python values become on its wire."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Self, TypeAlias, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PlainValidator,
    PrivateAttr,
    model_validator,
)
from pydantic.alias_generators import to_camel

T = TypeVar("T")
Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
Id: TypeAlias = int | str
Time: TypeAlias = int | datetime

_MOST_DIGITS = 18


class StoreRecord(BaseModel):
    """One frozen record of a store; `raw` is the JSON object it was read from, unknown keys included.

    Its `repr` leaves out everything that names a person or opens a door.
    """

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, populate_by_name=True, coerce_numbers_to_str=True
    )
    _raw: Mapping[str, object] = PrivateAttr(default_factory=dict)

    @property
    def raw(self) -> Mapping[str, object]:
        """The JSON object as it came, money as `Decimal`."""
        return self._raw

    def __repr_args__(self) -> Iterator[tuple[str | None, object]]:
        return (each for each in super().__repr_args__() if each[1] not in (None, ()))

    @model_validator(mode="wrap")
    @classmethod
    def _keep_raw(cls, data: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if data in ([], ""):  # how some back ends spell an empty object
            data = {}
        record = handler(data)
        if isinstance(data, Mapping):
            record._raw = dict(data)
        return record


def _moment(value: object) -> datetime | None:
    """None, "", 0 and the years 0 and 1 mean "not yet"; Unix seconds and RFC 3339 become aware UTC."""
    if isinstance(value, datetime):
        return _aware(value).astimezone(UTC)
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if not value or (isinstance(value, str) and value.startswith(("0001-01-01", "0000-00-00"))):
        return None
    try:
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            return datetime.fromtimestamp(float(value), UTC)
        if isinstance(value, str):
            read = datetime.fromisoformat(value)
            return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise ValueError("expected Unix seconds or an RFC 3339 time")


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list):
        return ", ".join(_text(each) or "" for each in value)
    return str(value) if isinstance(value, Decimal) else json.dumps(value, default=str)


def _quantity(value: object) -> int | Decimal | None:
    """A whole number as int, however it is spelt; what is sold by weight or length has a fraction."""
    if value in (None, ""):
        return None
    try:
        number = Decimal("NaN" if isinstance(value, bool) else str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number.adjusted() > _MOST_DIGITS:
        raise ValueError("expected a number of pieces")
    return int(number) if number == number.to_integral_value() else number


def _items(value: object) -> object:
    """An array without its holes; back ends that cannot tell them apart spell an empty one as an object."""
    if isinstance(value, list):
        return [each for each in value if each is not None]
    return () if value in (None, "", {}) else value


Moment = Annotated[datetime | None, BeforeValidator(_moment)]
Text = Annotated[str | None, BeforeValidator(_text)]
Personal = Annotated[str | None, BeforeValidator(_text), Field(repr=False)]
Flag = Annotated[bool | None, BeforeValidator(lambda value: None if value == "" else value)]
Money = Annotated[Decimal | None, BeforeValidator(lambda value: None if value == "" else value)]
Count = Annotated[int | None, BeforeValidator(lambda value: None if value == "" else value)]
Quantity = Annotated[int | Decimal | None, PlainValidator(_quantity)]
MaybeId = Annotated[int | str | None, BeforeValidator(lambda value: value or None)]
Many = Annotated[tuple[T, ...], BeforeValidator(_items)]


def read_json(body: bytes) -> object:
    """The JSON in `body`, its fractions as `Decimal`; ValueError if it is none."""
    try:
        return json.loads(body, parse_float=Decimal, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None


def whole(payload: object) -> object:
    """The JSON of a whole answer: there an empty list or text is no spelling of an empty object."""
    return None if payload in ([], "") else payload


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def write_json(value: object) -> bytes:
    """Compact UTF-8 JSON of what `encode` gives."""
    return json.dumps(encode(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def encode(value: object) -> Json:
    """`value` as JSON: records by their wire names, money as a number, times as RFC 3339."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, StoreRecord):
        return _encode_record(value)
    if isinstance(value, Mapping):
        return {str(key): encode(each) for key, each in value.items()}
    if isinstance(value, Sequence | frozenset) and not isinstance(value, bytes):
        return [encode(each) for each in value]
    raise TypeError(f"{type(value).__name__} has no JSON form here")


def _encode_record(record: StoreRecord) -> Json:
    given = {
        info.serialization_alias or info.alias or name: getattr(record, name)
        for name, info in type(record).model_fields.items()
        if name in record.model_fields_set
    }
    return {key: encode(each) for key, each in given.items() if each is not None}


def _number(value: Decimal) -> int | float:
    if not value.is_finite():
        raise ValueError("an amount must be a finite number")
    if value == value.to_integral_value():
        return int(value)
    number = float(value)
    if Decimal(repr(number)) != value:
        raise ValueError("an amount has more digits than a JSON number carries")
    return number


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a naive datetime could mean any time zone: give it one, e.g. tzinfo=UTC")
    return value


def unix_seconds(value: Time) -> int:
    """Unix seconds of an aware datetime (rounded down) or of an int, which they already are."""
    if isinstance(value, datetime):
        return int(_aware(value).timestamp() // 1)
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"a time is an aware datetime or Unix seconds, not {type(value).__name__}")
    return value


def rfc3339(value: Time) -> str:
    """`2026-05-26T12:00:00.000Z`: UTC with milliseconds, of an aware datetime or of Unix seconds.

    ValueError for a naive datetime.
    """
    moment = value if isinstance(value, datetime) else datetime.fromtimestamp(unix_seconds(value), UTC)
    return _aware(moment).astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def fields_of(given: Mapping[str, object], allowed: type, *, clearing: bool) -> dict[str, object]:
    """`given` keyword fields under their wire names.

    TypeError for a name `allowed` (a TypedDict) does not have, ValueError for None, and for an empty
    value unless `clearing` is possible.
    """
    known = allowed.__annotations__
    for name, value in given.items():
        if name not in known:
            raise TypeError(f"unknown field {name!r}; known are {', '.join(sorted(known))}")
        if value is None:
            raise ValueError(f"{name}=None says nothing: leave the field out")
        if not clearing and not isinstance(value, bool | int | Decimal | float) and not value:
            raise ValueError(f"{name} is empty: an update sets only non-empty fields, it cannot clear one")
    return {to_camel(name): value for name, value in given.items()}


def required(**fields: object) -> None:
    """ValueError for a required text that is missing or blank."""
    for name, value in fields.items():
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"{name} is required and must not be blank")


def within(name: str, value: object, least: int, most: int | None = None) -> None:
    """ValueError for a number outside its bounds, TypeError for what is no whole number."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is an int, not {type(value).__name__}")
    if value < least or (most is not None and value > most):
        expected = f"{least} or more" if most is None else f"{least} to {most}"
        raise ValueError(f"{name}={value}: expected {expected}")
