"""The version of a file, by which a change is noticed without reading it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class FileVersion(NamedTuple):
    """Facts that differ between two versions of a file."""

    modified: int
    size: int
    inode: int


def file_version(path: Path) -> FileVersion | None:
    """The version of a file as it is; None where there is none, as for a moment while an editor writes it anew."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return FileVersion(stat.st_mtime_ns, stat.st_size, stat.st_ino)
