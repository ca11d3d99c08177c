"""Who carries: a client's one daemon thread, started when a process first needs it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from math import inf
from threading import Lock, RLock, Thread, current_thread, get_ident
from time import monotonic
from typing import TYPE_CHECKING

from convert_sdk._http.messages import Failure, Reply, Request
from convert_sdk._process.exit import hook_multiprocessing_exit, register_exit_hook
from convert_sdk._process.fork import check_pid, fork_marker, import_all
from convert_sdk._process.locks import Latch, WakeEvent, held_by_this_thread
from convert_sdk.status import FlushReport

from .background import drained
from .engine import Engine
from .runtime import NEEDED, Line
from .store_writer import saver

if TYPE_CHECKING:
    import httpx

    from convert_sdk.options import Options
    from convert_sdk.status import Status
    from convert_sdk.stores import Store

_BREATHER = 0.5
_PARTING = 0.05


class Worker:
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
        self.line = Line(options, key, engine, wake=self.wake)
        engine.memory.stir = self._stir
        self._begin()
        register_exit_hook(self)

    def _begin(self) -> None:
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
        store, line = self._store, self.line
        self._saver = saver(line.saving, store, done=self.wake, trouble=line.complain) if store else None

    def reset_after_fork(self) -> None:
        """The child starts anew: what it inherited is neither used nor closed."""
        self._inherited += [self._thread, self._client]
        self._engine.start_anew()
        self.line.reopen()
        self._begin()
        if self.closed:
            self.line.outbox.close()

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
            self.line.complain(error)
        else:
            self._thread = thread

    def wake(self) -> None:
        """Something is due earlier than the thread knows. A thread that is not there any more is replaced."""
        self._wake_event.notify()
        if not self.started[0] and not self.closed:
            self._revive()

    def _revive(self) -> None:
        if held_by_this_thread(self._starting):
            return
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._spawn()

    def _stir(self) -> None:
        self.line.stir()
        if self._saver is not None and self._engine.project is not None:
            self._saver.stir()

    def _run(self) -> None:
        try:
            while not self.closed:
                try:
                    self._carry()
                except BaseException as error:  # noqa: BLE001  # whatever ends the loop, the events need it
                    self.line.restarts += 1
                    self.line.complain(error)
                    self._wake_event.wait(_BREATHER)
        finally:
            self._succeed()

    def _carry(self) -> None:
        self.line.recall()
        if self._engine.project is not None:
            self._ready.open()
        import_all(NEEDED)
        from .loop import carry

        machines = self.line.feed, self.line.outbox
        carry(machines, self._opened(), rest=self._rest, trouble=self.line.complain)

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
                self._client = self.line.open_client()
            return self._client

    def _shut(self) -> None:
        with self._opening:
            if self._client is not None:
                self._client.close()

    def _rest(self, seconds: float) -> bool:
        self._ready.open()
        for work in drained(self._left):
            work()
        if self._saver is not None and self.line.saving.due() < inf:
            self._saver.stir()
        self.line.do_chores()
        self._wake_event.wait(0.0 if self.closed else self.line.rest(seconds, monotonic()))
        return not self.closed

    # For whoever calls.

    def flush(self, timeout: float) -> FlushReport:
        """Send what waits, in the calling thread."""
        check_pid()
        if self._interrupted:
            return self._leave(self.line.outbox.hurry)
        return self._flush(monotonic() + timeout)

    def ask(self, request: Request) -> Reply | Failure:
        """Make one exchange in the calling thread."""
        from convert_sdk._http.client import exchange

        if self._interrupted:
            return Failure("undelivered", "a signal came in the middle of another exchange")
        with self._entered():
            return exchange(self._opened(), request)

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
        return self.line.status(alive=thread is not None and thread.is_alive())

    @property
    def _interrupted(self) -> bool:
        """Whether this thread is in the middle of what must not begin again."""
        return get_ident() in self._inside or self.line.busy

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
        self.wake()
        counts = self.line.outbox.counts()
        return FlushReport.between(counts, counts)

    def _flush(self, until: float, *, last: bool = False) -> FlushReport:
        before = self.line.outbox.counts()
        with self._entered():
            # Half of the time is for the store alone: conversions may wait for it to go out.
            saved = self._save_by((monotonic() + until) / 2)
            if last:
                self.line.stop_waiting_for_the_store(answers=saved)
            self.line.do_chores(everything=True)
            if self.line.waits:
                self.line.deliver(self._opened(), until, everything=last)
                self.line.do_chores()
            if not saved:
                self._save_by(until)
        return FlushReport.between(before, self.line.outbox.counts())

    def _save_by(self, until: float) -> bool:
        """Have everything saved by then; whether it was."""
        if self._saver is None or not self.line.saving.unsaved:
            return True
        return self._saver.ask().wait(until - monotonic())

    def _close(self, until: float) -> FlushReport:
        before = self.line.outbox.counts()
        if self.closed:
            return FlushReport.between(before, before)
        with self._entered():
            try:
                self._flush(until, last=True)
            except Exception as error:  # noqa: BLE001  # what could not be sent is counted all the same
                self.line.complain(error)
            self._part(until)
        return FlushReport.between(before, self.line.outbox.counts())

    def _part(self, until: float) -> None:
        self.closed = True
        self._wake_event.notify()
        thread = self._thread
        if thread is not None and thread is not current_thread():
            thread.join(max(0.0, min(_PARTING, until - monotonic())))  # one that hangs is left behind
        if self._saver is not None:
            self._save_by(until)
            self._saver.stop()
        self.line.leave()
        if thread is None or not thread.is_alive():
            self._shut()
