"""The documentation's own examples, read by our models: nothing lost, nobody named in a repr."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

import pytest

from convert_sdk.commerce import convictional, website
from convert_sdk.commerce._wire import StoreRecord, encode
from convert_sdk.commerce.website.webhooks import SubmittedForm
from tests.shapes import present

RECORDS: dict[str, type[StoreRecord]] = {
    "contact": website.Contact,
    "member": website.Member,
    "sso_token": website.SsoToken,
    "member_group": website.MemberGroup,
    "product": website.Product,
    "order": website.Order,
    "subscriber_list": website.SubscriberList,
    "webhook": website.Webhook,
    "booking": website.Booking,
    "form_submitted": SubmittedForm,
}
PAGES: dict[str, type[StoreRecord]] = {
    "contacts_page": website.Contact,
    "members_page": website.Member,
    "products_page": website.Product,
    "orders_page": website.Order,
    "form_submissions_page": website.FormSubmission,
    "bookings_page": website.Booking,
}


def check_covered(record: StoreRecord, example: dict[str, Any]) -> None:
    """Every key of the example is a field of the record, at every depth."""
    assert record.raw == example
    by_alias = {info.alias: name for name, info in type(record).model_fields.items()}
    for key, value in example.items():
        assert key in by_alias, key
        mine = getattr(record, by_alias[key])
        if isinstance(mine, StoreRecord):
            check_covered(mine, value)
        elif isinstance(mine, tuple) and mine and isinstance(mine[0], StoreRecord):
            for part, original in zip(mine, value, strict=True):
                check_covered(part, original)
        elif isinstance(mine, datetime):
            assert (mine.tzinfo, mine.timestamp()) == (UTC, value)
        elif isinstance(mine, Decimal):
            assert mine == Decimal(str(value))
        elif isinstance(mine, tuple):
            assert list(mine) == value
        else:
            assert mine == (value or mine)


@pytest.mark.parametrize("name", RECORDS)
def test_each_record_is_understood_whole(examples: dict[str, Any], name: str) -> None:
    check_covered(RECORDS[name].model_validate(examples[name]), examples[name])


@pytest.mark.parametrize("name", PAGES)
def test_each_page_is_understood_whole(examples: dict[str, Any], name: str) -> None:
    for item in examples[name]["items"]:
        check_covered(PAGES[name].model_validate(item), item)


@pytest.mark.parametrize("name", RECORDS)
def test_no_person_and_no_secret_shows(examples: dict[str, Any], name: str) -> None:
    shown = repr(RECORDS[name].model_validate(examples[name]))
    for value in ("john", "John", "jane", "+123456789", "your-secret", "xxxxx"):
        assert value not in shown


@pytest.mark.parametrize("name", RECORDS)
def test_records_are_frozen_and_can_be_copied_and_pickled(examples: dict[str, Any], name: str) -> None:
    record = RECORDS[name].model_validate(examples[name])
    with pytest.raises(ValueError, match="frozen"):
        cast("Any", record).id = 5
    for twin in (copy.deepcopy(record), pickle.loads(pickle.dumps(record))):  # noqa: S301 - our own bytes
        assert twin == record
        assert twin.raw == record.raw


def test_unknown_keys_are_kept_and_strange_values_are_no_reason_to_fail() -> None:
    order = website.Order.model_validate({
        "id": "o-1", "new": {"a": 1}, "items": None, "total": "49.90", "subTotal": "",
        "created": "1573397217", "status": "REFUNDED", "contactId": 0, "billingAddress": [], "customerName": 5,
        "additionalFields": [{"field": "sizes", "value": ["S", "M"]}, {"field": "gift", "value": True}],
    })  # fmt: skip
    assert (order.id, order.raw["new"], order.items) == ("o-1", {"a": 1}, ())
    assert (order.total, order.sub_total) == (Decimal("49.90"), None)
    assert (order.created, order.status) == (datetime.fromtimestamp(1573397217, UTC), "refunded")
    assert (order.contact_id, order.customer_name) == (0, "5")
    assert (order.field("sizes"), order.field("gift"), order.field("x")) == ("S, M", "true", None)
    assert order.billing_address == website.PostalAddress()


@pytest.mark.parametrize(
    "spelling",
    [None, "", 0, "0", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:00", "0000-00-00 00:00:00"],
)
def test_every_spelling_of_no_date_is_none(spelling: object) -> None:
    assert website.Order.model_validate({"created": spelling}).created is None


@pytest.mark.parametrize(
    "spelling",
    [1573397217, "1573397217", "2019-11-10T14:46:57Z", "2019-11-10T14:46:57.000000000Z",
     "2019-11-10T15:46:57+01:00", "2019-11-10T14:46:57", Decimal(1573397217)],
)  # fmt: skip
def test_every_spelling_of_a_date_is_aware_utc(spelling: object) -> None:
    created = website.Order.model_validate({"created": spelling}).created
    assert created == datetime(2019, 11, 10, 14, 46, 57, tzinfo=UTC)
    assert present(created).tzinfo is UTC


@pytest.mark.parametrize("empty", [None, "", [], {}])
def test_a_spelling_of_nothing_is_nothing(empty: object) -> None:
    given = {"tags": empty, "items": empty, "billingAddress": empty}
    order = website.Order.model_validate(given)
    assert (order.tags, order.items) == ((), ())
    assert order.billing_address in (None, website.PostalAddress())
    assert website.Order.model_validate({"paid": None if empty is None else ""}).paid is None
    assert website.Order.model_validate({"tags": ["a", None]}).tags == ("a",)


@pytest.mark.parametrize(
    ("spelling", "quantity"),
    [
        (2, 2),
        ("2", 2),
        (Decimal("2.0"), 2),
        (Decimal("1.25"), Decimal("1.25")),
        (0.5, Decimal("0.5")),
        ("", None),
    ],
)
def test_every_spelling_of_a_quantity(spelling: object, quantity: Decimal | int | None) -> None:
    read = [
        website.ProductVariant.model_validate({"quantity": spelling}).quantity,
        convictional.BuyerOrderItem.model_validate({"quantity": spelling}).quantity,
    ]
    assert read == [quantity, quantity]
    assert {type(each) for each in read} == {type(quantity)}


@pytest.mark.parametrize("wrong", ["two", True, [1], "NaN", Decimal("1e999999999")])
def test_what_is_no_quantity_is_an_error(wrong: object) -> None:
    with pytest.raises(ValueError, match="expected a number of pieces"):
        website.ProductVariant.model_validate({"quantity": wrong})


def test_a_count_that_is_not_given() -> None:
    assert website.Subscription.model_validate({"cycles": "", "period": 3}).cycles is None
    assert convictional.SellerOrder.model_validate({"posted": ""}).posted is False


@pytest.mark.parametrize("wrong", ["soon", True, [1], 10**20])
def test_what_is_no_date_is_an_error(wrong: object) -> None:
    with pytest.raises(ValueError, match="expected Unix seconds"):
        website.Order.model_validate({"created": wrong})


@pytest.mark.parametrize(
    ("value", "sent"),
    [(Decimal(199), 199), (Decimal("19.90"), 19.9), (Decimal("1E+2"), 100), (Decimal("0.07"), 0.07)],
)
def test_money_goes_out_as_the_number_it_is(value: Decimal, sent: float) -> None:
    assert encode({"price": value}) == {"price": sent}


@pytest.mark.parametrize("wrong", [Decimal("NaN"), Decimal("Infinity"), Decimal("0.12345678901234567890123")])
def test_money_that_no_json_number_carries_is_refused(wrong: Decimal) -> None:
    with pytest.raises(ValueError, match="amount"):
        encode({"price": wrong})


def test_what_has_no_json_form_is_refused() -> None:
    with pytest.raises(TypeError, match="object has no JSON form"):
        encode({"price": object()})
