"""Folders and files that somebody else may have put in our way."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EPERM
from pathlib import Path
from stat import S_ISLNK, S_ISREG

_LINKED = "it is a link of another user"


def refuse_planted_link(path: Path) -> None:
    """Raise PermissionError if the path is a link that neither this user nor root has made."""
    try:
        found = path.lstat()
    except OSError:
        return
    if S_ISLNK(found.st_mode) and hasattr(os, "geteuid") and found.st_uid not in (0, os.geteuid()):
        raise PermissionError(EPERM, _LINKED, str(path))


def make_private_folder(folder: Path) -> None:
    """Make the folder, for this user alone (0700).

    Raises PermissionError where it or the folder that it is in is a link, and for another user's folder.
    """
    refuse_planted_link(folder.parent)
    if folder.parent.is_symlink():
        raise PermissionError(EPERM, "it is a link: give the folder that it leads to", str(folder.parent))
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    if not hasattr(os, "geteuid"):
        return
    with opened_folder(folder) as descriptor:
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid():
            raise PermissionError(EPERM, "it belongs to another user", str(folder))
        if found.st_mode & 0o077:
            os.fchmod(descriptor, 0o700)


@contextmanager
def opened_folder(folder: Path) -> Iterator[int]:
    """Lend a descriptor of the folder, by which its files are reached whatever its name leads to meanwhile.

    Raises PermissionError where the name is a link.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except NotADirectoryError:
        if folder.is_symlink():
            raise PermissionError(EPERM, "it is a link, and no folder of ours", str(folder)) from None
        raise
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def oddity(name: str, folder: int) -> str | None:
    """The reason why a file in a folder is none of ours; None where it is, and where there is none."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if S_ISLNK(found.st_mode):
        return "a link"
    if not S_ISREG(found.st_mode):
        return "no file"
    return None if found.st_uid == os.fstat(folder).st_uid else "another user's"
