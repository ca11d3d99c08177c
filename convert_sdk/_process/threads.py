"""Daemon threads: the end of the process waits for none of them, and forks wait for those that are ending."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import TypeVar

from .fork import note_thread_end

T = TypeVar("T")


def daemon_thread(name: str, run: Callable[[], None]) -> threading.Thread:
    """A thread that is not started yet; a fork that finds it ending waits for its end."""

    def run_and_end() -> None:
        nonlocal run
        try:
            run()
        finally:
            del run  # finalizers run before it says that it ends: they may need a lock of the forking thread
            note_thread_end()

    return threading.Thread(target=run_and_end, name=name, daemon=True)


async def run_in_thread(work: Callable[[], T]) -> T:
    """Do the work beside the event loop, in a thread of its own, to its end even if this task is cancelled.

    It is done in the calling thread if the interpreter starts no more threads. Python waits at its end for the threads
    of a loop's executor, however long they take; it does not wait for this one.
    """
    import asyncio

    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()
    context = copy_context()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # T may be None

    def run() -> None:
        result, error = None, None
        try:
            result = context.run(work)
        except BaseException as raised:  # noqa: BLE001  # it belongs to whoever awaits
            error = raised
        with suppress(RuntimeError):  # the loop is closed, and nobody awaits
            loop.call_soon_threadsafe(settle, result, error)

    try:
        daemon_thread("convert_sdk-work", run).start()
    except RuntimeError:  # the interpreter is shutting down
        return work()
    return await done
