"""Bodies: read and inflated piece by piece, so that a compressed bomb costs neither memory nor time."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import NamedTuple

from convert_sdk._process.clock import monotonic

from .messages import TOO_LARGE, TOO_SLOW

_PIECE = 1024 * 1024
_INPUT = 64 * 1024
_MOST_MEMBERS = 1_000
_COMPRESSED = frozenset({"gzip", "x-gzip", "deflate"})
_NOT_ASKED_FOR = frozenset(
    {"br", "zstd", "compress", "x-compress", "exi", "pack200-gzip", "dcb", "dcz", "aes128gcm"}
)
_GZIP_OR_ZLIB = 47
_RAW_DEFLATE = -15


class Body(NamedTuple):
    """A body as far as it could be read."""

    content: bytes = b""
    error: str = ""


def decoded(raw: bytes, encoding: str, size_cap: int, until: float) -> Body:
    """Undo the `Content-Encoding`, up to so many bytes and to this time in monotonic seconds.

    A word there that names no compression, as of a server that writes `utf-8`, changes nothing.
    """
    body = Body(raw)
    words = [word.strip().lower() for word in encoding.split(",")]
    if sum(word in _COMPRESSED for word in words) > 1:
        return Body(error="compressed more than once")
    for word in words:
        if word in _NOT_ASKED_FOR:
            return Body(error=f"in an encoding that was not asked for: {word}")
        if word in _COMPRESSED and raw:
            body = _inflated(raw, word, size_cap, until)
    return body if len(body.content) <= size_cap else Body(error=TOO_LARGE)


def _inflated(raw: bytes, word: str, size_cap: int, until: float) -> Body:
    wbits = _GZIP_OR_ZLIB
    try:
        if word == "deflate":
            wbits = _wbits_of_deflate(raw)
        size = 0
        for piece in _inflate(raw, wbits):  # measured before it is kept
            size += len(piece)
            if size > size_cap:
                return Body(error=TOO_LARGE)
            if monotonic() > until:
                return Body(error=TOO_SLOW)
        return Body(b"".join(_inflate(raw, wbits)))
    except (zlib.error, EOFError) as error:
        return Body(error=f"not {word}: {error}")


def _wbits_of_deflate(raw: bytes) -> int:
    """Some servers leave out the header that belongs to `deflate`."""
    try:
        zlib.decompressobj(wbits=_GZIP_OR_ZLIB).decompress(raw[:_INPUT], 1)
    except zlib.error:
        return _RAW_DEFLATE
    return _GZIP_OR_ZLIB


def _inflate(raw: bytes, wbits: int) -> Iterator[bytes]:
    """The pieces of every member; a piece may be empty."""
    place = 0
    for _ in range(_MOST_MEMBERS):
        inflate = zlib.decompressobj(wbits=wbits)
        while not inflate.eof:
            given = inflate.unconsumed_tail
            if not given:
                given = raw[place : place + _INPUT]
                place += len(given)
            if not given:
                raise EOFError("cut short")
            yield inflate.decompress(given, _PIECE)
        place -= len(inflate.unused_data)
        if place == len(raw):
            return
    raise EOFError(f"it has more than {_MOST_MEMBERS:,} members")
