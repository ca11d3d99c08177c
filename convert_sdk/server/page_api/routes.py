"""All routes of the page: its files, and its endpoints."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from convert_sdk.server.access import check_private
from convert_sdk.server.faults import Faults
from convert_sdk.server.page_files import file_answer
from convert_sdk.server.registry import Registry

from .edit_endpoints import EditEndpoints
from .endpoints import endpoint_routes
from .event_endpoints import EventEndpoints, take_report
from .fault_endpoints import FaultEndpoints
from .project_endpoints import ProjectEndpoints
from .traffic_endpoints import TrafficEndpoints
from .visitor_endpoints import VisitorEndpoints


def page_routes(
    registry: Registry, faults: Faults, token: str, hosts: Collection[str] | None
) -> Iterator[Route]:
    """The routes of the page's files and endpoints.

    Args:
        registry: What is served.
        faults: The switches of the server.
        token: What a request must bring that changes anything.
        hosts: As of `create_app`.
    """

    async def page_part(request: Request) -> Response:
        check_private(request, hosts)
        found = file_answer(request)
        if found is None:
            raise HTTPException(404, "no such file of the page")
        return found

    async def status(request: Request) -> Response:
        check_private(request, hosts)
        return await take_report(registry, request)

    yield Route("/_page/{path:path}", page_part, methods=["GET"])
    yield Route("/_status/{place:path}", status, methods=["POST"])
    # The lists of a project come last: their address takes any name.
    endpoints = chain(
        FaultEndpoints(faults),
        EventEndpoints(registry, faults),
        VisitorEndpoints(registry),
        EditEndpoints(registry),
        TrafficEndpoints(registry),
        ProjectEndpoints(registry),
    )
    yield from endpoint_routes(endpoints, token, hosts)
