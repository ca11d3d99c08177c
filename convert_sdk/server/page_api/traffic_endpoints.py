"""The endpoints of simulated traffic: start, look on, cancel."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from convert_sdk.server.registry import Registry

from .answers import answer, question
from .endpoints import IN_PROJECT, PageEndpoint, computed, project_of
from .server_sent import pause, sent_event, stream_answer
from .traffic import RunState, TrafficRun, TrafficRuns, read_plan


class TrafficEndpoints:
    """One method per endpoint."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._runs = TrafficRuns()

    def __iter__(self) -> Iterator[PageEndpoint]:
        yield PageEndpoint("POST", f"{IN_PROJECT}/simulations", self.start)
        yield PageEndpoint("GET", "/simulations/{id}", self.snapshot)
        yield PageEndpoint("GET", "/simulations/{id}/stream", self.stream)
        yield PageEndpoint("DELETE", "/simulations/{id}", self.cancel)

    async def start(self, request: Request) -> Response:
        revision = project_of(self._registry, request).current
        body = await question(request)
        project = await computed(lambda: revision.project)
        plan = read_plan(project, body)
        run = await computed(partial(self._runs.start, project, plan))
        return answer({"id": run.id, "visitors": plan.visitors, "revision": revision.name}, 202)

    async def snapshot(self, request: Request) -> Response:
        return answer(self._runs.find(request.path_params["id"]).snapshot)

    async def stream(self, request: Request) -> Response:
        run = self._runs.find(request.path_params["id"])
        return stream_answer(_progress(run, request.app.state.closing))

    async def cancel(self, request: Request) -> Response:
        run = self._runs.find(request.path_params["id"])
        await computed(run.cancel)
        return answer(run.snapshot)


async def _progress(run: TrafficRun, is_closing: Callable[[], bool]) -> AsyncIterator[str]:
    """The snapshots of a simulation, until it is over."""
    sent: object = None
    while not is_closing():
        snapshot = run.snapshot
        if snapshot["state"] != RunState.RUNNING:
            yield sent_event("end", snapshot)
            return
        if snapshot is not sent:
            sent = snapshot
            yield sent_event("progress", snapshot)
        await pause()
