"""Server programs that tests start for real."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest


class RedisServer(NamedTuple):
    """A running redis-server: its URL and its process."""

    url: str
    process: subprocess.Popen[str]


@contextmanager
def redis_server(*options: str) -> Iterator[RedisServer]:
    """A redis-server of its own on a unix socket, gone at the end; skips where the program is missing."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("needs redis-server: install the Debian package redis-server")
    # A short path: a unix socket's address holds about a hundred characters.
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        path = Path(folder) / "redis.sock"
        arguments = ["--port", "0", "--unixsocket", str(path), "--save", "", "--dir", folder, *options]
        with subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    if "eady to accept connections" in line:
                        break
                else:
                    raise AssertionError("redis-server ended before it was ready")
                yield RedisServer(f"unix://{path}", process)
            finally:
                process.kill()


@contextmanager
def refused_port() -> Iterator[int]:
    """A loopback port where nobody listens, and nobody else can start to."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]
