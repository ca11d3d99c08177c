"""Lists that lose nothing and repeat nothing, whatever happens while they are read."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convert_sdk.commerce import Page
from convert_sdk.commerce._call import Call
from convert_sdk.commerce._json import Answer
from convert_sdk.commerce._pages import Listing, Walk, by_offset
from convert_sdk.commerce.errors import ServerError
from convert_sdk.commerce.website import Contact
from convert_sdk.testing.stores import WebsiteStore
from tests.shapes import of

from .asking import Either


def orders(store: WebsiteStore, count: int) -> list[Any]:
    return [store.place_order()["id"] for _ in range(count)]


def never_parsed(answer: Answer) -> NoReturn:
    pytest.fail(f"nothing was sent, and yet {answer} came")


class TestPages:
    def test_iterating_gives_all_items(self, website: WebsiteStore, shop: Either) -> None:
        placed = orders(website, 7)
        found = [each.id for each in shop.items(lambda c: c.orders.list(limit=3))]
        assert sorted(found) == placed
        assert [dict(each.query)["skip"] for each in website.requests[1:]] == ["3", "6"]

    def test_pages_carry_their_envelope(self, website: WebsiteStore, shop: Either) -> None:
        orders(website, 5)
        pages = shop.pages(lambda c: c.orders.list(limit=2))
        assert [(len(each), each.total_count, each.limit, each.skip) for each in pages] == [
            (2, 5, 2, 0),
            (2, 5, 2, 2),
            (1, 5, 2, 4),
        ]
        assert [item.id for item in pages[0]] == [each.id for each in pages[0].items]

    def test_first_asks_for_no_more_than_it_needs(self, website: WebsiteStore, shop: Either) -> None:
        orders(website, 60)
        assert len(shop.first(lambda c: c.orders.list(), 4)) == 4
        assert dict(website.requests[-1].query)["limit"] == "4"
        assert len(website.requests) == 1
        assert len(shop.first(lambda c: c.orders.list(), 55)) == 55
        assert len(website.requests) == 3
        assert len(shop.first(lambda c: c.orders.list(), 99)) == 60
        with pytest.raises(ValueError, match="at least one"):
            shop.first(lambda c: c.orders.list(), 0)

    def test_a_list_can_be_read_twice_and_sends_nothing_before(self, website: WebsiteStore) -> None:
        from convert_sdk.commerce.website import WebsiteClient

        orders(website, 3)
        with WebsiteClient(website.url, website.key) as client:
            listed = client.orders.list()
            assert website.requests == []
            assert list(listed) == list(listed)

    def test_an_empty_list_is_one_empty_page(self, shop: Either) -> None:
        (page,) = shop.pages(lambda c: c.orders.list())
        assert (page.items, page.total_count) == ((), 0)

    def test_skip_starts_in_the_middle(self, website: WebsiteStore, shop: Either) -> None:
        placed = orders(website, 5)
        found = shop.items(lambda c: c.orders.list(limit=2, skip=3))
        assert sorted(each.id for each in found) == placed[:2]

    @pytest.mark.parametrize("wrong", [True, 2.5, "5"])
    def test_a_page_is_counted_in_whole_numbers(
        self, website: WebsiteStore, shop: Either, wrong: object
    ) -> None:
        for name in ("limit", "skip"):
            with pytest.raises(TypeError, match=f"{name} is an int, not"):
                shop.client.orders.list(**{name: wrong})
        assert website.requests == []

    @pytest.mark.parametrize(("limit", "skip"), [(0, None), (51, None), (None, -1)])
    def test_nonsense_is_refused_before_anything_is_sent(
        self, website: WebsiteStore, shop: Either, limit: int | None, skip: int | None
    ) -> None:
        asks: tuple[Callable[[Any], object], ...] = (
            lambda c: c.orders.list(limit=limit, skip=skip),
            lambda c: c.contacts.list(limit=limit, skip=skip),
            lambda c: c.members.list(limit=limit, skip=skip),
            lambda c: c.products.list(limit=limit, skip=skip),
            lambda c: c.bookings.list(limit=limit, skip=skip),
            lambda c: c.form_submissions.list(limit=limit, skip=skip),
        )
        for ask in asks:
            with pytest.raises(ValueError, match="expected"):
                ask(shop.client)
        assert website.requests == []


class TestDrift:
    def test_no_filter_is_added(self, website: WebsiteStore, shop: Either) -> None:
        ahead = website.place_order(created=int(time.time()) + 60)
        assert [each.id for each in shop.items(lambda c: c.orders.list(limit=2))] == [ahead["id"]]
        assert dict(website.requests[-1].query) == {"limit": "2"}
        shop.items(lambda c: c.orders.list(created_at_max=1_700_000_000))
        assert dict(website.requests[-1].query) == {"created_at_max": "1700000000"}

    @pytest.mark.parametrize("newest_first", [True, False])
    def test_orders_placed_meanwhile_push_none_out(
        self, website: WebsiteStore, shop: Either, newest_first: bool
    ) -> None:
        placed = set(orders(website, 9))
        website.drift, website.newest_first = 1, newest_first
        found = [each.id for each in shop.items(lambda c: c.orders.list(limit=3))]
        assert placed <= set(found)
        assert len(found) == len(set(found))

    def test_products_created_meanwhile_push_none_out(
        self, website: WebsiteStore, shop: Either, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(1, 7):
            website.products[number] = {"id": number, "title": "A"}
        arriving, serve = iter(range(100, 103)), website._page

        def page(ask: Any, rows: Any, **options: Any) -> object:
            reply = serve(ask, rows, **options)
            if number := next(arriving, None):
                website.products[number] = {"id": number, "title": "new"}
            return reply

        monkeypatch.setattr(website, "_page", page)
        found = [each.id for each in shop.items(lambda c: c.products.list(limit=2))]
        assert {1, 2, 3, 4, 5, 6} <= set(found)
        assert len(found) == len(set(found))

    def test_a_store_that_ignores_skip_is_found_out(self, website: WebsiteStore, shop: Either) -> None:
        orders(website, 20)
        website.ignore_skip = True
        with pytest.raises(ServerError, match="repeats its pages"):
            shop.items(lambda c: c.orders.list(limit=2))

    def test_forms_have_no_id_and_are_all_kept(self, website: WebsiteStore, shop: Either) -> None:
        for _ in range(5):
            website.submit_form("Same", {"a": "b"})
        assert len(shop.items(lambda c: c.form_submissions.list(limit=4))) == 5

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(
        start=st.integers(0, 40),
        limit=st.integers(1, 7),
        inserts=st.lists(st.integers(0, 3), max_size=12),
        newest_first=st.booleans(),
    )
    def test_whatever_is_inserted_each_item_comes_once(
        self, start: int, limit: int, inserts: list[int], newest_first: bool
    ) -> None:
        rows, arriving = list(range(start)), iter(inserts)
        found: list[int] = []
        first: Call[Page[Contact]] = Call("GET", "/x", never_parsed, query={"limit": limit})
        walk = Walk(Listing(first, by_offset))
        while walk.call:
            skip = int(walk.call.query.get("skip", 0))
            order = rows[::-1] if newest_first else rows
            items = tuple(Contact(id=row + 1) for row in order[skip : skip + limit])
            page = Page(items, len(rows), limit, skip)
            found += [of(int, each.id) - 1 for each in walk.take(page)]
            rows += [len(rows) + extra for extra in range(next(arriving, 0) if limit > 3 else 0)]
        assert set(range(start)) <= set(found)
        assert len(found) == len(set(found))
