"""The bytes of an answer, and the JSON in them."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

LONGEST_NUMBER = 400
REPLACED = "\ufffd"
_LONE = re.compile(r"[\ud800-\udfff]")
_MAYBE_LONE = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")


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
    try:
        value = _loaded(body)
    except UnicodeDecodeError:
        value = _loaded(body.decode(errors="replace"))
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None
    return _paired(value) if _MAYBE_LONE.search(body) else value


def _loaded(body: bytes | str) -> object:
    # Not strict: a line break that somebody typed, as it is, is no reason to give up a whole list.
    return json.loads(body, parse_float=_fraction, parse_int=_integer, parse_constant=str, strict=False)


def _fraction(text: str) -> Decimal | str:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    return number if abs(number.adjusted()) <= LONGEST_NUMBER else text


def _integer(text: str) -> int | str:
    return int(text) if len(text) <= LONGEST_NUMBER else text


def _paired(value: object) -> object:
    if isinstance(value, str):
        return _LONE.sub(REPLACED, value)
    if isinstance(value, list):
        return [_paired(each) for each in value]
    if isinstance(value, dict):
        return {_LONE.sub(REPLACED, key): _paired(each) for key, each in value.items()}
    return value


def whole(payload: object) -> object:
    """The JSON of a whole answer: there an empty list or text is no spelling of an empty object."""
    return None if payload in ([], "") else payload
