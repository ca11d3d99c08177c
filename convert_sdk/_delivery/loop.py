"""The only two loops: they ask each machine whether it is due, let it speak, and bring it the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from math import inf
from time import monotonic
from typing import Protocol

import httpx

from convert_sdk._http.client import asend, run_in_thread, send
from convert_sdk._http.messages import Failure, Request, Response

_INTERRUPTED = Failure("ambiguous", "interrupted")
_WORTH_A_THREAD = 32 * 1024
_BREATHER = 1.0
_LEAST = 0.001


class Machine(Protocol):
    """A conversation without a socket, a clock or a thread; the times are monotonic seconds."""

    def due(self) -> float:
        """When `next_request` has something to say; `inf` while there is nothing or an answer is awaited."""
        ...

    def next_request(self, now: float) -> Request | None:
        """The next request. Whoever takes one must `handle_response` its answer."""
        ...

    def handle_response(self, answer: Response | Failure, now: float) -> None:
        """Take the answer to the last request."""
        ...


Clock = Callable[[], float]
OnError = Callable[[Exception], None]


def run(
    machines: Sequence[Machine],
    client: httpx.Client,
    *,
    wait: Callable[[float], bool],
    on_error: OnError,
    clock: Clock = monotonic,
) -> None:
    """Keep the machines going in this thread until `wait` says no.

    `wait(seconds)` waits at most so long (`inf`: until woken) and returns whether to go on.
    `on_error` is told of exceptions that a machine raised; the loop goes on after a second.
    """
    while True:
        earliest = 0.0
        for machine in machines:
            try:
                step(machine, client, clock=clock)
            except Exception as error:  # noqa: BLE001  # the loop outlives a defect in a machine
                on_error(error)
                earliest = clock() + _BREATHER
        if not wait(seconds_until_due(machines, earliest, clock)):
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
                earliest = clock() + _BREATHER
        if not await wait(seconds_until_due(machines, earliest, clock)):
            return


def step(machine: Machine, client: httpx.Client, *, clock: Clock = monotonic, within: float = inf) -> bool:
    """Make the one exchange that is due, in `within` seconds at most; whether there was one."""
    request = _next(machine, clock, within)
    if request is None:
        return False
    answer: Response | Failure = _INTERRUPTED
    try:
        answer = send(client, request)
    finally:
        machine.handle_response(answer, clock())
    return True


async def astep(
    machine: Machine, client: httpx.AsyncClient, *, clock: Clock = monotonic, within: float = inf
) -> bool:
    """The same; a machine hears a large body in a thread, since it may compile it."""
    request = _next(machine, clock, within)
    if request is None:
        return False
    answer: Response | Failure = _INTERRUPTED
    try:
        answer = await asend(client, request)
    finally:
        await _handle_response(machine, answer, clock())
    return True


async def _handle_response(machine: Machine, answer: Response | Failure, now: float) -> None:
    """Let a machine hear, whatever becomes of this task."""
    if isinstance(answer, Failure) or len(answer.body) <= _WORTH_A_THREAD:
        machine.handle_response(answer, now)
    else:
        await run_in_thread(lambda: machine.handle_response(answer, now))


def seconds_until_due(machines: Sequence[Machine], earliest: float, clock: Clock) -> float:
    """Seconds until a machine is due."""
    due = min((machine.due() for machine in machines), default=inf)
    return max(0.0, max(due, earliest) - clock())


def _next(machine: Machine, clock: Clock, within: float) -> Request | None:
    now = clock()
    request = machine.next_request(now) if machine.due() <= now else None
    return request and request._replace(timeout=max(_LEAST, min(request.timeout, within)))


def resume(steps: Generator[Machine | float, bool, None], moved: bool) -> Machine | float | None:
    """The next step of a delivery; None after the last."""
    try:
        return steps.send(moved)
    except StopIteration:
        return None
