"""Sending what waits, step by step, for whoever asks for it in a thread or a task of their own."""

from __future__ import annotations

from collections.abc import Generator
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from .machine import Machine

if TYPE_CHECKING:
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


def _awaited(line: Line) -> set[str] | None:
    """The ids of what waits now; None where some of it has no event in memory yet."""
    return None if line.engine.kept or line.outbox.ledger.spooled else line.outbox.waiting()


def _is_done(line: Line, awaited: set[str] | None) -> bool:
    if awaited is not None:
        return awaited.isdisjoint(line.outbox.waiting())
    return not line.outbox.counts().pending and not line.engine.kept


def _elsewhere(line: Line) -> bool:
    """Whether another thread has an exchange under way, whose answer may change what is due."""
    return line.outbox.counts().in_flight > 0 or line.feed.due() == inf
