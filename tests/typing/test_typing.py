"""The files beside this one are read by the type checkers, not run; here they are checked with the tests."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(find_spec("mypy") is None, reason="needs mypy: pip install --group check")
def test_mypy_agrees_with_what_users_may_rely_on() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "convert_sdk", "tests/typing"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
