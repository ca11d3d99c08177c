"""Stores on loopback, and both clients of each."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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

from .asking import Either, asking
from .openapi import FIXTURES, check, check_all
from .world import World

_keys = itertools.count()


def is_ours(request: Received) -> bool:
    return "convert_sdk" in request.headers.get("user-agent", "")


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
def shop(request: pytest.FixtureRequest, website: WebsiteStore) -> Iterator[Either]:
    """A client of `website`."""
    clients = (WebsiteClient, AsyncWebsiteClient)
    yield from asking(request.param, clients, website.url, website.key)


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
def buyer(request: pytest.FixtureRequest, convictional: ConvictionalStore) -> Iterator[Either]:
    """A client of `convictional`."""
    clients = (BuyerClient, AsyncBuyerClient)
    yield from asking(request.param, clients, convictional.key, base_url=convictional.url)


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
def records(request: pytest.FixtureRequest, convertmax: ConvertmaxStore) -> Iterator[Either]:
    """A client of `convertmax`."""
    clients = (ConvertmaxClient, AsyncConvertmaxClient)
    yield from asking(request.param, clients, convertmax.key, base_url=convertmax.url)


@both
def events(request: pytest.FixtureRequest, convertmax: ConvertmaxStore) -> Iterator[Either]:
    """A client of the Event API of `convertmax`."""
    clients = (EventClient, AsyncEventClient)
    yield from asking(request.param, clients, convertmax.tracking_key, base_url=convertmax.url)


@pytest.fixture(scope="session")
def examples() -> dict[str, Any]:
    """The documentation's own examples of the Website API."""
    found: dict[str, Any] = json.loads((FIXTURES / "commerce" / "website-examples.json").read_text())
    return found


@pytest.fixture
def world(tmp_path: Path, website: WebsiteStore, convictional: ConvictionalStore) -> Iterator[World]:
    registry = Registry()
    shop = registry.add(demo_document(), sdk_key=DEMO_SDK_KEY)
    with running(registry) as server:
        found = World(server, tmp_path, website, convictional)
        found.shop = shop
        yield found
        found.close()
