"""One request, one answer, over httpx: never an exception, never without bound in time or memory.

httpx has a time-out per read, which a dripping server never breaks; here a blocking exchange has one total
deadline, and names are resolved within it, too, which `socket.create_connection` cannot promise.
"""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from http.cookiejar import CookieJar, DefaultCookiePolicy
from math import inf
from time import monotonic, time
from typing import Any, TypedDict, TypeVar

import httpcore
import httpx

from .messages import SIZE_CAP, TIMEOUT, Failure, Reply, Request
from .resolver import Names

T = TypeVar("T")
_CONNECT_TIMEOUT = 5.0
_PIECE = 1024 * 1024
_WORTH_A_THREAD = 32 * 1024
_INFLATED = frozenset({"gzip", "x-gzip", "deflate"})
_LOOPBACK = ("all://localhost", "all://127.0.0.1", "all://[::1]")
_UNSENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)
"""Failures after which the server certainly has no request."""
_until: ContextVar[float] = ContextVar("_until", default=inf)
_LEAST = 0.001


class _Settings(TypedDict):
    verify: ssl.SSLContext | bool
    proxy: str | None
    cookies: CookieJar
    follow_redirects: bool
    timeout: float
    limits: httpx.Limits


def open_client(
    *, transport: httpx.BaseTransport | None = None, ca_bundle: str | None = None, proxy: str | None = None
) -> httpx.Client:
    """A client for `exchange`: TLS is always verified, proxies are taken from the environment too.

    The environment's proxy is not asked for what runs on this very machine: it could not reach it.
    """
    mounts: dict[str, httpx.BaseTransport | None] = dict.fromkeys(() if proxy else _LOOPBACK)
    return bounded(httpx.Client(transport=transport, mounts=mounts, **_settings(ca_bundle, proxy)))


def open_async_client(
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    ca_bundle: str | None = None,
    proxy: str | None = None,
) -> httpx.AsyncClient:
    """The same for `aexchange`."""
    mounts: dict[str, httpx.AsyncBaseTransport | None] = dict.fromkeys(() if proxy else _LOOPBACK)
    return httpx.AsyncClient(transport=transport, mounts=mounts, **_settings(ca_bundle, proxy))


def exchange(client: httpx.Client, request: Request) -> Reply | Failure:
    """Make one request and read its answer whole, in the calling thread."""
    until = monotonic() + request.timeout
    try:
        built = _built(client, request)
    except Exception as error:  # noqa: BLE001  # a URL or header that cannot be sent
        return Failure("undelivered", _said(error))
    with deadline(until):
        try:
            response = client.send(built, stream=True, follow_redirects=False)
        except Exception as error:  # noqa: BLE001  # the transport may be the application's own
            return _failure(error)
        try:
            raw, flaw = _read(response, until)
        finally:
            response.close()
    body, flaw = (raw, flaw) if flaw else _decoded(response, raw)
    return Reply(response.status_code, dict(response.headers), body, flaw, time())


async def aexchange(client: httpx.AsyncClient, request: Request) -> Reply | Failure:
    """Make one request and read its answer whole; large bodies are inflated in a thread."""
    until = asyncio.get_running_loop().time() + request.timeout
    try:
        built = _built(client, request)
    except Exception as error:  # noqa: BLE001  # a URL or header that cannot be sent
        return Failure("undelivered", _said(error))
    try:
        async with asyncio.timeout_at(until):
            response = await client.send(built, stream=True, follow_redirects=False)
    except Exception as error:  # noqa: BLE001  # the transport may be the application's own
        return _failure(error)
    try:
        async with asyncio.timeout_at(until):
            raw, flaw = await _aread(response)
    except TimeoutError:
        raw, flaw = b"", "too slow"
    finally:
        await response.aclose()
    if flaw:
        body = b""
    elif len(raw) > _WORTH_A_THREAD:
        body, flaw = await beside_the_loop(lambda: _decoded(response, raw))
    else:
        body, flaw = _decoded(response, raw)
    return Reply(response.status_code, dict(response.headers), body, flaw, time())


async def beside_the_loop(work: Callable[[], T]) -> T:
    """Work in a thread of the loop, to the end even if this task is not; here, where threads are no more."""
    try:
        done = asyncio.get_running_loop().run_in_executor(None, work)
    except RuntimeError:  # the interpreter is shutting down
        return work()
    return await asyncio.shield(done)


def _settings(ca_bundle: str | None, proxy: str | None) -> _Settings:
    return {
        "verify": ssl.create_default_context(cafile=ca_bundle) if ca_bundle else True,
        "proxy": proxy,
        "cookies": CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        "follow_redirects": False,
        "timeout": TIMEOUT,
        "limits": httpx.Limits(max_connections=8, max_keepalive_connections=4),
    }


def _built(client: httpx.Client | httpx.AsyncClient, request: Request) -> httpx.Request:
    timeout = httpx.Timeout(request.timeout, connect=min(request.timeout, _CONNECT_TIMEOUT))
    return client.build_request(
        request.method, request.url, headers=dict(request.headers), content=request.body, timeout=timeout
    )


def _failure(error: Exception) -> Failure:
    return Failure("undelivered" if isinstance(error, _UNSENT) else "ambiguous", _said(error))


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]


def _read(response: httpx.Response, until: float) -> tuple[bytes, str]:
    if response.is_stream_consumed:  # a mock's, decoded already
        return response.content, ""
    raw = bytearray()
    try:
        for chunk in response.iter_raw():
            raw += chunk
            if len(raw) > SIZE_CAP:
                return b"", "too large"
            if monotonic() > until:
                return b"", "too slow"
    except Exception as error:  # noqa: BLE001  # as for the request
        return b"", _said(error)
    return bytes(raw), ""


async def _aread(response: httpx.Response) -> tuple[bytes, str]:
    if response.is_stream_consumed:
        return response.content, ""
    raw = bytearray()
    try:
        async for chunk in response.aiter_raw():
            raw += chunk
            if len(raw) > SIZE_CAP:
                return b"", "too large"
    except Exception as error:  # noqa: BLE001  # as for the request
        return b"", _said(error)
    return bytes(raw), ""


def _decoded(response: httpx.Response, raw: bytes) -> tuple[bytes, str]:
    """The body in clear. It is measured before it is kept, so a bomb costs no memory."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("identity", "") or not raw or hasattr(response, "_content"):
        return (raw, "") if len(raw) <= SIZE_CAP else (b"", "too large")
    if encoding not in _INFLATED:
        return b"", f"in an encoding that was not asked for: {encoding}"[:100]
    try:
        size = 0
        for piece in _inflated(raw):
            size += len(piece)
            if size > SIZE_CAP:
                return b"", "too large"
        return b"".join(_inflated(raw)), ""
    except (zlib.error, EOFError) as error:
        return b"", f"not {encoding}: {error}"


def _inflated(raw: bytes) -> Iterator[bytes]:
    while raw:
        inflate = zlib.decompressobj(wbits=47)  # gzip or zlib, whichever it is
        while not inflate.eof:
            piece = inflate.decompress(raw, _PIECE)
            raw = inflate.unconsumed_tail
            if not piece and not raw and not inflate.eof:
                raise EOFError("cut short")
            yield piece
        raw = inflate.unused_data


@contextmanager
def deadline(until: float) -> Iterator[None]:
    """Bound everything that a `bounded` client does meanwhile; monotonic seconds."""
    token = _until.set(until)
    try:
        yield
    finally:
        _until.reset(token)


def bounded(client: httpx.Client) -> httpx.Client:
    """Make a client keep to `deadline`, on its direct connections and through proxies.

    httpx does not pass a network backend on, so it is put where httpx keeps its own; a client or
    transport of another make keeps its time-outs per read.
    """
    transports = [getattr(client, "_transport", None), *getattr(client, "_mounts", {}).values()]
    for pool in (getattr(transport, "_pool", None) for transport in transports):
        backend = getattr(pool, "_network_backend", None)
        if isinstance(backend, httpcore.NetworkBackend):
            pool._network_backend = _Backend(backend)  # type: ignore[union-attr]  # a pool, as it has a backend
    return client


def _left(timeout: float | None) -> float | None:
    left = _until.get() - monotonic()
    if left == inf:
        return timeout
    return max(_LEAST, left if timeout is None else min(left, timeout))


class _Backend(httpcore.NetworkBackend):
    def __init__(self, inner: httpcore.NetworkBackend) -> None:
        self._inner = inner
        self._names = Names()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            addresses = self._names.addresses(host, port, _left(timeout) or inf)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        failed: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                inner = self._inner.connect_tcp(address, port, _left(timeout), local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
            else:
                return _Stream(inner)
        raise failed

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.connect_unix_socket(path, _left(timeout), socket_options))

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if monotonic() >= _until.get():
            raise httpcore.ReadTimeout("the deadline has passed")
        return self._inner.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, _left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
