"""The activity of a local Serving API: the requests and events of late, numbered, for a page that looks on.

The last 5,000 entries are kept, and the bodies of the last 500 tracking requests up to 8 MiB. An entry holds what the
record holds as it is; its keys and names are looked up when somebody reads it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from enum import StrEnum
from itertools import islice
from threading import Lock
from typing import NamedTuple

from cachetools import LRUCache

from .record import Conversion, Exposure

MAX_ENTRIES = 5_000
MAX_BODIES = 500
MAX_BODY_BYTES = 8 * 1024 * 1024
"""Of all bodies together, as they were sent."""
MAX_CLIENTS = 200


class EntryKind(StrEnum):
    """The kind of an entry."""

    CONFIG = "config"
    TRACK = "track"
    EXPOSURE = "exposure"
    CONVERSION = "conversion"
    REFUSED = "refused"


class Exchanged(NamedTuple):
    """A request of a document or of tracking, and the status that answered it."""

    status: int
    bytes: int
    """Of the answer for a document, of the body for tracking."""
    environment: str | None = None
    events: int = 0
    visitors: int = 0
    fault: str | None = None
    """The faults that were switched on and met it."""


class RefusedRequest(NamedTuple):
    """A request that was refused, and why."""

    status: int
    message: str
    bytes: int
    path: str | None = None
    """The JSON path of what is wrong in the body."""


Detail = Exchanged | RefusedRequest | Exposure | Conversion


class ActivityEntry(NamedTuple):
    """One thing that happened."""

    seq: int
    at: float
    """In seconds since the epoch."""
    kind: EntryKind
    request: int
    place: str | None
    """The project's; None where the request named none."""
    client: str | None
    """The id of the SDK's client, where it gives one."""
    detail: Detail
    repeated: bool = False
    """True for an exposure that was recorded already."""


class SentBody(NamedTuple):
    """The body of a request as it was sent."""

    request: int
    at: float
    method: str
    target: str
    content_type: str
    encoding: str
    sent: bytes


class Happening(NamedTuple):
    """The request to which entries belong."""

    number: int
    at: float
    place: str | None
    client: str | None


class ReceivedEvents(NamedTuple):
    """The events of one client, and the time of the last ones."""

    events: int
    at: float


_NOTHING = ReceivedEvents(0, 0.0)


class ActivityBatch(NamedTuple):
    """Some entries, and where to go on."""

    entries: tuple[ActivityEntry, ...]
    seq: int
    """The number of the last entry that was looked at."""
    skipped: int
    """Entries that were gone already."""


class Activity:
    """The requests and events of late; safe to use from any thread.

    `clock` gives seconds since the epoch.

    >>> import time
    >>> Activity(time.time).newest
    0
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = Lock()
        self._requests = 0
        self.newest = 0
        """The number of the last entry."""
        self._entries: deque[ActivityEntry] = deque(maxlen=MAX_ENTRIES)
        self._bodies: OrderedDict[int, SentBody] = OrderedDict()
        self._body_bytes = 0
        self._refused: dict[str, int] = {}
        self._received: LRUCache[tuple[str, str], ReceivedEvents] = LRUCache(MAX_CLIENTS)

    def open(self, place: str | None, client: str | None) -> Happening:
        """The number of a request that has come."""
        with self._lock:
            self._requests += 1
            return Happening(self._requests, self._clock(), place, client)

    def add(self, request: Happening, kind: EntryKind, detail: Detail, *, repeated: bool = False) -> None:
        """Note something that a request brought."""
        with self._lock:
            self.newest += 1
            self._entries.append(
                ActivityEntry(
                    self.newest,
                    request.at,
                    kind,
                    request.number,
                    request.place,
                    request.client,
                    detail,
                    repeated,
                )
            )
            if kind is EntryKind.REFUSED and request.place is not None:
                self._refused[request.place] = self._refused.get(request.place, 0) + 1

    def keep_body(self, body: SentBody) -> None:
        """Keep the body of a request for somebody who wants to see it."""
        if len(body.sent) > MAX_BODY_BYTES:
            return
        with self._lock:
            self._bodies[body.request] = body
            self._body_bytes += len(body.sent)
            while len(self._bodies) > MAX_BODIES or self._body_bytes > MAX_BODY_BYTES:
                self._body_bytes -= len(self._bodies.popitem(last=False)[1].sent)

    def body(self, request: int) -> SentBody | None:
        """The body of a request, while it is kept."""
        return self._bodies.get(request)

    def note_received(self, request: Happening, events: int) -> None:
        """Count the events of a client that says its id."""
        if request.place is None or request.client is None:
            return
        with self._lock:
            key = (request.place, request.client)
            known = self._received.get(key, _NOTHING)
            self._received[key] = ReceivedEvents(known.events + events, self._clock())

    def received(self, place: str, client: str) -> ReceivedEvents:
        """The events that were received from a client."""
        with self._lock:
            return self._received.get((place, client), _NOTHING)

    def refused(self, place: str) -> int:
        """The requests of a project that were refused."""
        return self._refused.get(place, 0)

    def since(self, seq: int, most: int) -> ActivityBatch:
        """The entries after a number, the oldest first."""
        with self._lock:
            oldest = self.newest - len(self._entries)
            start = max(seq, oldest)
            if seq > self.newest:  # of an earlier process
                start = oldest
            found = tuple(islice(self._entries, start - oldest, start - oldest + most))
        return ActivityBatch(found, start + len(found), max(0, start - seq))

    def backwards(self, before: int | None) -> Iterator[ActivityEntry]:
        """The entries before a number, the newest first."""
        with self._lock:
            entries = tuple(self._entries)
        return (each for each in reversed(entries) if before is None or each.seq < before)

    @property
    def oldest(self) -> int:
        """The number of the first entry that is kept; 0 without any."""
        with self._lock:
            return self._entries[0].seq if self._entries else 0

    def clear(self) -> None:
        """Forget everything; the numbers go on."""
        with self._lock:
            self._entries.clear()
            self._bodies.clear()
            self._body_bytes = 0
            self._refused.clear()
            self._received.clear()
