"""The descriptors that let sync and async clients share one description of each operation.

A resource's operations are written once, as methods that build a `Call` or a `Listing`. Read from a
`Resource[Sender]` they return values; from a `Resource[AsyncSender]`, awaitables of the same values.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Coroutine
from typing import Concatenate, Generic, ParamSpec, Self, TypeVar, cast, overload

from convert_sdk.commerce._call import Call
from convert_sdk.commerce._pages import AsyncPages, Listing, Pages
from convert_sdk.commerce._sender import AsyncSender, Sender

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")
S_co = TypeVar("S_co", bound=Sender | AsyncSender, covariant=True)


class Resource(Generic[S_co]):
    """A group of operations bound to the sender that runs them."""

    def __init__(self, sender: S_co) -> None:
        self._sender = sender


class operation(Generic[P, T]):  # noqa: N801 - used as a decorator
    """A method that builds a `Call[T]`, and through a sender answers `T` or an awaitable of it."""

    def __init__(self, build: Callable[Concatenate[R, P], Call[T]]) -> None:
        self._build: Callable[..., Call[T]] = build
        functools.update_wrapper(self, build)  # type: ignore[arg-type]  # pretends to be the function

    @overload
    def __get__(self, at: None, owner: object = None) -> Self: ...
    @overload
    def __get__(self, at: Resource[Sender], owner: object = None) -> Callable[P, T]: ...
    @overload
    def __get__(
        self, at: Resource[AsyncSender], owner: object = None
    ) -> Callable[P, Coroutine[object, object, T]]: ...
    def __get__(
        self, at: Resource[Sender] | Resource[AsyncSender] | None, owner: object = None
    ) -> Self | Callable[P, T] | Callable[P, Coroutine[object, object, T]]:
        if at is None:
            return self
        sender, build = at._sender, functools.partial(self._build, at)

        def run(*args: P.args, **given: P.kwargs) -> object:
            return sender.run(build(*args, **given))

        return cast("Callable[P, T]", _named(run, self._build, at))


class listing(Generic[P, T]):  # noqa: N801 - used as a decorator
    """A method that builds a `Listing[T]`, and through a sender answers its lazy pages."""

    def __init__(self, build: Callable[Concatenate[R, P], Listing[T]]) -> None:
        self._build: Callable[..., Listing[T]] = build
        functools.update_wrapper(self, build)  # type: ignore[arg-type]  # pretends to be the function

    @overload
    def __get__(self, at: None, owner: object = None) -> Self: ...
    @overload
    def __get__(self, at: Resource[Sender], owner: object = None) -> Callable[P, Pages[T]]: ...
    @overload
    def __get__(self, at: Resource[AsyncSender], owner: object = None) -> Callable[P, AsyncPages[T]]: ...
    def __get__(
        self, at: Resource[Sender] | Resource[AsyncSender] | None, owner: object = None
    ) -> Self | Callable[P, Pages[T]] | Callable[P, AsyncPages[T]]:
        if at is None:
            return self
        sender, build = at._sender, functools.partial(self._build, at)

        def pages(*args: P.args, **given: P.kwargs) -> object:
            found = build(*args, **given)
            return Pages(sender, found) if isinstance(sender, Sender) else AsyncPages(sender, found)

        return cast("Callable[P, Pages[T]]", _named(pages, self._build, at))


def _named(run: R, build: Callable[..., object], at: object) -> R:
    """`run` under the name, docstring and signature of the method it stands for."""
    functools.update_wrapper(run, types.MethodType(build, at))  # type: ignore[arg-type]  # R is a function
    return run
