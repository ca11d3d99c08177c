"""The only two loops: they ask each machine whether it is due, let it speak, and bring it the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from math import inf
from time import monotonic
from typing import Protocol

import httpx

from convert_sdk._http.client import aexchange, beside_the_loop, exchange
from convert_sdk._http.messages import Failure, Reply, Request

_INTERRUPTED = Failure("ambiguous", "interrupted")
_WORTH_A_THREAD = 32 * 1024
_BREATHER = 1.0
_LEAST = 0.001


class Machine(Protocol):
    """A conversation without a socket, a clock or a thread; the times are monotonic seconds."""

    def due(self) -> float:
        """When `speak` has something to say; `inf` while there is nothing or an answer is awaited."""
        ...

    def speak(self, now: float) -> Request | None:
        """The next request. Whoever takes one must `hear` its answer."""
        ...

    def hear(self, answer: Reply | Failure, now: float) -> None:
        """Take the answer to the last request."""
        ...


Clock = Callable[[], float]
Trouble = Callable[[Exception], None]


def carry(
    machines: Sequence[Machine],
    client: httpx.Client,
    *,
    rest: Callable[[float], bool],
    trouble: Trouble,
    clock: Clock = monotonic,
) -> None:
    """Keep the machines going in this thread until `rest` says no.

    `rest(seconds)` waits at most so long (`inf`: until woken) and returns whether to go on.
    `trouble` is told of exceptions that a machine raised; the loop goes on after a second.
    """
    while True:
        earliest = 0.0
        for machine in machines:
            try:
                turn(machine, client, clock=clock)
            except Exception as error:  # noqa: BLE001  # the loop outlives a defect in a machine
                trouble(error)
                earliest = clock() + _BREATHER
        if not rest(pause(machines, earliest, clock)):
            return


async def acarry(
    machines: Sequence[Machine],
    client: httpx.AsyncClient,
    *,
    rest: Callable[[float], Awaitable[bool]],
    trouble: Trouble,
    clock: Clock = monotonic,
) -> None:
    """Keep the machines going in this task until `rest` says no, as `carry` does."""
    while True:
        earliest = 0.0
        for machine in machines:
            try:
                await aturn(machine, client, clock=clock)
            except Exception as error:  # noqa: BLE001  # the loop outlives a defect in a machine
                trouble(error)
                earliest = clock() + _BREATHER
        if not await rest(pause(machines, earliest, clock)):
            return


def turn(machine: Machine, client: httpx.Client, *, clock: Clock = monotonic, within: float = inf) -> bool:
    """Make the one exchange that is due, in `within` seconds at most; whether there was one."""
    request = _next(machine, clock, within)
    if request is None:
        return False
    answer: Reply | Failure = _INTERRUPTED
    try:
        answer = exchange(client, request)
    finally:
        machine.hear(answer, clock())
    return True


async def aturn(
    machine: Machine, client: httpx.AsyncClient, *, clock: Clock = monotonic, within: float = inf
) -> bool:
    """The same; a machine hears a large body in a thread, since it may compile it."""
    request = _next(machine, clock, within)
    if request is None:
        return False
    answer: Reply | Failure = _INTERRUPTED
    try:
        answer = await aexchange(client, request)
    finally:
        await _told(machine, answer, clock())
    return True


async def _told(machine: Machine, answer: Reply | Failure, now: float) -> None:
    """Let a machine hear, whatever becomes of this task."""
    if isinstance(answer, Failure) or len(answer.body) <= _WORTH_A_THREAD:
        machine.hear(answer, now)
    else:
        await beside_the_loop(lambda: machine.hear(answer, now))


def pause(machines: Sequence[Machine], earliest: float, clock: Clock) -> float:
    """Seconds until a machine is due."""
    due = min((machine.due() for machine in machines), default=inf)
    return max(0.0, max(due, earliest) - clock())


def _next(machine: Machine, clock: Clock, within: float) -> Request | None:
    now = clock()
    request = machine.speak(now) if machine.due() <= now else None
    return request and request._replace(timeout=max(_LEAST, min(request.timeout, within)))


def resume(steps: Generator[Machine | float, bool, None], moved: bool) -> Machine | float | None:
    """The next step of a delivery; None after the last."""
    try:
        return steps.send(moved)
    except StopIteration:
        return None
