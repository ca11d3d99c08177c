"""The parts that the records of the Website API are made of."""

from __future__ import annotations

from pydantic import Field

from convert_sdk.commerce._wire import (
    Count,
    Flag,
    Many,
    MaybeId,
    Moment,
    Money,
    Personal,
    Quantity,
    StoreRecord,
    Text,
)


class NameValue(StoreRecord):
    """A name and its value; a value that is no text is spelt as one."""

    name: Text = None
    """The name."""
    value: Personal = None
    """The value as a text."""


class FieldValue(StoreRecord):
    """A field of a form or checkout and what was entered."""

    field: Text = None
    """The name of the field."""
    value: Personal = None
    """The text that was entered."""


class PostalAddress(StoreRecord):
    """A billing or shipping address."""

    name: Personal = None
    """The person's name."""
    phone: Personal = None
    """The phone number."""
    company_name: Personal = None
    """The company's name."""
    company_id: Personal = None
    """The company's registration or tax number."""
    country: Text = None
    """The country's code."""
    state: Text = None
    """The state, province or region."""
    city: Personal = None
    """The city."""
    zip_code: Personal = None
    """The postal code."""
    address: Personal = None
    """The street and number."""
    address2: Personal = Field(default=None, alias="address2")
    """A second line of the address."""


class Category(StoreRecord):
    """A product category; `parent_category` is 0 at the root."""

    id: MaybeId = None
    """The id."""
    name: Text = None
    """The name."""
    url: Text = None
    """The last part of the category's address on the site."""
    parent_category: MaybeId = None
    """The id of the category above; 0 at the root."""


class ProductOption(StoreRecord):
    """A choice a product offers, such as its material."""

    name: Text = None
    """The name, such as Material."""
    values: Many[str] = ()
    """The values to choose from."""
    advanced: Flag = None
    """True if each combination of values is a variant of its own."""


class ProductVariant(StoreRecord):
    """One sellable form of a product."""

    options: Many[str] = ()
    """The option values of this variant, in the order of the product's options."""
    price: Money = None
    """The price in force."""
    on_sale: Flag = None
    """True if the sale price is in force."""
    regular_price: Money = None
    """The price without a sale."""
    sale_price: Money = None
    """The price in a sale."""
    quantity: Quantity = None
    """The stock; None where it is not counted."""
    sku: Text = None
    """The stock keeping unit."""
    weight: Money = None
    """The weight, in the unit of the site."""


class Subscription(StoreRecord):
    """The renewal of a subscription product."""

    cycles: Count = None
    """The number of payments; None for no end."""
    period: Count = None
    """The length of one period, in period units."""
    period_unit: Text = None
    """The unit of a period, such as WEEKLY."""


class Tax(StoreRecord):
    """A tax on an order; `applied_to_items` are positions in its items."""

    name: Text = None
    """The name."""
    total: Money = None
    """The amount, in major units."""
    apply_to_shipping: Flag = None
    """True if it is on shipping, too."""
    rate: Money = None
    """The rate, in percent for a PERCENT tax."""
    type: Text = None
    """The kind, such as PERCENT."""
    applied_to_items: Many[int] = ()
    """The positions in the order's items that it is on."""


class OrderItem(StoreRecord):
    """A line of an order; `total` is for the whole line, not for one piece."""

    id: MaybeId = None
    """The id of the line within its order."""
    name: Text = None
    """The product's title."""
    url: Text = None
    """The product's address on the site."""
    product_id: MaybeId = None
    """The product's id."""
    type: Text = None
    """The kind of product."""
    sku: Text = None
    """The variant's stock keeping unit."""
    quantity: Quantity = None
    """The number of pieces, or the weight or length that was sold."""
    total: Money = None
    """The price of the whole line, in major units."""
    weight: Money = None
    """The weight of one piece."""
    width: Money = None
    """The width of one piece."""
    height: Money = None
    """The height of one piece."""
    length: Money = None
    """The length of one piece."""
    shipping_required: Flag = None
    """True if it has to be shipped."""
    variation: Many[NameValue] = ()
    """The option values that were chosen."""
    additions: Many[NameValue] = ()
    """Extras that were chosen."""
    images: Many[str] = ()
    """Addresses of images."""


class OrderNote(StoreRecord):
    """A private note on an order."""

    time: Moment = None
    """The time at which it was written."""
    value: Personal = None
    """The text."""


class Fulfillment(StoreRecord):
    """The shipment of an order.

    >>> Fulfillment(courier="UPS", tracking_no="123").courier
    'UPS'
    """

    courier: Text = None
    """The courier's name."""
    tracking_no: Personal = None
    """The courier's number of the parcel."""
    tracking_url: Personal = None
    """The address of the parcel's tracking page."""
