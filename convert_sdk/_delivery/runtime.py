"""A client's line to Convert: the document comes in by it, the events go out."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Container, Generator, Mapping
from contextlib import closing
from math import inf
from random import random
from threading import Condition, Lock, RLock
from time import monotonic
from typing import TYPE_CHECKING, Literal, NamedTuple

from convert_sdk._config.source import Source
from convert_sdk._core.events import TrackingContext
from convert_sdk._delivery.poller import Feed
from convert_sdk._http.messages import request_headers
from convert_sdk._process.fork import import_all, no_fork
from convert_sdk._process.locks import held_by_this_thread
from convert_sdk.errors import ConvertError, FetchError
from convert_sdk.observation import Delivered, Lapse
from convert_sdk.options import Options
from convert_sdk.project import Project
from convert_sdk.status import Status

from .background import drained
from .engine import Engine, event_ids
from .previews import source_of
from .queue import Outbox, Target, Terms
from .store_writer import Saving

if TYPE_CHECKING:
    import httpx

    from convert_sdk._config.cache import DocumentCache
    from convert_sdk._core.events import Event

    from .background import Scribe
    from .loop import Machine
    from .spool_sync import Shelf
    from .stats import Ending, Notice


_LONGEST_REST = 3_600.0
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


class Line:
    """Feed, outbox and upkeep around one engine, in one process; `reopen` begins anew in a forked one."""

    def __init__(self, options: Options, key: str, engine: Engine, *, wake: Callable[[], None]) -> None:
        self.options = options
        self.key = key
        self.engine = engine
        self.restarts = 0
        self.wake = wake
        """Something is due earlier than the worker knows."""
        self._inherited: list[object] = []
        self._remembered: Project | None = None
        self._scribe: Scribe | None = None
        self._open(etag=None)

    def reopen(self) -> None:
        """Begin anew in a forked process: what waited, and every open file and socket, is the parent's."""
        self._inherited += [self.feed, self.outbox, self.upkeep, self._scribe]
        self._open(etag=self.feed.etag)
        if self.engine.project is not None:
            self._address(self.engine.project)

    def _open(self, etag: str | None) -> None:
        options = self.options
        source = source_of(options, self.key)
        self.turned = Condition()
        """Told after each exchange."""
        self._cache = self._open_cache(source)
        self._remembering = Lock()
        self.feed = Feed(source, self.take, dice=random, refresh=options.refresh_interval)
        self.feed.prime(etag)
        self.outbox = Outbox(self._terms(), dice=random, wake=self.stir)
        self.upkeep = Upkeep(self.engine, self.outbox, self.feed.notices)
        self.upkeep.shelf = self._open_shelf()
        self._scribe = self._open_scribe()
        self.saving = Saving(self.engine, self.outbox, self.upkeep.lapse)
        self.engine.outbox = self.outbox if options.tracking else None
        self.engine.after_offer = self.upkeep.commit if options.durability == "sync" else None

    def _open_shelf(self) -> Shelf | None:
        options = self.options
        if options.spool is None:
            return None
        from .spool_sync import Shelf, open_spool

        spool = open_spool(options.spool, self.key, options)
        lapse = self.upkeep.lapse
        return Shelf(spool, self.engine, self.outbox, capacity=options.max_queue, lapse=lapse)

    def _open_scribe(self) -> Scribe | None:
        upkeep = self.upkeep
        if upkeep.shelf is None:
            return None
        from .background import Scribe

        return Scribe(
            "convert_sdk-spool",
            lambda everything: upkeep.write(everything=everything),
            upkeep.due,
            done=self.wake,
            trouble=self.complain,
        )

    def stir(self) -> None:
        """Something is due earlier than whoever works for this line knows."""
        if self._scribe is not None:
            self._scribe.stir()
        self.wake()

    def _open_cache(self, source: Source) -> DocumentCache | None:
        if self.options.cache_dir is None:
            return None
        from convert_sdk._config.cache import DocumentCache

        return DocumentCache(self.options.cache_dir, source)

    def _terms(self) -> Terms:
        options = self.options
        return Terms(
            max_queue=options.max_queue,
            batch_size=min(options.batch_size, max(1, options.max_queue // 2)),  # before the queue is full
            flush_interval=options.flush_interval,
            delivery=options.delivery,
            timeout=options.request_timeout,
            durable=options.spool is not None,
            watched=options.spool is not None or options.observe is not None,
        )

    # The document.

    def take(self, body: bytes) -> None:
        """Serve the document from now on. Raises ConvertError for one that is no good, and keeps the last."""
        project = Project.parse(body, bucketing=self.options.bucketing)
        served = self.engine.project
        if served is not None and (served.account_id, served.id) != (project.account_id, project.id):
            raise FetchError("the document is of another project", status=200)
        if served is None:
            self._serve(project)
            project.warm()
        else:
            project.warm()
            self._serve(project)

    def recall(self) -> None:
        """Serve the document that an earlier process left on disk, until the server has a newer one."""
        cached = self._cache.load() if self._cache is not None and self.engine.project is None else None
        if cached is None:
            return
        import_all(_NEEDED_FIRST)
        try:
            self._serve(Project.parse(cached.body, bucketing=self.options.bucketing))
        except ConvertError as error:
            self.upkeep.lapse("cache", f"the document on disk cannot be used: {error}")
        else:
            self._remembered = self.engine.project
            self.feed.prime(cached.etag)

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
            cache.save(CachedDocument(project.source, self.feed.etag))
        except OSError as error:
            self.upkeep.lapse("cache", f"the document cannot be kept on disk: {error.strerror}")

    def _serve(self, project: Project) -> None:
        self._address(project)
        self.engine.install(project)

    def _address(self, project: Project) -> None:
        options = self.options
        endpoint = options.track_endpoint.replace("[project_id]", project.id).removesuffix("/")
        self.outbox.address(
            Target(
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
        return held_by_this_thread(self.engine.lock) or self.outbox.books.busy or self.upkeep.busy

    def do_chores(self, *, everything: bool = False) -> None:
        """Do what is due besides exchanges, and tell who waits for an exchange."""
        self._remember()
        self.upkeep.run(everything=everything)
        with self.turned:
            self.turned.notify_all()

    def catch_up(self) -> None:
        """Do the chores that are due, where no worker may be there to do them."""
        if self.upkeep.due() <= monotonic():
            self.upkeep.run(everything=True)

    def rest(self, seconds: float, now: float) -> float:
        """How long a worker may wait that has nothing to exchange for so many seconds."""
        return min(seconds, self.upkeep.due() - now, _LONGEST_REST)

    def deliver(self, client: httpx.Client, until: float, *, everything: bool) -> None:
        """Send in this thread what waits, until `until` comes; `everything`: what is offered meanwhile too."""
        from .loop import resume, turn

        with closing(delivery(self, until, everything=everything)) as steps:
            step: Machine | float | None = next(steps, None)
            while step is not None:
                moved = False
                if isinstance(step, (int, float)):
                    with self.turned:
                        self.turned.wait(step)
                    self.catch_up()
                elif moved := turn(step, client, within=until - monotonic()):
                    self.do_chores(everything=True)
                step = resume(steps, moved)

    def complain(self, error: BaseException) -> None:
        """Note an exception that should not have been."""
        self.upkeep.lapse("worker", type(error).__name__)

    def open_client(self) -> httpx.Client:
        """A client for exchanges in a thread."""
        from httpx import BaseTransport

        from convert_sdk._http.client import open_client

        transport = self.options.transport
        own = transport if isinstance(transport, BaseTransport) else None
        with no_fork():
            return open_client(transport=own, ca_bundle=self.options.ca_bundle, proxy=self.options.proxy)

    def open_async_client(self) -> httpx.AsyncClient:
        """A client for exchanges in a task."""
        from httpx import AsyncBaseTransport

        from convert_sdk._http.client import open_async_client

        transport = self.options.transport
        own = transport if isinstance(transport, AsyncBaseTransport) else None
        with no_fork():
            return open_async_client(
                transport=own, ca_bundle=self.options.ca_bundle, proxy=self.options.proxy
            )

    def finish(self, until: float) -> None:
        """Send what waits in this thread, with connections of its own; one that never had anything needs none."""
        if self.waits and not self._wants_a_loop():
            self.do_chores(everything=True)
            with self.open_client() as client:
                self.deliver(client, until, everything=True)

    def _wants_a_loop(self) -> bool:
        transport = self.options.transport
        return transport is not None and not hasattr(transport, "handle_request")

    @property
    def waits(self) -> bool:
        """Whether anything waits to be sent."""
        return bool(self.outbox.counts().pending or self.engine.kept)

    @property
    def touches_disk(self) -> bool:
        """Whether chores may block."""
        options = self.options
        return options.spool is not None or options.cache_dir is not None or options.observe is not None

    def stop_waiting_for_the_store(self, *, answers: bool) -> None:
        """At the end, what a store that is down should have claimed goes out unclaimed, or waits in the spool."""
        if (self.saving.down or not answers) and self.options.spool is None:
            self.outbox.release(monotonic())

    def leave(self) -> None:
        """Close for good: what is not sent stays in the spool, or is dropped and counted."""
        if self._scribe is not None:
            self._scribe.stop()
        self.engine.memory.lost += self.saving.unsaved
        self.upkeep.close()

    def status(self, *, alive: bool) -> Status:
        """The figures of this moment."""
        now = monotonic()
        return status_of(self.engine, self.outbox)._replace(
            age=self.feed.age(now),
            stale=self.feed.stale(now),
            fetch_error=self.feed.error,
            lapses=self._lapses(),
            breaker=getattr(getattr(self.options.store, "breaker", None), "state", None),
            worker_alive=alive,
        )

    def _lapses(self) -> Mapping[str, int]:
        memory = self.engine.memory
        survived = {"worker": self.restarts, "unsaved": memory.lost, "load": memory.failed_loads}
        return {name: count for name, count in {**self.upkeep.survived(), **survived}.items() if count}


Level = Literal["info", "warning", "error"]
_PATIENCE = 0.1
_log = logging.getLogger("convert_sdk")


class Upkeep:
    """The chores of one client. Everything here may touch disks and call the application; nothing here decides."""

    def __init__(self, engine: Engine, outbox: Outbox, notices: deque[Notice]) -> None:
        self.shelf: Shelf | None = None
        """Set where there is a spool."""
        self._engine = engine
        self._outbox = outbox
        self._notices = (outbox.ledger.notices, notices)
        self._survived: Counter[str] = Counter()
        self._disk = RLock()

    def due(self) -> float:
        """When the next chore is due; what wakes the worker need not be foreseen here."""
        shelf = self.shelf
        return shelf.due() if shelf is not None else inf

    def run(self, *, everything: bool = False) -> None:
        """Do what is due: commit to the spool, bring back what waits there, settle what was delivered, tell."""
        self.write(everything=everything)
        self._tell()

    def write(self, *, everything: bool = False) -> None:
        """The part of it that touches the disk."""
        with self._disk:
            if self.shelf is not None:
                self.shelf.commit(everything=everything)
                self.shelf.restock(monotonic())
            self._settle()

    @property
    def busy(self) -> bool:
        """Whether a signal's handler asks, in the middle of what this thread writes."""
        return held_by_this_thread(self._disk)

    def commit(self) -> None:
        """Write what was offered to the spool before this returns; in the middle of that, it is left to who began."""
        if self.busy or self._outbox.books.busy:
            return
        with self._disk:
            if self.shelf is not None:
                self.shelf.commit(everything=True)

    def _settle(self) -> None:
        endings: list[Ending] = list(drained(self._outbox.ledger.endings))
        for ending in endings:
            self._engine.note(Delivered(ending.fate, tuple(event.uuid for event in ending.events)))
        if self.shelf is not None:
            self.shelf.settle(endings, monotonic())

    def _tell(self) -> None:
        for notices in self._notices:
            for notice in drained(notices):
                self._log(notice.level, notice.text)
                self._engine.note(Lapse(notice.level, notice.text))
        if self._engine.seen is not None:
            self._engine.seen.tell()

    def close(self) -> None:
        """Leave what waits to the spool, or drop and count it. A disk that hangs is not waited for."""
        free = self._disk.acquire(timeout=_PATIENCE)
        try:
            if free and self.shelf is not None:
                self.shelf.commit(everything=True)
            lost = self._drop_kept() + self._outbox.close(self._on_disk())
            waiting = self._outbox.waiting().values()
            unheard = sum(event.uuid not in self._on_disk() for event in waiting)
            if lost or unheard:
                self.lapse("closed", _farewell(lost, unheard))
            if free:
                self._settle()
                if self.shelf is not None:
                    self.shelf.close()
                    self.shelf = None
        finally:
            if free:
                self._disk.release()
        self._tell()

    def _on_disk(self) -> Container[str]:
        return self.shelf.here if self.shelf is not None else ()

    def _drop_kept(self) -> int:
        with self._engine.lock:
            kept, self._engine.kept = self._engine.kept, {}
        on_disk = self._on_disk()
        lost = sum(event_ids(uuid)[0] not in on_disk for uuid in kept)
        if lost:
            self._outbox.ledger.refuse(lost, monotonic(), "closed")
        return lost

    def _log(self, level: Level, text: str) -> None:
        _log.log(logging.getLevelNamesMapping()[level.upper()], text)

    def lapse(self, kind: str, text: str) -> None:
        """Count a failure that was survived, and say so the first time."""
        self._survived[kind] += 1
        if self._survived[kind] == 1:
            self._log("warning", f"{kind}: {text}")
            self._engine.note(Lapse("warning", f"{kind}: {text}"))

    def survived(self) -> Mapping[str, int]:
        """The failures by kind."""
        seen = self._engine.seen
        observed = {"observe": seen.failures, "unobserved": seen.lost} if seen is not None else {}
        return {**self._survived, **{kind: count for kind, count in observed.items() if count}}


def _farewell(lost: int, unheard: int) -> str:
    """What becomes of events that are neither delivered nor on disk."""
    said = [f"{lost} events were not delivered in time and are dropped"] if lost else []
    if unheard:
        said.append(f"{unheard} events were sent and had no answer in time")
    return ", ".join(said)


def delivery(line: Line, until: float, *, everything: bool) -> Generator[Machine | float, bool, None]:
    """The steps of sending what waits, until it is sent or `until` comes; monotonic seconds.

    Yields a machine to take a turn with, and is sent whether there was one; or seconds to wait for `line.turned`.
    `everything`: what is offered meanwhile is waited for, too.
    """
    outbox, feed = line.outbox, line.feed
    awaited = None if everything else _awaited(line)
    outbox.hurry()
    try:
        while (now := monotonic()) < until:
            if line.engine.project is None and (yield feed):
                continue
            if (yield outbox):
                continue
            if _is_done(line, awaited):
                return
            fetch = feed.due() if line.engine.project is None else inf
            due = min(outbox.due(), fetch, line.upkeep.due())
            if due > until and not _elsewhere(line):
                return
            yield max(0.0, min(due, until) - now)
    finally:
        # A worker that looked while the exchange was ours saw nothing due, and would sleep on what we leave.
        line.wake()


class Awaited(NamedTuple):
    """What waited when a flush began, and how many events had settled once all of it had."""

    events: Mapping[int, Event]
    settled: int


def _awaited(line: Line) -> Awaited | None:
    """What waits now; None where some of it has no event in memory yet."""
    if line.engine.kept or line.outbox.ledger.spooled:
        return None
    counts, events = line.outbox.counts(), line.outbox.waiting()
    return Awaited(events, counts.offered - counts.pending + len(events))


def _is_done(line: Line, awaited: Awaited | None) -> bool:
    counts = line.outbox.counts()
    if awaited is None:
        return not counts.pending and not line.engine.kept
    if counts.offered - counts.pending < awaited.settled:  # looking at every event is for the end
        return False
    return awaited.events.keys().isdisjoint(line.outbox.waiting())


def _elsewhere(line: Line) -> bool:
    """Whether another thread has an exchange under way, whose answer may change what is due."""
    return line.outbox.counts().in_flight > 0 or line.feed.due() == inf


def status_of(engine: Engine, outbox: Outbox) -> Status:
    """The figures that every delivery has."""
    ledger = outbox.ledger
    project = engine.project
    return Status(
        revision=project.revision if project is not None else None,
        problems=len(project.problems) if project is not None else 0,
        events=outbox.counts(),
        dropped=dict(ledger.losses()),
        retries=ledger.retries,
        doubted=ledger.doubted,
        last_error=ledger.trouble,
        dead=tuple(ledger.dead_events),
        visitors=len(engine.states),
        kept=len(engine.kept),
    )
