"""The endpoints of the Serving API, over a registry."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from secrets import token_urlsafe

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from convert_sdk.errors import DocumentError

from .access import CORS, PREFLIGHT, PRIVATE, check_api, check_private
from .body import encoding_of, received_body, unpacked
from .exchange import Exchange, TrackingRefusal
from .faults import ENDPOINTS, Faults
from .listing import event_row, summary_row
from .page_api.answers import refusal
from .page_api.routes import page_routes
from .page_files import page_answer, wants_html
from .registry import Registry, ServedProject
from .revisions import ServedDocument
from .tracking import read_tracking

_JSON = "application/json"

Endpoint = Callable[[Request], Awaitable[Response]]


class Outage:
    """The switch that makes the API fail: while `status` is set, every endpoint answers it."""

    __slots__ = ("status",)

    def __init__(self) -> None:
        self.status: int | None = None


def create_app(
    registry: Registry,
    *,
    hosts: Collection[str] | None = None,
    outage: Outage | None = None,
    faults: Faults | None = None,
) -> Starlette:
    """The Serving API as an ASGI application, also for `httpx.ASGITransport` in a test without a socket.

    Args:
        registry: What is served, and to whom.
        hosts: Names that a request may come under, beside those of the machine itself, such as `localhost`; `"*"`
            for any name at Convert's own endpoints. With None, neither the name, nor the page's origin, nor the
            type of the content is checked: for tests, and behind a server of your own.
        outage: Set its `status` to have every endpoint answer that.
        faults: The faults that a test switches; without them, the page has switches of its own.

    >>> create_app(Registry()).url_path_for("track", place="1/2")
    '/track/1/2'
    """
    endpoints = _Endpoints(registry)
    public: dict[str, tuple[Endpoint, str]] = {
        "config": (endpoints.config, "GET"),
        "project-settings": (endpoints.settings, "GET"),
        "track": (endpoints.track, "POST"),
    }
    private: dict[str, tuple[Endpoint, str]] = {
        "_events": (endpoints.events, "GET"),
        "_summary": (endpoints.summary, "GET"),
        "_debug-token": (endpoints.debug_token, "POST"),
    }
    switches = Faults() if faults is None else faults
    route = partial(_route, registry=registry, hosts=hosts, outage=outage, faults=switches)
    routes = [
        Route("/", _private(endpoints.index, hosts), methods=["GET"], name="index"),
        *page_routes(registry, switches, endpoints.token, hosts),
        *(route(name, answer, method) for name, (answer, method) in public.items()),
        *(
            Route(f"/{name}/{{place:path}}", _private(answer, hosts), methods=[method], name=name)
            for name, (answer, method) in private.items()
        ),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _refuse})
    app.state.closing = _is_never_closing
    return app


def _is_never_closing() -> bool:
    """False, until the server that runs the app puts its own answer here: streams and hanging requests ask it."""
    return False


def _route(
    name: str,
    answer: Endpoint,
    method: str,
    *,
    registry: Registry,
    hosts: Collection[str] | None,
    outage: Outage | None,
    faults: Faults,
) -> Route:
    """One of Convert's own endpoints, which a page of any origin may ask."""

    async def respond(request: Request) -> Response:
        check_api(request, hosts)
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=PREFLIGHT)
        if outage is not None and outage.status is not None:
            raise HTTPException(outage.status, "the server is told to fail")
        if name in ENDPOINTS:
            place = registry.place_of(request.path_params["place"])
            exchange = request.state.exchange = Exchange(request, name, registry.activity, place)
            response = await exchange.answered(partial(answer, request), faults)
        else:
            response = await answer(request)
        response.headers.update(CORS)
        return response

    return Route(f"/{name}/{{place:path}}", respond, methods=[method, "OPTIONS"], name=name)


def _private(answer: Endpoint, hosts: Collection[str] | None) -> Endpoint:
    """An endpoint beyond Convert's API, for the developer at this machine."""

    async def respond(request: Request) -> Response:
        check_private(request, hosts)
        response = await answer(request)
        response.headers.update(PRIVATE)
        return response

    return respond


class _Endpoints:
    """One method per endpoint."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.token = token_urlsafe(24)
        """The token of this start, which the page sends back with whatever changes anything."""

    async def config(self, request: Request) -> Response:
        project = _find(self._registry, request)
        debug = project.honours(request.headers.get("convert-debug-token"))
        query = request.query_params
        answer = project.config(query.get("environment"), debug=debug, preview=query.get("exp"))
        return _conditional(request, answer)

    async def settings(self, request: Request) -> Response:
        return _conditional(request, _find_by_ids(self._registry, request.path_params["place"]).settings())

    async def track(self, request: Request) -> Response:
        return await _track(_find(self._registry, request), request)

    async def index(self, request: Request) -> Response:
        if wants_html(request):
            return page_answer(self.token)
        listed = _index(self._registry, request)
        return _json({"message": "a local Serving API", "projects": listed}, headers={"Vary": "Accept"})

    async def events(self, request: Request) -> Response:
        project = _find_private(self._registry, request)
        entities = project.entities()
        return _json([event_row(event, entities) for event in project.record.events()])

    async def summary(self, request: Request) -> Response:
        project = _find_private(self._registry, request)
        return _json(summary_row(project.record.summary(), project.entities()))

    async def debug_token(self, request: Request) -> Response:
        issued = _find_private(self._registry, request).issue_debug_token()
        return _json({"token": issued.token, "expiresAt": issued.expires_at})


def _find(registry: Registry, request: Request) -> ServedProject:
    """The project by SDK key, or else by account and project."""
    place = request.path_params["place"]
    if not registry.knows(place):
        return _find_by_ids(registry, place)
    project = registry.unlock(place, request.headers.get("authorization"))
    if project is None:
        raise HTTPException(401, "the Authorization header does not carry this SDK key's secret")
    return project


def _find_by_ids(registry: Registry, place: str) -> ServedProject:
    account_id, slash, project_id = place.partition("/")
    if not (slash and account_id.isdigit() and project_id.isdigit()):
        raise HTTPException(401, "no such SDK key")
    project = registry.project(account_id, project_id)
    if project is None:
        raise HTTPException(404, "no such SDK key or project")
    if project.needs_key:
        raise HTTPException(403, "settings.disable_default_config is on: use an SDK key")
    return project


async def _track(project: ServedProject, request: Request) -> Response:
    exchange: Exchange = request.state.exchange
    sent = await received_body(request)
    exchange.keep_body(sent)
    body = unpacked(sent, encoding_of(request))
    try:
        tracked = read_tracking(body)
        _check("$.accountId", tracked.account_id, project.account_id)
        _check("$.projectId", tracked.project_id, project.project_id)
    except DocumentError as error:
        raise TrackingRefusal(str(error), error.path) from None
    received = project.record.add(tracked, len(body), exchange.note_event)
    exchange.note_received(len(tracked.visitors), received)
    return _message(200, f"{received} events received")


def _check(path: str, given: str | None, expected: str) -> None:
    if given is not None and given != expected:
        raise DocumentError(path, expected, given)


def _find_private(registry: Registry, request: Request) -> ServedProject:
    """The project by its ids, whatever keys and settings guard it."""
    account_id, _, project_id = request.path_params["place"].partition("/")
    project = registry.project(account_id, project_id)
    if project is None:
        raise HTTPException(404, "no such project")
    return project


def _index(registry: Registry, request: Request) -> list[dict[str, object]]:
    """The endpoints of each project."""
    base = str(request.base_url).rstrip("/")
    return [
        {
            "accountId": project.account_id,
            "projectId": project.project_id,
            "name": project.name,
            "sdkKeys": keys,
            "config": [f"{base}/config/{key}" for key in keys or (place,)],
            "projectSettings": f"{base}/project-settings/{place}",
            "track": [f"{base}/track/{key}" for key in keys or (place,)],
            "events": f"{base}/_events/{place}",
            "summary": f"{base}/_summary/{place}",
            "debugToken": f"{base}/_debug-token/{place}",
        }
        for project, keys in registry.listed()
        for place in (f"{project.account_id}/{project.project_id}",)
    ]


def _conditional(request: Request, answer: ServedDocument) -> Response:
    headers = {"ETag": answer.etag, "Cache-Control": "no-cache", "Vary": "Authorization, convert-debug-token"}
    wanted = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if wanted & {answer.etag, "*"}:
        return Response(status_code=304, headers=headers)
    return Response(answer.body, media_type=_JSON, headers=headers)


async def _refuse(request: Request, error: Exception) -> Response:
    """Answer `{code, message}` to everything refused, by the router too."""
    if not isinstance(error, HTTPException):
        raise error
    readable = PRIVATE if request.url.path.startswith("/_") else CORS
    return _json(refusal(error), error.status_code, {**(error.headers or {}), **readable})


def _message(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return _json({"code": status, "message": message}, status, headers)


def _json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(json.dumps(value), status, dict(headers or {}), _JSON)
