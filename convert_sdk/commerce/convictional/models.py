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
    """The street and number."""
    name: Personal = None
    """The name of the receiver."""
    city: Personal = None
    """The city."""
    state: Text = None
    """The state, province or region."""
    country: Text = None
    """The country's code."""
    zip: Personal = None
    """The postal code."""
    address_two: Personal = None
    """A second line of the address."""
    company: Personal = None
    """The company's name."""
    phone_number: Personal = None
    """The phone number."""


class Choice(StoreRecord):
    """An option of a variant: its name and value."""

    name: Text = None
    """The option's name."""
    value: Text = None
    """The value that was chosen."""


class Variant(StoreRecord):
    """A sellable form of a product; `base_price` is what the buyer pays the seller."""

    id: _OwnId = None
    """The id, which an order's line names."""
    sku: Text = None
    """The seller's stock keeping unit."""
    title: Text = None
    """The title."""
    inventory_amount: Quantity = None
    """The stock at the seller."""
    retail_price: Money = None
    """The price to the customer, in major units."""
    retail_currency: Text = None
    """The currency of the price to the customer."""
    base_price: Money = None
    """The price that the buyer pays the seller, in major units."""
    base_currency: Text = None
    """The currency of the price that the buyer pays."""
    barcode: Text = None
    """The barcode."""
    barcode_type: Text = None
    """The kind of barcode, such as UPC."""
    options: Many[Choice] = ()
    """The option values of this variant."""
    skip_count: Flag = None
    """True if the stock is not counted."""
    weight: Money = None
    """The weight."""
    weight_units: Text = None
    """The unit of the weight."""
    attributes: _Free = Field(default_factory=dict)
    """Free attributes."""


class Image(StoreRecord):
    """A picture of a product."""

    id: _OwnId = None
    """The id."""
    source: Text = None
    """The address of the image."""


class BuyerProduct(StoreRecord):
    """A product a seller has priced for the buyer."""

    id: _OwnId = None
    """The id."""
    company_id: MaybeId = None
    """The id of the seller's company."""
    title: Text = None
    """The title."""
    brand: Text = None
    """The brand."""
    description: Text = Field(default=None, repr=False)
    """The description, as HTML."""
    seller_reference: Text = None
    """The seller's own id of the product."""
    option_names: Many[str] = ()
    """The names of the options."""
    variants: Many[Variant] = ()
    """The forms in which it is sold."""
    images: Many[Image] = ()
    """Images."""
    tags: Many[str] = ()
    """Tags."""
    created: Moment = None
    """The time at which it was created."""
    updated: Moment = None
    """The time of the last change."""


class OrderLine(StoreRecord):
    """A line of an order to place: the variant's id in the API, and how many.

    >>> OrderLine(variant_id="1d61779c", quantity=4).quantity
    4
    """

    variant_id: str
    """The variant's id in the API."""
    buyer_reference: str | None = None
    """Your own id of the variant."""
    quantity: int = Field(ge=1)
    """The number of pieces, at least 1."""
    retail_price: Money = None
    """The price to the customer for one piece, in major units."""


class BuyerOrderItem(StoreRecord):
    """A line of an order."""

    id: _OwnId = None
    """The id."""
    product_id: MaybeId = None
    """The product's id."""
    variant_id: MaybeId = None
    """The variant's id."""
    buyer_reference: Text = None
    """The buyer's own id of the variant."""
    seller_order_id: MaybeId = None
    """The id of the seller's part that the line is in."""
    seller_order_item_id: MaybeId = None
    """The id of the line in the seller's part."""
    quantity: Quantity = None
    """The number of pieces."""
    retail_price: Money = None
    """The price to the customer for one piece, in major units."""
    retail_currency: Text = None
    """The currency of the price, where a line names one; it is not documented."""
    buyer_variant_code: Text = None
    """The buyer's own code of the variant."""


class SellerOrderItem(StoreRecord):
    """A line of a seller's part; `base_price` is the buyer's cost, never revenue."""

    id: _OwnId = None
    """The id."""
    variant_id: MaybeId = None
    """The variant's id."""
    buyer_reference: Text = None
    """The buyer's own id of the variant."""
    seller_order_id: MaybeId = None
    """The id of the seller's part."""
    seller_order_item_id: MaybeId = None
    """The id of the line in the seller's part."""
    quantity: Quantity = None
    """The number of pieces."""
    base_price: Money = None
    """The price that the buyer pays for one piece, in major units."""
    retail_price: Money = None
    """The price to the customer for one piece, in major units."""
    cancelled: _Flag = False
    """True if the line was cancelled."""
    cancelled_reason: Text = None
    """The reason of the cancellation."""
    cancelled_by: Text = None
    """The party that cancelled."""
    cancelled_date: Moment = None
    """The time of the cancellation."""


class SellerOrder(StoreRecord):
    """One seller's part of an order."""

    id: _OwnId = None
    """The id."""
    buyer_order_id: MaybeId = None
    """The id of the whole order."""
    buyer_reference: Text = None
    """The buyer's own id of the order."""
    seller_reference: Text = None
    """The seller's own id of the order."""
    company_id: MaybeId = None
    """The id of the seller's company."""
    base_currency: Text = None
    """The currency that the buyer pays in."""
    invoice_id: MaybeId = None
    """The id of the seller's invoice."""
    posted: _Flag = False
    """True once the seller's system has it."""
    posted_date: Moment = None
    """The time at which the seller's system got it."""
    fulfilled: _Flag = False
    """True once all its lines are shipped."""
    fulfilled_date: Moment = None
    """The time of the shipment."""
    invoiced: _Flag = False
    """True once the seller has sent an invoice."""
    invoiced_date: Moment = None
    """The time of the invoice."""
    refunded: _Flag = False
    """True once it is refunded."""
    refunded_date: Moment = None
    """The time of the refund."""
    has_cancellations: _Flag = False
    """True if any of its lines was cancelled."""
    items: Many[SellerOrderItem] = ()
    """The lines."""
    created: Moment = None
    """The time at which it was created."""
    updated: Moment = None
    """The time of the last change."""
    is_test: _Flag = False
    """True for a test."""
    flagged: _Flag = False
    """True if somebody has to look at it."""
    flagged_date: Moment = None
    """The time at which it was flagged."""
    flagged_message: Personal = None
    """The reason why it was flagged."""


class BuyerOrder(StoreRecord):
    """An order of the buyer, split among its sellers. The API names no total for it."""

    id: _OwnId = None
    """The id."""
    buyer_reference: Text = None
    """The buyer's own id, which is unique."""
    customer_reference: Personal = None
    """The buyer's own id of the customer."""
    ordered_date: Moment = None
    """The time at which the customer ordered."""
    created: Moment = None
    """The time at which it was created in the API."""
    updated: Moment = None
    """The time of the last change."""
    address: Annotated[BuyerAddress | None, Field(repr=False)] = None
    """The address that it goes to."""
    customer_email: Personal = None
    """The customer's e-mail address."""
    items: Many[BuyerOrderItem] = ()
    """The lines."""
    seller_orders: Many[SellerOrder] = ()
    """The sellers' parts."""
    metafields: _Free = Field(default_factory=dict)
    """Free fields of the buyer's."""
    attributes: _Free = Field(default_factory=dict)
    """Free attributes."""
    quote_id: MaybeId = None
    """The id of the quote that it came from."""
    is_test: _Flag = False
    """True for a test."""
    note: Personal = None
    """A note that every seller reads."""

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
