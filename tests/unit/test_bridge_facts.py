"""What a store knows about somebody, as attributes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from convert_sdk import OptionError
from convert_sdk.commerce.bridge import (
    Allowed,
    Order,
    facts_from_contact,
    facts_from_member,
    facts_from_orders,
)
from convert_sdk.commerce.website import Contact, Member
from convert_sdk.commerce.website import Order as WebsiteOrder

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
NAMING = {
    "name": "Ann Example", "email": "ann@example.com", "phone": "0123", "note": "likes shoes", "address": "Road 1",
    "city": "Springfield", "zip": "98765", "companyName": "Example Ltd",
}  # fmt: skip


def contact(**fields: Any) -> Contact:
    return Contact.model_validate({"id": 4, **NAMING, **fields})


class TestContact:
    def test_everything_that_may_be_known(self) -> None:
        facts = facts_from_contact(
            contact(
                createdOn=int((NOW - timedelta(days=10, hours=1)).timestamp()), tags=["VIP", "Big Spender!"],
                memberId=3, subscribed=False, subscriberLists=[7], country="de", state="by",
            ),
            now=NOW,
        )  # fmt: skip
        assert facts == {
            "is_contact": True, "is_member": True, "is_subscriber": False, "tags": ["VIP", "Big Spender!"],
            "tag_vip": True, "tag_big_spender": True, "subscriber_lists": ["7"], "country": "DE", "state": "BY",
            "customer_age_days": 10,
        }  # fmt: skip

    def test_nothing_that_names_a_person(self) -> None:
        facts = facts_from_contact(contact(properties=[{"name": "email", "value": "b@c.d"}]), now=NOW)
        assert facts == {"is_contact": True, "is_member": False}

    def test_custom_properties_only_where_named(self) -> None:
        pairs = [
            {"name": each, "value": value}
            for each, value in (("Size", "41"), ("x", "1"), ("y", "?"), ("z", "1"))
        ]
        allowed = Allowed(facts=(), properties=("Size", "x", "y"), numbers=("x", "y"))
        facts = facts_from_contact(contact(properties=pairs, tags=["vip"]), now=NOW, allowed=allowed)
        assert facts == {"prop_size": "41", "prop_x": 1.0, "prop_y": "?"}

    @pytest.mark.parametrize("name", ["email", "phone", "name", "address", "zip", "note"])
    def test_what_is_personal_cannot_be_allowed(self, name: str) -> None:
        with pytest.raises(OptionError, match=f"{name} is no fact"):
            Allowed({name})


class TestMember:
    def test_groups_and_where_from(self) -> None:
        member = Member.model_validate({
            "id": 3, "name": "Ann", "email": "a@b.c", "groups": [1, "x"], "contactId": 4,
            "registeredOn": int((NOW + timedelta(days=1)).timestamp()),
            "billingAddress": {"country": "us", "state": "ny", "city": "New York", "zipCode": "1"},
        })  # fmt: skip
        assert facts_from_member(member, now=NOW) == {
            "is_contact": True, "is_member": True, "member_groups": ["1", "x"], "country": "US", "state": "NY",
            "customer_age_days": 0,
        }  # fmt: skip


class TestOrders:
    def test_only_what_was_paid_and_kept_counts(self) -> None:
        orders = [
            WebsiteOrder.model_validate(
                {"id": number, "created": int(NOW.timestamp()) - 86_400 * age, **fields}
            )
            for number, age, fields in (
                (1, 5, {"paid": True, "total": 10.5, "items": [{"sku": "S-1"}, {"sku": None}]}),
                (2, 3, {"paid": True, "total": 20}),
                (3, 1, {"paid": False, "total": 99, "items": [{"sku": "S-2"}]}),
                (4, 1, {"paid": True, "total": 99, "status": "canceled"}),
            )
        ]
        assert facts_from_orders(orders, now=NOW) == {
            "orders_count": 2, "lifetime_value": 30.5, "last_order_days": 3, "bought_s_1": True,
        }  # fmt: skip

    def test_orders_of_any_store(self) -> None:
        kept = Order("till", "berlin", "1", NOW, paid=True, amount=Decimal(5))
        gone = Order("till", "berlin", "2", NOW, paid=True, refunded=True, amount=Decimal(5))
        facts = facts_from_orders([kept, gone], now=NOW)
        assert facts == {"orders_count": 1, "lifetime_value": 5.0, "last_order_days": 0}

    def test_nobody_bought_anything(self) -> None:
        assert facts_from_orders([], now=NOW) == {"orders_count": 0, "lifetime_value": 0.0}
        assert facts_from_orders([], now=NOW, allowed=Allowed({"is_contact"})) == {}
