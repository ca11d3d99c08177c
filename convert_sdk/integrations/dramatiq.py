"""Experiments in Dramatiq's actors: an actor goes on with the visitor of the request that has sent its message."""

from __future__ import annotations

from convert_sdk._extras import needs_extra
from convert_sdk.async_client import AsyncClient
from convert_sdk.client import Client

from ._task_scope import TOKEN_NAME, WEEK, TaskScope, TaskVisitors

with needs_extra(__name__, "dramatiq", "dramatiq"):
    from dramatiq import Broker, Message, Middleware, Worker
    from dramatiq.broker import MessageProxy


class VisitorMiddleware(Middleware):
    """Has messages take along the visitor of the request, or of the actor, that sends them.

    Add it to the broker of the web process and of the worker. In an actor, `current_visitor()` gives the visitor. A
    message keeps the visitor that it has: that of a retry is the first one's.

    Args:
        client: The client; actors run with a `Client`, an `AsyncClient` only sends messages. It needs `secrets`.
        max_age: Seconds for which an actor takes up what was decided; an older message knows the id alone.

    Raises:
        TypeError: For what is no client, and for a time that is no number.
        ValueError: For a time that is not above 0.

    >>> from dramatiq.brokers.stub import StubBroker
    >>> broker = StubBroker()
    >>> broker.add_middleware(VisitorMiddleware(client))
    """

    def __init__(self, client: Client | AsyncClient, *, max_age: float = WEEK) -> None:
        self._visitors = TaskVisitors(client, max_age)
        self._scopes: dict[int, TaskScope] = {}

    def before_enqueue(self, broker: Broker, message: Message[object], delay: int | None) -> None:  # noqa: ARG002 # Dramatiq's
        """Put the visitor into a message."""
        if TOKEN_NAME not in message.options:
            token = self._visitors.token()
            if token is not None:
                message.options[TOKEN_NAME] = token

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:  # noqa: ARG002 # Dramatiq's
        """Open the scope of a message's visitor."""
        scope = self._visitors.open(message.options.get(TOKEN_NAME))
        if scope is not None:
            self._scopes[id(message)] = scope

    def after_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
        *,
        result: object = None,  # noqa: ARG002 # Dramatiq's
        exception: BaseException | None = None,  # noqa: ARG002 # Dramatiq's
    ) -> None:
        """Close it."""
        self.after_skip_message(broker, message)

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:  # noqa: ARG002 # Dramatiq's
        """Close the scope of a message that no actor has got."""
        scope = self._scopes.pop(id(message), None)
        if scope is not None:
            scope.close()

    def after_process_boot(self, broker: Broker) -> None:  # noqa: ARG002 # Dramatiq's
        """Start the client in a worker's process."""
        self._visitors.start()

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:  # noqa: ARG002 # Dramatiq's
        """Deliver what waits, when no actor runs any more."""
        self._visitors.flush()
