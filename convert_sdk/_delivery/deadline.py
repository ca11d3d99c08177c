"""A total deadline for blocking exchanges: httpx has one per read, which a dripping server never breaks.

Names are resolved within it, too, which `socket.create_connection` cannot promise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import inf
from ssl import SSLContext
from time import monotonic
from typing import Any

import httpcore
import httpx

from .names import Names

_until: ContextVar[float] = ContextVar("_until", default=inf)
_LEAST = 0.001


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
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, _left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
