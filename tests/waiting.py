"""Waiting for what nobody announces."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from time import monotonic

PATIENCE = 120.0
"""Seconds that tell an answer from a hang, on the slowest machine; nothing else may be read into them."""


def eventually(condition: Callable[[], object]) -> None:
    """Wait until a condition holds that nobody announces."""
    until = monotonic() + PATIENCE
    while not condition():
        assert monotonic() < until, "the condition never held"
        Event().wait(0.005)
