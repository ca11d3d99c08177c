"""Where everything that must begin anew in a forked process hears of it."""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Callable
from contextlib import suppress

_heirs: list[Callable[[], None]] = []
_home = os.getpid()
_WIPE_ON_FORK = 18  # Linux's MADV_WIPEONFORK


def begin_anew_with(work: Callable[[], None]) -> None:
    """Have this done in every child, before anything of ours is used there; the first asked, the first done."""
    _heirs.append(work)


def mark() -> mmap.mmap | bytearray:
    """A byte that is zero again in every forked process, however it was forked: cheaper to ask than the process id.

    Where the system has no such memory (Linux has), it stays what it was, and `heed` alone can tell.

    >>> started = mark()
    >>> started[0]
    0
    """
    if sys.platform == "linux":
        with suppress(OSError):
            page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            page.madvise(_WIPE_ON_FORK)
            return page
    return bytearray(1)


def heed() -> None:
    """Begin anew in a process that was forked by C code, which does not run Python's hooks."""
    if os.getpid() != _home:
        _begin_anew()


def _begin_anew() -> None:
    global _home  # noqa: PLW0603  # another process, another home
    _home = os.getpid()
    for work in _heirs:
        work()


os.register_at_fork(after_in_child=_begin_anew)
