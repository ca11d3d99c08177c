"""The two senders, blocking and awaited: they send the requests of a call and wait between them."""

from __future__ import annotations

import asyncio
import inspect
import ipaddress
import os
import re
import time
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import replace
from types import TracebackType
from typing import Generic, Self, TypeVar
from urllib.parse import urlsplit

import httpx

from convert_sdk._http.client import asend, open_async_client, open_client, send
from convert_sdk._http.messages import Request
from convert_sdk._process.fork import check_pid
from convert_sdk._version import __version__
from convert_sdk.commerce._call import Call
from convert_sdk.commerce._exchange import ConnectorEndpoint, Heard, Http, Pause, Retries, exchange
from convert_sdk.commerce._json import Answer
from convert_sdk.errors import OptionError

_RAW_PATH = re.compile(r"(/[^\s/?#\\]+)*/?")
_HOST = re.compile(r"[\w.:-]+")

T = TypeVar("T")
C = TypeVar("C", httpx.Client, httpx.AsyncClient)
_MANY_CONNECTIONS = httpx.Limits(max_connections=100, max_keepalive_connections=20)


class _ProcessPools(Generic[C]):
    """The connections that a sender and its copies share; a forked process opens its own.

    Two processes on one connection would read each other's answers. A transport of the application's stays as it is:
    nobody but the application can open another.
    """

    def __init__(self, open_pool: Callable[[], C]) -> None:
        self._open_pool: Callable[[], C] = open_pool
        # The parent's stays referenced in its child, which so never closes it.
        self._of_process: dict[int, C] = {os.getpid(): open_pool()}

    @property
    def pool(self) -> C:
        """The connections of this process."""
        check_pid()
        process = os.getpid()
        found = self._of_process.get(process)
        # Where two threads open one, the first counts, and nothing was sent over the other.
        return self._of_process.setdefault(process, self._open_pool()) if found is None else found


class Sender:
    """Runs calls on the calling thread; safe to share between threads."""

    def __init__(self, endpoint: ConnectorEndpoint, http: Http) -> None:
        transport = http.transport
        if transport is not None and not isinstance(transport, httpx.BaseTransport):
            raise OptionError("Http.transport: a sync client needs an httpx.BaseTransport")
        self._endpoint = endpoint
        self._http = http
        self._connections = _ProcessPools(
            lambda: open_client(transport=transport, limits=_MANY_CONNECTIONS, trust_env=http.trust_env)
        )

    @property
    def http(self) -> Http:
        """The options in use."""
        return self._http

    def with_http(self, http: Http) -> Self:
        """A sender with other options over the same connections."""
        other = copy(self)
        other._http = http
        return other

    def run(self, call: Call[T]) -> T:
        """The answer to `call`, or a ConnectorError."""
        steps = exchange(call, self._endpoint, self._http)
        heard: Heard = None
        while True:
            try:
                step = steps.send(heard)
            except StopIteration as end:
                result: T = end.value
                return result
            heard = send(self._connections.pool, step) if isinstance(step, Request) else self._pause(step)

    def close(self) -> None:
        """Close the connections."""
        self._connections.pool.close()

    def _pause(self, step: Pause) -> Heard:
        (self._http.sleep or time.sleep)(step.seconds)
        return None


class AsyncSender:
    """Runs calls on the running event loop."""

    def __init__(self, endpoint: ConnectorEndpoint, http: Http) -> None:
        transport = http.transport
        if transport is not None and not isinstance(transport, httpx.AsyncBaseTransport):
            raise OptionError("Http.transport: an async client needs an httpx.AsyncBaseTransport")
        self._endpoint = endpoint
        self._http = http
        self._connections = _ProcessPools(
            lambda: open_async_client(transport=transport, limits=_MANY_CONNECTIONS, trust_env=http.trust_env)
        )

    @property
    def http(self) -> Http:
        """The options in use."""
        return self._http

    def with_http(self, http: Http) -> Self:
        """A sender with other options over the same connections."""
        other = copy(self)
        other._http = http
        return other

    async def run(self, call: Call[T]) -> T:
        """The answer to `call`, or a ConnectorError."""
        steps = exchange(call, self._endpoint, self._http)
        heard: Heard = None
        while True:
            try:
                step = steps.send(heard)
            except StopIteration as end:
                result: T = end.value
                return result
            heard = await (
                asend(self._connections.pool, step) if isinstance(step, Request) else self._pause(step)
            )

    async def close(self) -> None:
        """Close the connections."""
        await self._connections.pool.aclose()

    async def _pause(self, step: Pause) -> Heard:
        slept = (self._http.sleep or asyncio.sleep)(step.seconds)
        if inspect.isawaitable(slept):
            await slept
        return None


S = TypeVar("S", Sender, AsyncSender)


class _CallOptions(ABC, Generic[S]):
    """The options of single calls, for clients of either kind."""

    _sender: S

    @abstractmethod
    def _bind(self, sender: S) -> None:
        """Make the resources over this sender."""

    def with_options(
        self,
        *,
        timeout: float | None = None,
        deadline: float | None = None,
        retries: Retries | int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Self:
        """The same client with other options, for a call or for many; it shares the connections.

        >>> from convert_sdk.commerce.website import WebsiteClient
        >>> client = WebsiteClient("shop.example.com", "api-key")
        >>> impatient = client.with_options(timeout=2.0, retries=0)

        Args:
            timeout: Seconds for each step of a request.
            deadline: Seconds for all attempts and waits together.
            retries: `Retries`, or how often a request that does no harm twice is sent again.
            headers: Headers besides the client's own.
        """
        http = self._sender.http
        if isinstance(retries, int):
            retries = replace(http.retries, attempts=retries + 1, server_errors=retries + 1)
        given = {"timeout": timeout, "deadline": deadline, "retries": retries}
        changed = {name: value for name, value in given.items() if value is not None}
        other = copy(self)
        own = {**http.headers, **(headers or {})}
        other._bind(self._sender.with_http(self._checked(replace(http, headers=own, **changed))))  # type: ignore[arg-type]  # by name
        return other

    def _checked(self, http: Http) -> Http:
        """The options, if this client can use them, else OptionError."""
        return http


def raw_call(
    method: str,
    path: str,
    query: Mapping[str, str | int | bool] | None,
    body: object,
    *,
    repeatable: bool | None,
) -> Call[Answer]:
    """The call for a request of the application's own. Raises ValueError for what is no path."""
    if not _RAW_PATH.fullmatch(path) or {".", ".."} & {*path.split("/")}:
        raise ValueError(f"path: expected one after the base address, such as '/orders/7', found {path!r}")
    again = method.upper() in ("GET", "PUT", "DELETE") if repeatable is None else repeatable
    return Call(method.upper(), path, lambda answer: answer, query or {}, body, repeatable=again)


class Session(_CallOptions[Sender]):
    """A client that holds connections until `close`, or the end of its `with` block."""

    def raw_request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int | bool] | None = None,
        body: object = None,
        repeatable: bool | None = None,
    ) -> Answer:
        """Send a request that no operation is for, with the key, the retries and the errors of all others.

        Args:
            method: Such as "GET".
            path: After the base address, such as "/orders/7", its parts quoted.
            query: The query's parameters.
            body: What to send as JSON.
            repeatable: Whether it may be sent twice; GET, PUT and DELETE may by default.

        Returns:
            The answer: its `status`, `headers`, `body`, and the body's JSON as `payload`.
        """
        return self._sender.run(raw_call(method, path, query, body, repeatable=repeatable))

    def close(self) -> None:
        """Close the connections; the client cannot be used afterwards."""
        self._sender.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncSession(_CallOptions[AsyncSender]):
    """A client that holds connections until `close` is awaited, or the end of its `async with` block."""

    async def raw_request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int | bool] | None = None,
        body: object = None,
        repeatable: bool | None = None,
    ) -> Answer:
        """Send a request that no operation is for; see `Session.raw_request`."""
        return await self._sender.run(raw_call(method, path, query, body, repeatable=repeatable))

    async def close(self) -> None:
        """Close the connections; the client cannot be used afterwards."""
        await self._sender.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def headers_of(authorization: str, app: str | None) -> dict[str, str]:
    """The headers of every request; in the User-Agent `app` leads, if there is one."""
    named = f"{_header('app', app)} " if app else ""
    return {
        "Authorization": authorization,
        "User-Agent": f"{named}convert_sdk/{__version__}",
        "Accept": "application/json",
    }


def key(name: str, value: str) -> str:
    """`value` if it can be sent as a key, else OptionError (which does not show it)."""
    if not isinstance(value, str) or not value.strip():
        raise OptionError(f"{name}: a key is needed")
    return _header(name, value)


def _header(name: str, value: str) -> str:
    if not value.isascii() or not value.isprintable():
        raise OptionError(f"{name}: only printable ASCII can be sent in a header")
    return value


def origin_url(name: str, value: str) -> str:
    """`value` (a domain or an http(s) URL) as a URL without a trailing slash; OptionError if it is none.

    Plain http is accepted on loopback only.
    """
    value = unicodedata.normalize(
        "NFKC", value
    ).strip()  # letters as one sign each, not with their accents apart
    url = (value if "://" in value else f"https://{value}").rstrip("/")
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(host) or not _is_plain(url):
        raise OptionError(f"{name}: {value!r} is no domain and no http(s) URL")
    if parts.scheme == "http" and not _is_loopback(host):
        raise OptionError(f"{name}: {value!r} would send the key unencrypted: use https")
    return url


def _is_plain(url: str) -> bool:
    """True if a path can be put after it."""
    try:
        return not any(sign in url for sign in "@?#") and httpx.URL(url).host != ""
    except httpx.InvalidURL:
        return False


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
