"""All measurements: `python -m benchmarks [--short] [--json] [--write FILE]`."""

from __future__ import annotations

from benchmarks import decide, deliver, importing, load, memory, threads
from benchmarks.harness import main

if __name__ == "__main__":
    main(
        {
            "decisions": decide.measure,
            "loading": load.measure,
            "importing": importing.measure,
            "delivery": deliver.measure,
            "threads": threads.measure,
            "memory": memory.measure,
        },
        __doc__,
    )
