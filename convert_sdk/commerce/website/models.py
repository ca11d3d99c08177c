"""The records of the Website API: frozen, tolerant, with the JSON they came from in `.raw`.

Amounts are `Decimal` in major units (the API names no currency), times aware UTC, ids int or str.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Literal, TypeAlias

from pydantic import AliasChoices, Field

from convert_sdk.commerce._wire import (
    Count,
    Flag,
    Id,
    Many,
    MaybeId,
    Moment,
    Money,
    Personal,
    StoreRecord,
    Text,
    known,
)
from convert_sdk.commerce.website.parts import (
    Category,
    FieldValue,
    NameValue,
    OrderItem,
    OrderNote,
    PostalAddress,
    ProductOption,
    ProductVariant,
    Subscription,
    Tax,
)

Topic: TypeAlias = Literal[
    "order_created", "order_updated", "product_created", "product_updated",
    "form_submitted", "contact_updated", "booking_created",
]  # fmt: skip


MADE = AliasChoices("created", "createdOn", "createdAt", "received", "receivedAt", "submittedAt")
"""Keys by which a body may say when it was made; none of them is documented."""


class OrderStatus(StrEnum):
    """The progress of an order; read in lower case, sent in upper case.

    >>> OrderStatus("completed") is OrderStatus.COMPLETED
    True
    """

    PENDING = "pending"
    SHIPPED = "shipped"
    COMPLETED = "completed"
    CANCELED = "canceled"
    ARCHIVED = "archived"


class ProductType(StrEnum):
    """A kind of product."""

    PHYSICAL = "physical"
    DIGITAL = "digital"
    SERVICE = "service"
    MEMBERSHIP = "membership"


class DiscountType(StrEnum):
    """The kind of an order's discount."""

    FIXED = "fixed_discount"
    PERCENT = "percent_discount"
    FREE_SHIPPING = "free_shipping"


class WeightUnit(StrEnum):
    """The unit of an order's weight."""

    KG = "kg"
    LB = "lb"


class Contact(StoreRecord):
    """Someone the site knows."""

    id: MaybeId = None
    name: Personal = None
    email: Personal = None
    phone: Personal = None
    note: Personal = None
    address: Personal = None
    city: Personal = None
    state: Text = None
    zip: Personal = None
    country: Text = None
    company_name: Personal = None
    created_on: Moment = None
    properties: Annotated[Many[NameValue], Field(repr=False)] = ()
    tags: Many[str] = ()
    member_id: MaybeId = None
    subscribed: Flag = None
    subscriber_lists: Many[Id] = ()

    def property(self, name: str) -> str | None:
        """The value of the custom property `name`, None without one.

        >>> Contact(properties=(NameValue(name="lead_status", value="won"),)).property("lead_status")
        'won'
        """
        return next((each.value for each in self.properties if each.name == name), None)


class Member(StoreRecord):
    """Someone who can log in."""

    id: MaybeId = None
    name: Personal = None
    email: Personal = None
    groups: Many[Id] = ()
    registered_on: Moment = None
    approved: Flag = None
    contact_id: MaybeId = None
    billing_address: PostalAddress | None = None
    shipping_address: PostalAddress | None = None


class SsoToken(StoreRecord):
    """A ticket that logs a member in; nothing of it shows in its `repr`."""

    token: str = Field(repr=False)
    access_url: str | None = Field(default=None, repr=False)
    created: Moment = Field(default=None, alias="createdAt", repr=False)
    expires: Moment = Field(default=None, alias="expiresAt", repr=False)

    @property
    def expired(self) -> bool:
        """True once its time is over: by `expires`, else 15 minutes after `created`."""
        end = self.expires.timestamp() if self.expires else None
        if end is None:
            end = self.created.timestamp() + 900 if self.created else 0.0
        return datetime.now(UTC).timestamp() >= end


class MemberGroup(StoreRecord):
    """A group of members."""

    id: MaybeId = None
    name: Text = None
    link: Text = None


class Product(StoreRecord):
    """A product of the store."""

    id: MaybeId = None
    type: Annotated[ProductType | str | None, known(ProductType)] = None
    title: Text = None
    description: Text = Field(default=None, repr=False)
    url: Text = None
    hidden: Flag = None
    images: Many[str] = ()
    categories: Many[Category] = ()
    options: Many[ProductOption] = ()
    variants: Many[ProductVariant] = ()
    subscription: Subscription | None = None
    file: Personal = None


class Order(StoreRecord):
    """An order of the store."""

    id: MaybeId = None
    invoice_no: MaybeId = None
    created: Moment = None
    customer_name: Personal = None
    customer_email: Personal = None
    contact_id: Annotated[MaybeId, Field(repr=False)] = None
    member_id: Annotated[MaybeId, Field(repr=False)] = None
    shipping_address: Annotated[PostalAddress | None, Field(repr=False)] = None
    billing_address: Annotated[PostalAddress | None, Field(repr=False)] = None
    shipping_required: Flag = None
    weight: Money = None
    weight_unit: Annotated[WeightUnit | str | None, known(WeightUnit)] = None
    sub_total: Money = None
    total: Money = None
    discount_code: Text = None
    discount_type: Annotated[DiscountType | str | None, known(DiscountType)] = None
    discount_amount: Money = None
    shipping_name: Text = None
    shipping_amount: Money = None
    paid: Flag = None
    payment_method: Text = None
    transaction_id: Personal = None
    status: Annotated[OrderStatus | str | None, known(OrderStatus)] = None
    taxes: Many[Tax] = ()
    items: Many[OrderItem] = ()
    tags: Many[str] = ()
    additional_fields: Annotated[Many[FieldValue], Field(repr=False)] = ()
    notes: Annotated[Many[OrderNote], Field(repr=False)] = ()

    def field(self, name: str) -> str | None:
        """The text that was entered in the additional checkout field `name`, None without it.

        >>> Order(additional_fields=(FieldValue(field="gift", value="yes"),)).field("gift")
        'yes'
        """
        return next((each.value for each in self.additional_fields if each.field == name), None)


class FormSubmission(StoreRecord):
    """A submitted form as the list knows it: without an id or a contact."""

    name: Text = None
    received: Moment = None
    fields: Annotated[Many[NameValue], Field(repr=False)] = ()


class EventDetails(StoreRecord):
    """The event of a booking."""

    name: Text = None
    location: Text = None


class Operator(StoreRecord):
    """The person who holds a booked session."""

    id: MaybeId = None
    name: Personal = None
    email: Personal = None


class ServiceRef(StoreRecord):
    """The service that was booked."""

    id: MaybeId = None
    name: Text = None


class Booking(StoreRecord):
    """A booked session; the API knows when it starts, not when it was booked."""

    id: MaybeId = None
    event_id: MaybeId = None
    contact_id: Annotated[MaybeId, Field(repr=False)] = None
    name: Personal = None
    email: Personal = None
    start: Moment = None
    end: Moment = None
    created: Annotated[Moment, Field(validation_alias=MADE)] = None
    event_data: EventDetails | None = None
    operator: Operator | None = None
    service: ServiceRef | None = None
    form_answers: Annotated[Many[NameValue], Field(repr=False)] = ()


class SubscriberList(StoreRecord):
    """A list for e-mail marketing; `opens` and `clicks` are rates from 0 to 1."""

    id: MaybeId = None
    name: Text = None
    created: Moment = None
    subscribers: Count = None
    opens: Money = None
    clicks: Money = None


class Webhook(StoreRecord):
    """A webhook subscription; its secret is the key of every signature."""

    id: MaybeId = None
    target: Personal = None
    secret: str | None = Field(default=None, repr=False)
    events: Many[str] = ()


class WebsiteRef(StoreRecord):
    """The site an event comes from."""

    id: MaybeId = None
    subdomain: Text = None
    system_domain: Text = None
    domain: Text = None
