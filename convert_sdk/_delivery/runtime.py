"""One process's part of a client: its queue, poller and spool, and the worker that keeps them going.

Theory of operation
-------------------
*Who does what.* The sender sends tracking requests and nothing else. Fetches have a thread (or task) of their own, and
so have the spool, a store that blocks, and the application's `observe` callback, each started when first needed. None
of them waits for another; each wakes the sender when it has done something.

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

import logging
import threading
import warnings
from collections import Counter, deque
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from math import inf
from random import random
from typing import TYPE_CHECKING

from convert_sdk._core.events import TrackingContext
from convert_sdk._http.messages import request_headers
from convert_sdk._process.clock import monotonic
from convert_sdk._process.exit import register_exit_hook, sigterm_state
from convert_sdk._process.fork import check_pid, import_all, no_fork
from convert_sdk._process.locks import Latch, held_by_this_thread
from convert_sdk.errors import ConvertError, FetchError
from convert_sdk.observation import Delivered, DocumentChanged, Incident
from convert_sdk.options import Options
from convert_sdk.project import Project
from convert_sdk.status import Counts, DropReason, FlushReport, Status

from .background import IDLE_TIME, LONGEST_WAIT, BackgroundThread, DaemonThread, drain
from .engine import Engine, event_ids
from .poller import ConfigPoller
from .previews import document_source
from .queue import DeliveryConfig, Endpoint, EventQueue, EventState
from .sections import SectionGuard
from .store_writer import StoreWriter, store_thread

if TYPE_CHECKING:
    import httpx

    from convert_sdk._config.cache import DocumentCache
    from convert_sdk._http.environment import Flaw
    from convert_sdk.stores import Store

    from .spool_sync import SpoolSync
    from .stats import Level, Notice

_NEEDED_TO_DECIDE = ("pydantic_core", "convert_sdk._config.compile", "convert_sdk._config.json")
NEEDED = (
    *_NEEDED_TO_DECIDE,
    "convert_sdk._http.client",
    "convert_sdk._delivery.loop",
    "convert_sdk.observation",
    "email.utils",
    "encodings.idna",
    "json",
)
"""The modules that a worker needs, httpx among them."""
NEEDED_BY_LOOPS = (
    *NEEDED,
    "anyio.streams.tls",
    "anyio._backends._asyncio",
    "anyio._core._sockets",
    "anyio.abc",
)
"""As above, and what httpx imports in the middle of its first connection."""
_DISK_PATIENCE = 0.1
"""Seconds that the end waits for a disk that another thread is busy with."""
_LAST_WORD = 0.1
"""Seconds for observers at a close whose time is up: the loss of its last events is for them to know."""
_LOOK_EVERY = 0.25
"""Seconds between two looks at a flush, and at a sender that is waited for."""
_log = logging.getLogger("convert_sdk")


class FlushRequest:
    """One flush, from the call to its end.

    Args:
        until: The deadline, in monotonic seconds.
        steps: Conditions, each to be asked once the one before it holds.
        failed: Called to learn whether a request failed that was sent ahead of a back-off.
        everything: True for a close.
    """

    __slots__ = ("_failed", "_over", "_step", "_steps", "ended", "halfway", "release_at", "until")

    def __init__(
        self,
        until: float,
        steps: Iterator[Callable[[], bool]],
        failed: Callable[[], bool],
        *,
        everything: bool,
    ) -> None:
        self.until = until
        self.halfway = (monotonic() + until) / 2
        """The time until which the sender waits for the store, so that all goes out together."""
        self.release_at = self.halfway if everything else inf
        """The time at which conversions no longer wait for the store; `inf` if they do to the end."""
        self.ended: Callable[[], None] = lambda: None
        """Called once it is over."""
        self._steps = steps
        self._step = next(steps, None)
        self._failed = failed
        self._over = False
        self.check(lambda: 0.0)

    @property
    def over(self) -> bool:
        """True once nobody needs to wait any more."""
        return self._over

    def check(self, next_change: Callable[[], float]) -> bool:
        """Go through the conditions that hold by this time; True once it is over.

        `next_change` gives the time at which something can happen next. The sender asks it, between two requests.
        """
        if not self._over:
            while self._step is not None and self._step():
                self._step = next(self._steps, None)
            over = self._step is None or monotonic() >= self.until or self._failed()
            if over or min(next_change(), self.release_at) > self.until:
                self._over = True
                self.ended()
        return self._over


class Runtime:
    """The machines of one client in one process, and the threads for slow work.

    Args:
        options: Those of the client.
        key: The SDK key, or the account and the project.
        engine: The request path.
        store: A store that blocks; None for no store, or one that is awaited.
        notify: Called, from any thread, when something is due earlier than the sender knows.
    """

    def __init__(
        self,
        options: Options,
        key: str,
        engine: Engine,
        store: Store | None = None,
        *,
        notify: Callable[[], None],
    ) -> None:
        self.options = options
        self.key = key
        self.engine = engine
        self.may_end = False
        """True once nobody holds the client any more: threads end when they have nothing to do."""
        self._store = store
        self._notify_sender = notify
        self._inherited: list[object] = []
        self._saved: Project | None = None
        """The document that is on disk."""
        self._set_up(etag=None)

    def reset_after_fork(self) -> None:
        """Start with fresh machines: events, files and sockets are the parent's."""
        self._inherited += [self.poller, self.queue, self.maintenance, *self.threads]
        self._set_up(etag=self.poller.etag)
        if self.engine.project is not None:
            self._set_endpoint(self.engine.project)

    def reset_locks(self) -> None:
        """Make new locks and threads of the kind that `threading` has at this moment; what waits is kept."""
        self._inherited += self.threads
        self._document_lock = threading.RLock()
        self.queue.reset_locks()
        self.poller.reset_locks()
        self.maintenance.reset_locks()
        if self.engine.observer is not None:
            self.engine.observer.reset_locks()
        self._set_up_threads()

    def _set_up(self, etag: str | None) -> None:
        options = self.options
        source = document_source(options, self.key)
        self._document_lock = threading.RLock()
        self.replaced: deque[tuple[Project, Project]] = deque()
        """Documents that were in use, each with the one that replaced it, until `report_changes`."""
        self._cache: DocumentCache | None = None
        if options.cache_dir is not None:
            from convert_sdk._config.cache import DocumentCache

            self._cache = DocumentCache(options.cache_dir, source)
        self.poller = ConfigPoller(
            source, self.accept_document, random=random, refresh=options.refresh_interval
        )
        self.poller.prime(etag)
        self._sections = SectionGuard(self.poller)
        self.queue = EventQueue(self._delivery_config(), random=random, notify=self.notify)
        self.maintenance = Maintenance(
            self.engine, self.queue, (self.queue.stats.notices, self.poller.notices, self.engine.notices)
        )
        self.engine.on_notice = self.notify
        if options.spool is not None:
            from .spool_sync import SpoolSync, open_spool

            self.maintenance.spool_sync = SpoolSync(
                open_spool(options.spool, self.key, options),
                self.engine,
                self.queue,
                capacity=options.max_queue,
                report=self.maintenance.report,
            )
        self.store_writer = StoreWriter(self.engine, self.queue, self.maintenance.report)
        self.engine.queue = self.queue if options.tracking else None
        self.engine.after_offer = self.maintenance.commit if options.durability == "sync" else None
        self._set_up_threads()

    def _set_up_threads(self) -> None:
        self.spool_thread = self.store_thread = self.observer_thread = None
        observer, may_end = self.engine.observer, self._may_end
        if self.maintenance.spool_sync is not None:
            self.spool_thread = BackgroundThread(
                "convert_sdk-spool",
                lambda everything: self.maintenance.sync(everything=everything),
                self.maintenance.due,
                done=self._notify_sender,
                on_error=self.report_error,
                may_end=may_end,
            )
        if self._store is not None:
            self.store_thread = store_thread(
                self.store_writer,
                self._store,
                done=self._notify_sender,
                on_error=self.report_error,
                may_end=may_end,
            )
        if observer is not None and observer.has_callbacks:
            self.observer_thread = BackgroundThread(
                "convert_sdk-observe",
                lambda _: observer.deliver(),
                observer.due,
                done=self._notify_sender,
                on_error=self.report_error,
                may_end=may_end,
            )
            observer.notify = self.observer_thread.notify

    def _may_end(self) -> bool:
        return self.may_end

    def _delivery_config(self) -> DeliveryConfig:
        options = self.options
        return DeliveryConfig(
            max_queue=options.max_queue,
            batch_size=min(options.batch_size, max(1, options.max_queue // 2)),  # before the queue is full
            flush_interval=options.flush_interval,
            delivery=options.delivery,
            timeout=options.request_timeout,
            durable=options.spool is not None,
            keep_settled=options.spool is not None or self.engine.observer is not None,
        )

    # Threads.

    @property
    def threads(self) -> list[BackgroundThread]:
        """The threads for slow work; none of them needs to have been started."""
        threads = (self.spool_thread, self.store_thread, self.observer_thread)
        return [thread for thread in threads if thread is not None]

    def notify(self) -> None:
        """Wake the spool's thread, through which events go first, and the sender."""
        if self.spool_thread is not None:
            self.spool_thread.notify()
        self._notify_sender()

    def notify_changes(self) -> None:
        """Wake the threads that write what visitors do not send: pending conversions, and changes for the store."""
        self.notify()
        if self.store_thread is not None and self.engine.project is not None:
            self.store_thread.notify()

    @property
    def busy(self) -> bool:
        """True for a signal handler that interrupts a change or a write in its own thread."""
        return held_by_this_thread(self.engine.lock) or self.queue.busy or self.maintenance.busy

    def report_error(self, error: BaseException) -> None:
        """Report an exception that nobody expected."""
        self.maintenance.report("worker", type(error).__name__)

    # The document.

    def accept_document(self, body: bytes) -> None:
        """Serve the document from now on. Raises ConvertError for one that is no good, and keeps the last."""
        project = Project.parse(body, bucketing=self.options.bucketing)
        served = self.engine.project
        if served is not None and (served.account_id, served.id) != (project.account_id, project.id):
            raise FetchError("the document is of another project", status=200)
        if served is not None:
            project.gone = self._sections.check(served, project)
        if served is None:
            self._serve(project)
            project.warm()
        else:
            project.warm()
            self._serve(project)
            if served.revision != project.revision:
                self.replaced.append((served, project))

    def report_changes(self) -> None:
        """Tell of the documents that others have replaced; it may take as long as compiling them did."""
        for before, after in drain(self.replaced):
            self._report_change(before, after)

    def _report_change(self, before: Project, after: Project) -> None:
        """Log the difference of two documents, and tell whoever observes; nothing if nobody hears of it."""
        observer = self.engine.observer
        if observer is None and not _log.isEnabledFor(logging.INFO):
            return
        from convert_sdk._config.changes import difference

        change = DocumentChanged(before.revision, after.revision, *difference(before.source, after.source))
        counts = f"{len(change.added)} added, {len(change.removed)} removed, {len(change.changed)} changed"
        revisions = f"from {change.old_revision} to {change.new_revision}"
        _log.info("the document changed %s: experiences %s", revisions, counts)
        self.engine.observe(change)

    def load_cached(self) -> None:
        """Serve the document that an earlier process left on disk, until the server has a newer one."""
        cached = self._cache.load() if self._cache is not None and self.engine.project is None else None
        if cached is None:
            return
        import_all(_NEEDED_TO_DECIDE)
        try:
            self._serve(Project.parse(cached.body, bucketing=self.options.bucketing))
        except ConvertError as error:
            self.maintenance.report("cache", f"the document on disk cannot be used: {error}")
        else:
            self._saved = self.engine.project
            self.poller.prime(cached.etag)

    @property
    def has_unsaved_document(self) -> bool:
        """True if the document in use is to be left on disk."""
        project = self.engine.project
        return self._cache is not None and project is not None and project is not self._saved

    def save_document(self) -> None:
        """Leave the document in use on disk for the next process."""
        with self._document_lock:  # the end waits for a save that another thread has begun
            project = self.engine.project
            if self._cache is not None and project is not None and project is not self._saved:
                self._saved = project
                if not project.is_debug:
                    self._write(self._cache, project)

    def _write(self, cache: DocumentCache, project: Project) -> None:
        from convert_sdk._config.cache import CachedDocument

        try:
            cache.save(CachedDocument(project.source, self.poller.etag))
        except OSError as error:
            self.maintenance.report("cache", f"the document cannot be kept on disk: {error.strerror}")

    def _serve(self, project: Project) -> None:
        self._set_endpoint(project)
        self.engine.install(project)

    def _set_endpoint(self, project: Project) -> None:
        options = self.options
        endpoint = options.track_endpoint.replace("[project_id]", project.id).removesuffix("/")
        self.queue.set_endpoint(
            Endpoint(
                f"{endpoint}/track/{self.key}",
                request_headers(options.sdk_secret),
                TrackingContext(project.account_id, project.id, options.source),
                options.enriches,
            )
        )

    # Connections.

    def open_client(self, *, inline: bool = False) -> httpx.Client:
        """Connections for a thread, `inline` at the end of the process; no fork comes in the middle."""
        from httpx import BaseTransport

        from convert_sdk._http.client import open_client

        transport = self.options.transport
        own = transport if isinstance(transport, BaseTransport) else None
        with no_fork():
            return open_client(
                transport=own,
                ca_bundle=self.options.ca_bundle,
                proxy=self.options.proxy,
                trust_env=self.options.trust_env,
                report=self._report_flaw,
                urls=self._urls,
                inline=inline,
            )

    def open_async_client(self) -> httpx.AsyncClient:
        """Connections for an event loop; no fork comes in the middle."""
        from httpx import AsyncBaseTransport

        from convert_sdk._http.client import open_async_client

        transport = self.options.transport
        own = transport if isinstance(transport, AsyncBaseTransport) else None
        with no_fork():
            return open_async_client(
                transport=own,
                ca_bundle=self.options.ca_bundle,
                proxy=self.options.proxy,
                trust_env=self.options.trust_env,
                report=self._report_flaw,
                urls=self._urls,
            )

    @property
    def _urls(self) -> tuple[str, str]:
        """The addresses that are asked; the project's place in the second one makes no difference to the way there."""
        return self.options.config_endpoint, self.options.track_endpoint.replace("[project_id]", "0")

    def _report_flaw(self, flaw: Flaw) -> None:
        """Say once what of the environment cannot be used."""
        self.maintenance.report(flaw.variable, flaw.text)

    # Flushes.

    @property
    def has_events(self) -> bool:
        """True while an event, or a conversion before the first document, waits."""
        return bool(self.queue.counts().pending or self.engine.pending)

    @property
    def unsent(self) -> int:
        """The number of events, and of conversions before the first document, that wait or are in a request."""
        return self.queue.counts().pending + len(self.engine.pending)

    def send_immediately(self) -> None:
        """Wait for no `flush_interval` any more; return at once."""
        self.queue.send_immediately()

    @property
    def has_work(self) -> bool:
        """True while anything waits: events, changes for the store, rows of the spool, observations."""
        observer = self.engine.observer
        return (
            self.has_events
            or bool(self.store_writer.waiting)
            or self.maintenance.has_rows
            or self.maintenance.due() <= monotonic()  # also the first look at what other processes left
            or (observer is not None and not observer.is_idle)
        )

    def begin_flush(self, until: float, *, everything: bool) -> FlushRequest:
        """Ask everybody to work at once, and say what is to be waited for.

        Args:
            until: The deadline, in monotonic seconds.
            everything: Wait for later events too, and for every retry until the deadline.
        """
        queue = self.queue
        failures = queue.forced_failures
        return FlushRequest(
            until,
            self._flush_steps((monotonic() + until) / 2, everything=everything),
            lambda: not everything and queue.forced_failures > failures,
            everything=everything,
        )

    def _flush_steps(self, halfway: float, *, everything: bool) -> Iterator[Callable[[], bool]]:
        """The conditions of a flush, in their order; each background thread is asked when its turn comes."""
        queue, spool_sync = self.queue, self.maintenance.spool_sync
        whole = everything or bool(self.engine.pending)
        snapshot, found = queue.snapshot(), spool_sync.found if spool_sync is not None else 0
        stored, written = Latch(), Latch()
        if self.store_thread is not None and self.store_writer.waiting:
            stored = self.store_thread.request_all()
        else:
            stored.open()
        if self.spool_thread is not None:
            written = self.spool_thread.request_all()
        else:
            written.open()
        # Half of the time is for the store alone: conversions wait for it, and all goes out together.
        yield lambda: stored.is_open or monotonic() >= halfway
        queue.override_backoff()
        yield lambda: written.is_open
        # Conversions without a document, events on disk, and those of earlier processes have no place in a snapshot:
        # then everything is waited for.
        whole = whole or bool(queue.stats.spooled) or (spool_sync is not None and spool_sync.found > found)
        yield lambda: not self.has_events if whole else queue.is_settled(snapshot)
        yield lambda: stored.is_open
        if self.spool_thread is not None and self.maintenance.has_rows:
            deleted = self.spool_thread.request_all()
            yield lambda: deleted.is_open
        if self.spool_thread is None:
            self.maintenance.settle()
        self.maintenance.publish()
        observer = self.engine.observer
        if self.observer_thread is not None and observer is not None and not observer.is_idle:
            told = self.observer_thread.request_all(inline=False)
            yield lambda: told.is_open or observer.is_stuck

    def next_change(self) -> float:
        """The time at which something can happen next; 0 while somebody is at work."""
        if any(thread.is_asked for thread in self.threads):
            return 0.0
        due = min(self.queue.next_change(), self.maintenance.due())
        if self.engine.project is None:
            fetch = self.poller.due()
            return 0.0 if fetch == inf else min(due, fetch)
        return due

    def after_step(self) -> None:
        """Pass on what a request or a thread brought about: to the log, the spool, the store, the callback."""
        self.maintenance.publish()
        if self.spool_thread is None:
            self.maintenance.settle()
        elif self.maintenance.has_settled:
            self.spool_thread.notify()
        # Not for a later time, for which the thread waits already: its answer would bring us here again at once.
        if self.store_thread is not None and self.store_writer.due() <= monotonic():
            self.store_thread.notify()

    def release_claims(self) -> None:
        """Send unclaimed what a store that is down should have claimed, unless it can wait in the spool."""
        if self.options.spool is None and (self.store_writer.down or self.store_writer.waiting):
            self.queue.send_unclaimed(monotonic())

    @property
    def needs_loop(self) -> bool:
        """True if the transport works in an event loop only."""
        transport = self.options.transport
        return transport is not None and not hasattr(transport, "handle_request")

    # The end.

    def close(self, until: float) -> None:
        """Close for good: events stay in the spool, or are dropped and counted."""
        self.save_document()
        for thread in (self.spool_thread, self.store_thread):
            if thread is not None:
                thread.stop()
        self.engine.visitors.lost += self.store_writer.waiting
        self.maintenance.close()
        observer = self.engine.observer
        if self.observer_thread is not None and observer is not None:
            if not observer.is_idle and self.observer_thread.start():
                self.observer_thread.request_all().wait(max(_LAST_WORD, until - monotonic()))
            elif not self.observer_thread.is_alive:
                observer.deliver(until)
            self.observer_thread.stop()
            observer.drop()

    def status(self, *, started: bool, alive: bool) -> Status:
        """The figures of this moment."""
        now = monotonic()
        since = self.queue.stats.failing_since
        return status_of(self.engine, self.queue)._replace(
            started=started,
            endpoint=self.queue.stats.endpoint_state,
            failing_for=0.0 if since is None else now - since,
            age=self.poller.age(now),
            stale=self.poller.stale(now),
            fetch_error=self.poller.error,
            incidents=self._incidents(),
            breaker=getattr(getattr(self.options.store, "breaker", None), "state", None),
            worker_alive=alive,
            sigterm=sigterm_state() if self.options.flush_on_sigterm else None,
        )

    def _incidents(self) -> Mapping[str, int]:
        visitors = self.engine.visitors
        counts = {
            **self.maintenance.incidents(),
            "unsaved": visitors.lost,
            "load": visitors.failed_loads,
            "mismatched": self.engine.mismatched,
        }
        return {name: count for name, count in counts.items() if count}


class Maintenance:
    """The disk, the log and the callback of one client, kept in step with its queue."""

    def __init__(self, engine: Engine, queue: EventQueue, notices: tuple[deque[Notice], ...]) -> None:
        self.spool_sync: SpoolSync | None = None
        """Set where there is a spool."""
        self._engine = engine
        self._queue = queue
        self._notices = notices
        self._reported: Counter[str] = Counter()
        self.reset_locks()

    def reset_locks(self) -> None:
        """Make a new lock; for a time at which nobody holds the old one."""
        self._disk = threading.RLock()

    @property
    def busy(self) -> bool:
        """True for a signal handler that interrupts a write in its own thread."""
        return held_by_this_thread(self._disk)

    @property
    def has_settled(self) -> bool:
        """True while settled events wait to be passed on."""
        return bool(self._queue.stats.settled)

    @property
    def has_rows(self) -> bool:
        """True while settled events, or their rows in the spool, wait to be looked at."""
        return self.has_settled or (self.spool_sync is not None and self.spool_sync.has_deletable)

    def due(self) -> float:
        """The time of the next work on the disk; `inf` while there is none."""
        spool_sync = self.spool_sync
        if spool_sync is None:
            return inf
        return 0.0 if self._queue.stats.settled else spool_sync.due()

    def sync(self, *, everything: bool = False) -> None:
        """Write offered events, bring spooled ones back, and delete settled ones."""
        with self._disk:
            if self.spool_sync is not None:
                self.spool_sync.commit(everything=everything)
                self.spool_sync.refill(monotonic())
            self.settle()

    def commit(self) -> None:
        """Write what was offered before this returns; for a handler that interrupts a write, soon after it."""
        if self.busy or self._queue.busy:
            return
        with self._disk:
            if self.spool_sync is not None:
                self.spool_sync.commit(everything=True)

    def settle(self) -> None:
        """Pass settled events on to the callback and, under the lock of the disk, to the spool."""
        settled = list(drain(self._queue.stats.settled))
        for each in settled:
            self._engine.observe(Delivered(each.outcome, tuple(event.uuid for event in each.events)))
        if self.spool_sync is not None:
            self.spool_sync.settle(settled, monotonic())

    def publish(self) -> None:
        """Log the notices of the machines, and pass them on to the callback."""
        for notices in self._notices:
            for notice in drain(notices):
                self._log(notice.level, notice.text)
                self._engine.observe(Incident(notice.level, notice.text))

    def report(self, kind: str, text: str) -> None:
        """Count a failure that was survived, and log the first one of its kind."""
        self._reported[kind] += 1
        if self._reported[kind] == 1:
            self._log("warning", f"{kind}: {text}")
            self._engine.observe(Incident("warning", f"{kind}: {text}"))

    def incidents(self) -> Mapping[str, int]:
        """The number of failures, by kind."""
        observer = self._engine.observer
        if observer is None:
            return self._reported
        observed = {
            "observe": observer.failures,
            "hooks": observer.hook_failures,
            "unobserved": observer.lost,
        }
        return {**self._reported, **observed}

    def close(self) -> None:
        """Leave what waits to the spool, or drop and count it; a disk that hangs is not waited for."""
        free = self._disk.acquire(timeout=_DISK_PATIENCE)
        try:
            self._queue.stop_accepting()  # first: what a handler offers after the commit would reach no disk
            if free and self.spool_sync is not None:
                self.spool_sync.commit(everything=True)
            lost = self._drop_pending() + self._queue.close(self._on_disk())
            in_flight = self._queue.by_state()[EventState.IN_FLIGHT]
            unheard = sum(event.uuid not in self._on_disk() for event in in_flight)
            if lost or unheard:
                self.report("closed", _closing_report(lost, unheard))
            if free:
                self.settle()
                if self.spool_sync is not None:
                    self.spool_sync.close()
                    self.spool_sync = None
        finally:
            if free:
                self._disk.release()
        self.publish()

    def _on_disk(self) -> Container[str]:
        return self.spool_sync.on_disk if self.spool_sync is not None else ()

    def _drop_pending(self) -> int:
        with self._engine.lock:
            waiting = self._engine.pending.take_all()
        on_disk = self._on_disk()
        lost = sum(event_ids(uuid)[0] not in on_disk for uuid in waiting)
        if lost:
            self._queue.stats.refuse(lost, monotonic(), DropReason.CLOSED)
        return lost

    def _log(self, level: Level, text: str) -> None:
        _log.log(logging.getLevelNamesMapping()[level.upper()], text)


def _closing_report(lost: int, unheard: int) -> str:
    """The sentence about events that are neither delivered nor on disk."""
    parts = [f"{lost} events were not delivered in time and are dropped"] if lost else []
    if unheard:
        parts.append(f"{unheard} events were sent and had no answer in time")
    return ", ".join(parts)


class Worker:
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
        register_exit_hook(self)

    def _set_up(self) -> None:
        """Make everything that belongs to one process and one kind of threads."""
        self._ready_by: float | None = None
        """The time until which the first visitor waits for the document; None before the start."""
        self._primitives = _primitives()
        self._inside: set[int] = set()
        """The threads that are in the middle of a flush, a close or a request of their own."""
        self._flushes: list[FlushRequest] = []
        self._asked: deque[Callable[[], None]] = deque()
        """Flushes and closes that are left to the sender."""

    def reset_after_fork(self) -> None:
        """Start with everything fresh in a child process: what it inherited is neither used nor closed."""
        self.engine.reset_after_fork()
        self.runtime.reset_after_fork()
        self._set_up()
        if self.closed:
            self.runtime.queue.close()

    def _adapt(self) -> None:
        """Reset after a fork without hooks, and after a patch of `threading` that came late."""
        check_pid()
        if self._primitives != _primitives():
            self.engine.reset_locks()
            self.runtime.reset_locks()
            self._set_up()

    # For the sender, and whoever takes its place.

    def notify(self) -> None:
        """Wake the sender; for any thread."""
        raise NotImplementedError

    @property
    def is_started(self) -> bool:
        """True once the client was started in this process."""
        return self._ready_by is not None

    @property
    def is_alive(self) -> bool:
        """True while the sender lives."""
        raise NotImplementedError

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
        """Wait in place of the sender; False once the flush is over."""
        seconds = min(seconds, self._after_step())
        if request.over or request.check(self.runtime.next_change):
            return False
        self._pause(max(0.0, min(seconds, request.until - monotonic())))
        return True

    def _pause(self, seconds: float) -> None:
        """Wait so long for a notification, in place of the sender."""
        raise NotImplementedError

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

    def close_by(self, since: float) -> None:
        """Deliver and close, within `shutdown_timeout` seconds from `since` (monotonic seconds)."""
        raise NotImplementedError

    def flush_by(self, since: float) -> None:
        """Deliver within the same time, without closing."""
        raise NotImplementedError

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
        return [*self.runtime.threads]

    @contextmanager
    def _entered(self) -> Iterator[None]:
        """Mark this thread as one that is in the middle of a flush."""
        ident = threading.get_ident()
        outermost = ident not in self._inside
        try:
            self._inside.add(ident)
            yield
        finally:
            if outermost:
                self._inside.discard(ident)

    def _report(self, before: Counts) -> FlushReport:
        return FlushReport.between(before, self.runtime.queue.counts())

    # A client that is collected.

    def abandon(self) -> None:
        """Let the threads end when they have nothing to do: nobody can close the client any more."""
        if self.closed or self.runtime.may_end or not self.is_alive:
            return
        self.runtime.may_end = True
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


def status_of(engine: Engine, queue: EventQueue) -> Status:
    """The figures that every delivery has."""
    stats = queue.stats
    project = engine.project
    return Status(
        revision=project.revision if project is not None else None,
        problems=len(project.problems) if project is not None else 0,
        events=queue.counts(),
        dropped=dict(stats.dropped_by_reason()),
        retries=stats.retries,
        possibly_duplicated=stats.ambiguous,
        last_error=stats.last_error,
        rejected=tuple(stats.rejected_events),
        visitors=len(engine.states),
        pending_conversions=len(engine.pending),
        incidents={"mismatched": engine.mismatched} if engine.mismatched else {},
    )
