from __future__ import annotations

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx
import pytest

pytest.importorskip("starlette", reason="needs the extra server")
from convert_sdk.server import DEMO_SDK_KEY, LocalServer, Registry, ServedProject, demo_document, running
from tests.shapes import of
from tests.waiting import PATIENCE

PLACE = DEMO_SDK_KEY


class Page(NamedTuple):
    """A browser's side of the page: its address, its token, and the requests it makes."""

    http: httpx.Client
    token: str
    project: str = f"/_api/projects/{PLACE}"

    def get(self, path: str = "", **query: str | int) -> Any:
        """The JSON at an address below the project's."""
        response = self.http.get(f"{self.project}{path}", params=query or None)
        assert response.status_code == 200, response.text
        return response.json()

    def ask(self, path: str, body: object) -> Any:
        """The JSON that answers a question."""
        response = self.http.post(f"{self.project}{path}", json=body)
        assert response.status_code < 300, response.text
        return response.json()

    def ask_text(self, path: str, text: bytes) -> Any:
        """The JSON that answers a text."""
        headers = {"Content-Type": "application/json"}
        response = self.http.post(f"{self.project}{path}", content=text, headers=headers)
        assert response.status_code == 200, response.text
        return response.json()

    def change(self, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
        """The answer to a request that changes something."""
        given = {"Convert-Page-Token": self.token, "Content-Type": "application/json", **headers}
        content = body if isinstance(body, bytes) else None
        return self.http.request(
            method, path, content=content, json=None if content is not None else body, headers=given
        )


class Served(NamedTuple):
    """A running server with the demonstration shop, and its page."""

    registry: Registry
    shop: ServedProject
    server: LocalServer
    page: Page


@contextmanager
def served_shop() -> Iterator[Served]:
    registry = Registry()
    shop = registry.add(demo_document(), sdk_key=DEMO_SDK_KEY)
    with (
        running(registry) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=PATIENCE) as http,
    ):
        yield Served(registry, shop, server, Page(http, token_of(http)))


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A server for tests that change nothing."""
    with served_shop() as found:
        yield found


@pytest.fixture(scope="module")
def shop(served: Served) -> ServedProject:
    return served.shop


@pytest.fixture(scope="module")
def server(served: Served) -> LocalServer:
    return served.server


@pytest.fixture(scope="module")
def page(served: Served) -> Page:
    return served.page


@pytest.fixture
def own() -> Iterator[Served]:
    """A server of the test's own."""
    with served_shop() as found:
        yield found


def token_of(http: httpx.Client) -> str:
    """The token that the page carries."""
    answer = http.get("/", headers={"Accept": "text/html"})
    assert answer.headers["content-type"].startswith("text/html")
    found = re.search(r'name="convert-page-token" content="([^"]+)"', answer.text)
    return html.unescape(of(str, found[1])) if found is not None else ""
