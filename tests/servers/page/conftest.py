"""The page of a local Serving API with the demonstration's shop, in a tab of a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("starlette", reason="needs the extra server")
from convert_sdk.server import DEMO_SDK_KEY, LocalServer, Registry, ServedProject, demo_document, running
from tests.servers.page.browser import Browser, Tab, chromium


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def shop(registry: Registry) -> ServedProject:
    return registry.add(demo_document(), sdk_key=DEMO_SDK_KEY)


@pytest.fixture
def server(registry: Registry, shop: ServedProject) -> Iterator[LocalServer]:
    with running(registry) as started:
        yield started


@pytest.fixture
def tab(browser: Browser, server: LocalServer) -> Iterator[Tab]:
    with browser.tab(server.url) as opened:
        yield opened
