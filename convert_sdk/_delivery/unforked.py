"""No fork in the middle of certain things: a child cannot finish what another thread of its parent had begun."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from threading import RLock

from convert_sdk._forks import begin_anew_with

# What is registered last is asked first before a fork. Modules that are imported ask logging for its lock: this must
# be waited for before logging takes it, so logging comes first here.
_ = logging.getLogger
_PATIENCE = 30.0
_undivided = RLock()
_waiting: list[bool] = []


@contextmanager
def unforked() -> Iterator[None]:
    """Let no thread fork meanwhile: imports and OpenSSL hold locks that the child would wait for, for ever."""
    with _undivided:
        yield


def import_all(names: Iterable[str]) -> None:
    """Import these modules; one that is not there is missed by who needs it."""
    with unforked():
        for name in names:
            with suppress(ImportError):
                import_module(name)


def _before_fork() -> None:
    if _undivided.acquire(timeout=_PATIENCE):
        _waiting.append(True)


def _after_fork_in_parent() -> None:
    if _waiting:
        _waiting.pop()
        _undivided.release()


def _after_fork_in_child() -> None:
    global _undivided  # noqa: PLW0603  # the child needs a lock of its own
    _undivided = RLock()
    _waiting.clear()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent)
begin_anew_with(_after_fork_in_child)
