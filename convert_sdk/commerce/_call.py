"""One description of a request, and the descriptors that let sync and async clients share it.

A resource's operations are written once, as methods that build a `Call` or a `Listing`. Reached through
`Resource[Sender]` they answer values; through `Resource[AsyncSender]`, awaitables of the same values.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Concatenate, Generic, ParamSpec, Self, TypeVar, cast, overload
from urllib.parse import quote

from pydantic import TypeAdapter

from convert_sdk.commerce._wire import Id, read_json, whole

if TYPE_CHECKING:
    from convert_sdk.commerce._pages import AsyncPages, Listing, Pages
    from convert_sdk.commerce._sender import AsyncSender, Sender

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")
S_co = TypeVar("S_co", bound="Sender | AsyncSender", covariant=True)


@dataclass(frozen=True)
class Answer:
    """A complete HTTP answer."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @functools.cached_property
    def payload(self) -> object:
        """The body's JSON, None for an empty body; ValueError if it is something else."""
        return read_json(self.body) if self.body.strip() else None


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request and how to read its answer; `repeatable` says whether sending it twice does no harm."""

    method: str
    path: str
    parse: Callable[[Answer], T]
    query: Mapping[str, str | int | bool] = field(default_factory=dict, repr=False)
    body: object = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    link: str | None = field(default=None, repr=False)
    repeatable: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def call(route: str, parse: Callable[[Answer], T], /, **ids: Id) -> Call[T]:
    """The `Call` for a route such as `"GET /orders/{id}"`; GET, PUT and DELETE may be repeated."""
    method, path = route.split(" ", 1)
    for name, value in ids.items():
        path = path.replace(f"{{{name}}}", _segment(name, value))
    return Call(method, path, parse, repeatable=method in ("GET", "PUT", "DELETE"))


def _segment(name: str, value: Id) -> str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError(f"{name} is an int or a str, not {type(value).__name__}")
    if str(value).strip() in ("", ".", ".."):
        raise ValueError(f"{name} must not be empty, and no dots alone: they would lead to another address")
    return quote(str(value), safe="")


def query(**given: str | int | bool | None) -> dict[str, str | int | bool]:
    """The query parameters that were given, that is, are not None."""
    return {name: value for name, value in given.items() if value is not None}


def one(model: type[T]) -> Callable[[Answer], T]:
    """A parser that reads the whole body as one `model`."""
    adapter = TypeAdapter(model)
    return lambda answer: adapter.validate_python(whole(answer.payload))


def array(model: type[T]) -> Callable[[Answer], tuple[T, ...]]:
    """A parser that reads a plain JSON array of `model`."""
    adapter = TypeAdapter(tuple[model, ...])  # type: ignore[valid-type]  # the type is known at run time only
    return lambda answer: adapter.validate_python(answer.payload)


def nothing(_: Answer) -> None:
    """A parser for answers that say no more than that it worked."""


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
            return sender.pages(build(*args, **given))

        return cast("Callable[P, Pages[T]]", _named(pages, self._build, at))


def _named(run: R, build: Callable[..., object], at: object) -> R:
    """`run` under the name, docstring and signature of the method it stands for."""
    functools.update_wrapper(run, types.MethodType(build, at))  # type: ignore[arg-type]  # R is a function
    return run
