"""The WSGI middleware, for every application of this protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Unpack, cast

from convert_sdk._scope import VISITOR_SCOPE, VisitorScope
from convert_sdk.async_client import AsyncClient
from convert_sdk.client import Client

from ._web.options import WebArguments, web_options
from ._web.request import WebRequest, WsgiRequest
from ._web.scope import RequestScope, forget_visitor
from ._web.web import Web

Environ = dict[str, Any]
ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
StartResponse = Callable[..., Callable[[bytes], object]]
WsgiApplication = Callable[[Any, Any], Iterable[bytes]]


class ConvertMiddleware:
    """Gives each request its visitor.

    Args:
        app: The application.
        client: The client whose experiments run in the application. The first visitor of a process starts it.
        options: `identify`, `on_login`, `consent`, `before_consent`, `attributes`, `only`, `cookie`, `preview`,
            `state`, `geo`, `fact_names`, `report`, `is_bot`, `cookie_consent_wins`. The callables among them get
            the request's WSGI environment.

    Raises:
        OptionError: For options that cannot be used.
        TypeError: For what is no client.

    >>> def application(environ, start_response):
    ...     start_response("200 OK", [])
    ...     return [b"hello"]
    >>> application = ConvertMiddleware(application, client)
    """

    def __init__(
        self, app: WsgiApplication, client: Client, **options: Unpack[WebArguments[Environ]]
    ) -> None:
        self.app = app
        self.client = client
        self._web = Web(client, web_options(client, options, awaits=False), self._native)

    def _native(self, described: WebRequest) -> object:
        """The argument of the application's callables: the request's environment."""
        return cast("WsgiRequest", described).environ

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        request = WsgiRequest(environ)
        if not self._web.admits(request):
            return self.app(environ, start_response)
        if self._web.overrides is not None and (answer := self._web.overrides.link(request)) is not None:
            start_response(f"{answer.status} See Other", answer.headers)
            return [b""]
        visit = RequestScope(self._web, request)

        def start_with_visitor(
            status: str, headers: list[tuple[str, str]], *failure: ExceptionInfo
        ) -> Callable[[bytes], object]:
            changes = visit.begin_response()
            if changes is not None:
                headers = changes.applied(headers)
            return start_response(status, headers, *failure)

        entry = visit.entry()
        token = VISITOR_SCOPE.set(entry)
        is_made_later = False
        try:
            body = self.app(environ, start_with_visitor)
            is_made_later = not is_whole(body, environ)
            return VisitedBody(body, visit, entry) if is_made_later else body
        finally:
            VISITOR_SCOPE.reset(token)
            if not is_made_later:
                visit.end()


def is_whole(body: Iterable[bytes], environ: Mapping[str, object]) -> bool:
    """True for a body of which nothing is made while it is sent, in types that servers know by themselves."""
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(body, (list, tuple)) or (isinstance(wrapper, type) and isinstance(body, wrapper))


class VisitedBody:
    """A body that is made while it is sent, with the visitor of its request."""

    def __init__(self, body: Iterable[bytes], visit: RequestScope, entry: VisitorScope) -> None:
        self._body = body
        self._parts: Iterator[bytes] | None = None
        self._visit = visit
        self._entry = entry

    def __iter__(self) -> VisitedBody:
        return self

    def __next__(self) -> bytes:
        token = VISITOR_SCOPE.set(self._entry)
        try:
            if self._parts is None:
                self._parts = iter(self._body)
            return next(self._parts)
        finally:
            VISITOR_SCOPE.reset(token)

    def close(self) -> None:
        """Close the body, and end the request."""
        token = VISITOR_SCOPE.set(self._entry)
        try:
            close: Callable[[], object] = getattr(self._body, "close", _nothing)
            close()
        finally:
            VISITOR_SCOPE.reset(token)
            self._visit.end()


def _nothing() -> None:
    """The close of a body that has none."""


def new_visitor(headers: list[tuple[str, str]], client: Client | AsyncClient | None = None) -> None:
    """Have this device's next request start as somebody new, as after a logout on a shared device.

    Args:
        headers: The headers of the response to the present request; one is added.
        client: The client whose visitor is meant, where several have a middleware.

    Raises:
        LookupError: Outside of a request.
    """
    value = forget_visitor(client)
    if value is not None:
        headers.append(("Set-Cookie", value))
