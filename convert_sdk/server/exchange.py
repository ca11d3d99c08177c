"""One request to an endpoint of Convert's API, as the page sees it: the faults that meet it, and notes of it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from convert_sdk._core.half_made import shown_half_made

from .activity import Activity, EntryKind, Exchanged, Happening, RefusedRequest, SentBody
from .body import encoding_of
from .faults import FaultKind, Faults, FaultsMet, http_date
from .record import Conversion, Exposure

CLIENT_HEADER: Final = "convert-client"
"""The id of an SDK's client that reports its status to this server."""
_ID = re.compile(r"[\w.-]{1,64}\Z", re.ASCII)
_LONGEST_SHOWN = 200
"""Characters of an environment that somebody asked for."""
_LOOK_EVERY = 0.05
"""Seconds between two looks at whether a request is still to hang."""
_GARBAGE: Final = b"\x89\x00<garbage>\xff\xfe{]"


@shown_half_made
class TrackingRefusal(HTTPException):
    """A refusal of a tracking body, with the JSON path of what is wrong."""

    def __init__(self, message: str, path: str) -> None:
        super().__init__(400, message)
        self.path = path

    def __repr__(self) -> str:
        return f"TrackingRefusal({self.status_code})"

    def __str__(self) -> str:
        return f"{self.status_code}: {self.detail}"


class Exchange:
    """A request on its way to its answer."""

    def __init__(self, request: Request, endpoint: str, activity: Activity, place: str | None) -> None:
        self.request = request
        self.endpoint = endpoint
        self.activity = activity
        self.happening: Happening = activity.open(place, client_id(request))
        self.sent: bytes | None = None
        """The body as it was sent, once it is read."""
        self.events = self.visitors = 0
        self.met: FaultsMet | None = None

    async def answered(self, answer: Callable[[], Awaitable[Response]], faults: Faults | None) -> Response:
        """The answer, or what a fault makes of it; either is noted."""
        try:
            response = await self._faulty(answer, faults) if faults is not None else await answer()
        except HTTPException as error:
            self._note_refusal(error)
            raise
        size = len(response.body) if self.endpoint == "config" else len(self.sent or b"")
        self._note(response.status_code, size)
        return response

    def keep_body(self, sent: bytes) -> None:
        """Keep the body for somebody who wants to see it."""
        self.sent = sent
        request = self.request
        self.activity.keep_body(
            SentBody(
                self.happening.number,
                self.happening.at,
                request.method,
                request.url.path,
                request.headers.get("content-type", "")[:200],
                encoding_of(request),
                sent,
            )
        )

    def note_event(self, event: Exposure | Conversion, repeated: bool) -> None:
        """Note an event that the body holds."""
        kind = EntryKind.EXPOSURE if isinstance(event, Exposure) else EntryKind.CONVERSION
        self.activity.add(self.happening, kind, event, repeated=repeated)

    def note_received(self, visitors: int, events: int) -> None:
        """Note how much the body held."""
        self.visitors, self.events = visitors, events
        self.activity.note_received(self.happening, events)

    def _note(self, status: int, size: int) -> None:
        detail = Exchanged(
            status,
            size,
            self.request.query_params.get("environment", "")[:_LONGEST_SHOWN] or None,
            self.events,
            self.visitors,
            self.met.names if self.met is not None else None,
        )
        self.activity.add(self.happening, EntryKind(self.endpoint), detail)

    def _note_refusal(self, error: HTTPException) -> None:
        size = len(self.sent or b"")
        if self.met:
            self._note(error.status_code, size)
            return
        path = error.path if isinstance(error, TrackingRefusal) else None
        refused = RefusedRequest(error.status_code, error.detail, size, path)
        self.activity.add(self.happening, EntryKind.REFUSED, refused)

    async def _faulty(self, answer: Callable[[], Awaitable[Response]], faults: Faults) -> Response:
        met = self.met = faults.meet(self.endpoint)
        if not met:
            return await answer()
        if FaultKind.LATENCY in met.values:
            await asyncio.sleep(met.number(FaultKind.LATENCY))
        headers = self._skewed(met)
        response = await self._instead(met, faults, headers)
        if response is None:
            response = await answer()
            if FaultKind.TRUNCATED in met.values and response.body:
                half = bytes(response.body)[: len(response.body) // 2]
                response = Response(half, response.status_code, media_type=response.media_type)
            if FaultKind.ETAG in met.values:
                response.headers["etag"] = f'W/"odd,\x27{time.monotonic_ns():x}'
        response.headers.update(headers)
        return response

    async def _instead(self, met: FaultsMet, faults: Faults, headers: dict[str, str]) -> Response | None:
        """The answer that a fault gives in place of the server's."""
        values = met.values
        if FaultKind.HANG in values:
            await self._hang(faults)
            raise HTTPException(503, "the server is told to hang", headers)
        if FaultKind.ERROR in values:
            raise HTTPException(int(met.number(FaultKind.ERROR)), "the server is told to fail", headers)
        if FaultKind.TOO_MANY in values:
            seconds = f"{met.number(FaultKind.TOO_MANY):g}"
            raise HTTPException(429, "the server is told to refuse", {**headers, "Retry-After": seconds})
        if FaultKind.GARBAGE in values:
            return Response(_GARBAGE, media_type="application/json")
        if FaultKind.REDIRECT in values:
            return Response(status_code=302, headers={"Location": met.text(FaultKind.REDIRECT)})
        return None

    def _skewed(self, met: FaultsMet) -> dict[str, str]:
        if FaultKind.CLOCK_SKEW not in met.values:
            return {}
        return {"Date": http_date(time.time() + met.number(FaultKind.CLOCK_SKEW))}

    async def _hang(self, faults: Faults) -> None:
        request = self.request
        while (
            faults.is_on(self.endpoint, FaultKind.HANG)
            and not request.app.state.closing()
            and not await request.is_disconnected()
        ):
            await asyncio.sleep(_LOOK_EVERY)


def client_id(request: Request) -> str | None:
    """The id that an SDK's client gives itself, where it reports its status here."""
    given = request.headers.get(CLIENT_HEADER, "")
    return given if _ID.match(given) else None
