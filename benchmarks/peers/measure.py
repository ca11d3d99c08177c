"""What every peer's worker shares: the clock, the memory and the command line. Standard library only."""

from __future__ import annotations

import argparse
import gc
import json
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

Json = dict[str, Any]
Loop = Callable[[list[str]], object]
Work = Callable[[argparse.Namespace], Json]

WARM_UP = 2_000
KINDS: list[Json] = json.loads(Path(__file__).with_name("kinds.json").read_text())
"""Attributes of the visitors in the check of decisions: the first kind passes every rule, the others vary."""


def visitor_ids(count: int, start: int = 0) -> list[str]:
    """Distinct ids, made before the clock starts."""
    return [f"visitor-{number:08d}" for number in range(start, start + count)]


def timed(loop: Loop, ids: list[str], *, operations: int | None = None) -> Json:
    """Nanoseconds per operation of one pass over `ids`, warmed up on others; garbage collection stays on."""
    loop(visitor_ids(min(WARM_UP, max(10, len(ids) // 10)), start=90_000_000))
    began = time.perf_counter_ns()
    loop(ids)
    spent = time.perf_counter_ns() - began
    count = operations or len(ids)
    return {"ns": spent / count, "operations": count}


def chunked(loop: Loop, ids: list[str], deliver: Callable[[], object], *, size: int) -> Json:
    """As `timed`, delivering what was queued after each `size` ids; the delivery is timed too."""

    def whole(ids: list[str]) -> None:
        for place in range(0, len(ids), size):
            loop(ids[place : place + size])
            deliver()

    return timed(whole, ids)


def calls(loop: Loop, ids: list[str], deliver: Callable[[], object], *, size: int = 400) -> Json:
    """As `chunked`, but the clock stands while what was queued is delivered."""
    loop(visitor_ids(size, start=90_000_000))
    deliver()
    spent = 0
    for place in range(0, len(ids), size):
        part = ids[place : place + size]
        began = time.perf_counter_ns()
        loop(part)
        spent += time.perf_counter_ns() - began
        deliver()
    return {"ns": spent / len(ids), "operations": len(ids)}


def threaded(loop: Loop, ids: list[str], *, threads: int = 8) -> Json:
    """Operations a second of one thread and of `threads` threads over the same number of ids, twice each."""
    loop(visitor_ids(WARM_UP, start=90_000_000))
    alone = together = 0.0
    for half in (ids[: len(ids) // 2], ids[len(ids) // 2 :]):
        middle = len(half) // 2
        alone += _seconds(loop, [half[:middle]])
        together += _seconds(loop, [half[middle:][place::threads] for place in range(threads)])
    count = len(ids) / 2
    return {"single": count / alone, "threads": count / together, "ratio": alone / together}


def _seconds(loop: Loop, parts: list[list[str]]) -> float:
    workers = [threading.Thread(target=loop, args=(part,)) for part in parts]
    began = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return time.perf_counter() - began


def memory() -> dict[str, int]:
    """Resident bytes now and at most, from the kernel (0 where it does not tell)."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    sizes = {
        line.split(":")[0]: int(line.split()[1]) * 1024
        for line in lines
        if line.startswith(("VmRSS", "VmHWM"))
    }
    return {"now": sizes.get("VmRSS", 0), "peak": sizes.get("VmHWM", 0)}


def loading(document: Path, load: Callable[[bytes], object], use: Callable[[Any], object]) -> Json:
    """Milliseconds and memory from the document's bytes to ready, and until each experience was used once.

    The bytes count as memory of whoever keeps them.
    """
    before = memory()["now"]
    raw = document.read_bytes()
    began = time.perf_counter_ns()
    ready = load(raw)
    loaded = time.perf_counter_ns()
    del raw
    peak = memory()["peak"]
    gc.collect()
    kept = memory()["now"]
    resumed = time.perf_counter_ns()
    use(ready)
    used = time.perf_counter_ns() - resumed
    milliseconds = (loaded - began) / 1e6
    return {
        "ms": milliseconds,
        "used_ms": milliseconds + used / 1e6,
        "kept": kept - before,
        "used_kept": memory()["now"] - before,
        "peak": peak - before,
    }


def growth(loop: Loop, settle: Callable[[], object], visitors: int, *, fill: int) -> Json:
    """Resident bytes that `visitors` new visitors add, once `fill` earlier ones filled what is bounded."""
    step = 10_000
    loop(visitor_ids(fill, start=50_000_000))
    settle()
    gc.collect()
    before = memory()["now"]
    for start in range(0, visitors, step):
        loop(visitor_ids(min(step, visitors - start), start=start))
        settle()
    gc.collect()
    return {"before": before, "growth": memory()["now"] - before, "visitors": visitors}


def versions(distributions: Iterable[str]) -> Json:
    from importlib.metadata import PackageNotFoundError, version

    found: Json = {"python": sys.version.split()[0]}
    for name in distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "source tree"
    return found


def main(works: Mapping[str, Work]) -> None:
    """Run one work and print its measurement as one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=sorted(works))
    parser.add_argument("--document", type=Path)
    parser.add_argument("--n", type=int, default=1)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--fill", type=int, default=0)
    parser.add_argument("--attributes", type=json.loads, default={"country": "DE", "visits": 7})
    arguments = parser.parse_args()
    print(json.dumps(works[arguments.work](arguments)))
