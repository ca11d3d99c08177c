"""The files beside this one are read by the type checkers, not run; here they are checked with the tests."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import pytest

from tests.processes import program


@pytest.mark.servers
@pytest.mark.skipif(find_spec("mypy") is None, reason="needs mypy: pip install --group check")
def test_mypy_agrees_with_what_users_may_rely_on() -> None:
    with program(sys.executable, "-m", "mypy", "convert_sdk", "tests/typing") as mypy:
        assert mypy.end().status == 0
