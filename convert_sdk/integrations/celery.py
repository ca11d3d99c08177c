"""Experiments in Celery's tasks: a task goes on with the visitor of the request that has published it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping
from typing import Any

from convert_sdk._extras import needs_extra
from convert_sdk.async_client import AsyncClient
from convert_sdk.client import Client

from ._task_scope import TOKEN_NAME, WEEK, TaskScope, TaskVisitors

with needs_extra(__name__, "celery", "celery"):
    from celery import Celery, signals

_ATTRIBUTE = "_convert_scopes"
_connections: dict[Celery | None, CeleryConnection] = {}
"""By the application; kept, as Celery's signals hold their receivers weakly."""


class CeleryConnection:
    """The receivers of Celery's signals for one client.

    A message gets the visitor of the request, or of the task, that publishes it, and keeps what it has: of a retry the
    first one. Tasks outside of both, as those of beat, have none. In eager mode a task sees the scope around it.
    """

    def __init__(self, visitors: TaskVisitors, app: Celery | None) -> None:
        self._visitors = visitors
        self._app = app
        # Celery 5.3 takes the methods of two connections for one receiver without it.
        self._uid = f"convert_sdk {id(self)}"
        for signal, receiver in self._receivers():
            signal.connect(receiver, dispatch_uid=self._uid)

    def close(self) -> None:
        """Let go of the signals."""
        for signal, _ in self._receivers():
            signal.disconnect(dispatch_uid=self._uid)

    def _receivers(self) -> Iterable[tuple[Any, Callable[..., None]]]:
        return (
            (signals.before_task_publish, self._publish),
            (signals.task_prerun, self._begin),
            (signals.task_postrun, self._end),
            (signals.worker_init, self._start),
            (signals.worker_process_init, self._start),
        )

    def _publish(self, headers: MutableMapping[str, object] | None = None, **_: object) -> None:
        if headers is not None and TOKEN_NAME not in headers:
            token = self._visitors.token()
            if token is not None:
                headers[TOKEN_NAME] = token

    def _begin(self, task: Any = None, **_: object) -> None:
        if self._app is not None and task.app is not self._app:
            return
        scope = self._visitors.open(task.request.get(TOKEN_NAME))
        if scope is not None:  # a task may have two, of two connections
            setattr(task.request, _ATTRIBUTE, [*getattr(task.request, _ATTRIBUTE, ()), scope])

    def _end(self, task: Any = None, **_: object) -> None:
        scopes: list[TaskScope] = task.request.__dict__.pop(_ATTRIBUTE, [])
        for scope in reversed(scopes):
            scope.close()

    def _start(self, **_: object) -> None:
        """In the worker, and in each child that it forks; the end is delivered by `worker_process_shutdown`."""
        self._visitors.start()


def connect(client: Client | AsyncClient, app: Celery | None = None, *, max_age: float = WEEK) -> None:
    """Have Celery's tasks go on with the visitor of the request that has published them.

    Call it where the application and the client are made, in the web process and in the worker; another call for the
    same application replaces the former. In a task, `current_visitor()` gives the visitor.

    Args:
        client: The client; tasks run with a `Client`, an `AsyncClient` only publishes them. It needs `secrets`.
        app: The application whose tasks have visitors, or a proxy of it such as `current_app`, which is looked up now;
            None for all of this process.
        max_age: Seconds for which a task takes up what was decided; an older one knows the id alone.

    Raises:
        TypeError: For what is no client, what is no application, and a time that is no number.
        ValueError: For a time that is not above 0.

    >>> from celery import Celery
    >>> app = Celery("shop", broker="redis://cache.internal:6379/0")
    >>> connect(client, app)
    >>> @app.task
    ... def send_receipt(order: str) -> None:
    ...     current_visitor().track("receipt-sent")
    """
    visitors = TaskVisitors(client, max_age)
    if app is not None:
        app = getattr(app, "_get_current_object", lambda: app)()
        if not isinstance(app, Celery):
            raise TypeError(f"app must be a Celery application or None, not {type(app).__name__}")
    if app in _connections:
        _connections.pop(app).close()
    _connections[app] = CeleryConnection(visitors, app)
