"""The visitor of the request that is being served here."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final, NamedTuple, TypeVar, overload

from ._checks import UNCHANGED, Unchanged
from .async_client import AsyncClient
from .client import Client
from .visitor import Visitor

T = TypeVar("T")


class VisitorScope(NamedTuple):
    """One request under one client's middleware; `outer` is that of another client around it."""

    client: Client | AsyncClient
    visitor: Callable[[], Visitor]
    glance: Callable[[], Visitor]
    """The visitor, without counting as asked for: no cookie follows from that."""
    is_open: Callable[[], bool]
    forget: Callable[[], str | None]
    """Makes the device's next visitor a new one; gives the `Set-Cookie` for that."""
    outer: VisitorScope | None


VISITOR_SCOPE: Final = ContextVar[VisitorScope | None]("convert_sdk visitor scope", default=None)


@overload
def current_visitor(client: Client | AsyncClient | None = None) -> Visitor: ...
@overload
def current_visitor(client: Client | AsyncClient | None = None, *, default: T) -> Visitor | T: ...
def current_visitor(
    client: Client | AsyncClient | None = None, *, default: T | Unchanged = UNCHANGED
) -> Visitor | T:
    """The visitor of the request that is being served, made when it is first asked for.

    It is found anywhere below the middleware: in functions, tasks and threads that take the context along. A thread
    of one's own takes it along by `contextvars.copy_context().run`.

    Args:
        client: The client whose visitor is meant, where several have a middleware; the innermost by default.
        default: The answer outside of a request, in place of an error.

    Returns:
        The `Visitor` of the request.

    Raises:
        LookupError: Outside of a request, and without a default.

    >>> current_visitor(default=None) is None
    True
    """
    scope = open_scope(client)
    if scope is not None:
        return scope.visitor()
    if isinstance(default, Unchanged):
        raise LookupError(OUTSIDE)
    return default


def open_scope(client: Client | AsyncClient | None = None) -> VisitorScope | None:
    """The request that is being served under a client's middleware; None outside of one."""
    scope = VISITOR_SCOPE.get()
    while scope is not None:
        if (client is None or scope.client is client) and scope.is_open():
            return scope
        scope = scope.outer
    return None


OUTSIDE: Final = (
    "no request is served here: add the ConvertMiddleware of convert_sdk.integrations to the application (only= may "
    "leave requests out), take the context into threads of your own by contextvars.copy_context().run, or give default="
)
