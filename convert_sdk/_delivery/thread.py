"""The worker of a `Client`: two daemon threads, a sender and a poller, started when a process first needs them.

Theory of operation
-------------------
`start` is called by the application or by the first visitor of a process. It makes what the threads need, httpx and
the TLS context among it, in the calling thread and before any thread of ours exists: whoever forks afterwards forks
no half-done import. If a usable document lies in `cache_dir`, the visitor is decided with it at once, and the threads
make the rest under the lock that keeps forks away. `started` is a byte that is zero again in a forked child, so that
the request path can ask for it without a system call.

The sender runs the queue alone, the poller the document's machine alone, over the same connections. Everything that a
caller may interrupt and call again, in a signal handler, is guarded: `_starting` is re-entrant and tells that it is
held by this thread; `_inside` has the threads that are in a flush; what is left to the sender stands in `_asked`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from convert_sdk._http.messages import Failure, Request, Response
from convert_sdk._process.clock import monotonic
from convert_sdk._process.exit import hook_multiprocessing_exit
from convert_sdk._process.fork import fork_marker, import_all
from convert_sdk._process.locks import Latch, held_by_this_thread
from convert_sdk.status import ForgetReport, StoreDeletion

from .background import DaemonThread
from .flush_request import Flush, FlushRequest
from .override_file import LOCAL_ONLY, LOOK_EVERY
from .runtime import NEEDED
from .worker import Worker, wait_for

if TYPE_CHECKING:
    import httpx

    from convert_sdk._core.state import VisitorState
    from convert_sdk.options import Options
    from convert_sdk.status import FlushReport
    from convert_sdk.stores import Store

    from .engine import Engine

_PARTING = 0.05
"""Seconds that a close waits for the threads; one that hangs is left behind."""


class Connections:
    """The connections that the threads of one worker share, opened when first needed.

    Args:
        make: Opens them.
        is_over: Called to learn whether the last thread that used them is to close them.
    """

    def __init__(self, make: Callable[[], httpx.Client], is_over: Callable[[], bool]) -> None:
        self._make = make
        self._is_over = is_over
        self._lock = threading.RLock()
        self._client: httpx.Client | None = None
        self._users = 0

    def opened(self) -> httpx.Client:
        """The connections, for a request of the caller."""
        with self._lock:
            if self._client is None:
                self._client = self._make()
            return self._client

    @contextmanager
    def lent(self) -> Iterator[httpx.Client]:
        """The connections, for as long as one of the threads lives."""
        with self._lock:
            client = self.opened()
            self._users += 1
        try:
            yield client
        finally:
            with self._lock:
                self._users -= 1
            self.close_unused()

    def close_unused(self) -> None:
        """Close them, if that is to be done and no thread uses them."""
        if not self._is_over():
            return
        with self._lock:
            client = None if self._users else self._client
            if client is not None:
                self._client = None
        if client is not None:
            client.close()


class ThreadWorker(Worker):
    """Fetches and delivers for one client, in threads of the process that uses it."""

    def __init__(self, options: Options, key: str, engine: Engine, store: Store | None) -> None:
        self._store = store
        super().__init__(options, key, engine, store)

    def _set_up(self) -> None:
        super()._set_up()
        self.started = fork_marker()
        """1 once this process has nothing to wait for any more; the request path asks no further."""
        self._starting = threading.RLock()
        self._connections = Connections(self._open, lambda: self.closed or self.runtime.may_end)
        self._ready = Latch()
        """Open once there is a document, or the first fetch has failed."""
        self._in_use = Latch()
        """Open once there is a document, or the client is closed."""
        self._ended = Latch()
        """Open once a close has let go of everything."""
        if self.closed:
            self._ended.open()
        report = self.runtime.report_error
        self._sender = DaemonThread("convert_sdk-sender", self._send, on_error=report)
        self._poller = DaemonThread("convert_sdk-poller", self._poll, on_error=report)

    def reset_after_fork(self) -> None:
        """Start with everything fresh in a child process: what it inherited is neither used nor closed."""
        self._inherited += [self._sender, self._poller, self._connections]
        super().reset_after_fork()

    @property
    def is_alive(self) -> bool:
        """True while the sender lives."""
        return self._sender.is_alive

    @property
    def _threads(self) -> list[DaemonThread]:
        return [self._sender, self._poller, *super()._threads]

    @property
    def _interrupted(self) -> bool:
        return held_by_this_thread(self._starting) or super()._interrupted

    # The start.

    def start(self) -> None:
        """Start the threads; idempotent."""
        self._adapt()
        if held_by_this_thread(self._starting):
            return
        with self._starting:
            if not self.closed:
                if self._ready_by is None:
                    self._ready_by = monotonic() + self.options.start_wait
                    self._prepare()
                self._start_threads()

    def start_and_wait(self) -> None:
        """Start the threads, and give the document a moment to arrive, once."""
        self.start()
        if held_by_this_thread(self._starting):
            return
        if self.engine.project is None and not self.closed and self._ready_by is not None:
            self._ready.wait(self._ready_by - monotonic())
        self.started[0] = 1

    def wait_until_ready(self, timeout: float) -> bool:
        """Start, and wait for a document; True if one is in use."""
        self.start()
        if self.engine.project is None and not self.closed and not held_by_this_thread(self._starting):
            self._in_use.wait(timeout)
        return self.engine.project is not None

    def _prepare(self) -> None:
        """Load the document on disk or, if there is none, what the threads need."""
        try:
            self.runtime.load_cached()
            if self.engine.project is None:
                self._connections.opened()
        except Exception as error:  # noqa: BLE001  # the threads try again
            self.runtime.report_error(error)

    def _open(self) -> httpx.Client:
        import_all(NEEDED)
        return self.runtime.open_client()

    def _start_threads(self) -> None:
        hook_multiprocessing_exit()
        self._sender.start()
        self._poller.start()
        self.runtime.start_onlookers()

    def notify(self) -> None:
        """Wake the sender; threads that are not there any more are started again."""
        self._sender.wake_event.notify()
        if not self.started[0] and not self.closed:
            self._start_again()

    def _start_again(self) -> None:
        # Whoever holds the lock starts the threads, or ends them; somebody with a lock of his own must not wait for it.
        if held_by_this_thread(self._starting) or not self._starting.acquire(blocking=False):
            return
        try:
            self._start_threads()
        finally:
            self._starting.release()

    # The threads.

    def _send(self) -> None:
        from .loop import run

        thread, report = self._sender, self.runtime.report_error
        with self._connections.lent() as client:
            run([self.runtime.queue], client, wait=partial(self._wait_to_send, thread), on_error=report)

    def _wait_to_send(self, thread: DaemonThread, seconds: float) -> bool:
        if thread is not self._sender:  # a late patch of `threading`
            self.notify()
            return False
        seconds = self._idle_seconds(min(seconds, self._after_step()))
        notified = thread.stopped or thread.wake_event.wait(seconds)
        if self.runtime.may_end and not notified and not self.runtime.has_work:
            self.started[0] = 0  # the next event starts the threads again
            return False
        return not thread.stopped

    def _poll(self) -> None:
        from .loop import run

        if self.engine.project is not None:
            self._ready.open()
            self._in_use.open()
        thread, report = self._poller, self.runtime.report_error
        with self._connections.lent() as client:
            run([self.runtime.poller], client, wait=partial(self._wait_to_fetch, thread), on_error=report)

    def _wait_to_fetch(self, thread: DaemonThread, seconds: float) -> bool:
        self._ready.open()
        if self.engine.project is not None:
            self._in_use.open()
        self.runtime.report_changes()
        seconds = self.runtime.update_followers(seconds)
        self.runtime.save_document()
        self.runtime.notify_document()
        self.notify()
        notified = thread.stopped or self._wait_and_look(thread, self._idle_seconds(seconds))
        if self.runtime.may_end and not notified and self.engine.project is not None:
            return False
        return not thread.stopped

    def _wait_and_look(self, thread: DaemonThread, seconds: float) -> bool:
        """Wait for a notification, and look at the file of overrides meanwhile."""
        file, until = self.runtime.override_file, monotonic() + seconds
        while True:
            left = until - monotonic()
            notified = thread.wake_event.wait(left if file is None else min(left, LOOK_EVERY))
            if file is not None:
                file.look()
                if self.engine.notices:
                    self.notify()
            if notified or thread.stopped or monotonic() >= until:
                return notified

    # The store.

    def load(self, key: str) -> VisitorState | None:
        """The state that the store holds; raises the store's exceptions."""
        if self._store is None:
            return None
        with self._entered():  # it may hold a lock of its own, which the store's thread wants, too
            return self._store.load(key)

    # Flush, close and requests of the caller.

    def flush(self, timeout: float) -> FlushReport:
        """Have the sender send what waits, and wait for it; what is not sent in time stays queued."""
        self._adapt()
        before = self.runtime.queue.counts()
        if self._interrupted:
            self.request_flush()
        elif not self.closed and self.runtime.has_work:
            with self._entered():
                self._flush(monotonic() + timeout, Flush.NOW)
        return self._report(before)

    def _flush(self, until: float, kind: Flush) -> FlushRequest:
        request = self.runtime.begin_flush(until, kind)
        if request.over:
            return request
        if not self._sender.is_current and self._sender.start():
            latch = Latch()
            request.ended = latch.open
            self._flushes.append(request)
            self._start_again()
            self._sender.wake_event.notify()
            self._poller.wake_event.notify()
            if wait_for(latch, until, self._sender.start):
                return request
        if monotonic() < until and not self.closed:
            self._run_inline(request, self._connections.opened())
        return request

    def _pause(self, seconds: float) -> None:
        self._sender.wake_event.wait(seconds)

    def reload_overrides(self) -> tuple[str, ...]:
        """Read the file of overrides now; returns its flaws."""
        return self._read_overrides()

    def ask(self, request: Request) -> Response | Failure:
        """Exchange one request of the caller, in its thread."""
        from convert_sdk._http.client import send

        if self.options.is_local:
            return Failure("undelivered", LOCAL_ONLY)
        if threading.get_ident() in self._inside or self.runtime.busy:
            return Failure("undelivered", "a signal came in the middle of another request")
        with self._entered():
            return send(self._connections.opened(), request)

    def forget(self, visitor_id: str, timeout: float) -> ForgetReport:
        """Forget a visitor, and wait until the threads have done their parts."""
        self._adapt()
        if self.runtime.busy:  # in a signal handler, in the middle of a change
            self._asked.append(partial(self._forget_soon, visitor_id))
            self.notify()
            return ForgetReport(StoreDeletion.PENDING)
        request = self.runtime.begin_forget(visitor_id)
        if not self._interrupted:
            request.done.wait(timeout)
        return request.report()

    def _forget_soon(self, visitor_id: str) -> None:
        self.runtime.begin_forget(visitor_id)

    def close(self, timeout: float | None = None) -> FlushReport:
        """Flush, end the threads and let go of everything; idempotent."""
        self._adapt()
        before = self.runtime.queue.counts()
        until = monotonic() + (self.shutdown_timeout if timeout is None else timeout)
        if self._interrupted:
            self._asked.append(partial(self._close, until))
            self.notify()
        else:
            self._close(until)
        return self._report(before)

    def close_by(self, since: float) -> None:
        """Deliver and close at the end of the process, which waits for a thread that is closing already."""
        until = since + self.shutdown_timeout
        self._close(until)
        if threading.get_ident() not in self._inside:
            self._ended.wait(until - monotonic())

    def flush_by(self, since: float) -> int:
        """Deliver what waits before the process may end; returns the number of events that still wait."""
        if not self.runtime.has_work:
            return 0
        with self._entered():
            request = self._flush(since + self.shutdown_timeout, Flush.ENDING)
        return 0 if request.is_complete else self.runtime.unsent

    def finish_request_by(self, since: float) -> None:
        """Wait within the same time for the answer to the request under way, and begin none more."""
        with self._entered():
            self._flush(since + self.shutdown_timeout, Flush.LAST)

    def _close(self, until: float) -> None:
        if self.closed:
            return
        with self._entered():
            try:
                complete = not self.runtime.has_work or self._flush(until, Flush.CLOSING).is_complete
                again = self.runtime.may_flush_again(complete=complete)
                # Cut short, a request would be sent again by the next process with the same spool.
                self._flush(until, Flush.CLOSING if again else Flush.LAST)
            except Exception as error:  # noqa: BLE001  # what could not be sent is counted all the same
                self.runtime.report_error(error)
            self._end(until)

    def _end(self, until: float) -> None:
        with self._starting:
            if self.closed:
                return
            self.closed = True
        try:
            self._in_use.open()
            for thread in (self._sender, self._poller):
                thread.stop()
            self.runtime.close(until)
            for thread in (self._sender, self._poller):
                thread.join(min(_PARTING, until - monotonic()))
            self._connections.close_unused()
        finally:
            self._ended.open()
