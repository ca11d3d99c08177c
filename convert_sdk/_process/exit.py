"""The ends of a process: every client delivers what waits, as far as Python learns of the end.

Theory of operation
-------------------
==========================  ===================================================================================
a process ends by           then
==========================  ===================================================================================
the interpreter's end       `atexit`: every client delivers and closes
SIGTERM                     `Sigterm`: every client delivers, then the signal does what it did before
multiprocessing's end       which skips `atexit`, as Celery's billiard does: a finalizer of theirs does the same
the end of Celery's worker  which skips those, too: its signal `worker_process_shutdown`
`os._exit`                  only after `flush_before_os_exit`; otherwise a forked child says what it loses
SIGKILL, a crash            nothing of ours is called; what a spool holds survives
==========================  ===================================================================================

- Clients are registered weakly, so a registration keeps none alive.
- Each has its own `shutdown_timeout`, counted from the moment at which the process began to end: all of them together
  take no longer than the longest of these times.
- Whoever calls `os._exit` does not expect it to take time; so it is left alone unless the application asks. One warning
  is enough for all children of a process: the byte that tells of it is shared with them.
- A forked child inherits the parent's clients: each is reset before anything else is done with it there.
"""

from __future__ import annotations

import atexit
import mmap
import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from typing import NoReturn, Protocol
from weakref import WeakSet

from .clock import monotonic
from .fork import check_pid, hook_fork, register_after_fork
from .sigterm import Disposition, Sigterm, SigtermState, warn
from .uwsgi import check_uwsgi

_OS_EXIT = (
    "os._exit ended this process before {} of its events were sent; they are lost. Call "
    "convert_sdk.flush_before_os_exit() once, where the client is made, to have them sent. Further children do not "
    "repeat this"
)


_SIGTERM = "SIGTERM: {} events could not be sent in {:.1f} s and {}"
_SOME_LOST = "stay in the spool, but for {} that reached no disk and may be lost"


class ExitOptions(Protocol):
    """The options of a client that matter at the end."""

    @property
    def flush_on_sigterm(self) -> bool:
        """True to deliver before SIGTERM ends the process."""
        ...

    @property
    def spool(self) -> str | None:
        """A folder in which events survive the process."""
        ...

    @property
    def tracking(self) -> bool:
        """False where nothing is ever sent."""
        ...


class ExitRuntime(Protocol):
    """The part of a client that knows what waits."""

    @property
    def options(self) -> ExitOptions:
        """The options of the client."""
        ...

    @property
    def unsent(self) -> int:
        """The number of events that wait or are in a request."""
        ...

    @property
    def only_in_memory(self) -> int:
        """The number of those that lie on no disk."""
        ...

    def send_immediately(self) -> None:
        """Wait for no `flush_interval` any more; return at once."""
        ...

    def send_on(self) -> None:
        """Go on as before a flush that was thought to be the last."""
        ...

    def stop_accepting(self) -> None:
        """Accept no event more; the spool, where there is one, then has what waits and nothing that was answered."""
        ...


class ExitHook(Protocol):
    """The part of one client that delivers; called in every child process and when the process ends."""

    shutdown_timeout: float
    closed: bool

    @property
    def runtime(self) -> ExitRuntime:
        """The part that knows what waits."""
        ...

    def reset_after_fork(self) -> None:
        """Start with fresh locks, an empty queue and new connections in a child process."""
        ...

    def close_by(self, since: float) -> None:
        """Deliver and close, within `shutdown_timeout` seconds from `since` (monotonic seconds)."""
        ...

    def flush_by(self, since: float) -> int:
        """Deliver what waits within the same time, without closing; returns the number of events that still wait."""
        ...

    def finish_request_by(self, since: float) -> None:
        """Wait within the same time for the answer to the request under way, and begin none more."""
        ...


_hooks: WeakSet[ExitHook] = WeakSet()
_registered: set[tuple[int, str]] = set()
"""Process ids, and the libraries that call us at the end of that process."""
_LIBRARIES = "multiprocessing", "billiard"
"""Libraries whose children skip `atexit`, and are ended by SIGTERM."""
_after_forks: set[str] = set()
"""Those that tell us of each child."""
_os_exit = os._exit
_opted_in: list[bool] = []
_warned = mmap.mmap(-1, 1)
"""Shared with all children: 1 once one of them has warned of `os._exit`."""


def register_exit_hook(hook: ExitHook) -> None:
    """Have this client deliver when the process ends, and reset in child processes."""
    _hooks.add(hook)
    _install_sigterm()


def hook_multiprocessing_exit() -> None:
    """Register for the ends of this process that `atexit` does not see; for each start of a client."""
    _install_sigterm()
    check_uwsgi()
    for library in _LIBRARIES:
        if _is_child_of(library) and _is_first(library):
            import_module(f"{library}.util").Finalize(None, _deliver_and_close, exitpriority=100)
    celery = sys.modules.get("celery.signals")
    if celery is not None and _is_first("celery"):
        celery.worker_process_shutdown.connect(_deliver_and_close, weak=False, dispatch_uid=__name__)


def _is_child_of(library: str, *, or_becomes_one: bool = False) -> bool:
    process = sys.modules.get(f"{library}.process")
    if process is None:
        return False
    current = process.current_process()
    # billiard has no public name for it, and nobody has one for a child that still imports the main module.
    is_child = getattr(current, "_parent_pid", None) is not None
    return is_child or (or_becomes_one and hasattr(current, "_inheriting"))


def _is_first(library: str) -> bool:
    registration = os.getpid(), library
    if registration in _registered:
        return False
    _registered.add(registration)
    return True


def flush_before_os_exit() -> None:
    """Deliver what waits before `os._exit` ends this process, or one that it forks; for `shutdown_timeout` at most.

    `os._exit` ends a process without Python's own exit. It is how RQ's work horses, the workers of `billiard.Pool`
    and most programs that call `os.fork` end. Call this once, before or after a client is made. Not needed for
    `multiprocessing` and Celery.

    >>> flush_before_os_exit()
    """
    _opted_in.append(True)
    os._exit = _exit_process  # children inherit it


def _exit_process(status: int) -> NoReturn:
    try:
        if _opted_in:
            _deliver_and_close()
        else:
            _warn_of_os_exit()
    finally:
        _os_exit(status)


def _warn_of_os_exit() -> None:
    lost = sum(hook.runtime.unsent for hook in list(_hooks) if hook.runtime.options.spool is None)
    if lost and not _warned[0]:
        _warned[0] = 1
        warn(_OS_EXIT.format(lost))


# SIGTERM.


def _sigterm_hooks() -> list[ExitHook]:
    return [
        hook
        for hook in list(_hooks)
        if not hook.closed and hook.runtime.options.flush_on_sigterm and hook.runtime.options.tracking
    ]


def _install_sigterm() -> None:
    if _sigterm_hooks():
        _sigterm.install()
        if any(_is_child_of(library, or_becomes_one=True) for library in _LIBRARIES):
            _sigterm.monitor()


def _monitor_children() -> None:
    """Have SIGTERM monitored in children that are forked from now on, whether or not they use a client."""
    for library in _LIBRARIES:
        register = getattr(sys.modules.get(f"{library}.util"), "register_after_fork", None)
        if register is not None and library not in _after_forks:
            _after_forks.add(library)
            register(_sigterm, Sigterm.monitor)


def _before_fork() -> None:
    _monitor_children()
    _sigterm.block_for_fork()


def release_sigterm() -> None:
    """Give the signal back once the last client is closed that wanted it."""
    if not _sigterm_hooks():
        _sigterm.restore()


def sigterm_state() -> SigtermState:
    """Tell who handles SIGTERM in this process."""
    return _sigterm.state


def _deliver_before(disposition: Disposition) -> None:
    """Deliver before this acts on SIGTERM; what is left is said."""
    since = monotonic()
    hooks = _sigterm_hooks()
    for hook in hooks:
        if disposition is not _sigterm:
            hook.runtime.send_immediately()
    left = [_flush(hook, since) for hook in hooks]
    # If the application has set a handler of its own meanwhile, the process may go on.
    if disposition == signal.SIG_DFL == signal.getsignal(signal.SIGTERM):
        left = [_end(hook, since, unsent) for hook, unsent in zip(hooks, left, strict=True)]
    else:
        for hook in hooks:
            hook.runtime.send_on()
    if unsent := sum(left):
        lost = min(unsent, sum(hook.runtime.only_in_memory for hook in hooks))
        fate = "may be lost" if lost == unsent else _SOME_LOST.format(lost) if lost else "stay in the spool"
        warn(_SIGTERM.format(unsent, monotonic() - since, fate))


def _flush(hook: ExitHook, since: float) -> int:
    try:
        return hook.flush_by(since)
    except Exception:  # noqa: BLE001  # the others deliver all the same
        return hook.runtime.unsent


def _end(hook: ExitHook, since: float, unsent: int) -> int:
    """Deliver or keep what other threads tracked meanwhile: the process ends in the next moment.

    With a spool that lies on disk, after a request that had begun was answered: cut short it would be sent again.
    """
    runtime = hook.runtime
    if runtime.options.spool:
        with suppress(Exception):  # what had no answer is sent again
            hook.finish_request_by(since)
        runtime.stop_accepting()
        return unsent
    runtime.stop_accepting()
    return runtime.unsent if unsent else _flush(hook, since)


_sigterm = Sigterm(_deliver_before)


# All ends but SIGTERM.


def _deliver_and_close(**_: object) -> None:
    since = monotonic()
    check_pid()
    for hook in list(_hooks):
        with suppress(Exception):
            hook.close_by(since)


def _after_fork_in_child() -> None:
    _sigterm.reset_after_fork()
    for hook in list(_hooks):
        hook.reset_after_fork()
    os._exit = _exit_process  # to deliver, or to warn


register_after_fork(_after_fork_in_child)
hook_fork(
    before=_before_fork,
    after_in_parent=_sigterm.unblock_after_fork,
    after_in_child=_sigterm.unblock_after_fork,
)
atexit.register(_deliver_and_close)
