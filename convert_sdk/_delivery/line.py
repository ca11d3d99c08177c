"""A client's line to Convert: the document comes in by it, the events go out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from random import random
from threading import Condition, Lock
from time import monotonic
from typing import TYPE_CHECKING

from convert_sdk._config.feed import Feed, Source
from convert_sdk._core.events import Address
from convert_sdk._http.messages import Machine, request_headers
from convert_sdk._process.fork import import_all, unforked
from convert_sdk._process.locks import is_mine
from convert_sdk.errors import ConvertError, FetchError
from convert_sdk.options import Options
from convert_sdk.project import Project
from convert_sdk.status import Status, status_of

from .delivery import delivery
from .engine import Engine
from .outbox import Outbox
from .questions import source_of
from .saving import Saving
from .terms import Target, Terms
from .upkeep import Upkeep

if TYPE_CHECKING:
    import httpx

    from convert_sdk._config.cache import DocumentCache

    from .scribe import Scribe
    from .shelf import Shelf


_LONGEST_REST = 3_600.0
_NEEDED_FIRST = ("pydantic_core", "convert_sdk._config.compile", "convert_sdk._config.json")
NEEDED = (
    *_NEEDED_FIRST,
    "convert_sdk._http.client",
    "convert_sdk._delivery.carry",
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
        from .shelf import Shelf, open_spool

        spool = open_spool(options.spool, self.key, options)
        lapse = self.upkeep.lapse
        return Shelf(spool, self.engine, self.outbox, capacity=options.max_queue, lapse=lapse)

    def _open_scribe(self) -> Scribe | None:
        upkeep = self.upkeep
        if upkeep.shelf is None:
            return None
        from .scribe import Scribe

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
                Address(project.account_id, project.id, options.source),
                options.enriches,
            )
        )

    # Chores and delivery, for whichever thread does them.

    @property
    def busy(self) -> bool:
        """Whether a signal's handler asks, in the middle of what this thread decides, counts or writes."""
        return is_mine(self.engine.lock) or self.outbox.books.busy or self.upkeep.busy

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
        from .carry import resume, turn

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
        with unforked():
            return open_client(transport=own, ca_bundle=self.options.ca_bundle, proxy=self.options.proxy)

    def open_async_client(self) -> httpx.AsyncClient:
        """A client for exchanges in a task."""
        from httpx import AsyncBaseTransport

        from convert_sdk._http.client import open_async_client

        transport = self.options.transport
        own = transport if isinstance(transport, AsyncBaseTransport) else None
        with unforked():
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
