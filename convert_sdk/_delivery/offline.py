"""Delivery without a network or a thread: what would be sent goes to a function."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from time import monotonic
from typing import TYPE_CHECKING
from weakref import WeakSet

from convert_sdk._core.events import TrackingContext
from convert_sdk._http.messages import Failure, Reply, Request
from convert_sdk._process.fork import check_pid, register_after_fork
from convert_sdk._process.locks import held_by_this_thread
from convert_sdk.status import FlushReport, Status

from .engine import Engine, verdicts
from .queue import Outbox, Target, Terms
from .runtime import status_of
from .visitors import changes

if TYPE_CHECKING:
    from convert_sdk.options import Options
    from convert_sdk.project import Project
    from convert_sdk.stores import Store

Sink = Callable[[bytes], object]
"""Takes the body of one tracking request; what it answers is ignored."""

_DRAIN_AT = 1_000
_ROOM = 100_000
_DELIVERED = Reply(200)
_clients: WeakSet[Offline] = WeakSet()


class Offline:
    """Hands bodies to a sink, and states to a store, on `flush` and whenever a thousand wait."""

    started = b"\x01"

    def __init__(
        self, engine: Engine, options: Options, project: Project, sink: Sink | None, store: Store | None
    ) -> None:
        self._engine = engine
        self._sink = sink
        self._store = store
        self._tracking = sink is not None and options.tracking
        address = TrackingContext(project.account_id, project.id, options.source)
        self._target = Target("", {}, address, options.enriches)
        self._begin()
        engine.install(project.with_bucketing(options.bucketing))
        _clients.add(self)

    def _begin(self) -> None:
        self._sending = RLock()
        terms = Terms(max_queue=_ROOM, batch_size=_DRAIN_AT)
        self.outbox = Outbox(terms, dice=lambda: 0.0, wake=self._filled)
        self.outbox.address(self._target)
        self._engine.after_offer = None
        self._engine.outbox = self.outbox if self._tracking else None

    def reset_after_fork(self) -> None:
        """The child starts anew: what waited is the parent's."""
        self._engine.start_anew()
        self._begin()

    def start(self) -> None:
        """There is nothing to start."""

    def flush(self, timeout: float) -> FlushReport:  # noqa: ARG002 # as every delivery
        """Hand over everything that waits; an error of the sink is the caller's, and loses nothing."""
        check_pid()
        before = self.outbox.counts()
        self._save()
        self._drain()
        if self._engine.seen is not None:
            self._engine.seen.tell()
        return FlushReport.between(before, self.outbox.counts())

    def ask(self, request: Request) -> Reply | Failure:  # noqa: ARG002 # as every delivery
        """Nobody is asked."""
        return Failure("undelivered", "this client is offline")

    def close(self, timeout: float | None = None) -> FlushReport:
        """Flush; again is fine."""
        return self.flush(timeout or 0.0)

    def status(self) -> Status:
        """The figures of this moment."""
        check_pid()
        return status_of(self._engine, self.outbox)

    def _filled(self) -> None:
        """The outbox says so in the middle of an offer: what to do about it comes right after."""
        if self.outbox.room <= _ROOM - _DRAIN_AT:
            self._engine.after_offer = self._drain

    def _drain(self) -> None:
        if self._sink is None or held_by_this_thread(self._sending) or self.outbox.books.busy:
            return  # in the middle of it, the sink or a signal's handler asks for more: that is for the next time
        with self._sending:
            self._engine.after_offer = None  # first: what fills up meanwhile says so again
            self.outbox.hurry()
            while (request := self.outbox.speak(monotonic())) is not None:
                answer = Reply(503)
                try:
                    self._sink(request.body or b"")
                    answer = _DELIVERED
                finally:
                    self.outbox.hear(answer, monotonic())

    def _save(self) -> None:
        if self._store is None:
            return
        engine = self._engine
        with engine.lock:
            taken = engine.memory.take_unsaved(len(engine.memory.unsaved or ()))
        for visitor_id, unsaved in taken.items():
            try:
                winners = self._store.save(changes(engine.store_key(visitor_id), unsaved))
            except Exception:  # noqa: BLE001  # the store may be the application's own
                with engine.lock:
                    engine.memory.give_back(visitor_id, unsaved)
            else:
                with engine.lock:
                    engine.memory.adopt(visitor_id, winners)
                self.outbox.claimed(*verdicts(unsaved.goals, winners), monotonic())


def _after_fork_in_child() -> None:
    for client in list(_clients):
        client.reset_after_fork()


register_after_fork(_after_fork_in_child)
