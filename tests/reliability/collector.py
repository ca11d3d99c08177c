"""A real tracking endpoint on loopback that remembers what it was sent."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from threading import Condition, Thread
from types import TracebackType
from typing import NamedTuple, Self


class Received(NamedTuple):
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Answer(NamedTuple):
    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b'{"code": 200, "message": "OK"}'


class Collector:
    """Answers 200, or what `answer` says; only events answered with a 2xx count as received."""

    def __init__(
        self,
        answer: Callable[[Received], Answer] = lambda _: Answer(),
        *,
        tls: SSLContext | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.answer = answer
        self._host = host
        self.requests: list[Received] = []
        self.events: list[tuple[str, str]] = []
        """Visitor id and the event's JSON, in order of arrival."""
        self.connections = 0
        self._refused = 0
        self._open: set[socket.socket] = set()
        self._changed = Condition()
        self._server = _Server(self, host)
        self._scheme = "https" if tls else "http"
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)

    @property
    def address(self) -> tuple[str, int]:
        return self._host, self._server.server_address[1]

    @property
    def url(self) -> str:
        host = "localhost" if self._scheme == "https" else self._host
        return f"{self._scheme}://{host}:{self.address[1]}"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait_for(self, events: int, timeout: float = 120.0) -> bool:
        """Whether so many events have arrived in time."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.events) >= events, timeout)

    def wait_for_requests(self, count: int, timeout: float = 120.0) -> bool:
        """Whether so many requests have arrived in time."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.requests) >= count, timeout)

    @property
    def refused(self) -> int:
        """How many requests of tracking were answered with an error."""
        return self._refused

    def duplicates(self) -> int:
        """How many events arrived more than once."""
        return sum(times - 1 for times in Counter(self.events).values())

    def connected(self, connection: socket.socket) -> None:
        """Note a client."""
        self.connections += 1
        self._open.add(connection)

    def parted(self, connection: socket.socket) -> None:
        """Forget it."""
        self._open.discard(connection)

    def hang_up(self) -> None:
        """Close every connection, as a server does with idle ones."""
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def take(self, received: Received) -> Answer:
        """Note a request and decide its answer."""
        answer = self.answer(received)
        arrived: list[tuple[str, str]] = []
        if received.method == "POST" and 200 <= answer.status < 300:
            for visitor in json.loads(received.body)["visitors"]:
                arrived += [(visitor["visitorId"], json.dumps(event)) for event in visitor["events"]]
        with self._changed:
            self.requests.append(received)
            self._refused += received.method == "POST" and answer.status >= 400
            self.events += arrived
            self._changed.notify_all()
        return answer


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, collector: Collector, host: str) -> None:
        self.collector = collector
        super().__init__((host, 0), _Conversation)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that vanish are what these tests are about."""


class _Conversation(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def _collector(self) -> Collector:
        assert isinstance(self.server, _Server)
        return self.server.collector

    def setup(self) -> None:
        self._collector.connected(self.request)
        super().setup()

    def finish(self) -> None:
        self._collector.parted(self.request)
        super().finish()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self._collector.take(Received(self.command, self.path, headers, body))
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 304:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if answer.status not in (204, 304):
            self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
