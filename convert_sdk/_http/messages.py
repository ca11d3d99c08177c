"""What the machines say to the loops that move their bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

USER_AGENT = "ConvertAgent/1.0"
"""The collector's bot filter answers 200 to other agents and drops what they sent."""
TIMEOUT = 10.0
SIZE_CAP = 16 * 1024 * 1024


class Request(NamedTuple):
    """One HTTP request, to be answered in full within `timeout` seconds."""

    method: Literal["GET", "POST"]
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None
    timeout: float = TIMEOUT

    def __repr__(self) -> str:
        return f"Request({self.method}, {len(self.body or b'')} bytes)"


class Response(NamedTuple):
    """An answer: its status was heard, whatever became of its body."""

    status: int
    headers: Mapping[str, str] = {}
    """By lower-case name."""
    body: bytes = b""
    """Decoded; empty where `body_error` says why it cannot be trusted."""
    body_error: str = ""
    received: float = 0.0
    """Seconds since the epoch by the local clock, for dates in headers."""

    def __repr__(self) -> str:
        return f"Response({self.status}, {len(self.body)} bytes{', ' + self.body_error if self.body_error else ''})"


class Failure(NamedTuple):
    """No answer. `undelivered`: certainly not received; `ambiguous`: it may have been."""

    kind: Literal["undelivered", "ambiguous"]
    detail: str


def request_headers(secret: str | None = None) -> dict[str, str]:
    """What both endpoints are sent.

    >>> request_headers("s3cret")["Authorization"]
    'Bearer s3cret'
    """
    headers = {"Content-Type": "application/json", "User-Agent": USER_AGENT, "Accept-Encoding": "gzip"}
    if secret:
        headers["Authorization"] = f"Bearer {secret}"
    return headers
