"""Who carries for an asyncio client: one task, started when a loop first needs it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from inspect import iscoroutinefunction
from threading import get_ident
from time import monotonic
from typing import TYPE_CHECKING, cast

from .counts import FlushReport
from .engine import Engine
from .farewell import attend, register
from .line import NEEDED_BY_LOOPS, Line, resume
from .machine import Failure, Machine, Reply, Request
from .unforked import import_all

if TYPE_CHECKING:
    import httpx

    from convert_sdk._core.state import Changes, VisitorState, Winners
    from convert_sdk.options import Options
    from convert_sdk.status import Status
    from convert_sdk.stores import AsyncStore, Store

_BREATHER = 0.5
_GLANCE = 0.01
"""Seconds between two looks at an exchange that another task has under way."""


class AsyncWorker:
    """Fetches, delivers and does the chores of one client, in one task of the loop that uses it.

    A loop that is gone takes its task along; the next loop gets a new one, and nothing is lost between them.
    """

    def __init__(self, options: Options, key: str, engine: Engine, store: AsyncStore | Store | None) -> None:
        self._store = store
        self._engine = engine
        self._start_wait = options.start_wait
        self.shutdown_timeout = options.shutdown_timeout
        self._inherited: list[object] = []
        self.closed = False
        self._begin()
        self.line = Line(options, key, engine, wake=self.wake)
        register(self)

    def _begin(self) -> None:
        self._ready_by: float | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ident = 0
        self._task: asyncio.Task[None] | None = None
        self._client: httpx.AsyncClient | None = None

    def after_fork(self) -> None:
        """The child starts anew: what it inherited is neither used nor closed."""
        self._inherited += [self._loop, self._task, self._client]
        self._engine.start_anew()
        self._begin()
        self.line.reopen()
        if self.closed:
            self.line.outbox.close()

    @property
    def alive(self) -> bool:
        """Whether the task runs, in this loop or another one."""
        task, loop = self._task, self._loop
        return task is not None and not task.done() and loop is not None and loop.is_running()

    async def start(self) -> None:
        """Start the task in the running loop, and give the document a moment to arrive, once."""
        if self.closed:
            return
        loop = asyncio.get_running_loop()
        if not self.alive:
            self._enter(loop)
        if self._engine.project is None and loop is self._loop and self._ready_by is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._ready_by):
                    await self._ready.wait()

    def _enter(self, loop: asyncio.AbstractEventLoop) -> None:
        attend()
        if self._ready_by is None:
            self._ready_by = loop.time() + self._start_wait
        self._loop = loop
        self._ident = get_ident()
        self._event = asyncio.Event()
        self._ready = asyncio.Event()
        self._opening = asyncio.Lock()
        self._saving = asyncio.Lock()
        self._client = None
        self._task = loop.create_task(self._run(), name="convert_sdk")

    def wake(self) -> None:
        """Something is due earlier than the task knows. Any thread may say so."""
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        if get_ident() == self._ident:
            self._event.set()
        else:
            with suppress(RuntimeError):  # the loop closed meanwhile: the next one starts awake
                loop.call_soon_threadsafe(self._event.set)

    async def _run(self) -> None:
        try:
            while not self.closed:
                try:
                    await self._carry()
                except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
                    raise
                except BaseException as error:  # noqa: BLE001  # whatever ends the loop, the events need it
                    self.line.restarts += 1
                    self.line.complain(error)
                    await asyncio.sleep(_BREATHER)
        finally:
            client, self._client = self._client, None
            if client is not None:
                await client.aclose()

    async def _carry(self) -> None:
        await asyncio.to_thread(self.line.recall)
        if self._engine.project is not None:
            self._ready.set()
        await asyncio.to_thread(import_all, NEEDED_BY_LOOPS)
        from .carry import acarry

        machines = self.line.feed, self.line.outbox
        await acarry(machines, await self._opened(), rest=self._rest, trouble=self.line.complain)

    async def _opened(self) -> httpx.AsyncClient:
        async with self._opening:
            if self._client is None:
                self._client = await asyncio.to_thread(self.line.open_async_client)
            return self._client

    async def _rest(self, seconds: float) -> bool:
        self._ready.set()
        await self._save()
        await self._do_chores()
        seconds = self.line.rest(seconds, monotonic())
        if seconds > 0 and not self.closed:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._event.wait()
        self._event.clear()
        return not self.closed

    async def _do_chores(self, *, everything: bool = False) -> None:
        if self.line.touches_disk:
            await asyncio.to_thread(self.line.do_chores, everything=everything)
        else:
            self.line.do_chores(everything=everything)

    # The store, which may be one that is awaited or one that blocks.

    async def load(self, key: str) -> VisitorState | None:
        """What the store holds; raises what the store raises."""
        store = self._store
        if store is None:
            return None
        if iscoroutinefunction(store.load):
            return await cast("AsyncStore", store).load(key)
        return await asyncio.to_thread(cast("Store", store).load, key)

    async def _save_one(self, changes: Changes) -> Winners:
        store = self._store
        if iscoroutinefunction(store.save if store is not None else None):
            return await cast("AsyncStore", store).save(changes)
        return await asyncio.to_thread(cast("Store", store).save, changes)

    async def _save(self, *, everything: bool = False) -> None:
        if self._store is None:
            return
        async with self._saving if self._loop is asyncio.get_running_loop() else nullcontext():
            saving = self.line.saving
            for save in saving.take(monotonic(), everything=everything):
                try:
                    winners = await self._save_one(save.changes)
                except Exception as error:  # noqa: BLE001  # the store may be the application's own
                    saving.failed(error, monotonic())
                else:
                    saving.saved(save, winners, monotonic())

    # The end.

    async def flush(self, timeout: float) -> FlushReport:
        """Send what waits, in the calling task."""
        return await self._flush(monotonic() + timeout)

    async def _flush(self, until: float, *, last: bool = False) -> FlushReport:
        before = self.line.outbox.counts()
        await self._save(everything=True)
        if last:
            self.line.stop_waiting_for_the_store()
        await self._do_chores(everything=True)
        if self.line.waits:
            async with self._usable() as client:
                await self._deliver(client, until)
            await self._do_chores()
        return FlushReport.between(before, self.line.outbox.counts())

    @asynccontextmanager
    async def _usable(self) -> AsyncIterator[httpx.AsyncClient]:
        """The task's connections in its own loop; another loop needs some of its own."""
        if self.alive and self._loop is asyncio.get_running_loop():
            yield await self._opened()
        else:
            async with await asyncio.to_thread(self.line.open_async_client) as client:
                yield client

    async def _deliver(self, client: httpx.AsyncClient, until: float) -> None:
        from .carry import aturn

        steps = self.line.delivery(until)
        step: Machine | float | None = next(steps, None)
        while step is not None:
            moved = False
            if isinstance(step, (int, float)):
                await asyncio.sleep(min(step, _GLANCE))
                if self.line.upkeep.due() <= monotonic():
                    await asyncio.to_thread(self.line.catch_up)
            elif moved := await aturn(step, client, within=until - monotonic()):
                await self._do_chores(everything=True)
            step = resume(steps, moved)

    async def ask(self, request: Request) -> Reply | Failure:
        """Make one exchange in the calling task."""
        from .exchange import aexchange

        await self.start()
        async with self._usable() as client:
            return await aexchange(client, request)

    async def close(self, timeout: float | None = None) -> FlushReport:
        """Flush, end the task and let go of everything; again is fine."""
        before = self.line.outbox.counts()
        if self.closed:
            return FlushReport.between(before, before)
        await self._flush(monotonic() + (self.shutdown_timeout if timeout is None else timeout), last=True)
        self.closed = True
        await self._part()
        await self._save(everything=True)
        await asyncio.to_thread(self.line.leave)
        return FlushReport.between(before, self.line.outbox.counts())

    async def _part(self) -> None:
        task, loop = self._task, self._loop
        if task is None or loop is None or task.done():
            return
        if loop is asyncio.get_running_loop():
            task.cancel()
            await asyncio.wait([task])
        elif loop.is_running():
            loop.call_soon_threadsafe(task.cancel)

    def close_by(self, since: float) -> None:
        """At the end of the process no loop runs any more: deliver in this thread."""
        if not self.closed:
            self.flush_by(since)
            self.closed = True
            self.line.leave()

    def flush_by(self, since: float) -> None:
        """Deliver in this thread, which has no loop."""
        until = since + self.shutdown_timeout
        if self._engine.memory.unsaved:
            with suppress(Exception):
                asyncio.run(asyncio.wait_for(self._save(everything=True), until - monotonic()))
        self.line.stop_waiting_for_the_store()
        self.line.finish(until)

    def status(self) -> Status:
        """The figures of this moment."""
        task, loop = self._task, self._loop
        lives = task is not None and not task.done() and loop is not None and not loop.is_closed()
        return self.line.status(alive=lives)
