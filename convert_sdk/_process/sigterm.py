"""SIGTERM: what waits is delivered first, then the disposition acts that was there before.

Theory of operation
-------------------
Without a handler SIGTERM ends a process between two instructions; `atexit` is not run. So a client puts a handler over
the default action, and over one of a server that restores the default action at its end and sends itself the signal
again. Whatever else somebody has set is left alone: it ends in an exit, which delivers by itself.

The handler runs in the main thread, between any two lines, perhaps in the middle of a flush, a close or an exit, and
with locks of the client held below it. So it never waits and calls nothing of the client. It puts the former
disposition back, which only the main thread can do, starts a helper thread, and returns. The helper delivers, then
sends SIGTERM again. A second SIGTERM from outside meets the former disposition and acts at once.

The helper is started by `_thread`, which waits for nothing; where gevent has patched it, it is a greenlet.

A child forgets each signal that comes between the fork and Python's first steps in it: its parent may end it at once,
and would wait for it for ever. So the thread that forks blocks SIGTERM meanwhile, where the handler is ours.

The children of multiprocessing are ended by SIGTERM while they wait in C code: there a signal that the main thread has
missed interrupts that wait (`SignalMonitor`).

As the first process of a container (pid 1) the kernel ignores SIGTERM where its disposition is the default. There the
handler stays, and the process goes on, as it would without us.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from types import FrameType

from .signal_monitor import SignalMonitor

Disposition = Callable[[int, FrameType | None], object] | int | None
_RAISES_AGAIN = "uvicorn.server"
"""The module of a handler after which the process ends by the signal, and not by an exit."""
_PID_1 = (
    "SIGTERM does not end this process: it is pid 1 and has no handler of its own for the signal. What waited is "
    "delivered. Run it under an init (docker run --init), or turn SIGTERM into sys.exit"
)


class SigtermState(StrEnum):
    """The handler of SIGTERM in this process.

    >>> SigtermState("installed") is SigtermState.INSTALLED
    True
    """

    INSTALLED = "installed"
    """Ours."""
    HOST = "host"
    """Another one, of the application or its server; it is left alone."""
    NOT_MAIN_THREAD = "not_main_thread"
    """None: the client was made and used in other threads only, and those cannot set one."""


class Sigterm:
    """The handler of SIGTERM of this process, for all its clients.

    Args:
        deliver: Called in the helper thread, with the disposition that acts afterwards; bounded in time.
    """

    def __init__(self, deliver: Callable[[Disposition], None]) -> None:
        self._deliver = deliver
        self._former: Disposition = signal.SIG_DFL
        self._forking: set[int] = set()
        """The threads that fork at this moment, and have the signal blocked."""
        self._monitor = SignalMonitor(signal.SIGTERM, self._is_on_top)
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """Forget a signal that was the parent's."""
        self._acting = False
        self._warned = False
        self._monitor.reset_after_fork()

    def block_for_fork(self) -> None:
        """Keep the signal back in the thread that is about to fork, and in its child."""
        if self._is_on_top() and signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, []):
            # In this order: the handler of another signal may raise between two steps.
            self._forking.add(threading.get_ident())
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])

    def unblock_after_fork(self) -> None:
        """Let the signal come that was kept back; in the parent, and in the child."""
        if threading.get_ident() in self._forking:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
            self._forking.discard(threading.get_ident())

    def install(self) -> None:
        """Handle the signal, if this is the main thread and nobody else does; idempotent."""
        former = signal.getsignal(signal.SIGTERM)
        if not self._acting and _is_replaceable(former):
            self._former = former
            with suppress(ValueError):  # not the main thread
                signal.signal(signal.SIGTERM, self)

    def restore(self) -> None:
        """Put the former disposition back, unless somebody has put another one over ours."""
        if self._is_on_top():
            with suppress(ValueError):  # not the main thread: without a client the handler only passes on
                signal.signal(signal.SIGTERM, self._former)
                self._monitor.stop()

    def monitor(self) -> None:
        """Handle the signal also where it comes just before the main thread waits in C code; idempotent."""
        if self._is_on_top() and not self._stays():
            self._monitor.start()

    @property
    def state(self) -> SigtermState:
        """The one that handles the signal at this moment."""
        if self._is_on_top() or self._acting:
            return SigtermState.INSTALLED
        current = signal.getsignal(signal.SIGTERM)
        return SigtermState.NOT_MAIN_THREAD if _is_replaceable(current) else SigtermState.HOST

    def __call__(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  # Python calls it so
        """Start the helper and return."""
        stays = self._stays()
        if not stays:
            signal.signal(number, self._former)
            self._acting = True
        try:
            _thread.start_new_thread(self._act, (number, stays))
        except RuntimeError:  # no more threads; or the interpreter ends, and delivers by itself
            if not stays and threading.main_thread().is_alive():
                os.kill(os.getpid(), number)

    def _is_on_top(self) -> bool:
        current: Disposition = signal.getsignal(signal.SIGTERM)
        return current is self

    def _stays(self) -> bool:
        return os.getpid() == 1 and self._former == signal.SIG_DFL

    def _act(self, number: int, stays: bool) -> None:
        try:
            self._deliver(self if stays else self._former)
            if stays and not self._warned:
                self._warned = True
                warn(_PID_1)
        finally:
            if not stays:
                self._acting = False  # the process may go on, with a handler of its own
                os.kill(os.getpid(), number)


def warn(text: str) -> None:
    """Log a warning, in a thread that may wait."""
    import logging

    logging.getLogger("convert_sdk").warning(text)


def _is_replaceable(disposition: Disposition) -> bool:
    if "uwsgi" in sys.modules:  # it sets its handlers in C, where Python does not see them
        return False
    return disposition == signal.SIG_DFL or getattr(disposition, "__module__", None) == _RAISES_AGAIN
