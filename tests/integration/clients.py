"""Both clients behind one way to ask, and what passes between them and a server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from typing import Any, NamedTuple, Self, TypeVar

import httpx

from convert_sdk import AsyncClient, Client, FlushReport, Project, Status, Visitor
from tests.waiting import PATIENCE

T = TypeVar("T")


class Exchange(NamedTuple):
    """A request as it was sent, and the status of its answer."""

    method: str
    url: httpx.URL
    headers: httpx.Headers
    status: int


class Wire:
    """Every exchange so far; `heard` waits for one."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self._told = Condition()

    def add(self, request: httpx.Request, status: int) -> None:
        with self._told:
            self.exchanges.append(Exchange(request.method, request.url, request.headers, status))
            self._told.notify_all()

    def heard(self, wanted: Callable[[Exchange], bool]) -> Exchange:
        with self._told:
            assert self._told.wait_for(lambda: any(map(wanted, self.exchanges)), PATIENCE)
            return next(filter(wanted, self.exchanges))

    def gets(self) -> list[Exchange]:
        return [each for each in self.exchanges if each.method == "GET"]

    def posts(self) -> list[Exchange]:
        return [each for each in self.exchanges if each.method == "POST"]


class Transport(httpx.HTTPTransport):
    """A real transport that keeps a record."""

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        self._wire.add(request, response.status_code)
        return response


class AsyncTransport(httpx.AsyncHTTPTransport):
    """The same, awaited."""

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        self._wire.add(request, response.status_code)
        return response


class Awaited:
    """An AsyncClient in a loop of its own, asked like a Client."""

    def __init__(self, loop: Loop, client: AsyncClient) -> None:
        self._loop = loop
        self.client = client

    def visitor(self, *args: Any, **more: Any) -> Visitor:
        return self._loop.run(self.client.visitor(*args, **more))

    def flush(self, *args: Any, **more: Any) -> FlushReport:
        return self._loop.run(self.client.flush(*args, **more))

    def close(self, *args: Any, **more: Any) -> FlushReport:
        return self._loop.run(self.client.close(*args, **more))

    def project_settings(self, **more: Any) -> Any:
        return self._loop.run(self.client.project_settings(**more))

    def load_preview(self, *args: Any, **more: Any) -> bool:
        return self._loop.run(self.client.load_preview(*args, **more))

    def status(self) -> Status:
        return self.client.status()

    @property
    def project(self) -> Project | None:
        return self.client.project

    def __enter__(self) -> Self:
        self._loop.run(self.client.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run(self.client.__aexit__(None, None, None))


class Loop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(3 * PATIENCE)

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


class Making:
    """Makes clients of one kind, whose exchanges are recorded, and closes them in the end."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._loop = Loop() if kind == "async" else None
        self._made: list[Client | Awaited] = []

    def __call__(self, *args: Any, wire: Wire | None = None, **options: Any) -> Any:
        return self._keep(wire, lambda kind, given: kind(*args, **given), options)

    def for_project(self, *args: Any, wire: Wire | None = None, **options: Any) -> Any:
        return self._keep(wire, lambda kind, given: kind.for_project(*args, **given), options)

    def _keep(self, wire: Wire | None, make: Callable[[Any, Any], Any], options: dict[str, Any]) -> Any:
        options = {"start_wait": PATIENCE, "shutdown_timeout": PATIENCE, "flush_interval": 3600, **options}
        if wire is not None:
            options["transport"] = AsyncTransport(wire) if self._loop else Transport(wire)
        made = Awaited(self._loop, make(AsyncClient, options)) if self._loop else make(Client, options)
        self._made.append(made)
        return made

    def end(self) -> None:
        for client in self._made:
            client.close(0)
        if self._loop is not None:
            self._loop.end()


class Odd:
    """A server that answers every GET with what it was told last."""

    def __init__(self) -> None:
        self.url = ""
        self.asked = 0
        self._answer = (200, b"")

    def say(self, body: bytes, status: int = 200) -> None:
        self._answer = (status, body)

    @contextmanager
    def running(self) -> Iterator[Odd]:
        odd = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                odd.asked += 1
                status, body = odd._answer
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
