"""What type checkers know of the store clients: the same operations, values here and awaitables there."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import assert_type

from convert_sdk.commerce import AsyncPages, Pages
from convert_sdk.commerce.convertmax import ConvertmaxClient, WriteResult
from convert_sdk.commerce.convictional import AsyncBuyerClient, BuyerOrder
from convert_sdk.commerce.website import AsyncWebsiteClient, Contact, Order, WebsiteClient
from convert_sdk.commerce.website.webhooks import FormSubmitted, OrderCreated, OrderUpdated, parse


def sync(client: WebsiteClient, convertmax: ConvertmaxClient, at: datetime) -> None:
    assert_type(client.orders.list(created_at_min=at, limit=5), Pages[Order])
    assert_type(client.orders.list().first(3), list[Order])
    assert_type(client.orders.get(1).total, Decimal | None)
    assert_type(client.contacts.upsert("a@example.com", name="Ada", tags=["x"]), Contact)
    assert_type(client.webhooks.delete("rh_1"), None)
    assert_type(convertmax.orders.upsert("1", {}, source_updated_at=at), WriteResult)


async def awaited(client: AsyncWebsiteClient, buyer: AsyncBuyerClient) -> None:
    assert_type(client.orders.list(), AsyncPages[Order])
    assert_type(await client.orders.list().first(3), list[Order])
    assert_type(await client.orders.get(1), Order)
    assert_type(await buyer.orders.get("1"), BuyerOrder)
    async for order in client.orders.list():
        assert_type(order, Order)


def refused(client: WebsiteClient) -> None:
    client.orders.get()  # type: ignore[call-arg]  # which order?
    client.contacts.upsert("a@example.com", nam="Ada")  # type: ignore[call-arg]  # a typing error
    client.members.update(1, name="Ada")  # type: ignore[call-arg]  # the e-mail is required
    client.products.create("metaphysical", "Door")  # type: ignore[arg-type]  # there are four types


def matched(body: bytes, headers: dict[str, str]) -> str:
    match parse(body, headers, "secret"):
        case OrderCreated(order=order) | OrderUpdated(order=order):
            assert_type(order, Order)
            return "order"
        case FormSubmitted(form=form):
            return str(form.form_name)
        case other:
            return other.topic
