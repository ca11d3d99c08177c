"""uWSGI, which embeds Python and forks its workers in C: the options without which a client cannot do its work there.

Theory of operation
-------------------
- Without `enable-threads` no thread runs but while a request is served.
- The master loads the application, and then forks the workers, by default without a word to Python. A thread that runs
  in the master at that moment is gone in the worker, and whatever it held stays locked, the interpreter itself
  included. `py-call-uwsgi-fork-hooks` has Python prepare the fork; with `lazy-apps` each worker loads the application.
- The process is not stopped from either: a client that starts in the master says what to do, once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from .sigterm import warn

_NO_THREADS = (
    "uWSGI runs no threads, so events wait until the next request or the end of the process: start it with "
    "--enable-threads"
)
_FORKS = (
    "the client has started in uWSGI's master, whose workers are forked without Python's knowledge: they may hang. "
    "Start uWSGI with --py-call-uwsgi-fork-hooks or --lazy-apps"
)
_OFF = frozenset({"false", "off", "no", "0"})
_warned: list[bool] = []


def check_uwsgi() -> None:
    """Warn, once, where uWSGI's options leave a client that starts now without threads, or its workers locked."""
    module = sys.modules.get("uwsgi")
    options = getattr(module, "opt", None)
    if module is None or _warned or not isinstance(options, Mapping):
        return
    if not _is_on(options, "enable-threads", "threads"):
        _warned.append(True)
        warn(_NO_THREADS)
    elif module.masterpid() == os.getpid() and not _is_on(
        options, "py-call-uwsgi-fork-hooks", "lazy-apps", "lazy"
    ):
        _warned.append(True)
        warn(_FORKS)


def _is_on(options: Mapping[object, object], *names: str) -> bool:
    """Tell whether one of the options is given; their values are bytes, or True."""
    given = [options.get(name, options.get(name.encode())) for name in names]
    values = [value.decode(errors="replace") if isinstance(value, bytes) else value for value in given]
    return any(value is not None and str(value).lower() not in _OFF for value in values)
