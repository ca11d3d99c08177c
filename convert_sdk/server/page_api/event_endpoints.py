"""The endpoints about what arrives: the stream, the entries, the bodies, the sums, and the clients."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from convert_sdk.server.activity import ActivityBatch
from convert_sdk.server.body import unpacked
from convert_sdk.server.exchange import client_id
from convert_sdk.server.faults import Faults
from convert_sdk.server.registry import Registry, ServedProject

from .answers import answer, number, question
from .endpoints import IN_PROJECT, PageEndpoint, computed, project_of
from .entry_rows import EntryFilter, entry_rows, read_filter
from .server_sent import pause, sent_event, stream_answer
from .totals import totals

_MOST_ROWS: Final = 500
_MOST_TEXT: Final = 512 * 1024
"""Characters of a body that are shown."""
_MOST_REPORT: Final = 64 * 1024
"""Bytes of what an SDK says of itself."""
_REFRESH: Final = 1.0
"""Seconds between two sums in a stream at least."""
_COMMENT_EVERY: Final = 10.0


class EventEndpoints:
    """One method per endpoint."""

    def __init__(self, registry: Registry, faults: Faults) -> None:
        self._registry = registry
        self._faults = faults

    def __iter__(self) -> Iterator[PageEndpoint]:
        yield PageEndpoint("GET", f"{IN_PROJECT}/stream", self.stream)
        yield PageEndpoint("GET", f"{IN_PROJECT}/entries", self.entries)
        yield PageEndpoint("GET", f"{IN_PROJECT}/totals", self.totals)
        yield PageEndpoint("GET", f"{IN_PROJECT}/clients", self.clients)
        yield PageEndpoint("POST", f"{IN_PROJECT}/clear", self.clear, changes=True)
        yield PageEndpoint("GET", "/requests/{request}/body", self.body)

    async def stream(self, request: Request) -> Response:
        project = project_of(self._registry, request)
        wanted = read_filter(project, request.query_params)
        given = request.headers.get("last-event-id", request.query_params.get("since", ""))
        since = int(given) if given.isdecimal() and len(given) < 16 else self._registry.activity.newest
        feed = _Feed(self._registry, self._faults, project, wanted, since)
        return stream_answer(feed.events(request.app.state.closing))

    async def entries(self, request: Request) -> Response:
        project = project_of(self._registry, request)
        activity, wanted = self._registry.activity, read_filter(project, request.query_params)
        before = number(request, "before", 0, 10**12) or None
        limit = number(request, "limit", 200, _MOST_ROWS)
        fitting = (each for each in activity.backwards(before) if wanted.fits(each))
        rows = entry_rows(islice(fitting, limit), project.entities())
        return answer({"rows": rows, "seq": activity.newest, "oldest": activity.oldest})

    async def totals(self, request: Request) -> Response:
        project = project_of(self._registry, request)
        registry = self._registry
        return answer(await computed(partial(totals, project, registry.activity, registry.clients)))

    async def clients(self, request: Request) -> Response:
        place = project_of(self._registry, request).place
        clients = self._registry.clients
        return answer({"clients": clients.listed(place), "totals": clients.totals(place).to_dict()})

    async def clear(self, request: Request) -> Response:
        project = project_of(self._registry, request)
        project.record.clear()
        self._registry.activity.clear()
        self._registry.clients.clear(project.place)
        return answer({"cleared": True})

    async def body(self, request: Request) -> Response:
        text = request.path_params["request"]
        kept = self._registry.activity.body(int(text)) if text.isdecimal() and len(text) < 16 else None
        if kept is None:
            raise HTTPException(404, "the body of this request is not kept any more")
        try:
            shown = unpacked(kept.sent, kept.encoding).decode("utf-8", "replace")
        except HTTPException:  # it was refused for that
            shown = kept.sent.decode("utf-8", "replace")
        with suppress(ValueError, RecursionError):
            shown = json.dumps(json.loads(shown), indent=2, ensure_ascii=False)
        return answer(
            {
                "request": kept.request,
                "at": kept.at,
                "method": kept.method,
                "target": kept.target,
                "content_type": kept.content_type,
                "encoding": kept.encoding,
                "bytes": len(kept.sent),
                "text": shown[:_MOST_TEXT],
                "truncated": len(shown) > _MOST_TEXT,
            }
        )


class _Feed:
    """One stream to one page."""

    def __init__(
        self, registry: Registry, faults: Faults, project: ServedProject, wanted: EntryFilter, since: int
    ) -> None:
        self._registry = registry
        self._faults = faults
        self._project = project
        self._wanted = wanted
        self._seq = since

    async def events(self, is_closing: Callable[[], bool]) -> AsyncIterator[str]:
        """The events of the stream, until the page or the server goes."""
        registry = self._registry
        project = self._project
        revision, flaw = project.current, project.file_flaw
        yield f"retry: 1000\n\n{sent_event('revision', self._revision())}"
        counted: object = None
        switches: object = None
        refresh_at = said_at = 0.0
        while not is_closing():
            now = time.monotonic()
            if project.current is not revision or project.file_flaw != flaw:
                revision, flaw = project.current, project.file_flaw
                said_at = now
                yield sent_event("revision", self._revision())
            batch = registry.activity.since(self._seq, _MOST_ROWS)
            if batch.entries or batch.seq != self._seq:
                rows = self._rows(batch)
                if rows:
                    said_at = now
                    yield rows
            if now >= refresh_at:
                refresh_at = now + _REFRESH
                state = (registry.activity.newest, registry.clients.version, revision)
                if state != counted:
                    counted, said_at = state, now
                    sums = await computed(partial(totals, self._project, registry.activity, registry.clients))
                    yield sent_event("totals", sums)
                found = self._faults.to_dict()
                if found != switches:
                    switches, said_at = found, now
                    yield sent_event("faults", found)
            if now - said_at > _COMMENT_EVERY:
                said_at = now
                yield ": nothing new\n\n"
            if len(batch.entries) < _MOST_ROWS:
                await pause()

    def _rows(self, batch: ActivityBatch) -> str:
        self._seq = batch.seq
        rows = entry_rows(filter(self._wanted.fits, batch.entries), self._project.entities())
        if not rows and not batch.skipped:
            return ""
        data = {"rows": rows, "seq": batch.seq, "skipped": batch.skipped}
        return sent_event("rows", data, batch.seq)

    def _revision(self) -> dict[str, object]:
        current = self._project.current
        flaw = self._project.file_flaw
        return {"revision": current.name, "etag": current.etag, "by": current.origin.value, "flaw": flaw}


async def take_report(registry: Registry, request: Request) -> Response:
    """Take what an SDK says of itself."""
    place = registry.place_of(request.path_params["place"])
    client = client_id(request)
    if place is None or client is None:
        raise HTTPException(404, "no such project, or no id of a client")
    registry.clients.report(place, client, await question(request, _MOST_REPORT))
    return answer({"taken": True})
