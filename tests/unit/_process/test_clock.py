from __future__ import annotations

import time

import pytest

from convert_sdk._process.clock import steady_clock


def test_a_clock_that_is_set_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_000.0)
    monkeypatch.setattr(time, "monotonic", lambda: 5.0)
    now = steady_clock()
    assert now() == 1_000.0
    monkeypatch.setattr(time, "time", lambda: 1_000.0 + 10 * 365 * 86_400)
    monkeypatch.setattr(time, "monotonic", lambda: 6.0)
    assert now() == 1_001.0
