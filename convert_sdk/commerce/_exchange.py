"""One exchange with a store: what to send, when to wait, when to give up. It holds no socket."""

from __future__ import annotations

import random
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

import httpx

from convert_sdk.commerce._call import Answer, Call
from convert_sdk.commerce._refusals import never_refused, problem_of, scrubbed, unreadable
from convert_sdk.commerce._wire import write_json
from convert_sdk.commerce.errors import (
    ConnectorError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    TransportError,
)
from convert_sdk.errors import OptionError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a request that does no harm twice is sent.

    `attempts` in all, of which `server_errors` may end in a 5xx, as that can mean "unprocessable". Waits
    grow from `backoff` seconds to `ceiling`, each shortened at random by up to half, and never undercut
    `Retry-After`.

    >>> Retries(attempts=1)  # never again
    Retries(attempts=1, server_errors=2, backoff=0.5, ceiling=8.0)
    """

    attempts: int = 4
    server_errors: int = 2
    backoff: float = 0.5
    ceiling: float = 8.0

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.server_errors < 1:
            raise OptionError("Retries: attempts and server_errors count the first one, so they start at 1")


class TokenBucket:
    """At most `tokens` requests in any `seconds`; share one between all clients of a key.

    >>> bucket = TokenBucket(2, seconds=1.0)
    >>> [bucket.reserve(now=10.0, latest=20.0) for _ in range(3)]
    [0.0, 0.0, 1.0]
    """

    def __init__(self, tokens: int = 5, *, seconds: float = 1.0) -> None:
        self._seconds = seconds
        self._taken = deque([float("-inf")] * tokens, maxlen=tokens)
        self._lock = threading.Lock()

    def reserve(self, now: float, latest: float) -> float | None:
        """Seconds until the next token, which is then taken; None if that is after `latest`."""
        with self._lock:
            due = max(now, self._taken[0] + self._seconds)
            if due > latest:
                return None
            self._taken.append(due)
            return due - now


@dataclass(frozen=True, slots=True)
class Http:
    """How a client speaks HTTP.

    `timeout` bounds each step of a request (connecting, writing, each read) and `deadline` all its attempts
    and waits, in seconds.
    `headers` go with every request, before our own of the same name. `pace` bounds the request rate.
    `transport` is an httpx transport, `sleep` takes seconds (and may be a coroutine function for an async
    client).

    >>> Http(deadline=5.0, retries=Retries(attempts=1)).deadline
    5.0
    """

    timeout: float = 10.0
    deadline: float = 60.0
    retries: Retries = Retries()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    pace: TokenBucket | None = None
    transport: httpx.BaseTransport | httpx.AsyncBaseTransport | None = None
    largest_answer: int = 16 * 1024 * 1024
    sleep: Callable[[float], object] | None = None
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    random: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        if self.timeout <= 0 or self.deadline <= 0:
            raise OptionError("Http: timeout and deadline must be above 0 seconds")


DEFAULT_HTTP = Http()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a store is and how it wants to be spoken to."""

    base_url: str
    headers: Mapping[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    pace: TokenBucket | None = None
    refused: Callable[[object], bool] = never_refused

    def url(self, call: Call[T]) -> str:
        """The address of `call`; ServerError for a link that leads to another origin."""
        if call.link is None:
            return self.base_url + call.path
        try:
            url = httpx.URL(self.base_url + call.path).join(call.link)
            if _origin(str(url)) == _origin(self.base_url) and not url.userinfo:
                return str(url)
        except (httpx.InvalidURL, ValueError):
            pass
        raise ServerError(f"{call}: its next link leads to another origin or nowhere, the key stays here")


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


class Send(NamedTuple):
    """Send this request; no byte of its answer may come after `end` on the clock."""

    request: httpx.Request
    end: float


class Pause(NamedTuple):
    """Wait this long."""

    seconds: float


class Broken(NamedTuple):
    """No complete answer arrived, and why."""

    why: str


Heard = Answer | Broken | None


def exchange(call: Call[T], endpoint: Endpoint, http: Http) -> Generator[Send | Pause, Heard, T]:
    """Say what to do next and hear how it went, until there is a `T` or a ConnectorError."""
    end = http.clock() + http.deadline
    request = _request(call, endpoint, http)
    attempt = server_errors = 0
    in_doubt = False
    while True:
        attempt += 1
        yield from _paced(call, http.pace or endpoint.pace, http.clock(), end)
        heard = yield Send(request, end)
        problem = _judged(call, heard, endpoint)
        asked = retry_after(heard, http.now()) if isinstance(heard, Answer) else None
        if isinstance(problem, RateLimitedError):
            problem.retry_after = asked
        if problem is None:
            assert isinstance(heard, Answer)  # noqa: S101 - _judged turns all else into a problem
            return _parsed(call, heard, endpoint)
        if in_doubt and call.method == "DELETE" and isinstance(problem, NotFoundError):
            return _parsed(call, Answer(204, {}, b""), endpoint)  # an earlier attempt deleted it
        in_doubt |= isinstance(problem, ServerError | TransportError)
        server_errors += isinstance(problem, ServerError)
        may_repeat = attempt < http.retries.attempts and server_errors < http.retries.server_errors
        backoff = _backoff(problem, attempt, http) if call.repeatable and may_repeat else None
        wait = max(asked or 0.0, backoff or 0.0)
        if backoff is None or http.clock() + wait >= end:
            raise problem
        yield Pause(wait)


def _request(call: Call[T], endpoint: Endpoint, http: Http) -> httpx.Request:
    url, content = endpoint.url(call), None if call.body is None else write_json(call.body)
    # From here on nothing raises: headers hold the key, and error trackers print local variables.
    headers = httpx.Headers(endpoint.headers)
    headers.update(http.headers)
    headers.update(call.headers)
    if content is not None:
        headers["Content-Type"] = "application/json"
    return httpx.Request(call.method, url, params=dict(call.query) or None, headers=headers, content=content)


def _paced(call: Call[T], pace: TokenBucket | None, now: float, end: float) -> Generator[Pause, Heard, None]:
    wait = pace.reserve(now, end) if pace else 0.0
    if wait is None:
        raise RateLimitedError(f"{call}: our own request rate leaves no room before the deadline")
    if wait > 0:
        yield Pause(wait)


def _judged(call: Call[T], heard: Heard, endpoint: Endpoint) -> ConnectorError | None:
    secrets = (*endpoint.secrets, *call.secrets)
    if isinstance(heard, Answer):
        return problem_of(str(call), heard, secrets, endpoint.refused)
    why = heard.why if heard else "nothing was sent"
    return TransportError(f"{call}: {scrubbed(why, secrets)}")


def _parsed(call: Call[T], answer: Answer, endpoint: Endpoint) -> T:
    try:
        return call.parse(answer)
    except (ValueError, RecursionError) as error:
        problem = unreadable(str(call), answer, error, (*endpoint.secrets, *call.secrets))
    raise problem  # outside the except block: the cause would carry the record's values


def _backoff(problem: ConnectorError, attempt: int, http: Http) -> float | None:
    """Seconds of our own before the next attempt; None if another would meet the same problem."""
    by_server = isinstance(problem, ServerError) and (problem.status or 0) >= 500
    if not by_server and not isinstance(problem, RateLimitedError | TransportError):
        return None
    grown: float = min(http.retries.backoff * 2 ** (attempt - 1), http.retries.ceiling)
    return grown * (0.5 + http.random() / 2)


def retry_after(answer: Answer, now: float) -> float | None:
    """Seconds the answer's `Retry-After` asks for, as a number or as a date by the server's own clock."""
    value = answer.headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    until, dated = _date(value), _date(answer.headers.get("date", ""))
    if until is None:
        return None
    return max(0.0, until.timestamp() - (dated.timestamp() if dated else now))


def _date(value: str) -> datetime | None:
    try:
        read = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError):
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)
