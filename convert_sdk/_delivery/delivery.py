"""Sending what waits, step by step, for whoever asks for it in a thread or a task of their own."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from convert_sdk._http.messages import Machine

if TYPE_CHECKING:
    from convert_sdk._core.events import Event

    from .line import Line


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
