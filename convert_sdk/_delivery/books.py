"""The lock of the outbox, and what its books say while they are being written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock

from convert_sdk._process.locks import is_mine

from .counts import Counts


class Books:
    """One thread at a time changes what is counted; who interrupts it reads what was true before."""

    __slots__ = ("_before", "_count", "lock")

    def __init__(self, count: Callable[[], Counts]) -> None:
        self.lock = RLock()
        self._count = count
        self._before: Counts | None = None

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the lock for a change."""
        with self.lock:
            try:
                self._before = self._count()
                yield
            finally:
                self._before = None

    def read(self) -> Counts:
        """The law, at one moment."""
        with self.lock:
            return self._before or self._count()

    @property
    def busy(self) -> bool:
        """Whether a signal's handler asks, in the middle of what this thread is at: it must change nothing."""
        return is_mine(self.lock)
