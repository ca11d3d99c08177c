"""Where orders come from: what each store system's records and lists mean to the bridge."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, NamedTuple, TypeVar

from pydantic import TypeAdapter

from convert_sdk.commerce._pages import Page, Pages
from convert_sdk.commerce.bridge.effects import DAY
from convert_sdk.commerce.bridge.identity import Identity
from convert_sdk.commerce.bridge.orders import (
    DEFAULT_BUYER,
    DEFAULT_WEBSITE,
    TOKEN_FIELD,
    BuyerRules,
    Clue,
    ClueKind,
    Order,
    WebsiteRules,
    from_booking,
    from_convictional,
    from_form,
    from_submission,
    from_website,
)
from convert_sdk.commerce.convictional import BuyerClient, BuyerOrder
from convert_sdk.commerce.website import Order as WebsiteOrder
from convert_sdk.commerce.website import WebsiteClient
from convert_sdk.commerce.website.webhooks import (
    BookingCreated,
    ContactUpdated,
    Event,
    FormSubmitted,
    OrderEvent,
)
from convert_sdk.errors import NotFoundError, ServerError

T = TypeVar("T")
_PAGE = 50
_REDONE = 3
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class Told(NamedTuple):
    """What a webhook says: orders, or a contact's token and what the contact is known by."""

    orders: tuple[Order, ...] = ()
    contact: str | None = None
    clues: tuple[Clue, ...] = ()


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a stream stands: all before `until` (epoch seconds) is read; a scan under way goes from `start` to
    `end` and has read `place` rows or pages.
    """

    until: float | None = None
    start: float | None = None
    end: float | None = None
    place: int = 0
    total: int | None = None
    newest: float | None = None
    redone: int = 0
    last: str = ""

    def opened(self, start: float, end: float) -> Cursor:
        """A scan begins."""
        return Cursor(self.until, start, end)

    def closed(self, until: float) -> Cursor:
        """The scan is complete."""
        return Cursor(until)

    @property
    def is_open(self) -> bool:
        """Whether a scan is under way."""
        return self.end is not None


CURSOR: TypeAdapter[Cursor] = TypeAdapter(Cursor)


class Read(NamedTuple):
    """A page of a stream: its orders and where the stream stands after it."""

    orders: tuple[Order, ...]
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class Stream:
    """One list that is pulled: `read` takes a page; a scan starts when the last one is `every` seconds old."""

    name: str
    read: Callable[[Cursor, float], Read]
    every: float = 0.0

    def is_due(self, cursor: Cursor, now: float) -> bool:
        """Whether there is anything to read."""
        return cursor.is_open or cursor.until is None or now - cursor.until >= self.every


@dataclass(frozen=True, slots=True)
class WebsiteSource:
    """A website's orders, bookings and forms.

    Webhooks of orders are hints: the order is read again, so that late and stale ones do no harm; with
    `refetch=False` their bodies are believed. Forms count by their `webhook`s, or by the `list`: the two
    cannot be told to be the same form. `first` is how far back the first pull looks; `overlap` and `lag` allow
    for clocks and slow writes; orders of the last `rescan` seconds are read again once a day, as the API
    cannot list what changed. Bookings are read whole, up to `horizon` ahead; what the first reading finds was
    made at an unknown time, and is not counted.

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

    @property
    def site(self) -> str:
        """The site's domain."""
        return self.client.site

    @property
    def scope(self) -> str:
        """Whose ids its ids are."""
        return f"website:{self.site}"

    def order(self, record: WebsiteOrder, identity: Identity) -> Order | None:
        """What one of its orders means; None for one without an id."""
        return from_website(record, self.site, identity.email_key, rules=self.rules)

    def read(self, event: Event, identity: Identity, now: datetime) -> Told:
        """What a verified webhook says."""
        email = identity.email_key
        if isinstance(event, OrderEvent):
            order = self.order(self._latest(event), identity)
            return Told(() if order is None else (order,))
        if isinstance(event, BookingCreated):
            booking = from_booking(event.booking, self.site, email, seen=now)
            return Told(() if booking is None else (booking,))
        if isinstance(event, FormSubmitted) and self.forms == "webhook":
            return Told((from_form(event.form, self.site, email, seen=now),))
        if isinstance(event, ContactUpdated):
            return self._known_contact(event)
        return Told()

    def _latest(self, event: OrderEvent) -> WebsiteOrder:
        if not self.refetch or event.order.id is None:
            return event.order
        try:
            return self.client.orders.get(event.order.id)
        except NotFoundError:
            return event.order  # deleted meanwhile: the webhook is all there is

    def _known_contact(self, event: ContactUpdated) -> Told:
        contact = event.contact
        found: tuple[tuple[ClueKind, int | str | None], ...] = (
            ("contact", contact.id), ("member", contact.member_id),
        )  # fmt: skip
        clues = tuple(Clue(kind, f"{self.scope}:{value}") for kind, value in found if value is not None)
        return Told(contact=contact.property(TOKEN_FIELD), clues=clues)

    def streams(self, identity: Identity) -> list[Stream]:
        """The lists to pull."""
        email = identity.email_key
        streams = [
            Stream("orders", lambda cursor, now: self._orders(cursor, now, identity)),
            Stream("orders-again", lambda cursor, now: self._orders_again(cursor, now, identity), every=DAY),
        ]
        if self.bookings:
            streams.append(Stream("bookings", lambda cursor, now: self._bookings(cursor, now, identity)))
        if self.forms == "list":

            def submitted(cursor: Cursor, now: float) -> Read:
                scan = cursor if cursor.is_open else self._next_window(cursor, now)
                span = {"received_min": int(scan.start or 0), "received_max": int(scan.end or 0)}
                pages = self.client.form_submissions.list(**span, limit=_PAGE, skip=scan.place)
                return _by_skip(scan, pages, lambda form: from_submission(form, self.site, email))

            streams.append(Stream("forms", submitted))
        return streams

    def _next_window(self, cursor: Cursor, now: float) -> Cursor:
        start = now - self.first if cursor.until is None else cursor.until - self.overlap
        return cursor.opened(start, now - self.lag)

    def _orders(self, cursor: Cursor, now: float, identity: Identity) -> Read:
        return self._window(cursor if cursor.is_open else self._next_window(cursor, now), identity)

    def _orders_again(self, cursor: Cursor, now: float, identity: Identity) -> Read:
        if cursor.until is None and not cursor.is_open:
            return Read((), cursor.closed(now))  # the first pull has just read them
        opened = cursor if cursor.is_open else cursor.opened(now - self.rescan, now - self.lag)
        return self._window(opened, identity)

    def _window(self, scan: Cursor, identity: Identity) -> Read:
        pages = self.client.orders.list(
            created_at_min=int(scan.start or 0),
            created_at_max=int(scan.end or 0),
            limit=_PAGE,
            skip=scan.place,
        )
        return _by_skip(scan, pages, lambda record: self.order(record, identity))

    def _bookings(self, cursor: Cursor, now: float, identity: Identity) -> Read:
        scan = cursor if cursor.is_open else cursor.opened(now - DAY, now + self.horizon)
        seen = _LONG_AGO if cursor.until is None else datetime.fromtimestamp(now, UTC)
        pages = self.client.bookings.list(
            start_min=int(scan.start or 0), start_max=int(scan.end or 0), limit=_PAGE, skip=scan.place
        )
        read = _by_skip(
            scan, pages, lambda each: from_booking(each, self.site, identity.email_key, seen=seen)
        )
        return read if read.cursor.is_open else Read(read.orders, cursor.closed(now))


@dataclass(frozen=True, slots=True)
class ConvictionalSource:
    """A buyer's orders under the name `account`, which makes their transaction ids: keep it the same.

    `first` is how far back the first pull looks (by change), `overlap` allows for clocks.

    >>> ConvictionalSource(BuyerClient("api-key"), "acme").scope
    'convictional:acme'
    """

    client: BuyerClient
    account: str
    rules: BuyerRules = DEFAULT_BUYER
    first: float = 7 * DAY
    overlap: float = 300.0

    @property
    def scope(self) -> str:
        """Whose ids its ids are."""
        return f"convictional:{self.account}"

    def order(self, record: BuyerOrder, identity: Identity) -> Order | None:
        """What one of its orders means; None for a test, or one without an id."""
        return from_convictional(record, self.account, identity.email_key, rules=self.rules)

    def streams(self, identity: Identity) -> list[Stream]:
        """The lists to pull."""
        return [Stream("orders", lambda cursor, now: self._orders(cursor, now, identity))]

    def _orders(self, cursor: Cursor, now: float, identity: Identity) -> Read:
        if not cursor.is_open:
            start = now - self.first if cursor.until is None else cursor.until - self.overlap
            cursor = cursor.opened(start, now)
        since = datetime.fromtimestamp(cursor.start or 0.0, UTC)
        listed = self.client.orders.list(updated_min=since, page=cursor.place or None)
        page = next(listed.pages())
        cursor = _not_repeated(cursor, page)
        updated = [order.updated.timestamp() for order in page if order.updated is not None]
        newest = max([*updated, *([] if cursor.newest is None else [cursor.newest])], default=None)
        orders = [self.order(each, identity) for each in page]
        moved = replace(cursor, place=cursor.place + 1, newest=newest)
        if page.next is None:
            moved = cursor.closed(max(newest or 0.0, cursor.until or cursor.start or 0.0))
        return Read(tuple(order for order in orders if order is not None), moved)


def _by_skip(scan: Cursor, pages: Pages[T], convert: Callable[[T], Order | None]) -> Read:
    """The next page of a scan; a total that changes meanwhile may have moved rows, so the scan begins anew."""
    page = next(pages.pages())
    if scan.place and page.total_count != scan.total and scan.redone < _REDONE:
        return Read((), replace(scan, place=0, total=None, redone=scan.redone + 1, last=""))
    scan = _not_repeated(scan, page)
    place = scan.place + len(page)
    complete = (
        not page.items or page.skip is None or (page.total_count is not None and place >= page.total_count)
    )
    moved = scan.closed(scan.end or 0.0) if complete else replace(scan, place=place, total=page.total_count)
    orders = (convert(item) for item in page)
    return Read(tuple(order for order in orders if order is not None), moved)


def _not_repeated(scan: Cursor, page: Page[T]) -> Cursor:
    digest = hashlib.sha256(repr([getattr(item, "id", None) for item in page]).encode()).hexdigest()[:16]
    if page.items and getattr(page.items[0], "id", None) is not None and digest == scan.last:
        raise ServerError("the list repeats its pages: the paging parameters have no effect")
    return replace(scan, last=digest)
