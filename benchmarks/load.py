"""From a large document's bytes to a ready project (W3)."""

from __future__ import annotations

from benchmarks import documents
from benchmarks.decide import sources
from benchmarks.harness import Bench, Row, Task, column, main

SIZE = 3_500_000


def measure(bench: Bench) -> list[Row]:
    paths = sources(bench, "large", documents.large(SIZE))
    answers = bench.measure(Task(name, "w3", {"document": paths[name]}) for name in ("ours", "rival", "eppo"))
    sizes = {name: paths[name].stat().st_size / 1e6 for name in ("ours", "eppo")}
    work = f"{sizes['ours']:.1f} MB document, 1,000 experiences, 2 × 6 rules each"
    note = (
        "From bytes; the rival through `json.loads`. Eppo's flags are the same experiments, "
        f"{sizes['eppo']:.1f} MB in its format."
    )
    return [
        Row("W3", f"{work}, to ready", "ms", column(answers, "ms"), note),
        Row("W3+", "the same and every experience decided once", "ms", column(answers, "used_ms")),
        Row(
            "W3 kept",
            "memory it keeps, every experience decided once",
            "MB",
            column(answers, "used_kept", 1e-6),
        ),
        Row("W3 peak", "memory at its highest while loading", "MB", column(answers, "peak", 1e-6)),
    ]


if __name__ == "__main__":
    main({"loading": measure}, __doc__)
