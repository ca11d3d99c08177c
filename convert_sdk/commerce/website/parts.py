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
    value: Personal = None


class FieldValue(StoreRecord):
    """A field of a form or checkout and what was entered."""

    field: Text = None
    value: Personal = None


class PostalAddress(StoreRecord):
    """A billing or shipping address."""

    name: Personal = None
    phone: Personal = None
    company_name: Personal = None
    company_id: Personal = None
    country: Text = None
    state: Text = None
    city: Personal = None
    zip_code: Personal = None
    address: Personal = None
    address2: Personal = Field(default=None, alias="address2")


class Category(StoreRecord):
    """A product category; `parent_category` is 0 at the root."""

    id: MaybeId = None
    name: Text = None
    url: Text = None
    parent_category: MaybeId = None


class ProductOption(StoreRecord):
    """A choice a product offers, such as its material."""

    name: Text = None
    values: Many[str] = ()
    advanced: Flag = None


class ProductVariant(StoreRecord):
    """One sellable form of a product."""

    options: Many[str] = ()
    price: Money = None
    on_sale: Flag = None
    regular_price: Money = None
    sale_price: Money = None
    quantity: Quantity = None
    sku: Text = None
    weight: Money = None


class Subscription(StoreRecord):
    """The renewal of a subscription product."""

    cycles: Count = None
    period: Count = None
    period_unit: Text = None


class Tax(StoreRecord):
    """A tax on an order; `applied_to_items` are positions in its items."""

    name: Text = None
    total: Money = None
    apply_to_shipping: Flag = None
    rate: Money = None
    type: Text = None
    applied_to_items: Many[int] = ()


class OrderItem(StoreRecord):
    """A line of an order; `total` is for the whole line, not for one piece."""

    id: MaybeId = None
    name: Text = None
    url: Text = None
    product_id: MaybeId = None
    type: Text = None
    sku: Text = None
    quantity: Quantity = None
    total: Money = None
    weight: Money = None
    width: Money = None
    height: Money = None
    length: Money = None
    shipping_required: Flag = None
    variation: Many[NameValue] = ()
    additions: Many[NameValue] = ()
    images: Many[str] = ()


class OrderNote(StoreRecord):
    """A private note on an order."""

    time: Moment = None
    value: Personal = None


class Fulfillment(StoreRecord):
    """The shipment of an order.

    >>> Fulfillment(courier="UPS", tracking_no="123").courier
    'UPS'
    """

    courier: Text = None
    tracking_no: Personal = None
    tracking_url: Personal = None
