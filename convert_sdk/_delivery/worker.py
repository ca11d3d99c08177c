"""Who carries: a client's one daemon thread, started when a process first needs it."""

from __future__ import annotations

from contextlib import suppress
from threading import TIMEOUT_MAX, Event, Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING

from .counts import FlushReport
from .engine import Engine
from .farewell import attend, register
from .line import NEEDED, Line
from .machine import Failure, Reply, Request
from .unforked import import_all

if TYPE_CHECKING:
    import httpx

    from convert_sdk.options import Options
    from convert_sdk.status import Status
    from convert_sdk.stores import Store

_BREATHER = 0.5
_PARTING = 0.05


class Worker:
    """Fetches, delivers and does the chores of one client, in one thread of the process that uses it."""

    def __init__(self, options: Options, key: str, engine: Engine, store: Store | None) -> None:
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
        self.started = False
        """Whether there is nothing to wait for any more; the request path asks no further."""
        self._starting = Lock()
        self._opening = Lock()
        self._saving = Lock()
        self._wake = Event()
        self._ready = Event()
        self._ready_by = 0.0
        self._thread: Thread | None = None
        self._client: httpx.Client | None = None

    def after_fork(self) -> None:
        """The child starts anew: what it inherited is neither used nor closed."""
        self._inherited += [self._thread, self._client]
        self._engine.start_anew()
        self._begin()
        self.line.reopen()
        if self.closed:
            self.line.outbox.close()

    def start(self) -> None:
        """Start the thread, and give the document a moment to arrive, once."""
        with self._starting:
            if self._thread is None and not self.closed:
                self._ready_by = monotonic() + self._start_wait
                self._spawn()
        if self._engine.project is None:
            self._ready.wait(self._ready_by - monotonic())
        self.started = True

    def _spawn(self) -> None:
        attend()
        thread = Thread(target=self._run, name="convert_sdk", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no more threads, or the interpreter ends
            self.line.complain(error)
        else:
            self._thread = thread

    def wake(self) -> None:
        """Something is due earlier than the thread knows. A thread that is not there any more is replaced."""
        self._wake.set()
        if not self.started and not self.closed:
            self._revive()

    def _revive(self) -> None:
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._spawn()

    def _run(self) -> None:
        try:
            while not self.closed:
                try:
                    self._carry()
                except BaseException as error:  # noqa: BLE001  # whatever ends the loop, the events need it
                    self.line.restarts += 1
                    self.line.complain(error)
                    self._wake.wait(_BREATHER)
        finally:
            self._succeed()

    def _carry(self) -> None:
        self.line.recall()
        if self._engine.project is not None:
            self._ready.set()
        import_all(NEEDED)
        from .carry import carry

        machines = self.line.feed, self.line.outbox
        carry(machines, self._opened(), rest=self._rest, trouble=self.line.complain)

    def _succeed(self) -> None:
        """A thread that could not even complain leaves another one behind; the last one closes the door."""
        if self.closed:
            self._shut()
        else:
            self.started = False
            with self._starting:
                self._spawn()

    def _opened(self) -> httpx.Client:
        with self._opening:
            if self._client is None:
                self._client = self.line.open_client()
            return self._client

    def _shut(self) -> None:
        with self._opening:
            if self._client is not None:
                self._client.close()

    def _rest(self, seconds: float) -> bool:
        self._ready.set()
        self._save()
        self.line.do_chores()
        seconds = self.line.rest(seconds, monotonic())
        if seconds > 0 and not self.closed:
            self._wake.wait(seconds)
        self._wake.clear()
        return not self.closed

    def _save(self, *, until: float | None = None) -> None:
        """Save what is to be saved; with `until`, everything, and what another thread is at is waited for so long."""
        if self._store is None:
            return
        wait = max(0.0, until - monotonic()) if until is not None else -1
        if not self._saving.acquire(timeout=min(wait, TIMEOUT_MAX)):
            return
        try:
            saving = self.line.saving
            for save in saving.take(monotonic(), everything=until is not None):
                try:
                    winners = self._store.save(save.changes)
                except Exception as error:  # noqa: BLE001  # the store may be the application's own
                    saving.failed(error, monotonic())
                else:
                    saving.saved(save, winners, monotonic())
        finally:
            self._saving.release()

    def flush(self, timeout: float) -> FlushReport:
        """Send what waits, in the calling thread."""
        return self._flush(monotonic() + timeout)

    def _flush(self, until: float, *, last: bool = False) -> FlushReport:
        before = self.line.outbox.counts()
        self._save(until=until)
        if last:
            self.line.stop_waiting_for_the_store()
        self.line.do_chores(everything=True)
        if self.line.waits:
            self.line.deliver(self._opened(), until)
            self.line.do_chores()
        return FlushReport.between(before, self.line.outbox.counts())

    def ask(self, request: Request) -> Reply | Failure:
        """Make one exchange in the calling thread."""
        from .exchange import exchange

        return exchange(self._opened(), request)

    def close(self, timeout: float | None = None) -> FlushReport:
        """Flush, end the thread and let go of everything; again is fine."""
        return self._close(monotonic() + (self.shutdown_timeout if timeout is None else timeout))

    def _close(self, until: float) -> FlushReport:
        before = self.line.outbox.counts()
        if self.closed:
            return FlushReport.between(before, before)
        with suppress(Exception):
            self._flush(until, last=True)
        self.closed = True
        self._wake.set()
        thread = self._thread
        if thread is not None:
            thread.join(_PARTING)
        self._save(until=monotonic() + _PARTING)
        self.line.leave()
        if thread is None or not thread.is_alive():
            self._shut()
        return FlushReport.between(before, self.line.outbox.counts())

    def close_by(self, since: float) -> None:
        """At the end of the process."""
        self._close(since + self.shutdown_timeout)

    def flush_by(self, since: float) -> None:
        """Before the process may end."""
        self._flush(since + self.shutdown_timeout)

    def status(self) -> Status:
        """The figures of this moment."""
        thread = self._thread
        return self.line.status(alive=thread is not None and thread.is_alive())
