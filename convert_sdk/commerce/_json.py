"""The bytes of an answer, and the JSON in them."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from convert_sdk._core.half_made import shown_half_made

LONGEST_NUMBER = 400
REPLACED = "\ufffd"
_LONE = re.compile(r"[\ud800-\udfff]")
_MAYBE_LONE = re.compile(rb"\\u[dD][89a-fA-F]")


@shown_half_made
@dataclass(frozen=True)
class Answer:
    """A complete HTTP answer."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @functools.cached_property
    def payload(self) -> object:
        """The body's JSON, None for an empty body; ValueError if it is something else."""
        return read_json(self.body) if self.body.strip() else None

    @property
    def request_id(self) -> str | None:
        """The name that the system gave the request, None without one."""
        return self.headers.get("x-request-id") or None


def read_json(body: bytes) -> object:
    """The JSON in `body`, its fractions as `Decimal`; ValueError if it is none.

    A number that nothing could hold, and NaN, stay the texts they are. A surrogate without its other half,
    which no database and no header takes, becomes U+FFFD, as does a byte that is no UTF-8.
    """
    text = body.decode("utf-8-sig", errors="replace")
    try:
        # Not strict: a line break that somebody typed, as it is, is no reason to give up a whole list.
        value = json.loads(text, parse_float=_fraction, parse_int=_integer, parse_constant=str, strict=False)
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None
    return _paired(value) if _MAYBE_LONE.search(body) else value


def _fraction(text: str) -> Decimal | str:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    return number if abs(number.adjusted()) <= LONGEST_NUMBER else text


def _integer(text: str) -> int | str:
    return int(text) if len(text) <= LONGEST_NUMBER else text


def _paired(value: object) -> object:
    """`value` without half characters, changed in place; it may be nested deeper than functions may call each other."""
    whole: list[object] = [value]
    parts: list[list[object] | dict[str, object]] = [whole]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            named = {_LONE.sub(REPLACED, key): each for key, each in part.items()}
            part.clear()
            part.update((key, _replaced(each)) for key, each in named.items())
            parts += [each for each in part.values() if isinstance(each, list | dict)]
        else:
            part[:] = map(_replaced, part)
            parts += [each for each in part if isinstance(each, list | dict)]
    return whole[0]


def _replaced(value: object) -> object:
    return _LONE.sub(REPLACED, value) if isinstance(value, str) else value


def whole(payload: object) -> object:
    """The JSON of a whole answer: there an empty list or text is no spelling of an empty object."""
    return None if payload in ([], "") else payload
