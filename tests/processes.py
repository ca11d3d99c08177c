"""Processes that tests start, signal and read; a test that fails shows what each of its own has said."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Condition, Thread, Timer
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PATIENCE = 300.0
"""Seconds after which a process must be hanging, on any machine: it is killed, and its test fails."""
SHOWN = 10_000
_FORKS_ARE_MEANT = {"PYTHONWARNINGS": "ignore:This process (pid=:DeprecationWarning"}
"""From Python 3.12 on each fork of a process that has threads is warned of, and ours always has one."""

_children: list[Child] = []


class Ended(NamedTuple):
    """The end of a process: its status, the output that nobody had read yet, and all its complaints."""

    status: int
    out: str
    err: str


class Child:
    """A process that is spoken to line by line; it leads a group of its own, which ends with it."""

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str] | None,
        cwd: Path,
        *,
        is_read: bool = True,
        patience: float = PATIENCE,
    ) -> None:
        self.name = " ".join([Path(command[0]).name, *command[1:3]])[:60].splitlines()[0]
        self._process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**_FORKS_ARE_MEANT, **os.environ, **(env or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if is_read else subprocess.STDOUT,
            bufsize=0,
            start_new_session=True,
        )
        self.is_released = False
        self._output, self._heard = bytearray(), 0
        self._complaints, self._noted, self._changed = bytearray(), 0, Condition()
        self._listener = Thread(target=self._listen, daemon=True)  # a pipe that nobody empties would stop it
        self._listener.start()
        self._watchdog = Timer(patience, self._kill)
        self._watchdog.daemon = True
        self._watchdog.start()
        _children.append(self)

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_running(self) -> bool:
        return self._process.poll() is None

    def say(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    def lines(self) -> Iterator[str]:
        """Its next lines, without their ends, until it ends; a line that it could not finish is none."""
        while (end := self._output.find(b"\n", self._heard)) >= 0 or self._read():
            if end >= 0:
                line = self._output[self._heard : end].decode()
                self._heard = end + 1
                yield line

    def hear(self, wanted: str | None = None) -> str:
        """Wait for its next line, which must be the wanted one."""
        line = next(self.lines(), None)
        assert line is not None, "it ended before it said anything more"
        assert wanted in (None, line)
        return line

    def complains(self, words: str = "") -> str:
        """Wait for the next line of its standard error that has these words in it."""
        with self._changed:
            while True:
                end = self._complaints.find(b"\n", self._noted)
                if end < 0:
                    assert self._listener.is_alive(), f"it ended and never complained of {words!r}"
                    self._changed.wait(0.1)
                    continue
                line = self._complaints[self._noted : end].decode(errors="replace")
                self._noted = end + 1
                if words in line:
                    return line

    def send(self, number: int) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def freeze(self) -> None:
        """Stop it, and wait until it has stopped."""
        self.send(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)

    def end(self, last: str | None = None) -> Ended:
        """Say a last line, if one is given, and nothing after it; wait until it has ended."""
        assert self._process.stdin is not None
        if last is not None:
            self.say(last)
        self._process.stdin.close()
        while self._read():
            pass
        rest = self._output[self._heard :].decode(errors="replace")
        self._heard = len(self._output)
        self._listener.join()
        return Ended(self._process.wait(), rest, self._complaints.decode(errors="replace"))

    def release(self) -> None:
        """Kill what still runs of it, and keep what it said."""
        self._watchdog.cancel()
        self._kill()
        self._process.wait()
        self._listener.join()
        while self._read():
            pass
        self.is_released = True
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def log(self) -> str:
        """All that it has said, and how it ended, for a person to read."""
        status = self._process.poll()
        parts = ["still running" if status is None else f"exit status {status}"]
        for name, said in (("stdout", self._output), ("stderr", self._complaints)):
            parts.append(f"-- its {name}:\n{said[-SHOWN:].decode(errors='replace')}")
        return "\n".join(parts)

    def _read(self) -> bool:
        assert self._process.stdout is not None
        piece = self._process.stdout.read(65_536) if self._process.stderr is not None else b""
        self._output += piece
        return bool(piece)

    def _listen(self) -> None:
        pipe = self._process.stderr or self._process.stdout
        assert pipe is not None
        while piece := pipe.read(65_536):
            with self._changed:
                self._complaints += piece
                self._changed.notify_all()

    def _kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


@contextmanager
def program(
    *command: str,
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
    is_read: bool = True,
    patience: float = PATIENCE,
) -> Iterator[Child]:
    """A process of any program; killed at the end if it still runs, with all that it has started.

    Its output waits to be read, or is kept with its complaints, as suits a server.
    """
    child = Child(command, env, cwd, is_read=is_read, patience=patience)
    try:
        yield child
    finally:
        child.release()


@contextmanager
def running(script: str, *arguments: str, env: Mapping[str, str] | None = None) -> Iterator[Child]:
    """A process of this Python."""
    with program(sys.executable, "-c", script, *arguments, env=env) as child:
        yield child


def finished(script: str, *arguments: str, env: Mapping[str, str] | None = None) -> Ended:
    """A process of this Python that has ended by itself."""
    with running(script, *arguments, env=env) as child:
        return child.end()


def logs() -> list[tuple[str, str]]:
    """The name and log of every process since `forget` that ran for the test, and of those that still run."""
    return [(child.name, child.log()) for child in _children]


def forget() -> None:
    """Leave out the processes that have been released: they were of a test that is over."""
    _children[:] = [child for child in _children if not child.is_released]
