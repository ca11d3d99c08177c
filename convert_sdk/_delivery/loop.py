"""The loops that move bytes for the machines: `run` in a thread, `arun` in an asyncio task.

A machine decides what is sent and when; it has no socket, clock or thread. A loop asks each of its machines in turn
for the request that is due, exchanges it for a response, and waits until the next one is due.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from math import inf
from typing import Protocol

import httpx

from convert_sdk._http.client import asend, send
from convert_sdk._http.messages import Failure, Request, Response
from convert_sdk._process.clock import Clock, monotonic
from convert_sdk._process.threads import run_in_thread

_INTERRUPTED = Failure("interrupted", "given up by this process")
_WORTH_A_THREAD = 32 * 1024
_PAUSE_AFTER_ERROR = 1.0
_LEAST = 0.001
OnError = Callable[[Exception], None]


class Machine(Protocol):
    """A conversation without a socket, a clock or a thread; times are monotonic seconds."""

    def due(self) -> float:
        """The time of the next request; `inf` while there is none or a response is awaited."""
        ...

    def next_request(self, now: float) -> Request | None:
        """The next request, if it is due; every request is answered by one `handle_response`."""
        ...

    def handle_response(self, answer: Response | Failure, now: float) -> None:
        """Take the response to the last request."""
        ...


def run(
    machines: Sequence[Machine],
    client: httpx.Client,
    *,
    wait: Callable[[float], bool],
    on_error: OnError,
    until: float = inf,
    clock: Clock = monotonic,
) -> None:
    """Keep the machines going in this thread until `wait` says no.

    Args:
        machines: Each has at most one request under way.
        client: The connections.
        wait: Called with the seconds until a machine is due (`inf` if none is); waits at most so long and returns
            True to go on.
        on_error: Called with exceptions that a machine raised; the loop goes on after a second.
        until: The time at which every response must be there, in monotonic seconds.
        clock: For tests.
    """
    while True:
        earliest = 0.0
        for machine in machines:
            try:
                step(machine, client, clock=clock, until=until)
            except Exception as error:  # noqa: BLE001  # the loop outlives a defect in a machine
                on_error(error)
                earliest = clock() + _PAUSE_AFTER_ERROR
        if not wait(_seconds_until_due(machines, earliest, clock)):
            return


async def arun(
    machines: Sequence[Machine],
    client: httpx.AsyncClient,
    *,
    wait: Callable[[float], Awaitable[bool]],
    on_error: OnError,
    clock: Clock = monotonic,
) -> None:
    """Keep the machines going in this task until `wait` says no, as `run` does."""
    while True:
        earliest = 0.0
        for machine in machines:
            try:
                await astep(machine, client, clock=clock)
            except Exception as error:  # noqa: BLE001  # the loop outlives a defect in a machine
                on_error(error)
                earliest = clock() + _PAUSE_AFTER_ERROR
        if not await wait(_seconds_until_due(machines, earliest, clock)):
            return


def step(machine: Machine, client: httpx.Client, *, clock: Clock = monotonic, until: float = inf) -> bool:
    """Exchange the one request that is due; True if there was one."""
    request = _next(machine, clock(), until)
    if request is None:
        return False
    answer: Response | Failure = _INTERRUPTED
    try:
        answer = send(client, request)
    finally:
        machine.handle_response(answer, clock())
    return True


async def astep(machine: Machine, client: httpx.AsyncClient, *, clock: Clock = monotonic) -> bool:
    """Exchange the one request that is due; True if there was one.

    A machine handles a large response in a thread, as it may compile it.
    """
    request = _next(machine, clock(), inf)
    if request is None:
        return False
    answer: Response | Failure = _INTERRUPTED
    try:
        answer = await asend(client, request)
    finally:
        if isinstance(answer, Failure) or len(answer.body) <= _WORTH_A_THREAD:
            machine.handle_response(answer, clock())
        else:
            large = answer
            await run_in_thread(lambda: machine.handle_response(large, clock()))
    return True


def _seconds_until_due(machines: Sequence[Machine], earliest: float, clock: Clock) -> float:
    due = min((machine.due() for machine in machines), default=inf)
    return max(0.0, max(due, earliest) - clock())


def _next(machine: Machine, now: float, until: float) -> Request | None:
    request = machine.next_request(now) if machine.due() <= now else None
    return request and request._replace(timeout=max(_LEAST, min(request.timeout, until - now)))
