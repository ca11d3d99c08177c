"""One request, one response, over httpx: it never raises, and it is bounded in time and memory.

A whole exchange has one deadline: to resolve the name, to connect, to agree on TLS, to send, to hear, to inflate. A
task is cancelled at it; a thread's steps get the time that is left (`network`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import NamedTuple

import httpcore
import httpx

from convert_sdk._process.clock import monotonic
from convert_sdk._process.threads import run_in_thread

from .body import Body, decoded
from .environment import Flaw
from .messages import TIMEOUT, TOO_LARGE, TOO_SLOW, Failure, Request, Response
from .network import within
from .quiet import quietly
from .transport import AsyncTransport, Report, Transport, TransportSettings

FEW_CONNECTIONS = httpx.Limits(max_connections=8, max_keepalive_connections=4)
_CONNECT_TIMEOUT = 5.0
_THREAD_THRESHOLD = 32 * 1024
_NOT_SENT = tuple(
    getattr(library, name)
    for library in (httpx, httpcore)
    for name in (
        "ConnectError",
        "ConnectTimeout",
        "PoolTimeout",
        "ProxyError",
        "UnsupportedProtocol",
        "LocalProtocolError",
    )
)
"""Failures after which the server certainly has no request."""
_QUOTING = (httpx.LocalProtocolError, httpcore.LocalProtocolError)
"""Failures whose texts quote what was to be sent, such as a header with a secret in it."""


def log_flaw(flaw: Flaw) -> None:
    """Say what of the environment cannot be used."""
    logging.getLogger("convert_sdk").warning("%s %s", flaw.variable, flaw.text)


def open_client(
    *,
    transport: httpx.BaseTransport | None = None,
    ca_bundle: str | None = None,
    proxy: str | None = None,
    limits: httpx.Limits = FEW_CONNECTIONS,
    trust_env: bool = True,
    report: Report = log_flaw,
    urls: Iterable[str] = (),
    inline: bool = False,
) -> httpx.Client:
    """Open a client for `send`; it raises nothing for what it cannot use: requests fail and say so.

    Args:
        transport: A transport to use in place of our own.
        ca_bundle: A file of certificates to trust in place of the usual ones; TLS is always verified.
        proxy: The URL of a proxy for every request. None: those of the environment, but not to this very machine.
        limits: The number of connections.
        trust_env: False to read nothing from the environment.
        report: Called with each variable of the environment that cannot be used.
        urls: Addresses that will be asked; what they need, as certificates, is loaded now and not by the first request.
        inline: True at the end of a process: the last good addresses are tried before any name is resolved.
    """
    if transport is None:
        own = Transport(TransportSettings(ca_bundle, proxy, limits, trust_env, report), inline=inline)
        for url in urls:
            own.prepare(url)
        transport = own
    return httpx.Client(
        transport=transport, trust_env=False, cookies=_no_cookies(), follow_redirects=False, timeout=TIMEOUT
    )


def open_async_client(
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    ca_bundle: str | None = None,
    proxy: str | None = None,
    limits: httpx.Limits = FEW_CONNECTIONS,
    trust_env: bool = True,
    report: Report = log_flaw,
    urls: Iterable[str] = (),
) -> httpx.AsyncClient:
    """Open a client for `asend`; as `open_client`."""
    if transport is None:
        own = AsyncTransport(TransportSettings(ca_bundle, proxy, limits, trust_env, report))
        for url in urls:
            own.prepare(url)
        transport = own
    return httpx.AsyncClient(
        transport=transport, trust_env=False, cookies=_no_cookies(), follow_redirects=False, timeout=TIMEOUT
    )


def send(client: httpx.Client, request: Request) -> Response | Failure:
    """Make one request and read the whole response, in the calling thread."""
    until = monotonic() + request.timeout
    try:
        built = _build(request)
    except Exception as error:  # noqa: BLE001  # a URL or header that cannot be sent
        return Failure("undelivered", _describe(error))
    with within(until), quietly():
        try:
            response = client.send(built, stream=True, follow_redirects=False)
        except Exception as error:  # noqa: BLE001  # the transport may be the application's own
            return _failure(error)
        try:
            raw = _read(response, until, request.size_cap)
        finally:
            response.close()
    return _response(response, _finished(response, raw, request.size_cap, until))


async def asend(client: httpx.AsyncClient, request: Request) -> Response | Failure:
    """Make one request and read the whole response; a large body is inflated in a thread."""
    until = monotonic() + request.timeout
    until_by_loop = asyncio.get_running_loop().time() + request.timeout
    try:
        built = _build(request)
    except Exception as error:  # noqa: BLE001  # a URL or header that cannot be sent
        return Failure("undelivered", _describe(error))
    progress = _Progress()
    built.extensions["trace"] = progress.note
    with quietly():
        try:
            async with asyncio.timeout_at(until_by_loop):
                response = await client.send(built, stream=True, follow_redirects=False)
        except TimeoutError as error:
            return Failure("undelivered" if progress.is_connecting else "ambiguous", _describe(error))
        except Exception as error:  # noqa: BLE001  # the transport may be the application's own
            return _failure(error)
        try:
            async with asyncio.timeout_at(until_by_loop):
                raw = await _aread(response, request.size_cap)
        except TimeoutError:
            raw = _Raw(Body(error=TOO_SLOW))
        finally:
            await response.aclose()

    def finish() -> Body:
        return _finished(response, raw, request.size_cap, until)

    small = len(raw.body.content) <= _THREAD_THRESHOLD
    return _response(response, finish() if small else await run_in_thread(finish))


class _Progress:
    """The step that an exchange had come to when its task was cancelled; httpcore tells each of them."""

    def __init__(self) -> None:
        self.is_connecting = False

    async def note(self, step: str, _: object) -> None:
        """Note a step."""
        if step.startswith("connection."):
            self.is_connecting = True
        elif step.endswith("send_request_headers.started"):
            self.is_connecting = False


class _Raw(NamedTuple):
    """A body as it came over the network, or as the mock in its place had it."""

    body: Body
    decoded: bool = False


def _no_cookies() -> CookieJar:
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))


def _build(request: Request) -> httpx.Request:
    step = request.timeout if request.step_timeout is None else request.step_timeout
    connect = min(step, _CONNECT_TIMEOUT) if request.step_timeout is None else step
    headers = httpx.Headers({"Accept": "*/*", "Connection": "keep-alive"})
    headers.update(request.headers)
    return httpx.Request(
        request.method,
        request.url,
        headers=headers,
        content=request.body,
        extensions={"timeout": httpx.Timeout(step, connect=connect).as_dict()},
    )


def _response(response: httpx.Response, body: Body) -> Response:
    return Response(response.status_code, dict(response.headers), body.content, body.error, time.time())


def _failure(error: Exception) -> Failure:
    return Failure("undelivered" if isinstance(error, _NOT_SENT) else "ambiguous", _describe(error))


def _describe(error: Exception) -> str:
    if isinstance(error, _QUOTING):
        return f"{type(error).__name__}: the request cannot be sent as it is"
    text = str(error) or ("the deadline has passed" if isinstance(error, TimeoutError) else "")
    return f"{type(error).__name__}: {text}"[:400]


def _read(response: httpx.Response, until: float, size_cap: int) -> _Raw:
    if response.is_stream_consumed:  # a mock's, decoded already
        return _Raw(Body(response.content), decoded=True)
    raw = bytearray()
    try:
        for chunk in response.iter_raw():
            raw += chunk
            if len(raw) > size_cap:
                return _Raw(Body(error=TOO_LARGE))
            if monotonic() > until:
                return _Raw(Body(error=TOO_SLOW))
    except Exception as error:  # noqa: BLE001  # as for the request
        return _Raw(Body(error=f"incomplete: {_describe(error)}"))
    return _Raw(Body(bytes(raw)))


async def _aread(response: httpx.Response, size_cap: int) -> _Raw:
    if response.is_stream_consumed:
        return _Raw(Body(response.content), decoded=True)
    raw = bytearray()
    try:
        async for chunk in response.aiter_raw():
            raw += chunk
            if len(raw) > size_cap:
                return _Raw(Body(error=TOO_LARGE))
    except Exception as error:  # noqa: BLE001  # as for the request
        return _Raw(Body(error=f"incomplete: {_describe(error)}"))
    return _Raw(Body(bytes(raw)))


def _finished(response: httpx.Response, raw: _Raw, size_cap: int, until: float) -> Body:
    if raw.body.error:
        return raw.body
    encoding = "" if raw.decoded else response.headers.get("content-encoding", "")
    return decoded(raw.body.content, encoding, size_cap, until)
