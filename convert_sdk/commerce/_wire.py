"""The JSON of a store as Python values, and Python values as its JSON.

Two ways lead to a record. One that an application makes is checked: what does not fit raises. One that is
`read` from a store must not fail for a field that nobody needs: such a field is left out, `unreadable` names
it, and `raw` keeps it as it came. What can only mean one thing is understood, however it is spelt.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Annotated, Self, TypeAlias, TypeVar

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PlainValidator,
    PrivateAttr,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

from convert_sdk.commerce._json import LONGEST_NUMBER, REPLACED, Answer

T = TypeVar("T")
Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
Id: TypeAlias = int | str
Time: TypeAlias = int | datetime

_MOST_DIGITS = 18
_MOST_PLACES = 60
"""More than any amount has whose store writes a binary fraction out to its end."""
_MILLISECONDS = 100_000_000_000
"""From here on a number of seconds would lie beyond the year 5000: it counts milliseconds."""
_READING: Mapping[str, bool] = {"reading": True}
_LONGEST_ID = 255
_PLAIN = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d{1,3})?")
_SPACED = re.compile(r"[+-]?\d{1,3}(?P<gap>[ \u00a0\u2009\u202f'\u2019])\d{3}((?P=gap)\d{3})*([.,]\d{1,2})?")
_GAPS = re.compile(r"[ \u00a0\u2009\u202f'\u2019]")
_SECONDS = re.compile(r"\d+(\.\d+)?")
_GROUPED = re.compile(r"[+-]?\d{1,3}((,\d{3})+\.\d+|(,\d{3}){2,})")
_COMMA = re.compile(r"[+-]?((\d+|\d{1,3}(\.\d{3})+),\d{1,2}|\d{1,3}(\.\d{3}){2,})")
_MAIL_DATE = re.compile(r"([A-Za-z]{3}, *)?\d{1,2} [A-Za-z]{3} \d{4} .*")
_BARE_DATES = {8: "%Y%m%d", 14: "%Y%m%d%H%M%S"}
"""Dates without separators, by their number of digits: as a number of seconds they would lie in 1970, or in 2600."""


class StoreRecord(BaseModel):
    """One frozen record of a store.

    Its `repr` leaves out everything that names a person or opens a door.
    """

    __slots__ = ("_answer",)  # not a private attribute of pydantic's, which would count when two are compared
    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        coerce_numbers_to_str=True,
        use_attribute_docstrings=True,
    )
    _raw: Mapping[str, object] = PrivateAttr(default_factory=dict)
    _unreadable: tuple[str, ...] = PrivateAttr(default=())

    @property
    def raw(self) -> Mapping[str, object]:
        """The JSON object as it came, unknown keys included, money as `Decimal`."""
        return self._raw

    @property
    def unreadable(self) -> tuple[str, ...]:
        """The places of what could not be read and was left out, such as `items[2].weight`."""
        return (*self._unreadable, *_inside(self))

    @property
    def last_response(self) -> Answer | None:
        """The answer that this record was the whole of; None for one from a list or inside another."""
        found: Answer | None = getattr(self, "_answer", None)
        return found

    def to_dict(self) -> dict[str, Json]:
        """The record as a JSON object by the names of the API, unknown keys included.

        Amounts are numbers, or texts where a JSON number would lose a digit; times are RFC 3339.
        """
        return {name: _plain(value) for name, value in _given(self).items()}

    def to_json(self) -> str:
        """The same as a JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def __repr_args__(self) -> Iterator[tuple[str | None, object]]:
        return (each for each in super().__repr_args__() if each[1] not in (None, ()))

    @model_validator(mode="wrap")
    @classmethod
    def _keep_raw(cls, data: object, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        if data in ([], ""):  # how some back ends spell an empty object
            data = {}
        if not isinstance(data, Mapping):
            return handler(data)
        kept, unreadable = dict(data), []
        while True:
            try:
                record = handler(kept)
                break
            except ValidationError as error:
                odd = (
                    _spelt({str(each["loc"][0]) for each in error.errors() if each["loc"]}, cls) & kept.keys()
                )
                if not (info.context and info.context.get("reading")) or not odd:
                    raise
                unreadable += sorted(odd)
                kept = {name: value for name, value in kept.items() if name not in odd}
        record._raw, record._unreadable = dict(data), tuple(unreadable)
        return record


def _spelt(places: set[str], model: type[BaseModel]) -> set[str]:
    """The keys that may stand for the fields at these places."""
    spellings = [{*_spellings(name, info)} for name, info in model.model_fields.items()]
    return places.union(*(each for each in spellings if each & places))


def _inside(record: StoreRecord) -> Iterator[str]:
    for name, info in type(record).model_fields.items():
        value = getattr(record, name)
        parts = [("", value)] if isinstance(value, StoreRecord) else []
        if isinstance(value, tuple):
            parts = [(f"[{at}]", each) for at, each in enumerate(value) if isinstance(each, StoreRecord)]
        for place, part in parts:
            yield from (f"{info.alias or name}{place}.{path}" for path in part.unreadable)


def _number_of(value: object) -> Decimal:
    """The number that a value can only mean. Raises ValueError for any other value.

    A text may be grouped by commas before a point, by points before a comma, by spaces or by apostrophes, and have
    a comma before one or two last digits.
    """
    if isinstance(value, str):
        text = value.strip()
        if _SPACED.fullmatch(text):
            text = _GAPS.sub("", text)
        if _GROUPED.fullmatch(text):
            text = text.replace(",", "")
        elif _COMMA.fullmatch(text):
            text = text.replace(".", "").replace(",", ".")
        value = text if _PLAIN.fullmatch(text) and len(text) <= LONGEST_NUMBER else "NaN"
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError("expected a number")
    if isinstance(value, int) and abs(value) > 10**_MOST_PLACES:
        raise ValueError("expected a number that a store can mean")
    number = value if isinstance(value, Decimal) else Decimal(str(value))
    if not number.is_finite():
        raise ValueError("expected a number")
    exponent = number.as_tuple().exponent
    if number and (number.adjusted() > _MOST_DIGITS or int(exponent) < -_MOST_PLACES):
        raise ValueError("expected a number that a store can mean")
    return number


def _moment(value: object) -> datetime | None:
    """None, "", 0 and the years 0 and 1 mean "not yet".

    Unix seconds or milliseconds, RFC 3339 and RFC 2822 become aware UTC.
    """
    if isinstance(value, datetime):
        return _aware(value).astimezone(UTC)
    if isinstance(value, str) and len(value) <= _MOST_DIGITS and _SECONDS.fullmatch(value):
        value = value if len(value) in _BARE_DATES else Decimal(value)
    if not value or (isinstance(value, str) and value.startswith(("0001-01-01", "0000-00-00"))):
        return None
    try:
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            seconds = float(value)
            return datetime.fromtimestamp(seconds / 1000 if seconds >= _MILLISECONDS else seconds, UTC)
        if isinstance(value, str):
            read = _date(value)
            return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError, OSError):
        pass
    raise ValueError("expected Unix seconds or an RFC 3339 time")


def _date(text: str) -> datetime:
    if text.isdecimal() and len(text) in _BARE_DATES:
        return datetime.strptime(text, _BARE_DATES[len(text)])  # noqa: DTZ007 - the caller says which zone
    return parsedate_to_datetime(text) if _MAIL_DATE.fullmatch(text) else datetime.fromisoformat(text)


def _text(value: object) -> str | None:
    try:
        return _as_text(value)
    except RecursionError:
        raise ValueError("expected a text") from None


def _as_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list):
        return ", ".join(_as_text(each) or "" for each in value)
    return str(value) if isinstance(value, Decimal) else json.dumps(value, default=str)


def _quantity(value: object) -> int | Decimal | None:
    """A whole number as int, however it is spelt; what is sold by weight or length has a fraction."""
    if value in (None, ""):
        return None
    try:
        number = _number_of(value)
    except ValueError:
        raise ValueError("expected a number of pieces") from None
    return int(number) if number == number.to_integral_value() else number


def _money(value: object) -> Decimal | None:
    return None if value in (None, "") else _number_of(value)


def _id(value: object) -> int | str | None:
    """An id as it came, 0 included; "" is none.

    No record can be asked for by blanks, by dots alone, or by a text as long as a page.
    """
    if value is None or value == "":
        return None
    if isinstance(value, Decimal) and value == value.to_integral_value() and value.adjusted() <= _MOST_DIGITS:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("expected an id: a number or a text")
    text = str(value).strip()
    if text in ("", ".", "..") or REPLACED in text or len(text) > _LONGEST_ID:
        raise ValueError("expected an id: a number or a text")
    return value


def _items(value: object) -> object:
    """An array without its holes.

    Back ends that cannot tell them apart spell an empty one as an object, and one with holes as an object of
    its positions.
    """
    if isinstance(value, Mapping) and value and all(str(each).isdecimal() for each in value):
        value = [value[each] for each in sorted(value, key=lambda each: (len(str(each)), str(each)))]
    if isinstance(value, list):
        return [each for each in value if each is not None]
    return () if value in (None, "", {}) else value


Moment = Annotated[datetime | None, BeforeValidator(_moment)]
Text = Annotated[str | None, BeforeValidator(_text)]
Personal = Annotated[str | None, BeforeValidator(_text), Field(repr=False)]
Flag = Annotated[bool | None, BeforeValidator(lambda value: None if value == "" else value)]
Money = Annotated[Decimal | None, PlainValidator(_money)]
Count = Annotated[int | None, BeforeValidator(lambda value: None if value == "" else value)]
Quantity = Annotated[int | Decimal | None, PlainValidator(_quantity)]
MaybeId = Annotated[int | str | None, PlainValidator(_id)]
Many = Annotated[tuple[T, ...], BeforeValidator(_items)]


def known(kind: type[StrEnum]) -> BeforeValidator:
    """A validator that reads a member of `kind` in any case, and keeps a text that it does not know in lower case."""

    def read_known(value: object) -> object:
        if not isinstance(value, str):
            return value
        text = value.lower()
        return kind(text) if text in set(kind) else text

    return BeforeValidator(read_known)


M = TypeVar("M", bound=BaseModel)


def read(model: type[M], payload: object) -> M:
    """A record from a store's JSON; a field that cannot be read is left out.

    Raises:
        pydantic.ValidationError: It is no object, or lacks what no record of its kind can be without.
    """
    return model.model_validate(payload, context=_READING)


def read_many(model: type[M], payload: object) -> tuple[tuple[M, ...], tuple[str, ...]]:
    """The records of a JSON array, and the places of those that cannot be read.

    Raises:
        pydantic.ValidationError: It is no array.
    """
    found: list[M] = []
    odd: list[str] = []
    for at, each in enumerate(_LIST.validate_python(payload)):
        try:
            found.append(read(model, each))
        except ValidationError:
            odd.append(f"[{at}]")
    return tuple(found), tuple(odd)


_LIST: TypeAdapter[tuple[object, ...]] = TypeAdapter(Many[object])


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
    return {key: encode(each) for key, each in _given(record).items() if each is not None}


def _given(record: StoreRecord) -> dict[str, object]:
    """The content of a record by the names of the API: its fields, and the keys that we have no field for."""
    fields = type(record).model_fields
    known_keys = {key for name, info in fields.items() for key in _spellings(name, info)}
    given: dict[str, object] = {
        info.serialization_alias or info.alias or name: getattr(record, name)
        for name, info in fields.items()
        if name in record.model_fields_set
    }
    others = {key for key in record.raw if key not in known_keys} | set(record._unreadable)
    return given | {key: record.raw[key] for key in record.raw if key in others and key not in given}


def _spellings(name: str, info: FieldInfo) -> tuple[str, ...]:
    other = info.validation_alias
    if isinstance(other, AliasChoices):
        return (name, *(each for each in other.choices if isinstance(each, str)))
    return (name, other) if isinstance(other, str) else (name,)


def exact(value: Decimal) -> int | float | str:
    """An amount as a number, or as a text where a JSON number would lose a digit."""
    try:
        return _number(value)
    except ValueError:
        return str(value)


def _plain(value: object) -> Json:
    if isinstance(value, Decimal):
        return exact(value)
    if isinstance(value, StoreRecord):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return encode(value)


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
