"""Server programs that tests start for real, each on an address of its own."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import NamedTuple

import pytest

from tests.processes import PATIENCE, ROOT, Child, program

Address = tuple[str, int] | str
"""A host and a port, or the path of a unix socket."""

A_CONNECTION_EACH = {"Connection": "close"}
"""Headers for an httpx client that several threads share.

httpcore first removes closed connections from its pool, then picks an idle one. Between the two another thread may
return a connection that the server has just closed, and the next request on it fails.
"""


@contextmanager
def server_program(
    *command: str,
    at: Address,
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
    patience: float = PATIENCE,
) -> Iterator[Child]:
    """A server program that takes connections at `at`, from where the block begins; killed at its end.

    Let it end by itself with `child.send(signal.SIGTERM)` and `child.end()`.
    """
    with program(*command, env=env, cwd=cwd, is_read=False, patience=patience) as child:
        while not connectable(at):
            assert child.is_running(), "it ended before it took a connection"
            Event().wait(0.01)
        yield child


def connectable(address: Address) -> bool:
    with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as probe:
        return probe.connect_ex(address) == 0


_ports = iter(range(20_000 + os.getpid() % 10_000, 32_000))


def free_port() -> int:
    """A loopback port for a server: below those that the system hands out, so that nobody gets it meanwhile."""
    for port in _ports:
        claim = socket.socket(type=socket.SOCK_DGRAM)
        with socket.socket() as probe, suppress(OSError):
            claim.bind(("127.0.0.1", port))
            probe.bind(("127.0.0.1", port))
            claim.detach()  # open to the end of this process: no other process of tests claims this port
            return port
        claim.close()
    raise AssertionError("no port is free")


class RedisServer(NamedTuple):
    """A running redis-server: its URL and its process."""

    url: str
    process: Child


@contextmanager
def redis_server(*options: str) -> Iterator[RedisServer]:
    """A redis-server of its own on a unix socket, gone at the end; skips where the program is missing."""
    if shutil.which("redis-server") is None:
        pytest.skip("needs redis-server: install the Debian package redis-server")
    # A short path: a unix socket's address holds about a hundred characters.
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        path = str(Path(folder) / "redis.sock")
        arguments = ["--port", "0", "--unixsocket", path, "--save", "", "--dir", folder, *options]
        with server_program("redis-server", *arguments, at=path) as process:
            yield RedisServer(f"unix://{path}", process)


@contextmanager
def refused_port() -> Iterator[int]:
    """A loopback port where nobody listens, and nobody else can start to."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]
