"""Experiments in Starlette applications."""

from __future__ import annotations

from typing import Unpack, cast

from convert_sdk._extras import needs_extra
from convert_sdk.async_client import AsyncClient
from convert_sdk.client import Client

from ._web.options import WebArguments
from ._web.request import AsgiRequest, WebRequest
from ._web.scope import forget_visitor
from .asgi import ConvertMiddleware as AsgiMiddleware

with needs_extra(__name__, "starlette", "starlette"):
    from starlette.requests import HTTPConnection, Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

__all__ = ["ConvertMiddleware", "new_visitor"]


class ConvertMiddleware(AsgiMiddleware):
    """The middleware of `convert_sdk.integrations.asgi`, whose callables get Starlette's request.

    Args:
        app: The application.
        client: The client whose experiments run in the application.
        lifespan: False leaves starting and closing the client to the application.
        options: As of the middleware for ASGI; the callables get a `Request`, or for a websocket
            its `HTTPConnection`, which has no method and no body.

    >>> from starlette.applications import Starlette
    >>> app = Starlette()
    >>> app.add_middleware(ConvertMiddleware, client=client)
    """

    def __init__(
        self,
        app: ASGIApp,
        client: Client | AsyncClient,
        *,
        lifespan: bool = True,
        **options: Unpack[WebArguments[Request]],
    ) -> None:
        super().__init__(app, client, lifespan=lifespan, **options)

    def _native(self, described: WebRequest) -> object:
        scope = cast("AsgiRequest", described).asgi
        return Request(scope) if scope["type"] == "http" else HTTPConnection(scope)


def new_visitor(response: Response, client: Client | AsyncClient | None = None) -> None:
    """Have this device's next request start as somebody new, as after a logout on a shared device.

    Args:
        response: The response to the present request.
        client: The client whose visitor is meant, where several have a middleware.

    Raises:
        LookupError: Outside of a request.
    """
    value = forget_visitor(client)
    if value is not None:
        response.headers.append("set-cookie", value)
