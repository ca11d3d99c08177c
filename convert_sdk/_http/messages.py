"""HTTP messages: a request and the response to it or the failure, as plain values without a socket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

USER_AGENT = "ConvertAgent/1.0"
"""The collector's bot filter answers 200 to other agents and drops what they sent."""
TIMEOUT = 10.0
"""Seconds for a whole exchange."""
SIZE_CAP = 16 * 1024 * 1024
"""The largest body that is read, in bytes and decoded."""
TOO_LARGE = "too large"
TOO_SLOW = "too slow"


class Request(NamedTuple):
    """One HTTP request, to be answered in full within `timeout` seconds; its `repr` shows no address or header."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None
    timeout: float = TIMEOUT
    step_timeout: float | None = None
    """Seconds for each step: to connect, and for each read and write. None: 5 to connect, `timeout` for the others."""
    size_cap: int = SIZE_CAP
    """The largest body to read, in bytes."""

    def __repr__(self) -> str:
        return f"Request({self.method}, {len(self.body or b'')} bytes)"


class Response(NamedTuple):
    """The response to a request: its status is known, even if its body could not be read."""

    status: int
    headers: Mapping[str, str] = {}
    """By lower-case name."""
    body: bytes = b""
    """Decoded; empty if there is a `body_error`."""
    body_error: str = ""
    """The reason why the body could not be read: `TOO_LARGE`, `TOO_SLOW` or a description."""
    received: float = 0.0
    """Seconds since the epoch by the local clock, for dates in headers."""

    def __repr__(self) -> str:
        return f"Response({self.status}, {len(self.body)} bytes{', ' + self.body_error if self.body_error else ''})"


class Failure(NamedTuple):
    """No response.

    `undelivered`: the server certainly did not get the request; `ambiguous`: it may have; `interrupted`: it may have,
    and it was this process that gave the request up.
    """

    kind: Literal["undelivered", "ambiguous", "interrupted"]
    detail: str


def request_headers(secret: str | None = None) -> dict[str, str]:
    """Return the headers for both of Convert's endpoints.

    >>> request_headers("s3cret")["Authorization"]
    'Bearer s3cret'
    """
    headers = {"Content-Type": "application/json", "User-Agent": USER_AGENT, "Accept-Encoding": "gzip"}
    if secret:
        headers["Authorization"] = f"Bearer {secret}"
    return headers
