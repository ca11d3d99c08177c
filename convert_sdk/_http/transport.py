"""The transports of our clients: httpcore's pools over our own network, one for each way to a server.

httpx makes such pools itself, but offers no place for a network backend, reads the whole environment before the first
request, and fails as a whole where it cannot read a part. Here a pool is made when a request first needs it: without an
https:// URL no certificate is ever loaded, and what is wrong with one way stops no other.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import httpcore
import httpx

from convert_sdk._process.threads import run_in_thread
from convert_sdk._urls import masked

from .environment import Flaw, ProxyEnvironment, Route, read_environment, through
from .names import Resolver
from .network import AsyncNetworkBackend, NetworkBackend
from .quiet import quietly
from .tls import Tls, make_tls, trust_advice

Report = Callable[[Flaw], None]


class TransportSettings(NamedTuple):
    """The settings of a transport."""

    ca_bundle: str | None
    proxy: str | None
    limits: httpx.Limits
    trust_env: bool
    report: Report
    """Called once with each variable of the environment that cannot be used."""

    def __repr__(self) -> str:
        proxy = None if self.proxy is None else masked(self.proxy)
        return f"TransportSettings(proxy={proxy!r}, trust_env={self.trust_env})"

    def environment(self) -> ProxyEnvironment:
        """The proxies to take; flaws are reported."""
        if self.proxy is not None:
            return through(self.proxy)
        if not self.trust_env:
            return ProxyEnvironment()
        environment = read_environment()
        for flaw in environment.flaws:
            self.report(flaw)
        return environment


class _Way(NamedTuple):
    """A way to servers: directly or through a proxy, with or without TLS."""

    route: Route | None
    tls: bool

    @property
    def needs_tls(self) -> bool:
        proxy = self.route.proxy if self.route is not None else None
        return self.tls or (proxy is not None and proxy.url.scheme == "https")


class _Ways:
    """The ways of one transport, and the TLS context that those with TLS share."""

    def __init__(self, settings: TransportSettings) -> None:
        self._settings = settings
        self._environment = settings.environment()
        self._tls: Tls | None = None

    def way(self, url: httpx.URL) -> _Way:
        """The way of a request; raises httpx.ConnectError where its proxy cannot be used."""
        route = self._environment.route(url)
        if route is not None and route.proxy is None:
            raise httpx.ConnectError(f"{route.variable} {route.flaw}")
        return _Way(route, url.scheme == "https")

    def tls(self) -> Tls:
        """The context, made now if it is the first time; raises httpx.ConnectError."""
        if self._tls is None:
            ca_bundle = self._settings.ca_bundle
            try:
                self._tls = make_tls(ca_bundle, trust_env=self._settings.trust_env)
            except OSError as error:
                raise httpx.ConnectError(f"ca_bundle cannot be read: {error.strerror or error}") from error
            for flaw in self._tls.flaws:
                self._settings.report(flaw)
        return self._tls

    def advised(self, error: httpcore.ConnectError) -> httpx.ConnectError:
        """The error, with advice where it is one that the host can mend."""
        return httpx.ConnectError(f"{error}{trust_advice(str(error), self._settings.ca_bundle)}")

    def arguments(self, way: _Way, tls: Tls | None) -> dict[str, Any]:
        """The arguments of httpcore's pools that are the same for all of them."""
        limits = self._settings.limits
        arguments: dict[str, Any] = {
            "max_connections": limits.max_connections,
            "max_keepalive_connections": limits.max_keepalive_connections,
            "keepalive_expiry": limits.keepalive_expiry,
            "ssl_context": tls.context if tls is not None and way.tls else None,
        }
        proxy = way.route.proxy if way.route is not None else None
        if proxy is not None:
            url = proxy.url
            arguments["proxy_url"] = httpcore.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
            )
            arguments["proxy_auth"] = proxy.raw_auth
            if url.scheme == "https" and tls is not None:
                arguments["proxy_ssl_context"] = tls.context
        return arguments


class Transport(httpx.BaseTransport):
    """Exchanges of threads."""

    def __init__(self, settings: TransportSettings, *, inline: bool = False) -> None:
        self._ways = _Ways(settings)
        self._lock = threading.RLock()
        self._pools: dict[_Way, httpcore.ConnectionPool] = {}
        self._resolver = Resolver()
        self._backend = NetworkBackend(self._resolver, inline=inline)

    def prepare(self, url: str) -> None:
        """Make what requests to this URL need; what is wrong is told by the requests."""
        with suppress(httpx.InvalidURL, httpx.HTTPError):
            self._pool(httpx.URL(url))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Exchange one request; raises the exceptions of httpx and of httpcore."""
        pool = self._pool(request.url)
        try:
            response = pool.handle_request(_core_request(request))
        except httpcore.ConnectError as error:
            raise self._ways.advised(error) from error
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_ResponseStream(response),
            extensions=response.extensions,
        )

    def close(self) -> None:
        """Close all connections."""
        self._resolver.close()
        with quietly():
            for pool in list(self._pools.values()):
                pool.close()
        self._backend.close()

    def _pool(self, url: httpx.URL) -> httpcore.ConnectionPool:
        way = self._ways.way(url)
        pool = self._pools.get(way)
        if pool is None:
            with self._lock:
                pool = self._pools.get(way) or self._open(way)
                self._pools[way] = pool
        return pool

    def _open(self, way: _Way) -> httpcore.ConnectionPool:
        arguments = self._ways.arguments(way, self._ways.tls() if way.needs_tls else None)
        scheme = way.route.proxy.url.scheme if way.route is not None and way.route.proxy is not None else ""
        if scheme.startswith("socks"):
            return httpcore.SOCKSProxy(network_backend=self._backend, **arguments)
        if scheme:
            return httpcore.HTTPProxy(network_backend=self._backend, **arguments)
        return httpcore.ConnectionPool(network_backend=self._backend, **arguments)


class AsyncTransport(httpx.AsyncBaseTransport):
    """Exchanges of tasks, in one event loop."""

    def __init__(self, settings: TransportSettings) -> None:
        self._ways = _Ways(settings)
        self._opening = asyncio.Lock()
        self._pools: dict[_Way, httpcore.AsyncConnectionPool] = {}
        self._resolver = Resolver()
        self._backend = AsyncNetworkBackend(self._resolver)

    def prepare(self, url: str) -> None:
        """Load the certificates that requests to this URL need, in the calling thread; any thread may do it."""
        with suppress(httpx.InvalidURL, httpx.HTTPError):
            if self._ways.way(httpx.URL(url)).needs_tls:
                self._ways.tls()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Exchange one request; raises the exceptions of httpx and of httpcore."""
        way = self._ways.way(request.url)
        pool = self._pools.get(way)
        if pool is None:
            async with self._opening:
                pool = self._pools.get(way) or await self._open(way)
                self._pools[way] = pool
        try:
            response = await pool.handle_async_request(_core_request(request))
        except httpcore.ConnectError as error:
            raise self._ways.advised(error) from error
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_AsyncResponseStream(response),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        self._resolver.close()
        with quietly():
            for pool in list(self._pools.values()):
                await pool.aclose()

    async def _open(self, way: _Way) -> httpcore.AsyncConnectionPool:
        tls = await run_in_thread(self._ways.tls) if way.needs_tls else None
        arguments = self._ways.arguments(way, tls)
        scheme = way.route.proxy.url.scheme if way.route is not None and way.route.proxy is not None else ""
        if scheme.startswith("socks"):
            return httpcore.AsyncSOCKSProxy(network_backend=self._backend, **arguments)
        if scheme:
            return httpcore.AsyncHTTPProxy(network_backend=self._backend, **arguments)
        return httpcore.AsyncConnectionPool(network_backend=self._backend, **arguments)


def _core_request(request: httpx.Request) -> httpcore.Request:
    url = request.url
    return httpcore.Request(
        request.method,
        httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        headers=request.headers.raw,
        content=request.stream,
        extensions=request.extensions,
    )


class _ResponseStream(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        yield from self._response.iter_stream()

    def close(self) -> None:
        self._response.close()


class _AsyncResponseStream(httpx.AsyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._response.aiter_stream():
            yield chunk

    async def aclose(self) -> None:
        await self._response.aclose()
