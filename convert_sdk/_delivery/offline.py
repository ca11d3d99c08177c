"""Delivery without a network or a thread: the bodies of tracking requests go to a function."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import WeakSet

from convert_sdk._core.events import TrackingContext
from convert_sdk._http.messages import Failure, Request, Response
from convert_sdk._process.clock import monotonic
from convert_sdk._process.fork import check_pid, register_after_fork
from convert_sdk._process.locks import held_by_this_thread
from convert_sdk.status import FlushReport, Status

from .engine import Engine, claim_results
from .queue import DeliveryConfig, Endpoint, EventQueue
from .runtime import status_of
from .visitors import to_changes

if TYPE_CHECKING:
    from convert_sdk.options import Options
    from convert_sdk.project import Project
    from convert_sdk.stores import Store

Sink = Callable[[bytes], object]
"""Takes the body of one tracking request; its return value is ignored."""

_DRAIN_AT = 1_000
_ROOM = 100_000
_DELIVERED = Response(200)
_clients: WeakSet[OfflineDelivery] = WeakSet()


class OfflineDelivery:
    """Gives bodies to a sink and states to a store, in `flush` and whenever a thousand events wait."""

    started = b"\x01"

    def __init__(
        self, engine: Engine, options: Options, project: Project, sink: Sink | None, store: Store | None
    ) -> None:
        self._engine = engine
        self._sink = sink
        self._store = store
        self._tracking = sink is not None and options.tracking
        address = TrackingContext(project.account_id, project.id, options.source)
        self._endpoint = Endpoint("", {}, address, options.enriches)
        self._set_up()
        engine.install(project.with_bucketing(options.bucketing))
        _clients.add(self)

    def _set_up(self) -> None:
        self._sending = threading.RLock()
        config = DeliveryConfig(max_queue=_ROOM, batch_size=_DRAIN_AT)
        self.queue = EventQueue(config, random=lambda: 0.0, notify=self._filled)
        self.queue.set_endpoint(self._endpoint)
        self._engine.after_offer = None
        self._engine.queue = self.queue if self._tracking else None

    def reset_after_fork(self) -> None:
        """Start with nothing that waits: it is the parent's."""
        self._engine.reset_after_fork()
        self._set_up()

    def start(self) -> None:
        """Nothing to do."""

    def flush(self, timeout: float) -> FlushReport:  # noqa: ARG002 # as every delivery
        """Give everything that waits to the sink; its exceptions reach the caller, and lose nothing."""
        check_pid()
        before = self.queue.counts()
        self._save()
        self._drain()
        if self._engine.observer is not None:
            self._engine.observer.deliver()
        return FlushReport.between(before, self.queue.counts())

    def ask(self, request: Request) -> Response | Failure:  # noqa: ARG002 # as every delivery
        """A failure: there is no network."""
        return Failure("undelivered", "this client is offline")

    def close(self, timeout: float | None = None) -> FlushReport:
        """Flush; idempotent."""
        return self.flush(timeout or 0.0)

    def abandon(self) -> None:
        """Nothing to do: there is no thread that could end."""

    def status(self) -> Status:
        """The figures of this moment."""
        check_pid()
        return status_of(self._engine, self.queue)

    def _filled(self) -> None:
        """Empty the queue after the present offer, if many events wait."""
        if self.queue.room <= _ROOM - _DRAIN_AT:
            self._engine.after_offer = self._drain

    def _drain(self) -> None:
        if self._sink is None or held_by_this_thread(self._sending) or self.queue.busy:
            return  # called by the sink or by a signal handler in the middle of this: for the next time
        with self._sending:
            self._engine.after_offer = None  # first, so that a queue that fills up meanwhile asks again
            self.queue.override_backoff()
            while (request := self.queue.next_request(monotonic())) is not None:
                answer = Response(503)
                try:
                    self._sink(request.body or b"")
                    answer = _DELIVERED
                finally:
                    self.queue.handle_response(answer, monotonic())

    def _save(self) -> None:
        if self._store is None:
            return
        engine = self._engine
        with engine.lock:
            taken = engine.visitors.take_pending(len(engine.visitors.pending or ()))
        for visitor_id, pending in taken.items():
            try:
                winners = self._store.save(to_changes(engine.store_key(visitor_id), pending))
            except Exception:  # noqa: BLE001  # the store may be the application's own
                with engine.lock:
                    engine.visitors.restore_pending(visitor_id, pending)
            else:
                with engine.lock:
                    engine.visitors.apply_winners(visitor_id, winners)
                results = claim_results(pending.goals, winners)
                self.queue.resolve_claims(results.won, results.lost, monotonic())


def _after_fork_in_child() -> None:
    for client in list(_clients):
        client.reset_after_fork()


register_after_fork(_after_fork_in_child)
