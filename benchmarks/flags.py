"""What a look-up by OpenFeature costs beside the same one by hand (W10)."""

from __future__ import annotations

from benchmarks import documents
from benchmarks.harness import Bench, Row, Task, column, main


def measure(bench: Bench) -> list[Row]:
    """For visitors who have their decisions, and for new ones."""
    document = bench.document("flags", documents.with_feature())
    rows = []
    for work, about in (
        ("kept", "a visitor who has the decision"),
        ("new", "a new visitor, exposure included"),
    ):
        options = {"document": document, "n": bench.pick(40_000, 200_000)}
        found = bench.measure([Task("ours", f"flags_{work}", options)])
        note = (
            "`client.visitor(…).feature(…).get(…)` against `get_float_value` of OpenFeature's client less the same "
            "call over OpenFeature's own provider in memory, all in one process and in turns; at most 1.3 is wanted."
        )
        rows += [
            Row(
                f"W10 {work} by hand",
                f"one variable of a feature, {about}",
                "µs",
                column(found, "hand", 1e-3),
            ),
            Row(
                f"W10 {work}",
                "the same by OpenFeature, beyond its own cost",
                "µs",
                column(found, "beyond", 1e-3),
            ),
            Row(f"W10× {work}", "the second over the first", "times", column(found, "times"), note),
        ]
    return rows


if __name__ == "__main__":
    main({"flags": measure}, __doc__, peers="ours")
