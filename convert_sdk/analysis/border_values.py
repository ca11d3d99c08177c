"""Values on and beside the borders of conditions: what is worth trying for a fact."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import pairwise
from typing import Final, NamedTuple

from convert_sdk._core.javascript import js_string, numeric
from convert_sdk._core.operators import ordinal_kind
from convert_sdk._core.values import LISTS, MISSING

from .regex_example import regex_example

OTHER: Final = "other"
"""A text that is none of those compared with."""


class Border(NamedTuple):
    """The comparison of one condition."""

    operator: str
    comparand: object


def border_values(conditions: Iterable[Border]) -> list[object]:
    """Values on and just beside each comparison, joined texts, and `MISSING`; no two alike.

    >>> border_values([Border("less", 18)])
    [17, 18, 19, MISSING]
    """
    listed = list(conditions)
    found: list[object] = [value for each in listed for value in _values(each)]
    found += _between(found)
    found += _joined(listed)
    return _distinct([*found, MISSING])


def _values(border: Border) -> Iterator[object]:
    operator, comparand = border
    match operator:
        case "less" | "lessEqual":
            yield from _beside(comparand)
        case "isIn":
            yield from _items(comparand)
            yield OTHER
        case "regexMatches":
            example = regex_example(js_string(comparand))
            if example is not None:
                yield example
            yield OTHER
        case "exists" | "doesNotExist" | "not_exists":
            yield OTHER
        case _:
            yield from _equal(comparand)


def _equal(comparand: object) -> Iterator[object]:
    yield comparand if isinstance(comparand, (str, int, float, Decimal)) else js_string(comparand)
    if isinstance(comparand, bool):
        yield not comparand
    elif isinstance(comparand, (int, float, Decimal)):
        yield comparand + 1
    else:
        yield OTHER


def _beside(comparand: object) -> Iterator[object]:
    number = numeric(comparand)
    if number is not None:
        step = _step(number)
        for value in (number - step, number, number + step):
            yield int(value) if value == int(value) else value
    elif ordinal_kind(comparand) == "string":
        text = js_string(comparand)
        yield from (text[:-1], text, f"{text}0")
    elif isinstance(comparand, bool):
        yield from (False, True)
    else:
        yield comparand


def _step(number: float) -> float:
    """One unit of the last decimal that is written."""
    exponent = Decimal(str(number)).normalize().as_tuple().exponent
    return 10.0 ** min(exponent, 0) if isinstance(exponent, int) and exponent > -15 else 1.0


def _items(comparand: object) -> Iterator[object]:
    items = comparand.split("|") if isinstance(comparand, str) else comparand
    if isinstance(items, LISTS):
        yield from (js_string(item).lower() for item in items)


def _between(values: Iterable[object]) -> list[object]:
    """Two numbers between every two borders."""
    numbers = sorted({float(v) for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)})
    found: list[object] = []
    for low, high in pairwise(numbers):
        if high - low > 1:
            found += [low + (high - low) / 3, low + 2 * (high - low) / 3]
    return found


def _joined(conditions: Iterable[Border]) -> list[object]:
    """Beginnings, middles and ends, put together, so that conditions on one text can hold together."""
    parts: dict[str, list[str]] = {"startsWith": [""], "contains": [""], "endsWith": [""]}
    texts: list[str] = []
    for operator, comparand in conditions:
        if operator in parts:
            parts[operator].append(js_string(comparand))
        elif operator in ("equals", "matches", "equalsNumber") and isinstance(comparand, str):
            texts.append(comparand)
    middles = parts["contains"]
    if len(middles) > 2:
        middles.append("".join(middles))
    joined = [
        f"{start}{filling}{middle}{end}"
        for start in parts["startsWith"][:8]
        for filling in ("", OTHER)
        for middle in middles[:8]
        for end in parts["endsWith"][:8]
        if start or middle or end
    ]
    if not any(len(values) > 1 for values in parts.values()):
        joined = []
    return [*joined, *(f"{text}{OTHER}" for text in (*texts, *joined) if text)]


def _distinct(values: Iterable[object]) -> list[object]:
    found: dict[tuple[type, str], object] = {}
    for value in values:
        found.setdefault((type(value), repr(value)), value)  # lists have no hash
    return list(found.values())
