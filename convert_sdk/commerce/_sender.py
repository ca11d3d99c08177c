"""The two senders: the only code here that moves bytes or waits, once blocking and once awaited."""

from __future__ import annotations

import asyncio
import functools
import inspect
import ipaddress
import re
import ssl
import time
from types import TracebackType
from typing import Generic, Self, TypeVar
from urllib.parse import urlsplit

import httpx

from convert_sdk._http.client import deadline, with_deadline
from convert_sdk._version import __version__
from convert_sdk.commerce._call import Answer, Call
from convert_sdk.commerce._exchange import Broken, Endpoint, Heard, Http, Pause, Send, exchange
from convert_sdk.commerce._pages import AsyncPages, Listing, Pages
from convert_sdk.errors import OptionError

_HOST = re.compile(r"[\w.:-]+")

T = TypeVar("T")
C = TypeVar("C", httpx.Client, httpx.AsyncClient)


class _QuietURL(httpx.URL):
    """A URL whose text leaves out the query: httpx logs it, and queries hold e-mail addresses."""

    def __str__(self) -> str:
        return super().__str__().split("?", 1)[0]


class _OverrunError(Exception):
    """The answer is larger or slower than allowed."""


class _Line(Generic[C]):
    """What both senders share: the endpoint, the options and an httpx client."""

    def __init__(self, endpoint: Endpoint, http: Http, client: C) -> None:
        self._endpoint = endpoint
        self._http = http
        self._client: C = client

    def now(self) -> float:
        """Unix seconds."""
        return self._http.now()

    def _left(self, step: Send) -> float:
        """Seconds until the deadline."""
        return max(0.001, step.end - self._http.clock())

    def _prepared(self, step: Send) -> httpx.Request:
        request = step.request
        left = min(self._http.timeout, self._left(step))
        request.url = _QuietURL(request.url)
        request.extensions["timeout"] = httpx.Timeout(left).as_dict()
        return request

    def _checked(self, body: bytearray, step: Send) -> None:
        if len(body) > self._http.largest_answer:
            raise _OverrunError(f"the answer is larger than {self._http.largest_answer} bytes")
        if self._http.clock() > step.end:
            raise _OverrunError("the deadline passed while the answer was still coming")


@functools.cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context()  # reading the certificates costs more than all else a client does


def _answer(response: httpx.Response, body: bytearray) -> Answer:
    return Answer(response.status_code, response.headers, bytes(body))


def _broken(error: Exception) -> Broken:
    if isinstance(error, _OverrunError):
        return Broken(str(error))
    return Broken(f"{type(error).__name__}: {error}".removesuffix(": "))


class Sender(_Line[httpx.Client]):
    """Runs calls on the calling thread; safe to share between threads."""

    def __init__(self, endpoint: Endpoint, http: Http) -> None:
        transport = http.transport
        if transport is not None and not isinstance(transport, httpx.BaseTransport):
            raise OptionError("Http.transport: a sync client needs an httpx.BaseTransport")
        super().__init__(endpoint, http, with_deadline(httpx.Client(transport=transport, verify=_tls())))

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
            heard = self._send(step) if isinstance(step, Send) else self._pause(step)

    def pages(self, listing: Listing[T]) -> Pages[T]:
        """The lazy pages of `listing`."""
        return Pages(self, listing)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _pause(self, step: Pause) -> Heard:
        (self._http.sleep or time.sleep)(step.seconds)
        return None

    def _send(self, step: Send) -> Answer | Broken:
        try:
            with deadline(time.monotonic() + self._left(step)):
                return self._read(step)
        except (httpx.RequestError, _OverrunError) as error:
            return _broken(error)

    def _read(self, step: Send) -> Answer:
        body = bytearray()
        response = self._client.send(self._prepared(step), stream=True)
        try:
            for chunk in response.iter_bytes():
                body += chunk
                self._checked(body, step)
        finally:
            response.close()
        return _answer(response, body)


class AsyncSender(_Line[httpx.AsyncClient]):
    """Runs calls on the running event loop."""

    def __init__(self, endpoint: Endpoint, http: Http) -> None:
        transport = http.transport
        if transport is not None and not isinstance(transport, httpx.AsyncBaseTransport):
            raise OptionError("Http.transport: an async client needs an httpx.AsyncBaseTransport")
        super().__init__(endpoint, http, httpx.AsyncClient(transport=transport, verify=_tls()))

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
            heard = await (self._send(step) if isinstance(step, Send) else self._pause(step))

    def pages(self, listing: Listing[T]) -> AsyncPages[T]:
        """The lazy pages of `listing`."""
        return AsyncPages(self, listing)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _pause(self, step: Pause) -> Heard:
        slept = (self._http.sleep or asyncio.sleep)(step.seconds)
        if inspect.isawaitable(slept):
            await slept
        return None

    async def _send(self, step: Send) -> Answer | Broken:
        try:
            async with asyncio.timeout(self._left(step)):
                return await self._read(step)
        except TimeoutError:
            return Broken("the deadline passed while the answer was still coming")
        except (httpx.RequestError, _OverrunError) as error:
            return _broken(error)

    async def _read(self, step: Send) -> Answer:
        body = bytearray()
        response = await self._client.send(self._prepared(step), stream=True)
        try:
            async for chunk in response.aiter_bytes():
                body += chunk
                self._checked(body, step)
        finally:
            await response.aclose()
        return _answer(response, body)


class Session:
    """A client that holds connections until `close`, or the end of its `with` block."""

    _sender: Sender

    def close(self) -> None:
        """Close the connections; the client cannot be used afterwards."""
        self._sender.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncSession:
    """A client that holds connections until `close` is awaited, or the end of its `async with` block."""

    _sender: AsyncSender

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
    """What goes with every request; in the User-Agent `app` leads, where there is one."""
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
    url = (value if "://" in value else f"https://{value}").strip().rstrip("/")
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(host) or not _is_plain(url):
        raise OptionError(f"{name}: {value!r} is no domain and no http(s) URL")
    if parts.scheme == "http" and not _is_loopback(host):
        raise OptionError(f"{name}: {value!r} would send the key unencrypted: use https")
    return url


def _is_plain(url: str) -> bool:
    """Whether a path can be put after it."""
    try:
        return not any(sign in url for sign in "@?#") and httpx.URL(url).host != ""
    except httpx.InvalidURL:
        return False


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
