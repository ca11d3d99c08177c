"""Lists that fetch themselves page by page, without losing or repeating an item."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from convert_sdk._core.half_made import shown_half_made
from convert_sdk.commerce._call import Call
from convert_sdk.commerce._json import Answer
from convert_sdk.commerce._sender import AsyncSender, Sender
from convert_sdk.commerce.errors import ServerError

T = TypeVar("T")
_STALE_PAGES = 3
_MOST_REREAD = 100


@shown_half_made
@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page: its items and what the envelope around them said (None where it said nothing).

    >>> len(Page(("a", "b"), total_count=9, limit=2, skip=0))
    2
    """

    items: tuple[T, ...]
    total_count: int | None = None
    limit: int | None = None
    skip: int | None = None
    next: str | None = None
    unreadable: tuple[str, ...] = ()
    """The places of what is no record at all, such as `[3]`."""
    last_response: Answer | None = field(default=None, repr=False, compare=False)
    """The answer that this page was in."""

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def rows(self) -> int:
        """The number of rows in the list that this page stands for: its items, and what is unreadable."""
        return len(self.items) + len(self.unreadable)


@shown_half_made
@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A list to read.

    `following` gives the call after a page, `largest` is the greatest page size the API takes, None where it
    documents no size.
    """

    first: Call[Page[T]]
    following: Callable[[Call[Page[T]], Page[T]], Call[Page[T]] | None]
    largest: int | None = None

    def opening(self, at_most: int | None = None) -> Call[Page[T]]:
        """The first call, for no larger a page than `at_most` needs."""
        query = dict(self.first.query)
        if at_most and self.largest:
            query.setdefault("limit", min(at_most, self.largest))
        return replace(self.first, query=query)


def by_offset(call: Call[Page[T]], page: Page[T]) -> Call[Page[T]] | None:
    """The next `skip`, until `totalCount` is reached or a page is empty; a plain array is one page."""
    skip = int(call.query.get("skip", 0)) + page.rows
    if not page.rows or page.skip is None or (page.total_count is not None and skip >= page.total_count):
        return None
    return replace(call, query={**call.query, "skip": skip})


def by_link(call: Call[Page[T]], page: Page[T]) -> Call[Page[T]] | None:
    """The page's own `next` link, until there is none."""
    return replace(call, query={}, link=page.next) if page.next else None


class Walk(Generic[T]):
    """One pass over a listing: `call` is due, `take` hears its page; None when all is read."""

    def __init__(self, listing: Listing[T], at_most: int | None = None) -> None:
        self.call: Call[Page[T]] | None = listing.opening(at_most)
        self._following = listing.following
        self._seen: set[object] = set()
        self._total: int | None = None
        self._reread = 0
        self._last: tuple[T, ...] = ()
        self._body: bytes | None = None
        self._stale = 0

    def take(self, page: Page[T]) -> Page[T]:
        """`page` without the items seen before; sets the next `call`."""
        assert self.call is not None  # noqa: S101 - only called with the answer to `call`
        fresh = tuple(item for item in page.items if self._is_new(item))
        repeated = not fresh or (page.total_count is None and page.items == self._last)
        if page.unreadable:  # rows that are no records have no names: the page goes by its bytes
            body = page.last_response.body if page.last_response else None
            repeated, self._body = not fresh and body == self._body, body
        self._stale = self._stale + 1 if page.rows and repeated else 0
        if self._stale >= _STALE_PAGES:
            raise ServerError(f"{self.call} repeats its pages: the paging parameters have no effect")
        self._last = page.items
        self.call = self._above(self.call, page) or self._following(self.call, page)
        self._total = page.total_count
        return replace(page, items=fresh)

    def _above(self, call: Call[Page[T]], page: Page[T]) -> Call[Page[T]] | None:
        """The rows just above this page once more, where some were deleted since the page before.

        Everything below them has moved up, perhaps into what had been read already.
        """
        gone = 0 if self._total is None or page.total_count is None else self._total - page.total_count
        skip = int(call.query.get("skip", 0))
        if gone <= 0 or page.skip is None or not skip or self._reread >= _MOST_REREAD:
            return None
        self._reread += 1
        return replace(call, query={**call.query, "skip": max(0, skip - gone)})

    def _is_new(self, item: T) -> bool:
        key: object = getattr(item, "id", None)
        if key is None:
            return True
        known = key in self._seen
        self._seen.add(key)
        return not known


class Pages(Generic[T]):
    """All items of a list, fetched page by page as they are read; each iteration starts anew."""

    def __init__(self, sender: Sender, listing: Listing[T]) -> None:
        self._sender = sender
        self._listing = listing

    def __iter__(self) -> Iterator[T]:
        return self._items(None)

    def pages(self) -> Iterator[Page[T]]:
        """The pages with their envelopes, without items an earlier page had."""
        return self._pages(None)

    def total(self) -> int | None:
        """The number of all items by the store's own count, which takes one request; None where it has none."""
        return next(self._pages(1)).total_count

    def first(self, count: int) -> list[T]:
        """The first `count` items, with no more requests than they need."""
        return list(itertools.islice(self._items(_counted(count)), count))

    def _items(self, at_most: int | None) -> Iterator[T]:
        for page in self._pages(at_most):
            yield from page

    def _pages(self, at_most: int | None) -> Iterator[Page[T]]:
        walk = Walk(self._listing, at_most)
        while walk.call:
            yield walk.take(self._sender.run(walk.call))


class AsyncPages(Generic[T]):
    """All items of a list for `async for`, fetched page by page; each iteration starts anew."""

    def __init__(self, sender: AsyncSender, listing: Listing[T]) -> None:
        self._sender = sender
        self._listing = listing

    def __aiter__(self) -> AsyncIterator[T]:
        return self._items(None)

    def pages(self) -> AsyncIterator[Page[T]]:
        """The pages with their envelopes, without items an earlier page had."""
        return self._pages(None)

    async def total(self) -> int | None:
        """The number of all items by the store's own count, which takes one request; None where it has none."""
        return (await anext(self._pages(1))).total_count

    async def first(self, count: int) -> list[T]:
        """The first `count` items, with no more requests than they need."""
        items: list[T] = []
        async for page in self._pages(_counted(count)):
            items.extend(page)
            if len(items) >= count:
                break
        return items[:count]

    async def _items(self, at_most: int | None) -> AsyncIterator[T]:
        async for page in self._pages(at_most):
            for item in page:
                yield item

    async def _pages(self, at_most: int | None) -> AsyncIterator[Page[T]]:
        walk = Walk(self._listing, at_most)
        while walk.call:
            yield walk.take(await self._sender.run(walk.call))


def _counted(count: int) -> int:
    if count < 1:
        raise ValueError(f"first({count}): ask for at least one item")
    return count
