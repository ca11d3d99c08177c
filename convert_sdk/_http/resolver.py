"""Resolver become addresses within a deadline: the system's resolver has none, and cannot be interrupted."""

from __future__ import annotations

import socket
from threading import Thread
from time import monotonic

from convert_sdk._process.locks import Latch


class Lookup:
    """One question to the resolver, in a thread that may be left behind."""

    __slots__ = ("_host", "_port", "addresses", "done", "error")

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self.done = Latch()
        self.addresses: tuple[str, ...] = ()
        self.error: OSError | None = None

    def start(self) -> None:
        """Ask in a thread of its own; here, where threads are no more."""
        try:
            Thread(target=self.run, name="convert_sdk-names", daemon=True).start()
        except RuntimeError:  # the interpreter ends
            self.run()

    def run(self) -> None:
        """Ask in this thread, for as long as it takes."""
        try:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            self.addresses = tuple(dict.fromkeys(str(address[0]) for *_, address in found))
        except OSError as error:
            self.error = error
        except UnicodeError as error:
            self.error = OSError(f"no name of a host: {error}")
        finally:
            self.done.open()


class Resolver:
    """What one client knows of names. Where the resolver hangs, an address that was good before is tried."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, ...]] = {}
        self._lookups: dict[str, Lookup] = {}

    def resolve(self, host: str, port: int, seconds: float) -> tuple[str, ...]:
        """Where the host is, in the order in which to try; an address is its own. Raises OSError."""
        if is_address(host):
            return (host,)
        until = monotonic() + seconds
        known = self._known.get(host)
        lookup = self._lookups.get(host)
        if lookup is None:  # two threads may both run, which costs no more than a question
            lookup = self._lookups[host] = Lookup(host, port)
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
    """Whether there is nothing to resolve.

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
