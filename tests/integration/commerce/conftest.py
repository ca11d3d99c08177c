"""Stores on loopback, and both clients of each behind one way to ask."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from convert_sdk.commerce import Http
from convert_sdk.commerce.website import AsyncWebsiteClient, WebsiteClient
from convert_sdk.testing.stores import WebsiteStore

from .openapi import FIXTURES, check_all


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


@pytest.fixture
def website() -> Iterator[WebsiteStore]:
    """A website's store; what our clients sent to it is held against its OpenAPI file."""
    with WebsiteStore() as store:
        yield store
    ours = [each for each in store.requests if "convert_sdk" in each.headers.get("user-agent", "")]
    check_all("website-api", ours)


@pytest.fixture(params=["sync", "async"])
def shop(request: pytest.FixtureRequest, website: WebsiteStore) -> Iterator[Any]:
    """A client of `website`."""
    kind, make = (Asked, WebsiteClient) if request.param == "sync" else (Awaited, AsyncWebsiteClient)
    asked = kind(lambda **options: make(website.url, website.key, **options))
    yield asked
    asked.close()


@pytest.fixture(scope="session")
def examples() -> dict[str, Any]:
    """The documentation's own examples of the Website API."""
    return json.loads((FIXTURES / "commerce" / "website-examples.json").read_text())
