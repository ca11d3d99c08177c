"""The shared part of the Website API's resources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from convert_sdk.commerce._call import Call, query
from convert_sdk.commerce._json import Answer
from convert_sdk.commerce._operations import Resource, S_co
from convert_sdk.commerce._pages import Listing, Page, by_offset
from convert_sdk.commerce._wire import Count, StoreRecord, Time, read, read_many, unix_seconds, within
from convert_sdk.commerce.website.paths import WebsitePaths

T = TypeVar("T", bound=StoreRecord)
LARGEST_PAGE = 50


class WebsiteResource(Resource[S_co]):
    """A group of operations at the addresses of a path table."""

    def __init__(self, sender: S_co, paths: WebsitePaths) -> None:
        super().__init__(sender)
        self._paths = paths


class _WebsitePage(StoreRecord):
    items: object = None
    total_count: Count = None
    limit: Count = None
    skip: Count = None


def page_of(model: type[T]) -> Callable[[Answer], Page[T]]:
    """A parser for an envelope of `model`, or for a plain array, which is all there is."""

    def parse(answer: Answer) -> Page[T]:
        payload = answer.payload
        if isinstance(payload, list):
            items, odd = read_many(model, payload)
            return Page(items, total_count=len(items) + len(odd), unreadable=odd, last_response=answer)
        if isinstance(payload, Mapping) and "items" not in payload:
            raise ValueError("expected a page with its items")  # it would pass for the end of the list
        page = read(_WebsitePage, payload)
        items, odd = read_many(model, page.items)
        return Page(items, page.total_count, page.limit, page.skip or 0, unreadable=odd, last_response=answer)

    return parse


def by_skip(call: Call[Page[T]]) -> Listing[T]:
    """A listing paged by `skip`; its `limit` and `skip` are checked before anything is sent."""
    within("limit", call.query.get("limit"), 1, LARGEST_PAGE)
    within("skip", call.query.get("skip"), 0)
    return Listing(call, by_offset, largest=LARGEST_PAGE)


def by_creation(
    call: Call[Page[T]], bounds: tuple[Time | None, Time | None], *, limit: int | None, skip: int | None
) -> Listing[T]:
    """A listing of what was created between two times, those that are given."""
    given = between(("created_at_min", bounds[0]), ("created_at_max", bounds[1]))
    return by_skip(replace(call, query=given | query(limit=limit, skip=skip)))


def between(*bounds: tuple[str, Time | None]) -> dict[str, str | int | bool]:
    """The query parameters on times that were given, in Unix seconds."""
    return {name: unix_seconds(moment) for name, moment in bounds if moment is not None}
