"""How a client is doing, in figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from ._delivery.counts import Counts, DeadEvent, Trouble

if TYPE_CHECKING:
    from ._delivery.engine import Engine
    from ._delivery.outbox import Outbox


class Status(NamedTuple):
    """One moment of a client; `str()` is for people. `events` always adds up: see `Counts`.

    >>> print(Status("6bf257005086", age=12.3, events=Counts(offered=7, sent=5, queued=2), worker_alive=True))
    document  6bf257005086, confirmed 12 s ago
    events    7 offered: 5 sent, 2 queued
    visitors  0 remembered
    worker    running

    >>> status = client.status()
    >>> status.problems, status.visitors, status.events.offered
    (0, 0, 0)
    """

    revision: str | None
    """Names the document in use; None before the first."""
    age: float | None = None
    """Seconds since the Serving API last confirmed it; None if it never did."""
    stale: bool = False
    """Whether the document may be out of date: from disk, or not confirmed for two refreshes."""
    problems: int = 0
    """What is wrong in the document; `client.project.problems` lists it."""
    events: Counts = Counts()
    dropped: Mapping[str, int] = MappingProxyType({})
    """Dropped events by reason."""
    retries: int = 0
    doubted: int = 0
    """Events that were sent again although they may have arrived, or dropped for that."""
    last_error: Trouble | None = None
    """The tracking endpoint's last complaint."""
    fetch_error: str | None = None
    """What the last fetch failed of."""
    dead: tuple[DeadEvent, ...] = ()
    """The last events that the endpoint refused for good."""
    lapses: Mapping[str, int] = MappingProxyType({})
    """Failures that were survived, by kind: store, spool, cache, observe, worker, regex."""
    visitors: int = 0
    """Visitors remembered in this process."""
    kept: int = 0
    """Conversions from before the first document."""
    breaker: str | None = None
    """Of the store, where it has one: closed, open (the store is spared) or half-open."""
    worker_alive: bool = False

    def __str__(self) -> str:
        return "\n".join(f"{name:<10}{text}" for name, text in self._lines() if text)

    def _lines(self) -> Iterator[tuple[str, str]]:
        yield "document", self._document()
        yield "fetch", self.fetch_error or ""
        yield "events", _fates(self.events)
        yield "dropped", _listed(self.dropped)
        if self.last_error is not None:
            status, _, message = self.last_error
            yield "tracking", f"last error {status or ''} {message}".strip()
        yield "kept", f"{self.kept} conversions, until the document arrives" if self.kept else ""
        yield "lapses", _listed(self.lapses)
        yield "visitors", f"{self.visitors} remembered"
        yield "worker", "running" if self.worker_alive else "not running"

    def _document(self) -> str:
        if self.revision is None:
            return "none yet"
        confirmed = "never confirmed" if self.age is None else f"confirmed {self.age:.0f} s ago"
        problems = f", {self.problems} problems" if self.problems else ""
        return f"{self.revision}, {confirmed}{', stale' if self.stale else ''}{problems}"


def _fates(events: Counts) -> str:
    offered, *fates = zip(events._fields, events, strict=True)
    told = ", ".join(f"{count} {fate.replace('_', ' ')}" for fate, count in fates if count)
    return f"{offered[1]} offered{': ' if told else ''}{told}"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


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
