"""The state of a client in figures, and the values that it is made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from ._core.events import Event, to_json
from ._process.sigterm import SigtermState

_PATIENCE = 60.0
"""Seconds for which deliveries may fail in a row before that needs attention."""


class DropReason(StrEnum):
    """The reason for which an event was dropped.

    >>> client.status().dropped.get(DropReason.FULL, 0)
    0
    """

    FULL = "full"
    """The queue had no room: `max_queue`."""
    CLOSED = "closed"
    """The client was closed, or the process ended, before it could be sent."""
    AMBIGUOUS = "ambiguous"
    """It may have arrived, and `delivery` is "at_most_once"."""
    EXPIRED = "expired"
    """It lay in the spool for longer than a day."""
    SPOOL = "spool"
    """Its file was deleted by somebody else, or what is written there cannot be read."""
    CONSENT = "consent"
    """It was held until the visitor agrees, and that did not happen."""
    FORGOTTEN = "forgotten"
    """Its visitor was forgotten: `client.forget`."""


class EventOutcome(StrEnum):
    """The end of an event: where it is when it no longer waits.

    >>> EventOutcome("sent") is EventOutcome.SENT
    True
    """

    SENT = "sent"
    DROPPED = "dropped"
    REJECTED = "rejected"
    """The endpoint refused it as malformed."""
    DEDUPLICATED = "deduplicated"
    """Another process had claimed the conversion."""


class IncidentLevel(StrEnum):
    """The weight of an incident: the log has it under the same level.

    >>> IncidentLevel("warning") is IncidentLevel.WARNING
    True
    """

    INFO = "info"
    """Something is as it should be again."""
    WARNING = "warning"
    ERROR = "error"
    """It needs somebody."""


class EndpointState(StrEnum):
    """The state of the tracking endpoint, as the last responses tell.

    >>> client.status().endpoint is EndpointState.OK
    True
    """

    OK = "ok"
    RETRYING = "retrying"
    """The last request failed; the events wait for the next one."""
    DENIED = "denied"
    """The endpoint refuses this key or this address."""


class Counts(NamedTuple):
    """The place of every event: `offered` is always the sum of the other seven.

    Events that an earlier process left on disk count as offered when this one takes them over.

    >>> client.status().events.pending
    0
    """

    offered: int = 0
    sent: int = 0
    in_flight: int = 0
    queued: int = 0
    """In memory, waiting."""
    spooled: int = 0
    """On disk only."""
    dropped: int = 0
    rejected: int = 0
    """Refused by the endpoint as malformed and set aside."""
    deduplicated: int = 0
    """Another process had claimed the conversion."""

    @property
    def pending(self) -> int:
        """The events that still wait to be sent.

        >>> Counts(offered=6, sent=1, in_flight=2, queued=3).pending
        5
        """
        return self.in_flight + self.queued + self.spooled


class FlushReport(NamedTuple):
    """The result of a flush: events `sent` and `dropped` during it, and those `pending` after it.

    >>> FlushReport.between(Counts(offered=3, queued=3), Counts(offered=3, sent=2, queued=1))
    FlushReport(sent=2, pending=1, dropped=0)
    """

    sent: int = 0
    pending: int = 0
    dropped: int = 0

    @classmethod
    def between(cls, before: Counts, after: Counts) -> FlushReport:
        """The difference of two snapshots; rejected events count as dropped.

        >>> FlushReport.between(Counts(offered=1, queued=1), Counts(offered=1, rejected=1))
        FlushReport(sent=0, pending=0, dropped=1)
        """
        gone = after.dropped + after.rejected - before.dropped - before.rejected
        return cls(after.sent - before.sent, after.pending, gone)

    def to_dict(self) -> dict[str, int]:
        """The three figures by name.

        >>> client.flush().to_dict()
        {'sent': 0, 'pending': 0, 'dropped': 0}
        """
        return self._asdict()

    def to_json(self) -> str:
        """The same as JSON text.

        >>> client.flush().to_json()
        '{"sent":0,"pending":0,"dropped":0}'
        """
        return to_json(self.to_dict())


class StoreDeletion(StrEnum):
    """The part of a store when a visitor was forgotten.

    >>> client.forget("v-42", timeout=5).store is StoreDeletion.NONE
    True
    """

    NONE = "none"
    """There is no store."""
    DELETED = "deleted"
    UNSUPPORTED = "unsupported"
    """The store has no `delete`: what it holds of the visitor stays."""
    PENDING = "pending"
    """Not done in time; the worker tries again until the client is closed."""
    FAILED = "failed"
    """The store raised, again and again, for this visitor."""


class ForgetReport(NamedTuple):
    """The result of `client.forget`, in events: `queued` and `spooled` ones are gone, those `in_flight` are not.

    >>> ForgetReport(StoreDeletion.DELETED, queued=2).to_json()
    '{"store":"deleted","queued":2,"spooled":0,"in_flight":0}'
    """

    store: StoreDeletion
    queued: int = 0
    """Those that waited in this process: for a request, a document, or consent."""
    spooled: int = 0
    """Those that lay on this host's disk alone, also rejected ones."""
    in_flight: int = 0
    """Those of the request under way; they are not sent again if it fails."""

    def to_dict(self) -> dict[str, object]:
        """The four fields by name.

        >>> client.forget("v-42", timeout=5).to_dict()["queued"]
        0
        """
        return self._asdict()

    def to_json(self) -> str:
        """The same as JSON text.

        >>> client.forget("v-42", timeout=5).to_json()
        '{"store":"none","queued":0,"spooled":0,"in_flight":0}'
        """
        return to_json(self.to_dict())


class DeliveryError(NamedTuple):
    """The last thing that went wrong; `code` and `message` are the endpoint's own words.

    >>> error = client.status().last_error
    >>> error.status if error is not None else "none"
    'none'
    """

    status: int | None
    code: int | None
    message: str


class RejectedEvent(NamedTuple):
    """An event that the endpoint refused as malformed, and the error that it gave.

    >>> [rejected.error.message for rejected in client.status().rejected]
    []
    """

    event: Event
    error: DeliveryError

    def __repr__(self) -> str:
        return f"RejectedEvent({self.event.uuid}, {self.error.status}, {self.error.message!r})"


class Status(NamedTuple):
    """One moment of a client; `str()` is for people. `events` always adds up: see `Counts`.

    >>> print(Status("6bf257005086", age=12.3, events=Counts(offered=7, sent=5, queued=2), worker_alive=True))
    document  6bf257005086, confirmed 12 s ago
    events    7 offered: 5 sent, 2 queued
    visitors  0 remembered
    worker    running

    >>> status = client.status()
    >>> status.healthy, status.problems, status.events.offered
    (True, 0, 0)
    """

    revision: str | None
    """Names the document in use; None before the first."""
    age: float | None = None
    """Seconds since the Serving API last confirmed it; None if it never did."""
    stale: bool = False
    """True while the document may be out of date: from disk, or not confirmed for two refreshes."""
    problems: int = 0
    """The number of flaws in the document; `client.project.problems` lists them."""
    events: Counts = Counts()
    dropped: Mapping[DropReason, int] = MappingProxyType({})
    """Dropped events by reason."""
    retries: int = 0
    possibly_duplicated: int = 0
    """Events that were sent again although they may have arrived, or dropped for that."""
    last_error: DeliveryError | None = None
    """The tracking endpoint's last complaint."""
    fetch_error: str | None = None
    """The reason why the last fetch failed."""
    rejected: tuple[RejectedEvent, ...] = ()
    """The last events that the endpoint refused for good."""
    incidents: Mapping[str, int] = MappingProxyType({})
    """Failures that were survived, by kind: store, spool, cache, observe, worker, mismatched and others."""
    visitors: int = 0
    """Visitors remembered in this process."""
    pending_conversions: int = 0
    """Conversions from before the first document."""
    breaker: str | None = None
    """Of the store, where it has one: "closed", "open" (the store is spared) or "half_open"."""
    worker_alive: bool = False
    """True while the thread or task that delivers runs."""
    started: bool = True
    """False before the first start in this process, as after a fork."""
    offline: bool = False
    """True for a client without a network."""
    endpoint: EndpointState = EndpointState.OK
    """The state of the tracking endpoint."""
    failing_for: float = 0.0
    """Seconds since the first of the requests that failed one after the other; 0 while they succeed."""
    sigterm: SigtermState | None = None
    """The handler of SIGTERM; None without `flush_on_sigterm`."""
    bots: int = 0
    """Requests of bots that asked for a decision through a web integration; none got a variation."""

    @property
    def ready(self) -> bool:
        """True once a document is in use.

        >>> client.status().ready
        True
        """
        return self.revision is not None

    @property
    def healthy(self) -> bool:
        """True if nothing needs attention, as for a readiness probe.

        A document is in use and confirmed of late, the worker runs, and the tracking endpoint neither refuses the
        key nor fails for over a minute. A client that has not been started in this process is healthy: it starts
        with the traffic that a probe would hold back.

        >>> def probe(client: Client) -> int:
        ...     return 200 if client.status().healthy else 503
        >>> probe(client)
        200
        """
        if not self.started:
            return True
        works = self.offline or self.worker_alive
        delivers = self.endpoint is not EndpointState.DENIED and self.failing_for <= _PATIENCE
        return self.ready and not self.stale and works and delivers

    def to_dict(self) -> dict[str, object]:
        """Everything, with `ready` and `healthy`, as values of JSON; it names no visitor.

        >>> client.status().to_dict()["events"]["pending"]
        0
        """
        error = self.last_error
        return {
            **self._asdict(),
            "ready": self.ready,
            "healthy": self.healthy,
            "events": {**self.events._asdict(), "pending": self.events.pending},
            "dropped": {str(reason): count for reason, count in self.dropped.items()},
            "last_error": None if error is None else error._asdict(),
            "rejected": [{"uuid": each.event.uuid, **each.error._asdict()} for each in self.rejected],
            "incidents": dict(self.incidents),
            "endpoint": self.endpoint.value,
        }

    def to_json(self) -> str:
        """The same as JSON text, for a probe or a log.

        >>> client.status().to_json()[:40]
        '{"revision":"b2d397bd1729","age":null,"s'
        """
        return to_json(self.to_dict())

    def __reduce__(self) -> tuple[type[Status], tuple[object, ...]]:
        return Status, tuple(dict(value) if isinstance(value, Mapping) else value for value in self)

    def __str__(self) -> str:
        return "\n".join(f"{name:<10}{text}" for name, text in self._lines() if text)

    def _lines(self) -> Iterator[tuple[str, str]]:
        yield "document", self._document()
        yield "fetch", self.fetch_error or ""
        yield "events", _outcomes(self.events)
        yield "dropped", _listed(self.dropped)
        if self.last_error is not None:
            error = self.last_error
            yield "tracking", f"last error {error.status or ''} {error.message}".strip()
        pending = self.pending_conversions
        yield "pending", f"{pending} conversions, until the document arrives" if pending else ""
        yield "incidents", _listed(self.incidents)
        yield "visitors", f"{self.visitors} remembered"
        if not self.offline:
            yield "worker", _worker(self)
        yield "sigterm", self.sigterm or ""

    def _document(self) -> str:
        if self.revision is None:
            return "none yet"
        confirmed = "never confirmed" if self.age is None else f"confirmed {self.age:.0f} s ago"
        problems = f", {self.problems} problems" if self.problems else ""
        return f"{self.revision}, {confirmed}{', stale' if self.stale else ''}{problems}"


def _worker(status: Status) -> str:
    if not status.started:
        return "not started yet"
    return "running" if status.worker_alive else "not running"


def _outcomes(events: Counts) -> str:
    parts = [
        f"{count} {name.replace('_', ' ')}"
        for name, count in zip(events._fields[1:], events[1:], strict=True)
        if count
    ]
    return f"{events.offered} offered{': ' if parts else ''}{', '.join(parts)}"


def _listed(counts: Mapping[str, int] | Mapping[DropReason, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
