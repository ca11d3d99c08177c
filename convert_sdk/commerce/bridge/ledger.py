"""The memory of the bridge, and the protocol of a place for it."""

from __future__ import annotations

import functools
import hashlib
import hmac
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import NamedTuple, Protocol

from convert_sdk.commerce.bridge.conversions import OrderConversion, Policy
from convert_sdk.commerce.bridge.orders import IdentityKey
from convert_sdk.status import EventOutcome

_log = logging.getLogger("convert_sdk")


class Link(NamedTuple):
    """A visitor known by an identity key since `at`, until `expires` (epoch seconds)."""

    identity_key: IdentityKey
    visitor_id: str
    at: float
    expires: float
    tracking: bool = True

    def __repr__(self) -> str:
        return f"Link({self.identity_key!r}, at={self.at!r})"


class ExposureRecord(NamedTuple):
    """A variation that a visitor was shown, and when (epoch seconds)."""

    visitor_id: str
    experience_id: str
    variation_id: str
    at: float

    def __repr__(self) -> str:
        return f"ExposureRecord({self.experience_id!r}, {self.variation_id!r}, at={self.at!r})"


class Version(NamedTuple):
    """The version of a record that was last written: its content's hash, its millisecond, and whether it arrived."""

    digest: str
    at: int
    sent: bool


class StateAndReason(NamedTuple):
    """The state of conversions, and the reason why they wait or were dropped, or an empty text."""

    state: str
    reason: str


class LedgerTransaction(Protocol):
    """A ledger's contents within one transaction."""

    def conversion(self, key: str) -> OrderConversion | None:
        """The conversion of this key."""
        ...

    def keep(self, conversion: OrderConversion) -> None:
        """Store a conversion over the one of its key."""
        ...

    def due(self, now: float, limit: int) -> list[OrderConversion]:
        """Conversions that need looking at, the longest waiting first."""
        ...

    def make_due(self, identity_key: IdentityKey, now: float) -> None:
        """Make conversions due that wait for a visitor and have this identity key."""
        ...

    def awaiting(self, event: str) -> OrderConversion | None:
        """The claimed conversion whose last event this is."""
        ...

    def renew(self, owner: str, until: float) -> None:
        """Prolong an owner's claims."""
        ...

    def tally(self) -> Mapping[StateAndReason, int]:
        """The number of conversions by state and reason."""
        ...

    def waiting(self, reason: str, limit: int) -> list[OrderConversion]:
        """Conversions that wait for, or were dropped for, this reason; the oldest first."""
        ...

    def still_waiting(self, reason: str, limit: int) -> list[OrderConversion]:
        """Conversions that wait for this reason and were not dropped for it; the longest waiting first."""
        ...

    def resent(self) -> int:
        """The number of times that a claim had to be sent again."""
        ...

    def note_outcome(self, event: str, outcome: EventOutcome, now: float) -> None:
        """Keep news of an event that nobody awaits yet."""
        ...

    def take_outcome(self, event: str) -> EventOutcome | None:
        """The news of an event, once."""
        ...

    def add_link(self, link: Link) -> None:
        """Keep a link."""
        ...

    def links(self, identity_key: IdentityKey) -> list[Link]:
        """The links of an identity key."""
        ...

    def links_to(self, visitor_id: str) -> list[Link]:
        """The links that lead to a visitor."""
        ...

    def add_exposure(self, record: ExposureRecord) -> None:
        """Keep an exposure."""
        ...

    def exposures(self, visitor_id: str, since: float, until: float) -> list[ExposureRecord]:
        """A visitor's exposures between two times, both included, in their order."""
        ...

    def cursor(self, name: str) -> str | None:
        """The position in a stream."""
        ...

    def move_cursor(self, name: str, to: str) -> None:
        """Note the position in a stream."""
        ...

    def version(self, key: str) -> Version | None:
        """The version of a record that was last written."""
        ...

    def keep_version(self, key: str, version: Version, source: str = "") -> None:
        """Keep the version of a record that is being written, and that it is from `source`, too."""
        ...

    def version_keys(self, source: str) -> list[str]:
        """The keys of the records from a source, in their order."""
        ...

    def version_sources(self, key: str) -> list[str]:
        """The sources that a record is from, in their order."""
        ...

    def drop_source(self, key: str, source: str) -> None:
        """Delete the note that a record is from a source."""
        ...

    def drop_version(self, key: str) -> None:
        """Delete the version of a record that is no more, and its sources."""
        ...

    def scope_of(self, scope: str) -> str:
        """The spelling of a source's scope in this ledger: the one it began with, else `scope` itself."""
        ...

    def note_unreadable(self, name: str, places: str, now: float) -> bool:
        """Keep that an order cannot be read, and the places; True if that is new."""
        ...

    def note_readable(self, name: str) -> None:
        """Delete the note that an order cannot be read."""
        ...

    def unreadable(self, limit: int) -> list[str]:
        """The orders that cannot be read, each with the places, the oldest first."""
        ...

    def has_reported(self, visitor_id: str, goal: str | int) -> bool:
        """True if Convert has a conversion of this visitor for this goal."""
        ...

    def readmit(self, visitor_id: str) -> None:
        """Delete the mark that a visitor was forgotten."""
        ...

    def conversions_of(self, transaction_id: str) -> list[OrderConversion]:
        """The conversions of one order by their keys, refunds left out."""
        ...

    def unsent_of(self, visitor_id: str) -> list[OrderConversion]:
        """Conversions that are not over and may be this visitor's: they name the visitor, or have a token that does,
        or an identity key of one of the visitor's links. Too many do no harm, one too few does.
        """
        ...

    def unsent_with(self, identity_key: IdentityKey) -> list[OrderConversion]:
        """Conversions that are not over and have this identity key."""
        ...

    def forget(self, visitor_id: str) -> None:
        """Delete a visitor's links and exposures, blank the visitor's conversions and drop what is unsent, and
        remember, by a mark that does not give the id away, that this one is forgotten.
        """
        ...

    def is_forgotten(self, visitor_id: str) -> bool:
        """True if this visitor was forgotten, now or ever."""
        ...

    def unlink(self, identity_key: IdentityKey) -> None:
        """Delete the links of an identity key."""
        ...

    def purge(self, *, links: float, exposures: float, outcomes: float) -> None:
        """Delete links that expired by then, and older news; of exposures' age also notes of unreadable orders."""
        ...


class LedgerStore(Protocol):
    """The place of a bridge's records, with a policy and a clock (epoch seconds).

    `transaction` is all or nothing, and alone; it may raise StoreError.
    """

    policy: Policy
    clock: Callable[[], float]

    def transaction(self) -> AbstractContextManager[LedgerTransaction]:
        """Open a transaction."""
        ...


def forgotten(conversion: OrderConversion) -> OrderConversion:
    """A conversion that names nobody any more; one that was not sent never will be."""
    blank = replace(conversion, visitor_id=None, attributed={}, order=conversion.order.anonymous())
    if conversion.is_over:
        return blank
    return replace(blank, state="dropped", reason="forgotten", due=None, owner=None, event=None)


def can_be_kept(visitor_id: str) -> bool:
    """True if a ledger takes this visitor id; a warning says once of those that it does not."""
    try:
        visitor_id.encode()
    except UnicodeEncodeError:
        _warn_of_half_characters()
        return False
    return True


@functools.cache
def _warn_of_half_characters() -> None:
    _log.warning(
        "nothing is kept of a visitor whose id has half a character, which no file takes: give another id"
    )


def mark_of(salt: bytes, visitor_id: str) -> str:
    """The mark of a forgotten visitor: it can be compared with an id, and not be turned back into one."""
    return hmac.digest(salt, visitor_id.encode(errors="surrogatepass"), hashlib.sha256).hex()
