"""The machine that fetches the document at the start, refreshes it for ever, and never takes a worse one.

Theory of operation
-------------------
`due` is the time of the next fetch: at once at first, then every `refresh` seconds give or take a tenth, so that a
fleet of processes does not fetch at the same moment. A failure is tried again after a jittered, growing back-off, not
later than a refresh; an endpoint that refuses the key is asked every five minutes. The ETag of the document in use is
sent along, so that an unchanged one costs nothing; one that the server refuses is dropped. Several threads may call
the machine: one of them fetches.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from math import inf

from convert_sdk._config.source import DocumentSource, document_request, token_failure, usable_etag
from convert_sdk._http.backoff import MAX_RETRY_AFTER, Random, full_jitter, retry_after, slow_cadence
from convert_sdk._http.messages import Failure, Request, Response
from convert_sdk.errors import ConvertError

from .stats import BUSY, Notice, redirection

_REFUSED_HEADERS = frozenset({400, 412, 413, 414, 416, 417, 422, 431, 494})
"""Statuses that may be the answer to an ETag that the server does not take."""
_ADVICE = {
    401: ": check the SDK key and its secret",
    403: ": the project may want an SDK key, or another secret",
    404: ": check the SDK key and config_endpoint",
}


class ConfigPoller:
    """Fetches the document and keeps it fresh.

    Args:
        source: The address, the key, and what else goes into the request.
        accept: Called with the body of each new document and with `confirm`, which it calls right before it uses the
            document; raises a ConvertError for one that is no good. Then the last good one stays, and its ETag too.
        random: Gives numbers in [0, 1).
        refresh: Seconds between two fetches; None fetches once.
    """

    __slots__ = (
        "_accept",
        "_asked",
        "_attempt",
        "_confirmed",
        "_due",
        "_etag",
        "_fetching",
        "_random",
        "_refresh",
        "_source",
        "answered",
        "error",
        "failures",
        "fetches",
        "notices",
        "status",
    )

    def __init__(
        self,
        source: DocumentSource,
        accept: Callable[[bytes, Callable[[], None]], None],
        *,
        random: Random,
        refresh: float | None = 300.0,
    ) -> None:
        self._source = source
        self._accept = accept
        self._random = random
        self._refresh = refresh
        self._due = 0.0
        self._fetching = threading.Lock()  # held while a fetch is under way
        self._etag: str | None = None
        self._asked: str | None = None
        self._attempt = 0
        self._confirmed: float | None = None
        self.fetches = 0
        """The number of good fetches, 304 included."""
        self.failures: Counter[str] = Counter()
        """Failed fetches, by status or kind of failure."""
        self.answered = 0.0
        """The time of the last answer."""
        self.status: int | None = None
        """The status of the last response."""
        self.error: str | None = None
        """The reason why the last fetch failed; None after a good one."""
        self.notices: deque[Notice] = deque(maxlen=16)

    def reset_locks(self) -> None:
        """Make a new lock; for a time at which nobody holds the old one."""
        self._fetching = threading.Lock()

    @property
    def etag(self) -> str | None:
        """The ETag of the document in use."""
        return self._etag

    def prime(self, etag: str | None) -> None:
        """Note that a document from disk is in use: only a newer one is fetched, and until then it is stale."""
        self._etag = usable_etag(etag)

    def stop(self) -> None:
        """Fetch nothing any more."""
        self._due = inf

    def age(self, now: float) -> float | None:
        """Seconds since the server last confirmed the document in use; None if it never did."""
        return None if self._confirmed is None else now - self._confirmed

    def stale(self, now: float) -> bool:
        """True if the server has not confirmed the document for two refreshes, or never."""
        return now > self.stale_at

    @property
    def stale_at(self) -> float:
        """The time after which the document counts as stale; `-inf` if the server never confirmed it."""
        return -inf if self._confirmed is None else self._confirmed + 2 * self.refresh

    @property
    def refresh(self) -> float:
        """Seconds between two fetches; `inf` if one good fetch is enough."""
        return inf if self._refresh is None else self._refresh

    @property
    def denied(self) -> bool:
        """True while the server refuses this key: as wrong, as forbidden, or as unknown."""
        return self.error is not None and self.status in _ADVICE

    def due(self) -> float:
        """The time of the next fetch; `inf` during one."""
        return inf if self._fetching.locked() else self._due

    def next_request(self, now: float) -> Request | None:
        """The next fetch, if it is due."""
        if not self._fetching.acquire(blocking=False):
            return None
        request = None
        try:
            if self._due <= now:
                request = document_request(self._source, etag=self._etag)
                self._asked = self._etag
        except Exception as error:  # noqa: BLE001  # the application's own callable
            self._failed(now, "debug_token", token_failure(error))
        finally:
            if request is None:
                self._fetching.release()
        return request

    def handle_response(self, answer: Response | Failure, now: float) -> None:
        """Take the document, or plan the next fetch: only 200, or 304 to a conditional request, is good."""
        self.answered = now
        try:
            self._settle(answer, now)
        finally:
            self._fetching.release()

    def _settle(self, answer: Response | Failure, now: float) -> None:
        if isinstance(answer, Failure):
            self._failed(now, answer.kind, answer.detail)
            return
        self.status = answer.status
        if answer.status == 200 and not answer.body_error:
            self._document(answer, now)
        elif answer.status == 304 and self._asked is not None:
            self._good(now)
        elif answer.status == 200:
            self._failed(now, "body", f"the document is {answer.body_error}")
        else:
            self._refused(answer, now)

    def _document(self, reply: Response, now: float) -> None:
        try:
            self._accept(reply.body, lambda: self._good(now))
        except ConvertError as error:
            self._failed(now, "body", str(error))
        except BaseException:
            self._failed(now, "body", "the document could not be taken")
            raise
        else:
            self._etag = usable_etag(reply.headers.get("etag"))

    def _good(self, now: float) -> None:
        self.fetches += 1
        self._attempt = 0
        self._confirmed = now
        if self.error is not None:
            self.notices.append(Notice("info", "the document is refreshed again"))
        self.error = None
        self._due = inf if self._refresh is None else now + self._refresh * (0.9 + 0.2 * self._random())

    def _refused(self, reply: Response, now: float) -> None:
        advice = _ADVICE.get(reply.status, "") or redirection(reply)
        self._failed(now, str(reply.status), f"the config endpoint answers {reply.status}{advice}")
        if reply.status in _REFUSED_HEADERS and self._asked is not None:
            self._etag = None  # the next fetch, after a short back-off, goes without it
        elif 400 <= reply.status < 500 and reply.status not in BUSY:
            self._due = now + slow_cadence(self._random)
        else:
            self._due = max(self._due, now + (retry_after(reply, cap=MAX_RETRY_AFTER) or 0.0))

    def _failed(self, now: float, kind: str, text: str) -> None:
        self.failures[kind] += 1
        cap = MAX_RETRY_AFTER if self._refresh is None else self._refresh
        self._due = now + full_jitter(self._attempt, self._random, base=1.0, cap=cap)
        self._attempt += 1
        if self.error is None:
            self.notices.append(Notice("warning", f"no new document: {text}"))
        self.error = text
