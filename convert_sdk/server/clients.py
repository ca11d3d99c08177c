"""The SDKs that report their status to a local Serving API, and their figures beside what the server counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from threading import Lock
from typing import NamedTuple

from cachetools import LRUCache

from convert_sdk._delivery.status_report import GONE_AFTER, ReceivedReport

from .activity import MAX_CLIENTS, Activity

_STALE = 0.5
"""Seconds by which the server may be ahead of a client's last report."""


class ClientVerdict(StrEnum):
    """The comparison of both ends."""

    EQUAL = "equal"
    IN_FLIGHT = "in_flight"
    """Events are on their way."""
    DIFFERENT = "different"


class ClientFigures(NamedTuple):
    """The figures of one client, or of several, beside those of the server."""

    offered: int = 0
    sent: int = 0
    pending: int = 0
    in_flight: int = 0
    dropped: int = 0
    rejected: int = 0
    received: int = 0
    difference: int = 0
    """Events that are to arrive, less those that did: below 0, the server has more."""
    verdict: ClientVerdict = ClientVerdict.EQUAL

    def to_dict(self) -> dict[str, object]:
        """The same as values of JSON."""
        return {**self._asdict(), "verdict": self.verdict.value, "words": self.words}

    @property
    def words(self) -> str:
        """The verdict in words."""
        match self.verdict:
            case ClientVerdict.EQUAL:
                return "the difference is 0"
            case ClientVerdict.IN_FLIGHT:
                return f"in flight {abs(self.difference)}"
            case ClientVerdict.DIFFERENT if self.difference > 0:
                return f"the server lacks {self.difference}"
        return f"the server has {-self.difference} more"


class _LastReport(NamedTuple):
    """The last report of a client."""

    seen_at: float
    report: ReceivedReport
    sent_before: int
    """Events that it had sent before this server could count them."""


class ConnectedClients:
    """The last report of each client; of those that were silent for the longest time, only the last 200 are known."""

    def __init__(self, activity: Activity, clock: Callable[[], float] = time.time) -> None:
        self._activity = activity
        self._clock = clock
        self._lock = Lock()
        self._started = clock()
        self._reports: LRUCache[tuple[str, str], _LastReport] = LRUCache(MAX_CLIENTS)
        self.version = 0
        """Goes up with each report."""

    def report(self, place: str, client: str, body: Mapping[str, object]) -> None:
        """Take a client's report: `status`, and what it says of its process."""
        report = ReceivedReport(body)
        now = self._clock()
        with self._lock:
            known = self._reports.get((place, client))
            before = known.sent_before if known is not None else self._sent_before(place, client, report)
            self._reports[(place, client)] = _LastReport(now, report, before)
            self.version += 1

    def listed(self, place: str) -> list[dict[str, object]]:
        """The clients of a project as values of JSON."""
        now = self._clock()
        return [
            {
                "id": client,
                **last.report.about,
                "seen_at": last.seen_at,
                "gone": last.report.closed or now - last.seen_at > GONE_AFTER,
                "closed": last.report.closed,
                "status": dict(last.report.status),
                **self._figures(place, client, last).to_dict(),
            }
            for client, last in self._of(place)
        ]

    def totals(self, place: str) -> ClientFigures:
        """The sums over the clients of a project."""
        figures = [self._figures(place, client, last) for client, last in self._of(place)]
        verdicts = {each.verdict for each in figures}
        worst = next(
            (verdict for verdict in reversed(ClientVerdict) if verdict in verdicts), ClientVerdict.EQUAL
        )
        return ClientFigures(
            sum(each.offered for each in figures),
            sum(each.sent for each in figures),
            sum(each.pending for each in figures),
            sum(each.in_flight for each in figures),
            sum(each.dropped for each in figures),
            sum(each.rejected for each in figures),
            sum(each.received for each in figures),
            sum(each.difference for each in figures),
            worst,
        )

    def clear(self, place: str) -> None:
        """Count from here: what the clients have sent so far is of before."""
        with self._lock:
            for key, last in [*self._reports.items()]:
                if key[0] == place:
                    self._reports[key] = last._replace(sent_before=last.report.events("sent"))
            self.version += 1

    def _of(self, place: str) -> Iterator[tuple[str, _LastReport]]:
        with self._lock:
            found = [(key[1], last) for key, last in self._reports.items() if key[0] == place]
        return iter(found)

    def _sent_before(self, place: str, client: str, report: ReceivedReport) -> int:
        if report.uptime is not None and self._clock() - report.uptime >= self._started:
            return 0
        return max(0, report.events("sent") - self._activity.received(place, client).events)

    def _figures(self, place: str, client: str, last: _LastReport) -> ClientFigures:
        before = last.sent_before
        count = {name: last.report.events(name) for name in _COUNTS}
        received = self._activity.received(place, client)
        gone = count["dropped"] + count["rejected"] + count["deduplicated"]
        offered, sent = count["offered"] - before, count["sent"] - before
        difference = offered - gone - received.events
        if difference == 0:
            verdict = ClientVerdict.EQUAL
        elif 0 < difference <= count["pending"] or (difference < 0 and received.at + _STALE > last.seen_at):
            verdict = ClientVerdict.IN_FLIGHT
        else:
            verdict = ClientVerdict.DIFFERENT
        return ClientFigures(
            offered,
            sent,
            count["pending"],
            count["in_flight"],
            count["dropped"],
            count["rejected"],
            received.events,
            difference,
            verdict,
        )


_COUNTS = ("offered", "sent", "pending", "in_flight", "dropped", "rejected", "deduplicated")
