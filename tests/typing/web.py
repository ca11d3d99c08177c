"""What type checkers know of web backends: the visitor is a `Visitor`, and callables get the framework's request."""

from __future__ import annotations

from typing import assert_type

import fastapi
import flask
import httpx
from starlette.applications import Starlette
from starlette.requests import Request

from convert_sdk import AsyncClient, Client, Consent, Visitor, current_visitor
from convert_sdk.integrations import Cookie, override_token
from convert_sdk.integrations.asgi import ConvertMiddleware as AsgiMiddleware
from convert_sdk.integrations.fastapi import ConvertMiddleware, VisitorDep, new_visitor
from convert_sdk.integrations.flask import Convert
from convert_sdk.integrations.httpx import hand_over
from convert_sdk.integrations.wsgi import ConvertMiddleware as WsgiMiddleware


def anywhere(client: Client) -> None:
    assert_type(current_visitor(), Visitor)
    assert_type(current_visitor(client), Visitor)
    assert_type(current_visitor(default=None), Visitor | None)
    assert_type(current_visitor(client, default="nobody"), Visitor | str)


def consent(visitor: Visitor, client: Client) -> None:
    visitor.set_consent(Consent.GRANTED)
    assert_type(client.visitor("v-1", consent=Consent.UNKNOWN, before_consent="decide"), Visitor)
    client.visitor("v-1", consent=True)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    visitor.set_consent("granted")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def handed_over(client: Client, other: AsyncClient, visitor: Visitor) -> None:
    assert_type(visitor.handover(max_age=60), str)
    assert_type(client.visitor_from("token", {"plan": "pro"}), Visitor | None)
    assert_type(await other.visitor_from("token", keep_expired=True), Visitor | None)
    assert_type(hand_over(httpx.Client(), ["prices.internal"]), httpx.Client)
    assert_type(hand_over(httpx.AsyncClient(), ["prices.internal"]), httpx.AsyncClient)
    assert_type(override_token(client, {"checkout": "one-page"}), str)


def agreed(request: Request) -> Consent | None:
    answer = request.cookies.get("answer")
    return None if answer is None else Consent(answer)


async def user(request: Request) -> int | None:
    return len(request.cookies)


def logged_in(request: flask.Request) -> str | None:
    return request.cookies.get("user")


def starlette(client: AsyncClient) -> None:
    app = fastapi.FastAPI()
    app.add_middleware(ConvertMiddleware, client=client, consent=agreed, identify=user, on_login="switch")
    wrapped = ConvertMiddleware(Starlette(), client, cookie=Cookie(secure=True), preview="known")
    ConvertMiddleware(app, client, state="cookie", accept_handover=True, accept_override=True)
    ConvertMiddleware(app, client, state="server")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(wrapped.client, Client | AsyncClient)
    ConvertMiddleware(app, client, on_login="stay")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ConvertMiddleware(app, client, consent=logged_in)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    @app.get("/")
    async def page(visitor: VisitorDep, response: fastapi.Response) -> str | None:
        assert_type(visitor, Visitor)
        new_visitor(response)
        return visitor.decide("checkout").variation_key


def others(client: Client, app: flask.Flask) -> None:
    convert = Convert(app, client, identify=logged_in, only=["/shop"])
    assert_type(convert.visitor, Visitor)
    assert_type(convert.client, Client)
    WsgiMiddleware(app.wsgi_app, client)
    AsgiMiddleware(Starlette(), client, lifespan=False)
