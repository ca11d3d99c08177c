"""A network that is forbidden to a test, but for this machine."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any

_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_METHODS = ("connect", "connect_ex", "sendto")


class ForbiddenNetworkError(OSError):
    """A test reached for the network, which is forbidden to it."""


@contextmanager
def forbidden_network() -> Iterator[list[str]]:
    """Refuse all that leaves this machine until the end of the block; what listens on loopback can be reached.

    An attempt fails as a network that is down does, with an OSError, in whichever thread it is made. As a library may
    survive that in silence, the attempts are listed.

    >>> with forbidden_network() as attempts:
    ...     try:
    ...         socket.create_connection(("convert.example", 443))
    ...     except OSError as error:
    ...         print(error)
    the network is forbidden in this test: convert.example, port 443
    >>> attempts
    ['convert.example, port 443, in the thread MainThread']
    """
    attempts: list[str] = []

    def refuse(host: object, port: object) -> None:
        place = f"{_text(host)}, port {_text(port)}"
        attempts.append(f"{place}, in the thread {threading.current_thread().name}")
        raise ForbiddenNetworkError(f"the network is forbidden in this test: {place}")

    def guarded(method: Callable[..., Any]) -> Callable[..., Any]:
        def guard(sock: socket.socket, *arguments: Any) -> Any:
            address = arguments[-1]
            if sock.family in _FAMILIES and not _is_local(address[0]):
                refuse(*address[:2])
            return method(sock, *arguments)

        return guard

    getaddrinfo = socket.getaddrinfo

    def resolve(host: Any, port: Any, *arguments: Any, **named: Any) -> Any:
        if host is not None and not _is_local(host):
            refuse(host, port)
        return getaddrinfo(host, port, *arguments, **named)

    before = {name: socket.socket.__dict__.get(name) for name in _METHODS}
    for name in _METHODS:
        setattr(socket.socket, name, guarded(getattr(socket.socket, name)))
    socket.getaddrinfo = resolve
    try:
        yield attempts
    finally:
        socket.getaddrinfo = getaddrinfo
        for name, method in before.items():
            if method is None:  # it was inherited
                delattr(socket.socket, name)
            else:
                setattr(socket.socket, name, method)


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _is_local(host: object) -> bool:
    name = _text(host).partition("%")[0]
    if name in ("", "localhost") or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
