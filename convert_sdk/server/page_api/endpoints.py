"""An endpoint of the page: its address, what it needs, and how it is guarded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from hmac import compare_digest
from typing import NamedTuple, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from convert_sdk.errors import UnknownNameError
from convert_sdk.server.access import PRIVATE, check_private
from convert_sdk.server.registry import Registry, ServedProject

from .answers import PageRefusal

T = TypeVar("T")
PREFIX = "/_api"
IN_PROJECT = "/projects/{account_id}/{project_id}"
TOKEN_HEADER = "convert-page-token"  # noqa: S105 # the name of a header


class PageEndpoint(NamedTuple):
    """One endpoint; `changes` anything, and then needs the token."""

    method: str
    path: str
    answer: Callable[[Request], Awaitable[Response]]
    changes: bool = False


def endpoint_routes(
    endpoints: Iterable[PageEndpoint], token: str, hosts: Collection[str] | None
) -> Iterator[Route]:
    """The routes of endpoints, each with its guard."""
    for each in endpoints:
        guarded = _guarded(each, token, hosts)
        yield Route(f"{PREFIX}{each.path}", guarded, methods=[each.method])


def project_of(registry: Registry, request: Request) -> ServedProject:
    """The project that an address names."""
    ids = request.path_params
    project = registry.project(ids["account_id"], ids["project_id"])
    if project is None:
        raise HTTPException(404, "no such project")
    return project


async def computed(work: Callable[[], T]) -> T:
    """The result of some work, which is done beside the event loop."""
    try:
        return await run_in_threadpool(work)
    except UnknownNameError as error:
        raise PageRefusal(404, str(error), near=list(error.near)) from None


def _guarded(
    endpoint: PageEndpoint, token: str, hosts: Collection[str] | None
) -> Callable[[Request], Awaitable[Response]]:
    async def respond(request: Request) -> Response:
        check_private(request, hosts)
        if endpoint.changes:
            given = request.headers.get(TOKEN_HEADER, "")
            if not compare_digest(given.encode(), token.encode()):
                raise HTTPException(
                    403, "the page's token is missing or of an earlier start: reload the page"
                )
        response = await endpoint.answer(request)
        response.headers.update(PRIVATE)
        return response

    return respond
