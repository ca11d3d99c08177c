"""Who writes to a disk or a store while the worker waits for an answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from threading import RLock, Thread, current_thread
from time import monotonic
from typing import TypeVar

from convert_sdk._process.locks import Latch, WakeEvent, held_by_this_thread

T = TypeVar("T")
_LONGEST_WAIT = 3_600.0
_BREATHER = 0.5


class BackgroundThread:
    """One daemon thread that does slow work as soon as it is due, started when it is first needed.

    `work` is done at `due()` (monotonic seconds), or earlier after `notify`, and is told whether to leave nothing
    for later; `done` is called after it.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[bool], None],
        due: Callable[[], float],
        *,
        done: Callable[[], None],
        on_error: Callable[[BaseException], None],
    ) -> None:
        self._name = name
        self._work = work
        self._due = due
        self._done = done
        self._on_error = on_error
        self._wake_event = WakeEvent()
        self._asked: deque[Latch] = deque()
        self._starting = RLock()
        self._thread: Thread | None = None
        self._stopped = False

    def notify(self) -> None:
        """Something may be due earlier; any thread may say so."""
        self._wake_event.notify()
        if not self._stopped and not self._is_alive():
            self._start()

    def request_all(self) -> Latch:
        """Have everything done, and say by the latch that it is; the caller does it where no thread can."""
        latch = Latch()
        if self._thread is not current_thread():
            self._asked.append(latch)
            self.notify()
        if self._stopped or not self._is_alive():
            self._work_once()
        return latch

    def stop(self) -> None:
        """Work no more."""
        self._stopped = True
        self._wake_event.notify()

    def _is_alive(self) -> bool:
        thread = self._thread
        return thread is not None and thread.is_alive()

    def _start(self) -> None:
        if held_by_this_thread(self._starting):
            return  # interrupted while it starts
        with self._starting:
            if self._is_alive():
                return
            thread = Thread(target=self._run, name=self._name, daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # no more threads, or the interpreter ends
                self._on_error(error)
            else:
                self._thread = thread

    def _run(self) -> None:
        while not self._stopped:
            if not self._work_once():
                self._wake_event.wait(_BREATHER)
            self._wake_event.wait(min(self._due() - monotonic(), _LONGEST_WAIT))
        for latch in drain(self._asked):
            latch.open()

    def _work_once(self) -> bool:
        asked = list(drain(self._asked))
        try:
            self._work(bool(asked))
            self._done()
        except BaseException as error:  # noqa: BLE001  # the worker does the chores, too
            self._on_error(error)
            return False
        finally:
            for latch in asked:
                latch.open()
        return True


def drain(queue: deque[T]) -> Iterator[T]:
    """Take everything out, beside other threads that may."""
    while queue:
        try:
            yield queue.popleft()
        except IndexError:
            return
