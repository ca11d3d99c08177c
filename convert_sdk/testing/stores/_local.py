"""A store on a loopback port: it records what it is asked and misbehaves when told to."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import unquote

import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from convert_sdk._core.half_made import shown_half_made


class Received(NamedTuple):
    """A request as it arrived, and how it was answered; `spoilt` if by a fault."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes
    status: int
    answer: bytes
    spoilt: bool

    def json(self) -> object:
        """The body's JSON, None without a body."""
        return json.loads(self.body) if self.body else None


@shown_half_made
@dataclass(frozen=True, slots=True)
class Ask:
    """The request to an operation of a fake store: path parts, query and JSON body."""

    ids: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Mapping[str, object]

    def number(self, name: str, default: int) -> int:
        """A whole number in the query; Refusal if it is none."""
        try:
            return int(self.query.get(name, default))
        except ValueError:
            raise Refusal(400, f"{name} must be an integer") from None


class Refusal(Exception):  # noqa: N818 - it is an answer, not a failure
    """Answer with this status and message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Reply(NamedTuple):
    """An answer: JSON, or bytes as they are."""

    payload: object
    status: int = 200


@dataclass(frozen=True, slots=True)
class Fault:
    """The answer to the next request, in place of its own.

    `applied` does the work first, so that only the answer is lost; `cut` ends the connection in the
    middle of the answer.
    """

    status: int = 500
    payload: object = field(default_factory=lambda: {"success": False, "message": "out of order"})
    headers: Mapping[str, str] = field(default_factory=dict)
    applied: bool = False
    cut: bool = False


Operation = Callable[[Ask], Reply]


class LocalStore:
    """A store system on loopback, started by `with` and stopped at its end.

    `requests` is what arrived. `fail(…)` and `limit(…)` queue faults; each answers one request.
    """

    key = "test-key"

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self.reset()
        self._routes = [(_pattern(route), operation) for route, operation in self.operations()]

    def reset(self) -> None:
        """Begin anew: no rows, requests or faults, every switch as it was; it goes on running."""
        self.requests: list[Received] = []
        self.faults: deque[Fault] = deque()
        self._crash: Exception | None = None

    def operations(self) -> list[tuple[str, Operation]]:
        """`METHOD /path/{id}` and what it does."""
        return []

    def check(self, request: Request) -> None:
        """Refusal for a request that lacks what every request needs."""

    def error(self, status: int, message: str) -> object:
        """The store's own way to say what went wrong."""
        return {"status": status, "message": message}

    def fail(self, status: int = 500, *, times: int = 1, applied: bool = False, cut: bool = False) -> None:
        """Answer the next `times` requests with `status`, or cut the connection."""
        fault = Fault(status, self.error(status, "out of order"), applied=applied, cut=cut)
        self.faults.extend([fault] * times)

    def limit(self, retry_after: int | datetime | None = None, *, times: int = 1) -> None:
        """Answer the next `times` requests with 429, with `Retry-After` in seconds or as a date."""
        if isinstance(retry_after, datetime):
            value = {"Retry-After": format_datetime(retry_after.astimezone(UTC), usegmt=True)}
        else:
            value = {} if retry_after is None else {"Retry-After": str(retry_after)}
        self.faults.extend([Fault(429, self.error(429, "too many requests"), headers=value)] * times)

    @property
    def url(self) -> str:
        """`http://127.0.0.1:{port}`, while the store runs."""
        if self._socket is None:
            raise RuntimeError("the store is not running: use it in a with block")
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._socket = socket.create_server(("127.0.0.1", 0))
        # Accepted connections inherit it: an answer in two parts must not wait for an acknowledgement.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        config = uvicorn.Config(
            self._serve, interface="asgi3", log_level="critical", lifespan="off", ws="none", http="h11"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="local-store", daemon=True
        )
        self._thread.start()  # the socket listens already: early requests wait in its backlog
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()
        if self._socket:
            self._socket.close()
        self._socket = None
        if self._crash:
            raise self._crash

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        fault = self.faults.popleft() if self.faults else None
        response = await self._answer(request, fault)
        self.requests.append(_received(request, body, response, fault is not None))
        if fault and fault.cut:
            await send(
                {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"99")]}
            )
            await send({"type": "http.response.body", "body": b"{"})
            return
        await response(scope, receive, send)

    async def _answer(self, request: Request, fault: Fault | None) -> Response:
        if fault and not fault.applied:
            return _json(fault.payload, fault.status, fault.headers)
        try:
            self.check(request)
            response = await self._operate(request)
        except Refusal as refusal:
            return _json(self.error(refusal.status, refusal.message), refusal.status)
        except Exception as crash:
            self._crash = crash  # shown where the store is stopped, not lost in a thread
            raise
        return _json(fault.payload, fault.status, fault.headers) if fault else response

    async def _operate(self, request: Request) -> Response:
        asked = f"{request.method} {_raw_path(request)}"
        for pattern, operation in self._routes:
            if found := pattern.fullmatch(asked):
                ids = {name: unquote(value) for name, value in found.groupdict().items()}
                body = _object(await request.body())
                reply = operation(Ask(ids, dict(request.query_params), dict(request.headers), body))
                return _json(reply.payload, reply.status)
        raise Refusal(404, f"no such operation: {request.method} {request.url.path}")


def _pattern(route: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", route))


def _raw_path(request: Request) -> str:
    return str(request.scope["raw_path"], "ascii").split("?")[0]


def _object(body: bytes) -> Mapping[str, object]:
    try:
        read = json.loads(body) if body else {}
    except ValueError:
        raise Refusal(400, "the body is not JSON") from None
    if not isinstance(read, dict):
        raise Refusal(400, "the body must be a JSON object")
    return read


def _json(payload: object, status: int, headers: Mapping[str, str] | None = None) -> Response:
    if isinstance(payload, bytes):
        return Response(payload, status, headers, media_type="text/plain")
    return Response(json.dumps(payload), status, headers, media_type="application/json")


def _received(request: Request, body: bytes, response: Response, spoilt: bool) -> Received:
    return Received(
        request.method,
        _raw_path(request),
        tuple(request.query_params.multi_items()),
        dict(request.headers),
        body,
        response.status_code,
        bytes(response.body),
        spoilt,
    )
