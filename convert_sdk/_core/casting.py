"""A feature variable's value in its declared type, as JavaScript converts it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from json import JSONDecoder
from math import isnan
from typing import Final, final

from .javascript import SAFE_INTEGER, WHITE_SPACE, double, js_string, parse_float, truthy
from .values import LISTS

_INTEGER = re.compile(r"([+-]?)(?:0[xX]([0-9a-fA-F]*)|([0-9]+))")


@final
class Uncastable:
    """The type of `UNCASTABLE`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNCASTABLE"


UNCASTABLE: Final = Uncastable()
"""In place of a value that has no form in the declared type."""


def cast(value: object, type_name: str) -> object:
    """The value as `type_name`, UNCASTABLE where it has no such form.

    A type that is not known leaves the value as it is.
    """
    caster = _CASTERS.get(type_name)
    return caster(value) if caster else value


def _boolean(value: object) -> bool:
    return value == "true" or (value != "false" and truthy(value))


def _integer(value: object) -> object:
    if isinstance(value, bool):
        return int(value)
    found = _INTEGER.match(js_string(value).lstrip(WHITE_SPACE))
    if found is None or found[2] == "":
        return UNCASTABLE
    number = double(int(found[2], 16)) if found[2] else float(found[3])
    signed = -number if found[1] == "-" else number
    return int(signed) if abs(signed) <= SAFE_INTEGER else signed


def _float(value: object) -> object:
    number = float(value) if isinstance(value, bool) else parse_float(js_string(value))
    return UNCASTABLE if isnan(number) else number


def _json(value: object) -> object:
    if value is None or isinstance(value, (Mapping, *LISTS)):
        return value
    text = js_string(value)
    try:
        return _decode(text)
    except (ValueError, RecursionError):
        return text


def _json_integer(digits: str) -> float:
    """JavaScript has doubles only; within their precision an integer stays one."""
    number = float(digits)
    return int(number) if abs(number) <= SAFE_INTEGER else number


def _not_json(constant: str) -> object:
    raise ValueError(f"{constant} is not JSON")


_decode = JSONDecoder(parse_int=_json_integer, parse_constant=_not_json).decode
_CASTERS: Final[Mapping[str, Callable[[object], object]]] = {
    "boolean": _boolean,
    "integer": _integer,
    "float": _float,
    "string": js_string,
    "json": _json,
}
