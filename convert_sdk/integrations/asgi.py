"""The ASGI middleware: for Starlette, FastAPI, Litestar, Quart and every other application of this protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Unpack, cast

from convert_sdk._scope import VISITOR_SCOPE
from convert_sdk.async_client import AsyncClient
from convert_sdk.client import Client

from ._web.options import WebArguments, web_options
from ._web.request import AsgiRequest, WebRequest
from ._web.scope import RequestScope, forget_visitor
from ._web.web import Web

AsgiScope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApplication = Callable[[AsgiScope, Receive, Send], Awaitable[None]]

_STARTS = frozenset({"http.response.start", "websocket.accept"})


class ConvertMiddleware:
    """Gives each request its visitor; starts the client with the application, and closes it with it.

    Args:
        app: The application.
        client: The client whose experiments run in the application.
        lifespan: False leaves starting and closing the client to the application.
        options: `identify`, `on_login`, `consent`, `before_consent`, `attributes`, `only`, `cookie`, `preview`,
            `state`, `geo`, `fact_names`, `report`, `is_bot`, `cookie_consent_wins`. The callables among them get
            the request's ASGI scope.

    Raises:
        OptionError: For options that cannot be used.
        TypeError: For what is no client.

    >>> async def application(scope, receive, send):
    ...     decision = current_visitor().decide("checkout-layout")
    >>> application = ConvertMiddleware(application, client)
    """

    def __init__(
        self,
        app: AsgiApplication,
        client: Client | AsyncClient,
        *,
        lifespan: bool = True,
        **options: Unpack[WebArguments[Any]],
    ) -> None:
        self.app = app
        self.client = client
        self._lifespan = lifespan
        self._web = Web(client, web_options(client, options, awaits=True), self._native)

    def _native(self, described: WebRequest) -> object:
        """The argument of the application's callables: the request's ASGI scope."""
        return cast("AsgiRequest", described).asgi

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Serve one request, one websocket, or the application's whole life."""
        kind = scope["type"]
        if kind == "lifespan" and self._lifespan:
            await self.app(scope, receive, self._with_life(send))
        elif kind in ("http", "websocket") and self._web.admits(request := AsgiRequest(scope)):
            await self._serve(RequestScope(self._web, request), scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _serve(self, visit: RequestScope, scope: AsgiScope, receive: Receive, send: Send) -> None:
        overrides = self._web.overrides
        if overrides is not None and scope["type"] == "http":
            answer = overrides.link(visit.request)
            if answer is not None:
                start = {"type": "http.response.start", "status": answer.status}
                await send({**start, "headers": _in_bytes(answer.headers)})
                await send({"type": "http.response.body", "body": b""})
                return
        if self._web.previews is not None:
            self._web.previews.loop = asyncio.get_running_loop()
        if visit.needs_preparation:
            await visit.prepare()

        async def send_with_visitor(message: Message) -> None:
            if message["type"] in _STARTS:
                changes = visit.begin_response()
                if changes is not None:
                    text = [(_text(name), _text(value)) for name, value in message.get("headers", ())]
                    message = {**message, "headers": _in_bytes(changes.applied(text))}
            await send(message)

        token = VISITOR_SCOPE.set(visit.entry())
        try:
            await self.app(scope, receive, send_with_visitor)
        finally:
            VISITOR_SCOPE.reset(token)
            visit.end()

    def _with_life(self, send: Send) -> Send:
        async def send_with_life(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                await start(self.client)
            elif message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
                await close(self.client)
            await send(message)

        return send_with_life


async def start(client: Client | AsyncClient) -> None:
    """Start a client, and give its document the usual time to arrive."""
    wait = client._options.start_wait
    if isinstance(client, AsyncClient):
        await client.wait_until_ready(wait)
    else:
        await asyncio.to_thread(client.wait_until_ready, wait)


async def close(client: Client | AsyncClient) -> None:
    """Deliver what waits, and end the client."""
    if isinstance(client, AsyncClient):
        await client.close()
    else:
        await asyncio.to_thread(client.close)


def _text(part: bytes) -> str:
    return part.decode("latin-1")


def _in_bytes(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI has them, with names in small letters."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def new_visitor(headers: list[tuple[bytes, bytes]], client: Client | AsyncClient | None = None) -> None:
    """Have this device's next request start as somebody new, as after a logout on a shared device.

    Args:
        headers: The headers of the response to the present request; one is added.
        client: The client whose visitor is meant, where several have a middleware.

    Raises:
        LookupError: Outside of a request.
    """
    value = forget_visitor(client)
    if value is not None:
        headers.append((b"set-cookie", value.encode("latin-1")))
