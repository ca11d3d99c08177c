"""Preview links: which experience an address asks for, and the fetches of those that the document does not have.

Theory of operation
-------------------
A link is open to everybody, so that nobody may cause work with it. An experience that is not known only asks for a
fetch, in a thread or a task of its own, and the answer serves a later request. Fetches are a second apart, at most a
hundred ids wait, and what was fetched, found or not, is not fetched again for a minute.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, MutableMapping
from math import inf
from typing import NamedTuple
from urllib.parse import parse_qsl

from cachetools import TTLCache

from convert_sdk._core.preview import parse_preview
from convert_sdk._delivery.background import BackgroundThread
from convert_sdk._process.clock import monotonic
from convert_sdk.async_client import AsyncClient
from convert_sdk.client import Client
from convert_sdk.errors import FetchError

PARAMETERS = ("convert_preview", "_conv_eforce")
_APART = 1.0
"""Seconds between two fetches."""
_MOST_WAITING = 100
_MOST_RECENT = 1_000
_RECENT = 60.0
"""Seconds for which the outcome of a fetch is remembered."""


class PreviewLink(NamedTuple):
    """The variation that an address asks for."""

    experience_id: str
    variation_id: str


def preview_link(query: str) -> PreviewLink | None:
    """The variation that a query asks for, as `convert_preview=123.456`; None for anything else.

    >>> preview_link("a=1&convert_preview=123.456")
    PreviewLink(experience_id='123', variation_id='456')
    """
    if not any(name in query for name in PARAMETERS):
        return None
    try:
        given = parse_qsl(query, max_num_fields=100)
    except ValueError:  # more than a link has
        return None
    for name, value in given:
        found = parse_preview(value) if name in PARAMETERS else None
        if found is not None:
            return PreviewLink(*found)
    return None


class PreviewQueue:
    """The ids that are to be fetched, and when."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._waiting: dict[str, None] = {}
        self._recent: MutableMapping[str, None] = TTLCache[str, None](_MOST_RECENT, _RECENT, timer=clock)
        self._next = -inf

    def add(self, experience_id: str) -> bool:
        """Have an id fetched; False where it waits already, was fetched lately, or too many wait."""
        with self._lock:
            if experience_id in self._waiting or experience_id in self._recent:
                return False
            if len(self._waiting) >= _MOST_WAITING:
                return False
            self._waiting[experience_id] = None
            return True

    def due(self) -> float:
        """The time of the next fetch; `inf` while none is wanted."""
        return self._next if self._waiting else inf

    def take(self) -> str | None:
        """The id to fetch now; None where none is due."""
        with self._lock:
            now = self._clock()
            if not self._waiting or now < self._next:
                return None
            experience_id = next(iter(self._waiting))
            del self._waiting[experience_id]
            self._recent[experience_id] = None
            self._next = now + _APART
            return experience_id


class PreviewFetches:
    """The fetches of one middleware: in a thread for a `Client`, in a task of its loop for an `AsyncClient`.

    Args:
        client: The client that fetches.
        warn: Logs a text once for each name.
    """

    def __init__(self, client: Client | AsyncClient, warn: Callable[[str, str], None]) -> None:
        self._client = client
        self._warn = warn
        self.loop: asyncio.AbstractEventLoop | None = None
        """The loop that serves requests; an `AsyncClient` fetches there."""
        self._set_up()

    def _set_up(self) -> None:
        self._pid = os.getpid()
        self.queue = PreviewQueue()
        self._task: asyncio.Task[None] | None = None
        self._thread = BackgroundThread(
            "convert_sdk-previews",
            lambda _: self._fetch_next(),
            self.queue.due,
            done=lambda: None,
            on_error=self._failed,
            may_end=lambda: True,
        )

    def ask(self, experience_id: str) -> None:
        """Have an experience fetched for a later request; returns at once."""
        if self._pid != os.getpid():
            self._set_up()
        if not self.queue.add(experience_id):
            return
        if isinstance(self._client, Client):
            self._thread.notify()
        elif self.loop is not None and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._start_task)

    def _fetch_next(self) -> None:
        client, experience_id = self._client, self.queue.take()
        if experience_id is not None and isinstance(client, Client):
            client.load_preview(experience_id)

    def _start_task(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(
                self._fetch_all(), name="convert_sdk-previews"
            )

    async def _fetch_all(self) -> None:
        client = self._client
        while (due := self.queue.due()) < inf and isinstance(client, AsyncClient):
            await asyncio.sleep(max(0.0, due - monotonic()))
            experience_id = self.queue.take()
            if experience_id is not None:
                try:
                    await client.load_preview(experience_id)
                except Exception as error:  # noqa: BLE001  # a token of the application's own may raise anything
                    self._failed(error)

    def _failed(self, error: BaseException) -> None:
        said = str(error) if isinstance(error, FetchError) else type(error).__name__
        self._warn("preview", f"a preview could not be fetched: {said}")
