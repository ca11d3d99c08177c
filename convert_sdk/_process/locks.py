"""Locks and waits for threads that a signal's handler interrupts, only to begin the same once more.

A handler runs in the main thread between two steps of whatever that was at, and so may a finalizer in any
thread. An `Event` or a plain `Lock` that the interrupted code is in the middle of would wait for ever.
"""

from __future__ import annotations

from threading import TIMEOUT_MAX, Lock, RLock


def is_mine(lock: RLock) -> bool:
    """Whether this very thread holds the lock: it was interrupted inside, and must not begin again.

    >>> lock = RLock()
    >>> with lock:
    ...     is_mine(lock)
    True
    >>> is_mine(lock)
    False
    """
    return bool(lock._is_owned())  # type: ignore[attr-defined]  # `Condition` asks the same


class Bell:
    """Wakes the one thread that waits for it; a ring that nobody hears is heard by the next who waits.

    >>> bell = Bell()
    >>> bell.ring()
    >>> bell.wait(60.0)
    True
    """

    __slots__ = ("_silence",)

    def __init__(self) -> None:
        self._silence = Lock()
        self._silence.acquire()

    def ring(self) -> None:
        """Wake the thread; any thread may, a handler in the middle of this too."""
        try:  # noqa: SIM105  # on the request path, where `suppress` costs three times this
            self._silence.release()
        except RuntimeError:  # it rings already
            pass

    def wait(self, seconds: float) -> bool:
        """Wait so long for a ring; whether there was one."""
        return self._silence.acquire(timeout=min(max(seconds, 0.0), TIMEOUT_MAX))


class Gate:
    """Holds threads up until it is opened, for good.

    >>> gate = Gate()
    >>> gate.wait(0.0)
    False
    >>> gate.open()
    >>> gate.wait(60.0)
    True
    """

    __slots__ = ("_bell", "is_open")

    def __init__(self) -> None:
        self.is_open = False
        self._bell = Bell()

    def open(self) -> None:
        """Let everybody through; again is fine."""
        if not self.is_open:
            self.is_open = True
            self._bell.ring()

    def wait(self, seconds: float) -> bool:
        """Wait so long for it; whether it is open."""
        if not self.is_open and self._bell.wait(seconds):
            self._bell.ring()  # for the next one
        return self.is_open
