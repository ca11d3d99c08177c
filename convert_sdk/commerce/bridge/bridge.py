"""The bridge: every order that counts becomes one conversion of the visitor who placed it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple, TypedDict, Unpack

from convert_sdk import _checks as check
from convert_sdk._core.half_made import shown_half_made
from convert_sdk.commerce._sites import canonical_scope, canonical_site
from convert_sdk.commerce.bridge.conversions import OrderConversion
from convert_sdk.commerce.bridge.currency import LedgerCurrency, Rate
from convert_sdk.commerce.bridge.dispatcher import Dispatcher
from convert_sdk.commerce.bridge.identity import Identity, has_objected
from convert_sdk.commerce.bridge.intake import Goals, OrderIntake, Recorded
from convert_sdk.commerce.bridge.ledger import (
    LedgerStore,
    LedgerTransaction,
    Link,
    StateAndReason,
    can_be_kept,
    forgotten,
)
from convert_sdk.commerce.bridge.orders import IdentityKey, OrderSnapshot, UnreadableOrder
from convert_sdk.commerce.bridge.reporting import loop_of, refuse_in, reporting
from convert_sdk.commerce.bridge.reports import SyncReport
from convert_sdk.commerce.bridge.sources import Source, WebhookContents, WebsiteSource, in_ledger
from convert_sdk.commerce.bridge.sync import sync
from convert_sdk.errors import OptionError, StoreError

if TYPE_CHECKING:
    from convert_sdk.async_client import AsyncClient
    from convert_sdk.client import Client
    from convert_sdk.commerce.bridge.reports import SyncProgress
    from convert_sdk.commerce.website.webhooks import WebhookEvent

_LISTED = 1_000
_KINDS: tuple[Literal["order", "reference", "member", "contact"], ...] = (
    "order", "reference", "member", "contact",
)  # fmt: skip
_log = logging.getLogger("convert_sdk")


class KnownBy(TypedDict, total=False):
    """The ids and the address that a store may know a visitor by."""

    order: str | int
    reference: str | int
    member: str | int
    contact: str | int
    email: str


class Report(NamedTuple):
    """The state of the ledger: conversions by state, and those that wait or were dropped by reason."""

    states: Mapping[str, int]
    waiting: Mapping[str, int]
    dropped: Mapping[str, int]
    resent: int
    """The number of times that a claim was sent again because its delivery stayed unknown."""
    unresolved: tuple[str, ...]
    """Transaction ids of orders whose visitor is not known, the oldest thousand."""
    unreadable: tuple[str, ...] = ()
    """Orders that cannot be counted, each with the places of what nobody can read in it, the oldest thousand."""
    reduced: tuple[str, ...] = ()
    """Transaction ids of orders that came to less after their conversion had been sent, the oldest thousand."""


@shown_half_made
class Bridge:
    """Turns what stores tell into conversions, exactly once per ledger; safe to share between threads.

    The client must have been made with `observe=[recording(ledger)]`. All methods wait for files, and some for
    stores: with an `AsyncClient` make the bridge in its loop, and call it by `asyncio.to_thread`. `handle`, `link`
    and `tick` may also run in several processes on one ledger. `on_reversed` hears of orders that were cancelled or
    refunded after their conversion had been sent.
    """

    def __init__(
        self,
        client: Client | AsyncClient,
        ledger: LedgerStore,
        *,
        goals: Goals,
        identity: Identity,
        sources: Iterable[Source] = (),
        on_reversed: Callable[[OrderConversion], object] | None = None,
        rate: Rate | None = None,
    ) -> None:
        self.client = client
        self.ledger = ledger
        self.goals = goals
        self.identity = identity
        self._given = [*sources]
        if len({source.scope for source in self._given}) != len(self._given):
            raise OptionError("two sources have the same scope: their orders could not be told apart")
        currency = LedgerCurrency(ledger, (source.rules.currency for source in self._given), rate)
        self._intake = OrderIntake(ledger, goals=goals, identity=identity, currency=currency)
        self._loop = loop_of(client)
        self._dispatcher = Dispatcher(reporting(client, self._loop), ledger, identity, on_reversed, currency)
        if not client._options.observe:
            raise OptionError("the client hears of no delivery: make it with observe=[recording(ledger)]")

    def __repr__(self) -> str:
        return f"Bridge({', '.join(source.scope for source in self._given) or 'no sources'})"

    @cached_property
    def _sources(self) -> dict[str, Source]:
        """The sources by their scopes, each under the name that the ledger began with."""
        with self.ledger.transaction() as transaction:
            return {source.scope: in_ledger(source, transaction) for source in self._given}

    # What comes in.

    def handle(
        self, received: WebhookEvent | OrderSnapshot | UnreadableOrder, *, allow_late: bool = False
    ) -> list[OrderConversion]:
        """Take in an order, or a verified webhook of the website; what may go out goes out at once.

        Bookings and forms count by the goal map; a contact that carries a visitor's token makes links. Raises
        StoreError where the ledger cannot be written, and ConnectorError where a source refetches and cannot:
        answer the webhook with 503 then.
        """
        refuse_in(self._loop)
        if isinstance(received, OrderSnapshot):
            return self._take([received], allow_late=allow_late)
        if isinstance(received, UnreadableOrder):
            return self._take([], [received], allow_late=allow_late)
        heard = self._website(received.source).read(received, self.identity, self._time())
        if heard.contact is not None:
            self._link_contact(heard)
        return self._take(heard.orders, heard.unreadable, allow_late=allow_late)

    def _take(
        self,
        orders: Sequence[OrderSnapshot],
        unreadable: Sequence[UnreadableOrder] = (),
        *,
        allow_late: bool,
    ) -> list[OrderConversion]:
        with self.ledger.transaction() as transaction:
            self._intake.note_unreadable(transaction, unreadable)
            found = [
                each
                for order in orders
                for each in self._intake.record(transaction, order, allow_late=allow_late)
            ]
        self.tick()
        with self.ledger.transaction() as transaction:
            return [transaction.conversion(each.conversion.key) or each.conversion for each in found]

    def record(
        self, transaction: LedgerTransaction, order: OrderSnapshot, *, allow_late: bool = False
    ) -> list[Recorded]:
        """Put an order into the ledger, in the caller's transaction: its conversions, and whether they are new."""
        return self._intake.record(transaction, order, allow_late=allow_late)

    def link(
        self,
        visitor_id: str | int,
        *,
        source: str | None = None,
        tracking: bool | None = None,
        **known: Unpack[KnownBy],
    ) -> bool:
        """Say from now on whose order, reference, member, contact or e-mail address this is: at the checkout, at
        a login, on the thank-you page.

        `source` is a source's `scope`, needed where there are several. After `tracking=False` no order of theirs
        is reported, however its visitor is found, until `tracking=True` is said of the same; by default it stays as it
        was. False where nothing was kept: the visitor was forgotten, or has an id with half a character, or the ledger
        could not be written, which is not raised, as a page is waiting.
        """
        visitor_id = check.visitor_id(visitor_id)
        try:
            identity_keys = self._identity_keys(known, source)
            if not identity_keys:
                raise ValueError(
                    "nothing to link: give an order, reference, member, contact or e-mail address"
                )
            return self._link(visitor_id, identity_keys, tracking)
        except StoreError as error:
            _log.warning("a link was not kept: %s", error)
            return False

    def _identity_keys(self, known: KnownBy, source: str | None) -> list[IdentityKey]:
        if unknown := set(known) - set(KnownBy.__annotations__):
            raise TypeError(f"link() got an unexpected argument {unknown.pop()!r}")
        identity_keys = [
            # Half a character, which no file takes, must not fail the page that waits.
            IdentityKey(kind, f"{self._scope(source)}:{value}".encode(errors="replace").decode())
            for kind in _KINDS
            if (value := known.get(kind)) is not None and value != ""
        ]
        email = known.get("email")
        return (
            [*identity_keys, IdentityKey("email", self.identity.email_key(email))] if email else identity_keys
        )

    def _link(self, visitor_id: str, identity_keys: Sequence[IdentityKey], tracking: bool | None) -> bool:
        now = self.ledger.clock()
        with self.ledger.transaction() as transaction:
            if not can_be_kept(visitor_id) or transaction.is_forgotten(visitor_id):
                return False
            on = tracking
            if on is None:
                on = not has_objected(visitor_id, identity_keys, transaction, now, now)
            for link in self.identity.links(visitor_id, identity_keys, now, tracking=on):
                # An objection stands for ever, its traces on other identity keys as long as any link.
                kept = link if tracking is not None else link._replace(expires=now + self.identity.ttl)
                if on:
                    _take_back(transaction, kept)
                transaction.add_link(kept)
                transaction.make_due(kept.identity_key, now)
        return True

    def _link_contact(self, heard: WebhookContents) -> None:
        visitor_id = self.identity.visitor_of(heard.contact or "")
        if visitor_id is not None:
            self._link(visitor_id, heard.identity_keys, None)

    def forget(self, visitor_id: str | int | None = None, *, email: str | None = None) -> None:
        """Delete what leads to a visitor, or from an e-mail address with the visitors it leads to.

        Nothing is kept of them from now on, nor sent but what is on its way: their orders that wait are dropped, and
        stay so whatever is heard of them. Somebody who comes back gets a new visitor id, or is let in by `readmit`.
        """
        with self.ledger.transaction() as transaction:
            gone = set() if visitor_id is None else {check.visitor_id(visitor_id)}
            if email is not None:
                identity_key = IdentityKey("email", self.identity.email_key(email))
                gone |= {link.visitor_id for link in transaction.links(identity_key)}
                for conversion in transaction.unsent_with(identity_key):
                    transaction.keep(forgotten(conversion))
                transaction.unlink(identity_key)
            for each in gone:
                self._forget(transaction, each)

    def readmit(self, visitor_id: str | int) -> None:
        """Let a visitor who was forgotten be counted again, from now on; what was deleted stays deleted."""
        with self.ledger.transaction() as transaction:
            transaction.readmit(check.visitor_id(visitor_id))

    def _forget(self, transaction: LedgerTransaction, visitor_id: str) -> None:
        now = self.ledger.clock()
        for conversion in transaction.unsent_of(visitor_id):
            match = self.identity.match(conversion.order, transaction, now, self.ledger.policy.slack)
            if match is not None and match.visitor_id == visitor_id:
                transaction.keep(forgotten(conversion))
        transaction.forget(visitor_id)

    # What goes out.

    def tick(self) -> int:
        """Do what is due: call it every second or so. The number of conversions that were handed to the client."""
        refuse_in(self._loop)
        return self._dispatcher.tick()

    # Everything else.

    def sync(
        self, *, allow_late: bool = False, progress: Callable[[SyncProgress], object] | None = None
    ) -> SyncReport:
        """Pull from every source what its webhooks may have missed, and go on where the last pull was cut off.

        Orders older than the policy's `max_age` are not counted, as Convert would count them now, unless
        `allow_late`. A list that cannot be read keeps no other from being read: its ConnectorError is raised at the
        end; that of several is a SyncError with the error of each, and with the report of what was read and kept.
        """
        refuse_in(self._loop)
        return sync(
            self._intake, self._sources.values(), tick=self.tick, allow_late=allow_late, progress=progress
        )

    def report(self) -> Report:
        """The state of the ledger."""
        with self.ledger.transaction() as transaction:
            tally, resent = transaction.tally(), transaction.resent()
            unresolved = tuple(each.transaction_id for each in transaction.waiting("unresolved", _LISTED))
            reduced = tuple(each.transaction_id for each in transaction.waiting("reduced", _LISTED))
            unreadable = tuple(transaction.unreadable(_LISTED))
        return Report(
            _summed(tally, lambda each: each.state),
            _summed(tally, lambda each: each.reason if each.state == "waiting" else None),
            _summed(tally, lambda each: each.reason if each.state == "dropped" else None),
            resent,
            unresolved,
            unreadable,
            reduced,
        )

    def _time(self) -> datetime:
        return datetime.fromtimestamp(self.ledger.clock(), UTC)

    def _scope(self, source: str | None) -> str:
        if source is not None:
            found = self._sources.get(source) or self._sources.get(canonical_scope(source))
            if found is None:
                raise ValueError(f"no such source: {source!r}; known are {', '.join(self._sources)}")
            return found.scope
        if len(self._sources) != 1:
            raise ValueError("which source's ids are these? give source, the scope of one of them")
        return next(iter(self._sources.values())).scope

    def _website(self, site: str) -> WebsiteSource:
        websites = [source for source in self._sources.values() if isinstance(source, WebsiteSource)]
        found = (
            websites
            if len(websites) == 1
            else [each for each in websites if canonical_site(site) in _sites_of(each)]
        )
        if not found:
            raise ValueError(f"no source for webhooks of {site!r}: give the bridge a WebsiteSource")
        return found[0]


def _sites_of(source: WebsiteSource) -> set[str]:
    """The names that webhooks of a source may say: its domain, or the account in place of it."""
    return {source.client.site, canonical_site(source.site)}


def _take_back(transaction: LedgerTransaction, consent: Link) -> None:
    """Let what a visitor objected by the same identity key end with the consent to it."""
    for link in transaction.links(consent.identity_key):
        if link.visitor_id == consent.visitor_id and not link.tracking:
            transaction.add_link(link._replace(expires=min(link.expires, consent.expires)))


def _summed(
    tally: Mapping[StateAndReason, int], name_of: Callable[[StateAndReason], str | None]
) -> dict[str, int]:
    """The sums by name, without what has none."""
    totals: Counter[str] = Counter()
    for each, count in tally.items():
        name = name_of(each)
        if name is not None:
            totals[name] += count
    return dict(totals)
