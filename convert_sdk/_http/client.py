"""One request, one response, over httpx: it never raises, and it is bounded in time and memory.

httpx has a time-out for each read, which a server that sends a byte now and then never breaks. Here a whole exchange
has one deadline. A task is cancelled at it. A thread cannot be, so the deadline is put where httpx meets the network
(`_DeadlineBackend`): every connect, read and write gets the time that is left.

Host names are resolved within the deadline too. The system's resolver has no time-out and cannot be interrupted, so
each look-up runs in a thread of its own, which is left behind if it takes too long, and which the next request joins.

A body is measured before it is kept, and inflated by us piece by piece, so that a compressed bomb costs no memory.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from http.cookiejar import CookieJar, DefaultCookiePolicy
from math import inf
from threading import Thread
from time import monotonic, time
from typing import Any, NamedTuple, TypedDict, TypeVar

import certifi
import httpcore
import httpx

from convert_sdk._checks import masked
from convert_sdk._process.fork import register_after_fork
from convert_sdk._process.locks import Latch

from .messages import TIMEOUT, TOO_LARGE, TOO_SLOW, Failure, Request, Response

T = TypeVar("T")
FEW_CONNECTIONS = httpx.Limits(max_connections=8, max_keepalive_connections=4)
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
    verify: ssl.SSLContext
    trust_env: bool
    proxy: str | None
    cookies: CookieJar
    follow_redirects: bool
    timeout: float
    limits: httpx.Limits


class _Body(NamedTuple):
    """A body as far as it could be read."""

    content: bytes = b""
    error: str = ""


class _QuietURL(httpx.URL):
    """A URL whose text leaves out the query and masks a password: httpx logs it."""

    def __str__(self) -> str:
        return masked(super().__str__().split("?", 1)[0])


def open_client(
    *,
    transport: httpx.BaseTransport | None = None,
    ca_bundle: str | None = None,
    proxy: str | None = None,
    limits: httpx.Limits = FEW_CONNECTIONS,
    trust_env: bool = True,
) -> httpx.Client:
    """Open a client for `send`: TLS is always verified, and with `trust_env` the environment's proxies are used.

    Requests to this very machine go past the environment's proxies, which could not reach it.
    """
    mounts: dict[str, httpx.BaseTransport | None] = dict.fromkeys(() if proxy else _LOOPBACK)
    client = httpx.Client(
        transport=transport, mounts=mounts, **_settings(ca_bundle, proxy, limits, trust_env)
    )
    return _with_deadline(client)


def open_async_client(
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    ca_bundle: str | None = None,
    proxy: str | None = None,
    limits: httpx.Limits = FEW_CONNECTIONS,
    trust_env: bool = True,
) -> httpx.AsyncClient:
    """Open a client for `asend`; as `open_client`."""
    mounts: dict[str, httpx.AsyncBaseTransport | None] = dict.fromkeys(() if proxy else _LOOPBACK)
    settings = _settings(ca_bundle, proxy, limits, trust_env)
    return httpx.AsyncClient(transport=transport, mounts=mounts, **settings)


def send(client: httpx.Client, request: Request) -> Response | Failure:
    """Make one request and read the whole response, in the calling thread."""
    until = monotonic() + request.timeout
    try:
        built = _build(request)
    except Exception as error:  # noqa: BLE001  # a URL or header that cannot be sent
        return Failure("undelivered", _describe(error))
    with _within(until):
        try:
            response = client.send(built, stream=True, follow_redirects=False)
        except Exception as error:  # noqa: BLE001  # the transport may be the application's own
            return _failure(error)
        try:
            raw = _read(response, until, request.size_cap)
        finally:
            response.close()
    return _response(response, raw if raw.error else _decode(response, raw.content, request.size_cap))


async def asend(client: httpx.AsyncClient, request: Request) -> Response | Failure:
    """Make one request and read the whole response; a large body is inflated in a thread."""
    until = asyncio.get_running_loop().time() + request.timeout
    try:
        built = _build(request)
    except Exception as error:  # noqa: BLE001  # a URL or header that cannot be sent
        return Failure("undelivered", _describe(error))
    try:
        async with asyncio.timeout_at(until):
            response = await client.send(built, stream=True, follow_redirects=False)
    except Exception as error:  # noqa: BLE001  # the transport may be the application's own
        return _failure(error)
    try:
        async with asyncio.timeout_at(until):
            raw = await _aread(response, request.size_cap)
    except TimeoutError:
        raw = _Body(error=TOO_SLOW)
    finally:
        await response.aclose()
    if raw.error:
        return _response(response, raw)
    if len(raw.content) <= _THREAD_THRESHOLD:
        return _response(response, _decode(response, raw.content, request.size_cap))
    return _response(response, await run_in_thread(lambda: _decode(response, raw.content, request.size_cap)))


async def run_in_thread(work: Callable[[], T]) -> T:
    """Do the work in a thread of the loop, to its end even if this task is cancelled.

    It is done in the calling thread if the interpreter is shutting down and starts no more threads.
    """
    try:
        done = asyncio.get_running_loop().run_in_executor(None, work)
    except RuntimeError:  # the interpreter is shutting down
        return work()
    return await asyncio.shield(done)


def _settings(
    ca_bundle: str | None, proxy: str | None, limits: httpx.Limits, trust_env: bool
) -> _ClientSettings:
    return {
        "verify": _tls(ca_bundle, trust_env),
        "trust_env": trust_env,
        "proxy": proxy,
        "cookies": CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        "follow_redirects": False,
        "timeout": TIMEOUT,
        "limits": limits,
    }


def _tls(ca_bundle: str | None, trust_env: bool) -> ssl.SSLContext:
    if ca_bundle is None:
        return _default_tls(trust_env)
    return ssl.create_default_context(cafile=ca_bundle) if trust_env else _closed_tls(ca_bundle)


@functools.cache
def _default_tls(trust_env: bool) -> ssl.SSLContext:
    # Reading the certificates costs more than all else that a client does.
    return httpx.create_ssl_context() if trust_env else _closed_tls(certifi.where())


def _closed_tls(cafile: str) -> ssl.SSLContext:
    """A context that reads no SSL_CERT_FILE, SSL_CERT_DIR or SSLKEYLOGFILE, as those for everyday use do."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile)
    return context


def _build(request: Request) -> httpx.Request:
    step = request.timeout if request.step_timeout is None else request.step_timeout
    connect = min(step, _CONNECT_TIMEOUT) if request.step_timeout is None else step
    headers = httpx.Headers({"Accept": "*/*", "Connection": "keep-alive"})
    headers.update(request.headers)
    built = httpx.Request(
        request.method,
        request.url,
        headers=headers,
        content=request.body,
        extensions={"timeout": httpx.Timeout(step, connect=connect).as_dict()},
    )
    if request.private_query or built.url.userinfo:
        built.url = _QuietURL(built.url)
    return built


def _response(response: httpx.Response, body: _Body) -> Response:
    return Response(response.status_code, dict(response.headers), body.content, body.error, time())


def _failure(error: Exception) -> Failure:
    return Failure("undelivered" if isinstance(error, _NOT_SENT) else "ambiguous", _describe(error))


def _describe(error: Exception) -> str:
    text = str(error) or ("the deadline has passed" if isinstance(error, TimeoutError) else "")
    return f"{type(error).__name__}: {text}"[:200]


def _read(response: httpx.Response, until: float, size_cap: int) -> _Body:
    if response.is_stream_consumed:  # a mock's, decoded already
        return _Body(response.content)
    raw = bytearray()
    try:
        for chunk in response.iter_raw():
            raw += chunk
            if len(raw) > size_cap:
                return _Body(error=TOO_LARGE)
            if monotonic() > until:
                return _Body(error=TOO_SLOW)
    except Exception as error:  # noqa: BLE001  # as for the request
        return _Body(error=_describe(error))
    return _Body(bytes(raw))


async def _aread(response: httpx.Response, size_cap: int) -> _Body:
    if response.is_stream_consumed:
        return _Body(response.content)
    raw = bytearray()
    try:
        async for chunk in response.aiter_raw():
            raw += chunk
            if len(raw) > size_cap:
                return _Body(error=TOO_LARGE)
    except Exception as error:  # noqa: BLE001  # as for the request
        return _Body(error=_describe(error))
    return _Body(bytes(raw))


def _decode(response: httpx.Response, raw: bytes, size_cap: int) -> _Body:
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("identity", "") or not raw or hasattr(response, "_content"):
        return _Body(raw) if len(raw) <= size_cap else _Body(error=TOO_LARGE)
    if encoding not in _ENCODINGS:
        return _Body(error=f"in an encoding that was not asked for: {encoding}"[:100])
    try:
        size = 0
        for piece in _inflate(raw):
            size += len(piece)
            if size > size_cap:
                return _Body(error=TOO_LARGE)
        return _Body(b"".join(_inflate(raw)))
    except (zlib.error, EOFError) as error:
        return _Body(error=f"not {encoding}: {error}")


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


# One deadline for everything that httpx does on the network.


@contextmanager
def _within(until: float) -> Iterator[None]:
    """Bound everything that a client with `_with_deadline` does in this context; monotonic seconds."""
    token = _deadline.set(until)
    try:
        yield
    finally:
        _deadline.reset(token)


def _with_deadline(client: httpx.Client) -> httpx.Client:
    """Make a client keep to `_within`, on its direct connections and through proxies.

    httpx passes no network backend on, so ours is put in the place of the one that it has. A client
    or transport of another make keeps its time-outs for each read.
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
        self._resolver = _Resolver()

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


# Host names.


class _Lookup:
    """One look-up by the system's resolver, in a thread that may be left behind."""

    __slots__ = ("_host", "_port", "addresses", "done", "error")

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self.done = Latch()
        self.addresses: tuple[str, ...] = ()
        self.error: OSError | None = None

    def start(self) -> None:
        """Look up in a thread of its own, or in this one if the interpreter starts no more threads."""
        try:
            Thread(target=self.run, name="convert_sdk-names", daemon=True).start()
        except RuntimeError:  # the interpreter ends
            self.run()

    def run(self) -> None:
        """Look up in this thread, for as long as it takes."""
        try:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            self.addresses = tuple(dict.fromkeys(str(address[0]) for *_, address in found))
        except OSError as error:
            self.error = error
        except UnicodeError as error:
            self.error = OSError(f"no name of a host: {error}")
        finally:
            self.done.open()


class _Resolver:
    """The addresses that one client knows. While the system's resolver hangs, the last good ones are used."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, ...]] = {}
        self._lookups: dict[str, _Lookup] = {}

    def resolve(self, host: str, port: int, seconds: float) -> tuple[str, ...]:
        """Return the host's addresses in the order in which to try them; raise OSError.

        An address is returned as it is. `seconds` bounds the wait; half of it, if older addresses are known.
        """
        if is_address(host):
            return (host,)
        until = monotonic() + seconds
        known = self._known.get(host)
        lookup = self._lookups.get(host)
        if lookup is None:  # two threads may both do it, which costs one look-up more
            lookup = self._lookups[host] = _Lookup(host, port)
            lookup.start()
        if not lookup.done.wait((until - monotonic()) / (2 if known else 1)):
            if known:
                return known
            raise TimeoutError(f"{host} was not resolved in time")
        self._lookups.pop(host, None)
        if lookup.error is not None:
            raise lookup.error
        self._known[host] = lookup.addresses
        return lookup.addresses


def is_address(host: str) -> bool:
    """Tell an IP address from a host name.

    >>> is_address("127.0.0.1"), is_address("::1"), is_address("localhost")
    (True, True, False)
    """
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except (OSError, UnicodeError):
            continue
        return True
    return False


# A lock of OpenSSL that another thread held during a fork would stay locked in the child.
register_after_fork(_default_tls.cache_clear)
