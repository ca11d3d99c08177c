"""Waiting for what nobody announces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


@contextmanager
def patient_clients() -> Iterator[None]:
    """Longer defaults of `start_wait` and `shutdown_timeout`, for clients whose options a test cannot give."""
    # Imported here: programs import this module too, and want neither.
    from unittest.mock import patch

    from convert_sdk.options import Options

    defaults = {**Options._field_defaults, "start_wait": PATIENCE, "shutdown_timeout": PATIENCE}
    with (
        patch.object(Options.__new__, "__defaults__", (*defaults.values(),)),
        patch.object(Options, "_field_defaults", defaults),  # its repr shows what is not the default
    ):
        yield
