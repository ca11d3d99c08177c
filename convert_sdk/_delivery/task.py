"""The worker of an `AsyncClient`: a task that sends, one that fetches, and one for a store that is awaited.

Theory of operation
-------------------
The tasks live in the loop that first uses the client. Nothing that blocks is done in a loop: imports and certificates
have a thread each time (`run_in_thread`), files go to `asyncio.to_thread`; the spool, a blocking store and the callback
have daemon threads (`Runtime`).

A loop may end before the client does. Its tasks are gone then, or stand still for ever. The next loop that uses the
client takes over (`_enter`): it revokes the leases on the machines, so that a request of which nobody will hear a
response counts as ambiguous, and starts tasks of its own. A flush from another loop, while the first one still runs,
is a request to the tasks there, and is awaited here. Without any loop, at the end of the process, the loop of the
threads sends the rest, over connections of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from inspect import iscoroutinefunction
from math import inf
from typing import TYPE_CHECKING, cast

from convert_sdk._http.messages import Failure, Request, Response
from convert_sdk._process.clock import monotonic
from convert_sdk._process.exit import hook_multiprocessing_exit
from convert_sdk._process.fork import check_pid, import_all
from convert_sdk._process.locks import Latch, WakeEvent
from convert_sdk._process.threads import run_in_thread

from .engine import Engine
from .flush_request import Flush, FlushRequest
from .override_file import LOCAL_ONLY, LOOK_EVERY
from .runtime import NEEDED_BY_LOOPS
from .worker import Worker, wait_for

if TYPE_CHECKING:
    import httpx

    from convert_sdk._core.state import VisitorState
    from convert_sdk.options import Options
    from convert_sdk.status import FlushReport, ForgetReport, Status
    from convert_sdk.stores import AsyncStore, Store

    from .loop import Machine

_PAUSE_AFTER_ERROR = 0.5
_LOOP_CHECK = 0.1
"""Seconds between two looks at a loop whose tasks are waited for."""


_FORGET_CHECK = 0.02
"""Seconds between two looks at the threads that forget a visitor."""


class Lease:
    """A machine as one loop's task sees it, until another loop takes the machine over."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._awaits_response = False
        self._revoked = False

    def due(self) -> float:
        """As the machine."""
        return inf if self._revoked else self._machine.due()

    def next_request(self, now: float) -> Request | None:
        """As the machine."""
        request = None if self._revoked else self._machine.next_request(now)
        self._awaits_response = request is not None
        return request

    def handle_response(self, answer: Response | Failure, now: float) -> None:
        """As the machine; a response that comes after the end of the lease is ignored."""
        if self._awaits_response:
            self._awaits_response = False
            self._machine.handle_response(answer, now)

    def revoke(self, now: float) -> None:
        """End the lease; a request under way may have arrived."""
        self._revoked = True
        self.handle_response(Failure("interrupted", "the event loop stopped"), now)


class Home:
    """The tasks of a worker in one loop, and what belongs to that loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, queue: Machine, poller: Machine) -> None:
        self.loop = loop
        self.queue = Lease(queue)
        self.poller = Lease(poller)
        self.ready = asyncio.Event()
        """Set once there is a document, or the first fetch has failed."""
        self.in_use = asyncio.Event()
        """Set once there is a document, or the client is closed."""
        self.to_send, self.to_fetch, self.to_save = asyncio.Event(), asyncio.Event(), asyncio.Event()
        """Notifications of the three tasks."""
        self.opening = asyncio.Lock()
        self.store_lock = asyncio.Lock()
        self.client: httpx.AsyncClient | None = None
        self.tasks: list[asyncio.Task[None]] = []
        self.moved = False
        """True once another loop has taken over."""

    @property
    def is_alive(self) -> bool:
        """True while the loop runs the tasks."""
        return self.loop.is_running() and self.has_tasks

    @property
    def has_tasks(self) -> bool:
        """True while the tasks are there, also in a loop that stands still for the moment."""
        return not (
            self.moved or self.loop.is_closed() or not self.tasks or any(task.done() for task in self.tasks)
        )

    def notify(self) -> None:
        """Wake the tasks; for any thread, and for a signal handler while the loop sleeps."""
        with suppress(RuntimeError):  # the loop is closed: the next one starts awake
            self.loop.call_soon_threadsafe(self._wake_tasks)

    def _wake_tasks(self) -> None:
        for event in (self.to_send, self.to_fetch, self.to_save):
            event.set()


class TaskWorker(Worker):
    """Fetches and delivers for one client, in tasks of the loop that uses it."""

    def __init__(self, options: Options, key: str, engine: Engine, store: AsyncStore | Store | None) -> None:
        is_async = store is not None and iscoroutinefunction(store.save)
        self._load = store.load if store is not None else None
        self._async_store = cast("AsyncStore", store) if is_async else None
        super().__init__(options, key, engine, None if is_async else cast("Store | None", store))

    def _set_up(self) -> None:
        super()._set_up()
        self._home: Home | None = None
        self._inline_event = WakeEvent()

    def reset_after_fork(self) -> None:
        """Start with everything fresh in a child process: what it inherited is neither used nor closed."""
        self._inherited.append(self._home)
        super().reset_after_fork()

    @property
    def is_alive(self) -> bool:
        """True while the tasks run, in this loop or another one."""
        return self._home is not None and self._home.is_alive

    def status(self) -> Status:
        """The figures of this moment."""
        check_pid()
        alive = self._home is not None and self._home.has_tasks
        return self.runtime.status(started=self.is_started, alive=alive)

    # The start.

    async def start(self) -> None:
        """Read the file of overrides, and start the tasks in the running loop; idempotent."""
        self._adapt()
        file = self.runtime.override_file
        if file is not None and not self.is_started and not self.closed:
            await asyncio.to_thread(file.load)
        if not self.closed and not self.is_alive:
            self._enter(asyncio.get_running_loop())

    async def start_and_wait(self) -> None:
        """Start the tasks, and give the document a moment to arrive, once."""
        await self.start()
        home = self._home
        if self.closed or home is None or home.loop is not asyncio.get_running_loop():
            return
        if self.engine.project is None and self._ready_by is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self._ready_by - monotonic())):
                    await home.ready.wait()

    async def wait_until_ready(self, timeout: float) -> bool:
        """Start, and wait for a document; True if one is in use. The tasks may run in another loop."""
        await self.start()
        until = monotonic() + timeout
        while self.engine.project is None and not self.closed and (seconds := until - monotonic()) > 0:
            home = self._home
            if home is None or home.loop is not asyncio.get_running_loop():
                await asyncio.sleep(min(seconds, _LOOP_CHECK))
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await home.in_use.wait()
        return self.engine.project is not None

    def _enter(self, loop: asyncio.AbstractEventLoop) -> Home:
        """Start the tasks in this loop; a loop that stopped hands over its machines."""
        hook_multiprocessing_exit()
        self._leave()
        if self._ready_by is None:
            self._ready_by = monotonic() + self.options.start_wait
        home = self._home = Home(loop, self.runtime.queue, self.runtime.poller)
        bodies: list[tuple[str, Callable[[Home], Coroutine[None, None, None]]]] = [
            ("convert_sdk-sender", self._send),
            ("convert_sdk-poller", self._poll),
        ]
        if self._async_store is not None:
            bodies.append(("convert_sdk-store", self._save))
        home.tasks = [loop.create_task(self._keep_going(body, home), name=name) for name, body in bodies]
        self.runtime.start_onlookers()
        return home

    def _leave(self) -> None:
        """Take the machines away from a loop that stopped."""
        home, self._home = self._home, None
        if home is not None:
            home.moved = True
            for lease in (home.queue, home.poller):
                lease.revoke(monotonic())
            home.notify()

    def notify(self) -> None:
        """Wake the tasks; for any thread."""
        self._inline_event.notify()
        home = self._home
        if home is not None and not home.loop.is_closed():
            home.notify()

    # The tasks.

    async def _keep_going(self, body: Callable[[Home], Coroutine[None, None, None]], home: Home) -> None:
        """Run a body again whenever it raises; what it had opened is closed by the last task."""
        try:
            while not (self.closed or home.moved):
                try:
                    await body(home)
                    break
                except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
                    raise
                except BaseException as error:  # noqa: BLE001  # whatever it was, the work is still to be done
                    self.runtime.report_error(error)
                    await asyncio.sleep(_PAUSE_AFTER_ERROR)
        finally:
            others = [task for task in home.tasks if task is not asyncio.current_task()]
            if all(task.done() for task in others):
                client, home.client = home.client, None
                if client is not None:
                    await client.aclose()

    async def _opened(self, home: Home) -> httpx.AsyncClient:
        async with home.opening:
            if home.client is None:
                home.client = await run_in_thread(self._open_client)
            return home.client

    def _open_client(self) -> httpx.AsyncClient:
        import_all(NEEDED_BY_LOOPS)
        return self.runtime.open_async_client()

    async def _send(self, home: Home) -> None:
        client = await self._opened(home)
        from .loop import arun

        wait = partial(self._wait_to_send, home)
        await arun([home.queue], client, wait=wait, on_error=self.runtime.report_error)

    async def _wait_to_send(self, home: Home, seconds: float) -> bool:
        seconds = self._idle_seconds(min(seconds, self._after_step()))
        notified = await _wait(home.to_send, 0.0 if self.closed else seconds)
        return self._goes_on(home, notified)

    async def _poll(self, home: Home) -> None:
        await asyncio.to_thread(self.runtime.load_cached)
        if self.engine.project is not None:
            home.ready.set()
            home.in_use.set()
        client = await self._opened(home)
        from .loop import arun

        wait = partial(self._wait_to_fetch, home)
        await arun([home.poller], client, wait=wait, on_error=self.runtime.report_error)

    async def _wait_to_fetch(self, home: Home, seconds: float) -> bool:
        home.ready.set()
        if self.engine.project is not None:
            home.in_use.set()
        home.to_save.set()
        self.runtime.notify_document()
        self.runtime.maintenance.publish()
        if self._flushes:  # they may wait for the document
            home.to_send.set()
        if self.runtime.has_unsaved_document:
            await asyncio.to_thread(self.runtime.save_document)
        if self.runtime.replaced:
            await asyncio.to_thread(self.runtime.report_changes)
        seconds = self.runtime.update_followers(seconds)
        notified = await self._wait_and_look(home, 0.0 if self.closed else self._idle_seconds(seconds))
        return self._goes_on(home, notified)

    async def _wait_and_look(self, home: Home, seconds: float) -> bool:
        """Wait for a notification, and look at the file of overrides meanwhile."""
        file, until = self.runtime.override_file, monotonic() + seconds
        while True:
            left = max(0.0, until - monotonic())
            notified = await _wait(home.to_fetch, left if file is None else min(left, LOOK_EVERY))
            if file is not None:
                await asyncio.to_thread(file.look)
                self.runtime.maintenance.publish()
            if notified or self.closed or home.moved or monotonic() >= until:
                return notified

    async def _save(self, home: Home) -> None:
        while True:
            await self._save_changes(home, everything=False)
            if self._flushes:
                home.to_send.set()
            due = self.runtime.store_writer.due() - monotonic()
            notified = await _wait(home.to_save, 0.0 if self.closed else self._idle_seconds(due))
            if not self._goes_on(home, notified):
                return

    async def _save_changes(self, home: Home | None, *, everything: bool) -> None:
        writer, store = self.runtime.store_writer, self._async_store
        if store is None:
            return
        if home is None or home.loop is not asyncio.get_running_loop():
            await writer.asave(store, everything=everything)
            return
        async with home.store_lock:
            await writer.asave(store, everything=everything)

    def _goes_on(self, home: Home, notified: bool) -> bool:
        idle = self.runtime.may_end and not notified and not self.runtime.has_work
        return not (self.closed or home.moved or idle)

    # The store, which is awaited or blocks.

    async def load(self, key: str) -> VisitorState | None:
        """The state that the store holds; raises the store's exceptions."""
        if self._load is None:
            return None
        if self._async_store is not None:
            return await self._async_store.load(key)
        return await asyncio.to_thread(cast("Callable[[str], VisitorState | None]", self._load), key)

    async def _save_by(self, until: float) -> bool:
        """Have everything saved by then; True if it is. A save that is cancelled is made again."""
        if self._async_store is None or not self.runtime.store_writer.waiting:
            return True
        try:
            async with asyncio.timeout(max(0.0, until - monotonic())):
                await self._save_changes(self._home, everything=True)
        except TimeoutError:
            return False
        return True

    # Flush, close and requests of the caller.

    async def flush(self, timeout: float) -> FlushReport:
        """Have the tasks send what waits, and wait for it; what is not sent in time stays queued."""
        self._adapt()
        before = self.runtime.queue.counts()
        if self._interrupted:
            self.request_flush()
        elif not self.closed and self.runtime.has_work:
            await self._flush(monotonic() + timeout, Flush.NOW)
        return self._report(before)

    @property
    def _interrupted(self) -> bool:
        tasks = self._home.tasks if self._home is not None else ()
        return super()._interrupted or asyncio.current_task() in tasks

    async def _flush(self, until: float, kind: Flush) -> FlushRequest:
        # Half of the time is for the store alone: conversions may wait for it before they are sent.
        saved = await self._save_by((monotonic() + until) / 2)
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        request = self.runtime.begin_flush(until, kind)
        if kind is Flush.CLOSING and not saved:
            request.release_at = 0.0
        request.ended = partial(_set_threadsafe, loop, over)
        if not request.over:
            self._flushes.append(request)
        while not (request.over or self.closed) and monotonic() < until:
            if not self.is_alive:
                self._enter(loop)
            self.notify()
            await _wait(over, min(until - monotonic(), _LOOP_CHECK))
        await self._save_by(until)
        return request

    async def forget(self, visitor_id: str, timeout: float) -> ForgetReport:
        """Forget a visitor, and wait until the threads, and a store that is awaited, have done their parts."""
        self._adapt()
        request = self.runtime.begin_forget(visitor_id)
        until = monotonic() + timeout
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                if self.runtime.store_writer.deletions:
                    await self._save_changes(self._home, everything=True)
        self.notify()  # the task that saves looks at its times anew
        while not (request.done.is_open or self._interrupted) and monotonic() < until:
            await asyncio.sleep(_FORGET_CHECK)
        return request.report()

    async def reload_overrides(self) -> tuple[str, ...]:
        """Read the file of overrides now; returns its flaws."""
        return await asyncio.to_thread(self._read_overrides)

    async def ask(self, request: Request) -> Response | Failure:
        """Exchange one request of the caller, in its task."""
        if self.options.is_local:
            return Failure("undelivered", LOCAL_ONLY)
        await self.start()
        home = self._home
        if home is not None and home.is_alive and home.loop is asyncio.get_running_loop():
            return await self._exchange(await self._opened(home), request)
        async with await run_in_thread(self._open_client) as client:
            return await self._exchange(client, request)

    async def _exchange(self, client: httpx.AsyncClient, request: Request) -> Response | Failure:
        from convert_sdk._http.client import asend

        return await asend(client, request)

    async def close(self, timeout: float | None = None) -> FlushReport:
        """Flush, end the tasks and let go of everything; idempotent."""
        self._adapt()
        before = self.runtime.queue.counts()
        until = monotonic() + (self.shutdown_timeout if timeout is None else timeout)
        if self.closed:
            return self._report(before)
        if self._interrupted:
            self.request_flush()
            return self._report(before)
        try:
            complete = not self.runtime.has_work or (await self._flush(until, Flush.CLOSING)).is_complete
            again = self.runtime.may_flush_again(complete=complete)
            # Cut short, a request would be sent again by the next process with the same spool.
            await self._flush(until, Flush.CLOSING if again else Flush.LAST)
        except Exception as error:  # noqa: BLE001  # what could not be sent is counted all the same
            self.runtime.report_error(error)
        if self.closed:  # another call was quicker
            return self._report(before)
        self.closed = True
        await self._end_tasks()
        if self._home is not None and self._home.loop is asyncio.get_running_loop():
            self._home.in_use.set()
        await asyncio.to_thread(self.runtime.close, until)
        return self._report(before)

    async def _end_tasks(self) -> None:
        home = self._home
        if home is None:
            return
        if home.loop is asyncio.get_running_loop():
            for task in home.tasks:
                task.cancel()
            await asyncio.wait(home.tasks)
        else:
            home.notify()

    def close_by(self, since: float) -> None:
        """Deliver and close at the end of the process, when no loop runs any more."""
        if self.closed:
            return
        until = since + self.shutdown_timeout
        try:
            complete = self._deliver(until, Flush.CLOSING)
            again = self.runtime.may_flush_again(complete=complete)
            self._deliver(until, Flush.CLOSING if again else Flush.LAST)
        except Exception as error:  # noqa: BLE001  # what could not be sent is counted all the same
            self.runtime.report_error(error)
        self.closed = True
        self.notify()
        self.runtime.close(until)

    def flush_by(self, since: float) -> int:
        """Deliver what waits before the process may end; returns the number of events that still wait."""
        return 0 if self._deliver(since + self.shutdown_timeout, Flush.ENDING) else self.runtime.unsent

    def finish_request_by(self, since: float) -> None:
        """Wait within the same time for the answer to the request under way, and begin none more."""
        self._deliver(since + self.shutdown_timeout, Flush.LAST)

    def _deliver(self, until: float, kind: Flush) -> bool:
        """Deliver in this thread, which has no loop; by the tasks, if their loop runs in another one."""
        if kind is not Flush.LAST and not self.runtime.has_work:
            return True
        saved = True
        if not self.is_alive:
            self._leave()
            saved = self._save_here((monotonic() + until) / 2)
        request = self.runtime.begin_flush(until, kind)
        if not saved:
            request.release_at = 0.0
        if not request.over and self.is_alive:
            latch = Latch()
            request.ended = latch.open
            self._flushes.append(request)
            self.notify()
            if not wait_for(latch, until, lambda: self.is_alive):
                self._leave()
        if not (request.over or self.runtime.needs_loop) and monotonic() < until:
            self._run_here(request)
        return request.is_complete

    def _run_here(self, request: FlushRequest) -> None:
        self._flushes.append(request)
        if not self.runtime.has_events:
            while self._wait_inline(request, inf):
                pass
            return
        with self.runtime.open_client(inline=True) as client:
            self._run_inline(request, client)

    def _pause(self, seconds: float) -> None:
        self._inline_event.wait(seconds)

    def _save_here(self, until: float) -> bool:
        if self._async_store is None or not self.runtime.store_writer.waiting:
            return True
        try:
            return asyncio.run(self._save_by(until))
        except Exception as error:  # noqa: BLE001  # as in the task
            self.runtime.report_error(error)
            return False


async def _wait(event: asyncio.Event, seconds: float) -> bool:
    """Wait at most so long for a notification, and take it; True if there was one."""
    if not event.is_set() and seconds > 0:
        with suppress(TimeoutError):
            async with asyncio.timeout(None if seconds == inf else seconds):
                await event.wait()
    notified = event.is_set()
    event.clear()
    return notified


def _set_threadsafe(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(event.set)
