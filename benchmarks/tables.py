"""Whole tables: what a row costs beside what nobody can do without, and memory over a hundred million rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.harness import ROOT, Bench, Json, Row, main


def measure(bench: Bench) -> list[Row]:
    rows = bench.pick(1_000_000, 10_000_000)
    folder = bench.folder / "tables"
    folder.mkdir(exist_ok=True)
    step(folder, "make", rows)
    parts, peek = step(folder, "parts", rows), step(folder, "peek", rows)
    arrow, duck = step(folder, "arrow_file", rows), step(folder, "duckdb_file", rows)
    udf = step(folder, "function", rows)
    floor = parts["hash"] + parts["read"] + parts["write"]
    looped = peek["seconds"] / peek["rows"]
    alone = parts["ours_1_without_write"] - parts["read"]
    told = f"{rows:,} rows, {parts['processors']} processors"
    found = [
        each("hash", "polars-hash over the ids, in memory", parts["hash"] / rows, told),
        each("read", "two rule columns from Parquet", parts["read"] / rows),
        each("write", "the four results to Parquet", parts["write"] / rows),
        each("floor", "these three together", floor / rows),
        each(
            "one",
            "the same with our decisions, one experience",
            parts["ours_1"] / rows,
            times(parts["ours_1"], floor),
        ),
        each("decide", "of it, deciding alone", alone / rows),
        each("ten", "ten experiences", parts["ours_10"] / rows, times(parts["ours_10"], parts["ours_1"])),
        each(
            "peek",
            "a loop over `peek` with its dicts",
            looped,
            f"{looped / (parts['ours_1'] / rows):.1f} x the table",
        ),
        each("arrow", "file to file by Arrow", arrow["seconds"] / rows),
        each(
            "duckdb",
            "file to file by DuckDB",
            duck["seconds"] / rows,
            times(duck["seconds"], arrow["seconds"]),
        ),
        each("udf", "a function in a query of DuckDB", udf["seconds"] / udf["rows"]),
    ]
    for count in (rows,) if bench.short else (1_000_000, rows, 100_000_000):
        if count != rows:
            step(folder, "make", count)
        answer = step(folder, "once", count)
        note = f"{answer['seconds'] / count * 1e9:.0f} ns a row; {answer['before'] * 1e-6:.0f} MB before the first"
        found.append(
            Row(
                f"T memory {count:,}",
                "most memory, file to file",
                "MB",
                {"ours": [answer["memory"] * 1e-6]},
                note,
            )
        )
    return found


def each(key: str, work: str, seconds: float, note: str = "") -> Row:
    """A figure of one row, in nanoseconds."""
    return Row(f"T {key}", work, "ns", {"ours": [seconds * 1e9]}, note)


def times(one: float, other: float) -> str:
    return f"{one / other:.2f} x"


def step(folder: Path, name: str, rows: int) -> Json:
    """What one step answers, in an interpreter of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.tables_worker", name, str(folder), str(rows)],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    answer: Json = json.loads(done.stdout)
    return answer


if __name__ == "__main__":
    main({"tables": measure}, __doc__)
