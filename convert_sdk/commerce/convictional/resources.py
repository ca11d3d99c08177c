"""Products and orders of the Buyer API."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypedDict, TypeVar, Unpack

from convert_sdk._core.half_made import shown_half_made
from convert_sdk.commerce._call import Call, call, query
from convert_sdk.commerce._json import Answer, read_json, whole
from convert_sdk.commerce._operations import Resource, S_co, listing, operation
from convert_sdk.commerce._pages import Listing, Page, by_link
from convert_sdk.commerce._refusals import ERROR_KEYS
from convert_sdk.commerce._routes import Routes
from convert_sdk.commerce._wire import (
    Id,
    StoreRecord,
    Text,
    Time,
    fields_of,
    read,
    read_many,
    required,
    rfc3339,
    within,
)
from convert_sdk.commerce.convictional.models import BuyerAddress, BuyerOrder, BuyerProduct, OrderLine

T = TypeVar("T", bound=StoreRecord)
LARGEST_PAGE = 250


@shown_half_made
@dataclass(frozen=True, slots=True)
class BuyerPaths(Routes):
    """Method and path of every operation; correct one here if your account has it elsewhere.

    >>> BuyerPaths().get_order
    'GET /buyer/orders/{id}'
    """

    list_products: str = "GET /buyer/products"
    get_product: str = "GET /buyer/products/{id}"
    list_orders: str = "GET /buyer/orders"
    create_order: str = "POST /buyer/orders"
    get_order: str = "GET /buyer/orders/{id}"


class BuyerOrderFields(TypedDict, total=False):
    """The optional fields of a new order. Every vendor reads `note`."""

    created: datetime
    note: str
    customer_email: str
    customer_reference: str
    is_test: bool
    attributes: Mapping[str, object]
    metafields: Mapping[str, object]
    shipping_methods: Sequence[Mapping[str, object]]


class BuyerResource(Resource[S_co]):
    """A group of operations at the addresses of a path table."""

    def __init__(self, sender: S_co, paths: BuyerPaths) -> None:
        super().__init__(sender)
        self._paths = paths


class BuyerProducts(BuyerResource[S_co]):
    """`client.products`"""

    @listing
    def list(self, *, page: int | None = None, limit: int | None = None) -> Listing[BuyerProduct]:
        """All products; none without a seller as partner. `page` counts from 0, `limit` is at most 250."""
        return _listing(call(self._paths.list_products, page_of(BuyerProduct)), page, limit, {})

    @operation
    def get(self, product_id: Id) -> Call[BuyerProduct]:
        """One product; NotFoundError if there is none."""
        return call(self._paths.get_product, _bare_or_wrapped(BuyerProduct), id=product_id)


class BuyerOrders(BuyerResource[S_co]):
    """`client.orders`"""

    @listing
    def list(
        self, *, updated_min: Time | None = None, page: int | None = None, limit: int | None = None
    ) -> Listing[BuyerOrder]:
        """All orders, or those changed since `updated_min`.

        One that changes while you read may move to a page you have had: list again from a little earlier.
        """
        since = {} if updated_min is None else {"updatedMin": rfc3339(updated_min)}
        return _listing(call(self._paths.list_orders, page_of(BuyerOrder)), page, limit, since)

    @operation
    def get(self, order_id: Id) -> Call[BuyerOrder]:
        """One order; NotFoundError if there is none."""
        return call(self._paths.get_order, _bare_or_wrapped(BuyerOrder), id=order_id)

    @operation
    def create(
        self,
        buyer_reference: str,
        *,
        address: BuyerAddress,
        items: Sequence[OrderLine],
        ordered_date: Time,
        **fields: Unpack[BuyerOrderFields],
    ) -> Call[str]:
        """Place an order; answers its id. `buyer_reference` is your own id of it and must be unique.

        It is sent once: after a TransportError or ServerError look for the reference before trying again.
        """
        required(buyer_reference=buyer_reference, address_one=address.address_one)
        required(city=address.city, country=address.country)
        if not items:
            raise ValueError("items: an order needs at least one line")
        body = {
            "address": address,
            "items": [*items],
            "buyerReference": buyer_reference,
            "orderedDate": rfc3339(ordered_date),
        } | fields_of(fields, BuyerOrderFields, clearing=True)
        return replace(call(self._paths.create_order, _order_id), body=body)


class _BuyerPage(StoreRecord):
    data: object = None
    next: Text = None


def page_of(model: type[T]) -> Callable[[Answer], Page[T]]:
    """A parser for an envelope of `model` with a `next` link, or for a plain array."""

    def parse(answer: Answer) -> Page[T]:
        payload = answer.payload
        if payload is None or isinstance(payload, list):
            payload = {"data": payload}
        if isinstance(payload, Mapping) and "data" not in payload:
            raise ValueError("expected a page with its data")  # it would pass for the end of the list
        page = read(_BuyerPage, payload)
        items, odd = read_many(model, page.data)
        return Page(items, next=page.next or None, unreadable=odd, last_response=answer)

    return parse


def refused(payload: object) -> bool:
    """True for a success that has errors and no data, which is none."""
    if not isinstance(payload, Mapping):
        return False
    return any(payload.get(key) for key in ERROR_KEYS) and not payload.get("data")


def _bare_or_wrapped(model: type[T]) -> Callable[[Answer], T]:
    def parse(answer: Answer) -> T:
        payload = whole(answer.payload)
        wrapped = isinstance(payload, Mapping) and isinstance(payload.get("data"), Mapping)
        return read(model, payload["data"] if wrapped else payload)  # type: ignore[index]  # a mapping

    return parse


def _order_id(answer: Answer) -> str:
    """The id in the answer: bare text, a JSON string, or a field of the order itself."""
    found = answer.body.decode(errors="replace").strip()
    if found.startswith("{"):
        found = str(_bare_or_wrapped(BuyerOrder)(answer).id or "")
    elif found.startswith('"'):
        found = str(read_json(answer.body))
    if not re.fullmatch(r"[\w.:-]+", found) or found in ("null", "true", "false"):
        raise ValueError("expected an order id")
    return found


def _listing(
    first: Call[Page[T]], page: int | None, limit: int | None, filters: Mapping[str, str]
) -> Listing[T]:
    within("limit", limit, 1, LARGEST_PAGE)
    within("page", page, 0)
    given = {**filters, **query(page=page, limit=limit)}
    return Listing(replace(first, query=given), by_link)
