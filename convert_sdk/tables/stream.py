"""Batches through threads: as many at once as there are processors, in their order, and no more of them in memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

import pyarrow as pa

from .evaluate import Evaluator
from .plan import TablePlan

ROWS = 131_072
"""Rows that are decided together."""


def pieces(batches: Iterable[pa.RecordBatch], rows: int = ROWS) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of bounded size; nothing is copied."""
    for batch in batches:
        if len(batch) <= rows:
            yield batch
        else:
            yield from (batch.slice(start, rows) for start in range(0, len(batch), rows))


def processors() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def assigned(
    plan: TablePlan, batches: Iterable[pa.RecordBatch], threads: int | None = None
) -> Iterator[pa.RecordBatch]:
    """Each batch with its decisions, in the order of the batches.

    The numbers are computed where Python's lock is released, so that threads help; each has an `Evaluator` of its own,
    which learns without a lock. At most two batches a thread are on their way.
    """
    count = threads or processors()
    if count == 1:
        evaluator = Evaluator(plan)
        yield from map(evaluator.assign, pieces(batches))
        return
    idle: SimpleQueue[Evaluator] = SimpleQueue()

    def assign(batch: pa.RecordBatch) -> pa.RecordBatch:
        evaluator = Evaluator(plan) if idle.empty() else idle.get()
        try:
            return evaluator.assign(batch)
        finally:
            idle.put(evaluator)

    running: deque[Future[pa.RecordBatch]] = deque()
    with ThreadPoolExecutor(count, "convert-sdk-tables") as pool:
        try:
            for batch in pieces(batches):
                running.append(pool.submit(assign, batch))
                if len(running) >= 2 * count:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()
