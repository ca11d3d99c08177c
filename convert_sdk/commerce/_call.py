"""One description of a request: the route, the query and body, and how to read its answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import quote

from pydantic import BaseModel

from convert_sdk._core.half_made import shown_half_made
from convert_sdk.commerce._json import Answer, whole
from convert_sdk.commerce._wire import Id, read, read_many

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


@shown_half_made
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


def one(model: type[M]) -> Callable[[Answer], M]:
    """A parser that reads the whole body as one `model`."""
    return lambda answer: read(model, whole(answer.payload))


def array(model: type[M]) -> Callable[[Answer], tuple[M, ...]]:
    """A parser that reads a plain JSON array of `model`; what is no record in it is left out."""
    return lambda answer: read_many(model, answer.payload)[0]


def nothing(_: Answer) -> None:
    """A parser for answers that say no more than that it worked."""
