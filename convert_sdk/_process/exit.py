"""Exit hooks: every client delivers what waits when the process ends and, if asked to, on SIGTERM.

Theory of operation
-------------------
==========================  ===================================================================================
a process ends by           then
==========================  ===================================================================================
the interpreter's end       `atexit` calls `_at_exit`: every client closes
multiprocessing's end       which skips `atexit`: a finalizer (`hook_multiprocessing_exit`) calls the same
SIGTERM                     only after `flush_on_sigterm`: every client flushes, then the signal does what it did
`os._exit`, SIGKILL, crash  nothing of ours is called; what a spool holds survives
==========================  ===================================================================================

- Clients are registered weakly, so a registration keeps none alive.
- Each has its own `shutdown_timeout`, counted from the moment at which the process began to end: all of them together
  take no longer than the longest of these times.
- A SIGTERM handler interrupts the main thread wherever it is, perhaps with a lock that delivering needs. Therefore
  another thread delivers, and the handler waits for it for a bounded time.
- A forked child inherits the parent's clients: each is reset before anything else is done with it there.
"""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

from .fork import check_pid, register_after_fork

if TYPE_CHECKING:
    from types import FrameType

_SLACK = 0.2


class ExitHook(Protocol):
    """The part of one client that delivers; called in every child process and when the process ends."""

    shutdown_timeout: float

    def reset_after_fork(self) -> None:
        """Start with fresh locks, an empty queue and new connections in a child process."""
        ...

    def close_by(self, since: float) -> None:
        """Deliver and close, within `shutdown_timeout` seconds from `since` (monotonic seconds)."""
        ...

    def flush_by(self, since: float) -> None:
        """Deliver within the same time, without closing."""
        ...


_hooks: WeakSet[ExitHook] = WeakSet()
_finalizing: set[int] = set()


def register_exit_hook(hook: ExitHook) -> None:
    """Have this client deliver when the process ends, and reset in child processes."""
    _hooks.add(hook)


def hook_multiprocessing_exit() -> None:
    """Register for the end of a child of multiprocessing, which skips `atexit`."""
    process = sys.modules.get("multiprocessing.process")
    if process is None or process.parent_process() is None or os.getpid() in _finalizing:
        return
    from multiprocessing.util import Finalize

    _finalizing.add(os.getpid())
    Finalize(None, _at_exit, exitpriority=100)


def flush_on_sigterm() -> None:
    """Deliver the waiting events of every client when this process gets SIGTERM, then do what the signal did before.

    Call it once, in the main thread, after everything else that handles the signal. Each client has its
    `shutdown_timeout`. Not needed under a server that turns SIGTERM into an exit, as gunicorn and uvicorn do.

    Raises:
        ValueError: The calling thread is not the main thread.

    >>> flush_on_sigterm()
    """
    import signal

    before = signal.getsignal(signal.SIGTERM)

    def flush(number: int, frame: FrameType | None) -> None:
        # The interrupted code may hold a lock that delivering needs. Another thread can wait for it; this one cannot.
        thread = Thread(target=_flush_all, name="convert_sdk-sigterm", daemon=True)
        thread.start()
        thread.join(_SLACK + max((hook.shutdown_timeout for hook in list(_hooks)), default=0.0))
        if callable(before):
            before(number, frame)
        elif before != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, flush)


def _flush_all() -> None:
    since = monotonic()
    for hook in list(_hooks):
        with suppress(Exception):
            hook.flush_by(since)


def _at_exit() -> None:
    since = monotonic()
    check_pid()
    for hook in list(_hooks):
        with suppress(Exception):
            hook.close_by(since)


def _after_fork_in_child() -> None:
    for hook in list(_hooks):
        hook.reset_after_fork()


register_after_fork(_after_fork_in_child)
atexit.register(_at_exit)
