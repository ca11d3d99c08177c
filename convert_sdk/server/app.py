"""The endpoints of the Serving API, over a registry."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_address

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from convert_sdk.errors import DocumentError

from .registry import Answer, Registry, ServedProject
from .tracking import read_tracking

MAX_BODY = 8 * 1024 * 1024
"""Bytes of one tracking request."""
_JSON = "application/json"

Endpoint = Callable[[Request], Awaitable[Response]]


class Outage:
    """Whether the API pretends to be down: while `status` is set, every endpoint answers it."""

    __slots__ = ("status",)

    def __init__(self) -> None:
        self.status: int | None = None


def create_app(registry: Registry, *, outage: Outage | None = None) -> Starlette:
    """The Serving API as an ASGI application, also for `httpx.ASGITransport` in a test without a socket.

    >>> create_app(Registry()).url_path_for("track", place="1/2")
    '/track/1/2'
    """
    answers = _Answers(registry)
    served: dict[str, tuple[Endpoint, str]] = {
        "config": (answers.config, "GET"),
        "project-settings": (answers.settings, "GET"),
        "track": (answers.track, "POST"),
        "_events": (answers.events, "GET"),
        "_summary": (answers.summary, "GET"),
        "_debug-token": (answers.debug_token, "POST"),
    }
    routes = [
        Route(f"/{name}/{{place:path}}", _unless_down(answer, outage), methods=[method], name=name)
        for name, (answer, method) in served.items()
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _refuse})


class _Answers:
    """One method per endpoint."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

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

    async def events(self, request: Request) -> Response:
        recorded = _seen_from_here(self._registry, request).record.events()
        return _json([{"event": type(event).__name__, **event._asdict()} for event in recorded])

    async def summary(self, request: Request) -> Response:
        return _json(_mapping(_seen_from_here(self._registry, request).record.summary()))

    async def debug_token(self, request: Request) -> Response:
        return _json(_mapping(_seen_from_here(self._registry, request).issue_debug_token()))


def _unless_down(answer: Endpoint, outage: Outage | None) -> Endpoint:
    async def respond(request: Request) -> Response:
        if outage is not None and outage.status is not None and not request.url.path.startswith("/_"):
            raise HTTPException(outage.status, "the server is told to fail")
        return await answer(request)

    return respond


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
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise HTTPException(413, f"at most {MAX_BODY} bytes in one request")
    try:
        tracked = read_tracking(bytes(body))
        _check("$.accountId", tracked.account_id, project.account_id)
        _check("$.projectId", tracked.project_id, project.project_id)
    except DocumentError as error:
        raise HTTPException(400, str(error)) from None
    return _message(200, f"{project.record.add(tracked)} events received")


def _check(path: str, given: str | None, expected: str) -> None:
    if given is not None and given != expected:
        raise DocumentError(path, expected, given)


def _seen_from_here(registry: Registry, request: Request) -> ServedProject:
    """The project by its ids, for questions that are only answered on the machine itself."""
    if request.client is not None and not ip_address(request.client.host).is_loopback:
        raise HTTPException(403, "only answered on the machine itself")
    account_id, _, project_id = request.path_params["place"].partition("/")
    project = registry.project(account_id, project_id)
    if project is None:
        raise HTTPException(404, "no such project")
    return project


def _conditional(request: Request, answer: Answer) -> Response:
    headers = {"ETag": answer.etag, "Cache-Control": "no-cache", "Vary": "Authorization, convert-debug-token"}
    wanted = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if wanted & {answer.etag, "*"}:
        return Response(status_code=304, headers=headers)
    return Response(answer.body, media_type=_JSON, headers=headers)


async def _refuse(_: Request, error: Exception) -> Response:
    """Every refusal is `{code, message}`, also those of the router."""
    if not isinstance(error, HTTPException):
        raise error
    return _message(error.status_code, error.detail, error.headers)


def _message(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return _json({"code": status, "message": message}, status, headers)


def _json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(json.dumps(value, default=str), status, dict(headers or {}), _JSON)


def _mapping(value: object) -> object:
    if isinstance(value, tuple):
        fields = getattr(value, "_asdict", None)
        if fields is None:
            return [_mapping(item) for item in value]
        return {name: _mapping(item) for name, item in fields().items()}
    return value
