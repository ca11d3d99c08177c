"""Orders, bookings and forms in one form for all stores."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from convert_sdk._core.half_made import shown_half_made
from convert_sdk.commerce.bridge.money import less, pieces, rounded, times, total
from convert_sdk.commerce.website.webhooks import FORM_WINDOW
from convert_sdk.errors import OptionError

if TYPE_CHECKING:
    from convert_sdk.commerce._wire import StoreRecord
    from convert_sdk.commerce.convictional import BuyerOrder, BuyerOrderItem
    from convert_sdk.commerce.website import Booking, FormSubmission
    from convert_sdk.commerce.website import Order as WebsiteOrder
    from convert_sdk.commerce.website.webhooks import SubmittedForm

_log = logging.getLogger("convert_sdk")

TOKEN_FIELD = "convert_visitor_id"  # noqa: S105 - the name of a field
UNKNOWN = datetime(1970, 1, 1, tzinfo=UTC)

Kind: TypeAlias = Literal["order", "booking", "form"]
IdentityKeyKind: TypeAlias = Literal["order", "reference", "member", "contact", "email"]
Email: TypeAlias = Callable[[str], str]
"""An e-mail address to its keyed hash."""


class IdentityKey(NamedTuple):
    """Something that a link may lead to a visitor."""

    kind: IdentityKeyKind
    value: str

    def __repr__(self) -> str:
        return f"IdentityKey({self.kind!r})"


@shown_half_made
@dataclass(frozen=True, slots=True)
class OrderSnapshot:
    """An order, booking or submitted form at one moment.

    `paid` says whether it counts, `topic` what a goal map is asked with (the event of a booking, the name of
    a form), `service` what it is asked with next (of a booking), `version` when it last changed, where the store
    says so. An e-mail address is here only as a keyed hash. `earliest` is set where the store does not say when
    it was made: `created` is when it was first seen then, and this the earliest moment it can have been made
    (`UNKNOWN` if even that is not known).

    >>> placed = datetime(2026, 5, 1, tzinfo=UTC)
    >>> order = OrderSnapshot("website", "shop.example.com", "7", placed, amount=Decimal("49.90"))
    >>> order.transaction_id
    'website:shop.example.com:7'
    """

    system: str
    account: str
    id: str
    created: datetime
    kind: Kind = "order"
    topic: str = ""
    service: str = ""
    paid: bool = False
    cancelled: bool = False
    refunded: bool = False
    amount: Decimal | None = None
    currency: str | None = None
    products: int | None = None
    token: str | None = field(default=None, repr=False)
    reference: str | None = field(default=None, repr=False)
    member_id: str | None = field(default=None, repr=False)
    contact_id: str | None = field(default=None, repr=False)
    email_key: str | None = field(default=None, repr=False)
    version: datetime | None = None
    earliest: datetime | None = None

    def __post_init__(self) -> None:
        _check_moment("created", self.created)
        for name in ("version", "earliest"):
            if getattr(self, name) is not None:
                _check_moment(name, getattr(self, name))
        object.__setattr__(self, "amount", _amount(self.amount))

    @property
    def scope(self) -> str:
        """The owner of the ids: the system and the account in it."""
        return f"{self.system}:{self.account}"

    @property
    def transaction_id(self) -> str:
        """The name of it to Convert, the same from its creation on."""
        return f"{self.scope if self.kind == 'order' else f'{self.kind}:{self.account}'}:{self.id}"

    @property
    def identity_keys(self) -> tuple[IdentityKey, ...]:
        """The keys that may lead to its visitor, the surest first."""
        own = IdentityKey("order", f"{self.scope}:{self.id}")
        others: tuple[tuple[IdentityKeyKind, str | None], ...] = (
            ("reference", self.reference), ("member", self.member_id), ("contact", self.contact_id),
        )  # fmt: skip
        found = [IdentityKey(kind, f"{self.scope}:{value}") for kind, value in others if value is not None]
        email = [] if self.email_key is None else [IdentityKey("email", self.email_key)]
        return (*([own] if self.kind == "order" else []), *found, *email)

    def merged(self, other: OrderSnapshot) -> OrderSnapshot:
        """This and another moment of it: the later one counts, or, if nobody knows which, a payment or an end in
        either.
        """
        newer = self if self.version and other.version and other.version < self.version else other
        older = other if newer is self else self
        known = self.is_later_than(other) or other.is_later_than(self)
        return replace(
            newer,
            created=min(self.created, other.created),
            earliest=_earliest(self, other),
            paid=newer.paid or (older.paid and not known),
            cancelled=newer.cancelled or (older.cancelled and not known),
            refunded=newer.refunded or (older.refunded and not known),
            token=newer.token or older.token,
            reference=newer.reference or older.reference,
            member_id=newer.member_id or older.member_id,
            contact_id=newer.contact_id or older.contact_id,
            email_key=newer.email_key or older.email_key,
            version=newer.version or older.version,
        )

    def is_later_than(self, other: OrderSnapshot) -> bool:
        """True if this is known to be a later moment."""
        return self.version is not None and other.version is not None and self.version > other.version

    def anonymous(self) -> OrderSnapshot:
        """The same without what could lead to a person."""
        return replace(self, token=None, reference=None, member_id=None, contact_id=None, email_key=None)


def _check_moment(name: str, moment: object) -> None:
    if not isinstance(moment, datetime):
        raise TypeError(f"{name}: expected a datetime with a time zone, not {type(moment).__name__}")
    if moment.utcoffset() is None:
        raise ValueError(f"{name}: a naive datetime could mean any time zone: give it one, as tzinfo=UTC")


def _amount(given: object) -> Decimal | None:
    """The amount, which a whole number is too; a float is not, as it has no last digit."""
    if isinstance(given, int) and not isinstance(given, bool):
        return Decimal(given)
    if given is not None and not isinstance(given, Decimal):
        raise TypeError(
            f'amount: expected a Decimal of major units, as Decimal("49.90"), not {type(given).__name__}'
        )
    if given is not None and not given.is_finite():
        raise ValueError(f"amount: expected a number of major units, or None, not {given}")
    return given


AmountRule: TypeAlias = "Literal['total', 'sub_total', 'net'] | Callable[[WebsiteOrder], Decimal | None]"
Trigger: TypeAlias = Literal["paid", "created", "completed"]


@shown_half_made
@dataclass(frozen=True, slots=True)
class WebsiteRules:
    """The rules by which a website's orders count.

    `amount`: the order's `total`, its `sub_total`, `net` (the total without shipping and taxes), or a function
    of the order that gives major units or None. `counts_when` it is `paid`, `created` or `completed`. The API
    names no currency: say which one, and how many `digits` it has.
    """

    amount: AmountRule = "total"
    counts_when: Trigger = "paid"
    currency: str | None = None
    digits: int = 2

    def __post_init__(self) -> None:
        if not callable(self.amount) and self.amount not in ("total", "sub_total", "net"):
            raise OptionError(
                f'amount must be "total", "sub_total", "net" or a function of the order, not {self.amount!r}'
            )
        if self.counts_when not in ("paid", "created", "completed"):
            raise OptionError(
                f'counts_when must be "paid", "created" or "completed", not {self.counts_when!r}'
            )
        _check_digits(self.digits)


@shown_half_made
@dataclass(frozen=True, slots=True)
class BuyerRules:
    """The rules by which a buyer's orders count: at first sight, or `when_posted` by all sellers.

    The API names no total. Without `amount` it is the sum of retail prices of the lines that are not cancelled, and
    none if any of them lacks its price or quantity: the order counts without an amount then. What the buyer pays the
    sellers is never taken for revenue.
    """

    amount: Callable[[BuyerOrder], Decimal | None] | None = None
    when_posted: bool = False
    currency: str | None = None
    digits: int = 2

    def __post_init__(self) -> None:
        if self.amount is not None and not callable(self.amount):
            raise OptionError(f"amount must be a function of the order or None, not {self.amount!r}")
        _check_digits(self.digits)


def _check_digits(digits: object) -> None:
    if isinstance(digits, bool) or not isinstance(digits, int) or digits < 0:
        raise OptionError(f"digits must be a whole number, 0 or more, not {digits!r}")


DEFAULT_WEBSITE = WebsiteRules()
DEFAULT_BUYER = BuyerRules()


class UnreadableOrder(NamedTuple):
    """An order that cannot be counted: its `name` to us, and the places of what nobody can read in it."""

    name: str
    places: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(self.places)})"


def from_website(
    order: WebsiteOrder, site: str, email: Email, *, rules: WebsiteRules = DEFAULT_WEBSITE
) -> OrderSnapshot | UnreadableOrder | None:
    """A website's order; None for one without an id.

    One whose id, time, state or amount is there and cannot be read is an `UnreadableOrder`.

    >>> from convert_sdk.commerce.website import Order as WebsiteOrder
    >>> read = WebsiteOrder.model_validate({"id": 7, "created": 1777000000, "total": 49.9, "paid": True})
    >>> from_website(read, "shop.example.com", str).amount
    Decimal('49.90')
    """
    needed = {"id", "created", "status", *_amount_places(rules.amount)}
    needed |= {"paid"} if rules.counts_when == "paid" else set()
    odd = tuple(place for place in order.unreadable if _POSITION.sub("[]", place) in needed)
    computed = _computed(lambda: _website_amount(order, rules.amount), rules.digits)
    if odd or not computed.is_good:
        return UnreadableOrder(f"website:{site}:{_named(order.id)}", odd or ("amount",))
    if order.id is None:
        return None
    status = str(order.status or "")
    counts = {"paid": bool(order.paid), "created": True, "completed": status == "completed"}
    return OrderSnapshot(
        system="website",
        account=site,
        id=str(order.id),
        created=order.created or _now(),
        earliest=None if order.created else UNKNOWN,
        paid=counts[rules.counts_when],
        cancelled=status == "canceled",
        amount=computed.amount,
        currency=rules.currency,
        products=_pieces(order, [item.quantity for item in order.items]),
        token=order.field(TOKEN_FIELD),
        member_id=person_id(order.member_id),
        contact_id=person_id(order.contact_id),
        email_key=_key(order.customer_email, email),
    )


_POSITION = re.compile(r"\[\d+\]")


def _amount_places(rule: AmountRule) -> set[str]:
    """The places that an amount is read from, those in a list without their positions."""
    if rule == "sub_total":
        return {"subTotal"}
    if rule == "net":
        return {"total", "shippingAmount", "taxes", "taxes[].total"}
    return {"total"} if rule == "total" else set()


class _Computed(NamedTuple):
    """An amount, if there is one, and whether it could be computed."""

    amount: Decimal | None
    is_good: bool


def _computed(amount: Callable[[], Decimal | None], digits: int) -> _Computed:
    """The amount that a rule gives, which may be the application's own code, and raise."""
    try:
        found = rounded(amount(), digits)
        return _Computed(found, found is None or found.is_finite())
    except Exception as error:  # noqa: BLE001 - one order's amount must not stop the others
        _log.warning("the amount of an order could not be computed: %s", type(error).__name__)
        return _Computed(None, is_good=False)


def _pieces(order: StoreRecord, quantities: Sequence[int | Decimal | None]) -> int | None:
    """The number of products, unless it is not known of every line."""
    odd = any(
        place.startswith("items") and (place == "items" or place.endswith("quantity"))
        for place in order.unreadable
    )
    return None if odd else pieces(quantities)


def _named(order_id: int | str | None) -> str:
    return "one without an id that can be read" if order_id is None else str(order_id)


def _website_amount(order: WebsiteOrder, rule: AmountRule) -> Decimal | None:
    if callable(rule):
        return rule(order)
    if rule == "sub_total":
        return order.sub_total
    if rule == "total" or order.total is None:
        return order.total
    return less(order.total, order.shipping_amount, *(tax.total for tax in order.taxes))


def from_convictional(
    order: BuyerOrder, account: str, email: Email, *, rules: BuyerRules = DEFAULT_BUYER
) -> OrderSnapshot | UnreadableOrder | None:
    """A buyer's order; None for a test, or one without an id.

    The lines of a seller's part that was refunded do not count, as those that were cancelled. One whose id, time,
    lines or state is there and cannot be read is an `UnreadableOrder`.
    """
    if order.is_test:
        return None
    lines = _kept(order)
    computed = _computed(lambda: rules.amount(order) if rules.amount else _prices(lines), rules.digits)
    odd = tuple(place for place in order.unreadable if _BUYER_NEEDS.fullmatch(place))
    if rules.amount:
        odd = tuple(place for place in odd if not place.endswith(("quantity", "retailPrice")))
    if odd or not computed.is_good:
        return UnreadableOrder(f"convictional:{account}:{_named(order.id)}", odd or ("amount",))
    if order.id is None:
        return None
    token = order.attributes.get(TOKEN_FIELD)
    return OrderSnapshot(
        system="convictional",
        account=account,
        id=str(order.id),
        created=order.ordered_date or order.created or _now(),
        earliest=None if order.ordered_date or order.created else UNKNOWN,
        paid=order.posted.all or not rules.when_posted,
        cancelled=bool(order.items) and not lines and not order.refunded.any,
        refunded=order.refunded.all or (bool(order.items) and not lines and order.refunded.any),
        amount=computed.amount,
        currency=_buyer_currency(lines, rules),
        products=_pieces(order, [item.quantity for item in lines]),
        token=token if isinstance(token, str) else None,
        reference=order.buyer_reference,
        email_key=_key(order.customer_email, email),
        version=order.updated,
    )


_BUYER_NEEDS = re.compile(
    r"_?id|isTest|orderedDate|created|items|items\[\d+\]\.(quantity|retailPrice)|sellerOrders"
    r"|sellerOrders\[\d+\]\.(refunded|posted|items|items\[\d+\]\.cancelled)"
)


def _prices(lines: Sequence[BuyerOrderItem]) -> Decimal | None:
    """The sum of retail prices; None unless every line has its own, as a part is not the whole."""
    if any(line.retail_price is None or line.quantity is None for line in lines):
        return None
    return total(times(line.retail_price, line.quantity) for line in lines) or None


def _buyer_currency(lines: Sequence[BuyerOrderItem], rules: BuyerRules) -> str | None:
    """The currency of an order: the rules', or its lines' own; of several, all, which is no currency at all."""
    own = sorted({(item.retail_currency or "").strip().upper() for item in lines} - {""})
    return "+".join(own) if own else rules.currency


def _kept(order: BuyerOrder) -> list[BuyerOrderItem]:
    """The lines that are neither cancelled nor a refunded seller's.

    A line is found by its own id. A seller's line whose ids are none of the order's goes by its variant.
    """
    own = {value for line in order.items for value in (line.id, line.seller_order_item_id)} - {None}
    gone = [
        (seller, item)
        for seller in order.seller_orders
        for item in seller.items
        if item.cancelled or seller.refunded
    ]
    ids = {value for _, item in gone for value in (item.id, item.seller_order_item_id) if value is not None}
    variants = {
        (seller.id, item.variant_id)
        for seller, item in gone
        if item.variant_id is not None and not {item.id, item.seller_order_item_id} & own
    }
    sellers = {seller.id for seller in order.seller_orders if seller.refunded and seller.id is not None}
    return [
        item
        for item in order.items
        if not (
            {item.id, item.seller_order_item_id} & ids
            or (item.seller_order_id, item.variant_id) in variants
            or item.seller_order_id in sellers
        )
    ]


def from_booking(
    booking: Booking, site: str, email: Email, *, seen: datetime, earliest: datetime | None = None
) -> OrderSnapshot | UnreadableOrder | None:
    """A booking; None without an id.

    The API documents only when it starts: it was made when it was `seen` (by its webhook), or since `earliest` (in
    the list). A body that says more counts as of the moment that it names.
    """
    if "id" in booking.unreadable:
        return UnreadableOrder(f"booking:{site}:{_named(None)}", ("id",))
    if booking.id is None:
        return None
    made = booking.created
    if made is not None and made <= seen:
        seen, earliest = made, None
    service = booking.service.id if booking.service is not None else None
    return OrderSnapshot(
        "website",
        site,
        str(booking.id),
        seen,
        kind="booking",
        topic=_text(booking.event_id) or "",
        service=_text(service) or "",
        paid=True,
        contact_id=person_id(booking.contact_id),
        email_key=_key(booking.email, email),
        earliest=earliest,
    )


def from_form(form: SubmittedForm, site: str, email: Email, *, seen: datetime) -> OrderSnapshot:
    """A submitted form from its webhook, which came when it was `seen`, unless the body names an earlier moment.

    It has no id: the same values of the same person within ten minutes are one submission.
    """
    if form.received is not None and form.received <= seen:
        seen = form.received
    contact = form.contact
    who = "" if contact is None else str(contact.id or contact.email or "")
    values = [(each.field, each.value) for each in form.form_values]
    window = int(seen.timestamp()) // FORM_WINDOW
    return OrderSnapshot(
        "website",
        site,
        f"{_digest(who, form.form_name, values)}:{window}",
        seen,
        kind="form",
        topic=form.form_name or "",
        paid=True,
        member_id=None if contact is None else person_id(contact.member_id),
        contact_id=None if contact is None else person_id(contact.id),
        email_key=None if contact is None else _key(contact.email, email),
    )


def previous_window(order: OrderSnapshot) -> OrderSnapshot | None:
    """A form from a webhook as if it had come one window earlier, under whose id it may be known."""
    digest, colon, window = order.id.rpartition(":")
    return replace(order, id=f"{digest}:{int(window) - 1}") if order.kind == "form" and colon else None


def from_submission(form: FormSubmission, site: str, email: Email) -> OrderSnapshot | UnreadableOrder:
    """A submitted form from the list, which knows when it came and not who sent it."""
    if "received" in form.unreadable:
        return UnreadableOrder(f"form:{site}:one without a time that can be read", ("received",))
    values = [(each.name, each.value) for each in form.fields]
    moment = "" if form.received is None else str(int(form.received.timestamp()))
    address = next(
        (value for name, value in values if value and (name or "").lower() in ("email", "e-mail")), None
    )
    return OrderSnapshot(
        "website", site, _digest(moment, form.name, values), form.received or _now(), kind="form",
        topic=form.name or "", paid=True, email_key=_key(address, email),
        earliest=None if moment else UNKNOWN,
    )  # fmt: skip


def _earliest(one: OrderSnapshot, other: OrderSnapshot) -> datetime | None:
    # A later sight says no more of when it was made, but to a first one that knew nothing.
    first, later = sorted((one, other), key=lambda order: order.created)
    return None if first.earliest == UNKNOWN and later.earliest is None else first.earliest


def _digest(first: str, name: str | None, values: Iterable[tuple[str | None, str | None]]) -> str:
    content = json.dumps([first, name, sorted((key or "", value or "") for key, value in values)])
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def _key(address: str | None, email: Email) -> str | None:
    return email(address) if address and address.strip() else None


def person_id(value: int | str | None) -> str | None:
    """The id of a member or contact as a text; None without one, which a store also spells 0."""
    return None if value in (None, 0, "0") else str(value)


def _text(value: int | str | None) -> str | None:
    return None if value is None else str(value)


def _now() -> datetime:
    return datetime.now(UTC)
