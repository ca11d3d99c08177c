"""Products, their categories, and orders."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, TypeAlias, TypedDict, Unpack

from convert_sdk.commerce._call import Call, array, call, one, query
from convert_sdk.commerce._operations import S_co, listing, operation
from convert_sdk.commerce._pages import Listing
from convert_sdk.commerce._wire import Id, Time, fields_of, required
from convert_sdk.commerce.website._resource import WebsiteResource, by_creation, by_skip, page_of
from convert_sdk.commerce.website.models import Order, OrderStatus, Product, ProductType
from convert_sdk.commerce.website.parts import (
    Category,
    Fulfillment,
    PostalAddress,
    ProductOption,
    ProductVariant,
    Subscription,
)

ProductTypeName: TypeAlias = Literal["physical", "digital", "service", "membership"]


class ProductFields(TypedDict, total=False):
    """The fields that can be set on a product, besides its type and title."""

    description: str
    url: str
    hidden: bool
    images: Sequence[str]
    categories: Sequence[Category]
    options: Sequence[ProductOption]
    variants: Sequence[ProductVariant]
    subscription: Subscription
    file: str


class OrderFields(TypedDict, total=False):
    """The fields that can be set on an order. `notify_customer` is sent only when given."""

    customer_name: str
    customer_email: str
    billing_address: PostalAddress
    shipping_address: PostalAddress
    payment_method: str
    transaction_id: str
    paid: bool
    status: OrderStatus | str
    fulfillment: Fulfillment
    notify_customer: bool


class Products(WebsiteResource[S_co]):
    """`client.products`"""

    @listing
    def list(
        self,
        *,
        category_id: Id | None = None,
        title: str | None = None,
        limit: int | None = None,
        skip: int | None = None,
    ) -> Listing[Product]:
        """All products, those in a category or below it, or those with `title` in their title."""
        given = query(category_id=category_id, title=title, limit=limit, skip=skip)
        return by_skip(replace(call(self._paths.list_products, page_of(Product)), query=given))

    @operation
    def get(self, product_id: Id) -> Call[Product]:
        """One product; NotFoundError if there is none."""
        return call(self._paths.get_product, one(Product), id=product_id)

    @operation
    def create(
        self,
        type: ProductType | ProductTypeName,
        title: str,
        *,
        update_existing_by_url: bool = False,
        **fields: Unpack[ProductFields],
    ) -> Call[Product]:
        """Create a product, or with `update_existing_by_url` set the one that has the same `url`."""
        required(type=type, title=title)
        if update_existing_by_url:
            required(url=fields.get("url"))
        return replace(
            call(self._paths.create_product, one(Product)),
            query={"update_existing_product_by_url": True} if update_existing_by_url else {},
            body={"type": type, "title": title} | fields_of(fields, ProductFields, clearing=True),
        )

    @operation
    def update(
        self,
        product_id: Id,
        *,
        type: ProductType | ProductTypeName,
        title: str,
        **fields: Unpack[ProductFields],
    ) -> Call[Product]:
        """Set fields of a product; type and title are required, and no field can be cleared.

        Given variants replace those there are; without them they stay.
        """
        required(type=type, title=title)
        return replace(
            call(self._paths.update_product, one(Product), id=product_id),
            body={"type": type, "title": title} | fields_of(fields, ProductFields, clearing=False),
        )

    @operation
    def categories(self, *, parent: Id | None = None) -> Call[tuple[Category, ...]]:
        """All categories, or those directly below `parent`."""
        return replace(call(self._paths.list_categories, array(Category)), query=query(parent=parent))


class Orders(WebsiteResource[S_co]):
    """`client.orders`"""

    @listing
    def list(
        self,
        *,
        created_at_min: Time | None = None,
        created_at_max: Time | None = None,
        limit: int | None = None,
        skip: int | None = None,
    ) -> Listing[Order]:
        """All orders, or those created between two times (inclusive)."""
        listed = call(self._paths.list_orders, page_of(Order))
        return by_creation(listed, (created_at_min, created_at_max), limit=limit, skip=skip)

    @operation
    def get(self, order_id: Id) -> Call[Order]:
        """One order; NotFoundError if there is none."""
        return call(self._paths.get_order, one(Order), id=order_id)

    @operation
    def update(self, order_id: Id, **fields: Unpack[OrderFields]) -> Call[Order]:
        """Set fields of an order; none can be cleared, and the site fires `order_updated`.

        `status=COMPLETED` mails the buyers of digital and membership products.
        """
        if not fields:
            raise ValueError("nothing to update: give at least one field")
        body = fields_of(fields, OrderFields, clearing=False)
        if "status" in fields:
            body["status"] = _sent_status(fields["status"])
        return replace(call(self._paths.update_order, one(Order), id=order_id), body=body)


def _sent_status(status: OrderStatus | str) -> str:
    try:
        return OrderStatus(str(status).lower()).upper()
    except ValueError:
        allowed: builtins.list[str] = [each.value for each in OrderStatus]
        raise ValueError(f"status={status!r}: expected one of {', '.join(allowed)}") from None
