"""What the bridge remembers, and what a place for it must do."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import NamedTuple, Protocol

from convert_sdk.commerce.bridge.effects import Effect, Fate, Policy
from convert_sdk.commerce.bridge.orders import Clue


class Link(NamedTuple):
    """A visitor known by a clue since `at`, until `expires` (epoch seconds)."""

    clue: Clue
    visitor_id: str
    at: float
    expires: float
    tracking: bool = True

    def __repr__(self) -> str:
        return f"Link({self.clue!r}, at={self.at!r})"


class Shown(NamedTuple):
    """A variation that a visitor was shown, and when (epoch seconds)."""

    visitor_id: str
    experience_id: str
    variation_id: str
    at: float

    def __repr__(self) -> str:
        return f"Shown({self.experience_id!r}, {self.variation_id!r}, at={self.at!r})"


class Version(NamedTuple):
    """What was last told of a record: its content's hash, as of which millisecond, and whether it arrived."""

    digest: str
    at: int
    sent: bool


class Entries(Protocol):
    """A ledger's contents within one transaction."""

    def effect(self, key: str) -> Effect | None:
        """The effect of this key."""
        ...

    def keep(self, effect: Effect) -> None:
        """Store an effect over the one of its key."""
        ...

    def due(self, now: float, limit: int) -> list[Effect]:
        """Effects that need looking at, the longest waiting first."""
        ...

    def wake(self, clue: Clue, now: float) -> None:
        """Make effects due that wait for a visitor and have this clue."""
        ...

    def awaiting(self, event: str) -> Effect | None:
        """The claimed effect whose last event this is."""
        ...

    def renew(self, owner: str, until: float) -> None:
        """Prolong an owner's claims."""
        ...

    def tally(self) -> Mapping[tuple[str, str], int]:
        """How many effects there are by state and reason."""
        ...

    def waiting(self, reason: str, limit: int) -> list[Effect]:
        """Effects that wait for, or were dropped for, this reason; the oldest first."""
        ...

    def resent(self) -> int:
        """How often a claim had to be sent again."""
        ...

    def note_fate(self, event: str, fate: Fate, now: float) -> None:
        """Keep news of an event that nobody awaits yet."""
        ...

    def take_fate(self, event: str) -> Fate | None:
        """The news of an event, once."""
        ...

    def add_link(self, link: Link) -> None:
        """Keep a link."""
        ...

    def links(self, clue: Clue) -> list[Link]:
        """The links of a clue."""
        ...

    def links_to(self, visitor_id: str) -> list[Link]:
        """The links that lead to a visitor."""
        ...

    def show(self, shown: Shown) -> None:
        """Keep an exposure."""
        ...

    def shown(self, visitor_id: str, since: float, until: float) -> list[Shown]:
        """A visitor's exposures between two times, both included, in their order."""
        ...

    def cursor(self, name: str) -> str | None:
        """Where a stream stands."""
        ...

    def move_cursor(self, name: str, to: str) -> None:
        """Note where a stream stands."""
        ...

    def version(self, key: str) -> Version | None:
        """What was last told of a record."""
        ...

    def keep_version(self, key: str, version: Version) -> None:
        """Note what is being told of a record."""
        ...

    def effects_of(self, transaction_id: str) -> list[Effect]:
        """The effects of one order by their keys, refunds left out."""
        ...

    def unsent_of(self, visitor_id: str) -> list[Effect]:
        """Effects that are not over and may be this visitor's: they name the visitor, or have a token that does,
        or a clue of one of the visitor's links. Too many do no harm, one too few does.
        """
        ...

    def unsent_with(self, clue: Clue) -> list[Effect]:
        """Effects that are not over and have this clue."""
        ...

    def forget(self, visitor_id: str) -> None:
        """Delete a visitor's links and exposures, blank the visitor's effects and drop what is unsent, and
        remember, by a mark that does not give the id away, that this one is forgotten.
        """
        ...

    def is_forgotten(self, visitor_id: str) -> bool:
        """Whether this visitor was forgotten, now or ever."""
        ...

    def unlink(self, clue: Clue) -> None:
        """Delete the links of a clue."""
        ...

    def purge(self, *, links: float, exposures: float, fates: float) -> None:
        """Delete links that expired by then, and older exposures and news."""
        ...


class LedgerStore(Protocol):
    """Where a bridge keeps its books, by which policy and clock (epoch seconds).

    `transaction` is all or nothing, and alone; it may raise StoreError.
    """

    policy: Policy
    clock: Callable[[], float]

    def transaction(self) -> AbstractContextManager[Entries]:
        """Open the books."""
        ...


def forgotten(effect: Effect) -> Effect:
    """An effect that names nobody any more; one that was not sent never will be."""
    blank = replace(effect, visitor_id=None, attributed={}, order=effect.order.anonymous())
    if effect.is_over:
        return blank
    return replace(blank, state="dropped", reason="forgotten", due=None, owner=None, event=None)


def mark_of(salt: bytes, visitor_id: str) -> str:
    """What is kept of a forgotten visitor: it can be compared with an id, and not be turned back into one."""
    return hmac.digest(salt, visitor_id.encode(errors="surrogatepass"), hashlib.sha256).hex()
