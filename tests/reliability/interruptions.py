"""A program that interrupts a client's main thread with real signals, at every line of the package or at random.

Only the death of a process ends a hang. The lines are found by tracing, and are told by where the package lies:
nothing here knows what is inside.
"""

from __future__ import annotations

import asyncio
import faulthandler
import json
import logging
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from types import FrameType
from typing import NamedTuple, Unpack

from httpx import HTTPTransport

import convert_sdk
from convert_sdk import AsyncClient, Client, ConversionReason, MemoryStore, Status, Visitor
from convert_sdk.options import OptionArguments
from convert_sdk.stores.sqlite import SqliteStore
from tests.reliability.last_words import say_last

PACKAGE = str(Path(convert_sdk.__file__).parent) + os.sep
FOREVER = 3_600.0
"""Seconds that nothing here may really take: a wait in vain is a hang, and never ends by its own bound."""
HANGS_AFTER = 200.0
SLACK = 10.0
"""A parent waits longer than its child, which has more to say."""
TIMES = 2
"""Interruptions of one line with the same callers in one call: the first time and the next."""
MANY = 5_000
"""Visitors that wait for handlers."""
EXPERIENCE, GOAL = "button-10", "goal-0"
REFUSED = (ConversionReason.CLOSED, ConversionReason.QUEUE_FULL)

Trace = Callable[[FrameType, str, object], "Trace | None"]
Served = tuple[str, str]
"""A visitor, and the experience that they saw or the goal that they reached."""


class Interruptions:
    """Raises the signal at every line, or at the first one in each run that was never interrupted before.

    Of the lines that it finds it passes over all but every `stride`-th. A line counts as another one where it is
    called from other lines of the package, and where it is reached again.
    """

    def __init__(self, *, every: bool, stride: int) -> None:
        self.known: set[str] = set()
        self.struck = 0
        self._every = every
        self._stride = stride
        self._times: Counter[str] = Counter()
        self._armed = False

    def begin(self) -> None:
        """Interrupt what this thread does from here on."""
        self._times.clear()
        self._armed = True
        sys.settrace(self._called)

    def end(self) -> None:
        """Let this thread be."""
        sys.settrace(None)

    def _called(self, frame: FrameType, event: str, argument: object) -> Trace | None:
        return self._line if frame.f_code.co_filename.startswith(PACKAGE) else None

    def _line(self, frame: FrameType, event: str, argument: object) -> Trace | None:
        if event == "line" and self._armed and self._is_next(place_of(frame)):
            self.struck += 1
            signal.raise_signal(signal.SIGUSR1)
        return self._line

    def _is_next(self, place: str) -> bool:
        self._times[place] += 1
        times = self._times[place]
        point = f"{times}. {place}"
        if times > TIMES or (point in self.known and not self._every):
            return False
        self.known.add(point)
        if len(self.known) % self._stride:
            return False
        self._armed = self._every
        return True


def place_of(frame: FrameType | None) -> str:
    """The lines of the package on the stack, the innermost first."""
    lines = []
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(PACKAGE):
            lines.append(f"{name.removeprefix(PACKAGE)}:{frame.f_lineno}")
        frame = frame.f_back
    return " < ".join(lines)


class Outcome(NamedTuple):
    """What clients have accepted, what they say became of it, and what was wrong."""

    shown: list[Served]
    counted: list[Served]
    sent: int
    dropped: int
    spooled: int
    failures: list[str]

    def plus(self, other: Outcome) -> Outcome:
        """Both together."""
        return Outcome(
            self.shown + other.shown,
            self.counted + other.counted,
            self.sent + other.sent,
            self.dropped + other.dropped,
            self.spooled + other.spooled,
            self.failures + other.failures,
        )


class Account:
    """One client, and what the main thread and the signal's handler ask of it; `last` is the handler's last deed."""

    def __init__(
        self,
        name: str,
        visitor: Callable[[str], Visitor],
        status: Callable[[], Status],
        last: Callable[[], object],
    ) -> None:
        self.name = name
        self._visitor = visitor
        self._status = status
        self._last = last
        self.shown: set[Served] = set()
        self.counted: list[Served] = []
        self.kept: set[Served] = set()
        self.refused: list[Served] = []
        self.failures: list[str] = []
        self._numbers = count()

    def serve(self, name: str) -> None:
        """One request: a visitor, a decision, a conversion."""
        visitor = self._visitor(f"{self.name}-{name}")
        if visitor.decide(EXPERIENCE).variation is not None:
            self.shown.add((visitor.id, EXPERIENCE))
        result = visitor.track(GOAL)
        if result.reason is ConversionReason.PENDING:
            self.kept.add((visitor.id, GOAL))
        elif result:
            self.counted.append((visitor.id, GOAL))
        elif result.reason in REFUSED:
            self.refused.append((visitor.id, GOAL))

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """The signal's handler: all that an application may do. What it raised would be the interrupted code's."""
        try:
            self.serve(f"handler-{next(self._numbers)}")
            self.serve("main")
            self.check(frame)
            self._last()
            self.check(frame)
        except BaseException as error:  # noqa: BLE001  # said at the end
            self.fail(repr(error), frame)

    def check(self, frame: FrameType | None = None) -> None:
        """At any moment, every event is somewhere."""
        events = self._status().events
        if events.offered != sum(events) - events.offered:
            self.fail(repr(events), frame)

    def fail(self, text: str, frame: FrameType | None = None) -> None:
        """Note what is wrong, and where this thread was."""
        self.failures.append(f"{self.name}: {text}, {place_of(frame) or 'in the end'}")

    def settle(self) -> Outcome:
        """Hold what a closed client says against what was asked of it."""
        for thread in threading.enumerate():
            if thread not in (threading.current_thread(), threading.main_thread()):
                thread.join()  # a close that was left to one of them ends with it
        self.check()
        events = self._status().events
        counted = {*self.counted, *self.kept}
        if len(self.counted) > len({*self.counted}):
            self.fail("a conversion counts twice")
        if events.offered != len(self.shown) + len(counted) + len(self.refused):
            self.fail(f"{events} of {len(self.shown)} + {len(counted)} + {len(self.refused)} refused")
        if events.offered != events.sent + events.dropped + events.spooled:
            self.fail(f"{events} after the close")
        return Outcome([*self.shown], [*counted], events.sent, events.dropped, events.spooled, self.failures)


class Program:
    """Makes a client of one kind do one verb, again and again, until no line is left to interrupt."""

    def __init__(self, url: str, key: str, folder: str, kind: str, verb: str) -> None:
        self._endpoint = url
        self._key = key
        self._folder = Path(folder)
        self._kind = kind.split("+")
        self.verb = verb

    def client(self, name: str, **more: Unpack[OptionArguments]) -> Client:
        """A client that has not started; one of the same name finds what this one leaves on disk."""
        # Loading certificates is most of what a client costs.
        options = self.options(name)
        options["transport"] = HTTPTransport(verify=False)
        options.update(more)
        return Client(self._key, **options)

    def options(self, name: str) -> OptionArguments:
        """The options of a client of this kind."""
        options: OptionArguments = {
            "config_endpoint": self._endpoint,
            "track_endpoint": self._endpoint,
            "flush_interval": FOREVER,
            "start_wait": FOREVER,
            "shutdown_timeout": FOREVER,
            "request_timeout": FOREVER,
        }
        if "memory" in self._kind:
            options["store"] = MemoryStore(shared=True)
        if "spool" in self._kind:
            options["spool"] = str(self._folder / name)
            options["durability"] = "sync" if "sync" in self._kind else "async"
        if "sqlite" in self._kind:
            options["store"] = SqliteStore(self._folder / f"{name}.db")
        return options

    def async_client(self, name: str) -> AsyncClient:
        """The same for asyncio."""
        options = self.options(name)
        options["flush_interval"] = 0.05  # a close lets what comes meanwhile wait for it
        return AsyncClient(self._key, **options)

    def ready(self, name: str, *, closing: bool) -> tuple[Client, Account]:
        """A client with something to do for the verb."""
        client = self.client(name)
        last = client.close if closing else partial(client.flush, 0)
        account = Account(name, client.visitor, client.status, last)
        signal.signal(signal.SIGUSR1, account.interrupt)
        if self.verb != "start":
            account.serve("first")
            account.serve("second")
        return client, account

    def do(self, client: Client, account: Account) -> None:
        """The verb, once."""
        if self.verb == "flush":
            client.flush(FOREVER)
        elif self.verb == "close":
            client.close()
        else:
            account.serve("main")

    def sent_later(self, name: str) -> int:
        """Send what a closed client has left on disk."""
        with self.client(name) as heir:
            heir.visitor("heir")
        return heir.status().events.sent


def run_here(program: Program, name: str, interruptions: Interruptions, *, closing: bool) -> Outcome:
    """One client, interrupted during its verb."""
    client, account = program.ready(name, closing=closing)
    interruptions.begin()
    program.do(client, account)
    interruptions.end()
    client.close()
    return account.settle()


def run_in_child(program: Program, name: str, interruptions: Interruptions, *, closing: bool) -> Outcome:
    """One client in a forked process, interrupted while that ends."""
    readable, writable = os.pipe()
    faulthandler.cancel_dump_traceback_later()  # a child waits for ever for a thread that only its parent has
    child = os.fork()
    if child == 0:
        faulthandler.dump_traceback_later(HANGS_AFTER, exit=True)
        os.close(readable)
        client, account = program.ready(name, closing=closing)

        def report() -> None:
            interruptions.end()
            client.close()
            words = (account.settle(), [*interruptions.known], interruptions.struck)
            with os.fdopen(writable, "w") as pipe:
                json.dump(words, pipe)

        say_last(report)
        interruptions.begin()
        sys.exit()
    faulthandler.dump_traceback_later(HANGS_AFTER + SLACK, exit=True)
    os.close(writable)
    with os.fdopen(readable) as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    if status or not text:
        raise ChildProcessError(f"a child ended with {status}")
    (shown, counted, *rest), known, interruptions.struck = json.loads(text)
    interruptions.known.update(known)
    return Outcome([tuple(each) for each in shown], [tuple(each) for each in counted], *rest)


def storm(program: Program, least: int) -> tuple[int, Outcome]:
    """One client, interrupted at random moments of all that it does; how many times, and the outcome."""
    client = program.client("storm", flush_interval=0.05, max_queue=1_000_000, max_visitors=1_000_000)
    account = Account("storm", client.visitor, client.status, partial(client.flush, 0))
    dice, handled = Random(7), count(1)
    latest = 0

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal latest
        account.interrupt(number, frame)
        latest = next(handled)
        if latest < least:
            signal.setitimer(signal.ITIMER_REAL, dice.uniform(0.0002, 0.001))

    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    for turn in count():
        if latest >= least:
            client.close()
            return latest, account.settle()
        if turn % 50 == 0:
            faulthandler.dump_traceback_later(HANGS_AFTER, exit=True)
        account.serve(f"turn-{turn}")
        account.check()
        client.flush(FOREVER if turn % 50 == 25 else 0)
    raise AssertionError("endless")


def run_in_loop(program: Program, name: str, interruptions: Interruptions, *, closing: bool) -> Outcome:
    """One client for asyncio, interrupted in its loop: the lines of its task are the main thread's, too.

    A handler cannot await: it takes visitors that are there, and leaves a flush or a close to the loop.
    """
    client = program.async_client(name)
    visitors: dict[str, Visitor] = {}
    left: list[asyncio.Task[object]] = []

    async def work() -> Account:
        loop = asyncio.get_running_loop()

        def begin() -> None:
            if left and not left[-1].done():
                return  # one at a time is enough for the loop
            left.append(loop.create_task(client.close() if closing else client.flush(0)))

        account = Account(
            name, visitors.__getitem__, client.status, partial(loop.call_soon_threadsafe, begin)
        )
        signal.signal(signal.SIGUSR1, account.interrupt)
        for each in ("first", "second", "main", *(f"handler-{number}" for number in range(MANY))):
            visitors[f"{name}-{each}"] = await client.visitor(f"{name}-{each}")
        account.serve("first")
        account.serve("second")
        interruptions.begin()
        if program.verb == "loop-flush":
            await client.flush(FOREVER)
        elif program.verb == "loop-close":
            await client.close()
        else:
            account.serve("main")
        interruptions.end()
        while left:
            await left.pop()
        await client.close()
        return account

    return asyncio.run(work()).settle()


def trace(program: Program, verb: str, then: str, stride: int) -> tuple[int, Outcome]:
    """Clients interrupted at every line of one verb; how many times, and the outcome.

    With a stride of 0 one client meets all interruptions. Otherwise each has a client of its own, and of the
    lines that are found every `stride`-th has one.
    """
    interruptions = Interruptions(every=stride == 0, stride=stride or 1)
    run = run_in_child if verb == "exit" else run_in_loop if verb.startswith("loop") else run_here
    total, known = Outcome([], [], 0, 0, 0, []), -1
    if stride:  # what is imported late is imported once, and not by every child
        client, account = program.ready("before", closing=False)
        client.close()
        total = total.plus(account.settle())
    for number in count():
        if len(interruptions.known) == known or (number and not stride):
            break
        faulthandler.dump_traceback_later(HANGS_AFTER + SLACK, exit=True)
        known = len(interruptions.known)
        outcome = run(program, str(number), interruptions, closing=then == "close")
        if outcome.spooled:
            outcome = outcome._replace(sent=outcome.sent + program.sent_later(str(number)))
        total = total.plus(outcome)
    return interruptions.struck, total


def main() -> None:
    """Take the two arguments of a site, a folder, a kind of client, a verb, the handler's last deed, and a number."""
    url, key, folder, kind, verb, then, number = sys.argv[1:]
    logging.getLogger("convert_sdk").addHandler(logging.NullHandler())  # what closing drops is counted
    program = Program(url, key, folder, kind, verb)
    points, outcome = (
        storm(program, int(number)) if verb == "storm" else trace(program, verb, then, int(number))
    )
    json.dump([points, outcome], sys.stdout)
