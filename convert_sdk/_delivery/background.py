"""Daemon threads: started when they are needed, replaced when they die, ended when nobody needs them.

Theory of operation
-------------------
Whatever may take long has a thread of its own, so that nothing delays anything else: tracking requests, fetches,
the spool, a store that blocks, the application's `observe` callback. A `DaemonThread` runs a `body` that returns only
to end the thread; an exception is reported and the body runs again, and a thread that dies altogether (somebody
threw an exception into it) leaves another one behind. `BackgroundThread` is one whose body is: work, then wait until
the next work is due.

Every method may be called from a signal handler that interrupts the same method, in the same thread: starting is
guarded by a re-entrant lock that such a handler finds held, and waiting uses `WakeEvent` and `Latch` only.

A client that was collected may still have visitors. Its threads then end after some seconds without work (`may_end`),
and the next `notify` starts them again.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeVar

from convert_sdk._process.clock import monotonic
from convert_sdk._process.locks import Latch, WakeEvent, held_by_this_thread
from convert_sdk._process.threads import daemon_thread

T = TypeVar("T")
IDLE_TIME = 5.0
"""Seconds without work after which a thread ends that may end."""
LONGEST_WAIT = 3_600.0
_PAUSE_AFTER_ERROR = 0.5
OnError = Callable[[BaseException], None]


class DaemonThread:
    """A daemon thread that lives for as long as its body does not return.

    Args:
        name: The thread's name.
        body: Runs in the thread; returns to end it.
        on_error: Called with exceptions of the body and of the start; afterwards the body runs again.
    """

    def __init__(self, name: str, body: Callable[[], None], *, on_error: OnError) -> None:
        self._name = name
        self._body = body
        self._on_error = on_error
        self._starting = threading.RLock()
        self._thread: threading.Thread | None = None
        self._stopped = False
        self.wake_event = WakeEvent()

    def notify(self) -> None:
        """Wake the thread, or start it; for any thread."""
        self.wake_event.notify()
        if not self._stopped and not self.is_alive:
            self.start()

    def start(self) -> bool:
        """Start the thread if it does not live; True if it lives then, or somebody else is starting it."""
        if self._stopped or held_by_this_thread(self._starting):  # interrupted in the middle of a start
            return False
        # Without waiting: the caller may hold a lock that the other one waits for.
        if not self._starting.acquire(blocking=False):
            return True
        try:
            return self.is_alive or self._start_another()
        finally:
            self._starting.release()

    def stop(self) -> None:
        """End the thread once its body looks at `stopped`; idempotent."""
        self._stopped = True
        self.wake_event.notify()

    @property
    def stopped(self) -> bool:
        """True once the thread is to end for good."""
        return self._stopped

    @property
    def is_alive(self) -> bool:
        """True while the thread runs."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    @property
    def is_current(self) -> bool:
        """True in the thread itself."""
        thread = self._thread
        return thread is not None and thread.ident == threading.get_ident()

    def join(self, seconds: float) -> None:
        """Wait at most so long for the end of the thread."""
        thread = self._thread
        if thread is not None and thread.is_alive() and not self.is_current:
            thread.join(max(0.0, seconds))

    def _start_another(self) -> bool:
        # Known before it runs: it must recognize itself, even while its starter is held up by a signal handler.
        thread = self._thread = daemon_thread(self._name, self._run)
        try:
            thread.start()
        except RuntimeError as error:
            self._thread = None
            # While the interpreter ends, from Python 3.12 on none is started, and the caller does the work.
            if threading.main_thread().is_alive():
                self._on_error(error)
            return False
        return True

    def _run(self) -> None:
        ended = False
        try:
            while not ended:
                try:
                    self._body()
                    ended = True
                except BaseException as error:  # noqa: BLE001  # whatever it was, the work is still to be done
                    self._on_error(error)
                    self.wake_event.wait(_PAUSE_AFTER_ERROR)
        finally:
            with self._starting:
                self._thread = None
                # Died, or notified while it was about to end: another thread goes on.
                if not self._stopped and (not ended or self._is_notified()):
                    self._start_another()

    def _is_notified(self) -> bool:
        if self.wake_event.wait(0.0):
            self.wake_event.notify()
            return True
        return False


class BackgroundThread(DaemonThread):
    """A daemon thread that works whenever something is due.

    Args:
        name: The thread's name.
        work: Called when something is due or somebody asks; with True where nothing may be left for later.
        due: The time of the next work, in monotonic seconds; `inf` while there is none.
        done: Called after each work.
        on_error: Called with the exceptions of `work`.
        may_end: True if the thread is to end once it has nothing to do.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[bool], None],
        due: Callable[[], float],
        *,
        done: Callable[[], None],
        on_error: OnError,
        may_end: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(name, self._loop, on_error=on_error)
        self._work = work
        self._due = due
        self._done = done
        self._may_end = may_end
        self._requests: deque[Latch] = deque()
        self._answering = False

    @property
    def is_asked(self) -> bool:
        """True from a request until everything is done."""
        return self._answering or bool(self._requests)

    def request_all(self, *, inline: bool = True) -> Latch:
        """Have everything done; the latch opens afterwards.

        Where no thread can be started the caller does it, if `inline`; otherwise it is left undone.
        """
        latch = Latch()
        if self.is_current:  # at work already
            latch.open()
            return latch
        self._requests.append(latch)
        self.notify()
        if self._stopped or not self.is_alive:
            if inline:
                self._work_once()
            for left in drain(self._requests):
                left.open()
        return latch

    def _loop(self) -> None:
        while not self._stopped:
            if not self._work_once():
                self.wake_event.wait(_PAUSE_AFTER_ERROR)
            may_end = self._may_end()
            seconds = min(self._due() - monotonic(), IDLE_TIME if may_end else LONGEST_WAIT)
            if not self.wake_event.wait(seconds) and may_end and self._due() > monotonic():
                break
        for latch in drain(self._requests):
            latch.open()

    def _work_once(self) -> bool:
        self._answering = True  # first: a request is never out of sight
        requests = list(drain(self._requests))
        self._answering = bool(requests)
        try:
            self._work(bool(requests))
        except BaseException as error:  # noqa: BLE001  # the next work may succeed
            self._on_error(error)
            return False
        finally:
            self._answering = False
            for latch in requests:
                latch.open()
            self._done()
        return True


def drain(queue: deque[T]) -> Iterator[T]:
    """Take everything out, beside other threads that may do the same."""
    while queue:
        try:
            yield queue.popleft()
        except IndexError:
            return
