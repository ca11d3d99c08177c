"""What a store's record means to the bridge."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert_sdk.commerce._wire import read
from convert_sdk.commerce.bridge import Goals, WebsiteSource
from convert_sdk.commerce.bridge.orders import (
    UNKNOWN,
    BuyerRules,
    OrderSnapshot,
    UnreadableOrder,
    WebsiteRules,
    from_booking,
    from_convictional,
    from_form,
    from_submission,
    from_website,
    previous_window,
)
from convert_sdk.commerce.convertmax import ConvertmaxOptions
from convert_sdk.commerce.convictional import BuyerOrder
from convert_sdk.commerce.website import Booking, FormSubmission, WebsiteClient
from convert_sdk.commerce.website import Order as WebsiteOrder
from convert_sdk.commerce.website.webhooks import SubmittedForm
from convert_sdk.errors import OptionError
from tests.shapes import of

SITE = "shop.example.com"
AT = datetime(2026, 5, 1, 12, tzinfo=UTC)


def hashed(address: str) -> str:
    return f"hash of {len(address)}"


def website(rules: WebsiteRules | None = None, **fields: Any) -> OrderSnapshot:
    record = {
        "id": 7, "created": int(AT.timestamp()), "total": 49.9, "subTotal": 40, "shippingAmount": 5, "paid": True,
        "status": "pending", "taxes": [{"name": "VAT", "total": 4.9}], "memberId": 0, "contactId": 41,
        "customerEmail": "ann@example.com",
        "items": [{"id": 1, "quantity": 2, "total": 30}, {"id": 2, "quantity": 1, "total": 10}],
    } | fields  # fmt: skip
    order = from_website(WebsiteOrder.model_validate(record), SITE, hashed, rules=rules or WebsiteRules())
    assert isinstance(order, OrderSnapshot)
    return order


class TestWebsite:
    @pytest.mark.parametrize(
        ("quantity", "pieces"),
        [(2, 2), ("2", 2), (Decimal("2.0"), 2), (Decimal("1.25"), 1), ("", 0), (None, 0)],
    )
    def test_pieces_however_they_are_spelt(self, quantity: Any, pieces: int) -> None:
        assert website(items=[{"id": 1, "quantity": quantity, "total": 5}]).products == pieces

    @pytest.mark.parametrize(
        "total", [Decimal("1e30"), Decimal("1e400"), Decimal("-123456789012345678901234567890.5")]
    )
    def test_an_amount_that_no_shop_has_is_unreadable(self, total: Decimal) -> None:
        record = read(WebsiteOrder, {"id": 7, "total": total, "paid": True})
        odd = from_website(record, "shop.example.com", str)
        assert odd == UnreadableOrder("website:shop.example.com:7", ("total",))

    def test_total_products_and_names(self) -> None:
        order = website()
        assert order.transaction_id == "website:shop.example.com:7"
        assert (order.amount, order.products, order.paid, order.cancelled) == (
            Decimal("49.90"),
            3,
            True,
            False,
        )
        assert (order.created, order.member_id, order.contact_id) == (AT, None, "41")
        assert order.email_key == hashed("ann@example.com")
        assert "ann@example.com" not in str([getattr(order, name) for name in OrderSnapshot.__slots__])

    @pytest.mark.parametrize(
        ("rule", "amount"),
        [
            ("total", "49.90"),
            ("sub_total", "40.00"),
            ("net", "40.00"),
            (lambda order: order.total / 3, "16.63"),
            (lambda order: None, None),
        ],
    )
    def test_amount_rules(self, rule: Any, amount: str | None) -> None:
        assert website(WebsiteRules(amount=rule)).amount == (None if amount is None else Decimal(amount))

    @pytest.mark.parametrize(
        ("taxes", "odd"),
        [
            ([{"total": 4.9, "rate": "ten", "appliedToItems": "all"}], ()),
            ([{"total": 1}, {"total": "ten", "rate": "ten"}], ("taxes[1].total",)),
            ("ten", ("taxes",)),
        ],
    )
    def test_net_needs_of_taxes_their_totals(self, taxes: object, odd: tuple[str, ...]) -> None:
        record = read(
            WebsiteOrder, {"id": 7, "total": 49.9, "shippingAmount": 5, "taxes": taxes, "paid": True}
        )
        order = from_website(record, SITE, hashed, rules=WebsiteRules(amount="net"))
        if odd:
            assert order == UnreadableOrder("website:shop.example.com:7", odd)
        else:
            assert of(OrderSnapshot, order).amount == Decimal("40.00")

    def test_digits_of_the_currency(self) -> None:
        order = website(WebsiteRules(currency="JPY", digits=0), total=1234.5)
        assert (order.amount, order.currency) == (Decimal(1235), "JPY")

    def test_an_order_without_a_total_has_no_amount(self) -> None:
        assert website(WebsiteRules(amount="net"), total=None).amount is None

    @pytest.mark.parametrize(
        ("when", "fields", "counts"),
        [
            ("paid", {"paid": False}, False),
            ("created", {"paid": False}, True),
            ("completed", {"paid": True}, False),
            ("completed", {"status": "completed"}, True),
        ],
    )
    def test_when_it_counts(self, when: Any, fields: dict[str, object], counts: bool) -> None:
        assert website(WebsiteRules(counts_when=when), **fields).paid is counts

    def test_cancelled(self) -> None:
        assert website(status="canceled").cancelled

    def test_token_in_the_checkout_field(self) -> None:
        assert (
            website(additionalFields=[{"field": "convert_visitor_id", "value": "v1.x.y"}]).token == "v1.x.y"
        )

    def test_without_an_id_there_is_nothing(self) -> None:
        assert from_website(WebsiteOrder(), SITE, hashed) is None


def bought(rules: BuyerRules | None = None, **fields: Any) -> OrderSnapshot | None:
    record = {
        "_id": "o-1", "orderedDate": "2026-05-01T12:00:00Z", "updated": "2026-05-02T12:00:00Z",
        "buyerReference": "ref-1", "customerEmail": "ann@example.com",
        "items": [
            {"id": "i-1", "variantId": "v-1", "sellerOrderId": "s-1", "quantity": 2, "retailPrice": 10.5},
            {"id": "i-2", "variantId": "v-2", "sellerOrderId": "s-1", "quantity": 1, "retailPrice": 5},
        ],
        "sellerOrders": [{"id": "s-1", "items": [
            {"id": "x", "variantId": "v-1", "basePrice": 900}, {"id": "y", "variantId": "v-2", "basePrice": 900},
        ]}],
    } | fields  # fmt: skip
    order = from_convictional(BuyerOrder.model_validate(record), "acme", hashed, rules=rules or BuyerRules())
    assert not isinstance(order, UnreadableOrder)
    return order


def cancelling(*variants: str) -> list[dict[str, object]]:
    return [{"id": "s-1", "items": [{"variantId": each, "cancelled": True} for each in variants]}]


class TestConvictional:
    def test_retail_prices_and_never_the_cost(self) -> None:
        order = bought()
        assert isinstance(order, OrderSnapshot)
        assert order.transaction_id == "convictional:acme:o-1"
        assert (order.amount, order.products, order.paid) == (Decimal("26.00"), 3, True)
        assert (order.reference, order.version) == ("ref-1", datetime(2026, 5, 2, 12, tzinfo=UTC))

    def test_no_prices_no_amount(self) -> None:
        order = bought(items=[{"id": "i-1", "quantity": 2}])
        assert isinstance(order, OrderSnapshot)
        assert (order.amount, order.products) == (None, 2)

    @pytest.mark.parametrize("lacking", ["retailPrice", "quantity"])
    def test_the_prices_of_some_lines_are_not_the_amount(self, lacking: str) -> None:
        line = {"id": "i-2", "variantId": "v-2", "sellerOrderId": "s-1", "quantity": 1, "retailPrice": 5}
        items = [
            {"id": "i-1", "variantId": "v-1", "sellerOrderId": "s-1", "quantity": 2, "retailPrice": 10.5},
            {name: value for name, value in line.items() if name != lacking},
        ]
        order = bought(items=items)
        assert isinstance(order, OrderSnapshot)
        assert (order.amount, order.paid) == (None, True)
        without_it = bought(items=items, sellerOrders=cancelling("v-2"))
        assert isinstance(without_it, OrderSnapshot)
        assert without_it.amount == Decimal("21.00")

    def test_a_cancelled_line_does_not_count(self) -> None:
        order = bought(sellerOrders=cancelling("v-1"))
        assert isinstance(order, OrderSnapshot)
        assert (order.amount, order.products, order.cancelled) == (Decimal("5.00"), 1, False)

    def test_a_line_is_found_by_its_own_id_too(self) -> None:
        items = [{"id": "i-1", "sellerOrderItemId": "x", "quantity": 2, "retailPrice": 10}]
        order = bought(items=items, sellerOrders=[{"id": "s-9", "items": [{"id": "x", "cancelled": True}]}])
        assert isinstance(order, OrderSnapshot)
        assert (order.products, order.cancelled) == (0, True)

    def test_another_line_of_the_same_variant_counts(self) -> None:
        items = [
            {"id": each, "variantId": "v-1", "sellerOrderId": "s-1", "quantity": 1, "retailPrice": price}
            for each, price in (("i-1", 10), ("i-2", 20))
        ]
        parts = [{"id": each["id"], "variantId": "v-1", "cancelled": each["id"] == "i-1"} for each in items]
        order = bought(items=items, sellerOrders=[{"id": "s-1", "items": parts}])
        assert isinstance(order, OrderSnapshot)
        assert (order.amount, order.products, order.cancelled) == (Decimal("20.00"), 1, False)

    def test_all_lines_cancelled_is_a_cancelled_order(self) -> None:
        order = bought(sellerOrders=cancelling("v-1", "v-2"))
        assert isinstance(order, OrderSnapshot)
        assert order.cancelled

    def test_refunded_only_where_every_seller_did(self) -> None:
        some = bought(sellerOrders=[{"id": "a", "refunded": True}, {"id": "b"}])
        every = bought(sellerOrders=[{"id": "a", "refunded": True}])
        assert some is not None
        assert every is not None
        assert (some.refunded, every.refunded) == (False, True)

    def test_the_buyer_knows_the_price(self) -> None:
        order = bought(BuyerRules(amount=lambda order: Decimal("99.999")))
        assert isinstance(order, OrderSnapshot)
        assert order.amount == Decimal("100.00")

    def test_waits_for_sellers_where_asked(self) -> None:
        order = bought(BuyerRules(when_posted=True))
        posted = bought(BuyerRules(when_posted=True), sellerOrders=[{"id": "s-1", "posted": True}])
        assert isinstance(order, OrderSnapshot)
        assert posted is not None
        assert (order.paid, posted.paid) == (False, True)

    def test_tests_are_skipped(self) -> None:
        assert bought(isTest=True) is None

    @pytest.mark.parametrize(("value", "token"), [("v1.x.y", "v1.x.y"), (7, None)])
    def test_token_in_the_attributes(self, value: object, token: str | None) -> None:
        order = bought(attributes={"convert_visitor_id": value})
        assert isinstance(order, OrderSnapshot)
        assert order.token == token


@pytest.mark.parametrize(
    ("kind", "given", "problem"),
    [
        (WebsiteRules, {"amount": "subtotal"}, """amount must be "total", "sub_total", "net" or a function of the """),
        (WebsiteRules, {"counts_when": "Paid"}, """counts_when must be "paid", "created" or "completed", not 'Paid'"""),
        (WebsiteRules, {"digits": -1}, "digits must be a whole number, 0 or more, not -1"),
        (BuyerRules, {"digits": 2.0}, "digits must be a whole number, 0 or more, not 2.0"),
        (BuyerRules, {"digits": True}, "digits must be a whole number, 0 or more, not True"),
        (BuyerRules, {"amount": "total"}, "amount must be a function of the order or None, not 'total'"),
        (partial(WebsiteSource, WebsiteClient(SITE, "k")), {"forms": "lists"}, 'forms must be "webhook" or "list"'),
        (ConvertmaxOptions, {"key_in": "headers"}, """key_in must be "header", "body" or "both", not 'headers'"""),
    ],
)  # fmt: skip
def test_a_rule_that_is_none_is_refused(kind: Any, given: dict[str, object], problem: str) -> None:
    with pytest.raises(OptionError, match=re.escape(problem)):
        kind(**given)


class TestBookingsAndForms:
    def test_a_booking(self) -> None:
        booking = Booking.model_validate({"id": 5, "eventId": 9, "contactId": 4, "start": 1_800_000_000})
        order = from_booking(booking, SITE, hashed, seen=AT)
        assert isinstance(order, OrderSnapshot)
        assert (order.transaction_id, order.topic, order.created) == ("booking:shop.example.com:5", "9", AT)
        assert [identity_key.kind for identity_key in order.identity_keys] == ["contact"]

    def test_a_booked_service(self) -> None:
        order = from_booking(Booking.model_validate({"id": 5, "service": {"id": 3}}), SITE, hashed, seen=AT)
        assert isinstance(order, OrderSnapshot)
        assert (order.topic, order.service) == ("", "3")

    @pytest.mark.parametrize(
        ("table", "goal"),
        [
            ({"9": "event", "3": "service"}, "event"),
            ({"3": "service", "*": "any"}, "service"),
            ({"*": "any"}, "any"),
            ({9: "event", "3": "service"}, "event"),
            ({3: "service"}, "service"),
        ],
    )
    def test_a_goal_by_event_else_by_service_else_by_any(
        self, table: dict[str | int, str | int], goal: str
    ) -> None:
        record = {"id": 5, "eventId": 9, "service": {"id": 3}}
        order = from_booking(Booking.model_validate(record), SITE, hashed, seen=AT)
        assert isinstance(order, OrderSnapshot)
        assert Goals(bookings=table).of_kind(order.kind, order.topic, order.service) == (goal,)
        assert Goals(forms={"*": "any"}).of_kind(order.kind, order.topic, order.service) == ()

    @pytest.mark.parametrize(
        ("given", "problem"),
        [
            ({"bookings": "booked"}, "bookings: expected a mapping of ids or names to goals, not str"),
            ({"bookings": {(9,): "booked"}}, "bookings: expected ids or names as keys, not tuple"),
            ({"forms": {True: "lead"}}, "forms: expected ids or names as keys, not bool"),
            ({"bookings": {9: "a", "9": "b"}}, "bookings: '9' is there as a number and as a text"),
            ({"forms": {"Contact": None}}, "forms['Contact']: expected the key (str) or id (int) of a goal"),
            ({"orders": {"purchase"}}, "orders: expected the key (str) or id (int) of a goal, not set"),
            ({"orders": ["purchase", 1.5]}, "orders: expected the key (str) or id (int) of a goal, not float"),
        ],
    )  # fmt: skip
    def test_goals_that_nothing_could_count_for_are_refused(self, given: Any, problem: str) -> None:
        with pytest.raises(OptionError, match=re.escape(problem)):
            Goals(**given)

    def test_the_same_form_is_one_within_its_window(self) -> None:
        def form(name: str = "Contact", value: str = "hi", minute: int = 1) -> OrderSnapshot:
            record = {"formName": name, "contact": {"id": 4}, "formValues": [{"field": "a", "value": value}]}
            seen = AT.replace(minute=minute)
            return from_form(SubmittedForm.model_validate(record), SITE, hashed, seen=seen)

        assert form().transaction_id == form(minute=9).transaction_id
        assert form().transaction_id == previous_window_of(form(minute=11))
        assert len({form().id, form("Other").id, form(value="ho").id, form(minute=30).id}) == 4

    def test_a_listed_form_knows_its_moment(self) -> None:
        record = {
            "name": "Contact",
            "received": 1_777_000_000,
            "fields": [{"name": "Email", "value": "a@b.c"}],
        }
        order = of(OrderSnapshot, from_submission(FormSubmission.model_validate(record), SITE, hashed))
        assert (order.topic, order.email_key) == ("Contact", hashed("a@b.c"))
        assert previous_window(order) is None

    def test_a_listed_form_without_its_moment_is_the_same_whenever_it_is_read(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        form = FormSubmission.model_validate({"name": "Contact", "received": None, "fields": []})
        first = of(OrderSnapshot, from_submission(form, SITE, hashed))
        monkeypatch.setattr(
            "convert_sdk.commerce.bridge.orders._now", lambda: first.created + timedelta(days=1)
        )
        again = of(OrderSnapshot, from_submission(form, SITE, hashed))
        assert (again.id, again.earliest) == (first.id, UNKNOWN)
        assert again.created != first.created


def previous_window_of(order: OrderSnapshot) -> str:
    before = previous_window(order)
    assert before is not None
    return before.transaction_id


orders = st.builds(
    OrderSnapshot,
    st.just("website"),
    st.just(SITE),
    st.just("7"),
    st.just(AT),
    paid=st.booleans(),
    cancelled=st.booleans(),
    refunded=st.booleans(),
    member_id=st.sampled_from([None, "3"]),
    version=st.sampled_from([datetime(2026, 5, day, tzinfo=UTC) for day in (1, 2, 3)]),
)


class TestMerging:
    @given(st.lists(orders, min_size=1, max_size=4), st.randoms())
    def test_the_order_of_arrival_makes_no_difference_to_what_happened(self, moments: Any, dice: Any) -> None:
        def fold(many: list[OrderSnapshot]) -> tuple[object, ...]:
            whole = many[0]
            for each in many[1:]:
                whole = whole.merged(each)
            return whole.paid, whole.cancelled, whole.refunded, whole.version, whole.member_id

        shuffled = dice.sample(moments, len(moments))
        assert fold(moments) == fold(shuffled)

    def test_the_later_version_says_the_amount(self) -> None:
        old = OrderSnapshot("w", SITE, "7", AT, amount=Decimal(1), version=AT)
        new = replace(old, amount=Decimal(2), version=AT.replace(hour=13))
        assert old.merged(new).amount == new.merged(old).amount == Decimal(2)

    def test_a_naive_time_is_refused(self) -> None:
        with pytest.raises(ValueError, match="tzinfo=UTC"):
            OrderSnapshot("w", SITE, "7", datetime(2026, 5, 1))  # noqa: DTZ001 - what is refused


class TestByHand:
    NAIVE = datetime(2026, 5, 1)  # noqa: DTZ001 - what is refused

    def test_a_whole_amount_is_exact(self) -> None:
        order = OrderSnapshot("till", "berlin", "7", AT, amount=49)  # type: ignore[arg-type]  # as it is typed by hand
        assert (type(order.amount), order.amount) == (Decimal, Decimal(49))

    @pytest.mark.parametrize(
        ("fields", "kind", "problem"),
        [
            ({"amount": 49.9}, TypeError, 'amount: expected a Decimal of major units, as Decimal("49.90"), not float'),
            ({"amount": "49.90"}, TypeError, "not str"),
            ({"amount": True}, TypeError, "not bool"),
            ({"amount": Decimal("NaN")}, ValueError, "amount: expected a number of major units, or None, not NaN"),
            ({"version": NAIVE}, ValueError, "version: a naive datetime could mean any time zone"),
            ({"earliest": NAIVE}, ValueError, "earliest: a naive datetime could mean any time zone"),
            ({"created": 1_777_000_000}, TypeError, "created: expected a datetime with a time zone, not int"),
        ],
    )  # fmt: skip
    def test_what_could_not_be_counted_is_refused_at_once(
        self, fields: dict[str, Any], kind: type[Exception], problem: str
    ) -> None:
        with pytest.raises(kind, match=re.escape(problem)):
            OrderSnapshot("till", "berlin", "7", **{"created": AT, **fields})
