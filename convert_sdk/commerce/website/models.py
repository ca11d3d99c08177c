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
    """The id."""
    name: Personal = None
    """The full name."""
    email: Personal = None
    """The e-mail address, which is unique among contacts."""
    phone: Personal = None
    """The phone number."""
    note: Personal = None
    """A private note."""
    address: Personal = None
    """The street and number."""
    city: Personal = None
    """The city."""
    state: Text = None
    """The state, province or region."""
    zip: Personal = None
    """The postal code."""
    country: Text = None
    """The country's code."""
    company_name: Personal = None
    """The company's name."""
    created_on: Moment = None
    """The time at which the contact was created."""
    properties: Annotated[Many[NameValue], Field(repr=False)] = ()
    """Custom properties; `property()` finds one by its name."""
    tags: Many[str] = ()
    """Tags; the API only ever adds to them."""
    member_id: MaybeId = None
    """The id of the contact's member; 0 for none."""
    subscribed: Flag = None
    """True if the contact takes e-mail marketing."""
    subscriber_lists: Many[Id] = ()
    """The ids of the subscriber lists."""

    def property(self, name: str) -> str | None:
        """The value of the custom property `name`, None without one.

        >>> Contact(properties=(NameValue(name="lead_status", value="won"),)).property("lead_status")
        'won'
        """
        return next((each.value for each in self.properties if each.name == name), None)


class Member(StoreRecord):
    """Someone who can log in."""

    id: MaybeId = None
    """The id."""
    name: Personal = None
    """The full name."""
    email: Personal = None
    """The e-mail address, which is the login."""
    groups: Many[Id] = ()
    """The ids of the member's groups."""
    registered_on: Moment = None
    """The time of the registration."""
    approved: Flag = None
    """True if the member may log in."""
    contact_id: MaybeId = None
    """The id of the member's contact; 0 for none."""
    billing_address: PostalAddress | None = None
    """The billing address."""
    shipping_address: PostalAddress | None = None
    """The shipping address."""


class SsoToken(StoreRecord):
    """A ticket that logs a member in; nothing of it shows in its `repr`."""

    token: str = Field(repr=False)
    """The ticket itself."""
    access_url: str | None = Field(default=None, repr=False)
    """The address that logs the member in."""
    created: Moment = Field(default=None, alias="createdAt", repr=False)
    """The time at which it was made."""
    expires: Moment = Field(default=None, alias="expiresAt", repr=False)
    """The time at which it ends."""

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
    """The id."""
    name: Text = None
    """The name."""
    link: Text = None
    """The page that its members see after the login."""


class Product(StoreRecord):
    """A product of the store."""

    id: MaybeId = None
    """The id."""
    type: Annotated[ProductType | str | None, known(ProductType)] = None
    """The kind of product."""
    title: Text = None
    """The title."""
    description: Text = Field(default=None, repr=False)
    """The description, as HTML."""
    url: Text = None
    """The last part of the product's address on the site."""
    hidden: Flag = None
    """True if the store does not list it."""
    images: Many[str] = ()
    """Addresses of images."""
    categories: Many[Category] = ()
    """The categories that it is in."""
    options: Many[ProductOption] = ()
    """The options to choose from."""
    variants: Many[ProductVariant] = ()
    """The forms in which it is sold; one without options, too."""
    subscription: Subscription | None = None
    """The renewal, of a subscription."""
    file: Personal = None
    """The address of the file, of a digital product."""


class Order(StoreRecord):
    """An order of the store."""

    id: MaybeId = None
    """The id."""
    invoice_no: MaybeId = None
    """The invoice's number."""
    created: Moment = None
    """The time at which it was placed."""
    customer_name: Personal = None
    """The customer's name."""
    customer_email: Personal = None
    """The customer's e-mail address."""
    contact_id: Annotated[MaybeId, Field(repr=False)] = None
    """The id of the customer's contact; 0 for none."""
    member_id: Annotated[MaybeId, Field(repr=False)] = None
    """The id of the customer's member; 0 for none."""
    shipping_address: Annotated[PostalAddress | None, Field(repr=False)] = None
    """The shipping address."""
    billing_address: Annotated[PostalAddress | None, Field(repr=False)] = None
    """The billing address."""
    shipping_required: Flag = None
    """True if anything in it has to be shipped."""
    weight: Money = None
    """The weight of all lines."""
    weight_unit: Annotated[WeightUnit | str | None, known(WeightUnit)] = None
    """The unit of the weight."""
    sub_total: Money = None
    """The sum of the lines, in major units."""
    total: Money = None
    """The amount to pay, in major units."""
    discount_code: Text = None
    """The discount's code."""
    discount_type: Annotated[DiscountType | str | None, known(DiscountType)] = None
    """The kind of discount."""
    discount_amount: Money = None
    """The discount, in major units or in percent."""
    shipping_name: Text = None
    """The name of the way of shipping."""
    shipping_amount: Money = None
    """The price of shipping, in major units."""
    paid: Flag = None
    """True once it is paid."""
    payment_method: Text = None
    """The kind of payment, such as stripe."""
    transaction_id: Personal = None
    """The id of the payment at its provider."""
    status: Annotated[OrderStatus | str | None, known(OrderStatus)] = None
    """The progress of the order."""
    taxes: Many[Tax] = ()
    """The taxes on it."""
    items: Many[OrderItem] = ()
    """The lines."""
    tags: Many[str] = ()
    """Tags."""
    additional_fields: Annotated[Many[FieldValue], Field(repr=False)] = ()
    """Additional fields of the checkout; `field()` finds one by its name."""
    notes: Annotated[Many[OrderNote], Field(repr=False)] = ()
    """Private notes."""

    def field(self, name: str) -> str | None:
        """The text that was entered in the additional checkout field `name`, None without it.

        >>> Order(additional_fields=(FieldValue(field="gift", value="yes"),)).field("gift")
        'yes'
        """
        return next((each.value for each in self.additional_fields if each.field == name), None)


class FormSubmission(StoreRecord):
    """A submitted form as the list knows it: without an id or a contact."""

    name: Text = None
    """The name of the form."""
    received: Moment = None
    """The time at which it was submitted."""
    fields: Annotated[Many[NameValue], Field(repr=False)] = ()
    """The fields and what was entered."""


class EventDetails(StoreRecord):
    """The event of a booking."""

    name: Text = None
    """The name of the event."""
    location: Text = None
    """The place."""


class Operator(StoreRecord):
    """The person who holds a booked session."""

    id: MaybeId = None
    """The id."""
    name: Personal = None
    """The name."""
    email: Personal = None
    """The e-mail address."""


class ServiceRef(StoreRecord):
    """The service that was booked."""

    id: MaybeId = None
    """The id."""
    name: Text = None
    """The name."""


class Booking(StoreRecord):
    """A booked session; the API knows when it starts, not when it was booked."""

    id: MaybeId = None
    """The id."""
    event_id: MaybeId = None
    """The id of the event that was booked."""
    contact_id: Annotated[MaybeId, Field(repr=False)] = None
    """The id of the contact who booked; 0 for none."""
    name: Personal = None
    """The name of who booked."""
    email: Personal = None
    """The e-mail address of who booked."""
    start: Moment = None
    """The start of the session."""
    end: Moment = None
    """The end of the session."""
    created: Annotated[Moment, Field(validation_alias=MADE)] = None
    """The time at which it was booked, where a body says so; it is not documented."""
    event_data: EventDetails | None = None
    """The event that was booked."""
    operator: Operator | None = None
    """The person who holds the session."""
    service: ServiceRef | None = None
    """The service that was booked."""
    form_answers: Annotated[Many[NameValue], Field(repr=False)] = ()
    """The questions of the booking form and their answers."""


class SubscriberList(StoreRecord):
    """A list for e-mail marketing; `opens` and `clicks` are rates from 0 to 1."""

    id: MaybeId = None
    """The id."""
    name: Text = None
    """The name."""
    created: Moment = None
    """The time at which it was created."""
    subscribers: Count = None
    """The number of subscribers."""
    opens: Money = None
    """The rate of mails that were opened, from 0 to 1."""
    clicks: Money = None
    """The rate of mails in which a link was followed, from 0 to 1."""


class Webhook(StoreRecord):
    """A webhook subscription; its secret is the key of every signature."""

    id: MaybeId = None
    """The id, which deliveries name in a header."""
    target: Personal = None
    """The address that deliveries are sent to."""
    secret: str | None = Field(default=None, repr=False)
    """The key of the signatures; None for unsigned deliveries."""
    events: Many[str] = ()
    """The topics."""


class WebsiteRef(StoreRecord):
    """The site an event comes from."""

    id: MaybeId = None
    """The id."""
    subdomain: Text = None
    """The subdomain at the provider."""
    system_domain: Text = None
    """The domain at the provider."""
    domain: Text = None
    """The site's own domain."""
