"""Who writes to the spool while the worker waits for an answer."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Lock, Thread
from time import monotonic

_LONGEST_REST = 3_600.0
_BREATHER = 0.5


class Scribe:
    """One daemon thread that does disk work as soon as it is due, started when it is first needed.

    `work` is done at `due()` (monotonic seconds), or earlier after `stir`; `done` is called after it.
    """

    def __init__(
        self,
        work: Callable[[], None],
        due: Callable[[], float],
        *,
        done: Callable[[], None],
        trouble: Callable[[BaseException], None],
    ) -> None:
        self._work = work
        self._due = due
        self._done = done
        self._trouble = trouble
        self._event = Event()
        self._starting = Lock()
        self._thread: Thread | None = None
        self._stopped = False

    def stir(self) -> None:
        """Something may be due earlier; any thread may say so."""
        self._event.set()
        thread = self._thread
        if not self._stopped and (thread is None or not thread.is_alive()):
            self._start(thread)

    def stop(self) -> None:
        """Work no more."""
        self._stopped = True
        self._event.set()

    def _start(self, gone: Thread | None) -> None:
        with self._starting:
            if self._thread is not gone:
                return
            thread = Thread(target=self._run, name="convert_sdk-spool", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # no more threads, or the interpreter ends
                self._trouble(error)
            else:
                self._thread = thread

    def _run(self) -> None:
        while not self._stopped:
            try:
                self._work()
                self._done()
            except BaseException as error:  # noqa: BLE001  # the worker does the chores, too
                self._trouble(error)
                self._event.wait(_BREATHER)
            seconds = min(self._due() - monotonic(), _LONGEST_REST)
            if seconds > 0:
                self._event.wait(seconds)
            self._event.clear()
