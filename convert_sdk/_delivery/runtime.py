"""A client's line to Convert: the document comes in by it, the events go out."""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Container, Generator, Mapping
from contextlib import closing
from math import inf
from random import random
from typing import TYPE_CHECKING, Literal

from convert_sdk._config.source import DocumentSource
from convert_sdk._core.events import TrackingContext
from convert_sdk._http.messages import request_headers
from convert_sdk._process.clock import monotonic
from convert_sdk._process.fork import import_all, no_fork
from convert_sdk._process.locks import held_by_this_thread
from convert_sdk.errors import ConvertError, FetchError
from convert_sdk.observation import Delivered, Incident
from convert_sdk.options import Options
from convert_sdk.project import Project
from convert_sdk.status import DropReason, Status

from .background import drain
from .engine import Engine, event_ids
from .poller import ConfigPoller
from .previews import document_source
from .queue import DeliveryConfig, Endpoint, EventQueue, EventState, Snapshot
from .sections import SectionGuard
from .store_writer import StoreWriter

if TYPE_CHECKING:
    import httpx

    from convert_sdk._config.cache import DocumentCache

    from .background import BackgroundThread
    from .loop import Machine
    from .spool_sync import SpoolSync
    from .stats import Notice, Settled


_LONGEST_WAIT = 3_600.0
_NEEDED_FIRST = ("pydantic_core", "convert_sdk._config.compile", "convert_sdk._config.json")
NEEDED = (
    *_NEEDED_FIRST,
    "convert_sdk._http.client",
    "convert_sdk._delivery.loop",
    "convert_sdk.observation",
    "email.utils",
    "encodings.idna",
    "json",
)
NEEDED_BY_LOOPS = (
    *NEEDED,
    "anyio.streams.tls",
    "anyio._backends._asyncio",
    "anyio._core._sockets",
    "anyio.abc",
)
"""As above, and what httpx imports in the middle of its first connection."""


class Runtime:
    """Poller, queue and maintenance around one engine, in one process."""

    def __init__(self, options: Options, key: str, engine: Engine, *, notify: Callable[[], None]) -> None:
        self.options = options
        self.key = key
        self.engine = engine
        self.restarts = 0
        self.notify_worker = notify
        """Something is due earlier than the worker knows."""
        self._inherited: list[object] = []
        self._remembered: Project | None = None
        self._spool_thread: BackgroundThread | None = None
        self._open(etag=None)

    def reset_after_fork(self) -> None:
        """Begin anew in a forked process: what waited, and every open file and socket, is the parent's."""
        self._inherited += [self.poller, self.queue, self.maintenance, self._spool_thread]
        self._open(etag=self.poller.etag)
        if self.engine.project is not None:
            self._set_endpoint(self.engine.project)

    def _open(self, etag: str | None) -> None:
        options = self.options
        source = document_source(options, self.key)
        self.stepped = threading.Condition()
        """Told after each exchange."""
        self._cache = self._open_cache(source)
        self._remembering = threading.Lock()
        self.poller = ConfigPoller(
            source, self.accept_document, random=random, refresh=options.refresh_interval
        )
        self.poller.prime(etag)
        self._sections = SectionGuard(self.poller)
        self.queue = EventQueue(self._config(), random=random, notify=self.notify)
        self.maintenance = Maintenance(self.engine, self.queue, self.poller.notices)
        self.maintenance.spool_sync = self._open_spool_sync()
        self._spool_thread = self._open_spool_thread()
        self.store_writer = StoreWriter(self.engine, self.queue, self.maintenance.report)
        self.engine.queue = self.queue if options.tracking else None
        self.engine.after_offer = self.maintenance.commit if options.durability == "sync" else None

    def _open_spool_sync(self) -> SpoolSync | None:
        options = self.options
        if options.spool is None:
            return None
        from .spool_sync import SpoolSync, open_spool

        spool = open_spool(options.spool, self.key, options)
        report = self.maintenance.report
        return SpoolSync(spool, self.engine, self.queue, capacity=options.max_queue, report=report)

    def _open_spool_thread(self) -> BackgroundThread | None:
        maintenance = self.maintenance
        if maintenance.spool_sync is None:
            return None
        from .background import BackgroundThread

        return BackgroundThread(
            "convert_sdk-spool",
            lambda everything: maintenance.write(everything=everything),
            maintenance.due,
            done=self.notify_worker,
            on_error=self.report_error,
        )

    def notify(self) -> None:
        """Something is due earlier than whoever works for this line knows."""
        if self._spool_thread is not None:
            self._spool_thread.notify()
        self.notify_worker()

    def _open_cache(self, source: DocumentSource) -> DocumentCache | None:
        if self.options.cache_dir is None:
            return None
        from convert_sdk._config.cache import DocumentCache

        return DocumentCache(self.options.cache_dir, source)

    def _config(self) -> DeliveryConfig:
        options = self.options
        return DeliveryConfig(
            max_queue=options.max_queue,
            batch_size=min(options.batch_size, max(1, options.max_queue // 2)),  # before the queue is full
            flush_interval=options.flush_interval,
            delivery=options.delivery,
            timeout=options.request_timeout,
            durable=options.spool is not None,
            keep_settled=options.spool is not None or options.observe is not None,
        )

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

    def load_cached(self) -> None:
        """Serve the document that an earlier process left on disk, until the server has a newer one."""
        cached = self._cache.load() if self._cache is not None and self.engine.project is None else None
        if cached is None:
            return
        import_all(_NEEDED_FIRST)
        try:
            self._serve(Project.parse(cached.body, bucketing=self.options.bucketing))
        except ConvertError as error:
            self.maintenance.report("cache", f"the document on disk cannot be used: {error}")
        else:
            self._remembered = self.engine.project
            self.poller.prime(cached.etag)

    def _remember(self) -> None:
        """Leave the document in use on disk for the next process."""
        if self._cache is None:
            return
        with self._remembering:
            project = self.engine.project
            if project is None or project is self._remembered:
                return
            self._remembered = project
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

    # Chores and delivery, for whichever thread does them.

    @property
    def busy(self) -> bool:
        """Whether a signal's handler asks, in the middle of what this thread decides, counts or writes."""
        return held_by_this_thread(self.engine.lock) or self.queue.busy or self.maintenance.busy

    def maintain(self, *, everything: bool = False) -> None:
        """Do what is due besides exchanges, and tell who waits for an exchange."""
        self._remember()
        self.maintenance.run(everything=everything)
        with self.stepped:
            self.stepped.notify_all()

    def maintain_if_due(self) -> None:
        """Do the chores that are due, where no worker may be there to do them."""
        if self.maintenance.due() <= monotonic():
            self.maintenance.run(everything=True)

    def wait_seconds(self, seconds: float, now: float) -> float:
        """How long a worker may wait that has nothing to exchange for so many seconds."""
        return min(seconds, self.maintenance.due() - now, _LONGEST_WAIT)

    def send_waiting(self, client: httpx.Client, until: float, *, everything: bool) -> None:
        """Send in this thread what waits, until `until` comes; `everything`: what is offered meanwhile too."""
        from .loop import step

        with closing(flush_steps(self, until, everything=everything)) as steps:
            due: Machine | float | None = next(steps, None)
            while due is not None:
                moved = False
                if isinstance(due, (int, float)):
                    with self.stepped:
                        self.stepped.wait(due)
                    self.maintain_if_due()
                elif moved := step(due, client, until=until):
                    self.maintain(everything=True)
                due = resume(steps, moved)

    def report_error(self, error: BaseException) -> None:
        """Note an exception that should not have been."""
        self.maintenance.report("worker", type(error).__name__)

    def open_client(self) -> httpx.Client:
        """A client for exchanges in a thread."""
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
            )

    def open_async_client(self) -> httpx.AsyncClient:
        """A client for exchanges in a task."""
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
            )

    def send_inline(self, until: float) -> None:
        """Send what waits in this thread, with connections of its own; one that never had anything needs none."""
        if self.has_waiting and not self._wants_a_loop():
            self.maintain(everything=True)
            with self.open_client() as client:
                self.send_waiting(client, until, everything=True)

    def _wants_a_loop(self) -> bool:
        transport = self.options.transport
        return transport is not None and not hasattr(transport, "handle_request")

    @property
    def has_waiting(self) -> bool:
        """Whether anything waits to be sent."""
        return bool(self.queue.counts().pending or self.engine.pending)

    @property
    def touches_disk(self) -> bool:
        """Whether chores may block."""
        options = self.options
        return options.spool is not None or options.cache_dir is not None or options.observe is not None

    def release_claims(self, *, answers: bool) -> None:
        """At the end, what a store that is down should have claimed goes out unclaimed, or waits in the spool."""
        if (self.store_writer.down or not answers) and self.options.spool is None:
            self.queue.send_unclaimed(monotonic())

    def close(self) -> None:
        """Close for good: what is not sent stays in the spool, or is dropped and counted."""
        if self._spool_thread is not None:
            self._spool_thread.stop()
        self.engine.visitors.lost += self.store_writer.waiting
        self.maintenance.close()

    def status(self, *, alive: bool) -> Status:
        """The figures of this moment."""
        now = monotonic()
        return status_of(self.engine, self.queue)._replace(
            age=self.poller.age(now),
            stale=self.poller.stale(now),
            fetch_error=self.poller.error,
            incidents=self._incidents(),
            breaker=getattr(getattr(self.options.store, "breaker", None), "state", None),
            worker_alive=alive,
        )

    def _incidents(self) -> Mapping[str, int]:
        visitors = self.engine.visitors
        survived = {"worker": self.restarts, "unsaved": visitors.lost, "load": visitors.failed_loads}
        return {name: count for name, count in {**self.maintenance.incidents(), **survived}.items() if count}


Level = Literal["info", "warning", "error"]
_PATIENCE = 0.1
_log = logging.getLogger("convert_sdk")


class Maintenance:
    """The chores of one client. Everything here may touch disks and call the application; nothing here decides."""

    def __init__(self, engine: Engine, queue: EventQueue, notices: deque[Notice]) -> None:
        self.spool_sync: SpoolSync | None = None
        """Set where there is a spool."""
        self._engine = engine
        self._queue = queue
        self._notices = (queue.stats.notices, notices)
        self._survived: Counter[str] = Counter()
        self._disk = threading.RLock()

    def due(self) -> float:
        """When the next chore is due; what wakes the worker need not be foreseen here."""
        spool_sync = self.spool_sync
        return spool_sync.due() if spool_sync is not None else inf

    def run(self, *, everything: bool = False) -> None:
        """Do what is due: commit to the spool, bring back what waits there, settle what was delivered, tell."""
        self.write(everything=everything)
        self._publish()

    def write(self, *, everything: bool = False) -> None:
        """The part of it that touches the disk."""
        with self._disk:
            if self.spool_sync is not None:
                self.spool_sync.commit(everything=everything)
                self.spool_sync.refill(monotonic())
            self._settle()

    @property
    def busy(self) -> bool:
        """Whether a signal's handler asks, in the middle of what this thread writes."""
        return held_by_this_thread(self._disk)

    def commit(self) -> None:
        """Write what was offered to the spool before this returns; in the middle of that, it is left to who began."""
        if self.busy or self._queue.busy:
            return
        with self._disk:
            if self.spool_sync is not None:
                self.spool_sync.commit(everything=True)

    def _settle(self) -> None:
        settled: list[Settled] = list(drain(self._queue.stats.settled))
        for each in settled:
            self._engine.observe(Delivered(each.outcome, tuple(event.uuid for event in each.events)))
        if self.spool_sync is not None:
            self.spool_sync.settle(settled, monotonic())

    def _publish(self) -> None:
        for notices in self._notices:
            for notice in drain(notices):
                self._log(notice.level, notice.text)
                self._engine.observe(Incident(notice.level, notice.text))
        if self._engine.observer is not None:
            self._engine.observer.deliver()

    def close(self) -> None:
        """Leave what waits to the spool, or drop and count it. A disk that hangs is not waited for."""
        free = self._disk.acquire(timeout=_PATIENCE)
        try:
            self._queue.stop_accepting()  # first: what a handler offers after the commit would reach no disk
            self._queue.stop_accepting()  # first: what a handler offers after the commit would reach no disk
            if free and self.spool_sync is not None:
                self.spool_sync.commit(everything=True)
            lost = self._drop_pending() + self._queue.close(self._on_disk())
            in_flight = self._queue.by_state()[EventState.IN_FLIGHT]
            unheard = sum(event.uuid not in self._on_disk() for event in in_flight)
            if lost or unheard:
                self.report("closed", _closing_report(lost, unheard))
            if free:
                self._settle()
                if self.spool_sync is not None:
                    self.spool_sync.close()
                    self.spool_sync = None
        finally:
            if free:
                self._disk.release()
        self._publish()

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

    def report(self, kind: str, text: str) -> None:
        """Count a failure that was survived, and say so the first time."""
        self._survived[kind] += 1
        if self._survived[kind] == 1:
            self._log("warning", f"{kind}: {text}")
            self._engine.observe(Incident("warning", f"{kind}: {text}"))

    def incidents(self) -> Mapping[str, int]:
        """The failures by kind."""
        observer = self._engine.observer
        observed = {"observe": observer.failures, "unobserved": observer.lost} if observer is not None else {}
        return {**self._survived, **{kind: count for kind, count in observed.items() if count}}


def _closing_report(lost: int, unheard: int) -> str:
    """What becomes of events that are neither delivered nor on disk."""
    said = [f"{lost} events were not delivered in time and are dropped"] if lost else []
    if unheard:
        said.append(f"{unheard} events were sent and had no answer in time")
    return ", ".join(said)


def flush_steps(
    runtime: Runtime, until: float, *, everything: bool
) -> Generator[Machine | float, bool, None]:
    """The steps of sending what waits, until it is sent or `until` comes; monotonic seconds.

    Yields a machine to take a turn with, and is sent whether there was one; or seconds to wait for `runtime.stepped`.
    `everything`: what is offered meanwhile is waited for, too.
    """
    queue, poller = runtime.queue, runtime.poller
    # What is on disk only, or no event yet, is not part of a snapshot: then everything is waited for.
    whole = everything or runtime.engine.pending or queue.stats.spooled
    snapshot = None if whole else queue.snapshot()
    queue.override_backoff()
    try:
        while (now := monotonic()) < until:
            if runtime.engine.project is None and (yield poller):
                continue
            if (yield queue):
                continue
            if _is_done(runtime, snapshot):
                return
            fetch = poller.due() if runtime.engine.project is None else inf
            due = min(queue.due(), fetch, runtime.maintenance.due())
            if due > until and not _request_elsewhere(runtime):
                return
            yield max(0.0, min(due, until) - now)
    finally:
        # A worker that looked while the exchange was ours saw nothing due, and would sleep on what we leave.
        runtime.notify_worker()


def resume(steps: Generator[Machine | float, bool, None], moved: bool) -> Machine | float | None:
    """The next step of a flush; None after the last."""
    try:
        return steps.send(moved)
    except StopIteration:
        return None


def _is_done(runtime: Runtime, snapshot: Snapshot | None) -> bool:
    if snapshot is None:
        return not runtime.has_waiting
    return runtime.queue.is_settled(snapshot)


def _request_elsewhere(runtime: Runtime) -> bool:
    """Tell whether another thread has a request under way, whose response may change what is due."""
    return runtime.queue.counts().in_flight > 0 or runtime.poller.due() == inf


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
    )
