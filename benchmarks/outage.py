"""What callers feel while the network is bad: `python -m benchmarks.outage [seconds that the endpoint hangs]`."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import struct
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL
from subprocess import run
from threading import Event
from time import monotonic, perf_counter_ns
from typing import Self

from convert_sdk import AsyncClient, Client, Project
from convert_sdk.stores.breaker import Breaker
from tests.processes import ROOT, running
from tests.reliability.collector import Answer, Collector, Received
from tests.reliability.site import BODY, KEY, dead, serving, site

PAUSE = 0.00005
KILLS = 20


def percentile(sorted_ns: list[int], share: float) -> float:
    """In microseconds."""
    return sorted_ns[min(len(sorted_ns) - 1, int(len(sorted_ns) * share))] / 1_000


def calls_while_it_hangs(seconds: float, spool: str | None) -> list[int]:
    """Nanoseconds that each `track` took, the queue filling up and full, while a request hangs."""
    release = Event()

    def hang(_: Received) -> Answer:
        release.wait(seconds + 30)
        return Answer(503)

    took: list[int] = []
    with site(hang) as convert:
        client = Client(
            KEY,
            config_endpoint=convert.url,
            track_endpoint=convert.url,
            request_timeout=seconds + 30,
            spool=spool,
        )
        visitor = client.visitor("warm")
        until, number = monotonic() + seconds, 0
        while monotonic() < until:
            visitor = client.visitor(f"v{number}")
            number += 1
            for goal in range(20):
                before = perf_counter_ns()
                visitor.track(f"goal-{goal}")
                took.append(perf_counter_ns() - before)
            release.wait(PAUSE)
        counts = client.status().events
        assert counts.offered == sum(counts[1:]), counts
        print(f"  {counts}")
        client.close(0.1)
        release.set()
    return sorted(took)


def growth_of_a_million(url: str, spool: str | None) -> float:
    """MiB that the process grew by at most between the first and the last of a million events that nobody takes."""
    client = Client(KEY, config_endpoint=url, track_endpoint=url, spool=spool)
    client.visitor("warm").track("goal-1")
    client.flush(0.1)
    before = peak(reset=True)
    for number in range(50_000):
        visitor = client.visitor(f"v{number}")
        for goal in range(20):
            visitor.track(f"goal-{goal}")
    grown = (peak() - before) / 1024
    counts = client.status().events
    assert counts.offered == sum(counts[1:]) == 1_000_001, counts
    print(f"  {counts}")
    client.close(0.1)
    return grown


def peak(*, reset: bool = False) -> int:
    """KiB of memory at most since the last reset."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


EXITING = """
import sys
from convert_sdk import Client
client = Client(sys.argv[2], config_endpoint=sys.argv[1], track_endpoint=sys.argv[1])
for n in range(500):
    visitor = client.visitor(f"v{n}")
    for g in range(20):
        visitor.track(f"goal-{g}")
import time
print(time.monotonic(), flush=True)
"""


def time_to_exit(convert: Collector) -> float:
    """Seconds from the last line of a script with 10,000 queued events to the end of its process."""
    command = [sys.executable, "-c", EXITING, convert.url, KEY]
    done = run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return monotonic() - float(done.stdout)


def cold_start() -> float:
    """Seconds to the first decision from a document on disk, imports done, while the network is down."""
    from convert_sdk._delivery.runtime import NEEDED
    from convert_sdk._process.fork import import_all

    import_all(NEEDED)
    body = (
        BODY[:-1]
        + b', "audiences": ['
        + b",".join(
            b'{"id": "8%d", "key": "a%d", "rules": {"OR": [{"AND": [{"OR_WHEN": ['
            b'{"rule_type": "generic_text_key_value",'
            b' "matching": {"match_type": "contains", "negated": false}, "key": "k", "value": "%s"}]}]}]}}'
            % (n, n, b"x" * 60)
            for n in range(800)
        )
        + b"]}"
    )
    with tempfile.TemporaryDirectory() as folder, site(body=body) as convert:
        options = {"config_endpoint": convert.url, "track_endpoint": convert.url, "cache_dir": folder}
        with Client(KEY, **options) as client:  # type: ignore[arg-type]
            client.visitor("v")
        assert Project.parse(body).problems == ()
        convert.answer = dead
        before = monotonic()
        client = Client(KEY, **options)  # type: ignore[arg-type]
        assert client.visitor("v").decide("button-10").variation is not None
        took = monotonic() - before
        assert client.status().stale
        client.close(0.1)
    print(f"  a document of {len(body):,} bytes")
    return took


TRACKING = """
import mmap, os, struct, sys, time
from convert_sdk import Client

url, key, spool, times = sys.argv[1:5]
client = Client(key, config_endpoint=url, track_endpoint=url, spool=spool, max_queue=1_000_000)
client.visitor("warm")
with open(times, "r+b") as file:
    noted = mmap.mmap(file.fileno(), 0)
begun = time.monotonic()
print("ready", flush=True)
for number in range(len(noted) // 8):
    if number % 20 == 0:
        visitor = client.visitor(f"v{number // 20}")
    assert visitor.track(f"goal-{number % 20}")
    struct.pack_into("d", noted, number * 8, time.monotonic())
    while number >= (time.monotonic() - begun) * float(sys.argv[5]):
        time.sleep(0.001)
"""


def taken_by_a_kill(rate: int, seconds: float) -> tuple[int, int, float]:
    """Events tracked in a loop until SIGKILL, those of them that are lost, and the age of the oldest of these in ms."""
    with site(dead) as convert, tempfile.TemporaryDirectory() as folder:
        times = Path(folder, "times")
        times.write_bytes(bytes(8 * int(rate * seconds * 4)))
        spool = Path(folder, "spool")
        with running(TRACKING, convert.url, KEY, str(spool), str(times), str(rate)) as process:
            process.hear("ready")
            Event().wait(seconds)
            process.send(SIGKILL)
            killed = monotonic()
            process.end()
        tracked = [at for (at,) in struct.iter_unpack("d", times.read_bytes()) if at]
        convert.answer = serving()
        with Client(KEY, config_endpoint=convert.url, track_endpoint=convert.url, spool=str(spool)) as heir:
            heir.visitor("heir")
            assert heir.flush(120).pending == 0
        arrived = {(visitor, json.loads(event)["data"]["goalId"]) for visitor, event in convert.events}
        lost = [
            at for number, at in enumerate(tracked) if (f"v{number // 20}", f"7{number % 20}") not in arrived
        ]
    return len(tracked), len(lost), (killed - min(lost)) * 1_000 if lost else 0.0


class Collections:
    """How long Python's own garbage collections held everything up, while this is entered."""

    def __init__(self) -> None:
        self.spent = 0.0
        self._since = 0.0

    def __enter__(self) -> Self:
        gc.callbacks.append(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        gc.callbacks.remove(self._note)

    def _note(self, phase: str, _: object) -> None:
        if phase == "start":
            self._since = monotonic()
        else:
            self.spent += monotonic() - self._since


def redis_down(url: str) -> str:
    """The first visitor while Redis does not answer, and the next five thousand: garbage collections apart."""
    from convert_sdk.stores.redis import RedisStore

    with socket.create_server(("127.0.0.1", 0)) as silent, Collections() as collections:
        store = RedisStore(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", breaker=Breaker(cooldown=60))
        client = Client(KEY, config_endpoint=url, track_endpoint=url, store=store)
        client._worker.start()
        times, apart = [], []
        for number in range(5_001):
            before, collected = monotonic(), collections.spent
            client.visitor(f"v{number}").decide("button-10")
            times.append((monotonic() - before) * 1_000)
            apart.append(times[-1] - (collections.spent - collected) * 1_000)
        client.close(0.1)
    later = sorted(times[1:])
    return (
        f"first visitor {times[0]:.1f}; of five thousand: median {later[2500]:.3f}, p99.9 {later[-5]:.2f}, "
        f"most {later[-1]:.2f}, most without garbage collections {max(apart[1:]):.2f}"
    )


def slowest_turn_of_the_loop(url: str) -> float:
    """Milliseconds that the loop was held at most, from a client's first visitor to its end."""
    worst = 0.0

    async def main(url: str) -> None:
        nonlocal worst
        running = True

        async def watch() -> None:
            nonlocal worst
            while running:
                before = monotonic()
                await asyncio.sleep(0.001)
                worst = max(worst, monotonic() - before - 0.001)

        client = AsyncClient(KEY, config_endpoint=url, track_endpoint=url)
        watcher = asyncio.create_task(watch())
        for number in range(200):
            (await client.visitor(f"v{number}")).track("goal-1")
            await asyncio.sleep(0.001)
        await client.flush()
        await client.close()
        running = False
        await watcher

    asyncio.run(main(url))
    return round(worst * 1_000, 1)


def alone(figure: Callable[..., object], *arguments: object) -> str:
    """A figure of its own process, which no server and no other figure shares; the last line is the figure."""
    code = f"from benchmarks.outage import {figure.__name__} as figure; print(figure(*{arguments!r}))"
    done = run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def main(seconds: float) -> None:
    """Print every figure."""
    with tempfile.TemporaryDirectory() as folder:
        for name, spool in (("", None), (" with a spool", folder)):
            took = calls_while_it_hangs(seconds, spool)
            print(
                f"track while the endpoint hangs{name}: {len(took):,} calls, p50 {percentile(took, 0.5):.1f} µs, "
                f"p99.9 {percentile(took, 0.999):.1f} µs, max {took[-1] / 1_000:.0f} µs"
            )
        with site(dead) as convert:
            for name, spool in (("", None), (" with a spool", folder)):
                grown = alone(growth_of_a_million, convert.url, spool)
                print(f"MiB that a million events offered to a dead endpoint{name} cost:\n{grown}")
    for rate in (10_000, 100_000):
        kills = [taken_by_a_kill(rate, 0.2 + number / 10) for number in range(KILLS)]
        tracked, lost = sum(kill[0] for kill in kills), sum(kill[1] for kill in kills)
        oldest = sorted(kill[2] for kill in kills)
        print(
            f"{KILLS} kills at {rate:,} events/s, spool, not sync: {lost:,} of {tracked:,} lost, "
            f"the oldest p50 {oldest[KILLS // 2]:.0f} ms, max {oldest[-1]:.0f} ms old"
        )
    with site() as convert:
        print(f"exit with 10,000 events queued, endpoint up: {time_to_exit(convert):.2f} s")
    release = Event()
    with site(lambda _: (release.wait(60), Answer(503))[1]) as convert:
        print(f"exit with 10,000 events queued, black hole: {time_to_exit(convert):.2f} s")
        release.set()
    print(f"cold start from disk: {cold_start() * 1_000:.1f} ms")
    with site() as convert:
        print(f"Redis down, ms: {alone(redis_down, convert.url)}")
        print(f"asyncio, ms that the loop was held at most: {alone(slowest_turn_of_the_loop, convert.url)}")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0)
