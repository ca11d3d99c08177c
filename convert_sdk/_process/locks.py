"""Locks and waits that a signal handler may interrupt and then use again.

Theory of operation
-------------------
A signal handler runs in the main thread, between any two steps of the code it interrupts; a finalizer does so in any
thread. If it uses the client, it may need a lock that the interrupted code below it on the same stack holds. A plain
`Lock` would then wait for ever, and so would `threading.Event` and `Condition`, whose methods take a plain lock inside.

Three rules follow:

- Locks on a caller's path are re-entrant. Code that finds one `held_by_this_thread` was called from a handler in the
  middle of a change: it changes nothing and reads the state from before, or leaves the work to the worker.
- Threads wait on a bare lock (`WakeEvent`, `Latch`): acquiring and releasing it is one step each, which no handler can
  interrupt half-way.
- Nothing on a caller's path waits for a lock that another thread holds across I/O.

`WakeEvent` is a lock that is held while there is nothing to do. `notify` releases it, the waiting thread acquires it;
a second `notify` before that finds it released, which means the same. `Latch` is a `WakeEvent` that each waiting
thread passes on to the next one.
"""

from __future__ import annotations

import threading


def held_by_this_thread(lock: threading.RLock) -> bool:
    """Tell whether the calling thread itself holds the lock, as in a signal handler that interrupted the holder.

    >>> lock = threading.RLock()
    >>> with lock:
    ...     held_by_this_thread(lock)
    True
    >>> held_by_this_thread(lock)
    False
    """
    return bool(lock._is_owned())  # type: ignore[attr-defined]  # `Condition` asks the same


class WakeEvent:
    """A notification for one waiting thread; one that comes early is kept for the next wait.

    >>> event = WakeEvent()
    >>> event.notify()
    >>> event.wait(60.0)
    True
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def notify(self) -> None:
        """Wake the waiting thread; callable from any thread, and from a handler that interrupted this method."""
        try:  # noqa: SIM105  # on the request path, where `suppress` costs three times this
            self._lock.release()
        except RuntimeError:  # notified already
            pass

    def wait(self, seconds: float) -> bool:
        """Wait at most so long; True if notified."""
        return self._lock.acquire(timeout=min(max(seconds, 0.0), threading.TIMEOUT_MAX))


class Latch:
    """A gate that is opened once, for good, and lets every waiting thread through.

    >>> latch = Latch()
    >>> latch.wait(0.0)
    False
    >>> latch.open()
    >>> latch.wait(60.0)
    True
    """

    __slots__ = ("_wake_event", "is_open")

    def __init__(self) -> None:
        self.is_open = False
        self._wake_event = WakeEvent()

    def open(self) -> None:
        """Let every thread through; idempotent."""
        if not self.is_open:
            self.is_open = True
            self._wake_event.notify()

    def wait(self, seconds: float) -> bool:
        """Wait at most so long; True if the latch is open."""
        if not self.is_open and self._wake_event.wait(seconds):
            self._wake_event.notify()  # pass it on to the next waiting thread
        return self.is_open
