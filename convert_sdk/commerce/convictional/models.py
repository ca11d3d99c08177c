"""The records of the Buyer API: frozen, tolerant, with the JSON they came from in `.raw`.

Prices are `Decimal`, times aware UTC (None for any spelling of "not yet"), ids come from `id` or `_id`.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

from pydantic import AliasChoices, BeforeValidator, Field

from convert_sdk.commerce._wire import (
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

_Flag = Annotated[bool, BeforeValidator(lambda value: False if value in (None, "") else value)]
_OwnId = Annotated[MaybeId, Field(validation_alias=AliasChoices("id", "_id"))]
_Free = Annotated[
    dict[str, object], BeforeValidator(lambda value: {} if value is None else value), Field(repr=False)
]


class SellerProgress(NamedTuple):
    """The progress of an order's seller orders: any, and all; both are False while there are none."""

    any: bool
    all: bool


class BuyerAddress(StoreRecord):
    """The address that an order goes to; `address_one`, `city` and `country` are required to place one."""

    address_one: Personal = None
    name: Personal = None
    city: Personal = None
    state: Text = None
    country: Text = None
    zip: Personal = None
    address_two: Personal = None
    company: Personal = None
    phone_number: Personal = None


class Choice(StoreRecord):
    """An option of a variant: its name and value."""

    name: Text = None
    value: Text = None


class Variant(StoreRecord):
    """A sellable form of a product; `base_price` is what the buyer pays the seller."""

    id: _OwnId = None
    sku: Text = None
    title: Text = None
    inventory_amount: Quantity = None
    retail_price: Money = None
    retail_currency: Text = None
    base_price: Money = None
    base_currency: Text = None
    barcode: Text = None
    barcode_type: Text = None
    options: Many[Choice] = ()
    skip_count: Flag = None
    weight: Money = None
    weight_units: Text = None
    attributes: _Free = Field(default_factory=dict)


class Image(StoreRecord):
    """A picture of a product."""

    id: _OwnId = None
    source: Text = None


class BuyerProduct(StoreRecord):
    """A product a seller has priced for the buyer."""

    id: _OwnId = None
    company_id: MaybeId = None
    title: Text = None
    brand: Text = None
    description: Text = Field(default=None, repr=False)
    seller_reference: Text = None
    option_names: Many[str] = ()
    variants: Many[Variant] = ()
    images: Many[Image] = ()
    tags: Many[str] = ()
    created: Moment = None
    updated: Moment = None


class OrderLine(StoreRecord):
    """A line of an order to place: the variant's id in the API, and how many.

    >>> OrderLine(variant_id="1d61779c", quantity=4).quantity
    4
    """

    variant_id: str
    buyer_reference: str | None = None
    quantity: int = Field(ge=1)
    retail_price: Money = None


class BuyerOrderItem(StoreRecord):
    """A line of an order."""

    id: _OwnId = None
    product_id: MaybeId = None
    variant_id: MaybeId = None
    buyer_reference: Text = None
    seller_order_id: MaybeId = None
    seller_order_item_id: MaybeId = None
    quantity: Quantity = None
    retail_price: Money = None
    retail_currency: Text = None
    buyer_variant_code: Text = None


class SellerOrderItem(StoreRecord):
    """A line of a seller's part; `base_price` is the buyer's cost, never revenue."""

    id: _OwnId = None
    variant_id: MaybeId = None
    buyer_reference: Text = None
    seller_order_id: MaybeId = None
    seller_order_item_id: MaybeId = None
    quantity: Quantity = None
    base_price: Money = None
    retail_price: Money = None
    cancelled: _Flag = False
    cancelled_reason: Text = None
    cancelled_by: Text = None
    cancelled_date: Moment = None


class SellerOrder(StoreRecord):
    """One seller's part of an order."""

    id: _OwnId = None
    buyer_order_id: MaybeId = None
    buyer_reference: Text = None
    seller_reference: Text = None
    company_id: MaybeId = None
    base_currency: Text = None
    invoice_id: MaybeId = None
    posted: _Flag = False
    posted_date: Moment = None
    fulfilled: _Flag = False
    fulfilled_date: Moment = None
    invoiced: _Flag = False
    invoiced_date: Moment = None
    refunded: _Flag = False
    refunded_date: Moment = None
    has_cancellations: _Flag = False
    items: Many[SellerOrderItem] = ()
    created: Moment = None
    updated: Moment = None
    is_test: _Flag = False
    flagged: _Flag = False
    flagged_date: Moment = None
    flagged_message: Personal = None


class BuyerOrder(StoreRecord):
    """An order of the buyer, split among its sellers. The API names no total for it."""

    id: _OwnId = None
    buyer_reference: Text = None
    customer_reference: Personal = None
    ordered_date: Moment = None
    created: Moment = None
    updated: Moment = None
    address: Annotated[BuyerAddress | None, Field(repr=False)] = None
    customer_email: Personal = None
    items: Many[BuyerOrderItem] = ()
    seller_orders: Many[SellerOrder] = ()
    metafields: _Free = Field(default_factory=dict)
    attributes: _Free = Field(default_factory=dict)
    quote_id: MaybeId = None
    is_test: _Flag = False
    note: Personal = None

    @property
    def posted(self) -> SellerProgress:
        """The sellers whose systems have the order: any, and all.

        >>> BuyerOrder(seller_orders=(SellerOrder(posted=True), SellerOrder())).posted
        SellerProgress(any=True, all=False)
        """
        return self._progress("posted")

    @property
    def fulfilled(self) -> SellerProgress:
        """The sellers that have shipped all lines of their parts: any, and all."""
        return self._progress("fulfilled")

    @property
    def invoiced(self) -> SellerProgress:
        """The sellers that have sent their invoices: any, and all."""
        return self._progress("invoiced")

    @property
    def refunded(self) -> SellerProgress:
        """The sellers whose parts are refunded: any, and all."""
        return self._progress("refunded")

    def _progress(self, step: str) -> SellerProgress:
        reached = [getattr(each, step) for each in self.seller_orders]
        return SellerProgress(any(reached), bool(reached) and all(reached))
