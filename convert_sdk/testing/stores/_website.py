"""The operations of a website's store, as a fake keeps them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping

from starlette.requests import Request

from convert_sdk.testing.stores._local import Ask, LocalStore, Operation, Refusal, Reply
from convert_sdk.testing.stores._rows import JsonObject, checked, found, objects, texts, within

_PAGE, _LARGEST_PAGE = 30, 50
_GROUP = {"name", "link"}
_PRODUCT_TYPES = {"physical", "digital", "service", "membership"}
_STATUSES = {"PENDING", "SHIPPED", "COMPLETED", "CANCELED", "ARCHIVED"}
_TOPICS = {
    "order_created", "order_updated", "product_created", "product_updated",
    "form_submitted", "contact_updated", "booking_created",
}  # fmt: skip
_CONTACT = {
    "name", "email", "phone", "note", "address", "city", "state", "zip", "country", "companyName",
    "properties", "tags", "subscribed", "subscriberLists",
}  # fmt: skip
_MEMBER = {"name", "email", "password", "groups", "approved", "billingAddress", "shippingAddress"}
_PRODUCT = {
    "type", "title", "description", "url", "hidden", "images", "categories", "options", "variants",
    "subscription", "file",
}  # fmt: skip
_ORDER = {
    "customerName", "customerEmail", "billingAddress", "shippingAddress", "paymentMethod", "transactionId",
    "paid", "status", "fulfillment", "notifyCustomer",
}  # fmt: skip


class WebsiteOperations(LocalStore):
    """The operations of the Website API, on tables in memory."""

    def reset(self) -> None:
        """Begin anew: an empty store, every switch as it was."""
        super().reset()
        self.contacts: dict[int, JsonObject] = {}
        self.members: dict[int, JsonObject] = {}
        self.groups: dict[int, JsonObject] = {}
        self.products: dict[int, JsonObject] = {}
        self.orders: dict[int, JsonObject] = {}
        self.bookings: dict[int, JsonObject] = {}
        self.forms: list[JsonObject] = []
        self.lists: dict[int, JsonObject] = {}
        self.hooks: dict[str, JsonObject] = {}
        self.mails: list[tuple[str, str]] = []
        self.drift = 0
        self.echo = True
        self.ignore_skip = False
        self.newest_first = True
        self.inclusive = True
        self.now: Callable[[], float] = time.time
        self._ids = itertools.count(1001)

    def check(self, request: Request) -> None:
        """Refuse a request without the key or without a User-Agent."""
        if request.headers.get("authorization") != f"Bearer {self.key}":
            raise Refusal(401, "Invalid API key")
        if not request.headers.get("user-agent"):
            raise Refusal(400, "A User-Agent header is required")

    def error(self, status: int, message: str) -> object:  # noqa: ARG002 - only the message is told
        """`{"success": false, "message": …}`"""
        return {"success": False, "message": message}

    def operations(self) -> list[tuple[str, Operation]]:
        """Every operation, at the addresses the client expects."""
        base = "/api/site"
        table: list[tuple[str, str, Operation]] = [
            ("GET", "/contacts", lambda ask: self._page(ask, [*self.contacts.values()], created="createdOn")),
            ("POST", "/contacts", self._upsert_contact),
            ("GET", "/contacts/search-by-email", lambda ask: self._by_email(ask, self.contacts)),
            ("GET", "/contacts/{id}", lambda ask: Reply(found(self.contacts, ask))),
            ("PATCH", "/contacts/{id}", self._update_contact),
            ("GET", "/members", self._list_members),
            ("POST", "/members", self._create_member),
            ("POST", "/members/sso", self._sso),
            ("GET", "/members/search-by-email", lambda ask: self._by_email(ask, self.members)),
            ("GET", "/members/{id}", lambda ask: Reply(found(self.members, ask))),
            ("PATCH", "/members/{id}", self._update_member),
            ("GET", "/member-groups", lambda _: Reply([*self.groups.values()])),
            ("POST", "/member-groups", lambda ask: self._add(self.groups, ask, _GROUP, ("name",))),
            ("GET", "/member-groups/{id}", lambda ask: Reply(found(self.groups, ask))),
            (
                "PATCH",
                "/member-groups/{id}",
                lambda ask: self._set(self.groups, ask, _GROUP, ("name",)),
            ),
            ("GET", "/products", self._list_products),
            ("POST", "/products", self._create_product),
            ("GET", "/products/categories", self._categories),
            ("GET", "/products/{id}", lambda ask: Reply(found(self.products, ask))),
            ("PATCH", "/products/{id}", self._update_product),
            ("GET", "/orders", self._list_orders),
            ("GET", "/orders/{id}", lambda ask: Reply(found(self.orders, ask))),
            ("PATCH", "/orders/{id}", self._update_order),
            ("GET", "/form-submissions", lambda ask: self._page(ask, self.forms, between="received")),
            ("GET", "/bookings", self._list_bookings),
            ("POST", "/subscriber-lists", self._create_list),
            ("PATCH", "/subscriber-lists/{id}", lambda ask: self._set(self.lists, ask, {"name"}, ("name",))),
            ("GET", "/webhooks", lambda _: Reply([*self.hooks.values()])),
            ("POST", "/webhooks", self._create_webhook),
            ("DELETE", "/webhooks/{id}", self._delete_webhook),
        ]
        return [(f"{method} {base}{path}", operation) for method, path, operation in table]

    def fire(self, topic: str, payload: JsonObject) -> None:
        """Something happened that webhooks tell."""

    def place_order(self, **fields: object) -> JsonObject:
        """An order as a shopper places it: pending and unpaid unless `fields` (wire names) say more."""
        number = next(self._ids)
        order: JsonObject = {
            "id": number, "invoiceNo": number, "created": int(self.now()), "contactId": 0, "memberId": 0,
            "subTotal": 49, "total": 49, "discountCode": None, "discountType": None, "discountAmount": 0,
            "shippingAmount": 0, "paid": False, "paymentMethod": "stripe", "transactionId": "",
            "status": "pending", "taxes": [], "tags": [], "additionalFields": [], "notes": [],
            "items": [{"id": 1, "name": "Shoes", "productId": 24, "sku": "S-1", "quantity": 1, "total": 49}],
        } | fields  # fmt: skip
        self.orders[number] = order
        self.fire("order_created", order)
        return order

    def _page(self, ask: Ask, rows: list[JsonObject], *, created: str = "", between: str = "") -> Reply:
        limit, skip = ask.number("limit", _PAGE), ask.number("skip", 0)
        if not 1 <= limit <= _LARGEST_PAGE or skip < 0:
            raise Refusal(400, "limit must be 1 to 50 and skip at least 0")
        for name, low, high in ((created, "created_at_min", "created_at_max"), (between, "from", "to")):
            if name:
                rows = [row for row in rows if within(ask, row.get(name), (low, high), self.inclusive)]
        if self.newest_first:
            rows = rows[::-1]
        start = 0 if self.ignore_skip else skip
        page = rows[start : start + limit]
        return Reply({"items": page, "totalCount": len(rows), "limit": limit, "skip": skip})

    def _list_orders(self, ask: Ask) -> Reply:
        reply = self._page(ask, [*self.orders.values()], created="created")
        for _ in range(self.drift):
            self.place_order()
        return reply

    def _list_members(self, ask: Ask) -> Reply:
        group = ask.query.get("groupId")
        rows = [each for each in self.members.values() if group is None or group in texts(each.get("groups"))]
        return self._page(ask, rows)

    def _list_products(self, ask: Ask) -> Reply:
        rows = [*self.products.values()]
        if title := ask.query.get("title"):
            rows = [row for row in rows if title.lower() in str(row["title"]).lower()]
        if category := ask.query.get("category_id"):
            wanted = self._below(category)
            rows = [
                row for row in rows if wanted & {str(each["id"]) for each in objects(row.get("categories"))}
            ]
        return self._page(ask, rows)

    def _below(self, category: str) -> set[str]:
        wanted = {category}
        tree = {str(each["id"]): str(each.get("parentCategory", 0)) for each in self._all_categories()}
        while grown := {each for each, parent in tree.items() if parent in wanted} - wanted:
            wanted |= grown
        return wanted

    def _all_categories(self) -> list[JsonObject]:
        found = {
            str(each["id"]): each for row in self.products.values() for each in objects(row.get("categories"))
        }
        return [*found.values()]

    def _categories(self, ask: Ask) -> Reply:
        parent = ask.query.get("parent")
        rows = self._all_categories()
        return Reply([row for row in rows if parent is None or str(row.get("parentCategory", 0)) == parent])

    def _list_bookings(self, ask: Ask) -> Reply:
        event = ask.query.get("eventId")
        rows = [row for row in self.bookings.values() if event is None or str(row["eventId"]) == event]
        return self._page(ask, rows, between="start")

    # Writes.

    def _new(self, table: dict[int, JsonObject], fields: Mapping[str, object]) -> JsonObject:
        number = next(self._ids)
        table[number] = {"id": number, **fields}
        return table[number]

    def _add(
        self, table: dict[int, JsonObject], ask: Ask, allowed: set[str], required: tuple[str, ...]
    ) -> Reply:
        return Reply(self._new(table, checked(ask.body, allowed, required)))

    def _set(
        self, table: dict[int, JsonObject], ask: Ask, allowed: set[str], required: tuple[str, ...] = ()
    ) -> Reply:
        """Only non-empty fields are set."""
        row = found(table, ask)
        body = checked(ask.body, allowed, required)
        row.update({name: value for name, value in body.items() if value not in (None, "", [], {})})
        return Reply(row)

    def _by_email(self, ask: Ask, table: dict[int, JsonObject]) -> Reply:
        email = ask.query.get("email")
        if not email:
            raise Refusal(400, "email is required")
        for row in table.values():
            if row.get("email") == email:
                return Reply(row)
        raise Refusal(404, "Not found")

    def _upsert_contact(self, ask: Ask) -> Reply:
        body = checked(ask.body, _CONTACT, ("email",))
        row = next((each for each in self.contacts.values() if each.get("email") == body["email"]), None)
        if row is None:
            row = self._new(self.contacts, {"createdOn": int(self.now()), "memberId": 0})
        self._merge_contact(row, body)
        return Reply(row)

    def _update_contact(self, ask: Ask) -> Reply:
        row = found(self.contacts, ask)
        body = checked(ask.body, _CONTACT, ("email",))
        self._merge_contact(row, {name: value for name, value in body.items() if value not in (None, "", [])})
        return Reply(row)

    def _merge_contact(self, row: JsonObject, body: Mapping[str, object]) -> None:
        """Tags are added, properties replaced by name, all else set."""
        tags = [*dict.fromkeys(texts(row.get("tags")) + texts(body.get("tags")))]
        properties = {each["name"]: each for each in objects(row.get("properties"))}
        properties |= {each["name"]: each for each in objects(body.get("properties"))}
        row.update(body)
        row.update({"tags": tags, "properties": [*properties.values()]})
        self.fire("contact_updated", row)

    def _create_member(self, ask: Ask) -> Reply:
        body = dict(checked(ask.body, _MEMBER, ("name", "email")))
        if not body.pop("password", None):
            self.mails.append((str(body["email"]), "password reset"))
        return Reply(self._new(self.members, {"registeredOn": int(self.now()), "approved": False} | body))

    def _update_member(self, ask: Ask) -> Reply:
        reply = self._set(self.members, ask, _MEMBER, ("name", "email"))
        found(self.members, ask).pop("password", None)
        return reply

    def _sso(self, ask: Ask) -> Reply:
        body = checked(ask.body, {"email", "path"}, ("email",))
        if all(each.get("email") != body["email"] for each in self.members.values()):
            raise Refusal(404, "No such member")
        at = int(self.now())
        url = f"https://shop.example.com{body.get('path', '/')}?sso=aaaaa.bbbbb.ccccc"
        token = {"token": "aaaaa.bbbbb.ccccc", "createdAt": at, "expiresAt": at + 900, "accessUrl": url}
        return Reply(token)

    def _create_product(self, ask: Ask) -> Reply:
        body = _product(ask)
        if ask.query.get("update_existing_product_by_url") == "true":
            for row in self.products.values():
                if row.get("url") and row.get("url") == body.get("url"):
                    row.update(body)
                    self.fire("product_updated", row)
                    return Reply(row)
        row = self._new(self.products, body)
        self.fire("product_created", row)
        return Reply(row)

    def _update_product(self, ask: Ask) -> Reply:
        _product(ask)
        reply = self._set(self.products, ask, _PRODUCT)
        self.fire("product_updated", found(self.products, ask))
        return reply

    def _update_order(self, ask: Ask) -> Reply:
        row = found(self.orders, ask)
        body = dict(checked(ask.body, _ORDER, ()))
        if body.pop("notifyCustomer", False):
            self.mails.append((str(row.get("customerEmail")), "order changed"))
        if status := str(body.pop("status", "")):
            if status not in _STATUSES:
                raise Refusal(500, "Unprocessable status")
            row["status"] = status.lower()
            if status == "COMPLETED" and any(
                each.get("type") in ("digital", "membership") for each in objects(row.get("items"))
            ):
                self.mails.append((str(row.get("customerEmail")), "your content"))
        row.update({name: value for name, value in body.items() if value not in (None, "", {})})
        if self.echo:
            self.fire("order_updated", row)
        return Reply(row)

    def _create_list(self, ask: Ask) -> Reply:
        name = checked(ask.body, {"name"}, ("name",))["name"]
        fresh = {"name": name, "created": int(self.now()), "subscribers": 0, "opens": 0, "clicks": 0}
        return Reply(self._new(self.lists, fresh))

    def _create_webhook(self, ask: Ask) -> Reply:
        body = checked(ask.body, {"target", "events", "secret"}, ("target", "events"))
        if not set(texts(body["events"])) <= _TOPICS:
            raise Refusal(400, "Unknown event")
        hook: JsonObject = {"id": f"rh_{next(self._ids)}", **body}
        self.hooks[str(hook["id"])] = hook
        return Reply(hook)

    def _delete_webhook(self, ask: Ask) -> Reply:
        if self.hooks.pop(ask.ids["id"], None) is None:
            raise Refusal(404, "Not found")
        return Reply({"success": True})


def _product(ask: Ask) -> Mapping[str, object]:
    body = checked(ask.body, _PRODUCT, ("type", "title"))
    if body["type"] not in _PRODUCT_TYPES:
        raise Refusal(400, "Unknown product type")
    return body
