"""A file that is followed: its project is served again whenever it changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import NamedTuple

LOOK_EVERY = 0.5
"""Seconds between two looks at a file."""


class FileMark(NamedTuple):
    """Facts that differ between two versions of a file."""

    modified: int
    size: int
    inode: int


def file_mark(path: Path) -> FileMark | None:
    """The mark of a file as it is; None where there is none, as for a moment while an editor writes it anew."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return FileMark(stat.st_mtime_ns, stat.st_size, stat.st_ino)


def follow(
    path: Path,
    known: FileMark | None,
    changed: Callable[[], None],
    *,
    until: Event,
    every: float = LOOK_EVERY,
) -> None:
    """Call `changed` after each change of a file.

    Args:
        path: The file.
        known: The mark of the version in use, taken before that was read.
        changed: Called in this thread; what it raises ends the following.
        until: Ends it when it is set.
        every: Seconds between two looks.
    """
    while not until.wait(every):
        found = file_mark(path)
        if found is not None and found != known:
            known = found
            changed()
