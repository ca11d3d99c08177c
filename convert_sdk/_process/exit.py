"""What every client must hear of: a fork, the end of the process, and (where asked for) SIGTERM."""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

from .fork import begin_anew_with, heed

if TYPE_CHECKING:
    from types import FrameType

_SLACK = 0.2


class Carrier(Protocol):
    """Who delivers for one client."""

    shutdown_timeout: float

    def after_fork(self) -> None:
        """Begin anew in the child."""
        ...

    def close_by(self, since: float) -> None:
        """Deliver and close, within the client's own time from `since` (monotonic seconds)."""
        ...

    def flush_by(self, since: float) -> None:
        """The same without closing."""
        ...


_carriers: WeakSet[Carrier] = WeakSet()
_finalizing: set[int] = set()


def register(carrier: Carrier) -> None:
    """Tell this one, too."""
    _carriers.add(carrier)


def attend() -> None:
    """Hear of the end of this process where `atexit` does not: children of multiprocessing skip it."""
    process = sys.modules.get("multiprocessing.process")
    if process is None or process.parent_process() is None or os.getpid() in _finalizing:
        return
    from multiprocessing.util import Finalize

    _finalizing.add(os.getpid())
    Finalize(None, _at_exit, exitpriority=100)


def flush_on_sigterm() -> None:
    """Deliver what waits, of every client, when this process gets SIGTERM; then do what would have been done.

    Call it once in the main thread, after whatever else handles the signal. Each client has its
    `shutdown_timeout`. Not needed where a server turns SIGTERM into an exit, as gunicorn and uvicorn do.
    Raises ValueError outside the main thread.

    >>> flush_on_sigterm()
    """
    import signal

    before = signal.getsignal(signal.SIGTERM)

    def flush(number: int, frame: FrameType | None) -> None:
        # The interrupted code may hold a lock that delivering needs: another thread can wait for it, for a while.
        thread = Thread(target=_flush_all, name="convert_sdk-sigterm", daemon=True)
        thread.start()
        thread.join(_SLACK + max((each.shutdown_timeout for each in list(_carriers)), default=0.0))
        if callable(before):
            before(number, frame)
        elif before != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, flush)


def _flush_all() -> None:
    since = monotonic()
    for carrier in list(_carriers):
        with suppress(Exception):
            carrier.flush_by(since)


def _at_exit() -> None:
    since = monotonic()
    heed()
    for carrier in list(_carriers):
        with suppress(Exception):
            carrier.close_by(since)


def _after_fork_in_child() -> None:
    for carrier in list(_carriers):
        carrier.after_fork()


begin_anew_with(_after_fork_in_child)
atexit.register(_at_exit)
