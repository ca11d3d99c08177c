"""Streams of server-sent events, as a browser reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx

from tests.waiting import PATIENCE


class Sent(NamedTuple):
    """One event of a stream."""

    name: str
    data: Any
    id: str | None


class Stream:
    """A stream that is read event by event."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines

    def __iter__(self) -> Iterator[Sent]:
        name, data, number = "message", "", None
        for line in self._lines:
            field, _, value = line.partition(": ")
            match field:
                case "event":
                    name = value
                case "data":
                    data = value
                case "id":
                    number = value
                case "" if not line and data:
                    yield Sent(name, json.loads(data), number)
                    name, data, number = "message", "", None

    def next(self, name: str) -> Any:
        """The data of the next event of a name."""
        return next(each.data for each in self if each.name == name)

    def rows(self, count: int) -> list[Any]:
        """The next rows, so many at least."""
        found: list[Any] = []
        for each in self:
            if each.name == "rows":
                found += each.data["rows"]
            if len(found) >= count:
                break
        return found


@contextmanager
def stream(http: httpx.Client, path: str, **query: str) -> Iterator[Stream]:
    with http.stream("GET", path, params=query, timeout=PATIENCE) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Stream(response.iter_lines())
