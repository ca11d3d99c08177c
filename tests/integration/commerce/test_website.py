"""Every operation of the Website API, on both clients, against a store that keeps its rules."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import httpx
import pytest

from convert_sdk.commerce.errors import AuthError, NotFoundError, ValidationError
from convert_sdk.commerce.website import (
    Category,
    Fulfillment,
    NameValue,
    OrderStatus,
    PostalAddress,
    ProductOption,
    ProductVariant,
    Subscription,
    WebsiteClient,
    WebsitePaths,
)
from convert_sdk.errors import OptionError
from convert_sdk.testing.stores import WebsiteStore
from tests.waiting import PATIENCE

from .asking import Either

AT = 1_700_000_000
STREET = PostalAddress(**dict.fromkeys(PostalAddress.model_fields, "string"))


def body_of(store: WebsiteStore) -> object:
    return store.requests[-1].json()


class TestContacts:
    def test_list_between_two_times_includes_both_ends(self, website: WebsiteStore, shop: Either) -> None:
        for number in range(5):
            website.contacts[number + 1] = {"id": number + 1, "createdOn": AT + number}
        moment = datetime.fromtimestamp(AT + 1, UTC)
        found = shop.items(lambda c: c.contacts.list(created_at_min=moment, created_at_max=AT + 3))
        assert sorted(each.id for each in found) == [2, 3, 4]
        assert found[0].created_on.tzinfo is UTC
        assert dict(website.requests[0].query)["created_at_min"] == str(AT + 1)

    def test_upsert_sends_the_documented_request(
        self, website: WebsiteStore, shop: Either, examples: dict[str, Any]
    ) -> None:
        wanted = examples["contact_request"]
        contact = shop.do(
            lambda c: c.contacts.upsert(
                wanted["email"],
                name="John Doe",
                phone="+123456789",
                note="string",
                address="string",
                city="string",
                state="string",
                zip="string",
                country="string",
                company_name="string",
                properties={"lead_status": "contacted"},
                tags=["string"],
                subscribed=True,
                subscriber_lists=[0],
            )
        )
        assert body_of(website) == wanted
        assert contact.property("lead_status") == "contacted"
        assert contact.property("unheard of") is None

    def test_upsert_of_the_same_address_updates(self, website: WebsiteStore, shop: Either) -> None:
        first = shop.do(lambda c: c.contacts.upsert("a@example.com", name="Ada", tags=["one"]))
        second = shop.do(
            lambda c: c.contacts.upsert(
                "a@example.com", tags=["two"], properties=[NameValue(name="x", value="1")]
            )
        )
        assert (second.id, second.name, second.tags) == (first.id, "Ada", ("one", "two"))

    def test_find_and_get(self, shop: Either) -> None:
        made = shop.do(lambda c: c.contacts.upsert("a@example.com"))
        assert shop.do(lambda c: c.contacts.find("a@example.com")) == made
        assert shop.do(lambda c: c.contacts.get(made.id)) == made
        with pytest.raises(NotFoundError) as caught:
            shop.do(lambda c: c.contacts.find("b@example.com"))
        assert (caught.value.status, caught.value.detail) == (404, "Not found")

    def test_update_keeps_the_address_and_cannot_clear(self, website: WebsiteStore, shop: Either) -> None:
        made = shop.do(lambda c: c.contacts.upsert("a@example.com", name="Ada"))
        changed = shop.do(lambda c: c.contacts.update(made.id, email="a@example.com", phone="+1"))
        assert body_of(website) == {"email": "a@example.com", "phone": "+1"}
        assert (changed.name, changed.phone) == ("Ada", "+1")
        sent = len(website.requests)
        emptied: list[dict[str, object]] = [{"name": ""}, {"tags": []}, {"properties": {}}, {"note": None}]
        for empty in emptied:
            with pytest.raises(ValueError, match=r"cannot clear|leave the field out"):
                shop.do(lambda c, empty=empty: c.contacts.update(made.id, email="a@example.com", **empty))
        with pytest.raises(TypeError, match="unknown field 'nam'"):
            shop.do(lambda c: c.contacts.update(made.id, email="a@example.com", nam="x"))
        with pytest.raises(ValueError, match="email is required"):
            shop.do(lambda c: c.contacts.update(made.id, email=" "))
        assert len(website.requests) == sent


class TestMembers:
    def test_create_sends_the_documented_request(
        self, website: WebsiteStore, shop: Either, examples: dict[str, Any]
    ) -> None:
        shop.do(
            lambda c: c.members.create(
                "John Doe",
                "john@doe.com",
                password="my-password",
                groups=[0],
                approved=True,
                billing_address=STREET,
                shipping_address=STREET,
            )
        )
        assert body_of(website) == examples["member_request"]
        assert website.mails == []

    def test_create_without_a_password_mails_the_member(self, website: WebsiteStore, shop: Either) -> None:
        member = shop.do(lambda c: c.members.create("Ada", "a@example.com"))
        assert website.mails == [("a@example.com", "password reset")]
        assert member.registered_on.tzinfo is UTC

    def test_list_of_one_group(self, website: WebsiteStore, shop: Either) -> None:
        for groups in ([1], [2], [1, 2]):
            shop.do(lambda c, groups=groups: c.members.create("A", f"{groups}@example.com", groups=groups))
        assert len(shop.items(lambda c: c.members.list())) == 3
        assert {each.groups for each in shop.items(lambda c: c.members.list(group_id=2))} == {(2,), (1, 2)}

    def test_find_and_get(self, shop: Either) -> None:
        made = shop.do(lambda c: c.members.create("Ada", "a@example.com"))
        assert shop.do(lambda c: c.members.find("a@example.com")) == made
        assert shop.do(lambda c: c.members.get(made.id)) == made

    def test_update_keeps_name_and_address_and_refuses_a_password(
        self, website: WebsiteStore, shop: Either
    ) -> None:
        made = shop.do(lambda c: c.members.create("Ada", "a@example.com"))
        changed = shop.do(
            lambda c: c.members.update(made.id, name="Ada", email="a@example.com", approved=True)
        )
        assert changed.approved is True
        sent = len(website.requests)
        with pytest.raises(ValueError, match="never changes a member's password"):
            shop.do(lambda c: c.members.update(made.id, name="A", email="a@example.com", password="secret-1"))
        with pytest.raises(ValueError, match="name is required"):
            shop.do(lambda c: c.members.update(made.id, name="", email="a@example.com"))
        assert len(website.requests) == sent

    def test_sso_gives_a_ticket_that_shows_nothing(
        self, website: WebsiteStore, shop: Either, examples: dict[str, Any]
    ) -> None:
        shop.do(lambda c: c.members.create("John", "john@doe.com"))
        token = shop.do(lambda c: c.members.sso("john@doe.com", path="/protected-member-only-page"))
        assert body_of(website) == examples["sso_request"]
        assert (token.expires - token.created).total_seconds() == 900
        assert token.token in token.access_url or token.access_url.startswith("https://")
        assert not token.expired
        for secret in (token.token, token.access_url, str(token.created.year)):
            assert secret not in repr(token)
        website.now = lambda: AT
        assert shop.do(lambda c: c.members.sso("john@doe.com")).expired

    def test_sso_at_another_address(self, website: WebsiteStore) -> None:
        paths = WebsitePaths(create_sso_token="POST /members/sso-login")
        with (
            WebsiteClient(website.url, website.key, paths=paths, app="elsewhere") as client,
            pytest.raises(NotFoundError, match="POST /members/sso-login"),
        ):
            client.members.sso("john@doe.com")
        website.requests.clear()  # an address of the user's own is in no document


class TestMemberGroups:
    def test_create_and_update(self, website: WebsiteStore, shop: Either, examples: dict[str, Any]) -> None:
        group = shop.do(lambda c: c.member_groups.create("New group", link=""))
        assert body_of(website) == examples["name_and_link_request"]
        changed = shop.do(lambda c: c.member_groups.update(group.id, name="Basic Members", link="/in"))
        assert (changed.name, changed.link) == ("Basic Members", "/in")
        shop.do(lambda c: c.member_groups.update(group.id, name="New group", link=""))
        assert body_of(website) == examples["name_and_link_request"]

    def test_get_and_list(self, shop: Either) -> None:
        group = shop.do(lambda c: c.member_groups.create("One"))
        assert shop.do(lambda c: c.member_groups.get(group.id)) == group
        assert shop.items(lambda c: c.member_groups.list()) == [group]


class TestProducts:
    def test_create_sends_the_documented_request(
        self, website: WebsiteStore, shop: Either, examples: dict[str, Any]
    ) -> None:
        wanted = examples["product_request"]
        made = shop.do(
            lambda c: c.products.create(
                "physical",
                "Interior Door",
                description="string",
                url="interior-door",
                hidden=True,
                categories=[Category(id=1, name="Doors", url="doors", parent_category=0)],
                options=[ProductOption(name="Material", values=("Wood", "Glass"), advanced=True)],
                variants=[
                    ProductVariant(
                        options=("Wood", "Single"),
                        price=Decimal(199),
                        on_sale=True,
                        regular_price=Decimal(0),
                        sale_price=Decimal(0),
                        quantity=0,
                        sku="D-001",
                        weight=Decimal(0),
                    )
                ],
                subscription=Subscription(cycles=0, period=0, period_unit="WEEKLY"),
            )
        )
        assert body_of(website) == wanted
        assert made.variants[0].price == Decimal(199)

    def test_create_over_the_product_with_the_same_url(self, website: WebsiteStore, shop: Either) -> None:
        first = shop.do(lambda c: c.products.create("physical", "Door", url="door"))
        again = shop.do(
            lambda c: c.products.create("physical", "Better door", url="door", update_existing_by_url=True)
        )
        other = shop.do(lambda c: c.products.create("physical", "Third door", url="door"))
        assert (again.id, again.title) == (first.id, "Better door")
        assert other.id != first.id
        with pytest.raises(ValueError, match="url is required"):
            shop.do(lambda c: c.products.create("physical", "Door", update_existing_by_url=True))

    def test_list_by_title_and_by_category_with_its_children(self, shop: Either) -> None:
        doors = Category(id=1, name="Doors", parent_category=0)
        inner = Category(id=2, name="Inner", parent_category=1)
        shop.do(lambda c: c.products.create("physical", "Front door", categories=[doors]))
        shop.do(lambda c: c.products.create("physical", "Inner door", categories=[inner]))
        shop.do(lambda c: c.products.create("digital", "Song"))
        assert len(shop.items(lambda c: c.products.list(category_id=1))) == 2
        assert [each.title for each in shop.items(lambda c: c.products.list(category_id=2))] == ["Inner door"]
        assert [each.title for each in shop.items(lambda c: c.products.list(title="song"))] == ["Song"]

    def test_categories_are_a_plain_array(self, shop: Either) -> None:
        tree = [
            Category(id=1, name="Doors", parent_category=0),
            Category(id=2, name="Inner", parent_category=1),
        ]
        shop.do(lambda c: c.products.create("physical", "Door", categories=tree))
        everything = shop.do(lambda c: c.products.categories())
        assert [(each.id, each.parent_category) for each in everything] == [(1, 0), (2, 1)]
        assert [each.id for each in shop.do(lambda c: c.products.categories(parent=1))] == [2]

    def test_get_and_update(self, website: WebsiteStore, shop: Either) -> None:
        made = shop.do(lambda c: c.products.create("physical", "Door"))
        changed = shop.do(lambda c: c.products.update(made.id, type="physical", title="Door", hidden=True))
        assert body_of(website) == {"type": "physical", "title": "Door", "hidden": True}
        assert shop.do(lambda c: c.products.get(made.id)) == changed
        with pytest.raises(ValueError, match="title is required"):
            shop.do(lambda c: c.products.update(made.id, type="physical", title=""))
        with pytest.raises(ValidationError, match="Unknown product type"):
            shop.do(lambda c: c.products.update(made.id, type="metaphysical", title="Door"))
        website.requests.pop()  # refused, as it should be, and in no document


class TestOrders:
    def test_list_and_get(self, website: WebsiteStore, shop: Either) -> None:
        placed = website.place_order(total=10.1, created=AT, status="completed", contactId=5)
        order = shop.do(lambda c: c.orders.get(placed["id"]))
        assert (order.total, order.status, order.contact_id, order.member_id) == (
            Decimal("10.1"),
            OrderStatus.COMPLETED,
            5,
            0,
        )
        assert order.created == datetime.fromtimestamp(AT, UTC)
        assert shop.items(lambda c: c.orders.list(created_at_min=AT, created_at_max=AT)) == [order]
        assert shop.items(lambda c: c.orders.list(created_at_max=AT - 1)) == []

    def test_update_sends_the_documented_request(
        self, website: WebsiteStore, shop: Either, examples: dict[str, Any]
    ) -> None:
        placed = website.place_order()
        order = shop.do(
            lambda c: c.orders.update(
                placed["id"],
                customer_name="string",
                customer_email="user@example.com",
                billing_address=STREET,
                shipping_address=STREET,
                payment_method="string",
                transaction_id="string",
                paid=True,
                status=OrderStatus.PENDING,
                fulfillment=Fulfillment(courier="UPS", tracking_no="123456789ABC"),
                notify_customer=True,
            )
        )
        assert body_of(website) == examples["order_request"]
        assert (order.paid, order.status) == (True, OrderStatus.PENDING)

    @pytest.mark.parametrize("status", ["shipped", "SHIPPED", OrderStatus.SHIPPED])
    def test_status_goes_out_in_upper_case_and_comes_back_in_lower(
        self, website: WebsiteStore, shop: Either, status: str
    ) -> None:
        placed = website.place_order()
        order = shop.do(lambda c: c.orders.update(placed["id"], status=status))
        assert body_of(website) == {"status": "SHIPPED"}
        assert order.status is OrderStatus.SHIPPED

    def test_update_refuses_what_cannot_work(self, website: WebsiteStore, shop: Either) -> None:
        with pytest.raises(ValueError, match="expected one of pending"):
            shop.do(lambda c: c.orders.update(1, status="cancelled"))
        with pytest.raises(ValueError, match="expected one of pending"):
            shop.do(lambda c: c.orders.update(1, status=5))
        with pytest.raises(ValueError, match="nothing to update"):
            shop.do(lambda c: c.orders.update(1))
        with pytest.raises(ValueError, match="cannot clear"):
            shop.do(lambda c: c.orders.update(1, customer_name=""))
        with pytest.raises(ValueError, match="id must not be empty"):
            shop.do(lambda c: c.orders.get(" "))
        with pytest.raises(ValueError, match="no dots alone"):
            shop.do(lambda c: c.orders.get(".."))
        with pytest.raises(TypeError, match="int or a str, not NoneType"):
            shop.do(lambda c: c.orders.get(None))
        with pytest.raises(TypeError, match="aware datetime or Unix seconds, not str"):
            shop.client.orders.list(created_at_min="2026-01-01")
        with pytest.raises(ValueError, match="naive"):
            shop.client.orders.list(created_at_min=datetime(2026, 1, 1))  # noqa: DTZ001 - the mistake
        assert website.requests == []

    def test_completing_a_digital_order_mails_its_buyer(self, website: WebsiteStore, shop: Either) -> None:
        placed = website.place_order(customerEmail="a@example.com", items=[{"type": "digital", "total": 1}])
        shop.do(lambda c: c.orders.update(placed["id"], status="completed"))
        assert website.mails == [("a@example.com", "your content")]


class TestSite:
    def test_form_submissions(self, website: WebsiteStore, shop: Either) -> None:
        for moment in (AT, AT + 10):
            website.now = partial(float, moment)
            website.submit_form("Contact form", {"email": "a@example.com"})
        assert len(shop.items(lambda c: c.form_submissions.list())) == 2
        (one,) = shop.items(lambda c: c.form_submissions.list(received_min=AT + 1, received_max=AT + 10))
        assert (one.name, one.fields[0].value) == ("Contact form", "a@example.com")
        assert one.received == datetime.fromtimestamp(AT + 10, UTC)

    def test_bookings(self, website: WebsiteStore, shop: Either) -> None:
        website.book(eventId=1, start=AT)
        later = website.book(eventId=2, start=AT + 10)
        assert len(shop.items(lambda c: c.bookings.list())) == 2
        assert [each.id for each in shop.items(lambda c: c.bookings.list(event_id=2))] == [later["id"]]
        assert [each.id for each in shop.items(lambda c: c.bookings.list(start_min=AT + 10))] == [later["id"]]
        assert len(shop.items(lambda c: c.bookings.list(start_max=AT + 9))) == 1

    def test_subscriber_lists(self, website: WebsiteStore, shop: Either, examples: dict[str, Any]) -> None:
        made = shop.do(lambda c: c.subscriber_lists.create("New List"))
        assert body_of(website) == examples["subscriber_list_request"]
        assert shop.do(lambda c: c.subscriber_lists.update(made.id, name="Newer")).name == "Newer"

    def test_webhooks(self, website: WebsiteStore, shop: Either) -> None:
        made = shop.do(
            lambda c: c.webhooks.create("https://app.example.com/hook", ["order_created"], secret="whsec-1")
        )
        assert shop.do(lambda c: c.webhooks.list()) == (made,)
        assert made.secret == "whsec-1"
        assert "whsec-1" not in repr(made)
        shop.do(lambda c: c.webhooks.delete(made.id))
        assert shop.do(lambda c: c.webhooks.list()) == ()
        with pytest.raises(NotFoundError):
            shop.do(lambda c: c.webhooks.delete(made.id))

    def test_webhooks_need_a_secret_and_a_topic(self, shop: Either) -> None:
        with pytest.raises(ValueError, match="secret is required"):
            shop.do(lambda c: c.webhooks.create("https://a.example.com", ["order_created"], secret=""))
        with pytest.raises(ValueError, match="at least one topic"):
            shop.do(lambda c: c.webhooks.create("https://a.example.com", [], secret="s"))

    @pytest.mark.parametrize("events", [["order_deleted"], ["order_created", "ORDER_UPDATED"], [None]])
    def test_webhooks_know_their_topics(
        self, website: WebsiteStore, shop: Either, events: list[str | None]
    ) -> None:
        with pytest.raises(ValueError, match="is no topic; known are order_created, order_updated"):
            shop.do(lambda c: c.webhooks.create("https://a.example.com", events, secret="s"))
        assert website.requests == []


class TestManners:
    def test_the_app_leads_the_user_agent(self, website: WebsiteStore) -> None:
        with WebsiteClient(website.url, website.key, app="MyApp/1.0.1") as client:
            client.webhooks.list()
        assert website.requests[0].headers["user-agent"].startswith("MyApp/1.0.1 convert_sdk/")

    def test_a_wrong_key_is_an_auth_error(self, website: WebsiteStore) -> None:
        with WebsiteClient(website.url, "wrong") as client, pytest.raises(AuthError) as caught:
            client.webhooks.list()
        assert caught.value.status == 401
        assert "wrong" not in repr(client)

    def test_the_store_wants_a_key_and_a_user_agent(self, website: WebsiteStore) -> None:
        url = website.url + "/api/site/webhooks"
        assert httpx.get(url, timeout=PATIENCE).status_code == 401
        nameless = {"Authorization": f"Bearer {website.key}", "User-Agent": ""}
        assert httpx.get(url, headers=nameless, timeout=PATIENCE).status_code == 400

    @pytest.mark.parametrize("domain", ["http://shop.example.com", "", "ftp://shop.example.com", "a b"])
    def test_a_domain_must_be_one(self, domain: str) -> None:
        with pytest.raises(OptionError):
            WebsiteClient(domain, "key")

    @pytest.mark.parametrize("key", ["", " ", "line\nbreak", "schlüssel"])
    def test_a_key_must_fit_in_a_header(self, key: str) -> None:
        with pytest.raises(OptionError) as caught:
            WebsiteClient("shop.example.com", key)
        assert not key.strip() or key not in str(caught.value)

    def test_a_path_table_is_checked_when_it_is_made(self) -> None:
        for wrong in ("/orders/{id}", "GET /orders", "FETCH /orders/{id}"):
            with pytest.raises(OptionError, match="get_order"):
                WebsitePaths(get_order=wrong)
