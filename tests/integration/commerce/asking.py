"""Both clients of a store behind one way to ask."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from convert_sdk.commerce import Http


class Asked:
    """Operations run on the sync client."""

    def __init__(self, make: Callable[..., Any], **options: Any) -> None:
        self.waits: list[float] = []
        self.client = make(http=Http(sleep=self.waits.append), **options)

    def do(self, operate: Callable[..., Any]) -> Any:
        return operate(self.client)

    def items(self, operate: Callable[[Any], Any]) -> list[Any]:
        return list(operate(self.client))

    def pages(self, operate: Callable[[Any], Any]) -> list[Any]:
        return list(operate(self.client).pages())

    def first(self, operate: Callable[[Any], Any], count: int) -> list[Any]:
        found: list[Any] = operate(self.client).first(count)
        return found

    def close(self) -> None:
        self.client.close()


class Awaited:
    """The same operations run on the async client, in a loop of its own."""

    def __init__(self, make: Callable[..., Any], **options: Any) -> None:
        self.waits: list[float] = []
        self.runner = asyncio.Runner()
        self.client = make(http=Http(sleep=self._wait), **options)

    async def _wait(self, seconds: float) -> None:
        self.waits.append(seconds)

    def do(self, operate: Callable[..., Any]) -> Any:
        async def run() -> Any:
            return await operate(self.client)

        return self.runner.run(run())

    def items(self, operate: Callable[[Any], Any]) -> list[Any]:
        async def run() -> list[Any]:
            return [each async for each in operate(self.client)]

        return self.runner.run(run())

    def pages(self, operate: Callable[[Any], Any]) -> list[Any]:
        async def run() -> list[Any]:
            return [each async for each in operate(self.client).pages()]

        return self.runner.run(run())

    def first(self, operate: Callable[[Any], Any], count: int) -> list[Any]:
        found: list[Any] = self.do(lambda client: operate(client).first(count))
        return found

    def close(self) -> None:
        self.runner.run(self.client.close())
        self.runner.close()


Either: TypeAlias = Asked | Awaited
"""The one or the other: a test does not care."""


def asking(kind: str, clients: tuple[Any, Any], *args: Any, **options: Any) -> Iterator[Either]:
    make = clients[0] if kind == "sync" else clients[1]
    driven_by = Asked if kind == "sync" else Awaited
    asked = driven_by(lambda **more: make(*args, **options, **more))
    yield asked
    asked.close()
