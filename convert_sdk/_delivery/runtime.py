"""One process's part of a client: its queue, poller and spool, and the threads beside the sender.

Theory of operation
-------------------
*Who does what.* The sender sends tracking requests and nothing else. Fetches have a thread (or task) of their own, and
so have the spool, a store that blocks, and the application's `observe` callback, each started when first needed. None
of them waits for another; each wakes the sender when it has done something.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from math import inf
from random import random
from typing import TYPE_CHECKING
from weakref import ref

from convert_sdk._core.events import TrackingContext
from convert_sdk._http.messages import request_headers
from convert_sdk._process.clock import monotonic
from convert_sdk._process.exit import sigterm_state
from convert_sdk._process.fork import import_all, no_fork
from convert_sdk._process.locks import Latch, held_by_this_thread
from convert_sdk.errors import ConvertError, FetchError
from convert_sdk.observation import DocumentChanged
from convert_sdk.options import Options
from convert_sdk.project import Project
from convert_sdk.status import Status, StoreDeletion

from .background import BackgroundThread, drain
from .engine import Engine
from .flush_request import Flush, FlushRequest
from .forgetting import ForgetRequest, deletion_of
from .maintenance import Maintenance
from .override_file import override_file
from .poller import ConfigPoller
from .previews import document_source
from .queue import DeliveryConfig, Endpoint, EventQueue
from .sections import SectionGuard
from .store_writer import StoreWriter, store_thread

if TYPE_CHECKING:
    import httpx

    from convert_sdk._config.cache import DocumentCache
    from convert_sdk._http.environment import Flaw
    from convert_sdk.stores import Store

    from .follower import DocumentFollower
    from .status_report import StatusReport


_NEEDED_TO_DECIDE = (
    "pydantic_core",
    "convert_sdk._config.compile",
    "convert_sdk._config.json",
    "convert_sdk._core.js_regex.pattern",
    "regex",  # the first pattern would import it, in any thread, while another one forks
)
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
_LAST_WORD = 0.1
"""Seconds for observers at a close whose time is up: the loss of its last events is for them to know."""
_JUST_AFTER = 0.01
"""Seconds after which a document that gets stale is looked at."""
_EMPTY = b'{"account_id": "0", "project": {"id": "0", "name": "overrides alone"}}'
"""The document of a client that is local only."""
_log = logging.getLogger("convert_sdk")


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
        self._followers: tuple[ref[DocumentFollower], ...] = ()
        self.override_file = override_file(options, engine)
        self._saved: Project | None = None
        """The document that is on disk."""
        self._set_up(etag=None)

    def reset_after_fork(self) -> None:
        """Start with fresh machines: events, files and sockets are the parent's."""
        self._reset_override_file()
        self._inherited += [self.poller, self.queue, self.maintenance, self.status_report, *self.threads]
        self._set_up(etag=self.poller.etag)
        if self.engine.project is not None:
            self._set_endpoint(self.engine.project)

    def reset_locks(self) -> None:
        """Make new locks and threads of the kind that `threading` has at this moment; what waits is kept."""
        self._reset_override_file()
        self._inherited += self.threads
        self._document_lock = threading.RLock()
        self.queue.reset_locks()
        self.poller.reset_locks()
        self.maintenance.reset_locks()
        if self.engine.observer is not None:
            self.engine.observer.reset_locks()
        self._set_up_threads()

    def _reset_override_file(self) -> None:
        if self.override_file is not None:
            self.override_file.reset_locks()

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
        if options.is_local:
            self.poller.stop()
        self._sections = SectionGuard(self.poller)
        self.queue = EventQueue(self._delivery_config(), random=random, notify=self.notify)
        self.maintenance = Maintenance(
            self.engine, self.queue, (self.queue.stats.notices, self.poller.notices, self.engine.notices)
        )
        self.engine.on_notice = self.notify
        self.status_report = self._status_report()
        if options.spool is not None:
            from .spool_sync import SpoolSync, open_spool

            self.engine.pending.unwritten = options.max_queue

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
        self.spool_thread = self.store_thread = self.observer_thread = self.status_thread = None
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
        status_report = self.status_report
        if status_report is not None:
            self.status_thread = BackgroundThread(
                "convert_sdk-status",
                lambda _: status_report.send(),
                lambda: inf if self.may_end and not self.has_work else status_report.due(),
                done=_nothing,
                on_error=self.report_error,
                may_end=may_end,
            )

    def _status_report(self) -> StatusReport | None:
        if self.options.status_file is None and self.options.status_url is None:
            return None
        from .status_report import StatusReport

        return StatusReport(self.options, self.maintenance.report)

    def start_onlookers(self) -> None:
        """Start the threads of those who only look on: at the end of the process, none could be."""
        for thread in (self.observer_thread, self.status_thread):
            if thread is not None:
                thread.start()

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

    def notify_document(self) -> None:
        """Have the spool look at what waited for a document."""
        if self.spool_thread is not None and self.engine.project is not None:
            self.spool_thread.notify()

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

    def accept_document(self, body: bytes, confirm: Callable[[], None]) -> None:
        """Serve the document from now on. Raises ConvertError for one that is no good, and keeps the last.

        `confirm` is called right before, so that the status never calls the document in use unconfirmed.
        """
        project = Project.parse(body, bucketing=self.options.bucketing)
        served = self.engine.project
        if served is not None and (served.account_id, served.id) != (project.account_id, project.id):
            raise FetchError("the document is of another project", status=200)
        if served is not None:
            project.gone = self._sections.check(served, project)
        if served is None:
            confirm()
            self._serve(project)
            project.warm()
        else:
            project.warm()
            confirm()
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
        if observer is None and not self._followers and not _log.isEnabledFor(logging.INFO):
            return
        from convert_sdk._config.changes import difference

        change = DocumentChanged(before.revision, after.revision, *difference(before.source, after.source))
        counts = f"{len(change.added)} added, {len(change.removed)} removed, {len(change.changed)} changed"
        revisions = f"from {change.old_revision} to {change.new_revision}"
        _log.info("the document changed %s: experiences %s", revisions, counts)
        self.engine.observe(change)
        for follower in self.followers:
            follower.replaced(change, before, after)

    def follow(self, follower: DocumentFollower, *, follows: bool = True) -> None:
        """Have somebody follow the document, for as long as somebody else holds them; or no longer."""
        with self._document_lock:
            others = [each for each in self.followers if each is not follower]
            self._followers = tuple(map(ref, [*others, follower] if follows else others))

    @property
    def followers(self) -> list[DocumentFollower]:
        """Those who follow the document."""
        return [follower for each in self._followers if (follower := each()) is not None]

    def update_followers(self, seconds: float) -> float:
        """Have those who follow the document look at it; returns the seconds to the next look, at the most so many."""
        if not self._followers:
            return seconds
        for follower in self.followers:
            try:
                follower.look()
            except Exception as error:  # noqa: BLE001  # it may be the application's own
                self.report_error(error)
        fresh_for = self.poller.stale_at - monotonic()
        return min(seconds, fresh_for + _JUST_AFTER) if fresh_for >= 0 else seconds

    @property
    def is_stale(self) -> bool:
        """True while the document may be out of date."""
        return self.poller.stale(monotonic()) and not self.options.is_local

    def load_cached(self) -> None:
        """Read the overrides, and serve the document that an earlier process left until the server has a newer one."""
        if self.override_file is not None:
            self.override_file.load()
        if self.options.is_local and self.engine.project is None:
            import_all(_NEEDED_TO_DECIDE)
            self._serve(Project.parse(_EMPTY, bucketing=self.options.bucketing))
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
                self._tracking_headers(),
                TrackingContext(project.account_id, project.id, options.source, options.report_id),
                options.enriches,
            )
        )

    def _tracking_headers(self) -> Mapping[str, str]:
        headers = request_headers(self.options.sdk_secret)
        return headers if self.status_report is None else {**headers, **self.status_report.headers}

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
        return bool(self.unsent)

    @property
    def unsent(self) -> int:
        """The number of events, and of conversions before the first document, that wait or are in a request."""
        # In this order: conversions move from `pending` into the queue.
        return len(self.engine.pending) + self.queue.counts().pending

    @property
    def only_in_memory(self) -> int:
        """The number of those that lie on no disk."""
        return self.maintenance.only_in_memory

    def send_immediately(self) -> None:
        """Wait for no `flush_interval` any more; return at once."""
        self.queue.send_immediately()

    def send_on(self) -> None:
        """Go on as before a flush that was thought to be the last."""
        self.queue.send_until(inf)

    def stop_accepting(self) -> None:
        """Accept no event more; the spool, where there is one, then has what waits and nothing that was answered."""
        self.queue.stop_accepting()
        self.maintenance.leave()

    def may_flush_again(self, *, complete: bool) -> bool:
        """Accept no event more; True if others came while a complete flush ended, and do not wait in a spool."""
        self.queue.stop_accepting()
        return complete and self.has_events and self.options.spool is None

    @property
    def has_work(self) -> bool:
        """True while anything waits: events, changes for the store, rows of the spool, observations."""
        observer = self.engine.observer
        return (
            self.has_events
            or bool(self.store_writer.waiting or self.maintenance.forgets)
            or self.maintenance.has_rows
            or self.maintenance.due() <= monotonic()  # also the first look at what other processes left
            or (observer is not None and not observer.is_idle)
        )

    def begin_flush(self, until: float, kind: Flush) -> FlushRequest:
        """Ask everybody to work at once, and say what is to be waited for until the deadline, in monotonic seconds."""
        queue = self.queue
        if kind is Flush.LAST:
            queue.stop_sending()
            return FlushRequest(
                until, iter([lambda: not queue.counts().in_flight]), lambda: False, releases=False
            )
        if kind is Flush.ENDING and self.options.spool is not None:
            queue.send_until(until)  # cut short, a request would be sent again by the next process
        failures = queue.forced_failures
        return FlushRequest(
            until,
            self._flush_steps((monotonic() + until) / 2, everything=kind is Flush.CLOSING),
            lambda: kind is Flush.NOW and queue.forced_failures > failures,
            releases=kind is not Flush.NOW and self.options.store is not None,
        )

    def _flush_steps(self, halfway: float, *, everything: bool) -> Iterator[Callable[[], bool]]:
        """The conditions of a flush, in their order; each background thread is asked when its turn comes."""
        queue, spool_sync = self.queue, self.maintenance.spool_sync
        whole = everything or bool(self.engine.pending)  # conversions without a document are in no snapshot
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
        if everything:
            queue.send_immediately()  # what comes meanwhile is waited for, too
        else:
            queue.override_backoff()
        yield lambda: written.is_open
        if whole:
            yield self._nothing_waits
        elif queue.stats.spooled or (spool_sync is not None and spool_sync.found > found):
            # Those on disk only, and those of earlier processes, have no place in a snapshot before they are back.
            returned = queue.all_returned_at()
            yield lambda: self._waives_unless(not queue.stats.spooled or queue.stats.returned >= returned)
            back = queue.snapshot()
            yield lambda: self._waives_unless(queue.is_settled(back))
        else:
            yield lambda: queue.is_settled(snapshot)
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

    def _nothing_waits(self) -> bool:
        """True once no event waits."""
        return self._waives_unless(not self.has_events)

    def _waives_unless(self, holds: bool) -> bool:
        """Have what came meanwhile, from the disk or with the document, go at once, unless the condition holds."""
        if not holds:
            self.queue.waive_interval(monotonic())
        return holds

    # Forgetting.

    def begin_forget(self, visitor_id: str) -> ForgetRequest:
        """Forget a visitor in memory, and have the threads do it in the spool and in a store that blocks."""
        spool_thread, store_thread = self.spool_thread, self.store_thread
        store = deletion_of(self.options.store)
        request = ForgetRequest(visitor_id, in_spool=spool_thread is not None, store=store)
        if store is StoreDeletion.UNSUPPORTED:
            self.maintenance.report(
                "forget", "the store has no delete: what it holds of a visitor stays there"
            )
        request.queued = self.engine.forget(visitor_id)
        self.store_writer.forget(request)
        self.maintenance.forgets.append(request)
        if spool_thread is not None:
            spool_thread.request_all()
        else:
            self.maintenance.forget_all()
            self.maintenance.settle()
        if store_thread is not None and self.store_writer.deletions:
            store_thread.request_all()
        return request

    def next_change(self) -> float:
        """The time at which something can happen next; 0 while somebody is at work."""
        if self.engine.pending.in_hand or any(thread.is_asked for thread in self.threads):
            return 0.0
        due = min(self.queue.next_change(), self.maintenance.next_change())
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
        self.engine.visitors.lost += self.store_writer.to_save
        self.store_writer.give_up_deletions()
        self.maintenance.close(until)
        observer = self.engine.observer
        if self.observer_thread is not None and observer is not None:
            if not observer.is_idle and self.observer_thread.start():
                self.observer_thread.request_all().wait(max(_LAST_WORD, until - monotonic()))
            elif not self.observer_thread.is_alive:
                observer.deliver(until)
            self.observer_thread.stop()
            observer.drop()
        self._end_status(until)

    def _end_status(self, until: float) -> None:
        """Report for the last time, if anybody was told anything, and end."""
        report, thread = self.status_report, self.status_thread
        if report is None or thread is None:
            return
        report.closed = True
        if thread.is_alive:
            thread.request_all(inline=False).wait(max(_LAST_WORD, until - monotonic()))
        thread.stop()
        report.close()

    def status(self, *, started: bool, alive: bool) -> Status:
        """The figures of this moment."""
        now = monotonic()
        since = self.queue.stats.failing_since
        return status_of(self.engine, self.queue)._replace(
            started=started,
            endpoint=self.queue.stats.endpoint_state,
            failing_for=0.0 if since is None else now - since,
            age=self.poller.age(now),
            stale=self.is_stale,
            fetch_error=self.poller.error,
            incidents=self._incidents(),
            breaker=getattr(getattr(self.options.store, "breaker", None), "state", None),
            worker_alive=alive,
            sigterm=sigterm_state() if self.options.flush_on_sigterm else None,
        )

    def _incidents(self) -> Mapping[str, int]:
        counts = {**self.maintenance.incidents(), **incidents_of(self.engine)}
        return {name: count for name, count in counts.items() if count}


def _nothing() -> None:
    """A report to somebody who looks on is nothing that the sender waits for."""


def status_of(engine: Engine, queue: EventQueue) -> Status:
    """The figures that every delivery has."""
    engine.expire_held()
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
        incidents={name: count for name, count in incidents_of(engine).items() if count},
        bots=engine.bots,
    )


def incidents_of(engine: Engine) -> Mapping[str, int]:
    """The number of failures that every delivery may have, by kind."""
    visitors, observer = engine.visitors, engine.observer
    counts = {"unsaved": visitors.lost, "load": visitors.failed_loads, "mismatched": engine.mismatched}
    if observer is None:
        return counts
    return {
        **counts,
        "observe": observer.failures,
        "hooks": observer.hook_failures,
        "unobserved": observer.lost,
    }
