"""Host names resolved within a deadline: the system's resolver has none, and cannot be interrupted.

Each look-up runs in a thread of its own, which is left behind if it takes too long; the next request joins it.
"""

from __future__ import annotations

import socket
from threading import Thread
from time import monotonic

from convert_sdk._process.locks import Latch


class Lookup:
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


class Resolver:
    """The addresses that one client knows. While the system's resolver hangs, the last good ones are used."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, ...]] = {}
        self._lookups: dict[str, Lookup] = {}

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
