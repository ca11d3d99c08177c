"""The endpoints about one visitor: the form, the decisions, the explanation and the copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from convert_sdk.server.registry import Registry, ServedProject

from .answers import answer, question
from .copies import copies
from .endpoints import IN_PROJECT, PageEndpoint, computed, project_of
from .facts_form import facts_form
from .visitor_answers import decisions, explanation
from .visitor_question import VisitorQuestion, read_question

_About = Callable[[ServedProject, VisitorQuestion, str], Mapping[str, object]]


class VisitorEndpoints:
    """One method per endpoint."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def __iter__(self) -> Iterator[PageEndpoint]:
        yield PageEndpoint("GET", f"{IN_PROJECT}/facts", self.facts)
        yield PageEndpoint("POST", f"{IN_PROJECT}/decisions", self.decisions)
        yield PageEndpoint("POST", f"{IN_PROJECT}/explanation", partial(self._about, self._explanation))
        yield PageEndpoint("POST", f"{IN_PROJECT}/copies", partial(self._about, _copies))

    async def facts(self, request: Request) -> Response:
        project = project_of(self._registry, request)
        return answer(await computed(partial(facts_form, project.current)))

    async def decisions(self, request: Request) -> Response:
        project = project_of(self._registry, request)
        asked = read_question(await question(request))
        return answer(await computed(partial(decisions, project, asked)))

    def _explanation(self, project: ServedProject, asked: VisitorQuestion, key: str) -> Mapping[str, object]:
        return explanation(project, self._registry.activity, asked, key)

    async def _about(self, give: _About, request: Request) -> Response:
        """The answer about one experience."""
        project = project_of(self._registry, request)
        body = await question(request)
        key = body.get("experience")
        if not isinstance(key, str) or not key:
            raise HTTPException(400, "experience must be the key of an experience")
        return answer(await computed(partial(give, project, read_question(body), key)))


def _copies(project: ServedProject, asked: VisitorQuestion, key: str) -> Mapping[str, object]:
    return copies(project.current, asked, key)
