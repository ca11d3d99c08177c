"""Quart, by the middleware for ASGI."""

from __future__ import annotations

import asyncio

import httpx
import pytest

pytest.importorskip("quart", reason="needs Quart: pip install convert-sdk[quart]")

from quart import Quart

from convert_sdk import current_visitor
from convert_sdk.integrations.asgi import ConvertMiddleware
from tests.documents import LOW, exposure
from tests.web.pages import shop, shown
from tests.web.sites import BROWSER, HOST


def test_requests_have_their_visitors() -> None:
    store = shop()
    app = Quart("shop")
    app.asgi_app = ConvertMiddleware(app.asgi_app, store.client)  # type: ignore[method-assign,assignment,arg-type]

    @app.get("/decide")
    async def decide() -> str:
        return shown(current_visitor())

    @app.get("/nothing")
    async def nothing() -> str:
        return "nothing"

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url=HOST, headers=BROWSER) as http:
            new, again = await http.get("/decide"), await http.get("/decide")
            known = await http.get("/decide", headers={"Cookie": f"convert_visitor_id={LOW}"})
            return [new, again, known, await http.get("/nothing")]

    new, again, known, left_alone = asyncio.run(ask())
    assert (new.text, again.text, known.text) == (again.text, new.text, "1")
    assert new.headers["set-cookie"].startswith("convert_visitor_id=")
    assert (new.headers["vary"], "vary" in left_alone.headers) == ("Cookie", False)
    assert len(store.sent()) == 2
    assert exposure("100", "1") in store.sent()
