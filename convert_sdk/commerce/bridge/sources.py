"""The sources of orders: the records and lists of each store system, as the bridge reads them."""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, NamedTuple, TypeVar

from convert_sdk._core.half_made import shown_half_made
from convert_sdk.commerce._pages import Page
from convert_sdk.commerce._sites import canonical_scope
from convert_sdk.commerce._wire import Id
from convert_sdk.commerce.bridge.conversions import DAY
from convert_sdk.commerce.bridge.cursors import Cursor, Read, Stream, by_page, by_skip
from convert_sdk.commerce.bridge.identity import Identity
from convert_sdk.commerce.bridge.ledger import LedgerTransaction
from convert_sdk.commerce.bridge.orders import (
    DEFAULT_BUYER,
    DEFAULT_WEBSITE,
    TOKEN_FIELD,
    UNKNOWN,
    BuyerRules,
    IdentityKey,
    IdentityKeyKind,
    OrderSnapshot,
    UnreadableOrder,
    WebsiteRules,
    from_booking,
    from_convictional,
    from_form,
    from_submission,
    from_website,
    person_id,
)
from convert_sdk.commerce.convictional import BuyerClient, BuyerOrder
from convert_sdk.commerce.errors import NotFoundError, ServerError
from convert_sdk.commerce.website import Booking, Contact, WebsiteClient
from convert_sdk.commerce.website import Order as WebsiteOrder
from convert_sdk.commerce.website.webhooks import (
    BookingCreated,
    ContactUpdated,
    FormSubmitted,
    OrderEvent,
    WebhookEvent,
)
from convert_sdk.errors import OptionError

_PAGE = 50
AnySource = TypeVar("AnySource", bound="Source")
_log = logging.getLogger("convert_sdk")


class WebhookContents(NamedTuple):
    """The contents of a webhook: orders, or a contact's token and the keys that the contact is known by."""

    orders: tuple[OrderSnapshot, ...] = ()
    contact: str | None = None
    identity_keys: tuple[IdentityKey, ...] = ()
    unreadable: tuple[UnreadableOrder, ...] = ()


def _contents(order: OrderSnapshot | UnreadableOrder | None) -> WebhookContents:
    if isinstance(order, UnreadableOrder):
        return WebhookContents(unreadable=(order,))
    return WebhookContents(() if order is None else (order,))


@functools.cache
def _warn_of_unsigned(topic: str) -> None:
    """Say once that webhooks of a topic do not count."""
    _log.warning(
        "an unsigned webhook of %s is not believed, so it does not count: give its receiver the secret, or have "
        'a pull find them by WebsiteSource(bookings=True, forms="list")',
        topic,
    )


def in_ledger(source: AnySource, transaction: LedgerTransaction) -> AnySource:
    """The source under the name that the ledger knows it by: another spelling would count its orders again."""
    if not isinstance(source, WebsiteSource) or source.account is not None:
        return source
    kept = transaction.scope_of(canonical_scope(source.scope))
    return source if kept == source.scope else replace(source, account=kept.partition(":")[2])


@shown_half_made
@dataclass(frozen=True, slots=True)
class WebsiteSource:
    """A website's orders, bookings and forms.

    Webhooks of orders are hints: the order is read again, so that late and stale ones do no harm; with
    `refetch=False` their bodies are believed. Forms count by their `webhook`s, or by the `list`: the two
    cannot be told to be the same form. `first` is how far back the first pull looks; `overlap` and `lag` allow
    for clocks and slow writes; once a day orders are read again that were younger than `rescan` seconds at the
    last such reading, as the API cannot list what changed. Bookings are read whole, up to `horizon` ahead. The
    API does not say when one was made: it counts from when it was first seen, for what had been shown before the
    reading that had not found it. `account` names the site in transaction ids in place of its domain.

    >>> WebsiteSource(WebsiteClient("shop.example.com", "api-key")).scope
    'website:shop.example.com'
    """

    client: WebsiteClient
    rules: WebsiteRules = DEFAULT_WEBSITE
    refetch: bool = True
    forms: Literal["webhook", "list"] = "webhook"
    first: float = 7 * DAY
    overlap: float = 3600.0
    lag: float = 5.0
    rescan: float = 7 * DAY
    horizon: float = 365 * DAY
    bookings: bool = True
    account: str | None = None

    def __post_init__(self) -> None:
        if self.forms not in ("webhook", "list"):
            raise OptionError(f'forms must be "webhook" or "list", not {self.forms!r}')

    @property
    def site(self) -> str:
        """The name of the site in transaction ids: `account`, or else its domain in the one spelling of all."""
        return self.client.site if self.account is None else self.account

    @property
    def scope(self) -> str:
        """The owner of its ids."""
        return f"website:{self.site}"

    def order(
        self, record: WebsiteOrder, identity: Identity, *, read_at: datetime | None = None
    ) -> OrderSnapshot | UnreadableOrder | None:
        """One of its orders, as it was when it was asked for; None for one without an id."""
        order = from_website(record, self.site, identity.email_key, rules=self.rules)
        if isinstance(order, OrderSnapshot) and read_at is not None:
            return replace(order, version=read_at)
        return order

    def read(self, event: WebhookEvent, identity: Identity, now: datetime) -> WebhookContents:
        """The contents of a webhook; of one that is not signed, what the store says of it when asked."""
        email = identity.email_key
        if isinstance(event, OrderEvent):
            record = self._latest(event)
            if record is None:
                return WebhookContents()
            # A body says nothing of when it was true: only what was read again is later than something else.
            order = self.order(record, identity, read_at=None if record is event.order else now)
            return _contents(order)
        if isinstance(event, ContactUpdated):
            contact = event.contact if event.signed else self._asked(event.contact)
            return WebhookContents() if contact is None else self._known_contact(contact)
        if not event.signed:
            self._warn_of_loss(event)
            return WebhookContents()
        if isinstance(event, BookingCreated):
            return _contents(from_booking(event.booking, self.site, email, seen=now))
        if isinstance(event, FormSubmitted) and self.forms == "webhook":
            return WebhookContents((from_form(event.form, self.site, email, seen=now),))
        return WebhookContents()

    def _latest(self, event: OrderEvent) -> WebsiteOrder | None:
        """The order as it is now; None for one that anybody can have made up."""
        told = event.order if event.signed else None
        if event.order.id is None or (event.signed and not self.refetch):
            return told
        try:
            return self._read_again(event.order.id)
        except NotFoundError:
            return told  # deleted meanwhile: the webhook is all there is

    def _read_again(self, order_id: Id) -> WebsiteOrder:
        """The order at the store. Raises ServerError where the answer is another one, which would count as this one."""
        record = self.client.orders.get(order_id)
        if record.id is not None and str(record.id) != str(order_id):
            raise ServerError(f"GET /orders/{order_id} answered with another order")
        return record

    def _asked(self, contact: Contact) -> Contact | None:
        """The contact as the store has it."""
        try:
            return None if contact.id is None else self.client.contacts.get(contact.id)
        except NotFoundError:
            return None

    def _warn_of_loss(self, event: WebhookEvent) -> None:
        """Say of an unsigned webhook if no pull will find what it told."""
        is_lost = isinstance(event, FormSubmitted) and self.forms == "webhook"
        if is_lost or (isinstance(event, BookingCreated) and not self.bookings):
            _warn_of_unsigned(event.topic)

    def _known_contact(self, contact: Contact) -> WebhookContents:
        found: tuple[tuple[IdentityKeyKind, int | str | None], ...] = (
            ("contact", contact.id), ("member", contact.member_id),
        )  # fmt: skip
        identity_keys = tuple(
            IdentityKey(kind, f"{self.scope}:{value}")
            for kind, value in found
            if person_id(value) is not None
        )
        return WebhookContents(contact=contact.property(TOKEN_FIELD), identity_keys=identity_keys)

    def ask(self, order_id: str, identity: Identity, now: float) -> OrderSnapshot | UnreadableOrder | None:
        """One order as it is now. Raises ConnectorError where the store cannot be asked."""
        record = self._read_again(order_id)
        return self.order(record, identity, read_at=datetime.fromtimestamp(now, UTC))

    def streams(self, identity: Identity) -> list[Stream]:
        """The lists to pull."""
        streams = [
            Stream("orders", lambda cursor, now: self._orders(cursor, now, identity)),
            Stream("orders-again", lambda cursor, now: self._orders_again(cursor, now, identity), every=DAY),
        ]
        if self.bookings:
            streams.append(Stream("bookings", lambda cursor, now: self._bookings(cursor, now, identity)))
        if self.forms == "list":
            streams.append(Stream("forms", lambda cursor, now: self._forms(cursor, now, identity)))
        return streams

    def _next_window(self, cursor: Cursor, now: float) -> Cursor:
        if cursor.is_open:
            return cursor
        if cursor.until is None:
            cursor = cursor.closed(now - self.first)
            return cursor.opened(now - self.first, now - self.lag)
        return cursor.opened(cursor.until - self.overlap, now - self.lag)

    def _orders(self, cursor: Cursor, now: float, identity: Identity) -> Read:
        return self._window(self._next_window(cursor, now), now, identity)

    def _orders_again(self, cursor: Cursor, now: float, identity: Identity) -> Read:
        if cursor.until is None and not cursor.is_open:
            return Read((), cursor.closed(now))  # the first pull has just read them
        if not cursor.is_open:  # what was young at the last scan may have been paid since
            cursor = cursor.opened((cursor.until or now) - self.rescan, now - self.lag)
        return self._window(cursor, now, identity)

    def _window(self, scan: Cursor, now: float, identity: Identity) -> Read:
        pages = self.client.orders.list(
            created_at_min=int(scan.start or 0),
            created_at_max=int(scan.end or 0),
            limit=_PAGE,
            skip=scan.place,
        )
        read_at = datetime.fromtimestamp(now, UTC)

        def order(record: WebsiteOrder) -> OrderSnapshot | UnreadableOrder | None:
            return self.order(record, identity, read_at=read_at)

        return by_skip(scan, next(pages.pages()), order, f"{self.scope}/orders")

    def _forms(self, cursor: Cursor, now: float, identity: Identity) -> Read:
        scan = self._next_window(cursor, now)
        span = {"received_min": int(scan.start or 0), "received_max": int(scan.end or 0)}
        pages = self.client.form_submissions.list(**span, limit=_PAGE, skip=scan.place)
        email = identity.email_key
        page, listed = next(pages.pages()), f"{self.scope}/forms"
        return by_skip(scan, page, lambda form: from_submission(form, self.site, email), listed)

    def _bookings(self, cursor: Cursor, now: float, identity: Identity) -> Read:
        scan = cursor if cursor.is_open else cursor.opened(now - DAY, now + self.horizon)
        pages = self.client.bookings.list(
            start_min=int(scan.start or 0), start_max=int(scan.end or 0), limit=_PAGE, skip=scan.place
        )
        seen = datetime.fromtimestamp(now, UTC)

        def booked(booking: Booking) -> OrderSnapshot | UnreadableOrder | None:
            earliest = self._earliest(booking, scan)
            return from_booking(booking, self.site, identity.email_key, seen=seen, earliest=earliest)

        read = by_skip(scan, next(pages.pages()), booked, f"{self.scope}/bookings")
        is_complete = not (read.cursor.is_open or read.unsettled)
        return read._replace(cursor=cursor.closed((scan.start or 0.0) + DAY)) if is_complete else read

    def _earliest(self, booking: Booking, scan: Cursor) -> datetime:
        """The start of the last scan that would have found it, had it been there; unknown for the first scan."""
        if scan.until is None or booking.start is None:
            return UNKNOWN
        was_in_view = booking.start.timestamp() <= scan.until + self.horizon
        return datetime.fromtimestamp(scan.until - self.lag, UTC) if was_in_view else UNKNOWN


@shown_half_made
@dataclass(frozen=True, slots=True)
class ConvictionalSource:
    """A buyer's orders under the name `account`, which makes their transaction ids: keep it the same.

    `first` is how far back the first pull looks (by change), `overlap` allows for clocks. `first_page` is the
    number of a list's first page: 0 by the documentation, though a sample of the vendor's begins with 1.

    >>> ConvictionalSource(BuyerClient("api-key"), "acme").scope
    'convictional:acme'
    """

    client: BuyerClient
    account: str
    rules: BuyerRules = DEFAULT_BUYER
    first: float = 7 * DAY
    overlap: float = 300.0
    first_page: int = 0

    @property
    def scope(self) -> str:
        """The owner of its ids."""
        return f"convictional:{self.account}"

    def order(self, record: BuyerOrder, identity: Identity) -> OrderSnapshot | UnreadableOrder | None:
        """One of its orders; None for a test, or one without an id."""
        return from_convictional(record, self.account, identity.email_key, rules=self.rules)

    def streams(self, identity: Identity) -> list[Stream]:
        """The lists to pull."""
        return [Stream("orders", lambda cursor, now: self._orders(cursor, now, identity))]

    def _orders(self, cursor: Cursor, now: float, identity: Identity) -> Read:
        scan = self._opened(cursor, now)
        since = datetime.fromtimestamp(scan.start or 0.0, UTC)

        def page_of(number: int) -> Page[BuyerOrder]:
            page = number + self.first_page if number else None
            return next(self.client.orders.list(updated_min=since, page=page).pages())

        page = page_of(scan.place)
        before = page_of(scan.place - 1) if scan.place else None
        read = [*page, *(before or ())]
        updated = [order.updated.timestamp() for order in read if order.updated is not None]
        newest = max([*updated, *([] if scan.newest is None else [scan.newest])], default=None)
        placed = replace(scan, newest=newest)
        listed = f"{self.scope}/orders"
        return by_page(placed, page, before, lambda each: self.order(each, identity), listed)

    def _opened(self, cursor: Cursor, now: float) -> Cursor:
        if cursor.is_open:
            return cursor
        if cursor.until is None:
            cursor = cursor.closed(now - self.first)
            return cursor.opened(now - self.first, now)
        return cursor.opened(cursor.until - self.overlap, now)


Source = WebsiteSource | ConvictionalSource
"""A store that orders come from."""
