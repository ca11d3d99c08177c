"""The endpoints about what a project is: its lists, its entities, its problems."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from convert_sdk._version import __version__
from convert_sdk.analysis import Kind
from convert_sdk.server.registry import Registry, ServedProject

from .answers import answer, number
from .endpoints import IN_PROJECT, PageEndpoint, computed, project_of
from .project_rows import SECTIONS, Wanted, detail, problems, section_rows, summary

_MOST_ROWS = 500


class ProjectEndpoints:
    """One method per endpoint."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def __iter__(self) -> Iterator[PageEndpoint]:
        yield PageEndpoint("GET", "/projects", self.projects)
        yield PageEndpoint("GET", IN_PROJECT, self.project)
        yield PageEndpoint("GET", f"{IN_PROJECT}/problems", self.problems)
        yield PageEndpoint("GET", f"{IN_PROJECT}/{{section}}", self.section)
        yield PageEndpoint("GET", f"{IN_PROJECT}/{{section}}/{{key:path}}", self.entity)

    async def projects(self, request: Request) -> Response:
        listed = self._registry.listed()
        rows = await computed(lambda: [_project_row(project, keys) for project, keys in listed])
        endpoint = str(request.base_url).rstrip("/")
        return answer({"version": __version__, "endpoint": endpoint, "projects": rows})

    async def project(self, request: Request) -> Response:
        project = project_of(self._registry, request)
        figures = await computed(partial(summary, project.current))
        return answer(
            {
                "place": project.place,
                **figures,
                "file": _file(project),
                "watched": project.watched,
                "can_undo": project.history.can_undo,
                "events_seq": self._registry.activity.newest,
            }
        )

    async def section(self, request: Request) -> Response:
        project = project_of(self._registry, request)
        wanted = _wanted(request, 100)
        return answer(await computed(partial(section_rows, project.current, _kind(request), wanted)))

    async def entity(self, request: Request) -> Response:
        project = project_of(self._registry, request)
        key = request.path_params["key"] or request.query_params.get("key", "")
        return answer(await computed(partial(detail, project.current, _kind(request), key)))

    async def problems(self, request: Request) -> Response:
        project = project_of(self._registry, request)
        query = request.query_params
        subject, severity = query.get("subject", ""), query.get("severity", "")
        wanted = _wanted(request, 200)
        return answer(await computed(partial(problems, project.current, subject, severity, wanted)))


def _project_row(project: ServedProject, keys: tuple[str, ...]) -> dict[str, object]:
    return {
        "place": project.place,
        "account_id": project.account_id,
        "project_id": project.project_id,
        "name": project.name,
        "sdk_keys": keys,
        "needs_key": project.needs_key,
        "revision": project.current.name,
        "etag": project.current.etag,
        "file": _file(project),
        "watched": project.watched,
    }


def _file(project: ServedProject) -> str | None:
    return None if project.file is None else str(project.file)


def _kind(request: Request) -> Kind:
    kind = SECTIONS.get(request.path_params["section"])
    if kind is None:
        raise HTTPException(404, f"the lists are {', '.join(SECTIONS)}")
    return kind


def _wanted(request: Request, default: int) -> Wanted:
    query = request.query_params
    return Wanted(
        number(request, "offset", 0, 10**9),
        number(request, "limit", default, _MOST_ROWS),
        query.get("search", ""),
        query.get("status", ""),
    )
