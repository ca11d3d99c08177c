"""The endpoints that change a document, go back, save it, and compare what was served."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from convert_sdk.server.body import bounded
from convert_sdk.server.registry import Registry, ServedProject
from convert_sdk.server.revisions import RevisionOrigin

from .answers import MAX_DOCUMENT, PageRefusal, answer, number, question
from .edits import compared, edited, listed, replaced, saved, source_of, undone, validated
from .endpoints import IN_PROJECT, PageEndpoint, computed, project_of

_MOST_VISITORS: Final = 20_000


class EditEndpoints:
    """One method per endpoint."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._validating = asyncio.Lock()
        self._validations = 0

    def __iter__(self) -> Iterator[PageEndpoint]:
        yield PageEndpoint("GET", f"{IN_PROJECT}/document", self.document)
        yield PageEndpoint("PUT", f"{IN_PROJECT}/document", self.replace, changes=True)
        yield PageEndpoint("POST", f"{IN_PROJECT}/validate", self.validate)
        yield PageEndpoint("POST", f"{IN_PROJECT}/edits", self.edit, changes=True)
        yield PageEndpoint("POST", f"{IN_PROJECT}/undo", self.undo, changes=True)
        yield PageEndpoint("POST", f"{IN_PROJECT}/save", self.save, changes=True)
        yield PageEndpoint("GET", f"{IN_PROJECT}/revisions", self.revisions)
        yield PageEndpoint("GET", f"{IN_PROJECT}/revisions/{{revision}}/document", self.revision)
        yield PageEndpoint("GET", f"{IN_PROJECT}/revisions/{{revision}}/diff", self.diff)

    async def document(self, request: Request) -> Response:
        project = project_of(self._registry, request)
        return await _text(request, project, project.current.name)

    async def replace(self, request: Request) -> Response:
        project = project_of(self._registry, request)
        _check_revision(project, request.headers.get("if-match", "").strip('"'))
        source = await bounded(request, MAX_DOCUMENT)
        return answer(await computed(partial(replaced, project, source, RevisionOrigin.PAGE)))

    async def validate(self, request: Request) -> Response:
        project = project_of(self._registry, request)
        source = await bounded(request, MAX_DOCUMENT)
        self._validations += 1
        mine = self._validations
        async with self._validating:  # of texts that come while somebody types, only the last one counts
            if mine != self._validations:
                raise HTTPException(409, "a later text came meanwhile")
            return answer(await computed(partial(validated, project, source)))

    async def edit(self, request: Request) -> Response:
        project = project_of(self._registry, request)
        body = await question(request)
        _check_revision(project, str(body.get("revision") or ""))
        source = await computed(partial(edited, project.current, body))
        if request.query_params.get("dry"):
            return answer(await computed(partial(validated, project, source)))
        return answer(await computed(partial(replaced, project, source, RevisionOrigin.PAGE)))

    async def undo(self, request: Request) -> Response:
        return answer(await computed(partial(undone, project_of(self._registry, request))))

    async def save(self, request: Request) -> Response:
        return answer(await computed(partial(saved, project_of(self._registry, request))))

    async def revisions(self, request: Request) -> Response:
        project = project_of(self._registry, request)
        return answer({"revisions": await computed(partial(listed, project))})

    async def revision(self, request: Request) -> Response:
        return await _text(request, project_of(self._registry, request), request.path_params["revision"])

    async def diff(self, request: Request) -> Response:
        project = project_of(self._registry, request)
        other = request.query_params.get("from")
        visitors = number(request, "visitors", 500, _MOST_VISITORS)
        name = request.path_params["revision"]
        return answer(await computed(partial(compared, project, name, other, visitors)))


async def _text(request: Request, project: ServedProject, name: str) -> Response:
    """The text of a revision."""
    source = await computed(partial(source_of, project, name))
    headers = {"ETag": f'"{name}"'}
    if request.query_params.get("download"):
        file = project.file.name if project.file is not None else f"project-{project.project_id}.json"
        safe = "".join(each if each.isascii() and (each.isalnum() or each in "-_.") else "_" for each in file)
        headers["Content-Disposition"] = f'attachment; filename="{safe}"'
    return Response(source, media_type="application/json", headers=headers)


def _check_revision(project: ServedProject, expected: str) -> None:
    current = project.current.name
    if expected and expected not in ("*", current):
        raise PageRefusal(409, "another revision is in use by now", revision=current)
