"""The position of a pull in a list, and the reading of its next page, so that nothing slips past."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias, TypeVar

from pydantic import TypeAdapter

from convert_sdk._core.half_made import shown_half_made
from convert_sdk.commerce._pages import Page
from convert_sdk.commerce.bridge.orders import OrderSnapshot, UnreadableOrder
from convert_sdk.commerce.errors import ServerError

T = TypeVar("T")
_REDONE = 3


@shown_half_made
@dataclass(frozen=True, slots=True)
class Cursor:
    """The position in a stream: all before `until` (epoch seconds) is read; a scan under way goes from `start` to
    `end` and has read `place` rows or pages.

    `redone` counts how often the scan began anew, `doubtful` says that this no longer helped; `last` names what was
    on the page before.
    """

    until: float | None = None
    start: float | None = None
    end: float | None = None
    place: int = 0
    total: int | None = None
    newest: float | None = None
    redone: int = 0
    doubtful: bool = False
    last: str = ""

    def opened(self, start: float, end: float) -> Cursor:
        """A scan begins."""
        return Cursor(self.until, start, end)

    def closed(self, until: float) -> Cursor:
        """The scan is complete."""
        return Cursor(until)

    def begun_anew(self) -> Cursor:
        """The scan begins again, up to the same end."""
        redone = self.redone + 1
        return Cursor(self.until, self.start, self.end, newest=self.newest, redone=redone)

    @property
    def is_open(self) -> bool:
        """True while a scan is under way."""
        return self.end is not None


CURSOR: TypeAdapter[Cursor] = TypeAdapter(Cursor)


class Read(NamedTuple):
    """A page of a stream: its orders and where the stream stands after it.

    `unsettled` says that the list moved whenever it was read: the cursor is where it was before the scan.
    """

    orders: tuple[OrderSnapshot, ...]
    cursor: Cursor
    unsettled: bool = False
    unreadable: tuple[UnreadableOrder, ...] = ()


@shown_half_made
@dataclass(frozen=True, slots=True)
class Stream:
    """One list that is pulled: `read` takes a page; a scan starts when the last one is `every` seconds old."""

    name: str
    read: Callable[[Cursor, float], Read]
    every: float = 0.0

    def is_due(self, cursor: Cursor, now: float) -> bool:
        """True if there is anything to read."""
        return cursor.is_open or cursor.until is None or now - cursor.until >= self.every


Convert: TypeAlias = Callable[[T], OrderSnapshot | UnreadableOrder | None]


def by_skip(scan: Cursor, page: Page[T], convert: Convert[T], listed: str = "a list") -> Read:
    """Take the next rows of a scan; a total that changes meanwhile may have moved rows, so it begins anew.

    `listed` is what the list is called to people.
    """
    read, name = converted(page, convert, f"{listed}: row", scan.place), _name(page)
    if scan.place and page.total_count != scan.total:
        if scan.redone < _REDONE:
            return read._replace(cursor=scan.begun_anew())
        scan = replace(scan, doubtful=True)
    if scan.place and page.rows and name == scan.last:
        raise _repeated()
    place = scan.place + page.rows
    if not page.rows or page.skip is None or (page.total_count is not None and place >= page.total_count):
        return _ended(scan, read, scan.end or 0.0)
    return read._replace(cursor=replace(scan, place=place, total=page.total_count, last=name))


def by_page(
    scan: Cursor, page: Page[T], before: Page[T] | None, convert: Convert[T], listed: str = "a list"
) -> Read:
    """Take the next page of a scan, after which the one `before` it was read once more.

    What had slipped from this page to that one by the time it was read is seen there. As long as that one still
    has anything it had, no more than a page can have slipped; else the scan begins anew. `listed` is what the list
    is called to people.
    """
    rows = f"{listed}: page {scan.place}, row"
    read = converted(page, convert, rows)
    if before is not None:
        moved = [item for item in before if not _names([item]) & {*scan.last.split()}]
        slipped = converted(moved, convert, rows)
        read = Read(read.orders + slipped.orders, scan, unreadable=read.unreadable + slipped.unreadable)
        names = _names(before)
        if page.items and _names(page) == names:
            raise _repeated()
        if not names & {*scan.last.split()}:
            if scan.redone < _REDONE:
                return read._replace(cursor=scan.begun_anew())
            scan = replace(scan, doubtful=True)
    if page.next is None:
        end = scan.end or 0.0
        newest = end if scan.newest is None else min(scan.newest, end)
        return _ended(scan, read, max(newest, scan.until or 0.0))
    return read._replace(cursor=replace(scan, place=scan.place + 1, last=" ".join(_names(page))))


def converted(page: Iterable[T], convert: Convert[T], rows: str, first: int = 0) -> Read:
    """The orders of a page, and what is unreadable in it; the cursor is for the caller to set.

    A row that is no record at all goes by its number: `rows` is what stands before that, `first` that of the first.
    """
    orders: list[OrderSnapshot] = []
    numbers = [first + int(at.strip("[]")) for at in getattr(page, "unreadable", ())]
    odd = [UnreadableOrder(f"{rows} {number}", (f"[{number}]",)) for number in numbers]
    for item in page:
        match convert(item):
            case OrderSnapshot() as order:
                orders.append(order)
            case UnreadableOrder() as order:
                odd.append(order)
    return Read(tuple(orders), Cursor(), unreadable=tuple(odd))


def _ended(scan: Cursor, read: Read, until: float) -> Read:
    if scan.doubtful:
        return read._replace(cursor=Cursor(scan.until), unsettled=True)
    return read._replace(cursor=scan.closed(until))


def _repeated() -> ServerError:
    return ServerError("the list repeats its pages: the paging parameters have no effect")


def _name(page: Page[T]) -> str:
    named = repr([getattr(item, "id", None) or item for item in page])
    # Rows that are no records have no names: the page goes by its bytes then.
    odd = repr(page.last_response.body) if page.unreadable and page.last_response else ""
    return _short(named + odd)


def _names(page: Iterable[object]) -> set[str]:
    return {_short(str(getattr(item, "id", None))) for item in page}


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
