"""Where everything that must begin anew in a forked process hears of it."""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from threading import RLock

_heirs: list[Callable[[], None]] = []
_home = os.getpid()
_WIPE_ON_FORK = 18  # Linux's MADV_WIPEONFORK
_PATIENCE = 30.0
_undivided = RLock()
_waiting: list[bool] = []
_asked: list[bool] = []


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


@contextmanager
def unforked() -> Iterator[None]:
    """Let no thread fork meanwhile: imports and OpenSSL hold locks that the child would wait for, for ever."""
    _ask_before_forks()
    with _undivided:
        yield


def import_all(names: Iterable[str]) -> None:
    """Import these modules; one that is not there is missed by who needs it."""
    with unforked():
        for name in names:
            with suppress(ImportError):
                import_module(name)


def _ask_before_forks() -> None:
    # What is registered last is asked first before a fork. Modules that are imported ask logging for its lock: this
    # must be waited for before logging takes it, so logging comes first here.
    if not _asked:
        import logging as _  # noqa: F401  # for its hooks

        _asked.append(True)
        os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent)


def _before_fork() -> None:
    if _undivided.acquire(timeout=_PATIENCE):
        _waiting.append(True)


def _after_fork_in_parent() -> None:
    if _waiting:
        _waiting.pop()
        _undivided.release()


def _after_fork_in_child() -> None:
    global _undivided  # noqa: PLW0603  # the child needs a lock of its own
    _undivided = RLock()
    _waiting.clear()


def _begin_anew() -> None:
    global _home  # noqa: PLW0603  # another process, another home
    _home = os.getpid()
    for work in _heirs:
        work()


os.register_at_fork(after_in_child=_begin_anew)
begin_anew_with(_after_fork_in_child)
