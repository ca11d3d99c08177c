"""The body of a request, plain or gzip, within a bound."""

from __future__ import annotations

import zlib

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

MAX_BODY = 2 * 1024 * 1024
"""Bytes of one tracking request, as sent and as unpacked."""
_GZIP = 16 + zlib.MAX_WBITS
_GZIPPED = ("gzip", "x-gzip")


async def received_body(request: Request) -> bytes:
    """Read the whole body as it was sent; what is too large or packed in an unknown way is refused."""
    encoding = encoding_of(request)
    if encoding not in ("", "identity", *_GZIPPED):
        raise HTTPException(415, f"the Content-Encoding must be gzip or identity, not {encoding[:40]!r}")
    return await bounded(request, MAX_BODY)


def encoding_of(request: Request) -> str:
    """The way in which the body is packed."""
    return request.headers.get("content-encoding", "identity").strip().lower()


def unpacked(sent: bytes, encoding: str) -> bytes:
    """The body that was sent, unpacked; what is cut short or too large is refused."""
    return _unpack(sent) if encoding in _GZIPPED else sent


async def bounded(request: Request, most: int) -> bytes:
    """Read the whole body, of at most so many bytes."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                raise HTTPException(413, f"at most {most} bytes in one request")
    except ClientDisconnect:  # nobody waits for the answer, and it is no fault of this server's
        raise HTTPException(400, "the connection ended within the body") from None
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
