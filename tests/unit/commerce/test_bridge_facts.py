"""What a store knows about somebody, as attributes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from convert_sdk import OptionError
from convert_sdk.commerce.bridge import (
    Allowed,
    OrderSnapshot,
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


PERSONAL = [
    "ann@example.com", "Ann <ann@example.com>", "ann＠example.com", "ann%40example.com", "+49 170 1234567",
    "0170/1234567",
    "(555) 123-4567", "555.123.4567", "5551234567", "612 345 678", "call 555-123-4567", "vip_5551234567", "tel:5551234",
    "٠١٧٠١٢٣٤٥٦٧", "0170–1234567", "0301234",
]  # fmt: skip
ORDINARY = [
    "41", "1299.95", "-5", "2026-05-01", "01.05.2026", "20260501", "2024/2025", "10-20", "12345678", "Gold 2026",
    "98760",
    "2026-05-01 12:30", "1,299,000.00", "550e8400-e29b-41d4-a716-446655440000", "A123456789012",
]  # fmt: skip


def contact(**fields: Any) -> Contact:
    return Contact.model_validate({"id": 4, **NAMING, **fields})


def bought(sku: str) -> dict[str, Any]:
    order = WebsiteOrder.model_validate({"id": 1, "paid": True, "items": [{"sku": sku}]})
    return dict(facts_from_orders([order], now=NOW))


class TestContact:
    def test_everything_that_may_be_known(self) -> None:
        facts = facts_from_contact(
            contact(
                createdOn=int((NOW - timedelta(days=10, hours=1)).timestamp()), tags=["VIP", "Big  Spender"],
                memberId=3, subscribed=False, subscriberLists=[7], country="de", state="by",
            ),
            now=NOW,
        )  # fmt: skip
        assert facts == {
            "is_contact": True, "is_member": True, "is_subscriber": False, "tags": ["VIP", "Big  Spender"],
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

    @pytest.mark.parametrize(
        "name",
        [
            "phone", "Phone", "billing_phone", "phoneNumber", "phone2", "homephone", "tel", "Mobile No", "Telefon",
            "téléphone", "email", "e-mail", "E.Mail", "customerEmail", "ｅｍａｉｌ", "name", "firstName", "FIRSTNAME",
            "last name", "surname", "Vorname", "company name", "address", "billingAddress1", "address_line_2",
            "ip_address", "street", "city", "zipCode", "note",
        ],
    )  # fmt: skip
    def test_a_property_that_names_a_person_cannot_be_allowed(self, name: str) -> None:
        with pytest.raises(OptionError, match="would name a person"):
            Allowed(properties={"size", name})

    @pytest.mark.parametrize(
        "name",
        ["size", "plan_name", "productName", "points", "tournament", "headphones", "iphone_user", "hotel", "capacity"],
    )  # fmt: skip
    def test_a_property_that_only_sounds_like_it_can(self, name: str) -> None:
        assert Allowed(properties={name}).properties == {name}

    def test_names_come_in_a_collection_that_may_be_used_up(self) -> None:
        once: Any = iter  # not what the hints ask for, and yet what somebody passes
        allowed = Allowed(once(["tags"]), properties=once(["x"]), numbers=once(["x"]))
        assert facts_from_contact(contact(tags=["a"]), now=NOW, allowed=allowed) == {
            "tags": ["a"],
            "tag_a": True,
        }
        with pytest.raises(OptionError, match="properties: expected several names"):
            Allowed(properties="size")
        with pytest.raises(OptionError, match="numbers: 'age' is not among the properties"):
            Allowed(numbers={"age"})

    @pytest.mark.parametrize("value", PERSONAL)
    def test_a_value_that_names_a_person_is_left_out(self, value: str) -> None:
        told = contact(
            tags=[value, "vip"], country=value, state=value, subscriberLists=[f"list {value}", 7],
            properties=[{"name": "reach", "value": value}, {"name": "number", "value": value}],
        )  # fmt: skip
        allowed = Allowed(properties={"reach", "number"}, numbers={"number"})
        facts = facts_from_contact(told, now=NOW, allowed=allowed)
        assert {*facts} - {"is_contact", "is_member", "subscriber_lists"} == {"tags", "tag_vip"}
        assert facts["tags"] == ["vip"]

    @pytest.mark.parametrize("value", ["ann@example.com", "+49 170 1234567", "(0170) 1234567"])
    def test_nor_does_one_come_as_an_id_or_a_sku(self, value: str) -> None:
        told = contact(subscriberLists=[value, 7])
        assert facts_from_contact(told, now=NOW)["subscriber_lists"] == ["7"]
        member = Member.model_validate({"id": 3, "groups": [value], "billingAddress": {"country": value}})
        assert facts_from_member(member, now=NOW) == {"is_member": True}
        assert not [each for each in bought(value) if each.startswith("bought")]

    @pytest.mark.parametrize("tag", ["Ann Example", "ann-example", "0123", "Likes shoes", "road 1"])
    def test_what_the_contact_is_called_is_no_tag(self, tag: str) -> None:
        assert facts_from_contact(contact(tags=[tag]), now=NOW) == {"is_contact": True, "is_member": False}

    @pytest.mark.parametrize("value", ORDINARY)
    def test_ordinary_numbers_are_kept(self, value: str) -> None:
        told = contact(tags=[value], properties=[{"name": "x", "value": value}])
        facts = facts_from_contact(told, now=NOW, allowed=Allowed({"tags"}, properties={"x"}))
        assert (facts["tags"], facts["prop_x"]) == ([value], value)

    def test_a_number_is_one_that_counts(self) -> None:
        pairs = [{"name": each, "value": each} for each in ("41", "1299.95", "-5", "nan", "inf", "1e3")]
        names = {each["name"] for each in pairs}
        allowed = Allowed((), properties=names, numbers=names)
        facts = facts_from_contact(contact(properties=pairs), now=NOW, allowed=allowed)
        assert [*facts.values()] == [41.0, 1299.95, -5.0, "nan", "inf", 1000.0]

    def test_tags_of_any_script_stay_apart(self) -> None:
        facts = facts_from_contact(
            contact(tags=["ВИП", "НОВ", "C", "C++", "C#", "🎉", "!!!", "हिन्दी", " "]),
            now=NOW,
            allowed=Allowed({"tags"}),
        )  # fmt: skip
        assert {*facts} == {
            "tags", "tag_вип", "tag_нов", "tag_c", "tag_c__cedb1bac", "tag_c__951a4d36", "tag__6146299c",
            "tag__e84c538e", "tag_हिन्दी",
        }  # fmt: skip


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
        kept = OrderSnapshot("till", "berlin", "1", NOW, paid=True, amount=Decimal(5))
        gone = OrderSnapshot("till", "berlin", "2", NOW, paid=True, refunded=True, amount=Decimal(5))
        facts = facts_from_orders([kept, gone], now=NOW)
        assert facts == {"orders_count": 1, "lifetime_value": 5.0, "last_order_days": 0}

    @pytest.mark.parametrize(
        "sku", ["4006381333931", "00012345678905", "100-200-3000", "IPHONE-12", "BOLT (10) 50"]
    )
    def test_a_sku_may_be_digits(self, sku: str) -> None:
        assert sum(each.startswith("bought_") for each in bought(sku)) == 1

    def test_nobody_bought_anything(self) -> None:
        assert facts_from_orders([], now=NOW) == {"orders_count": 0, "lifetime_value": 0.0}
        assert facts_from_orders([], now=NOW, allowed=Allowed({"is_contact"})) == {}
