"""Facts from a store as attributes for audiences; nothing that names a person."""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TypeAlias

from convert_sdk._core.half_made import shown_half_made
from convert_sdk.commerce.bridge.money import total
from convert_sdk.commerce.bridge.orders import OrderSnapshot, person_id
from convert_sdk.commerce.bridge.personal import (
    folded,
    is_personal_code,
    is_personal_name,
    is_personal_text,
)
from convert_sdk.commerce.website import Contact, Member
from convert_sdk.commerce.website import Order as WebsiteOrder
from convert_sdk.errors import OptionError

Fact: TypeAlias = "str | int | float | bool | list[str]"

_DAY = 86_400
_SEPARATOR = re.compile(r"[\s_-]+")
FACTS = frozenset({
    "is_contact", "is_member", "is_subscriber", "tags", "member_groups", "subscriber_lists", "country", "state",
    "customer_age_days", "orders_count", "lifetime_value", "last_order_days", "bought",
})  # fmt: skip
"""The facts that may become attributes. E-mail, phone, name, address, zip and notes are not among it."""


@shown_half_made
@dataclass(frozen=True, slots=True)
class Allowed:
    """The facts and custom properties that may become attributes, and the properties that are numbers.

    Tags also come one by one (`tag_vip`), as bought SKUs do (`bought_s_1`): rules compare single values.
    OptionError for a property whose name says that it holds an e-mail address, a phone number, a name or an
    address. A value that looks like one of the first two is left out wherever it stands.

    >>> Allowed({"is_contact", "orders_count"}).facts == {"is_contact", "orders_count"}
    True
    >>> Allowed(properties={"billing_phone"})
    Traceback (most recent call last):
        ...
    convert_sdk.errors.OptionError: properties: 'billing_phone' would name a person: leave it out
    """

    facts: Collection[str] = FACTS
    properties: Collection[str] = ()
    numbers: Collection[str] = ()

    def __post_init__(self) -> None:
        for each in fields(self):
            given: Iterable[str] = getattr(self, each.name)
            if isinstance(given, str):
                raise OptionError(f"{each.name}: expected several names, such as {{{given!r}}}")
            object.__setattr__(self, each.name, frozenset(given))
        if unknown := sorted(set(self.facts) - FACTS):
            raise OptionError(f"{unknown[0]} is no fact; known are {', '.join(sorted(FACTS))}")
        if personal := sorted(filter(is_personal_name, self.properties)):
            raise OptionError(f"properties: {personal[0]!r} would name a person: leave it out")
        if unasked := sorted(set(self.numbers) - set(self.properties)):
            raise OptionError(f"numbers: {unasked[0]!r} is not among the properties")


EVERYTHING = Allowed()


def facts_from_contact(contact: Contact, *, now: datetime, allowed: Allowed = EVERYTHING) -> dict[str, Fact]:
    """A contact as attributes.

    >>> contact = Contact(id=4, tags=("Big Spender",), country="de", subscribed=True, email="ann@example.com")
    >>> facts = facts_from_contact(contact, now=datetime(2026, 5, 1, tzinfo=UTC))
    >>> facts["country"], facts["tag_big_spender"], facts["is_subscriber"], "email" in facts
    ('DE', True, True, False)
    """
    is_open = _unless_own(contact)
    tags = [tag for tag in contact.tags if is_open(tag)]
    found: dict[str, Fact | None] = {
        "is_contact": True,
        "is_member": person_id(contact.member_id) is not None,
        "is_subscriber": contact.subscribed,
        "tags": tags or None,
        "subscriber_lists": _codes(contact.subscriber_lists),
        "country": _upper(contact.country),
        "state": _upper(contact.state),
        "customer_age_days": _days(contact.created_on, now),
    }
    facts = _kept(found, allowed)
    if "tags" in allowed.facts:
        facts |= _each("tag", tags)
    for name, value in ((each.name, each.value) for each in contact.properties):
        if name in allowed.properties and name is not None and value is not None and is_open(value):
            facts |= _each("prop", [name], _value(value, as_number=name in allowed.numbers))
    return facts


def facts_from_member(member: Member, *, now: datetime, allowed: Allowed = EVERYTHING) -> dict[str, Fact]:
    """A member as attributes; the billing address gives country and state, and nothing else.

    >>> facts_from_member(Member(id=3, groups=(7,)), now=datetime(2026, 5, 1, tzinfo=UTC))
    {'is_member': True, 'member_groups': ['7']}
    """
    address = member.billing_address
    found: dict[str, Fact | None] = {
        "is_contact": None if person_id(member.contact_id) is None else True,
        "is_member": True,
        "member_groups": _codes(member.groups),
        "country": _upper(address.country if address else None),
        "state": _upper(address.state if address else None),
        "customer_age_days": _days(member.registered_on, now),
    }
    return _kept(found, allowed)


def facts_from_orders(
    orders: Sequence[OrderSnapshot | WebsiteOrder], *, now: datetime, allowed: Allowed = EVERYTHING
) -> dict[str, Fact]:
    """A customer's orders as attributes; those that are unpaid or cancelled do not count.

    Bought SKUs are known of a website's own orders only. Amounts of two currencies have no sum: there is no
    `lifetime_value` then.

    >>> paid = WebsiteOrder.model_validate({"id": 1, "paid": True, "total": 49.9, "items": [{"sku": "S-1"}]})
    >>> facts_from_orders([paid], now=datetime(2026, 5, 1, tzinfo=UTC))
    {'orders_count': 1, 'lifetime_value': 49.9, 'bought_s_1': True}
    """
    counted = [each for each in orders if each.paid and not _is_cancelled(each)]
    amounts = [each.amount if isinstance(each, OrderSnapshot) else each.total for each in counted]
    currencies = {each.currency for each in counted if isinstance(each, OrderSnapshot) and each.currency}
    moments = [each.created for each in counted if each.created is not None]
    found: dict[str, Fact | None] = {
        "orders_count": len(counted),
        "lifetime_value": float(total(amounts)) if len(currencies) <= 1 else None,
        "last_order_days": _days(max(moments, default=None), now),
    }
    facts = _kept(found, allowed)
    if "bought" in allowed.facts:
        records = [each for each in counted if isinstance(each, WebsiteOrder)]
        skus = (item.sku for each in records for item in each.items if item.sku)
        facts |= _each("bought", [sku for sku in skus if not is_personal_code(sku)])
    return facts


def _is_cancelled(order: OrderSnapshot | WebsiteOrder) -> bool:
    return (
        order.cancelled or order.refunded if isinstance(order, OrderSnapshot) else order.status == "canceled"
    )


def _kept(found: dict[str, Fact | None], allowed: Allowed) -> dict[str, Fact]:
    return {name: fact for name, fact in found.items() if fact is not None and name in allowed.facts}


def _unless_own(contact: Contact) -> Callable[[str], bool]:
    """A test for texts that may be given away: not those that look personal, nor those that name this contact."""
    named = (contact.name, contact.email, contact.phone, contact.address, contact.note, contact.company_name)
    own = {_bare(each) for each in named if each} - {""}
    return lambda text: not is_personal_text(text) and _bare(text) not in own


def _bare(text: str) -> str:
    return "".join(filter(str.isalnum, folded(text)))


def _codes(ids: Sequence[int | str]) -> list[str] | None:
    return [str(each) for each in ids if not is_personal_code(str(each))] or None


def _value(text: str, *, as_number: bool) -> Fact:
    if as_number:
        try:
            number = float(text)
        except ValueError:
            return text
        return number if math.isfinite(number) else text
    return text


def _days(moment: datetime | None, now: datetime) -> int | None:
    return None if moment is None else max(0, int((now - moment.astimezone(UTC)).total_seconds() // _DAY))


def _upper(text: str | None) -> str | None:
    return None if not text or is_personal_text(text) else text.strip().upper() or None


def _each(prefix: str, texts: Iterable[str], fact: Fact = True) -> dict[str, Fact]:
    """An attribute for each text that is not blank."""
    return {f"{prefix}_{slug(each)}": fact for each in texts if each.strip()}


def slug(text: str) -> str:
    """A tag, SKU or property's name as the end of an attribute's: another for each that is not spelt alike.

    Case, compatible characters and what separates words (spaces, hyphens, underscores) make no difference. Letters
    and digits of any script are kept; what else a text has is told by eight hexadecimal digits.

    >>> [slug(each) for each in ("Big Spender", "S-1", "ВИП", "C", "C++", "C#")]
    ['big_spender', 's_1', 'вип', 'c', 'c__cedb1bac', 'c__951a4d36']
    """
    spelt = _SEPARATOR.sub("_", folded(text).strip())
    kept = "".join(each if unicodedata.category(each)[0] in "LMN" else "_" for each in spelt)
    plain = re.sub("_+", "_", kept).strip("_")
    if plain == spelt:
        return plain
    digest = hashlib.sha256(spelt.encode()).hexdigest()[:8]
    return f"{plain}__{digest}" if plain else f"_{digest}"
