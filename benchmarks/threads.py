"""Eight threads against one (W6)."""

from __future__ import annotations

from benchmarks import documents
from benchmarks.decide import sources
from benchmarks.harness import Bench, Row, Task, column, main


def measure(bench: Bench) -> list[Row]:
    paths = sources(bench, "one", documents.small(1))
    counts = {"ours": 200_000, "rival": 20_000, "eppo": 200_000}
    answers = bench.measure(
        Task(name, "w6", {"document": paths[name], "n": count}) for name, count in counts.items()
    )
    note = "New visitors and decisions with the defaults, as in W1s; all threads in one interpreter."
    return [
        Row(
            "W6", "decisions a second, 8 threads", "", column(answers, "threads"), note, higher_is_better=True
        ),
        Row("W6 ratio", "of the rate of one thread", "", column(answers, "ratio"), higher_is_better=True),
    ]


if __name__ == "__main__":
    main({"threads": measure}, __doc__)
