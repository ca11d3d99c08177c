"""A store that hangs holds up neither deliveries, nor a flush for longer than it may take, nor the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from threading import Event
from typing import Any, Literal

import pytest

from convert_sdk import AsyncClient, Client, FlushReport, MemoryStore, Status, StoreError, VisitorState
from convert_sdk.stores import Changes, Winners
from tests.processes import finished
from tests.reliability.site import KEY, site
from tests.waiting import PATIENCE, eventually

Kind = Literal["a thread", "a task, a store that blocks", "a task, a store that is awaited"]
KINDS: list[Kind] = ["a thread", "a task, a store that blocks", "a task, a store that is awaited"]


class LetGo(Event):
    """An event that tasks may wait for, too."""

    def __init__(self) -> None:
        super().__init__()
        self._futures: list[asyncio.Future[None]] = []

    def set(self) -> None:
        super().set()
        for future in self._futures:
            with suppress(RuntimeError):  # its loop is closed
                future.get_loop().call_soon_threadsafe(future.cancel)

    async def arrives(self) -> None:
        """Wait in a task."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._futures.append(future)
        if not self.is_set():
            await asyncio.wait([future])


class Hanging:
    """Saves nothing until it is let go."""

    shared = True

    def __init__(self) -> None:
        self.inner = MemoryStore(shared=True)
        self.let_go = LetGo()

    def load(self, key: str) -> VisitorState | None:
        return self.inner.load(key)

    def save(self, changes: Changes) -> Winners:
        self.let_go.wait(120)
        return self.inner.save(changes)

    def close(self) -> None:
        """There is nothing to let go of."""


class Awaited(Hanging):
    async def load(self, key: str) -> VisitorState | None:  # type: ignore[override]
        return self.inner.load(key)

    async def save(self, changes: Changes) -> Winners:  # type: ignore[override]
        await self.let_go.arrives()
        return self.inner.save(changes)

    async def close(self) -> None:  # type: ignore[override]
        """There is nothing to let go of."""


class Driven:
    """Either client, driven by calls."""

    def __init__(self, kind: Kind, url: str, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self.store = Awaited() if kind.endswith("awaited") else Hanging()
        make = Client if kind == "a thread" else AsyncClient
        self._client: Any = make(
            KEY, config_endpoint=url, track_endpoint=url, start_wait=120, store=self.store
        )
        self._run = run

    def visitor(self, id: str) -> Any:
        return self._done(self._client.visitor(id))

    def flush(self, timeout: float) -> FlushReport:
        return self._done(self._client.flush(timeout))  # type: ignore[no-any-return]

    def close(self, timeout: float) -> FlushReport:
        return self._done(self._client.close(timeout))  # type: ignore[no-any-return]

    def status(self) -> Status:
        return self._client.status()  # type: ignore[no-any-return]

    def _done(self, answer: Any) -> Any:
        return self._run(answer) if asyncio.iscoroutine(answer) else answer


@pytest.mark.parametrize("kind", KINDS)
def test_a_flush_keeps_to_its_time_and_delivers_what_needs_no_store(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convert_sdk._delivery.queue.CLAIM_PATIENCE", PATIENCE / 2)
    with site() as convert, asyncio.Runner() as runner:
        client = Driven(kind, convert.url, runner.run)
        visitor = client.visitor("v")
        assert visitor.decide("button-10").variation
        assert visitor.track("goal-1")
        assert client.flush(0.5).pending >= 1, "it came back while the store still hung"
        assert convert.wait_for(1)
        eventually(lambda: client.status().events.sent == 1)
        assert client.status().events.pending == 1, "the conversion waits for the store"
        client.store.let_go.set()
        assert client.flush(120).pending == 0
        assert client.close(120).pending == 0
        assert len(convert.events) == 2
        assert convert.duplicates() == 0
        assert client.store.inner.load("1001-2002-v") is not None
        assert "unsaved" not in client.status().incidents


@pytest.mark.parametrize("kind", KINDS)
def test_closing_keeps_to_its_time_and_what_waited_for_the_store_goes_out(kind: Kind) -> None:
    with site() as convert, asyncio.Runner() as runner:
        client = Driven(kind, convert.url, runner.run)
        assert client.visitor("warm").decide("button-10").variation
        client.flush(0.5)
        assert convert.wait_for(1), "there is a connection"
        assert client.visitor("v").track("goal-1")
        client.close(8)  # half of it is for the store
        assert not client.store.let_go.is_set(), "it came back while the store still hung"
        client.store.let_go.set()
        assert client.status().events == (2, 2, 0, 0, 0, 0, 0, 0)
        assert client.status().incidents["unsaved"] == 2
        assert len(convert.events) == 2


class Down(Awaited):
    """Says at once that it is down."""

    async def save(self, changes: Changes) -> Winners:  # type: ignore[override]
        raise StoreError("down")


def test_two_that_close_at_once_count_once_whom_the_store_has_not_taken() -> None:
    async def use(url: str) -> Status:
        at: Any = {"config_endpoint": url, "track_endpoint": url}
        client = AsyncClient(KEY, start_wait=PATIENCE, store=Down(), **at)
        assert (await client.visitor("v")).decide("button-10").variation
        await asyncio.gather(client.close(PATIENCE), client.close(PATIENCE))
        return client.status()

    with site() as convert:
        status = asyncio.run(use(convert.url))
        assert status.incidents["unsaved"] == 1
        assert status.events.sent == len(convert.events) == 1


EXIT = """
import asyncio, sys
from convert_sdk import AsyncClient, Client
from tests.reliability.test_slow_stores import Awaited, Hanging

url, key, kind = sys.argv[1:4]
options = dict(config_endpoint=url, track_endpoint=url, start_wait=120, shutdown_timeout=8.0)
if kind == "a thread":
    Client(key, store=Hanging(), **options).visitor("v").track("goal-1")
    sys.exit(0)
client = AsyncClient(key, store=Awaited() if kind.endswith("awaited") else Hanging(), **options)

async def main():
    (await client.visitor("v")).track("goal-1")

asyncio.run(main())
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_that_hangs_does_not_keep_the_process(kind: Kind) -> None:
    with site() as convert:
        status, _, err = finished(EXIT, convert.url, KEY, kind)
        assert (status, err) == (0, "")
        assert len(convert.events) == 1


UNOPENED = """
import asyncio, sys
from convert_sdk import AsyncClient
from convert_sdk._delivery.runtime import Runtime

url, key, closes = sys.argv[1:4]
client = AsyncClient(key, config_endpoint=url, track_endpoint=url, start_wait=120, shutdown_timeout=0.5)

def unopened(self):
    raise OSError("no certificates")

async def main():
    visitor = await client.visitor("v")
    Runtime.open_client = Runtime.open_async_client = unopened
    await client._worker._end_tasks()
    for n in range(3):
        visitor.track(f"goal-{n}")
    if closes:
        print((await client.close()).dropped)

asyncio.run(main())
"""


@pytest.mark.parametrize("closes", [False, True])
def test_a_client_that_cannot_connect_at_the_end_counts_what_is_lost(closes: bool) -> None:
    with site() as convert:
        status, out, err = finished(UNOPENED, convert.url, KEY, "x" if closes else "")
        assert (status, out) == (0, "3\n" if closes else "")
        assert "closed: 3 events were not delivered in time and are dropped" in err
