"""Visitors handed over to one's own services, in what `httpx` asks them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import httpx

from convert_sdk.async_client import AsyncClient
from convert_sdk.client import Client

from ._handover import VISITOR_HEADER, HandoverHosts

C = TypeVar("C", httpx.Client, httpx.AsyncClient)
_MARK = "convert_sdk_request"


def hand_over(http: C, hosts: Sequence[str], client: Client | AsyncClient | None = None) -> C:
    """Have a client of httpx hand over the visitor of the request that is being served.

    The header `Convert-Visitor` is added to requests to these hosts, and to no request that follows a redirect.

    Args:
        http: An `httpx.Client` or `httpx.AsyncClient`; a hook is added to it.
        hosts: The names of one's own services, such as `["prices.internal"]`, with a port where only that one is meant.
        client: The client whose visitor is meant, where several have a middleware.

    Returns:
        The same client of httpx. Its requests raise OptionError where a visitor's client has no secrets.

    Raises:
        OptionError: For anything but a list of names.
        TypeError: For what is no client of httpx.

    >>> import httpx
    >>> http = hand_over(httpx.Client(), ["prices.internal"])
    """
    known = HandoverHosts(hosts, client)

    def add(request: httpx.Request) -> None:
        if request.extensions.get(_MARK, id(request)) != id(
            request
        ):  # made from another, which was redirected
            request.headers.pop(VISITOR_HEADER, None)
            return
        request.extensions = {**request.extensions, _MARK: id(request)}
        token = known.token(request.url.host, request.url.port or _PORTS.get(request.url.scheme))
        if token is not None:
            request.headers[VISITOR_HEADER] = token

    async def add_awaited(request: httpx.Request) -> None:
        add(request)

    if isinstance(http, httpx.AsyncClient):
        http.event_hooks["request"].append(add_awaited)
    elif isinstance(http, httpx.Client):
        http.event_hooks["request"].append(add)
    else:
        raise TypeError(f"http must be a client of httpx, not {type(http).__name__}")
    return http


_PORTS = {"http": 80, "https": 443}
