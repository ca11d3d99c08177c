"""Experiments in Flask applications."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Unpack, cast

from convert_sdk._core.decision import Decision, ResolvedFeature
from convert_sdk._extras import needs_extra
from convert_sdk._scope import OUTSIDE, current_visitor, open_scope
from convert_sdk.client import Client
from convert_sdk.visitor import Visitor

from ._web.options import WebArguments
from ._web.request import WebRequest, WsgiRequest
from ._web.scope import RequestScope, forget_visitor
from .wsgi import ConvertMiddleware, Environ, StartResponse, WsgiApplication

with needs_extra(__name__, "flask", "flask"):
    from flask import (
        Flask,
        Request,
        Response,
        current_app,
        g,
        has_app_context,
        has_request_context,
        request,
    )

_EXTENSION = "convert_sdk"
_SERVED = "convert_sdk_served"
"""In the environment of a request that came through the application, and not from a context of a test."""


class FlaskMiddleware(ConvertMiddleware):
    """The WSGI middleware, whose callables get Flask's request."""

    def __init__(self, app: Flask, client: Client, **options: Unpack[WebArguments[Any]]) -> None:
        super().__init__(cast("WsgiApplication", app.wsgi_app), client, **options)
        self._request_class = app.request_class

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        environ[_SERVED] = True
        return super().__call__(environ, start_response)

    def _native(self, described: WebRequest) -> object:
        environ = cast("WsgiRequest", described).environ
        if has_request_context() and request.environ is environ:
            return cast("Any", request)._get_current_object()
        return self._request_class(dict(environ))

    def visit_in_context(self) -> RequestScope:
        """The visit of a request context that did not come through the application, as in a test."""
        visit = g.get(_EXTENSION)
        if not isinstance(visit, RequestScope):
            visit = RequestScope(self._web, WsgiRequest(request.environ))
            setattr(g, _EXTENSION, visit)
        return visit


def _secrets(app: Flask) -> Sequence[str | bytes]:
    """The secrets of an application, which sign what a visitor takes along, where the client has none of its own."""
    key, older = app.secret_key, app.config.get("SECRET_KEY_FALLBACKS")
    return [] if not key else [key, *(older or ())]


class Convert:
    """A client's experiments in Flask applications: one, or several by `init_app`.

    Args:
        app: The application; None to name it later by `init_app`.
        client: The client whose experiments run there; it may be named later, too.
        options: `identify`, `on_login`, `consent`, `before_consent`, `attributes`, `only`, `cookie`, `preview`,
            `state`, `geo`, `fact_names`, `report`, `is_bot`, `cookie_consent_wins`. The callables among them get
            Flask's request.

    Raises:
        OptionError: For options that cannot be used.
        TypeError: For what is no client.

    >>> from flask import Flask
    >>> app = Flask("shop")
    >>> convert = Convert(app, client)
    >>> @app.get("/checkout")
    ... def checkout():
    ...     return str(convert.visitor.decide("checkout-layout").variation_key)
    """

    def __init__(
        self,
        app: Flask | None = None,
        client: Client | None = None,
        **options: Unpack[WebArguments[Request]],
    ) -> None:
        self._client = client
        self._options = options
        if app is not None:
            self.init_app(app)

    def init_app(
        self, app: Flask, client: Client | None = None, **options: Unpack[WebArguments[Request]]
    ) -> None:
        """Give the requests of an application their visitors.

        Args:
            app: The application.
            client: The client whose experiments run there, where it is another one than that of the constructor.
            options: Over those of the constructor.

        Raises:
            OptionError: For options that cannot be used.
            TypeError: For what is no client.
        """
        merged: Any = {**self._options, **options}
        used = client or self._client
        if isinstance(used, Client) and not used._options.secrets:
            used._engine.secrets = partial(_secrets, app)
        middleware = FlaskMiddleware(app, cast("Client", used), **merged)
        app.extensions[_EXTENSION] = middleware
        app.wsgi_app = middleware  # type: ignore[method-assign]  # as Flask's documentation wraps it
        app.add_template_global(self._experience, "experience")
        app.add_template_global(self._feature, "feature")

    @property
    def client(self) -> Client:
        """The client of the application that is at work. Raises LookupError where none is."""
        return self._middleware.client

    @property
    def visitor(self) -> Visitor:
        """The visitor of the request, made when it is first asked for. Raises LookupError outside of one.

        A request that `only=` leaves out has none, and neither has a thread that goes on after the request, or that
        took Flask's context along and not the whole one (`contextvars.copy_context`).
        """
        middleware = self._middleware
        if open_scope(middleware.client) is None and has_request_context() and _SERVED not in request.environ:
            return middleware.visit_in_context().visitor()
        return current_visitor(middleware.client)

    def new_visitor(self, response: Response) -> None:
        """Have this device's next request start as somebody new, as after a logout on a shared device.

        Args:
            response: The response to the present request.

        Raises:
            LookupError: Outside of a request.
        """
        value = forget_visitor(self.client)
        if value is not None:
            response.headers.add("Set-Cookie", value)

    @property
    def _middleware(self) -> FlaskMiddleware:
        found = current_app.extensions.get(_EXTENSION) if has_app_context() else None
        if not isinstance(found, FlaskMiddleware):
            raise LookupError(OUTSIDE)
        return found

    def _experience(self, key: str) -> Decision:
        """In templates: `{% if experience("checkout-layout").variation_key == "one-page" %}`."""
        return self.visitor.decide(key)

    def _feature(self, key: str) -> ResolvedFeature:
        """In templates: `{{ feature("pricing").get("discount", 0.0) }}`."""
        return self.visitor.feature(key)
