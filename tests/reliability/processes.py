"""Python processes that tests start, signal and read."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


@contextmanager
def running(
    script: str, *arguments: str, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A Python process with pipes; killed at the end if it still runs."""
    command = [sys.executable, "-c", script, *arguments]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def finished(script: str, *arguments: str, env: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Its exit status and what it printed and complained of, once it has ended by itself."""
    with running(script, *arguments, env=env) as process:
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err
