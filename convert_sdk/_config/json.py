"""A JSON parser for bytes: fast, bounded, and clear about what is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from math import isfinite

from convert_sdk._core.codes import Code
from convert_sdk._core.problem import Report, ignore
from convert_sdk.errors import ConvertError, DocumentError

MAX_DEPTH = 200
"""The deepest nesting of a document; the fast parser's own limit."""

_BOM = b"\xef\xbb\xbf"
_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_DEEPER = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_PLACE = re.compile(r"(.*) at line (\d+) column (\d+)\Z", re.DOTALL)
_SECOND_TRY = ("hex escape", "out of range")
_NAME = re.compile(r"[A-Za-z_]\w*\Z", re.ASCII)


def read_json(body: bytes, report: Report = ignore) -> object:
    """The value that `body` holds, in UTF-8, with or without a byte order mark.

    Numbers that are not finite (`NaN`, `1e999`) are read and reported; of duplicate keys the last counts.
    Raises `DocumentError` for anything that is not one JSON value nested at most 200 deep.

    >>> read_json(b'{"account_id": "1"}')
    {'account_id': '1'}
    """
    from_json = _fast_parser()
    text = body.removeprefix(_BOM)
    try:
        value: object = from_json(text)
    except ValueError as error:
        if not any(sign in str(error) for sign in _SECOND_TRY):
            raise _refusal(text, str(error)) from None
        value = _read_slowly(text)
    _report_numbers(value, report)
    return value


def _fast_parser() -> Callable[[bytes], object]:
    try:
        from pydantic_core import from_json
    except ImportError as error:
        cure = ""
        if "interpreter" in str(error):
            cure = "; under mod_wsgi, WSGIApplicationGroup %{GLOBAL} runs the application in the first interpreter"
        raise ConvertError(f"pydantic_core cannot be loaded: {error}{cure}") from error
    return from_json


def json_path(steps: Iterable[object]) -> str:
    """The JSON path of some keys and positions.

    >>> json_path(["experiences", 3, "site area"])
    '$.experiences[3]["site area"]'
    """
    return "$" + "".join(_step(step) for step in steps)


def _step(step: object) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if _NAME.match(str(step)) else f"[{json.dumps(str(step))}]"


def _read_slowly(text: bytes) -> object:
    """The standard parser, for what JavaScript reads too: half an emoji, endless digits."""
    if _depth(text) > MAX_DEPTH:
        raise _too_deep()
    try:
        value: object = json.loads(text.decode(), parse_int=_integer)
    except UnicodeDecodeError as error:
        raise DocumentError("$", "JSON in UTF-8", f"an invalid byte at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise _refusal_of(error) from None
    except RecursionError:
        raise _too_deep() from None
    return value


def _refusal_of(error: json.JSONDecodeError) -> DocumentError:
    what = _in_words(error.msg.removesuffix(" starting at"))
    if error.pos == len(error.doc) or "Unterminated" in what:
        what = f"a truncated document ({what})"
    return DocumentError("$", "JSON", f"{what} at byte {len(error.doc[: error.pos].encode())}")


def _integer(digits: str) -> int | float:
    try:
        return int(digits)
    except ValueError:  # longer than Python converts
        return float(digits)


def _depth(text: bytes) -> int:
    deepest = depth = 0
    for bracket in _STRINGS.sub(b"", text).translate(None, _NOT_BRACKETS):
        depth += _DEEPER[bracket]
        deepest = max(deepest, depth)
    return deepest


def _too_deep() -> DocumentError:
    return DocumentError("$", f"at most {MAX_DEPTH} levels", "a document that nests deeper")


def _refusal(text: bytes, message: str) -> DocumentError:
    encoding = _foreign_encoding(text)
    if encoding:
        return DocumentError("$", "JSON in UTF-8", encoding)
    start = text.lstrip()
    if not start:
        return DocumentError("$", "JSON", "an empty body")
    if start.startswith(b"<"):
        return DocumentError(
            "$", "JSON", "an HTML page (is the endpoint right, no proxy or login in between?)"
        )
    place = _PLACE.match(message)
    if place is None:
        return DocumentError("$", "JSON", message)
    what, line, column = place[1], int(place[2]), int(place[3])
    if "recursion" in what:
        return _too_deep()
    offset = _offset(text, line, column)
    if "unicode" in what:
        offset = _undecodable(text, offset)
    what = f"a truncated document ({what})" if what.startswith("EOF") else _in_words(what)
    return DocumentError("$", "JSON", f"{what} at byte {offset}")


def _in_words(message: str) -> str:
    """The message of a parser, as it stands after "expected JSON, found"."""
    for sign in ("expected ", "Expecting "):
        if message.startswith(sign):
            wanted = message.removeprefix(sign)
            return f"no {'value' if wanted == 'ident' else wanted}"
    return message


def _foreign_encoding(text: bytes) -> str:
    """The words for a body in another encoding than UTF-8; nothing for one that does not look like it."""
    if text.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")):
        return "UTF-32"
    if text.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16"
    if text[:4].count(0) == 3:
        return "what looks like UTF-32"
    if text[:2].count(0) == 1:
        return "what looks like UTF-16"
    if text.startswith(b"\x1f\x8b"):
        return "gzip data that no Content-Encoding announces"
    return ""


def _offset(text: bytes, line: int, column: int) -> int:
    start = 0
    for _ in range(line - 1):
        start = text.index(b"\n", start) + 1
    return min(start + max(column - 1, 0), len(text))


def _undecodable(text: bytes, told: int) -> int:
    """The place of the first byte that is no UTF-8, which versions of pydantic_core tell differently."""
    try:
        text.decode()
    except UnicodeDecodeError as error:
        return error.start
    return told


def _report_numbers(value: object, report: Report) -> None:
    if report is not ignore and _may_hold_infinities(value):
        for steps in _infinities(value):
            report(json_path(steps), "expected a finite number; it is used as it stands", Code.NOT_FINITE)


def _may_hold_infinities(value: object) -> bool:
    """One pass in compiled code, so that the walk is only made where it finds something."""
    from pydantic_core import PydanticSerializationError, to_json

    try:
        written = to_json(value, inf_nan_mode="constants")
    except (PydanticSerializationError, ValueError):  # half an emoji
        return True
    return b"NaN" in written or b"Infinity" in written


def _infinities(value: object, steps: tuple[object, ...] = ()) -> Iterable[tuple[object, ...]]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _infinities(child, (*steps, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _infinities(child, (*steps, index))
    elif isinstance(value, float) and not isfinite(value):
        yield steps
