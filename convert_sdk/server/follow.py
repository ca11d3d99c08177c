"""A file that is followed: its project is served again whenever it changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event

from convert_sdk._process.file_version import FileVersion, file_version

LOOK_EVERY = 0.5
"""Seconds between two looks at a file."""


def follow(
    path: Path,
    known: FileVersion | None,
    changed: Callable[[], None],
    *,
    until: Event,
    every: float = LOOK_EVERY,
) -> None:
    """Call `changed` after each change of a file.

    Args:
        path: The file.
        known: The version in use, taken before that was read.
        changed: Called in this thread; what it raises ends the following.
        until: Ends it when it is set.
        every: Seconds between two looks.
    """
    while not until.wait(every):
        found = file_version(path)
        if found is not None and found != known:
            known = found
            changed()
