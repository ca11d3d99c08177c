"""Pull from the stores: page by page, each with its cursor in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import NamedTuple

from convert_sdk.commerce.bridge.conversions import DAY, OrderConversion
from convert_sdk.commerce.bridge.cursors import CURSOR, Cursor, Read, Stream
from convert_sdk.commerce.bridge.intake import OrderIntake
from convert_sdk.commerce.bridge.orders import OrderSnapshot, UnreadableOrder
from convert_sdk.commerce.bridge.reports import SyncProgress, SyncReport
from convert_sdk.commerce.bridge.sources import Source, WebsiteSource
from convert_sdk.commerce.errors import (
    ConnectorError,
    NotFoundError,
    ServerError,
    SyncError,
    ValidationError,
)

_ASKED = 100
_ASKED_OF = 10_000
_MOST_FAILURES = 3


class _PulledPage(NamedTuple):
    """A page that was put into the ledger, and the place to go on from."""

    report: SyncReport
    cursor: Cursor


def sync(
    intake: OrderIntake,
    sources: Iterable[Source],
    *,
    tick: Callable[[], object],
    allow_late: bool = False,
    progress: Callable[[SyncProgress], object] | None = None,
) -> SyncReport:
    """Pull every list of these sources to its end. One that fails keeps no other from being pulled.

    `tick` is called after each page, so that conversions go out meanwhile.
    """
    total = SyncReport()
    errors: dict[str, ConnectorError] = {}
    for source in sources:
        for stream in source.streams(intake.identity):
            name, read = f"{source.scope}/{stream.name}", 0
            try:
                while (page := _pull(intake, stream, name, allow_late=allow_late)) is not None:
                    total = _sum(total, page.report)
                    read += page.report.orders
                    if progress is not None:
                        progress(SyncProgress(source.scope, stream.name, read, page.cursor.total))
                    tick()
                    if not page.cursor.is_open:
                        break
            except ConnectorError as error:
                errors[name] = error
                if error.status == HTTPStatus.UNAUTHORIZED:
                    break  # no other list of this store will be given; 403 is of one list
        else:
            try:
                total = _sum(total, ask_unpaid(intake, source))
            except ConnectorError as error:
                errors[f"{source.scope}/unpaid"] = error
    tick()
    if len(errors) > 1:
        raise SyncError(errors, total)
    for only in errors.values():
        raise only
    return total


def _sum(one: SyncReport, other: SyncReport) -> SyncReport:
    return SyncReport(*(sum(pair) for pair in zip(one, other, strict=True)))


def ask_unpaid(intake: OrderIntake, source: Source) -> SyncReport:
    """Read orders again, one by one, that wait for a payment and were not read for a day.

    A payment that comes late is told by a webhook alone, which may be lost: no list knows what changed. One order
    that cannot be read keeps no other from being asked for, and is asked for again a day later.

    Raises:
        ConnectorError: The store cannot be asked, or failed for an order; the others were read and kept.
    """
    if not isinstance(source, WebsiteSource):
        return SyncReport()
    now = intake.ledger.clock()
    with intake.ledger.transaction() as transaction:
        waiting = transaction.still_waiting("unpaid", _ASKED_OF)
    stale = {
        each.order.id: each.order
        for each in waiting
        if each.order.kind == "order" and each.order.scope == source.scope and now - _last_read(each) >= DAY
    }
    total = SyncReport()
    failures: list[ConnectorError] = []
    for order in [*stale.values()][:_ASKED]:
        asked = replace(order, version=datetime.fromtimestamp(now, UTC))
        try:
            found = source.ask(order.id, intake.identity, now)
        except NotFoundError:
            found = None  # deleted: it will not be paid
        except (ServerError, ValidationError) as error:  # which may be for this order alone
            failures.append(error)
            found = None
        total = _sum(total, _record(intake, found, asked))
        if len(failures) >= _MOST_FAILURES:
            break
    if failures:
        raise failures[0]
    return total


def _last_read(conversion: OrderConversion) -> float:
    version = conversion.order.version
    return conversion.first_seen if version is None else version.timestamp()


def _pull(intake: OrderIntake, stream: Stream, name: str, *, allow_late: bool) -> _PulledPage | None:
    """The next page, put into the ledger; None where there is nothing to read."""
    ledger = intake.ledger
    with ledger.transaction() as transaction:
        text = transaction.cursor(name)
    cursor = Cursor() if text is None else CURSOR.validate_json(text)
    if not stream.is_due(cursor, ledger.clock()):
        return None
    read = stream.read(cursor, ledger.clock())
    with ledger.transaction() as transaction:
        if transaction.cursor(name) != text:  # another process has read this page meanwhile
            text = transaction.cursor(name) or ""
            return _PulledPage(SyncReport(), CURSOR.validate_json(text))
        report = intake.keep(transaction, read, allow_late=allow_late)
        transaction.move_cursor(name, CURSOR.dump_json(read.cursor).decode())
    return _PulledPage(report._replace(pages=1), read.cursor)


def _record(
    intake: OrderIntake, found: OrderSnapshot | UnreadableOrder | None, asked: OrderSnapshot
) -> SyncReport:
    """Keep what was found, or else only that it was `asked` for."""
    with intake.ledger.transaction() as transaction:
        if isinstance(found, OrderSnapshot):
            return intake.keep(transaction, Read((found,), Cursor()))
        intake.record(transaction, asked)
        unreadable = () if found is None else (found,)
        return intake.keep(transaction, Read((), Cursor(), unreadable=unreadable))
