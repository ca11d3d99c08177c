"""Records for Convertmax: a store's products, contacts and orders, with the variations that were seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from math import inf
from typing import Literal, NamedTuple, TypeAlias

from convert_sdk.commerce._wire import Id, exact
from convert_sdk.commerce.bridge.identity import has_objected
from convert_sdk.commerce.bridge.ledger import LedgerTransaction
from convert_sdk.commerce.bridge.orders import UNKNOWN, IdentityKey, OrderSnapshot, person_id
from convert_sdk.commerce.convictional import BuyerProduct
from convert_sdk.commerce.website import Contact, Product, ProductVariant
from convert_sdk.project import Project

Entity: TypeAlias = Literal["product", "contact", "order"]
Content: TypeAlias = Mapping[str, object]


class Upsert(NamedTuple):
    """A record to be written: what it is called there, what it says, and its id elsewhere."""

    entity: Entity
    id: str
    data: Content
    external_id: str | None = None

    def __repr__(self) -> str:
        return f"Upsert({self.entity!r}, {self.id!r})"


class ExposureLookup(NamedTuple):
    """The means to look up exposures: a ledger's transaction, the time, and the project for keys (or none)."""

    transaction: LedgerTransaction
    now: float
    slack: float
    project: Project | None


def website_products(products: Iterable[Product]) -> Iterator[Upsert]:
    """A website's products, one record for each variant: Convertmax knows products by SKU.

    >>> shoes = Product(id=24, title="Shoes", variants=(ProductVariant(sku="S-1"),))
    >>> [(each.id, each.data["name"]) for each in website_products([shoes])]
    [('S-1', 'Shoes')]
    """
    for product in products:
        for number, variant in enumerate(product.variants or (ProductVariant(),)):
            own = _own_id(variant.sku, product.id, number)
            yield Upsert("product", own, _website_product(product, variant))


def _website_product(product: Product, variant: ProductVariant) -> Content:
    return _said({
        "sku": variant.sku, "name": product.title, "type": product.type, "url": product.url,
        "hidden": product.hidden, "price": variant.price, "regular_price": variant.regular_price,
        "on_sale": variant.on_sale, "quantity": variant.quantity, "options": [*variant.options],
        "categories": [each.name for each in product.categories], "product_id": product.id,
    })  # fmt: skip


def buyer_products(products: Iterable[BuyerProduct]) -> Iterator[Upsert]:
    """A buyer's products, one record for each variant, by retail price; never by what the buyer pays."""
    for product in products:
        for number, variant in enumerate(product.variants):
            data = {
                "sku": variant.sku, "name": product.title, "brand": product.brand, "variant": variant.title,
                "price": variant.retail_price, "currency": variant.retail_currency, "tags": [*product.tags],
                "quantity": variant.inventory_amount, "product_id": product.id, "variant_id": variant.id,
            }  # fmt: skip
            yield Upsert("product", _own_id(variant.sku, product.id, number), _said(data))


def _own_id(sku: str | None, product_id: Id | None, number: int) -> str:
    """A variant's id at Convertmax: its SKU, else its product's id and its place."""
    return sku if sku and sku.strip() else f"{product_id}:{number}"


def contact_record(contact: Contact, scope: str, lookup: ExposureLookup) -> Upsert:
    """A contact by id, tags, lists and country, with what the visitor linked to it has seen.

    No name, address, e-mail or phone number. `scope` is the source's.
    """
    data: dict[str, object] = {
        "tags": [*contact.tags],
        "subscribed": contact.subscribed,
        "subscriber_lists": [*contact.subscriber_lists],
        "country": contact.country,
        **_seen_by(_identity_keys(contact, scope), lookup),
    }
    own = f"{scope.partition(':')[2]}:contact:{contact.id}"
    return Upsert("contact", own, _said(data), person_id(contact.member_id))


def order_record(order: OrderSnapshot, lookup: ExposureLookup) -> Upsert:
    """An order by amount and state, with what its visitor had been shown when ordering."""
    data: dict[str, object] = {
        "id": order.transaction_id,
        "revenue": None if order.amount is None else str(order.amount),
        "currency": order.currency,
        "products_count": order.products,
        "paid": order.paid,
        "cancelled": order.cancelled,
        "refunded": order.refunded,
        "created": None if order.earliest == UNKNOWN else order.created,
        **_seen_at(order, lookup),
    }
    return Upsert("order", order.transaction_id, _said(data))


def _identity_keys(contact: Contact, scope: str) -> list[IdentityKey]:
    found: tuple[tuple[Literal["member", "contact"], Id | None], ...] = (
        ("member", contact.member_id), ("contact", contact.id),
    )  # fmt: skip
    return [IdentityKey(kind, f"{scope}:{value}") for kind, value in found if person_id(value) is not None]


def _seen_by(identity_keys: Sequence[IdentityKey], lookup: ExposureLookup) -> Content:
    for identity_key in identity_keys:
        links = [link for link in lookup.transaction.links(identity_key) if link.expires > lookup.now]
        if links:
            link = max(links, key=lambda each: (each.at, each.visitor_id))
            if has_objected(link.visitor_id, identity_keys, lookup.transaction, lookup.now, lookup.now):
                return {}
            exposures = lookup.transaction.exposures(link.visitor_id, -inf, lookup.now)
            seen = {each.experience_id: each.variation_id for each in exposures}
            return _convert(link.visitor_id, seen, lookup.now, lookup)
    return {}


def _seen_at(order: OrderSnapshot, lookup: ExposureLookup) -> Content:
    for conversion in lookup.transaction.conversions_of(order.transaction_id):
        if conversion.visitor_id is not None and conversion.state in ("claimed", "sent", "reversed"):
            at = order.created.timestamp()
            if has_objected(conversion.visitor_id, order.identity_keys, lookup.transaction, at, lookup.now):
                return {}
            until = at + lookup.slack
            return _convert(conversion.visitor_id, conversion.attributed, until, lookup)
    return {}


def _convert(visitor_id: str, seen: Mapping[str, str], until: float, lookup: ExposureLookup) -> Content:
    """`convert`, and flat `convert_<experience>` beside it, for systems that do not look inside."""
    exposures = lookup.transaction.exposures(visitor_id, -inf, until)
    first = {(each.experience_id, each.variation_id): each.at for each in reversed(exposures)}
    experiences: list[Content] = []
    flat: dict[str, object] = {}
    for experience_id, variation_id in sorted(seen.items()):
        experience = lookup.project and lookup.project.experiences.of_id(experience_id)
        variation = experience and experience.variations.get(variation_id)
        at = first.get((experience_id, variation_id))
        experiences.append(_said({
            "experience_id": experience_id,
            "experience_key": experience.key if experience else None,
            "variation_id": variation_id,
            "variation_key": variation.key if variation else None,
            "bucketed_at": None if at is None else datetime.fromtimestamp(at, UTC),
        }))  # fmt: skip
        name = experience.key if experience else experience_id
        flat[f"convert_{name}"] = variation.key if variation else variation_id
    return {"convert": {"visitor_id": visitor_id, "experiences": experiences}, **flat}


def _said(data: Content) -> Content:
    """The values that are not None; amounts as texts where a JSON number would lose a digit."""
    return {
        name: exact(value) if isinstance(value, Decimal) else value
        for name, value in data.items()
        if value is not None
    }
