"""A local Serving API on a socket: for a shell, or inside a test's own process."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from threading import Event, Thread

import uvicorn
from starlette.applications import Starlette
from starlette.types import Message, Receive, Scope, Send

from convert_sdk._process.clock import monotonic

from .access import ANY_HOST, is_loopback
from .app import Outage, create_app
from .faults import Faults, http_date
from .registry import Registry

LOOPBACK = "127.0.0.1"


class LocalServer:
    """A Serving API in a thread of this process; `running` makes, starts and stops it.

    What was recorded belongs to the registry and outlives a restart.

    >>> server = LocalServer(registry)
    >>> server.start()
    >>> server.stop()
    """

    def __init__(self, registry: Registry, *, port: int = 0) -> None:
        self.registry = registry
        self.port = port
        """The port it listens on; where 0 was asked for, the free one that it found."""
        self.faults = Faults()
        """The faults that the page, or a test, switches on."""
        self._outage = Outage()
        self._app = create_app(registry, hosts=(), outage=self._outage, faults=self.faults)
        self._running: tuple[_Server, Thread] | None = None

    @property
    def url(self) -> str:
        """The endpoint for both configuration and tracking.

        >>> LocalServer(registry, port=8088).url
        'http://127.0.0.1:8088'
        """
        return f"http://{LOOPBACK}:{self.port}"

    def start(self) -> None:
        """Listen, on the same port as before; returns once connections are accepted.

        Raises:
            RuntimeError: It listens already, or could not begin to.
            OSError: The port is taken.

        >>> server = LocalServer(registry)
        >>> server.start()
        >>> server.port > 0
        True
        >>> server.stop()
        """
        if self._running is not None:
            raise RuntimeError("already started")
        listener = _listen(LOOPBACK, self.port)
        self.port = listener.getsockname()[1]
        server = _Server(self._app)
        thread = Thread(target=server.run_on, args=(listener,), name="convert-local-server", daemon=True)
        thread.start()
        server.settled.wait()
        if not server.started:
            raise RuntimeError("the server did not start")
        self._running = (server, thread)

    def stop(self) -> None:
        """Finish the requests under way and close the port; nothing happens where it is closed.

        >>> LocalServer(registry).stop()
        """
        if self._running is not None:
            server, thread = self._running
            server.should_exit = True
            thread.join()
            self._running = None

    @contextmanager
    def failing(self, status: int = 503) -> Iterator[None]:
        """Answer every request with `status` for as long as the block lasts.

        >>> import httpx
        >>> with running(registry) as server, server.failing(503):
        ...     httpx.get(f"{server.url}/config/shop").status_code
        503
        """
        self._outage.status = status
        try:
            yield
        finally:
            self._outage.status = None


@contextmanager
def running(registry: Registry, *, port: int = 0) -> Iterator[LocalServer]:
    """A started `LocalServer` on a free port, or on `port`; it stops at the end of the block.

    >>> import httpx
    >>> registry = Registry()
    >>> shop = registry.add({"account_id": "1", "project": {"id": "2"}}, sdk_key="1/2")
    >>> with running(registry) as server:
    ...     httpx.get(f"{server.url}/config/1/2").json()["project"]
    {'id': '2'}
    """
    server = LocalServer(registry, port=port)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def serve(
    registry: Registry,
    *,
    host: str = LOOPBACK,
    port: int = 8088,
    ready: Callable[[str], None] | None = None,
    checked: Callable[[], None] | None = None,
) -> None:
    """Serve until the process is told to stop (Ctrl-C or SIGTERM).

    Args:
        registry: What is served, and to whom.
        host: The address to listen on. Beyond loopback, Convert's endpoints answer under any name; what is not part
            of Convert's API is still only answered on the machine itself.
        port: 0 takes a free one.
        ready: Called with the endpoint's URL, as this machine reaches it, once connections are accepted.
        checked: Called in a thread of its own once every document is compiled and checked, which takes seconds for
            large ones: requests are answered meanwhile.

    Raises:
        OSError: The address cannot be listened on.

    >>> serve(registry, host="192.0.2.1", port=0)
    Traceback (most recent call last):
    OSError: ...
    """
    with _listen(host, port) as listener:
        app = create_app(registry, hosts=() if is_loopback(host) else (ANY_HOST, host.lower()))
        if ready is not None:
            ready(_url(host, listener))
        Thread(target=_warm, args=(registry, checked), name="convert-warm", daemon=True).start()
        _Server(app).run([listener])


def _url(host: str, listener: socket.socket) -> str:
    """The URL at which this machine reaches a listener; an address that stands for all of them is none of a server."""
    address, port = listener.getsockname()[:2]
    if ip_address(address).is_unspecified:
        host = "::1" if ":" in address else LOOPBACK
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _warm(registry: Registry, checked: Callable[[], None] | None) -> None:
    """Make what the first page will ask for, so that it has not to wait."""
    for project, _ in registry.listed():
        project.current.warm()
    if checked is not None:
        checked()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=1024)
    # Accepted connections inherit it: an answer in two parts must not wait for an acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


class _SteadyLoop(asyncio.SelectorEventLoop):
    """An event loop whose time goes on while a test of the host freezes the clocks."""

    def time(self) -> float:
        return monotonic()


class _Server(uvicorn.Server):
    """Says when it accepts connections, or never will."""

    def __init__(self, app: Starlette) -> None:
        super().__init__(_quiet(app))
        self.settled = Event()
        app.state.closing = self._is_closing

    def _is_closing(self) -> bool:
        return self.should_exit

    def run_on(self, listener: socket.socket) -> None:
        try:
            with asyncio.Runner(loop_factory=_SteadyLoop) as runner:
                runner.run(self.serve([listener]))
        finally:
            self.settled.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.settled.set()


def _quiet(app: Starlette) -> uvicorn.Config:
    # Headers of a proxy are not believed: anybody can send them, and only the access rules look at them.
    return uvicorn.Config(
        _Dated(app),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        date_header=False,
    )


class _Dated:
    """The app, with the Date of every answer that has none: one that a fault has set is left alone."""

    def __init__(self, app: Starlette) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"]
                if not any(name == b"date" for name, _ in headers):
                    headers.append((b"date", http_date(time.time()).encode()))
            await send(message)

        await self._app(scope, receive, send_dated)
