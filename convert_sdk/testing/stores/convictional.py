"""The Convictional Buyer API on loopback: products, orders and its several ways to answer."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import urlencode

from starlette.requests import Request

from convert_sdk.testing.stores._local import Ask, LocalStore, Operation, Refusal, Reply
from convert_sdk.testing.stores._rows import JsonObject, checked, objects

_PAGE, _LARGEST_PAGE = 50, 250
_STEPS = ("posted", "fulfilled", "invoiced", "refunded")
_ORDER = {
    "address", "items", "buyerReference", "customerReference", "customerEmail", "isTest", "attributes",
    "metafields", "note", "orderedDate", "created", "shippingMethods",
}  # fmt: skip
_REQUIRED = ("address", "items", "buyerReference", "orderedDate")


class ConvictionalStore(LocalStore):
    """The Buyer API on loopback.

    Switches: `shape` of lists (`envelope` or `array`), `order_answer` (`text`, `json`, `order` or
    `envelope`), `id_name` (`id` or `_id`), `no_date` (how an unset date is spelt), `foreign_next` (a next
    link that leads elsewhere), `first_page` (its number), `inclusive` (of `updatedMin`), `rate` (requests a
    second; 0 for no limit), `now` (its clock), `newest_first` (orders are sorted by their last change), `drift`
    (after every page of orders so many of those least recently changed change, and move to the other end of the
    list).

    >>> with ConvictionalStore() as store:
    ...     store.add_order()["buyerReference"]
    'ref-1'
    """

    def reset(self) -> None:
        """Begin anew: an empty store, every switch as it was."""
        super().reset()
        self.products: dict[str, JsonObject] = {}
        self.orders: dict[str, JsonObject] = {}
        self.shape: Literal["envelope", "array"] = "envelope"
        self.order_answer: Literal["text", "json", "order", "envelope"] = "text"
        self.id_name: Literal["id", "_id"] = "id"
        self.no_date: str | None = None
        self.foreign_next = ""
        self.first_page = 0
        self.inclusive = True
        self.rate = 5
        self.newest_first = False
        self.drift = 0
        self.now: Callable[[], float] = time.time
        self._served: deque[float] = deque()
        self._ids = itertools.count(1)

    def check(self, request: Request) -> None:
        """Refuse a request without the key or a User-Agent, and more than `rate` in a second."""
        if request.headers.get("authorization") != self.key:
            raise Refusal(401, "unauthorized")
        if not request.headers.get("user-agent"):
            raise Refusal(400, "A User-Agent header is required")
        now = self.now()
        while self._served and self._served[0] <= now - 1:
            self._served.popleft()
        if self.rate and len(self._served) >= self.rate:
            raise Refusal(429, "rate limit exceeded")
        self._served.append(now)

    def error(self, status: int, message: str) -> object:
        """The shapes in use: a text, an array of messages, or errors by field."""
        if status == 400:
            return {"errors": {"general": [message]}}
        return {"error": message} if status == 401 else {"data": None, "error": [{"message": message}]}

    def operations(self) -> list[tuple[str, Operation]]:
        """Every operation, at the addresses the client expects."""
        return [
            ("GET /buyer/products", lambda ask: self._page(ask, "products", [*self.products.values()])),
            ("GET /buyer/products/{id}", lambda ask: self._get(self.products, ask)),
            ("GET /buyer/orders", self._list_orders),
            ("POST /buyer/orders", self._create_order),
            ("GET /buyer/orders/{id}", lambda ask: self._get(self.orders, ask)),
        ]

    def add_product(self, **fields: object) -> JsonObject:
        """A product with one variant."""
        number = f"product-{next(self._ids)}"
        variant = {self.id_name: f"variant-{number}", "sku": number, "retailPrice": 42.99, "basePrice": 20}
        product: JsonObject = {self.id_name: number, "title": "A product", "variants": [variant]} | fields
        self.products[number] = product
        return product

    def add_order(self, **fields: object) -> JsonObject:
        """An order with one seller, who has not begun."""
        number = next(self._ids)
        at = self._stamp()
        flags: JsonObject = {}
        for step in _STEPS:
            flags |= {step: False, f"{step}Date": self.no_date}
        seller = {self.id_name: f"seller-{number}", **flags, "items": []}
        item = {"id": f"item-{number}", "variantId": "v-1", "quantity": 2, "retailPrice": 42.99}
        order: JsonObject = {
            self.id_name: f"order-{number}", "buyerReference": f"ref-{number}", "orderedDate": at,
            "created": at, "updated": at, "items": [item], "sellerOrders": [seller], "isTest": False,
        } | fields  # fmt: skip
        self.orders[str(order[self.id_name])] = order
        return order

    def advance(self, number: str, step: str, seller: int = 0) -> JsonObject:
        """A seller posts, fulfils, invoices or refunds their part."""
        order = self.orders[number]
        objects(order["sellerOrders"])[seller].update({step: True, f"{step}Date": self._stamp()})
        return self.touch(number)

    def touch(self, number: str) -> JsonObject:
        """Something about an order changes: it is the last in the order of changes, even if no time has passed."""
        order = self.orders.pop(number)
        self.orders[number] = order
        order["updated"] = self._stamp()
        return order

    def _stamp(self) -> str:
        return (
            datetime.fromtimestamp(self.now(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        )

    def _get(self, table: Mapping[str, JsonObject], ask: Ask) -> Reply:
        if ask.ids["id"] not in table:
            raise Refusal(404, "not found")
        found = table[ask.ids["id"]]
        return Reply({"data": found, "error": []} if self.shape == "envelope" else found)

    def _list_orders(self, ask: Ask) -> Reply:
        rows = sorted(self.orders.values(), key=_changed)
        if since := ask.query.get("updatedMin"):
            try:
                least = datetime.fromisoformat(since)
            except ValueError:
                raise Refusal(400, "updatedMin must be RFC 3339") from None
            rows = [row for row in rows if self._is_since(_changed(row), least)]
        reply = self._page(ask, "orders", rows[::-1] if self.newest_first else rows)
        for row in rows[: self.drift]:
            self.touch(str(row[self.id_name]))
        return reply

    def _is_since(self, at: datetime, least: datetime) -> bool:
        return at > least or (self.inclusive and at == least)

    def _page(self, ask: Ask, name: str, rows: list[JsonObject]) -> Reply:
        page, limit = ask.number("page", self.first_page), ask.number("limit", _PAGE)
        if page < self.first_page or not 1 <= limit <= _LARGEST_PAGE:
            raise Refusal(400, f"page must be {self.first_page} or more, limit 1 to 250")
        if self.shape == "array":
            return Reply(rows)
        start = (page - self.first_page) * limit
        more = len(rows) > start + limit
        following = f"{self.foreign_next or self.url}/buyer/{name}?" + urlencode(
            {**ask.query, "page": page + 1, "limit": limit}
        )
        data = rows[start : start + limit]
        return Reply({"data": data, "error": [], "hasMore": more, "next": following if more else ""})

    def _create_order(self, ask: Ask) -> Reply:
        body = checked(ask.body, _ORDER, _REQUIRED)
        if any(each["buyerReference"] == body["buyerReference"] for each in self.orders.values()):
            raise Refusal(400, "buyerReference must be unique")
        order = self.add_order(**body)
        number = str(order[self.id_name])
        answers: dict[str, object] = {
            "text": number.encode(), "json": number, "order": order, "envelope": {"data": order, "error": []},
        }  # fmt: skip
        return Reply(answers[self.order_answer])


def _changed(order: JsonObject) -> datetime:
    return datetime.fromisoformat(str(order["updated"]))
