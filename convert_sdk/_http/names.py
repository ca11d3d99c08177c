"""Host names: resolved in one thread of a client, beside the deadline of whoever waits for them.

Theory of operation
-------------------
The system's resolver has no time-out and cannot be interrupted. So one daemon thread of a client asks it, one name
after the other; the first connection starts that thread, later ones reuse it, and it ends with the client. Whoever
connects waits for the answer within the own deadline, and joins a look-up that is under way. The thread knows only its
queue, never the client, so that a client that nobody closes can be collected, and ends its thread.

The system's resolver holds a lock of the process while it works, and a child that is forked in that moment could never
resolve a name. So a fork waits for look-ups that are under way, for a second at most, and new ones wait for the fork.

The last good addresses of a name belong to the process. They serve where the system's resolver hangs for a second or
fails for the moment. The address that a connection was last made to goes first.
"""

from __future__ import annotations

import asyncio
import os
import queue
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import Future, wait
from functools import partial
from itertools import chain, zip_longest
from typing import NamedTuple

from convert_sdk._process.fork import no_fork, register_after_fork, register_before_fork
from convert_sdk._process.threads import daemon_thread

KNOWN_WAIT = 1.0
"""Seconds to wait for the system's resolver where the last good addresses are known."""
_FORK_WAIT = 1.0
"""Seconds for which a fork waits for look-ups."""
_MOST_NAMES = 1_000
_last_good: dict[str, tuple[str, ...]] = {}
_connected: dict[str, str] = {}
_under_way: set[Future[None]] = set()
"""The look-ups of this process that the system's resolver works at."""


class _Lookup(NamedTuple):
    """One question to the system's resolver."""

    host: str
    port: int
    answer: Future[tuple[str, ...]]


class Resolver:
    """The names that one client connects to, and the thread that resolves them."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._under_way: dict[str, Future[tuple[str, ...]]] = {}
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._lookups: queue.SimpleQueue[_Lookup | None] = queue.SimpleQueue()

    def resolve(self, host: str, port: int, seconds: float) -> tuple[str, ...]:
        """Return the host's addresses in the order in which to try them, after at most so many seconds.

        An IP address is returned as it is. Raises OSError, and TimeoutError where no earlier address is known.
        """
        if is_address(host):
            return (host,)
        known = last_good(host)
        answer = self._ask(host, port)
        try:
            return answer.result(min(seconds, KNOWN_WAIT if known else threading.TIMEOUT_MAX))
        except OSError as error:
            return _instead(host, known, error)

    async def aresolve(self, host: str, port: int) -> tuple[str, ...]:
        """As `resolve`, awaited; without earlier addresses it takes as long as the system's resolver."""
        if is_address(host):
            return (host,)
        known = last_good(host)
        answer = asyncio.wrap_future(self._ask(host, port))
        try:
            async with asyncio.timeout(KNOWN_WAIT if known else None):
                return await answer
        except OSError as error:
            return _instead(host, known, error)

    def is_available(self) -> bool:
        """True if the thread lives, or could be started."""
        with self._lock:
            return self._lives or self._start()

    def close(self) -> None:
        """End the thread once the system's resolver lets go of it."""
        self._lookups.put(None)

    def __del__(self) -> None:
        self.close()

    @property
    def _lives(self) -> bool:
        return self._pid == os.getpid() and self._thread is not None and self._thread.is_alive()

    def _ask(self, host: str, port: int) -> Future[tuple[str, ...]]:
        with self._lock:
            available = self.is_available()
            answer = self._under_way.get(host)
            if answer is None or answer.done():
                answer = self._under_way[host] = Future()
                answer.set_running_or_notify_cancel()  # it belongs to all who wait: none of them cancels it
                lookup = _Lookup(host, port, answer)
                if available:
                    self._lookups.put(lookup)
                else:
                    _look_up(lookup)
            return answer

    def _start(self) -> bool:
        """Start the thread; False if the interpreter starts no more, as at its end."""
        self._pid = os.getpid()
        self._under_way.clear()
        self._lookups = queue.SimpleQueue()
        thread = daemon_thread("convert_sdk-names", partial(_look_up_all, self._lookups))
        try:
            thread.start()
        except RuntimeError:
            return False
        self._thread = thread
        return True


def last_good(host: str) -> tuple[str, ...]:
    """The addresses that the host last had, the one of the last connection first; none for a stranger."""
    return _in_order(host, _last_good.get(host, ()))


def note_connection(host: str, address: str) -> None:
    """Remember the address that answered: it is tried first from now on."""
    if host != address:
        _connected[host] = address


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


def interleaved(addresses: Sequence[str]) -> tuple[str, ...]:
    """The addresses with the two families taking turns, so that one that leads nowhere delays the other but once.

    >>> interleaved(["::1", "::2", "::3", "10.0.0.1"])
    ('::1', '10.0.0.1', '::2', '::3')
    """
    first = [address for address in addresses if (":" in address) == (":" in addresses[0])]
    second = [address for address in addresses if address not in first]
    return tuple(address for address in chain.from_iterable(zip_longest(first, second)) if address)


def _look_up_all(lookups: queue.SimpleQueue[_Lookup | None]) -> None:
    while (lookup := lookups.get()) is not None:
        _look_up(lookup)


def _look_up(lookup: _Lookup) -> None:
    """Ask the system's resolver in this thread, for as long as it takes."""
    host, port, answer = lookup
    try:
        addresses = interleaved(_ask_system(host, port))
        if len(_last_good) >= _MOST_NAMES:
            _last_good.clear()
            _connected.clear()
        _last_good[host] = addresses
        answer.set_result(_in_order(host, addresses))
    except UnicodeError as error:
        answer.set_exception(OSError(f"{host} is not the name of a host: {error}"))
    except BaseException as error:  # noqa: BLE001  # whoever waits is told, and the thread goes on
        answer.set_exception(error if isinstance(error, OSError) else OSError(type(error).__name__))


def _ask_system(host: str, port: int) -> list[str]:
    """The addresses in the system's order, asked for after a fork that has begun; the next fork waits a while."""
    mark: Future[None] = Future()
    with no_fork():
        _under_way.add(mark)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    finally:
        _under_way.discard(mark)
        mark.set_result(None)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _wait_for_look_ups() -> None:
    wait([*_under_way], _FORK_WAIT)


def _in_order(host: str, addresses: tuple[str, ...]) -> tuple[str, ...]:
    connected = _connected.get(host)
    if connected not in addresses:
        return addresses
    return (connected, *(address for address in addresses if address != connected))


def _instead(host: str, known: tuple[str, ...], error: OSError) -> tuple[str, ...]:
    """The addresses of before, where the system's resolver hangs or fails for the moment."""
    if known and (isinstance(error, TimeoutError) or error.errno == socket.EAI_AGAIN):
        return known
    if isinstance(error, TimeoutError):
        raise TimeoutError(f"{host} was not resolved in time") from None
    raise OSError(f"{host} was not resolved: {error.strerror or error}") from error


register_before_fork(_wait_for_look_ups)
register_after_fork(_under_way.clear)
