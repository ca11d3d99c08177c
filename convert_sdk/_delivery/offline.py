"""Delivery without a network or a thread: the bodies of tracking requests go to a function."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from inspect import isawaitable
from typing import TYPE_CHECKING, cast
from weakref import WeakSet

from convert_sdk._core.events import TrackingContext
from convert_sdk._core.state import checked
from convert_sdk._http.messages import Failure, Request, Response
from convert_sdk._process.clock import monotonic
from convert_sdk._process.fork import check_pid, register_after_fork
from convert_sdk._process.locks import held_by_this_thread
from convert_sdk.observation import Incident
from convert_sdk.status import FlushReport, ForgetReport, IncidentLevel, Status, StoreDeletion

from .engine import Engine
from .forgetting import ForgetRequest, deletion_of
from .override_file import override_file, reloadable
from .queue import DeliveryConfig, Endpoint, EventQueue
from .runtime import status_of
from .store_writer import StateSave, apply_save, error_text, saves

if TYPE_CHECKING:
    from convert_sdk._core.state import VisitorState, Winners
    from convert_sdk.options import Options
    from convert_sdk.project import Project
    from convert_sdk.status import Counts
    from convert_sdk.stores import AsyncStore, ForgettingStore, Store

Sink = Callable[[bytes], object]
"""Takes the body of one tracking request; its return value is ignored."""

_DRAIN_AT = 1_000
_ROOM = 100_000
_DELIVERED = Response(200)
_log = logging.getLogger("convert_sdk")
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
        address = TrackingContext(project.account_id, project.id, options.source, options.report_id)
        self._endpoint = Endpoint("", {}, address, options.enriches)
        self._set_up()
        engine.install(project.with_bucketing(options.bucketing))
        self._override_file = override_file(options, engine)
        if self._override_file is not None:
            self.reload_overrides()
        _clients.add(self)

    def _set_up(self) -> None:
        self._sending = threading.RLock()
        self._incidents: Counter[str] = Counter()
        config = DeliveryConfig(max_queue=_ROOM, batch_size=_DRAIN_AT)
        self.queue = self._new_queue(config)
        self.queue.set_endpoint(self._endpoint)
        self._engine.after_offer = None
        self._engine.on_notice = self._log_notices
        self._engine.queue = self.queue if self._tracking else None

    def _new_queue(self, config: DeliveryConfig) -> EventQueue:
        return EventQueue(config, random=lambda: 0.0, notify=self._filled)

    def reset_after_fork(self) -> None:
        """Start with nothing that waits: it is the parent's."""
        self._engine.reset_after_fork()
        if self._override_file is not None:
            self._override_file.reset_locks()
        self._set_up()

    def start(self) -> None:
        """Nothing to do."""

    def start_and_wait(self) -> None:
        """Nothing to do."""

    def wait_until_ready(self, timeout: float) -> bool:  # noqa: ARG002 # as every delivery
        """True: the project is there from the start."""
        return True

    def load(self, key: str) -> VisitorState | None:
        """The state that the store has; raises what the store raises."""
        return self._store.load(key) if self._store is not None else None

    def flush(self, timeout: float) -> FlushReport:  # noqa: ARG002 # as every delivery
        """Give everything that waits to the sink; its exceptions reach the caller, and lose nothing."""
        check_pid()
        before = self.queue.counts()
        self._save()
        return self.hand_over(before)

    def reload_overrides(self) -> tuple[str, ...]:
        """Read the file of overrides now; returns its flaws."""
        flaws = reloadable(self._override_file).load()
        self._log_notices()
        return flaws

    def ask(self, request: Request) -> Response | Failure:  # noqa: ARG002 # as every delivery
        """A failure: there is no network."""
        return Failure("undelivered", "this client is offline")

    def begin_forget(self, visitor_id: str, store: object) -> ForgetRequest:
        """Forget a visitor in memory; what the store does is for the caller to say."""
        check_pid()
        request = ForgetRequest(visitor_id, in_spool=False, store=deletion_of(store))
        request.queued = self._engine.forget(visitor_id)
        request.left_queue(*self.queue.forget(visitor_id))
        return request

    def end_forget(self, request: ForgetRequest, at: object) -> ForgetReport:
        """Note that the store has forgotten a visitor at this time, or the exception that it raised."""
        if isinstance(at, Exception):
            _log.warning("a visitor cannot be deleted from the store: %s", type(at).__name__)
            request.left_store(StoreDeletion.FAILED)
        else:
            self._engine.forget_stored(request.visitor_id, at if isinstance(at, int) else 0)
            request.left_store(StoreDeletion.DELETED)
        return request.report()

    def forget(self, visitor_id: str, timeout: float) -> ForgetReport:  # noqa: ARG002 # as every delivery
        """Forget a visitor, here and in the store."""
        request = self.begin_forget(visitor_id, self._store)
        at: object
        if request.report().store is not StoreDeletion.PENDING:
            return request.report()
        try:
            at = cast("ForgettingStore", self._store).delete(self._engine.store_key(visitor_id))
        except Exception as error:  # noqa: BLE001  # the store may be the application's own
            at = error
        return self.end_forget(request, at)

    def close(self, timeout: float | None = None) -> FlushReport:  # noqa: ARG002 # as every delivery
        """Flush, and give up what the store has not taken; idempotent."""
        check_pid()
        before = self.queue.counts()
        self._save()
        self.give_up_unsaved()
        return self.hand_over(before)

    def abandon(self) -> None:
        """Nothing to do: there is no thread that could end."""

    def status(self) -> Status:
        """The figures of this moment."""
        check_pid()
        status = status_of(self._engine, self.queue)
        return status._replace(offline=True, incidents={**self._incidents, **status.incidents})

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
                    self._log_warnings(delivered=answer is _DELIVERED)

    def _log_warnings(self, *, delivered: bool) -> None:
        """Log the queue's warnings; of a body that the sink has refused the caller gets the exception."""
        notices = self.queue.stats.notices
        while notices:  # to which other threads may add
            notice = notices.popleft()
            if delivered and notice.level == "warning":
                _log.warning(notice.text)

    def _log_notices(self) -> None:
        while self._engine.notices:
            _log.warning(self._engine.notices.popleft().text)

    def hand_over(self, before: Counts) -> FlushReport:
        """Give what waits to the sink and the observer; the report since `before`."""
        self._drain()
        if self._engine.observer is not None:
            self._engine.observer.deliver()
        return FlushReport.between(before, self.queue.counts())

    def _save(self) -> None:
        if self._store is None:
            return
        for save in saves(self._engine):
            try:
                winners = checked(self._store.save(save.changes))
            except Exception as error:  # noqa: BLE001  # the store may be the application's own
                self.not_saved(save, error)
            else:
                self.saved(save, winners)

    def saved(self, save: StateSave, winners: Winners) -> None:
        """Take over what the store answered."""
        apply_save(self._engine, self.queue, save, winners, monotonic())

    def not_saved(self, save: StateSave, error: Exception) -> None:
        """Count a failure of the store, and log and observe the first one."""
        self._incidents["store"] += 1
        if self._incidents["store"] == 1:
            text = f"store: visitors are not saved: {error_text(error, save.changes.key, save.visitor_id)}"
            _log.warning(text)
            self._engine.observe(Incident(IncidentLevel.WARNING, text))

    def give_up_unsaved(self) -> None:
        """Count the visitors whom the store has not taken by the end, and let conversions go that wait for it."""
        visitors = self._engine.visitors
        with self._engine.lock:
            waiting = [*visitors.in_hand, visitors.pending or {}]  # in hand: of a flush that has not ended
            unsaved = len({visitor_id for changes in waiting for visitor_id in changes})
            for changes in waiting:
                changes.clear()
            visitors.lost += unsaved
        if unsaved:
            self.queue.send_unclaimed(monotonic())


class AsyncOfflineDelivery:
    """The same for an `AsyncClient`, whose store may be one that is awaited."""

    def __init__(self, engine: Engine, inner: OfflineDelivery, store: Store | AsyncStore | None) -> None:
        self._store = store
        self._engine = engine
        self._inner = inner

    def abandon(self) -> None:
        """Nothing to end: there is no task."""
        self._inner.abandon()

    async def start(self) -> None:
        """Nothing to do."""

    async def start_and_wait(self) -> None:
        """Nothing to do."""

    async def wait_until_ready(self, timeout: float) -> bool:  # noqa: ARG002 # as every delivery
        """True: the project is there from the start."""
        return True

    async def load(self, key: str) -> VisitorState | None:
        """The state that the store has; raises what the store raises."""
        if self._store is None:
            return None
        found = self._store.load(key)
        return await found if isawaitable(found) else found

    async def reload_overrides(self) -> tuple[str, ...]:
        """Read the file of overrides now; returns its flaws."""
        from asyncio import to_thread

        return await to_thread(self._inner.reload_overrides)

    async def ask(self, request: Request) -> Response | Failure:
        """A failure: there is no network."""
        return self._inner.ask(request)

    async def flush(self, timeout: float) -> FlushReport:  # noqa: ARG002 # as every delivery
        """As `OfflineDelivery.flush`; an asynchronous store is awaited."""
        check_pid()
        before = self._inner.queue.counts()
        await self._save()
        return self._inner.hand_over(before)

    async def _save(self) -> None:
        if self._store is None:
            return
        for save in saves(self._engine):
            try:
                answer = self._store.save(save.changes)
                winners = checked(await answer if isawaitable(answer) else answer)
            except Exception as error:  # noqa: BLE001  # the store may be the application's own
                self._inner.not_saved(save, error)
            else:
                self._inner.saved(save, winners)

    async def forget(self, visitor_id: str, timeout: float) -> ForgetReport:  # noqa: ARG002 # as every delivery
        """As `OfflineDelivery.forget`; an asynchronous store is awaited."""
        request = self._inner.begin_forget(visitor_id, self._store)
        at: object
        if request.report().store is not StoreDeletion.PENDING:
            return request.report()
        try:
            deleting = cast("ForgettingStore", self._store).delete(self._engine.store_key(visitor_id))
            at = await deleting if isawaitable(deleting) else deleting
        except Exception as error:  # noqa: BLE001  # the store may be the application's own
            at = error
        return self._inner.end_forget(request, at)

    async def close(self, timeout: float | None = None) -> FlushReport:  # noqa: ARG002 # as every delivery
        """As `OfflineDelivery.close`; an asynchronous store is awaited."""
        check_pid()
        before = self._inner.queue.counts()
        await self._save()
        self._inner.give_up_unsaved()
        return self._inner.hand_over(before)

    def status(self) -> Status:
        """The figures of this moment."""
        return self._inner.status()


def _after_fork_in_child() -> None:
    for client in list(_clients):
        client.reset_after_fork()


register_after_fork(_after_fork_in_child)
