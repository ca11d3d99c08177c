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

from .messages import SIZE_CAP, TIMEOUT, Failure, Request, Response
from .resolver import Resolver

T = TypeVar("T")
_CONNECT_TIMEOUT = 5.0
_CHUNK = 1024 * 1024
_THREAD_THRESHOLD = 32 * 1024
_ENCODINGS = frozenset({"gzip", "x-gzip", "deflate"})
_LOOPBACK = ("all://localhost", "all://127.0.0.1", "all://[::1]")
_NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)
"""Failures after which the server certainly has no request."""
_deadline: ContextVar[float] = ContextVar("_deadline", default=inf)
_MIN_TIMEOUT = 0.001


class _ClientSettings(TypedDict):
    verify: ssl.SSLContext | bool
    proxy: str | None
    cookies: CookieJar
    follow_redirects: bool
    timeout: float
    limits: httpx.Limits


def open_client(
    *, transport: httpx.BaseTransport | None = None, ca_bundle: str | None = None, proxy: str | None = None
) -> httpx.Client:
    """A client for `send`: TLS is always verified, proxies are taken from the environment too.

    The environment's proxy is not asked for what runs on this very machine: it could not reach it.
    """
    mounts: dict[str, httpx.BaseTransport | None] = dict.fromkeys(() if proxy else _LOOPBACK)
    return with_deadline(httpx.Client(transport=transport, mounts=mounts, **_settings(ca_bundle, proxy)))


def open_async_client(
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    ca_bundle: str | None = None,
    proxy: str | None = None,
) -> httpx.AsyncClient:
    """The same for `asend`."""
    mounts: dict[str, httpx.AsyncBaseTransport | None] = dict.fromkeys(() if proxy else _LOOPBACK)
    return httpx.AsyncClient(transport=transport, mounts=mounts, **_settings(ca_bundle, proxy))


def send(client: httpx.Client, request: Request) -> Response | Failure:
    """Make one request and read its answer whole, in the calling thread."""
    until = monotonic() + request.timeout
    try:
        built = _build(client, request)
    except Exception as error:  # noqa: BLE001  # a URL or header that cannot be sent
        return Failure("undelivered", _describe(error))
    with deadline(until):
        try:
            response = client.send(built, stream=True, follow_redirects=False)
        except Exception as error:  # noqa: BLE001  # the transport may be the application's own
            return _failure(error)
        try:
            raw, body_error = _read(response, until)
        finally:
            response.close()
    body, body_error = (raw, body_error) if body_error else _decode(response, raw)
    return Response(response.status_code, dict(response.headers), body, body_error, time())


async def asend(client: httpx.AsyncClient, request: Request) -> Response | Failure:
    """Make one request and read its answer whole; large bodies are inflated in a thread."""
    until = asyncio.get_running_loop().time() + request.timeout
    try:
        built = _build(client, request)
    except Exception as error:  # noqa: BLE001  # a URL or header that cannot be sent
        return Failure("undelivered", _describe(error))
    try:
        async with asyncio.timeout_at(until):
            response = await client.send(built, stream=True, follow_redirects=False)
    except Exception as error:  # noqa: BLE001  # the transport may be the application's own
        return _failure(error)
    try:
        async with asyncio.timeout_at(until):
            raw, body_error = await _aread(response)
    except TimeoutError:
        raw, body_error = b"", "too slow"
    finally:
        await response.aclose()
    if body_error:
        body = b""
    elif len(raw) > _THREAD_THRESHOLD:
        body, body_error = await run_in_thread(lambda: _decode(response, raw))
    else:
        body, body_error = _decode(response, raw)
    return Response(response.status_code, dict(response.headers), body, body_error, time())


async def run_in_thread(work: Callable[[], T]) -> T:
    """Work in a thread of the loop, to the end even if this task is not; here, where threads are no more."""
    try:
        done = asyncio.get_running_loop().run_in_executor(None, work)
    except RuntimeError:  # the interpreter is shutting down
        return work()
    return await asyncio.shield(done)


def _settings(ca_bundle: str | None, proxy: str | None) -> _ClientSettings:
    return {
        "verify": ssl.create_default_context(cafile=ca_bundle) if ca_bundle else True,
        "proxy": proxy,
        "cookies": CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        "follow_redirects": False,
        "timeout": TIMEOUT,
        "limits": httpx.Limits(max_connections=8, max_keepalive_connections=4),
    }


def _build(client: httpx.Client | httpx.AsyncClient, request: Request) -> httpx.Request:
    timeout = httpx.Timeout(request.timeout, connect=min(request.timeout, _CONNECT_TIMEOUT))
    return client.build_request(
        request.method, request.url, headers=dict(request.headers), content=request.body, timeout=timeout
    )


def _failure(error: Exception) -> Failure:
    return Failure("undelivered" if isinstance(error, _NOT_SENT) else "ambiguous", _describe(error))


def _describe(error: Exception) -> str:
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
        return b"", _describe(error)
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
        return b"", _describe(error)
    return bytes(raw), ""


def _decode(response: httpx.Response, raw: bytes) -> tuple[bytes, str]:
    """The body in clear. It is measured before it is kept, so a bomb costs no memory."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("identity", "") or not raw or hasattr(response, "_content"):
        return (raw, "") if len(raw) <= SIZE_CAP else (b"", "too large")
    if encoding not in _ENCODINGS:
        return b"", f"in an encoding that was not asked for: {encoding}"[:100]
    try:
        size = 0
        for piece in _inflate(raw):
            size += len(piece)
            if size > SIZE_CAP:
                return b"", "too large"
        return b"".join(_inflate(raw)), ""
    except (zlib.error, EOFError) as error:
        return b"", f"not {encoding}: {error}"


def _inflate(raw: bytes) -> Iterator[bytes]:
    while raw:
        inflate = zlib.decompressobj(wbits=47)  # gzip or zlib, whichever it is
        while not inflate.eof:
            piece = inflate.decompress(raw, _CHUNK)
            raw = inflate.unconsumed_tail
            if not piece and not raw and not inflate.eof:
                raise EOFError("cut short")
            yield piece
        raw = inflate.unused_data


@contextmanager
def deadline(until: float) -> Iterator[None]:
    """Bound everything that a `with_deadline` client does meanwhile; monotonic seconds."""
    token = _deadline.set(until)
    try:
        yield
    finally:
        _deadline.reset(token)


def with_deadline(client: httpx.Client) -> httpx.Client:
    """Make a client keep to `deadline`, on its direct connections and through proxies.

    httpx does not pass a network backend on, so it is put where httpx keeps its own; a client or
    transport of another make keeps its time-outs per read.
    """
    transports = [getattr(client, "_transport", None), *getattr(client, "_mounts", {}).values()]
    for pool in (getattr(transport, "_pool", None) for transport in transports):
        backend = getattr(pool, "_network_backend", None)
        if isinstance(backend, httpcore.NetworkBackend):
            pool._network_backend = _DeadlineBackend(backend)  # type: ignore[union-attr]  # a pool, as it has a backend
    return client


def _remaining(timeout: float | None) -> float | None:
    left = _deadline.get() - monotonic()
    if left == inf:
        return timeout
    return max(_MIN_TIMEOUT, left if timeout is None else min(left, timeout))


class _DeadlineBackend(httpcore.NetworkBackend):
    def __init__(self, inner: httpcore.NetworkBackend) -> None:
        self._inner = inner
        self._resolver = Resolver()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            addresses = self._resolver.resolve(host, port, _remaining(timeout) or inf)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        failed: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                inner = self._inner.connect_tcp(
                    address, port, _remaining(timeout), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
            else:
                return _DeadlineStream(inner)
        raise failed

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        return _DeadlineStream(self._inner.connect_unix_socket(path, _remaining(timeout), socket_options))

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


class _DeadlineStream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if monotonic() >= _deadline.get():
            raise httpcore.ReadTimeout("the deadline has passed")
        return self._inner.read(max_bytes, _remaining(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _remaining(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _DeadlineStream(self._inner.start_tls(ssl_context, server_hostname, _remaining(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
