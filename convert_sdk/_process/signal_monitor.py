"""A signal that the main thread has missed interrupts what it waits for.

Theory of operation
-------------------
Python runs a handler between two instructions of the main thread. A signal that comes after the last instruction
before a wait in C code, and before that wait has begun, interrupts nothing: its handler runs when the wait has ended
by itself, if ever. So `Pool.terminate` of multiprocessing, which ends its workers by SIGTERM while they go to wait for
a lock, would wait for one of them for ever.

CPython writes the number of each signal to a descriptor, if it is given one (`signal.set_wakeup_fd`). A thread reads
it, gives the handler a moment, and sends another signal to the main thread, which by then is inside its wait: the
interpreter then runs the handlers of all signals that have come. It does so until that signal's own handler has run,
at longer and longer intervals: what C code does there may be interrupted, too.

- The signal itself is not sent again: somebody may have handled it and put this handler back, or it would meet the
  disposition that the handler puts back.
- SIGWINCH interrupts, because its default action is none, its number is the higher one, so that its handler runs after
  the one that was missed, and nobody needs it in such a process. Where somebody does, nothing is watched.
- The thread costs something, so it is for processes that are ended in this way.
- There is one such descriptor in a process. Where somebody else has given one, nothing is watched. Whoever gives one
  later may put ours back when they are done, so it is not closed before.
- Under gevent and eventlet there is nothing to watch: handlers run between two greenlets.
"""

from __future__ import annotations

import _thread
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from types import BuiltinFunctionType, FrameType

from .locks import WakeEvent

_PATIENCE = 0.2
"""Seconds for a handler to begin."""


class SignalMonitor:
    """Interrupts the main thread until it has run the handler of a signal.

    Args:
        number: The signal.
        is_awaited: True while the handler is installed and has not begun.
    """

    def __init__(self, number: int, is_awaited: Callable[[], bool]) -> None:
        self._number = number
        self._is_awaited = is_awaited
        self._ends: tuple[int, int] | None = None
        """The pipe of the descriptor, while the signal is watched."""
        self._handled = WakeEvent()
        """Notified when handlers have run after an interruption."""

    def start(self) -> None:
        """Watch the signal from now on, if this is the main thread; idempotent."""
        is_patched = not isinstance(_thread.start_new_thread, BuiltinFunctionType)
        if is_patched or not hasattr(signal, "pthread_kill"):
            return
        if self._ends is not None:
            _replace_wakeup_fd(self._ends[1], self._ends[1])  # an event loop may have taken it away
        elif signal.getsignal(signal.SIGWINCH) == signal.SIG_DFL:
            with suppress(OSError):  # no more descriptors
                self._open_ends()

    def stop(self) -> None:
        """Watch no longer, if this is the main thread; idempotent."""
        if self._ends is not None and _replace_wakeup_fd(self._ends[1], -1) in (self._ends[1], -1):
            os.close(self._ends[1])  # the thread sees it, and closes the other end
            self._ends = None
            self._release_winch()

    def reset_after_fork(self) -> None:
        """Let go of what is the parent's: its thread would take the child's signals for its own."""
        self._handled = WakeEvent()
        self._close_ends()

    def _open_ends(self) -> None:
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        if _replace_wakeup_fd(-1, writing) != -1:
            os.close(reading)
            os.close(writing)
            return
        self._ends = reading, writing
        signal.signal(signal.SIGWINCH, self._note)
        try:
            _thread.start_new_thread(self._read_signals, (reading,))
        except RuntimeError:  # no more threads
            self._close_ends()

    def _close_ends(self) -> None:
        if self._ends is not None and _replace_wakeup_fd(self._ends[1], -1) is not None:
            for end in self._ends:
                os.close(end)
            self._release_winch()
        self._ends = None

    def _release_winch(self) -> None:
        if self._has_winch:
            signal.signal(signal.SIGWINCH, signal.SIG_DFL)

    @property
    def _has_winch(self) -> bool:
        return signal.getsignal(signal.SIGWINCH) == self._note

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  # Python calls it so
        """Take note that handlers run."""
        self._handled.notify()

    def _read_signals(self, reading: int) -> None:
        with suppress(OSError):  # somebody has closed every descriptor
            while numbers := os.read(reading, 512):
                if self._number in numbers:
                    self._interrupt()
            os.close(reading)

    def _interrupt(self) -> None:
        """Interrupt the main thread until handlers have run there."""
        main, seconds = threading.main_thread().ident, _PATIENCE
        self._handled.wait(0.0)  # a note of an earlier time
        while not self._handled.wait(seconds) and self._is_awaited() and self._has_winch and main is not None:
            signal.pthread_kill(main, signal.SIGWINCH)
            seconds *= 2


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
