"""Experiments in RQ's jobs: a job goes on with the visitor of the request that has enqueued it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, wraps
from typing import Any, ParamSpec, TypeVar

from convert_sdk._core.half_made import shown_half_made
from convert_sdk._extras import needs_extra
from convert_sdk._process.exit import flush_before_os_exit
from convert_sdk.async_client import AsyncClient
from convert_sdk.client import Client

from ._task_scope import TOKEN_NAME, WEEK, TaskVisitors

with needs_extra(__name__, "rq", "rq"):
    from rq import Queue, SimpleWorker, Worker, get_current_job
    from rq.job import Job

P = ParamSpec("P")
T = TypeVar("T")


def _named(of: ConvertQueue | ConvertWorker) -> Client | AsyncClient:
    """The client of a class of the application. Raises TypeError where it names none."""
    client: Client | AsyncClient | None = getattr(of, "convert_client", None)
    if client is None:
        raise TypeError(
            f"{type(of).__name__} names no client: make a class of it with convert_client = client"
        )
    return client


@shown_half_made
class ConvertQueue(Queue):
    """A queue whose jobs take along the visitor of the request that enqueues them.

    Name your client in a class of your own; it needs `secrets`.

    >>> class ShopQueue(ConvertQueue):
    ...     convert_client = client
    """

    convert_client: Client | AsyncClient
    convert_max_age = WEEK
    """Seconds for which a job takes up what was decided; an older one knows the id alone."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    __str__ = __repr__

    @cached_property
    def _visitors(self) -> TaskVisitors:
        return TaskVisitors(_named(self), self.convert_max_age)

    def create_job(self, *arguments: Any, **options: Any) -> Job:
        """Make a job, as RQ does, with the visitor in its `meta` unless there is one.

        >>> def enqueue(queue: ConvertQueue) -> str:
        ...     return queue.enqueue("shop.send_receipt", "order-7").id
        """
        job = super().create_job(*arguments, **options)
        if TOKEN_NAME not in job.meta:
            token = self._visitors.token()
            if token is not None:
                job.meta = {**job.meta, TOKEN_NAME: token}
        return job


class ConvertWorker(Worker):
    """A worker whose jobs have their visitors, and whose work horses deliver before they end.

    Name your client in a class of your own, and start that: `rq worker --worker-class shop.ShopWorker`.

    >>> class ShopWorker(ConvertWorker):
    ...     convert_client = client
    """

    convert_client: Client

    @cached_property
    def _visitors(self) -> TaskVisitors:
        return TaskVisitors(_named(self))

    def work(self, *arguments: Any, **options: Any) -> bool:
        """Work, as RQ does; each horse delivers when it ends.

        >>> def work(worker: ConvertWorker) -> bool:
        ...     return worker.work(burst=True)
        """
        flush_before_os_exit()
        self._visitors.start()
        return super().work(*arguments, **options)

    def perform_job(self, job: Job, *arguments: Any, **options: Any) -> bool:
        """Perform a job in the scope of its visitor.

        >>> def perform(worker: ConvertWorker, job: Job, queue: Queue) -> bool:
        ...     return worker.perform_job(job, queue)
        """
        with self._visitors.opened(job.meta.get(TOKEN_NAME)):
            return super().perform_job(job, *arguments, **options)


class SimpleConvertWorker(ConvertWorker, SimpleWorker):
    """As `ConvertWorker`, without forks: the jobs run in the worker's own process.

    >>> class ShopWorker(SimpleConvertWorker):
    ...     convert_client = client
    """


def with_visitor(client: Client) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Give a job its visitor, and deliver at its end: for workers of any other class.

    Args:
        client: The client; it needs `secrets`.

    Returns:
        A decorator of the function that is enqueued.

    Raises:
        TypeError: For what is no client.

    >>> @with_visitor(client)
    ... def send_receipt(order: str) -> None:
    ...     current_visitor().track("receipt-sent")
    """
    visitors = TaskVisitors(client)

    def decorate(job: Callable[P, T]) -> Callable[P, T]:
        @wraps(job)
        def run(*arguments: P.args, **options: P.kwargs) -> T:
            current = get_current_job()
            try:
                with visitors.opened(None if current is None else current.meta.get(TOKEN_NAME)):
                    return job(*arguments, **options)
            finally:
                if current is not None:
                    visitors.flush()

        return run

    return decorate
