"""Forks: the one registry of what a child process must reset, and sections that no fork may interrupt.

Theory of operation
-------------------
A child process has one thread, a copy of all memory, and the file descriptors of its parent. Locks that another
thread held are locked in it for ever; queued events would be sent twice; a socket or SQLite connection would be
used by two processes. Therefore each module that has such state registers a callback here, and the child runs them
all before anything of ours is used in it.

A child learns that it is one in two ways:

- Python's own hooks (`os.register_at_fork`), for `os.fork` and `multiprocessing`: `reset_after_fork` runs at once.
- C code (uWSGI by default) forks without them. Then `check_pid`, which every slow entry calls, compares process ids.
  The request path cannot afford a system call for each decision; it reads one byte of a `fork_marker` instead.

Invariants:

- Callbacks run in the order of their registration. A module imports what it builds on, so the layers below it are
  reset first.
- A callback only replaces objects by fresh ones. It takes no lock, closes no connection of the parent and does no I/O
  other than closing the file descriptors that would keep the parent's file locks alive.
- `_pid` is set before the callbacks run: one that calls `check_pid` does not start again.
- Before a fork, the hook that was registered last runs first. `logging` takes the lock of its handlers in such a
  hook, and a module that is being imported may need that lock. So `logging` is imported before the hook of `no_fork`
  is registered: a fork waits for an import to end first, and takes logging's lock afterwards.
- A hook of Python that is registered while a fork waits does not run for that fork. So a module that a thread may
  import meanwhile registers what forks must wait for here (`register_before_fork`).
- A thread whose function has returned still runs C code, which frees what OpenSSL and the system's resolver keep for
  it, and takes their locks. So our threads say that they end (`note_thread_end`), and a fork waits until the system
  does not list them any more.
"""

from __future__ import annotations

import mmap
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module

from .clock import monotonic
from .locks import held_by_this_thread

_WIPE_ON_FORK = 18  # Linux's MADV_WIPEONFORK
_LOCK_TIMEOUT = 30.0  # a fork goes on after this, rather than never
_END_TIMEOUT = 5.0
_PAUSE = 0.001
_OURS = __name__.partition(".")[0]
_pid = os.getpid()
_callbacks: list[Callable[[], None]] = []
_fork_lock = threading.RLock()
_forking: set[int] = set()
"""The threads that are about to fork."""
_hooked: list[bool] = []
_before: list[Callable[[], None]] = []
_ending: dict[int, float] = {}
"""Native ids of our threads that are ending, and how long a fork waits for each; monotonic seconds."""


def register_after_fork(callback: Callable[[], None]) -> None:
    """Run this in every child process, before anything of ours is used there; in the order of registration."""
    _callbacks.append(callback)


def hook_fork(
    *,
    before: Callable[[], None],
    after_in_parent: Callable[[], None],
    after_in_child: Callable[[], None] = lambda: None,
) -> None:
    """Run these around every fork that Python makes, in the child after the reset; nothing where there are no forks."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=before, after_in_parent=after_in_parent, after_in_child=after_in_child)


def reset_after_fork() -> None:
    """Run every registered callback in a child process."""
    global _pid  # noqa: PLW0603  # this is another process
    _pid = os.getpid()
    for callback in _callbacks:
        callback()


def check_pid() -> None:
    """Reset a process that was forked by C code, which does not run Python's hooks."""
    if os.getpid() != _pid:
        reset_after_fork()


def fork_marker() -> mmap.mmap | bytearray:
    """A byte to set to 1, which is 0 again in every forked process; cheaper to read than the process id.

    Only Linux has such memory. Elsewhere the byte keeps its value, and only `check_pid` notices a fork by C code.

    >>> started = fork_marker()
    >>> started[0]
    0
    """
    if sys.platform == "linux":
        with suppress(OSError):
            page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            page.madvise(_WIPE_ON_FORK)
            return page
    return bytearray(1)


@contextmanager
def no_fork() -> Iterator[None]:
    """Let no thread fork inside: imports and OpenSSL hold locks that the child would wait for, for ever."""
    install_fork_hook()
    with _fork_lock:
        yield


def install_fork_hook() -> None:
    """Have each fork from now on wait for `no_fork`; the first section does it for itself."""
    if not _hooked:
        import_module("logging")  # its hooks must be registered before ours
        hook_fork(before=_before_fork, after_in_parent=_after_fork_in_parent)
        _hooked.append(True)


def register_before_fork(callback: Callable[[], None]) -> None:
    """Run this before every fork that Python makes, after the sections of `no_fork` and before any more of them."""
    _before.append(callback)


def note_thread_end() -> None:
    """Have forks wait until the calling thread is gone; it does nothing more."""
    native_id, now = threading.get_native_id(), monotonic()
    if native_id == os.getpid():  # a greenlet of the main thread
        return
    with no_fork():
        for old in [thread for thread, until in _ending.items() if until <= now]:
            del _ending[old]
        _ending[native_id] = now + _END_TIMEOUT


def import_all(names: Iterable[str]) -> None:
    """Import these modules without a fork in the middle; a missing one of others is left to the code that needs it.

    Raises ImportError for a module of ours.
    """
    with no_fork():
        for name in names:
            try:
                import_module(name)
            except ImportError:
                if name.partition(".")[0] == _OURS:
                    raise


def _before_fork() -> None:
    if threading.get_ident() in _forking:  # two threads have installed the hook at once
        return
    _forking.add(threading.get_ident())
    _fork_lock.acquire(timeout=_LOCK_TIMEOUT)
    for callback in _before:
        callback()


def _wait_for_ends() -> None:
    while any(until > monotonic() and _exists(thread) for thread, until in [*_ending.items()]):
        time.sleep(_PAUSE)


def _exists(native_id: int) -> bool:
    """Tell whether the system lists this thread; no where it has no list, as on macOS."""
    return os.path.exists(f"/proc/self/task/{native_id}")  # noqa: PTH110  # importing convert_sdk loads no pathlib


def _after_fork_in_parent() -> None:
    if threading.get_ident() in _forking:
        _forking.discard(threading.get_ident())
        if held_by_this_thread(_fork_lock):
            _fork_lock.release()


def _after_fork_in_child() -> None:
    global _fork_lock  # noqa: PLW0603  # the child needs a lock of its own
    _fork_lock = threading.RLock()
    _forking.clear()
    _ending.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=reset_after_fork)
register_after_fork(_after_fork_in_child)
register_before_fork(_wait_for_ends)
