"""Where the pull of a list stands."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from convert_sdk.commerce._pages import Page
from convert_sdk.commerce.bridge.cursors import Cursor, by_page, by_skip
from convert_sdk.commerce.bridge.orders import OrderSnapshot
from convert_sdk.commerce.errors import ServerError


class Row(NamedTuple):
    id: int


def nothing(row: Row) -> OrderSnapshot | None:
    return None


def page(*ids: int, following: str | None = None, total: int | None = None) -> Page[Row]:
    return Page(tuple(map(Row, ids)), total_count=total, skip=0, next=following)


class TestByPage:
    SCAN = Cursor(until=500.0, start=200.0, end=1000.0)

    @pytest.mark.parametrize(
        ("newest", "until"), [(900.0, 900.0), (1500.0, 1000.0), (None, 1000.0), (1.0, 500.0)]
    )
    def test_ends_no_later_than_it_began_and_no_earlier_than_the_last(
        self, newest: float | None, until: float
    ) -> None:
        """What changes after that may have been read before: the next scan must see it."""
        scan = Cursor(500.0, 200.0, 1000.0, newest=newest)
        assert by_page(scan, page(1), None, nothing).cursor == Cursor(until)

    def test_goes_on_while_the_page_before_keeps_something(self) -> None:
        first = by_page(self.SCAN, page(1, 2, 3, following="…"), None, nothing).cursor
        second = by_page(first, page(5, 6, following="…"), page(3, 4, 5), nothing).cursor
        assert (second.place, second.redone) == (2, 0)

    def test_begins_anew_where_all_has_slipped_and_at_last_doubts(self) -> None:
        scan = self.SCAN
        for redone in range(1, 4):
            scan = by_page(scan, page(1, 2, following="…"), None, nothing).cursor
            scan = by_page(scan, page(7, 8, following="…"), page(5, 6), nothing).cursor
            assert (scan.place, scan.redone, scan.doubtful) == (0, redone, False)
        scan = by_page(scan, page(1, 2, following="…"), None, nothing).cursor
        read = by_page(scan, page(7, 8), page(5, 6), nothing)
        assert (read.unsettled, read.cursor) == (True, Cursor(500.0))

    def test_a_page_that_repeats_is_an_error(self) -> None:
        scan = by_page(self.SCAN, page(1, 2, following="…"), None, nothing).cursor
        with pytest.raises(ServerError, match="repeats its pages"):
            by_page(scan, page(1, 2, following="…"), page(1, 2), nothing)


class TestBySkip:
    def test_begins_anew_where_the_total_changes_and_at_last_doubts(self) -> None:
        scan = Cursor(until=500.0, start=200.0, end=1000.0)
        for redone in range(1, 4):
            scan = by_skip(scan, page(1, 2, total=5), nothing).cursor
            scan = by_skip(scan, page(3, 4, total=4), nothing).cursor
            assert (scan.place, scan.redone, scan.doubtful) == (0, redone, False)
        scan = by_skip(scan, page(1, 2, total=5), nothing).cursor
        scan = by_skip(scan, page(3, 4, total=6), nothing).cursor
        assert (scan.place, scan.doubtful) == (4, True)
        read = by_skip(scan, page(5, 6, total=6), nothing)
        assert (read.unsettled, read.cursor) == (True, Cursor(500.0))
