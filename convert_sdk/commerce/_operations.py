"""The descriptors that let sync and async clients share one description of each operation.

A resource's operations are written once, as methods that build a `Call` or a `Listing`. Read from a
`Resource[Sender]` they return values; from a `Resource[AsyncSender]`, awaitables of the same values.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Coroutine
from typing import (
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    Self,
    TypeVar,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

from convert_sdk.commerce._call import Call
from convert_sdk.commerce._pages import AsyncPages, Listing, Pages
from convert_sdk.commerce._sender import AsyncSender, Sender

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")
S_co = TypeVar("S_co", bound=Sender | AsyncSender, covariant=True)


class _LeftOut:
    """The default of a field that is not sent."""

    def __repr__(self) -> str:
        return "left out"


_LEFT_OUT = _LeftOut()


class Resource(Generic[S_co]):
    """A group of operations bound to the sender that runs them."""

    def __init__(self, sender: S_co) -> None:
        self._sender = sender


class operation(Generic[P, T]):  # noqa: N801 - used as a decorator
    """A method that builds a `Call[T]`, and through a sender answers `T` or an awaitable of it."""

    def __init__(self, build: Callable[Concatenate[R, P], Call[T]]) -> None:
        self._build: Callable[..., Call[T]] = build
        functools.update_wrapper(self, build)

    @property
    def __signature__(self) -> inspect.Signature:
        return _signature(self._build)

    def __call__(self, at: Any, *args: Any, **given: Any) -> object:
        """The operation as a function of its resource, which is how `help` shows a class."""
        return self.__get__(at)(*args, **given)

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
        functools.update_wrapper(self, build)

    @property
    def __signature__(self) -> inspect.Signature:
        return _signature(self._build)

    def __call__(self, at: Any, *args: Any, **given: Any) -> object:
        """The operation as a function of its resource, which is how `help` shows a class."""
        return self.__get__(at)(*args, **given)

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
    run.__signature__ = _signature(build)  # type: ignore[attr-defined]  # of any function
    return run


@functools.cache
def _signature(build: Callable[..., object]) -> inspect.Signature:
    """The parameters of an operation one by one, those of a table of fields too, and the type that it returns."""
    hints = get_type_hints(build, include_extras=True)
    given = inspect.signature(build)
    parameters: list[inspect.Parameter] = []
    for each in [*given.parameters.values()][1:]:
        hint = hints.get(each.name, each.annotation)
        if each.kind is not inspect.Parameter.VAR_KEYWORD:
            parameters.append(each.replace(annotation=hint))
            continue
        (fields,) = get_args(hint)
        for name, kind in get_type_hints(fields).items():
            own = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=_LEFT_OUT, annotation=kind)
            parameters.append(own)
    (returned,) = get_args(hints["return"])
    of_pages = get_origin(hints["return"]) is Listing
    return given.replace(
        parameters=parameters,
        return_annotation=Pages[returned] if of_pages else returned,  # type: ignore[valid-type]  # known at run time only
    )
