"""The part of a client, of either kind, that the bridge needs."""

from __future__ import annotations

import asyncio
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Protocol, cast

from convert_sdk.errors import OptionError

if TYPE_CHECKING:
    from convert_sdk.async_client import AsyncClient
    from convert_sdk.client import Client
    from convert_sdk.project import Project
    from convert_sdk.status import Status
    from convert_sdk.visitor import Visitor

_PATIENCE = 60.0


class Reporting(Protocol):
    """Makes visitors, and says how it is doing; a `Client` does."""

    @property
    def project(self) -> Project | None:
        """The project in use; None before the first document."""
        ...

    def visitor(self, id: str) -> Visitor:
        """One visitor."""
        ...

    def status(self) -> Status:
        """The state of the client."""
        ...


class InLoop:
    """An `AsyncClient` as other threads see it: its visitors are made in its own loop."""

    def __init__(self, client: AsyncClient, loop: asyncio.AbstractEventLoop) -> None:
        self._client = client
        self._loop = loop

    @property
    def project(self) -> Project | None:
        """The project in use; None before the first document."""
        return self._client.project

    def visitor(self, id: str) -> Visitor:
        """One visitor, once the loop has made it."""
        return asyncio.run_coroutine_threadsafe(self._client.visitor(id), self._loop).result(_PATIENCE)

    def status(self) -> Status:
        """The state of the client."""
        return self._client.status()


def mark_reported(visitor: Visitor, goal: str | int) -> None:
    """Have a client know that a visitor's first conversion of a goal was reported, by a process before this one."""
    engine = getattr(visitor, "_engine", None)  # a visitor that only looks like one has none
    if engine is not None:
        engine.mark_goal(visitor, visitor.project, goal)


def loop_of(client: Client | AsyncClient) -> asyncio.AbstractEventLoop | None:
    """The running loop for a client that needs one. Raises OptionError where there is none."""
    if not iscoroutinefunction(client.visitor):
        return None
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise OptionError("the client is for asyncio: make its bridge where its loop runs") from None


def reporting(client: Client | AsyncClient, loop: asyncio.AbstractEventLoop | None) -> Reporting:
    """The client as threads may use it."""
    return cast("Client", client) if loop is None else InLoop(cast("AsyncClient", client), loop)


def refuse_in(loop: asyncio.AbstractEventLoop | None) -> None:
    """Raise RuntimeError in the loop's own thread, which would wait for itself."""
    try:
        running = None if loop is None else asyncio.get_running_loop()
    except RuntimeError:
        return
    if running is not None and running is loop:
        raise RuntimeError("the bridge waits for files and stores: call it by asyncio.to_thread")
