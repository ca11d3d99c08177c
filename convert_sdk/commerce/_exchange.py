"""One call to a store: the requests to send, the waits between them, the end. It holds no socket."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

import httpx

from convert_sdk._core.half_made import shown_half_made
from convert_sdk._http.backoff import retry_after
from convert_sdk._http.messages import SIZE_CAP, TOO_LARGE, TOO_SLOW, Failure, Request, Response
from convert_sdk.commerce._call import Call
from convert_sdk.commerce._json import Answer
from convert_sdk.commerce._refusals import never_refused, problem_of, scrubbed, unreadable
from convert_sdk.commerce._wire import StoreRecord, write_json
from convert_sdk.commerce.errors import (
    ConnectorError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    TransportError,
)
from convert_sdk.errors import OptionError

T = TypeVar("T")


@shown_half_made
@dataclass(frozen=True, slots=True)
class Retries:
    """The number of times that a request which does no harm twice is sent.

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


@shown_half_made
@dataclass(frozen=True, slots=True)
class Http:
    """The HTTP options of a client.

    `timeout` bounds each step of a request (connecting, writing, each read) and `deadline` all its attempts
    and waits, in seconds.
    `headers` go with every request, before our own of the same name. `pace` bounds the request rate.
    `transport` is an httpx transport (a forked process uses it as it is, and opens its own connections only where
    there is none); without `trust_env` nothing in the environment counts (proxies, certificates).
    `sleep` takes seconds (and may be a coroutine function for an async
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
    trust_env: bool = True
    largest_answer: int = SIZE_CAP
    sleep: Callable[[float], object] | None = None
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    random: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        if self.timeout <= 0 or self.deadline <= 0:
            raise OptionError("Http: timeout and deadline must be above 0 seconds")


DEFAULT_HTTP = Http()
_MIN_TIMEOUT = 0.001


@shown_half_made
@dataclass(frozen=True, slots=True)
class ConnectorEndpoint:
    """The address of a store, and the headers and the pace that it wants."""

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


class Pause(NamedTuple):
    """Wait this long."""

    seconds: float


Heard = Response | Failure | None


def exchange(call: Call[T], endpoint: ConnectorEndpoint, http: Http) -> Generator[Request | Pause, Heard, T]:
    """Yield the next request or pause and take its response, until there is a `T` or a ConnectorError."""
    end = http.clock() + http.deadline
    request = _request(call, endpoint, http)
    attempt = server_errors = 0
    in_doubt = False
    while True:
        attempt += 1
        yield from _paced(call, http.pace or endpoint.pace, http.clock(), end)
        left = max(_MIN_TIMEOUT, end - http.clock())
        heard = yield request._replace(timeout=left, step_timeout=min(http.timeout, left))
        answer = _answer(call, heard, endpoint, http)
        problem = answer if isinstance(answer, TransportError) else _judged(call, answer, endpoint)
        asked = retry_after(heard) if isinstance(heard, Response) else None
        if isinstance(problem, RateLimitedError):
            problem.retry_after = asked
        if problem is None:
            assert isinstance(answer, Answer)  # noqa: S101 - all else is a problem
            return _parsed(call, answer, endpoint)
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


def _request(call: Call[T], endpoint: ConnectorEndpoint, http: Http) -> Request:
    url, content = endpoint.url(call), None if call.body is None else write_json(call.body)
    # From here on nothing raises: headers hold the key, and error trackers print local variables.
    headers = httpx.Headers(endpoint.headers)
    headers.update(http.headers)
    headers.update(call.headers)
    if content is not None:
        headers["Content-Type"] = "application/json"
    if call.query:
        url = str(httpx.URL(url, params=dict(call.query)))
    return Request(call.method, url, headers, content, size_cap=http.largest_answer)


def _paced(call: Call[T], pace: TokenBucket | None, now: float, end: float) -> Generator[Pause, Heard, None]:
    wait = pace.reserve(now, end) if pace else 0.0
    if wait is None:
        raise RateLimitedError(f"{call}: our own request rate leaves no room before the deadline")
    if wait > 0:
        yield Pause(wait)


def _answer(call: Call[T], heard: Heard, endpoint: ConnectorEndpoint, http: Http) -> Answer | TransportError:
    """Return the complete answer, or the error for one that never came whole."""
    if isinstance(heard, Response) and not heard.body_error:
        return Answer(heard.status, heard.headers, heard.body)
    reasons = {
        TOO_LARGE: f"the answer is larger than {http.largest_answer} bytes",
        TOO_SLOW: "the deadline passed while the answer was still coming",
    }
    match heard:
        case Response(body_error=error):
            why = reasons.get(error, error)
        case Failure(detail=detail):
            why = detail
        case _:
            why = "nothing was sent"
    return TransportError(f"{call}: {scrubbed(why, (*endpoint.secrets, *call.secrets))}")


def _judged(call: Call[T], answer: Answer, endpoint: ConnectorEndpoint) -> ConnectorError | None:
    return problem_of(str(call), answer, (*endpoint.secrets, *call.secrets), endpoint.refused)


def _parsed(call: Call[T], answer: Answer, endpoint: ConnectorEndpoint) -> T:
    try:
        found = call.parse(answer)
        if isinstance(found, StoreRecord):
            object.__setattr__(found, "_answer", answer)  # it is frozen
        return found
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
