"""Stores on loopback, and both clients of each behind one way to ask."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from convert_sdk.commerce import Http
from convert_sdk.commerce.convertmax import (
    AsyncConvertmaxClient,
    AsyncEventClient,
    ConvertmaxClient,
    EventClient,
)
from convert_sdk.commerce.convictional import AsyncBuyerClient, BuyerClient
from convert_sdk.commerce.website import AsyncWebsiteClient, WebsiteClient
from convert_sdk.server import DEMO_SDK_KEY, Registry, demo_document, running
from convert_sdk.testing.stores import ConvertmaxStore, ConvictionalStore, Received, WebsiteStore

from .openapi import FIXTURES, check, check_all
from .world import World

_keys = itertools.count()


class Asked:
    """Operations run on the sync client."""

    def __init__(self, make: Callable[..., Any], **options: Any) -> None:
        self.waits: list[float] = []
        self.client = make(http=Http(sleep=self.waits.append), **options)

    def do(self, operate: Callable[[Any], Any]) -> Any:
        return operate(self.client)

    def items(self, operate: Callable[[Any], Any]) -> list[Any]:
        return list(operate(self.client))

    def pages(self, operate: Callable[[Any], Any]) -> list[Any]:
        return list(operate(self.client).pages())

    def first(self, operate: Callable[[Any], Any], count: int) -> list[Any]:
        return operate(self.client).first(count)

    def close(self) -> None:
        self.client.close()


class Awaited:
    """The same operations run on the async client, in a loop of its own."""

    def __init__(self, make: Callable[..., Any], **options: Any) -> None:
        self.waits: list[float] = []
        self.runner = asyncio.Runner()
        self.client = make(http=Http(sleep=self._wait), **options)

    async def _wait(self, seconds: float) -> None:
        self.waits.append(seconds)

    def do(self, operate: Callable[[Any], Any]) -> Any:
        async def run() -> Any:
            return await operate(self.client)

        return self.runner.run(run())

    def items(self, operate: Callable[[Any], Any]) -> list[Any]:
        async def run() -> list[Any]:
            return [each async for each in operate(self.client)]

        return self.runner.run(run())

    def pages(self, operate: Callable[[Any], Any]) -> list[Any]:
        async def run() -> list[Any]:
            return [each async for each in operate(self.client).pages()]

        return self.runner.run(run())

    def first(self, operate: Callable[[Any], Any], count: int) -> list[Any]:
        return self.do(lambda client: operate(client).first(count))

    def close(self) -> None:
        self.runner.run(self.client.close())
        self.runner.close()


def is_ours(request: Received) -> bool:
    return "convert_sdk" in request.headers.get("user-agent", "")


def _asking(kind: str, clients: tuple[Any, Any], *args: Any, **options: Any) -> Iterator[Any]:
    asked_by, make = (Asked, clients[0]) if kind == "sync" else (Awaited, clients[1])
    asked = asked_by(lambda **more: make(*args, **options, **more))
    yield asked
    asked.close()


both = pytest.fixture(params=["sync", "async"])


@pytest.fixture(scope="session")
def _website() -> Iterator[WebsiteStore]:
    with WebsiteStore() as store:
        yield store


@pytest.fixture
def website(_website: WebsiteStore) -> Iterator[WebsiteStore]:
    """A website's store; what our clients sent to it is held against its OpenAPI file."""
    _website.reset()
    yield _website
    check_all("website-api", filter(is_ours, _website.requests))


@both
def shop(request: pytest.FixtureRequest, website: WebsiteStore) -> Iterator[Any]:
    """A client of `website`."""
    clients = (WebsiteClient, AsyncWebsiteClient)
    yield from _asking(request.param, clients, website.url, website.key)


@pytest.fixture(scope="session")
def _convictional() -> Iterator[ConvictionalStore]:
    with ConvictionalStore() as store:
        yield store


@pytest.fixture
def convictional(_convictional: ConvictionalStore) -> Iterator[ConvictionalStore]:
    """The Buyer API, without its rate limit; our requests are held against its OpenAPI file."""
    _convictional.reset()
    _convictional.rate = 0
    _convictional.key = f"key-{next(_keys)}"  # its own, as clients of one key share their request rate
    yield _convictional
    check_all("convictional-buyer", filter(is_ours, _convictional.requests))


@both
def buyer(request: pytest.FixtureRequest, convictional: ConvictionalStore) -> Iterator[Any]:
    """A client of `convictional`."""
    clients = (BuyerClient, AsyncBuyerClient)
    yield from _asking(request.param, clients, convictional.key, base_url=convictional.url)


@pytest.fixture(scope="session")
def _convertmax() -> Iterator[ConvertmaxStore]:
    with ConvertmaxStore() as store:
        yield store


@pytest.fixture
def convertmax(_convertmax: ConvertmaxStore) -> Iterator[ConvertmaxStore]:
    """Convertmax and its Event API; our requests are held against their OpenAPI files."""
    _convertmax.reset()
    yield _convertmax
    for each in filter(is_ours, _convertmax.requests):
        check("convertmax-event" if each.path == "/v1/track/" else "convertmax-api", each)


@both
def records(request: pytest.FixtureRequest, convertmax: ConvertmaxStore) -> Iterator[Any]:
    """A client of `convertmax`."""
    clients = (ConvertmaxClient, AsyncConvertmaxClient)
    yield from _asking(request.param, clients, convertmax.key, base_url=convertmax.url)


@both
def events(request: pytest.FixtureRequest, convertmax: ConvertmaxStore) -> Iterator[Any]:
    """A client of the Event API of `convertmax`."""
    clients = (EventClient, AsyncEventClient)
    yield from _asking(request.param, clients, convertmax.tracking_key, base_url=convertmax.url)


@pytest.fixture(scope="session")
def examples() -> dict[str, Any]:
    """The documentation's own examples of the Website API."""
    return json.loads((FIXTURES / "commerce" / "website-examples.json").read_text())


@pytest.fixture
def world(tmp_path: Path, website: WebsiteStore, convictional: ConvictionalStore) -> Iterator[World]:
    registry = Registry()
    shop = registry.add(demo_document(), sdk_key=DEMO_SDK_KEY)
    with running(registry) as server:
        found = World(server, tmp_path, website, convictional)
        found.shop = shop
        yield found
        found.close()
