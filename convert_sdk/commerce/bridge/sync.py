"""Pull from the stores: page by page, each with its cursor in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from convert_sdk.commerce.bridge.cursors import CURSOR, Cursor, Stream

if TYPE_CHECKING:
    from convert_sdk.commerce.bridge.bridge import Bridge, Source


class SyncProgress(NamedTuple):
    """How far the pull of one list is; `total` is None where the store does not say."""

    source: str
    stream: str
    read: int
    total: int | None


class SyncReport(NamedTuple):
    """What a pull brought: pages, orders in them, conversions new in the ledger, and those refused for their age.

    `unsettled` counts lists that moved however often they were read. What they showed is taken; what may have
    slipped by is read by the next pull, which begins where this one did.
    """

    pages: int = 0
    orders: int = 0
    new: int = 0
    too_old: int = 0
    unsettled: int = 0


def sync(
    bridge: Bridge,
    sources: Iterable[Source],
    *,
    allow_late: bool = False,
    progress: Callable[[SyncProgress], object] | None = None,
) -> SyncReport:
    """Pull every list of these sources to its end."""
    total = SyncReport()
    for source in sources:
        for stream in source.streams(bridge.identity):
            name, read = f"{source.scope}/{stream.name}", 0
            while (page := _pull(bridge, stream, name, allow_late=allow_late)) is not None:
                taken, cursor = page
                total = SyncReport(*(sum(pair) for pair in zip(total, taken, strict=True)))
                read += taken.orders
                if progress is not None:
                    progress(SyncProgress(source.scope, stream.name, read, cursor.total))
                bridge.tick()
                if not cursor.is_open:
                    break
    return total


def _pull(bridge: Bridge, stream: Stream, name: str, *, allow_late: bool) -> tuple[SyncReport, Cursor] | None:
    """The next page, put into the ledger; None where there is nothing to read."""
    ledger = bridge.ledger
    with ledger.transaction() as transaction:
        text = transaction.cursor(name)
    cursor = Cursor() if text is None else CURSOR.validate_json(text)
    if not stream.is_due(cursor, ledger.clock()):
        return None
    read = stream.read(cursor, ledger.clock())
    with ledger.transaction() as transaction:
        if transaction.cursor(name) != text:  # another process has read this page meanwhile
            text = transaction.cursor(name) or ""
            return SyncReport(), CURSOR.validate_json(text)
        found = [
            each for order in read.orders for each in bridge.record(transaction, order, allow_late=allow_late)
        ]
        transaction.move_cursor(name, CURSOR.dump_json(read.cursor).decode())
    new = [each.conversion for each in found if each.is_new]
    return SyncReport(
        1, len(read.orders), len(new), sum(each.reason == "too old" for each in new), int(read.unsettled)
    ), read.cursor
