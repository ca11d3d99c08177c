"""Who carries for an asyncio client: one task, started when a loop first needs it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, nullcontext, suppress
from inspect import iscoroutinefunction
from math import inf
from typing import TYPE_CHECKING, cast

from convert_sdk._http.messages import Failure, Request, Response
from convert_sdk._process.clock import monotonic
from convert_sdk._process.exit import hook_multiprocessing_exit, register_exit_hook
from convert_sdk._process.fork import check_pid, import_all
from convert_sdk.status import FlushReport

from .engine import Engine
from .runtime import NEEDED_BY_LOOPS, Runtime, flush_steps, resume
from .store_writer import store_thread

if TYPE_CHECKING:
    import httpx

    from convert_sdk._core.state import VisitorState
    from convert_sdk.options import Options
    from convert_sdk.status import Status
    from convert_sdk.stores import AsyncStore, Store

    from .loop import Machine


_BREATHER = 0.5
_GLANCE = 0.01
"""Seconds between two looks at an exchange that another task has under way."""


class TaskWorker:
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
        self.runtime = Runtime(options, key, engine, notify=self.notify)
        engine.visitors.notify = self._notify_all
        self._set_up()
        register_exit_hook(self)

    def _set_up(self) -> None:
        self._ready_by: float | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._client: httpx.AsyncClient | None = None
        store, runtime = self._store, self.runtime
        blocks = store is not None and not iscoroutinefunction(store.save)
        self._store_thread = (
            store_thread(
                runtime.store_writer, cast("Store", store), done=self.notify, on_error=runtime.report_error
            )
            if blocks
            else None
        )

    def reset_after_fork(self) -> None:
        """The child starts anew: what it inherited is neither used nor closed."""
        self._inherited += [self._loop, self._task, self._client]
        self._engine.reset_after_fork()
        self.runtime.reset_after_fork()
        self._set_up()
        if self.closed:
            self.runtime.queue.close()

    @property
    def alive(self) -> bool:
        """Whether the task runs, in this loop or another one."""
        task, loop = self._task, self._loop
        return task is not None and not task.done() and loop is not None and loop.is_running()

    async def start(self) -> None:
        """Start the task in the running loop, and give the document a moment to arrive, once."""
        check_pid()
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
        hook_multiprocessing_exit()
        if self._ready_by is None:
            self._ready_by = loop.time() + self._start_wait
        self._loop = loop
        self._event = asyncio.Event()
        self._ready = asyncio.Event()
        self._opening = asyncio.Lock()
        self._store_lock = asyncio.Lock()
        self._client = None
        self._task = loop.create_task(self._run(), name="convert_sdk")

    def notify(self) -> None:
        """Something is due earlier than the task knows. Any thread may say so."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            # Also in its own thread, where a signal's handler may come while the loop sleeps.
            with suppress(RuntimeError):  # the loop closed meanwhile: the next one starts awake
                loop.call_soon_threadsafe(self._event.set)

    def _notify_all(self) -> None:
        self.runtime.notify()
        if self._store_thread is not None and self._engine.project is not None:
            self._store_thread.notify()

    async def _run(self) -> None:
        try:
            while not self.closed:
                try:
                    await self._work()
                except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
                    raise
                except BaseException as error:  # noqa: BLE001  # whatever ends the loop, the events need it
                    self.runtime.restarts += 1
                    self.runtime.report_error(error)
                    await asyncio.sleep(_BREATHER)
        finally:
            client, self._client = self._client, None
            if client is not None:
                await client.aclose()

    async def _work(self) -> None:
        await asyncio.to_thread(self.runtime.load_cached)
        if self._engine.project is not None:
            self._ready.set()
        await asyncio.to_thread(import_all, NEEDED_BY_LOOPS)
        from .loop import arun

        machines = self.runtime.poller, self.runtime.queue
        await arun(machines, await self._opened(), wait=self._wait, on_error=self.runtime.report_error)

    async def _opened(self) -> httpx.AsyncClient:
        async with self._opening:
            if self._client is None:
                self._client = await asyncio.to_thread(self.runtime.open_async_client)
            return self._client

    async def _wait(self, seconds: float) -> bool:
        self._ready.set()
        await self._save()
        await self._do_chores()
        now = monotonic()
        seconds = min(
            self.runtime.wait_seconds(seconds, now),
            inf if self._store_thread else self.runtime.store_writer.due() - now,
        )
        if seconds > 0 and not self.closed:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._event.wait()
        self._event.clear()
        return not self.closed

    async def _do_chores(self, *, everything: bool = False) -> None:
        if self.runtime.touches_disk:
            await asyncio.to_thread(self.runtime.maintain, everything=everything)
        else:
            self.runtime.maintain(everything=everything)

    # The store, which may be one that is awaited or one that blocks.

    async def load(self, key: str) -> VisitorState | None:
        """What the store holds; raises what the store raises."""
        store = self._store
        if store is None:
            return None
        if iscoroutinefunction(store.load):
            return await cast("AsyncStore", store).load(key)
        return await asyncio.to_thread(cast("Store", store).load, key)

    async def _save(self, *, everything: bool = False) -> None:
        store_writer = self.runtime.store_writer
        if self._store_thread is not None:
            if store_writer.due() < inf:
                self._store_thread.notify()
        elif self._store is not None:
            async with self._store_lock if self._loop is asyncio.get_running_loop() else nullcontext():
                await store_writer.asave(cast("AsyncStore", self._store), everything=everything)

    async def _save_by(self, until: float) -> bool:
        """Have everything saved by then; whether it was. A save that is cancelled is made again."""
        seconds = until - monotonic()
        if not self.runtime.store_writer.waiting:
            return True
        if self._store_thread is not None:
            saved = self._store_thread.request_all()
            return await asyncio.to_thread(saved.wait, seconds)
        try:
            async with asyncio.timeout(seconds):
                await self._save(everything=True)
        except TimeoutError:
            return False
        return True

    # The end.

    async def flush(self, timeout: float) -> FlushReport:
        """Send what waits, in the calling task."""
        check_pid()
        return await self._flush(monotonic() + timeout)

    async def _flush(self, until: float, *, last: bool = False) -> FlushReport:
        before = self.runtime.queue.counts()
        # Half of the time is for the store alone: conversions may wait for it to go out.
        saved = await self._save_by((monotonic() + until) / 2)
        if last:
            self.runtime.release_claims(answers=saved)
        await self._do_chores(everything=True)
        if self.runtime.has_waiting:
            async with self._usable() as client:
                await self._deliver(client, until, everything=last)
            await self._do_chores()
        if not saved:
            await self._save_by(until)
        return FlushReport.between(before, self.runtime.queue.counts())

    @asynccontextmanager
    async def _usable(self) -> AsyncIterator[httpx.AsyncClient]:
        """The task's connections in its own loop; another loop needs some of its own."""
        if self.alive and self._loop is asyncio.get_running_loop():
            yield await self._opened()
        else:
            async with await asyncio.to_thread(self.runtime.open_async_client) as client:
                yield client

    async def _deliver(self, client: httpx.AsyncClient, until: float, *, everything: bool) -> None:
        from .loop import astep

        with closing(flush_steps(self.runtime, until, everything=everything)) as steps:
            due: Machine | float | None = next(steps, None)
            while due is not None:
                moved = False
                if isinstance(due, (int, float)):
                    await asyncio.sleep(min(due, _GLANCE))
                    if self.runtime.maintenance.due() <= monotonic():
                        await asyncio.to_thread(self.runtime.maintain_if_due)
                elif moved := await astep(due, client, until=until):
                    await self._do_chores(everything=True)
                due = resume(steps, moved)

    async def ask(self, request: Request) -> Response | Failure:
        """Make one exchange in the calling task."""
        from convert_sdk._http.client import asend

        await self.start()
        async with self._usable() as client:
            return await asend(client, request)

    async def close(self, timeout: float | None = None) -> FlushReport:
        """Flush, end the task and let go of everything; again is fine."""
        check_pid()
        before = self.runtime.queue.counts()
        if self.closed:
            return FlushReport.between(before, before)
        until = monotonic() + (self.shutdown_timeout if timeout is None else timeout)
        try:
            await self._flush(until, last=True)
        except Exception as error:  # noqa: BLE001  # what could not be sent is counted all the same
            self.runtime.report_error(error)
        self.closed = True
        await self._part()
        await self._save_by(until)
        if self._store_thread is not None:
            self._store_thread.stop()
        await asyncio.to_thread(self.runtime.close)
        return FlushReport.between(before, self.runtime.queue.counts())

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
        if self.closed:
            return
        try:
            self.flush_by(since)
        except Exception as error:  # noqa: BLE001  # what could not be sent is counted all the same
            self.runtime.report_error(error)
        self.closed = True
        if self._store_thread is not None:
            self._store_thread.stop()
        self.runtime.close()

    def flush_by(self, since: float) -> None:
        """Deliver in this thread, which has no loop."""
        until = since + self.shutdown_timeout
        saved = not self.runtime.store_writer.waiting or self._save_here((monotonic() + until) / 2)
        self.runtime.release_claims(answers=saved)
        self.runtime.send_inline(until)

    def _save_here(self, until: float) -> bool:
        if self._store_thread is not None:
            return self._store_thread.request_all().wait(until - monotonic())
        try:
            return asyncio.run(self._save_by(until))
        except Exception as error:  # noqa: BLE001  # as in the task
            self.runtime.report_error(error)
            return False

    def status(self) -> Status:
        """The figures of this moment."""
        check_pid()
        task, loop = self._task, self._loop
        lives = task is not None and not task.done() and loop is not None and not loop.is_closed()
        return self.runtime.status(alive=lives)
