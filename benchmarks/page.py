"""What the JSON of a page costs beside the same decisions by hand: `peek_all`, `to_dict` and `json.dumps`."""

from __future__ import annotations

from benchmarks import documents
from benchmarks.harness import Bench, Row, Task, column, main

_NOTE = (
    "A new visitor and `bootstrap()`: id, revision, features and the state for the browser SDK too. By hand: "
    "`json.dumps` of `to_dict()` of every decision of `peek_all()`. "
)


def measure(bench: Bench) -> list[Row]:
    rows = []
    for size, visitors in {
        1: bench.pick(10_000, 40_000),
        10: bench.pick(3_000, 10_000),
        100: bench.pick(500, 2_000),
    }.items():
        path = bench.document(f"page-{size}", documents.small(size))
        answers = bench.measure(
            Task(name, work, {"document": path, "n": visitors})
            for name, work in (("ours", "page"), ("ours_hand", "page_by_hand"))
        )
        row = Row(
            f"P/{size}", f"the page of {size} experience{'s' * (size > 1)}", "µs", column(answers, "ns", 1e-3)
        )
        better = row.ratio("ours_hand")
        told = "" if better is None else f"{1 / better:.2f} x by hand."
        rows.append(Row(row.key, row.work, row.unit, row.figures, f"{_NOTE}{told}"))
    return rows


if __name__ == "__main__":
    main({"page": measure}, __doc__, peers="ours")
