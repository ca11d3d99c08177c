"""The visitor of a task: put into its message where it is published, and taken out where it runs.

Theory of operation
-------------------
Whoever publishes a task in the middle of a request, or of another task, is in a scope (`current_visitor`); its visitor
is handed over in the message (`TaskVisitors.token`). Where the task runs, its scope is opened under the application's
code and closed after it, in the same thread, or greenlet. The token is read at once, so that a bad one is no scope at
all; the visitor is made when it is first asked for.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from convert_sdk import _checks as check
from convert_sdk._scope import VISITOR_SCOPE, VisitorScope, open_scope
from convert_sdk.async_client import AsyncClient
from convert_sdk.client import Client, visitor_of
from convert_sdk.errors import OptionError

if TYPE_CHECKING:
    from convert_sdk._tokens.handover import Handover
    from convert_sdk.visitor import Visitor

TOKEN_NAME = "convert_visitor"  # noqa: S105  # the name of the token in a message
WEEK = 7 * 86_400.0
"""Seconds for which a task's token holds its decisions, unless the application says otherwise."""
_log = logging.getLogger("convert_sdk")


class TaskScope:
    """One task under way, and its visitor."""

    def __init__(self, client: Client, handover: Handover) -> None:
        self._client = client
        self._handover = handover
        self._visitor: Visitor | None = None
        self._lock = threading.RLock()
        self._ended = False
        self._entry = VisitorScope(
            client, self.visitor, self.visitor, self.is_open, lambda: None, VISITOR_SCOPE.get()
        )

    def open(self) -> None:
        """Have `current_visitor` find the visitor from here on."""
        VISITOR_SCOPE.set(self._entry)

    def visitor(self) -> Visitor:
        """The visitor; the first call makes it."""
        with self._lock:
            if self._visitor is None:
                self._visitor = visitor_of(self._client, self._handover, None, {})
            return self._visitor

    def is_open(self) -> bool:
        """True until the task has ended."""
        return not self._ended

    def close(self) -> None:
        """End the scope: what waits for consent in it is given up."""
        self._ended = True
        if VISITOR_SCOPE.get() is self._entry:
            VISITOR_SCOPE.set(self._entry.outer)
        visitor = self._visitor
        if visitor is not None and visitor._consent is not None:
            visitor._consent.end()


class TaskVisitors:
    """The visitors of one client's tasks, on both sides of the queue.

    Args:
        client: Its visitors are handed over; tasks run with a `Client` only.
        max_age: Seconds for which a message's decisions are taken up.

    Raises:
        TypeError: For what is no client, and for a time that is no number.
        ValueError: For a time that is not above 0.
    """

    def __init__(self, client: Client | AsyncClient, max_age: float = WEEK) -> None:
        if not isinstance(client, Client | AsyncClient):
            raise TypeError(f"client must be a Client or an AsyncClient, not {type(client).__name__}")
        self.client = client
        self._max_age = check.seconds(max_age, "max_age")
        if self._max_age <= 0:
            raise ValueError(f"max_age must be a number of seconds above 0, not {max_age!r}")
        self._said: set[str] = set()

    def token(self) -> str | None:
        """The token of the visitor of this scope, for a message; None outside of one, and without secrets."""
        scope = open_scope(self.client)
        if scope is None:
            return None
        try:
            return scope.visitor().handover(max_age=self._max_age)
        except (OptionError, ValueError) as error:
            self._warn("token", f"the visitor is not handed over to the task: {error}")
        except Exception as error:  # noqa: BLE001  # no task may fail for its visitor
            self._warn("token", f"the visitor is not handed over to the task: {type(error).__name__}")
        return None

    def open(self, token: object) -> TaskScope | None:
        """Open the scope of a task whose message has this token; None where it has none, or a bad one."""
        client = self.client
        if not isinstance(token, str):
            return None
        if not isinstance(client, Client):
            self._warn("client", "tasks need a Client: with an AsyncClient they run without their visitor")
            return None
        handover = self._read(client, token)
        if handover is None:
            return None
        scope = TaskScope(client, handover)
        scope.open()
        return scope

    @contextmanager
    def opened(self, token: object) -> Iterator[None]:
        """As `open`, for a block."""
        scope = self.open(token)
        try:
            yield
        finally:
            if scope is not None:
                scope.close()

    def start(self) -> None:
        """Start the client without waiting, so that no task waits for the document."""
        if isinstance(self.client, Client):
            self.client.start()

    def flush(self) -> None:
        """Deliver what waits, within `shutdown_timeout`: the process may end without its exit hooks."""
        if isinstance(self.client, Client):
            self.client.flush(self.client._options.shutdown_timeout)

    def _read(self, client: Client, token: str) -> Handover | None:
        from convert_sdk._tokens.handover import read_handover
        from convert_sdk._tokens.signing import TokenFlaw

        try:
            reading = read_handover(client._engine, token)
        except OptionError as error:
            self._warn("secrets", f"a task runs without its visitor: {error}")
            return None
        if reading.flaw is TokenFlaw.EXPIRED:
            self._warn(
                "expired", "a task waited for longer than its max_age: the id is kept, its decisions are not"
            )
        elif reading.flaw is not None:
            self._warn(
                reading.flaw.value, f"a task runs without its visitor: the token is refused ({reading.flaw})"
            )
        return reading.handover

    def _warn(self, name: str, text: str) -> None:
        """Log a warning, once for each name."""
        if name not in self._said:
            self._said.add(name)
            _log.warning("tasks: %s", text)
