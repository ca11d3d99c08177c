"""What a store knows about somebody, as attributes for audiences; nothing that names a person."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeAlias

from convert_sdk.commerce.bridge.orders import Order
from convert_sdk.commerce.website import Contact, Member
from convert_sdk.commerce.website import Order as WebsiteOrder
from convert_sdk.errors import OptionError

Fact: TypeAlias = "str | int | float | bool | list[str]"

_DAY = 86_400
_SLUG = re.compile(r"[^a-z0-9]+")
FACTS = frozenset({
    "is_contact", "is_member", "is_subscriber", "tags", "member_groups", "subscriber_lists", "country", "state",
    "customer_age_days", "orders_count", "lifetime_value", "last_order_days", "bought",
})  # fmt: skip
"""What may become an attribute. E-mail, phone, name, address, zip and notes are not among it."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """Which facts may become attributes, and which of the custom properties; of those, which as numbers.

    Tags also come one by one (`tag_vip`), as bought SKUs do (`bought_s_1`): rules compare single values.

    >>> Allowed({"is_contact", "orders_count"}).facts == {"is_contact", "orders_count"}
    True
    """

    facts: Iterable[str] = FACTS
    properties: Iterable[str] = ()
    numbers: Iterable[str] = ()

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.facts) - FACTS):
            raise OptionError(f"{unknown[0]} is no fact; known are {', '.join(sorted(FACTS))}")


EVERYTHING = Allowed()


def facts_from_contact(contact: Contact, *, now: datetime, allowed: Allowed = EVERYTHING) -> dict[str, Fact]:
    """A contact as attributes.

    >>> contact = Contact(id=4, tags=("Big Spender",), country="de", subscribed=True, email="ann@example.com")
    >>> facts = facts_from_contact(contact, now=datetime(2026, 5, 1, tzinfo=UTC))
    >>> facts["country"], facts["tag_big_spender"], facts["is_subscriber"], "email" in facts
    ('DE', True, True, False)
    """
    found: dict[str, Fact | None] = {
        "is_contact": True,
        "is_member": contact.member_id is not None,
        "is_subscriber": contact.subscribed,
        "tags": list(contact.tags) or None,
        "subscriber_lists": [str(each) for each in contact.subscriber_lists] or None,
        "country": _upper(contact.country),
        "state": _upper(contact.state),
        "customer_age_days": _days(contact.created_on, now),
    }
    facts = _kept(found, allowed)
    if "tags" in set(allowed.facts):
        facts |= {f"tag_{_slug(tag)}": True for tag in contact.tags}
    for each in contact.properties:
        if each.name in set(allowed.properties) and each.value is not None:
            facts[f"prop_{_slug(each.name)}"] = _value(
                each.value, as_number=each.name in set(allowed.numbers)
            )
    return facts


def facts_from_member(member: Member, *, now: datetime, allowed: Allowed = EVERYTHING) -> dict[str, Fact]:
    """A member as attributes; the billing address gives country and state, and nothing else.

    >>> facts_from_member(Member(id=3, groups=(7,)), now=datetime(2026, 5, 1, tzinfo=UTC))
    {'is_member': True, 'member_groups': ['7']}
    """
    address = member.billing_address
    found: dict[str, Fact | None] = {
        "is_contact": True if member.contact_id is not None else None,
        "is_member": True,
        "member_groups": [str(each) for each in member.groups] or None,
        "country": _upper(address.country if address else None),
        "state": _upper(address.state if address else None),
        "customer_age_days": _days(member.registered_on, now),
    }
    return _kept(found, allowed)


def facts_from_orders(
    orders: Sequence[Order | WebsiteOrder], *, now: datetime, allowed: Allowed = EVERYTHING
) -> dict[str, Fact]:
    """A customer's orders as attributes; those that are unpaid or cancelled do not count.

    Bought SKUs are known of a website's own orders only.

    >>> paid = WebsiteOrder.model_validate({"id": 1, "paid": True, "total": 49.9, "items": [{"sku": "S-1"}]})
    >>> facts_from_orders([paid], now=datetime(2026, 5, 1, tzinfo=UTC))
    {'orders_count': 1, 'lifetime_value': 49.9, 'bought_s_1': True}
    """
    counted = [each for each in orders if each.paid and not _is_cancelled(each)]
    amounts = [each.amount if isinstance(each, Order) else each.total for each in counted]
    moments = [each.created for each in counted if each.created is not None]
    found: dict[str, Fact | None] = {
        "orders_count": len(counted),
        "lifetime_value": float(sum((amount or Decimal() for amount in amounts), Decimal())),
        "last_order_days": _days(max(moments, default=None), now),
    }
    facts = _kept(found, allowed)
    if "bought" in set(allowed.facts):
        records = [each for each in counted if isinstance(each, WebsiteOrder)]
        facts |= {f"bought_{_slug(item.sku)}": True for each in records for item in each.items if item.sku}
    return facts


def _is_cancelled(order: Order | WebsiteOrder) -> bool:
    return order.cancelled or order.refunded if isinstance(order, Order) else order.status == "canceled"


def _kept(found: dict[str, Fact | None], allowed: Allowed) -> dict[str, Fact]:
    facts = set(allowed.facts)
    return {name: fact for name, fact in found.items() if fact is not None and name in facts}


def _value(text: str, *, as_number: bool) -> Fact:
    if as_number:
        try:
            return float(text)
        except ValueError:
            pass
    return text


def _days(moment: datetime | None, now: datetime) -> int | None:
    return None if moment is None else max(0, int((now - moment.astimezone(UTC)).total_seconds() // _DAY))


def _upper(text: str | None) -> str | None:
    return text.strip().upper() or None if text else None


def _slug(text: str) -> str:
    return _SLUG.sub("_", text.lower()).strip("_")
