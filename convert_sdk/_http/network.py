"""The network below httpcore: connections within one deadline, made to whichever address answers first.

Theory of operation
-------------------
httpcore has a time-out for each step, which a server that sends a byte now and then never breaks. A task is cancelled
at its deadline. A thread cannot be, so `within` sets a deadline for the thread, and every connect, read and write gets
the time that is left.

A host may have addresses that swallow every packet. So the next address is tried 250 ms after the one before it, or
at once where that one refused, and the first connection wins.

TLS runs over memory, in steps between which we read and write the socket. So OpenSSL is never left while a peer is
waited for, and no Python fork meets it in the middle of a step: its locks would stay locked in the child.
"""

from __future__ import annotations

import asyncio
import errno
import os
import selectors
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from math import inf
from typing import Any, NamedTuple, TypeVar, cast
from weakref import WeakSet

import httpcore

from convert_sdk._process.clock import monotonic
from convert_sdk._process.fork import no_fork

from .names import Resolver, last_good, note_connection

T = TypeVar("T")
STAGGER = 0.25
"""Seconds that an address has for itself before the next one is tried, too."""
_MIN_TIMEOUT = 0.001
_TLS_RECORD = 16 * 1024 + 2048
_STARTED = frozenset({0, errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN})
_deadline: ContextVar[float] = ContextVar("_deadline", default=inf)


@contextmanager
def within(until: float) -> Iterator[None]:
    """Bound everything that this thread does on the network; monotonic seconds."""
    token = _deadline.set(until)
    try:
        yield
    finally:
        _deadline.reset(token)


def _until(timeout: float | None) -> float:
    """The time at which a step must be done."""
    return min(_deadline.get(), inf if timeout is None else monotonic() + timeout)


class _Peer(NamedTuple):
    """The other side of a connection, and its options, besides the address."""

    host: str
    port: int
    local_address: str | None
    options: Sequence[Any]


class NetworkBackend(httpcore.NetworkBackend):
    """Connections of threads.

    Args:
        resolver: Resolves the names of hosts.
        inline: True to try the last good addresses before a name is resolved, as at the end of a process. They are
            tried first, too, where no thread can be started that resolves names.
    """

    def __init__(self, resolver: Resolver, *, inline: bool = False) -> None:
        self._resolver = resolver
        self._inline = inline
        self._lock = threading.RLock()
        self._open: WeakSet[_SocketStream] = WeakSet()
        self._closed = False

    def close(self) -> None:
        """Close what the pools have not: connections that were made while they closed."""
        with self._lock:
            self._closed = True
            streams = list(self._open)
        for stream in streams:
            stream.close()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the host's first address that answers."""
        stream = self._connected(host, port, timeout, local_address, socket_options)
        with self._lock:
            self._open.add(stream)
            closed = self._closed
        if closed:
            stream.close()
            raise httpcore.ConnectError("the client was closed meanwhile")
        return stream

    def _connected(
        self,
        host: str,
        port: int,
        timeout: float | None,
        local_address: str | None,
        socket_options: Iterable[Any] | None,
    ) -> _SocketStream:
        until = _until(timeout)
        peer = _Peer(host, port, local_address, list(socket_options or ()))
        known = last_good(host)
        if known and (self._inline or not self._resolver.is_available()):
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return _connect(peer, known, until)
        try:
            addresses = self._resolver.resolve(host, port, until - monotonic())
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        return _connect(peer, addresses, until)


def _connect(peer: _Peer, addresses: Sequence[str], until: float) -> _SocketStream:
    """Race the addresses; the losers are closed."""
    failure: OSError = OSError(f"{peer.host} has no address")
    waiting = deque(addresses)
    racing: dict[socket.socket, str] = {}
    next_at = -inf
    with selectors.DefaultSelector() as selector:
        try:
            while waiting or racing:
                if waiting and monotonic() >= next_at:
                    address = waiting.popleft()
                    try:
                        started = _start_connecting(peer, address)
                    except OSError as error:
                        failure = error
                        continue
                    racing[started] = address
                    selector.register(started, selectors.EVENT_WRITE)
                    next_at = monotonic() + STAGGER
                if monotonic() >= until:
                    raise httpcore.ConnectTimeout(f"{peer.host} did not answer in time")
                pause = min(until, next_at if waiting else inf) - monotonic()
                for ended in _ended(selector, pause):
                    address = racing.pop(ended)
                    selector.unregister(ended)
                    code = ended.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if not code:
                        note_connection(peer.host, address)
                        return _SocketStream(ended)
                    ended.close()
                    failure, next_at = OSError(code, os.strerror(code)), -inf
        finally:
            for loser in racing:
                loser.close()
    raise httpcore.ConnectError(str(failure))


def _ended(selector: selectors.BaseSelector, pause: float) -> list[socket.socket]:
    """The attempts that came to an end, after at most so many seconds."""
    ended = selector.select(None if pause == inf else max(pause, 0.0))
    return [key.fileobj for key, _ in ended if isinstance(key.fileobj, socket.socket)]


def _start_connecting(peer: _Peer, address: str) -> socket.socket:
    """Begin to connect, without waiting."""
    started = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        started.setblocking(False)
        for option in peer.options:
            started.setsockopt(*option)
        started.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if peer.local_address is not None:
            started.bind((peer.local_address, 0))
        code = started.connect_ex((address, peer.port))
        if code not in _STARTED:
            raise OSError(code, os.strerror(code))
    except BaseException:
        started.close()
        raise
    return started


class _SocketStream(httpcore.NetworkStream):
    """A connected socket."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            self._give_time(timeout)
            return self._socket.recv(max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            while buffer:
                self._give_time(timeout)
                buffer = buffer[self._socket.send(buffer) :]
        except TimeoutError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        self._socket.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _start_tls(self, ssl_context, server_hostname, timeout)

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return _is_readable(self._socket)
        if info == "client_addr":
            return self._socket.getsockname()
        if info == "server_addr":
            return self._socket.getpeername()
        return self._socket if info == "socket" else None

    def _give_time(self, timeout: float | None) -> None:
        until = _until(timeout)
        if until <= monotonic():
            raise TimeoutError("the deadline has passed")
        self._socket.settimeout(None if until == inf else max(_MIN_TIMEOUT, until - monotonic()))


class _TlsStream(httpcore.NetworkStream):
    """TLS over another stream, which may be one of TLS itself: an https:// proxy."""

    def __init__(
        self, inner: httpcore.NetworkStream, context: ssl.SSLContext, server_hostname: str | None
    ) -> None:
        self._inner = inner
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        with no_fork():
            self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_hostname)

    def do_handshake(self, timeout: float | None) -> None:
        """Agree with the server; raises ssl.SSLError, and what the stream below raises."""
        self._run(self._tls.do_handshake, timeout)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            return self._run(lambda: self._tls.read(max_bytes), timeout)
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""
        except ssl.SSLError as error:
            raise httpcore.ReadError(str(error)) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            while buffer:
                rest = buffer
                buffer = rest[self._run(lambda: self._tls.write(rest), timeout) :]  # noqa: B023  # called at once
        except ssl.SSLError as error:
            raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _start_tls(self, ssl_context, server_hostname, timeout)

    def get_extra_info(self, info: str) -> Any:
        return self._tls if info == "ssl_object" else self._inner.get_extra_info(info)

    def _run(self, step: Callable[[], T], timeout: float | None) -> T:
        """Do a step of OpenSSL, and move the bytes that it has or wants, until it is done."""
        while True:
            try:
                with no_fork():
                    done = step()
            except ssl.SSLWantReadError:
                self._send(timeout)
            except ssl.SSLError:
                with suppress(httpcore.NetworkError, httpcore.TimeoutException):
                    self._send(timeout)  # tell the server why
                raise
            else:
                self._send(timeout)
                return done
            received = self._inner.read(_TLS_RECORD, timeout)
            if received:
                self._incoming.write(received)
            else:
                self._incoming.write_eof()

    def _send(self, timeout: float | None) -> None:
        if self._outgoing.pending:
            self._inner.write(self._outgoing.read(), timeout)


def _start_tls(
    stream: httpcore.NetworkStream,
    context: ssl.SSLContext,
    server_hostname: str | None,
    timeout: float | None,
) -> httpcore.NetworkStream:
    """Turn a stream into one of TLS; a failure leaves it closed, and the server without a request."""
    try:
        secured = _TlsStream(stream, context, server_hostname)
        secured.do_handshake(timeout)
    except BaseException as error:
        stream.close()
        if isinstance(error, httpcore.TimeoutException):
            raise httpcore.ConnectTimeout(f"during the TLS handshake: {error}") from error
        if isinstance(error, (httpcore.NetworkError, OSError, ValueError)):
            raise httpcore.ConnectError(str(error)) from error
        raise
    return secured


def _is_readable(connected: socket.socket) -> bool:
    """Tell whether there is anything to read: bytes, or the end of a connection that the server has closed."""
    if connected.fileno() < 0:
        return True
    with selectors.DefaultSelector() as selector:
        selector.register(connected, selectors.EVENT_READ)
        return bool(selector.select(0))


class AsyncNetworkBackend(httpcore.AsyncNetworkBackend):
    """Connections of tasks; their deadline cancels them."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        # httpcore names another class so where anyio is missing; it comes with httpx.
        self._inner = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the host's first address that answers."""
        peer = _Peer(host, port, local_address, list(socket_options or ()))
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._resolver.aresolve(host, port)
                return await self._race(peer, addresses)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error) or f"{host} did not answer in time") from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._inner.sleep(seconds)

    async def _race(self, peer: _Peer, addresses: Sequence[str]) -> httpcore.AsyncNetworkStream:
        failure: Exception = httpcore.ConnectError(f"{peer.host} has no address")
        waiting = deque(addresses)
        racing: set[asyncio.Task[httpcore.AsyncNetworkStream]] = set()
        try:
            while waiting or racing:
                if waiting:
                    racing.add(asyncio.create_task(self._connect(peer, waiting.popleft())))
                ended, _ = await asyncio.wait(
                    racing, timeout=STAGGER if waiting else None, return_when=asyncio.FIRST_COMPLETED
                )
                for task in ended:
                    racing.discard(task)
                    error = task.exception()
                    if error is None:
                        return task.result()
                    if not isinstance(error, (httpcore.NetworkError, httpcore.TimeoutException)):
                        raise error
                    failure = error
        finally:
            await _end(racing)
        raise failure

    async def _connect(self, peer: _Peer, address: str) -> httpcore.AsyncNetworkStream:
        stream = await self._inner.connect_tcp(address, peer.port, None, peer.local_address, peer.options)
        note_connection(peer.host, address)
        return _TaskStream(stream)


class _TaskStream(httpcore.AsyncNetworkStream):
    """A connection that a task which is cancelled in the middle of a handshake leaves closed."""

    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._inner.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        try:
            return _TaskStream(await self._inner.start_tls(ssl_context, server_hostname, timeout))
        except ssl.SSLError as error:  # older versions of httpcore let it out as it is
            await self._inner.aclose()
            raise httpcore.ConnectError(str(error)) from error
        except BaseException:
            await self._inner.aclose()
            raise

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


async def _end(racing: set[asyncio.Task[httpcore.AsyncNetworkStream]]) -> None:
    """End the connections that lost a race."""
    for task in racing:
        task.cancel()
    for loser in await asyncio.gather(*racing, return_exceptions=True):
        if isinstance(loser, httpcore.AsyncNetworkStream):
            await loser.aclose()
