"""The body of a request, plain or gzip, within a bound."""

from __future__ import annotations

import zlib

from starlette.exceptions import HTTPException
from starlette.requests import Request

MAX_BODY = 2 * 1024 * 1024
"""Bytes of one tracking request, as sent and as unpacked."""
_GZIP = 16 + zlib.MAX_WBITS


async def read_body(request: Request) -> bytes:
    """Read the whole body; what is too large, cut short or packed in another way is refused."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("gzip", "x-gzip"):
        return _unpack(await _received(request))
    if encoding not in ("", "identity"):
        raise HTTPException(415, f"the Content-Encoding must be gzip or identity, not {encoding[:40]!r}")
    return await _received(request)


async def _received(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise HTTPException(413, f"at most {MAX_BODY} bytes in one request")
    return bytes(body)


def _unpack(packed: bytes) -> bytes:
    member = zlib.decompressobj(_GZIP)
    try:
        body = member.decompress(packed, MAX_BODY + 1)
    except zlib.error:
        raise HTTPException(400, "the body is not gzip") from None
    if len(body) > MAX_BODY:
        raise HTTPException(413, f"at most {MAX_BODY} bytes in one request, unpacked")
    if not member.eof:
        raise HTTPException(400, "the gzip body is cut short")
    if member.unused_data:
        raise HTTPException(400, "the gzip body goes on after its first member")
    return body
