"""Who carries: a client's one daemon thread, started when a process first needs it."""

from __future__ import annotations

import atexit
import os
from threading import Event, Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

from convert_sdk.errors import StoreError

from .counts import FlushReport
from .engine import Engine
from .line import Line
from .machine import Failure, Reply, Request

if TYPE_CHECKING:
    import httpx

    from convert_sdk.options import Options
    from convert_sdk.status import Status
    from convert_sdk.stores import Store

_LONGEST_REST = 3_600.0
_BREATHER = 0.5
_FAREWELL = 0.1


class Worker:
    """Fetches, delivers and does the chores of one client, in one thread of the process that uses it."""

    def __init__(self, options: Options, key: str, engine: Engine, store: Store | None) -> None:
        self._store = store
        self._engine = engine
        self._start_wait = options.start_wait
        self._shutdown_timeout = options.shutdown_timeout
        self._begin()
        self.line = Line(options, key, engine, wake=self.wake)
        farewell.add(self)

    def _begin(self) -> None:
        self.started = False
        self.closed = False
        self._starting = Lock()
        self._wake = Event()
        self._ready = Event()
        self._thread: Thread | None = None
        self._client: httpx.Client | None = None

    def after_fork(self) -> None:
        """The child starts anew: threads, sockets and what waited are the parent's."""
        self._engine.start_anew()
        self._begin()
        self.line.reopen()

    def start(self) -> None:
        """Start the thread, and give the document a moment to arrive; only the first call does either."""
        with self._starting:
            if self.started or self.closed:
                return
            self.started = True
            self._spawn()
        if self._engine.project is None:
            self._ready.wait(self._start_wait)

    def _spawn(self) -> None:
        self._thread = Thread(target=self._run, name="convert_sdk", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Something is due earlier than the thread knows; a thread that died is replaced."""
        self._wake.set()
        thread = self._thread
        if thread is not None and not thread.is_alive() and not self.closed:
            with self._starting:
                if self._thread is thread:
                    self.line.restarts += 1
                    self._spawn()

    def _run(self) -> None:
        from .carry import carry

        self.line.warm_up()
        if self._engine.project is not None:
            self._ready.set()
        while not self.closed:
            try:
                client = self._opened()
                carry((self.line.feed, self.line.outbox), client, rest=self._rest, trouble=self.line.complain)
            except BaseException as error:  # noqa: BLE001 # whatever ends the loop, the events need it
                self.line.restarts += 1
                self.line.complain(error)
                self._wake.wait(_BREATHER)

    def _opened(self) -> httpx.Client:
        with self._starting:
            if self._client is None:
                self._client = self.line.open_client()
            return self._client

    def _rest(self, seconds: float) -> bool:
        self._ready.set()
        self._save()
        self.line.do_chores()
        now = monotonic()
        seconds = min(seconds, self.line.upkeep.due(now) - now, _LONGEST_REST)
        if seconds > 0 and not self.closed:
            self._wake.wait(seconds)
        self._wake.clear()
        return not self.closed

    def _save(self) -> None:
        if self._store is None or self._engine.project is None:
            return
        upkeep = self.line.upkeep
        for save in upkeep.to_save():
            try:
                winners = self._store.save(save.changes)
            except StoreError as error:
                upkeep.not_saved(save, error)
            else:
                upkeep.saved(save, winners, monotonic())

    def flush(self, timeout: float) -> FlushReport:
        """Send what waits, in the calling thread."""
        before = self.line.outbox.counts()
        until = monotonic() + timeout
        self._save()
        self.line.do_chores()
        self.line.deliver(self._opened(), until)
        return FlushReport.between(before, self.line.outbox.counts())

    def ask(self, request: Request) -> Reply | Failure:
        """Make one exchange in the calling thread."""
        from .exchange import exchange

        return exchange(self._opened(), request)

    def close(self, timeout: float | None = None) -> FlushReport:
        """Flush, end the thread and let go of everything; again is fine."""
        before = self.line.outbox.counts()
        if not self.closed:
            if self.started or before.pending:
                self.flush(self._shutdown_timeout if timeout is None else timeout)
            self.closed = True
            self._wake.set()
            if self._thread is not None:
                self._thread.join(_FAREWELL)
            self._save()
            self.line.leave()
            if self._client is not None and not (self._thread is not None and self._thread.is_alive()):
                self._client.close()
        return FlushReport.between(before, self.line.outbox.counts())

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def close_now(self) -> None:
        """At the end of the process."""
        self.close()

    def status(self) -> Status:
        """The figures of this moment."""
        return self.line.status(alive=self.alive)


class Carrier(Protocol):
    """What a process must tell that it forked or ends."""

    def after_fork(self) -> None:
        """In the child."""
        ...

    def close_now(self) -> None:
        """At the end."""
        ...


farewell: WeakSet[Carrier] = WeakSet()


def _after_fork() -> None:
    for carrier in list(farewell):
        carrier.after_fork()


def _at_exit() -> None:
    for carrier in list(farewell):
        carrier.close_now()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
