"""A client's line to Convert: the document comes in by it, the events go out."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from math import inf
from random import random
from threading import Condition, Lock
from time import monotonic
from typing import TYPE_CHECKING

from convert_sdk._config.feed import Feed, Source
from convert_sdk._core.events import Address
from convert_sdk.errors import FetchError
from convert_sdk.options import Options
from convert_sdk.project import Project
from convert_sdk.status import Status, status_of

from .engine import Engine
from .machine import Machine, request_headers
from .outbox import Outbox
from .questions import source_of
from .terms import Target, Terms
from .upkeep import Upkeep

if TYPE_CHECKING:
    import httpx

    from .spool import Spool


class Line:
    """Feed, outbox and upkeep around one engine, in one process; `reopen` begins anew in a forked one."""

    def __init__(self, options: Options, key: str, engine: Engine, *, wake: Callable[[], None]) -> None:
        self.options = options
        self.key = key
        self.engine = engine
        self.restarts = 0
        self._wake = wake
        engine.memory.stir = wake
        self._open(etag=None)

    def reopen(self) -> None:
        """Begin anew in a forked process: what waited, and every open file and socket, is the parent's."""
        self._open(etag=self.feed.etag)
        if self.engine.project is not None:
            self._address(self.engine.project)

    def _open(self, etag: str | None) -> None:
        options = self.options
        self.chores = Lock()
        """Held while a thread does chores: they touch disks. Never taken on the request path."""
        self.turned = Condition()
        """Told after each exchange."""
        self.feed = Feed(self._source(), self.take, dice=random, refresh=options.refresh_interval)
        self.feed.prime(etag)
        self.outbox = Outbox(self._terms(), dice=random, wake=self._wake, lock=Lock())
        self.spool = self._open_spool()
        self.upkeep = Upkeep(
            self.engine, self.outbox, self.feed.notices, spool=self.spool, observe=options.observe
        )
        self.engine.outbox = self.outbox if options.tracking else None
        self.engine.after_offer = self.commit if options.durability == "sync" else None

    def _open_spool(self) -> Spool | None:
        if self.options.spool is None:
            return None
        from .spool import Spool

        return Spool(self.options.spool, self.key, sync=self.options.durability == "sync")

    def _source(self) -> Source:
        return source_of(self.options, self.key)

    def _terms(self) -> Terms:
        options = self.options
        return Terms(
            max_queue=options.max_queue,
            batch_size=options.batch_size,
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

    def commit(self) -> None:
        """Write what was offered to the spool now."""
        with self.chores:
            self.upkeep.run(inf)

    def do_chores(self) -> None:
        """Do what is due besides exchanges, and tell who waits for an exchange."""
        with self.chores:
            self.upkeep.run(monotonic())
        with self.turned:
            self.turned.notify_all()

    def delivery(self, until: float) -> Generator[Machine | float, bool, None]:
        """The steps of sending everything that waits, until it is sent or `until` comes; monotonic seconds.

        Yields a machine to take a turn with, and is sent whether there was one; or seconds to wait for `turned`.
        """
        self.outbox.hurry()
        while (now := monotonic()) < until:
            if self.engine.project is None and (yield self.feed):
                continue
            if (yield self.outbox):
                continue
            if not self.outbox.counts().pending:
                return
            due = min(self.outbox.due(), self.feed.due() if self.engine.project is None else inf)
            if due > until and not self._elsewhere():
                return
            yield max(0.0, min(due, until) - now)

    def deliver(self, client: httpx.Client, until: float) -> None:
        """Take those steps in this thread."""
        from .carry import turn

        steps = self.delivery(until)
        step: Machine | float | None = next(steps, None)
        while step is not None:
            moved = False
            if isinstance(step, float):
                with self.turned:
                    self.turned.wait(step)
            elif moved := turn(step, client, within=until - monotonic()):
                self.do_chores()
            step = resume(steps, moved)

    def _elsewhere(self) -> bool:
        """Whether another thread has an exchange under way, whose answer may change what is due."""
        return self.outbox.counts().in_flight > 0 or self.feed.due() == inf

    def complain(self, error: BaseException) -> None:
        """Note an exception that should not have been."""
        self.upkeep.lapse("worker", type(error).__name__)

    def warm_up(self) -> None:
        """Import what a request would otherwise pay for."""
        import convert_sdk._config.compile  # noqa: F401

    def open_client(self) -> httpx.Client:
        """A client for exchanges in a thread."""
        from httpx import BaseTransport

        from .exchange import open_client

        transport = self.options.transport
        return open_client(
            transport=transport if isinstance(transport, BaseTransport) else None,
            ca_bundle=self.options.ca_bundle,
            proxy=self.options.proxy,
        )

    def open_async_client(self) -> httpx.AsyncClient:
        """A client for exchanges in a task."""
        from httpx import AsyncBaseTransport

        from .exchange import open_async_client

        transport = self.options.transport
        return open_async_client(
            transport=transport if isinstance(transport, AsyncBaseTransport) else None,
            ca_bundle=self.options.ca_bundle,
            proxy=self.options.proxy,
        )

    def finish(self, until: float) -> None:
        """Send what waits in this thread, and leave; a client that was never used needs neither."""
        if self.outbox.counts().pending:
            with self.open_client() as client:
                self.deliver(client, until)
        self.leave()

    @property
    def touches_disk(self) -> bool:
        """Whether chores may block."""
        return self.spool is not None or self.options.observe is not None

    def leave(self) -> None:
        """Close for good: what is not sent stays in the spool, or is dropped and counted."""
        self.engine.outbox = None
        with self.chores:
            self.upkeep.run(inf)
            self.outbox.abandon(None if self.spool is not None else "closed")
            self.upkeep.close()

    def status(self, *, alive: bool) -> Status:
        """The figures of this moment."""
        now = monotonic()
        return status_of(self.engine, self.outbox)._replace(
            age=self.feed.age(now),
            stale=self.feed.stale(now),
            fetch_error=self.feed.error,
            lapses=self._lapses(),
            worker_alive=alive,
        )

    def _lapses(self) -> Mapping[str, int]:
        memory = self.engine.memory
        survived = {"worker": self.restarts, "unsaved": memory.lost, "load": memory.failed_loads}
        return {name: count for name, count in {**self.upkeep.lapses, **survived}.items() if count}


def resume(steps: Generator[Machine | float, bool, None], moved: bool) -> Machine | float | None:
    """The next step; None after the last."""
    try:
        return steps.send(moved)
    except StopIteration:
        return None
