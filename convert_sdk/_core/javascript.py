"""JavaScript's view of a value: its text, its number, its truth. The reference compares by these."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from math import isfinite, isnan, nan
from typing import Final

from .values import LISTS, MISSING, plain

WHITE_SPACE: Final = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)
SAFE_INTEGER: Final = 2**53
_MOST_REPEATS: Final = 10_000
"""Items of lists that are written once more."""
_DECIMAL = re.compile(r"[+-]?(?:Infinity|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)")
_RADIX = re.compile(r"0(?:[xX][0-9a-fA-F]+|[oO][0-7]+|[bB][01]+)")
_NUMERIC = re.compile(r"-?(?:(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+)")


def truthy(value: object) -> bool:
    """JavaScript's truth: empty lists and objects are true."""
    if value is None or value is False or value is MISSING or value == "":
        return False
    if isinstance(value, (int, float, Decimal)):
        number = double(value)
        return not (number == 0 or isnan(number))
    return True


def double(value: float | Decimal) -> float:
    """The number as the only kind JavaScript has; integers beyond 2**53 lose their last digits."""
    try:
        return float(value)
    except (OverflowError, ValueError):  # an integer beyond the range; a signalling NaN
        return nan if isinstance(value, Decimal) else float("inf") if value > 0 else float("-inf")


def js_string(value: object) -> str:
    """`String(value)`; objects of Python's own become their `str`."""
    if isinstance(value, str):
        return str.__str__(value)
    if value is True:
        return "true"
    if value is False:
        return "false"
    if value is None:
        return "null"
    if isinstance(value, (int, float, Decimal)):
        return _number_text(value)
    if isinstance(value, LISTS):
        return ",".join(_leaves(value))
    if isinstance(value, Mapping):
        return "[object Object]"
    return "undefined" if value is MISSING else str(value)


def _number_text(value: float | Decimal) -> str:
    if isinstance(value, int) and -SAFE_INTEGER <= value <= SAFE_INTEGER:
        return int.__repr__(value)
    number = double(value)
    if not isfinite(number):
        return "NaN" if isnan(number) else "Infinity" if number > 0 else "-Infinity"
    if number == 0:
        return "0"
    sign = "-" if number < 0 else ""
    mantissa, _, exponent = repr(abs(number)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = whole + fraction
    point = len(whole) + int(exponent or 0) - (len(digits) - len(digits.lstrip("0")))
    return sign + _place_point(digits.strip("0"), point)


def _place_point(digits: str, point: int) -> str:
    """The shortest digits, the decimal point after `point` of them, as JavaScript lays them out."""
    if len(digits) <= point <= 21:
        return digits.ljust(point, "0")
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{point - 1:+d}"


def _leaves(value: Collection[object]) -> Iterator[str]:
    """The texts of a list's items, nested lists in their place; a list inside itself is empty.

    One that comes again and again, as only a list that shares its parts holds it, is empty once that is too much.
    """
    opened = {id(value): None}
    seen = {id(value): value}  # kept, as the id of what is gone is given to others
    repeats = _MOST_REPEATS
    stack = [iter(value)]
    while stack:
        for each in stack[-1]:
            item = plain(each)
            if not isinstance(item, LISTS):
                yield "" if item is None or item is MISSING else js_string(item)
                continue
            repeats -= len(item) if id(item) in seen else 0
            if not item or id(item) in opened or repeats < 0:
                yield ""
                continue
            opened[id(item)] = None
            seen[id(item)] = item
            stack.append(iter(item))
            break
        else:
            stack.pop()
            opened.popitem()


def js_number(value: object) -> float:
    """`Number(value)`."""
    if isinstance(value, (int, float, Decimal)):
        return double(value)
    if value is None:
        return 0.0
    if value is MISSING:
        return nan
    text = js_string(value).strip(WHITE_SPACE)
    if _DECIMAL.fullmatch(text):
        return float(text)
    if _RADIX.fullmatch(text):
        return double(int(text, 0))
    return nan if text else 0.0


def parse_float(text: str) -> float:
    """`parseFloat(text)`: the longest number the text begins with."""
    found = _DECIMAL.match(text.lstrip(WHITE_SPACE))
    return float(found[0]) if found else nan


def numeric(value: object) -> float | None:
    """The number that `less` and `lessEqual` see, None where they see something else.

    Text counts where it is written as people write numbers: `1,234.5`, `-.5`.
    """
    if isinstance(value, str):
        if not _NUMERIC.fullmatch(value):
            return None
        decimal_comma = value.startswith("0,")  # what follows a second point is dropped
        number = parse_float(value.replace(",", ".")) if decimal_comma else float(value.replace(",", ""))
    elif isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        number = double(value)
    else:
        return None
    return number if isfinite(number) else None
