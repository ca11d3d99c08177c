"""All measurements: `python -m benchmarks [--short] [--json] [--write FILE]`."""

from __future__ import annotations

from benchmarks import decide, deliver, flags, importing, load, memory, page, tables, threads
from benchmarks.harness import main

if __name__ == "__main__":
    main(
        {
            "decisions": decide.measure,
            "flags": flags.measure,
            "page": page.measure,
            "loading": load.measure,
            "importing": importing.measure,
            "delivery": deliver.measure,
            "threads": threads.measure,
            "memory": memory.measure,
            "tables": tables.measure,
        },
        __doc__,
    )
