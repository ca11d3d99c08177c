"""A signal that the main thread has missed is sent again.

Theory of operation
-------------------
Python runs a handler between two instructions of the main thread. A signal that comes after the last instruction
before a wait in C code, and before that wait has begun, interrupts nothing: its handler runs when the wait has ended
by itself, if ever. So `Pool.terminate` of multiprocessing, which ends its workers by SIGTERM while they go to wait for
a lock, would wait for one of them for ever.

CPython writes the number of each signal to a descriptor, if it is given one (`signal.set_wakeup_fd`). A thread reads
it, gives the handler a moment, and sends the signal to the main thread again, which by then is inside its wait. It
does so until the handler has begun, at longer and longer intervals: what C code does there may be interrupted, too.

- The thread costs something, so it is for processes that are ended in this way.
- There is one such descriptor in a process. Where somebody else has given one, nothing is watched.
- The signal must not meet the disposition that the handler puts back. So neither changes it, nor sends, while the
  other does: a handler that comes in the middle of sending does nothing, as it will be called again.
- Under gevent and eventlet there is nothing to watch: handlers run between two greenlets.
"""

from __future__ import annotations

import _thread
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from types import BuiltinFunctionType

from .locks import WakeEvent

_PATIENCE = 0.2
"""Seconds for a handler to begin."""


class SignalMonitor:
    """Sends a signal to the main thread again until its handler has begun.

    Args:
        number: The signal.
        is_awaited: True while the handler is installed and has not begun.
    """

    def __init__(self, number: int, is_awaited: Callable[[], bool]) -> None:
        self._number = number
        self._is_awaited = is_awaited
        self._ends: tuple[int, int] | None = None
        """The pipe of the descriptor, while the signal is watched."""
        self._deciding = threading.Lock()
        """Held while the signal is sent, or the disposition changed."""

    def start(self) -> None:
        """Watch the signal from now on, if this is the main thread; idempotent."""
        is_patched = not isinstance(_thread.start_new_thread, BuiltinFunctionType)
        if self._ends is not None or is_patched or not hasattr(signal, "pthread_kill"):
            return
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        if _replace_wakeup_fd(-1, writing) != -1:
            os.close(reading)
            os.close(writing)
            return
        self._ends = reading, writing
        try:
            _thread.start_new_thread(self._read_signals, (reading,))
        except RuntimeError:  # no more threads
            self._close_ends()

    def stop(self) -> None:
        """Watch no longer, if this is the main thread; idempotent."""
        if self._ends is not None and _replace_wakeup_fd(self._ends[1], -1) is not None:
            os.close(self._ends[1])  # the thread sees it, and closes the other end
            self._ends = None

    def reset_after_fork(self) -> None:
        """Let go of what is the parent's: its thread would take the child's signals for its own."""
        self._deciding = threading.Lock()
        self._close_ends()

    def enter_handler(self) -> bool:
        """Let the handler change the disposition, until `leave_handler`; False while the signal is sent again."""
        return self._deciding.acquire(blocking=False)

    def leave_handler(self) -> None:
        """Take note that the handler has changed the disposition."""
        self._deciding.release()

    def _close_ends(self) -> None:
        if self._ends is not None and _replace_wakeup_fd(self._ends[1], -1) is not None:
            for end in self._ends:
                os.close(end)
        self._ends = None

    def _read_signals(self, reading: int) -> None:
        pause = WakeEvent()
        with suppress(OSError):  # somebody has closed every descriptor
            while numbers := os.read(reading, 512):
                seconds = _PATIENCE
                while self._number in numbers and (pause.wait(seconds) or self._send_again()):
                    seconds *= 2
            os.close(reading)

    def _send_again(self) -> bool:
        """Send the signal again, if its handler has not begun; False if it has."""
        main = threading.main_thread().ident
        with self._deciding:
            if main is None or not self._is_awaited():
                return False
            signal.pthread_kill(main, self._number)
            return True


def _replace_wakeup_fd(mine: int, new: int) -> int | None:
    """Replace this descriptor; a foreign one stays. Returns the former one; None if this is not the main thread."""
    try:
        former = signal.set_wakeup_fd(new, warn_on_full_buffer=False)
    except ValueError:
        return None
    if former not in (mine, -1):
        try:
            signal.set_wakeup_fd(former)
        except (OSError, ValueError):  # it has been closed
            signal.set_wakeup_fd(-1)
    return former
