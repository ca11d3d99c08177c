"""How a client is doing, in figures."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from ._delivery.counts import Counts, DeadEvent, Trouble

if TYPE_CHECKING:
    from ._delivery.engine import Engine
    from ._delivery.outbox import Outbox


class Status(NamedTuple):
    """One moment of a client. `events` always adds up: see `Counts`.

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
    worker_alive: bool = False


def status_of(engine: Engine, outbox: Outbox) -> Status:
    """The figures that every delivery has."""
    ledger = outbox.ledger
    project = engine.project
    return Status(
        revision=project.revision if project is not None else None,
        problems=len(project.problems) if project is not None else 0,
        events=outbox.counts(),
        dropped=dict(ledger.dropped),
        retries=ledger.retries,
        doubted=ledger.doubted,
        last_error=ledger.trouble,
        dead=tuple(ledger.dead_events),
        visitors=len(engine.states),
        kept=len(engine.kept),
    )
