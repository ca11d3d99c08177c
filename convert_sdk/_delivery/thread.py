"""Who carries: a client's one daemon thread, started when a process first needs it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from math import inf
from threading import Lock, RLock, Thread, current_thread, get_ident
from typing import TYPE_CHECKING

from convert_sdk._http.messages import Failure, Request, Response
from convert_sdk._process.clock import monotonic
from convert_sdk._process.exit import hook_multiprocessing_exit, register_exit_hook
from convert_sdk._process.fork import check_pid, fork_marker, import_all
from convert_sdk._process.locks import Latch, WakeEvent, held_by_this_thread
from convert_sdk.status import FlushReport

from .background import drain
from .engine import Engine
from .runtime import NEEDED, Runtime
from .store_writer import store_thread

if TYPE_CHECKING:
    import httpx

    from convert_sdk.options import Options
    from convert_sdk.status import Status
    from convert_sdk.stores import Store

_BREATHER = 0.5
_PARTING = 0.05


class ThreadWorker:
    """Fetches, delivers and does the chores of one client, in one thread of the process that uses it.

    A signal's handler may call everything here in the middle of everything here: what must not begin again
    meanwhile is left to the thread.
    """

    def __init__(self, options: Options, key: str, engine: Engine, store: Store | None) -> None:
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
        self.started = fork_marker()
        """Whether this process has nothing to wait for any more; the request path asks no further."""
        self._starting = RLock()
        self._opening = Lock()
        self._inside: set[int] = set()
        """The threads that flush, close or ask."""
        self._left: deque[Callable[[], object]] = deque()
        """What they were asked in the middle of that."""
        self._wake_event = WakeEvent()
        self._ready = Latch()
        self._ready_by = 0.0
        self._thread: Thread | None = None
        self._client: httpx.Client | None = None
        store, runtime = self._store, self.runtime
        self._store_thread = (
            store_thread(runtime.store_writer, store, done=self.notify, on_error=runtime.report_error)
            if store
            else None
        )

    def reset_after_fork(self) -> None:
        """The child starts anew: what it inherited is neither used nor closed."""
        self._inherited += [self._thread, self._client]
        self._engine.reset_after_fork()
        self.runtime.reset_after_fork()
        self._set_up()
        if self.closed:
            self.runtime.queue.close()

    def start(self) -> None:
        """Start the thread, and give the document a moment to arrive, once."""
        check_pid()
        if held_by_this_thread(self._starting):
            return
        with self._starting:
            if self._thread is None and not self.closed:
                self._ready_by = monotonic() + self._start_wait
                self._spawn()
        if self._engine.project is None and not self.closed:
            self._ready.wait(self._ready_by - monotonic())
        self.started[0] = 1

    def _spawn(self) -> None:
        hook_multiprocessing_exit()
        thread = Thread(target=self._run, name="convert_sdk", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no more threads, or the interpreter ends
            self.runtime.report_error(error)
        else:
            self._thread = thread

    def notify(self) -> None:
        """Something is due earlier than the thread knows. A thread that is not there any more is replaced."""
        self._wake_event.notify()
        if not self.started[0] and not self.closed:
            self._replace_thread()

    def _replace_thread(self) -> None:
        if held_by_this_thread(self._starting):
            return
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._spawn()

    def _notify_all(self) -> None:
        self.runtime.notify()
        if self._store_thread is not None and self._engine.project is not None:
            self._store_thread.notify()

    def _run(self) -> None:
        try:
            while not self.closed:
                try:
                    self._work()
                except BaseException as error:  # noqa: BLE001  # whatever ends the loop, the events need it
                    self.runtime.restarts += 1
                    self.runtime.report_error(error)
                    self._wake_event.wait(_BREATHER)
        finally:
            self._succeed()

    def _work(self) -> None:
        self.runtime.load_cached()
        if self._engine.project is not None:
            self._ready.open()
        import_all(NEEDED)
        from .loop import run

        machines = self.runtime.poller, self.runtime.queue
        run(machines, self._opened(), wait=self._wait, on_error=self.runtime.report_error)

    def _succeed(self) -> None:
        """A thread that could not even complain leaves another one behind; the last one closes the door."""
        if self.closed:
            self._shut()
        else:
            self.started[0] = 0
            with self._starting:
                self._spawn()

    def _opened(self) -> httpx.Client:
        with self._opening:
            if self._client is None:
                self._client = self.runtime.open_client()
            return self._client

    def _shut(self) -> None:
        with self._opening:
            if self._client is not None:
                self._client.close()

    def _wait(self, seconds: float) -> bool:
        self._ready.open()
        for work in drain(self._left):
            work()
        if self._store_thread is not None and self.runtime.store_writer.due() < inf:
            self._store_thread.notify()
        self.runtime.maintain()
        self._wake_event.wait(0.0 if self.closed else self.runtime.wait_seconds(seconds, monotonic()))
        return not self.closed

    # For whoever calls.

    def flush(self, timeout: float) -> FlushReport:
        """Send what waits, in the calling thread."""
        check_pid()
        if self._interrupted:
            return self._leave(self.runtime.queue.override_backoff)
        return self._flush(monotonic() + timeout)

    def ask(self, request: Request) -> Response | Failure:
        """Make one exchange in the calling thread."""
        from convert_sdk._http.client import send

        if self._interrupted:
            return Failure("undelivered", "a signal came in the middle of another exchange")
        with self._entered():
            return send(self._opened(), request)

    def close(self, timeout: float | None = None) -> FlushReport:
        """Flush, end the thread and let go of everything; again is fine."""
        check_pid()
        until = monotonic() + (self.shutdown_timeout if timeout is None else timeout)
        if self._interrupted:
            return self._leave(partial(self._close, until))
        return self._close(until)

    def close_by(self, since: float) -> None:
        """At the end of the process."""
        self._close(since + self.shutdown_timeout)

    def flush_by(self, since: float) -> None:
        """Before the process may end."""
        self._flush(since + self.shutdown_timeout)

    def status(self) -> Status:
        """The figures of this moment."""
        check_pid()
        thread = self._thread
        return self.runtime.status(alive=thread is not None and thread.is_alive())

    @property
    def _interrupted(self) -> bool:
        """Whether this thread is in the middle of what must not begin again."""
        starting = held_by_this_thread(self._starting)  # the thread waits for that lock to wake itself
        return starting or get_ident() in self._inside or self.runtime.busy

    @contextmanager
    def _entered(self) -> Iterator[None]:
        me = get_ident()
        outermost = me not in self._inside
        try:
            self._inside.add(me)
            yield
        finally:
            if outermost:
                self._inside.discard(me)

    def _leave(self, work: Callable[[], object]) -> FlushReport:
        self._left.append(work)
        self.notify()
        counts = self.runtime.queue.counts()
        return FlushReport.between(counts, counts)

    def _flush(self, until: float, *, last: bool = False) -> FlushReport:
        before = self.runtime.queue.counts()
        with self._entered():
            # Half of the time is for the store alone: conversions may wait for it to go out.
            saved = self._save_by((monotonic() + until) / 2)
            if last:
                self.runtime.release_claims(answers=saved)
            self.runtime.maintain(everything=True)
            if self.runtime.has_waiting:
                self.runtime.send_waiting(self._opened(), until, everything=last)
                self.runtime.maintain()
            if not saved:
                self._save_by(until)
        return FlushReport.between(before, self.runtime.queue.counts())

    def _save_by(self, until: float) -> bool:
        """Have everything saved by then; whether it was."""
        if self._store_thread is None or not self.runtime.store_writer.waiting:
            return True
        return self._store_thread.request_all().wait(until - monotonic())

    def _close(self, until: float) -> FlushReport:
        before = self.runtime.queue.counts()
        if self.closed:
            return FlushReport.between(before, before)
        with self._entered():
            try:
                self._flush(until, last=True)
            except Exception as error:  # noqa: BLE001  # what could not be sent is counted all the same
                self.runtime.report_error(error)
            self._part(until)
        return FlushReport.between(before, self.runtime.queue.counts())

    def _part(self, until: float) -> None:
        self.closed = True
        self._wake_event.notify()
        thread = self._thread
        if thread is not None and thread is not current_thread():
            thread.join(max(0.0, min(_PARTING, until - monotonic())))  # one that hangs is left behind
        if self._store_thread is not None:
            self._save_by(until)
            self._store_thread.stop()
        self.runtime.close()
        if thread is None or not thread.is_alive():
            self._shut()
