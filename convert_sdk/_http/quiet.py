"""A filter of logs: the libraries below say nothing under a warning of our own requests.

httpx logs a line for every request, with the SDK key in its address. The host's own use of httpx logs as ever.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_LOGGERS = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
)
_quiet: ContextVar[bool] = ContextVar("_quiet", default=False)


@contextmanager
def quietly() -> Iterator[None]:
    """Keep these libraries quiet about what happens in this context."""
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)


def _is_said(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or not _quiet.get()


for _name in _LOGGERS:
    logging.getLogger(_name).addFilter(_is_said)
