"""Where everything that must begin anew in a forked process hears of it."""

from __future__ import annotations

import os
from collections.abc import Callable

_heirs: list[Callable[[], None]] = []
_home = os.getpid()


def begin_anew_with(work: Callable[[], None]) -> None:
    """Have this done in every child, before anything of ours is used there; the first asked, the first done."""
    _heirs.append(work)


def is_home() -> bool:
    """Whether this is the process that the module knows, and not a fork that ran none of Python's hooks.

    >>> is_home()
    True
    """
    return os.getpid() == _home


def heed() -> None:
    """Begin anew in a process that was forked by C code, which does not run Python's hooks."""
    if os.getpid() != _home:
        _begin_anew()


def _begin_anew() -> None:
    global _home  # noqa: PLW0603  # another process, another home
    _home = os.getpid()
    for work in _heirs:
        work()


os.register_at_fork(after_in_child=_begin_anew)
