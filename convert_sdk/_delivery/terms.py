"""How and whereto events are delivered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from convert_sdk._core.events import Address
from convert_sdk._http.messages import TIMEOUT

MOST_EVENTS = 1_000
MOST_BYTES = 512 * 1024
"""Of one request."""
CLAIM_PATIENCE = 5.0
"""Seconds that a conversion waits for the store before it goes out unclaimed."""
MANY_REFUSALS = 32
"""More refusals in a row than this are not one bad event but a bad endpoint: bisecting slows down."""


class Terms(NamedTuple):
    """How events are delivered."""

    max_queue: int = 10_000
    batch_size: int = 100
    """As many events start a request at once."""
    flush_interval: float = 1.0
    """Seconds after which fewer do."""
    delivery: Literal["at_least_once", "at_most_once"] = "at_least_once"
    durable: bool = False
    """Events pass through `unsaved` and `saved` before they are sent."""
    timeout: float = TIMEOUT
    """Seconds for one whole answer."""
    watched: bool = False
    """Somebody drains `ledger.endings`."""


class Target(NamedTuple):
    """Where events go, and whose they are."""

    url: str
    headers: Mapping[str, str]
    address: Address
    enrich_data: bool = True

    def __repr__(self) -> str:
        return f"Target({self.url!r})"
