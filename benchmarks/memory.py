"""Memory over many visitors, and the threads of an idle client (W7)."""

from __future__ import annotations

from benchmarks import documents
from benchmarks.decide import sources
from benchmarks.harness import Bench, Row, Task, column, main


def measure(bench: Bench) -> list[Row]:
    paths = sources(bench, "one", documents.small(1))
    visitors = {"ours": 1_000_000, "rival": bench.pick(50_000, 200_000), "eppo": 1_000_000}
    answers = bench.measure(
        (
            Task(
                name,
                "w7",
                {"document": paths[name], "n": count, "fill": 50_000 if name != "rival" else 20_000},
            )
            for name, count in visitors.items()
        ),
        rounds=1 if bench.short else 3,
    )
    counts = ", ".join(f"{name} {entries[0]['visitors']:,}" for name, entries in answers.items())
    note = (
        f"New visitors with the defaults once the bounded state was full: {counts}; the rival has no bound."
    )
    each = {name: [one["growth"] / one["visitors"] for one in entries] for name, entries in answers.items()}
    rows = [
        Row("W7", "memory grown", "MB", column(answers, "growth", 1e-6), note),
        Row("W7 each", "the same per visitor", "bytes", each),
    ]
    if "ours" in bench.peers:
        with bench.collector(paths["ours"], 0) as port:
            idle = bench.measure([Task("ours", "idle", {"port": port})], rounds=1)
        rows.append(Row("W7 threads", "threads of an idle client", "", column(idle, "threads")))
    return rows


if __name__ == "__main__":
    main({"memory": measure}, __doc__)
