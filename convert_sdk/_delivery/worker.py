"""The part that the two workers share: the thread of a `Client`, and the task of an `AsyncClient`.

Theory of operation
-------------------
*A flush* does not send. It puts a `FlushRequest` into the sender's list, wakes everybody, and waits until the sender
says that the request is over: everything that waited at its start is settled, written and told; or a request failed
although it was sent ahead of a back-off; or nothing can happen before the deadline; or the deadline has come. A
request on the wire is not cut short by a flush that gives up. `close` is a flush that also waits for later events.

*No sender.* Where none lives and none can be started, because the interpreter is about to end or the event loop is
gone, the caller runs the same loop itself (`run_inline`), with the same conditions and within the same time.

*Interruptions.* A signal handler may call `flush` or `close` while the code that it interrupts is in the middle of
one, or holds a lock of the client. Such a call is recorded for the sender and returns at once; so is one that comes
from a thread of ours, as from a callback, a transport or a store.

*Forks and late patches.* A child process starts with everything fresh (`_set_up`). If `threading` was patched after
our import, as gevent and eventlet do, the first call that may wait notices it and makes new locks and threads.
"""

from __future__ import annotations

import threading
import warnings
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING

from convert_sdk._process.clock import monotonic
from convert_sdk._process.exit import register_exit_hook
from convert_sdk._process.fork import check_pid, install_fork_hook
from convert_sdk._process.locks import Latch
from convert_sdk.options import Options
from convert_sdk.status import Counts, FlushReport, Status

from .background import IDLE_TIME, LONGEST_WAIT, DaemonThread, drain
from .engine import Engine
from .flush_request import FlushRequest
from .override_file import reloadable
from .runtime import Runtime

if TYPE_CHECKING:
    import httpx

    from convert_sdk.stores import Store

_LATE_PATCH_PATIENCE = 1.0
"""Seconds for a thread that was started before `threading` was patched; one that hangs in a request is left behind."""
_LOOK_EVERY = 0.25
"""Seconds between two looks at a flush, and at a sender that is waited for."""


class Worker(ABC):
    """The part that the two workers share: flushes, guards, the end, and the reset after a fork or a late patch.

    A subclass brings the sender: `notify`, `is_alive`, and what it needs in `_set_up`.
    """

    def __init__(self, options: Options, key: str, engine: Engine, store: Store | None) -> None:
        self.options = options
        self.engine = engine
        self.shutdown_timeout = options.shutdown_timeout
        self.closed = False
        self._inherited: list[object] = []
        self.runtime = Runtime(options, key, engine, store, notify=self.notify)
        engine.visitors.notify = self.runtime.notify_changes
        self._set_up()
        self._set_status_source()
        register_exit_hook(self)
        install_fork_hook()

    def _set_up(self) -> None:
        """Make everything that belongs to one process and one kind of threads."""
        self._ready_by: float | None = None
        """The time until which the first visitor waits for the document; None before the start."""
        self._primitives = _primitives()
        self._inside: set[int] = set()
        """The threads that are in the middle of a flush, a close, a request or a look into the store."""
        self._flushes: list[FlushRequest] = []
        self._asked: deque[Callable[[], None]] = deque()
        """Flushes and closes that are left to the sender."""

    def _set_status_source(self) -> None:
        if self.runtime.status_report is not None:
            self.runtime.status_report.status = self.status

    def reset_after_fork(self) -> None:
        """Start with everything fresh in a child process: what it inherited is neither used nor closed."""
        self.engine.reset_after_fork()
        self.runtime.reset_after_fork()
        self._set_up()
        self._set_status_source()
        if self.closed:
            self.runtime.queue.close()

    def _adapt(self) -> None:
        """Reset after a fork without hooks, and after a patch of `threading` that came late."""
        check_pid()
        if self._primitives != _primitives():
            for thread in self._threads:
                thread.stop()
            for thread in self._threads:  # until nobody holds one of the former locks
                thread.join(_LATE_PATCH_PATIENCE)
            self.engine.reset_locks()
            self.runtime.reset_locks()
            self._set_up()

    # For the sender, and whoever takes its place.

    @abstractmethod
    def notify(self) -> None:
        """Wake the sender; for any thread."""

    @property
    def is_started(self) -> bool:
        """True once the client was started in this process."""
        return self._ready_by is not None

    @property
    @abstractmethod
    def is_alive(self) -> bool:
        """True while the sender lives."""

    def _after_step(self) -> float:
        """Pass on what the last step brought about; returns the seconds until a flush wants to be looked at."""
        runtime = self.runtime
        for work in drain(self._asked):
            work()
        runtime.after_step()
        seconds = LONGEST_WAIT
        for request in list(self._flushes):
            now = monotonic()
            if request.release_at <= now or (request.release_at < inf and runtime.store_writer.down):
                request.release_at = inf
                runtime.release_claims()
                seconds = 0.0  # there is something to send
            if request.check(runtime.next_change):
                self._flushes.remove(request)
            else:
                times = (request.until, request.halfway, request.release_at, now + _LOOK_EVERY)
                seconds = min(seconds, *(time - now for time in times if time > now))
        return seconds

    def _wait_inline(self, request: FlushRequest, seconds: float) -> bool:
        """Wait in place of the sender; False once the flush is over, or another close has ended the client."""
        seconds = min(seconds, self._after_step())
        if self.closed or request.over or request.check(self.runtime.next_change):
            return False
        self._pause(max(0.0, min(seconds, request.until - monotonic())))
        return True

    @abstractmethod
    def _pause(self, seconds: float) -> None:
        """Wait so long for a notification, in place of the sender."""

    def _run_inline(self, request: FlushRequest, client: httpx.Client) -> None:
        """Send in this thread until the flush is over."""
        from .loop import run

        machines = (self.runtime.queue, self.runtime.poller)
        run(
            machines if self.engine.project is None else machines[:1],
            client,
            wait=lambda seconds: self._wait_inline(request, seconds),
            on_error=self.runtime.report_error,
            until=request.until,
        )

    def request_flush(self) -> None:
        """Ask the sender to send everything at once, and return; for a signal handler."""
        self._asked.append(self._flush_soon)
        self.notify()

    def _flush_soon(self) -> None:
        self.runtime.queue.override_backoff()
        for thread in self.runtime.threads:
            thread.request_all(inline=False)

    @abstractmethod
    def close_by(self, since: float) -> None:
        """Deliver and close, within `shutdown_timeout` seconds from `since` (monotonic seconds)."""

    @abstractmethod
    def flush_by(self, since: float) -> int:
        """Deliver what waits within the same time, without closing; returns the number of events that still wait."""

    @abstractmethod
    def finish_request_by(self, since: float) -> None:
        """Wait within the same time for the answer to the request under way, and begin none more."""

    # The file of overrides.

    def _read_overrides(self) -> tuple[str, ...]:
        """Read the file now; returns its flaws, and has them logged by the sender."""
        flaws = reloadable(self.runtime.override_file).load()
        if self.is_started and self.engine.notices:
            self.notify()
        return flaws

    # Guards.

    @property
    def _interrupted(self) -> bool:
        """True in the middle of what must not begin again, for a signal handler, and in a thread of ours."""
        return (
            threading.get_ident() in self._inside
            or self.runtime.busy
            or any(thread.is_current for thread in self._threads)
        )

    @property
    def _threads(self) -> list[DaemonThread]:
        status_thread = self.runtime.status_thread
        return [*self.runtime.threads, *([] if status_thread is None else [status_thread])]

    @contextmanager
    def _entered(self) -> Iterator[None]:
        """Mark this thread as one that is in the middle of what must not begin again."""
        ident = threading.get_ident()
        outermost = ident not in self._inside
        try:
            self._inside.add(ident)
            yield
        finally:
            if outermost:
                self._inside.discard(ident)

    def _report(self, before: Counts) -> FlushReport:
        """The events since then; conversions before the first document wait as well as events do."""
        waiting = len(self.runtime.engine.pending) + self.runtime.maintenance.left_pending
        report = FlushReport.between(before, self.runtime.queue.counts())
        return report._replace(pending=report.pending + waiting)

    # A client that is collected.

    def abandon(self) -> None:
        """Let the threads end when they have nothing to do: nobody can close the client any more."""
        if self.closed or self.runtime.may_end or not self.is_alive:
            return
        self.runtime.may_end = True
        self._asked.append(self.runtime.send_immediately)
        for thread in self._threads:
            thread.wake_event.notify()
        self.notify()
        warnings.warn("a Convert client was not closed: call its close(), or use `with`", ResourceWarning, 2)

    def _idle_seconds(self, seconds: float) -> float:
        """The seconds to wait for work, after which a thread of a collected client ends."""
        return min(seconds, IDLE_TIME) if self.runtime.may_end else seconds

    def status(self) -> Status:
        """The figures of this moment."""
        check_pid()
        return self.runtime.status(started=self.is_started, alive=self.is_alive)


def _primitives() -> tuple[object, ...]:
    """The kind of threads and locks: another one after a patch of `threading`."""
    return threading.Lock, threading.RLock, threading.get_ident


def wait_for(latch: Latch, until: float, is_alive: Callable[[], bool]) -> bool:
    """Wait for a latch that a thread opens; False if the thread is gone before, or the time is over."""
    while not latch.wait(max(0.0, min(until - monotonic(), _LOOK_EVERY))):
        if monotonic() >= until or not is_alive():
            return latch.is_open
    return True
