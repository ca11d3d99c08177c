"""An application's own client, made to answer from a project of the test and to record what it would send."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from convert_sdk import _client_parts
from convert_sdk._client_parts import AsyncClientParts, ClientParts
from convert_sdk._delivery.task import TaskWorker
from convert_sdk._delivery.thread import ThreadWorker
from convert_sdk.async_client import AsyncClient
from convert_sdk.client import Client
from convert_sdk.options import Options
from convert_sdk.project import Project

from .recording import Recorder, log_of


@contextmanager
def replaced(client: Client | AsyncClient, project: Project | Recorder) -> Iterator[Recorder]:
    """Let a client answer from a project, and record, until the end of the block; then it is as it was.

    It is the same object, also where an application made it at import; its thread and its network never start, and its
    store is not asked; threads that run already go on for what was there before. Its environment, hash and hooks stay.
    Visitors that were made before stay with what they had.

    Args:
        client: A `Client` or an `AsyncClient`, however it was made.
        project: What `testing.project`, `Project.load` or `Project.parse` gives; or a recording client (or what an
            earlier `replaced` gave), for the same project, records, overrides and clock.

    Returns:
        What is recorded, with the assertions of a `RecordingClient`.

    Raises:
        TypeError: For what is no client, and for what is no project.

    >>> client = Client("10035569/10034190")
    >>> with replaced(client, project(experience("checkout", {"a": 100}))) as recorded:
    ...     decision = client.visitor("v-42").decide("checkout")
    >>> recorded.assert_exposed("v-42", "checkout").variation
    'a'
    """
    log = log_of(project)
    if isinstance(client, Client):
        former = client._swap(log.parts(_without_file(client._options)))
        try:
            yield Recorder(log)
        finally:
            client._swap(former)
    elif isinstance(client, AsyncClient):
        before = client._swap(log.async_parts(_without_file(client._options)))
        try:
            yield Recorder(log)
        finally:
            client._swap(before)
    else:
        raise TypeError(f"client must be a Client or an AsyncClient, not {type(client).__name__}")


@contextmanager
def replaced_everywhere(project: Project | Recorder) -> Iterator[Recorder]:
    """`replaced` for every client of this process that would use the network, also for those that are made meanwhile.

    Args:
        project: As of `replaced`.

    Returns:
        What is recorded, of all of them together.

    >>> with replaced_everywhere(project(experience("checkout", {"a": 100}))) as recorded:
    ...     decision = Client("10035569/10034190").visitor("v-42").decide("checkout")
    >>> recorded.assert_exposed("v-42", "checkout").variation
    'a'
    """
    recorder = project if isinstance(project, Recorder) else Recorder(log_of(project))
    with ExitStack() as stack:
        stack.enter_context(_made_meanwhile(recorder))
        for client in _living():
            if isinstance(client._worker, (ThreadWorker, TaskWorker)):
                stack.enter_context(replaced(client, recorder))
        yield recorder


def _without_file(options: Options) -> Options:
    """The options without the file of overrides, which is the developer's own and none of the test."""
    return options._replace(overrides=None)


def _living() -> list[Client | AsyncClient]:
    """Every client in this process that is whole; a constructor that raised has left one that is not.

    Asked by its type, as a proxy that is asked for its class may import something, or connect.
    """
    found: list[Client | AsyncClient] = []
    for each in gc.get_objects():
        if issubclass(type(each), (Client, AsyncClient)) and hasattr(each, "_worker"):
            found.append(each)  # noqa: PERF401  # a comprehension would have no type
    return found


@contextmanager
def _made_meanwhile(recorder: Recorder) -> Iterator[None]:
    """Give clients that are made in the block the parts of recording ones, and the parts they would have at its end."""
    log = recorder._log
    thread_parts, task_parts = _client_parts.thread_parts, _client_parts.task_parts
    made: dict[int, tuple[Options, str | None]] = {}

    def recording(options: Options, key: str | None = None) -> ClientParts:
        parts = log.parts(_without_file(options))
        made[id(parts.engine)] = options, key
        return parts

    def recording_async(options: Options, key: str | None = None) -> AsyncClientParts:
        parts = log.async_parts(_without_file(options))
        made[id(parts.engine)] = options, key
        return parts

    _client_parts.thread_parts, _client_parts.task_parts = recording, recording_async
    try:
        yield
    finally:
        _client_parts.thread_parts, _client_parts.task_parts = thread_parts, task_parts
        for client in _living():
            if id(client._engine) in made:
                options, key = made[id(client._engine)]
                if isinstance(client, Client):
                    client._swap(thread_parts(options, key))
                else:
                    client._swap(task_parts(options, key))
