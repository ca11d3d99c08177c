"""The fakes keep the rules of what they stand for, also against requests our clients would never send."""

from __future__ import annotations

from functools import partial
from typing import Any

import httpx
import pytest

from convert_sdk.testing.stores import ConvertmaxStore, ConvictionalStore, WebsiteStore
from tests.waiting import PATIENCE

from .asking import Either

SITE = "/api/site"
WRITE = {"entityType": "order", "id": "1", "sourceUpdatedAt": "2026-05-26T12:00:00Z"}
ORDER = {"address": {}, "items": [{}], "buyerReference": "r", "orderedDate": "2026-05-26T12:00:00Z"}


def ask(
    store: WebsiteStore | ConvictionalStore | ConvertmaxStore,
    method: str,
    path: str,
    key: str | None = None,
    **options: Any,
) -> httpx.Response:
    headers = {"Authorization": store.key if key is None else key, "User-Agent": "raw/1"} | options.pop(
        "headers", {}
    )
    return httpx.request(method, store.url + path, headers=headers, timeout=PATIENCE, **options)


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "/orders?limit=51", {}, 400),
        ("GET", "/orders?limit=0", {}, 400),
        ("GET", "/orders?limit=many", {}, 400),
        ("GET", "/orders?skip=-1", {}, 400),
        ("GET", "/orders/9", {}, 404),
        ("GET", "/orders/nine", {}, 404),
        ("GET", "/nowhere", {}, 404),
        ("DELETE", "/orders/9", {}, 404),
        ("GET", "/contacts/search-by-email", {}, 400),
        ("POST", "/contacts", {"json": {"name": "Ada"}}, 400),
        ("POST", "/contacts", {"json": {"email": "a@example.com", "surname": "L"}}, 400),
        ("POST", "/contacts", {"content": b"{"}, 400),
        ("POST", "/contacts", {"content": b"[]"}, 400),
        ("POST", "/members/sso", {"json": {"email": "nobody@example.com"}}, 404),
        ("POST", "/webhooks", {"json": {"target": "https://a.example.com", "events": ["order_burnt"]}}, 400),
        ("POST", "/products", {"json": {"type": "physical"}}, 400),
        ("PATCH", "/orders/1", {"json": {"tags": ["x"]}}, 400),
        ("PATCH", "/orders/1", {"json": {"status": "shipped"}}, 500),
    ],
)
def test_a_website_refuses(
    website: WebsiteStore, method: str, path: str, options: dict[str, Any], status: int
) -> None:
    website.orders[1] = {"id": 1}
    answer = ask(website, method, SITE + path, key=f"Bearer {website.key}", **options)
    assert (answer.status_code, answer.json()["success"]) == (status, False)


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "/buyer/products?limit=251", {}, 400),
        ("GET", "/buyer/products?page=-1", {}, 400),
        ("GET", "/buyer/orders?updatedMin=yesterday", {}, 400),
        ("GET", "/buyer/orders/9", {}, 404),
        ("POST", "/buyer/orders", {"json": {**ORDER, "items": []}}, 400),
        ("POST", "/buyer/orders", {"json": {**ORDER, "total": 9}}, 400),
        ("GET", "/buyer/products", {"key": ""}, 401),
        ("GET", "/buyer/products", {"headers": {"User-Agent": ""}}, 400),
    ],
)
def test_convictional_refuses(
    convictional: ConvictionalStore, method: str, path: str, options: dict[str, Any], status: int
) -> None:
    assert ask(convictional, method, path, **options).status_code == status


def test_convictional_counts_requests_in_any_second(convictional: ConvictionalStore) -> None:
    convictional.rate, convictional.now = 5, lambda: 1000.0
    answers = [ask(convictional, "GET", "/buyer/products").status_code for _ in range(6)]
    assert answers == [200] * 5 + [429]
    convictional.now = lambda: 1001.0
    assert ask(convictional, "GET", "/buyer/products").status_code == 200


@pytest.mark.parametrize(
    ("newest_first", "pages"),
    [
        (False, [["order-1", "order-2"], ["order-4", "order-1"]]),  # order-3 moved to the page that was read
        (True, [["order-4", "order-3"], ["order-3", "order-2"]]),  # and here order-1 did, order-3 comes twice
    ],
)
def test_convictional_orders_move_between_pages(
    convictional: ConvictionalStore, newest_first: bool, pages: list[list[str]]
) -> None:
    for number in range(4):
        convictional.now = partial(float, 1000 + number)
        convictional.add_order()
    convictional.drift, convictional.newest_first = 1, newest_first
    read = [
        [each["id"] for each in ask(convictional, "GET", f"/buyer/orders?limit=2&page={page}").json()["data"]]
        for page in (0, 1)
    ]
    assert read == pages
    convictional.reset()
    assert (convictional.drift, convictional.newest_first) == (0, False)


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("POST", "/v1/orders", {"json": WRITE}, 202),
        ("POST", "/v1/contacts", {"json": WRITE}, 400),
        ("POST", "/v1/orders", {"json": {**WRITE, "id": ""}}, 400),
        ("POST", "/v1/orders", {"json": {**WRITE, "sourceUpdatedAt": "today"}}, 400),
        ("POST", "/v1/orders", {"json": {**WRITE, "sourceUpdatedAt": "2026-05-26T12:00:00"}}, 400),
        ("POST", "/v1/orders", {"json": {**WRITE, "total": 1}}, 400),
        (
            "POST",
            "/v1/orders",
            {"json": {**WRITE, "idempotencyKey": "a"}, "headers": {"x-idempotency-key": "b"}},
            400,
        ),
        ("DELETE", "/v1/orders", {"json": {**WRITE, "id": None}}, 400),
        ("DELETE", "/v1/orders", {"json": {**WRITE, "idempotencyKey": "a"}}, 400),
        ("GET", "/v1/orders/1", {}, 404),
        ("GET", "/v1/orders/1", {"headers": {"x-api-key": "other"}}, 401),
        ("GET", "/v1/orders/1", {"headers": {"User-Agent": ""}}, 400),
        ("POST", "/v1/track/", {"json": {"event_type": "custom", "visitor": "v"}}, 401),
        ("POST", "/v1/track/", {"json": {"event_type": "custom"}, "key": "Bearer tracking-key"}, 400),
        (
            "POST",
            "/v1/track/",
            {"json": {"event_type": "custom", "visitor": "v"}, "key": "Bearer tracking-key"},
            200,
        ),
    ],
)
def test_convertmax_answers(
    convertmax: ConvertmaxStore, method: str, path: str, options: dict[str, Any], status: int
) -> None:
    options = {"key": f"Bearer {convertmax.key}"} | options
    assert ask(convertmax, method, path, **options).status_code == status


@pytest.mark.parametrize("inclusive", [True, False])
def test_filters_on_times_include_their_ends_or_not(
    website: WebsiteStore, shop: Either, inclusive: bool
) -> None:
    website.inclusive = inclusive
    for moment in (100, 101, 102):
        website.place_order(created=moment)
    found = shop.items(lambda c: c.orders.list(created_at_min=100, created_at_max=102))
    assert sorted(each.created.timestamp() for each in found) == ([100, 101, 102] if inclusive else [101])


def test_without_echo_our_own_updates_stay_silent(website: WebsiteStore, shop: Either) -> None:
    shop.do(lambda c: c.webhooks.create("https://a.example.com", ["order_updated"], secret="s"))
    order = website.place_order()
    shop.do(lambda c: c.orders.update(order["id"], paid=True))
    website.echo = False
    shop.do(lambda c: c.orders.update(order["id"], paid=False))
    assert len(website.deliveries) == 1


def test_a_store_runs_only_in_its_block() -> None:
    store = ConvertmaxStore()
    with pytest.raises(RuntimeError, match="not running"):
        _ = store.url
    with store:
        url = store.url
        assert httpx.get(url, timeout=PATIENCE).status_code == 401
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, timeout=PATIENCE)


def test_a_mistake_in_a_store_is_shown_where_it_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> None:
        with WebsiteStore() as store:
            monkeypatch.setattr(store, "check", lambda _: 1 / 0)
            assert httpx.get(store.url, timeout=PATIENCE).status_code == 500

    with pytest.raises(ZeroDivisionError):
        run()
