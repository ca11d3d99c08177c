"""Who carries for an asyncio client: one task, started when a loop first needs it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from threading import get_ident
from time import monotonic
from typing import TYPE_CHECKING

from convert_sdk.errors import StoreError

from .counts import FlushReport
from .engine import Engine
from .line import Line, resume
from .machine import Failure, Machine, Reply, Request
from .worker import farewell

if TYPE_CHECKING:
    import httpx

    from convert_sdk.options import Options
    from convert_sdk.status import Status
    from convert_sdk.stores import AsyncStore, Store

_LONGEST_REST = 3_600.0
_BREATHER = 0.5


class AsyncWorker:
    """Fetches, delivers and does the chores of one client, in one task of the loop that uses it.

    A loop that is gone takes its task along; the next loop gets a new one, and nothing is lost between them.
    """

    def __init__(self, options: Options, key: str, engine: Engine, store: AsyncStore | Store | None) -> None:
        self._store = store
        self._engine = engine
        self._start_wait = options.start_wait
        self._shutdown_timeout = options.shutdown_timeout
        self._begin()
        self.line = Line(options, key, engine, wake=self.wake)
        farewell.add(self)

    def _begin(self) -> None:
        self.closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ident = 0
        self._task: asyncio.Task[None] | None = None
        self._client: httpx.AsyncClient | None = None

    def after_fork(self) -> None:
        """The child starts anew: loops, sockets and what waited are the parent's."""
        self._engine.start_anew()
        self._begin()
        self.line.reopen()

    @property
    def alive(self) -> bool:
        """Whether the task runs."""
        return self._task is not None and not self._task.done()

    async def start(self) -> None:
        """Start the task in the running loop, and give the document a moment to arrive, once."""
        if self.closed or (self._loop is asyncio.get_running_loop() and self.alive):
            return
        self._loop = asyncio.get_running_loop()
        self._ident = get_ident()
        self._event = asyncio.Event()
        self._ready = asyncio.Event()
        self._moved = asyncio.Condition()
        self._client = None
        self._task = self._loop.create_task(self._run(), name="convert_sdk")
        if self._engine.project is None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ready.wait(), self._start_wait)

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
        await asyncio.to_thread(self.line.warm_up)
        from .carry import acarry

        if self._engine.project is not None:
            self._ready.set()
        client = await self._opened()
        while not self.closed:
            try:
                await acarry(
                    (self.line.feed, self.line.outbox), client, rest=self._rest, trouble=self.line.complain
                )
            except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:  # noqa: BLE001 # whatever ends the loop, the events need it
                self.line.restarts += 1
                self.line.complain(error)
                await asyncio.sleep(_BREATHER)

    async def _opened(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = await asyncio.to_thread(self.line.open_async_client)
        return self._client

    async def _rest(self, seconds: float) -> bool:
        self._ready.set()
        await self._save()
        await self._do_chores()
        now = monotonic()
        seconds = min(seconds, self.line.upkeep.due(now) - now, _LONGEST_REST)
        if seconds > 0 and not self.closed:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._event.wait(), seconds)
        self._event.clear()
        return not self.closed

    async def _do_chores(self) -> None:
        if self.line.touches_disk:
            await asyncio.to_thread(self.line.do_chores)
        else:
            self.line.do_chores()
        async with self._moved:
            self._moved.notify_all()

    async def _save(self) -> None:
        if self._store is None or self._engine.project is None:
            return
        upkeep = self.line.upkeep
        for save in upkeep.to_save():
            try:
                answer = self._store.save(save.changes)
                winners = answer if isinstance(answer, tuple) else await answer
            except StoreError as error:
                upkeep.not_saved(save, error)
            else:
                upkeep.saved(save, winners, monotonic())

    async def flush(self, timeout: float) -> FlushReport:
        """Send what waits, in the calling task."""
        await self.start()
        before = self.line.outbox.counts()
        until = monotonic() + timeout
        await self._save()
        await self._do_chores()
        await self._deliver(await self._opened(), until)
        return FlushReport.between(before, self.line.outbox.counts())

    async def _deliver(self, client: httpx.AsyncClient, until: float) -> None:
        from .carry import aturn

        steps = self.line.delivery(until)
        step: Machine | float | None = next(steps, None)
        while step is not None:
            moved = False
            if isinstance(step, float):
                await self._wait_for_move(step)
            elif moved := await aturn(step, client, within=until - monotonic()):
                await self._do_chores()
            step = resume(steps, moved)

    async def _wait_for_move(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._moved:
                await self._moved.wait()

    async def ask(self, request: Request) -> Reply | Failure:
        """Make one exchange in the calling task."""
        from .exchange import aexchange

        await self.start()
        return await aexchange(await self._opened(), request)

    async def close(self, timeout: float | None = None) -> FlushReport:
        """Flush, end the task and let go of everything; again is fine."""
        before = self.line.outbox.counts()
        if not self.closed:
            if self._task is not None or before.pending:
                await self.flush(self._shutdown_timeout if timeout is None else timeout)
            self.closed = True
            if self._task is not None:
                self._task.cancel()
                with suppress(asyncio.CancelledError):
                    await self._task
            await self._save()
            await asyncio.to_thread(self.line.leave)
            if self._client is not None:
                await self._client.aclose()
        return FlushReport.between(before, self.line.outbox.counts())

    def close_now(self) -> None:
        """At the end of the process no loop may run: flush in this thread."""
        if not self.closed:
            self.closed = True
            self.line.finish(monotonic() + self._shutdown_timeout)

    def status(self) -> Status:
        """The figures of this moment."""
        return self.line.status(alive=self.alive)
