"""Server-sent events: the text of one, and the answer that streams them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from starlette.responses import StreamingResponse

from convert_sdk._core.events import to_json

LOOK_EVERY: Final = 0.1
"""Seconds between two messages of a stream at least."""


def sent_event(name: str, data: object, id: int | None = None) -> str:
    """One event of a stream."""
    number = "" if id is None else f"id: {id}\n"
    return f"event: {name}\n{number}data: {to_json(data)}\n\n"


def stream_answer(events: AsyncIterator[str]) -> StreamingResponse:
    """The answer that streams events."""
    return StreamingResponse(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def pause() -> None:
    """Wait until the next look."""
    await asyncio.sleep(LOOK_EVERY)
