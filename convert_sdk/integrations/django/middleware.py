"""The middleware for Django, with and without an event loop."""

from __future__ import annotations

from asyncio import get_running_loop
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, TypeAlias, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.exceptions import DisallowedHost
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.functional import SimpleLazyObject

from convert_sdk._scope import VISITOR_SCOPE, VisitorScope, current_visitor
from convert_sdk.async_client import AsyncClient
from convert_sdk.client import Client
from convert_sdk.integrations._web.options import web_options
from convert_sdk.integrations._web.override_tokens import LinkAnswer
from convert_sdk.integrations._web.request import WebRequest, WsgiRequest
from convert_sdk.integrations._web.scope import RequestScope, forget_visitor
from convert_sdk.integrations._web.web import Web
from convert_sdk.integrations.wsgi import VisitedBody

from .configuration import get_client, middleware_options

Answered: TypeAlias = HttpResponseBase | Awaitable[HttpResponseBase]


class DjangoRequest(WebRequest):
    """The request of Django, with its own handling of proxies."""

    def __init__(self, request: HttpRequest) -> None:
        self.django = request

    @property
    def method(self) -> str:
        """As Django has it."""
        return self.django.method or "GET"

    @property
    def scheme(self) -> str:
        """As Django has it: SECURE_PROXY_SSL_HEADER."""
        return self.django.scheme or "http"

    @property
    def host(self) -> str:
        """As Django has it: ALLOWED_HOSTS, USE_X_FORWARDED_HOST. Empty for a host that is not allowed."""
        try:
            return self.django.get_host()
        except DisallowedHost:
            return ""

    @property
    def path(self) -> str:
        """As Django has it."""
        return self.django.path

    @property
    def query(self) -> str:
        """As it came."""
        return str(self.django.META.get("QUERY_STRING", ""))

    @property
    def client(self) -> str | None:
        """As the server has it."""
        return self.django.META.get("REMOTE_ADDR") or None

    def header(self, name: str) -> str | None:
        """As Django has it."""
        return WsgiRequest(self.django.META).header(name)


class ConvertMiddleware:
    """Gives each request its visitor: `request.convert`, and `current_visitor()` below.

    The settings' block CONVERT has its options. The first visitor of a process starts the client.

    Args:
        get_response: The next middleware, or the view.

    Raises:
        OptionError: For a block that cannot be used.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Answered]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        client = get_client()
        options = web_options(client, middleware_options(), awaits=self._is_async)
        self._web = Web(client, options, lambda described: cast("DjangoRequest", described).django)

    def __call__(self, request: HttpRequest) -> Answered:
        """Serve one request."""
        described = DjangoRequest(request)
        if not self._web.admits(described):
            attach(request, current_visitor)  # it raises and says why
            return self.get_response(request)
        if self._web.overrides is not None and (answer := self._web.overrides.link(described)) is not None:
            return self._led(answer)
        visit = RequestScope(self._web, described)
        attach(request, visit.visitor)
        return self._awaited(request, visit) if self._is_async else self._served(request, visit)

    def _led(self, answer: LinkAnswer) -> Answered:
        response = HttpResponse(status=answer.status)
        for name, value in answer.headers:
            if name == "Set-Cookie":
                response.cookies.load(value)
            else:
                response.headers[name] = value
        return as_awaited(response) if self._is_async else response

    def _served(self, request: HttpRequest, visit: RequestScope) -> HttpResponseBase:
        entry = visit.entry()
        token = VISITOR_SCOPE.set(entry)
        response: HttpResponseBase | None = None
        try:
            response = cast("HttpResponseBase", self.get_response(request))
            return with_visitor(response, visit, entry)
        finally:
            VISITOR_SCOPE.reset(token)
            if not is_streamed(response):
                visit.end()

    async def _awaited(self, request: HttpRequest, visit: RequestScope) -> HttpResponseBase:
        if self._web.previews is not None:
            self._web.previews.loop = get_running_loop()
        if visit.needs_preparation:
            await visit.prepare()
        entry = visit.entry()
        token = VISITOR_SCOPE.set(entry)
        response: HttpResponseBase | None = None
        try:
            response = await cast("Awaitable[HttpResponseBase]", self.get_response(request))
            return with_visitor(response, visit, entry)
        finally:
            VISITOR_SCOPE.reset(token)
            if not is_streamed(response):
                visit.end()


async def as_awaited(response: HttpResponseBase) -> HttpResponseBase:
    """The response, to be awaited."""
    return response


def attach(request: HttpRequest, visitor: Callable[[], object]) -> None:
    """Make the visitor `request.convert`, when it is first used."""
    cast("Any", request).convert = SimpleLazyObject(visitor)


def is_streamed(response: HttpResponseBase | None) -> bool:
    """True for a response whose body is made while it is sent."""
    return isinstance(response, StreamingHttpResponse) and not isinstance(response, FileResponse)


def with_visitor(response: HttpResponseBase, visit: RequestScope, entry: VisitorScope) -> HttpResponseBase:
    """The response with the headers that its visitor asks for, and a visitor for what is still to be made of it."""
    changes = visit.begin_response()
    if changes is not None:
        replaced = changes.applied(
            [(name, response.headers[name]) for name in ("Cache-Control", "Vary") if name in response.headers]
        )
        for name, value in replaced:
            if name == "Set-Cookie":
                response.cookies.load(value)
            else:
                response.headers[name] = value
    if isinstance(response, StreamingHttpResponse) and is_streamed(response):
        parts: Any = response.streaming_content
        if response.is_async:
            response.streaming_content = VisitedStream(parts, visit, entry)
        else:
            response.streaming_content = VisitedBody(cast("Iterable[bytes]", parts), visit, entry)
    return response


class VisitedStream:
    """As `VisitedBody`, in an event loop."""

    def __init__(self, parts: AsyncIterator[bytes], visit: RequestScope, entry: VisitorScope) -> None:
        self._parts = aiter(parts)
        self._visit = visit
        self._entry = entry

    def __aiter__(self) -> VisitedStream:
        return self

    async def __anext__(self) -> bytes:
        token = VISITOR_SCOPE.set(self._entry)
        try:
            return await anext(self._parts)
        finally:
            VISITOR_SCOPE.reset(token)

    def close(self) -> None:
        """End the request; Django calls this when the response is closed."""
        self._visit.end()


def new_visitor(response: HttpResponseBase, client: Client | AsyncClient | None = None) -> None:
    """Have this device's next request start as somebody new, as after a logout on a shared device.

    Args:
        response: The response to the present request.
        client: The client whose visitor is meant, where several have a middleware.

    Raises:
        LookupError: Outside of a request.
    """
    value = forget_visitor(client)
    if value is not None:
        response.cookies.load(value)
