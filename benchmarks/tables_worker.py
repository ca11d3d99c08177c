"""One figure of `tables.py`, in an interpreter of its own: `python -m benchmarks.tables_worker STEP FOLDER ROWS`."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from convert_sdk import Client, Project
from convert_sdk.tables.files import write_file
from convert_sdk.tables.plan import make_plan
from convert_sdk.tables.run import TableQuestion, assign_paths
from convert_sdk.tables.stream import ROWS, assigned, processors

COUNTRIES = ("DE", "FR", "US", "GB", "IT", "ES", "AT", "CH")
RULES = ["country", "age"]
TIMES = 5
"""Runs of a piece of work, of which the fastest counts; machines are disturbed, work is not."""


def project(count: int) -> Project:
    """So many experiences of two halves, each for one audience with two rules."""
    conditions = [
        {"key": "country", "value": "DE", "matching": {"match_type": "equals", "negated": False}},
        {"key": "age", "value": 18, "matching": {"match_type": "less", "negated": True}},
    ]
    halves = [{"id": each, "key": f"arm-{each}", "traffic_allocation": 50} for each in ("1", "2")]
    document = {
        "account_id": "1",
        "project": {"id": "2"},
        "audiences": [
            {"id": "51", "key": "a", "rules": {"OR": [{"AND": [{"OR_WHEN": [each]} for each in conditions]}]}}
        ],
        "experiences": [
            {"id": str(100218245 + number), "key": f"e{number}", "audiences": ["51"], "variations": halves}
            for number in range(count)
        ],
    }
    return Project.parse(json.dumps(document))


def made(rows: int) -> Iterator[pa.RecordBatch]:
    """Visitors with ids of 14 to 17 characters, made from a seed."""
    random = np.random.default_rng(7)
    countries = pa.array(COUNTRIES)
    for start in range(0, rows, 1_000_000):
        count = min(1_000_000, rows - start)
        numbers = pa.array(random.integers(0, 10 ** random.integers(6, 10, count)))
        join = pc.binary_join_element_wise  # pyright: ignore[reportAttributeAccessIssue]  # made at import
        names = join("visitor-", numbers.cast(pa.string()), "")
        chosen = pa.DictionaryArray.from_arrays(
            pa.array(random.integers(0, len(countries), count, np.int16)), countries
        )
        yield pa.RecordBatch.from_arrays(
            [names, chosen, pa.array(random.integers(10, 90, count))], ["id", *RULES]
        )


def make(folder: Path, rows: int) -> dict[str, float]:
    """The file of visitors."""
    schema = pa.schema(
        [("id", pa.string()), ("country", pa.dictionary(pa.int16(), pa.string())), ("age", pa.int64())]
    )
    return {"rows": write_file(schema, made(rows), folder / "visitors.parquet", "parquet")}


def fastest(work: Callable[[], object]) -> float:
    """The seconds of the fastest run."""
    return fastest_of_each({"": work})[""]


def fastest_of_each(works: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The same for works that are compared: they take turns, so that a disturbance meets all of them."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(TIMES):
        for name, work in works.items():
            started = perf_counter()
            work()
            found[name].append(perf_counter() - started)
    return {name: min(seconds) for name, seconds in found.items()}


def rule_columns(folder: Path) -> pa.Table:
    return pq.read_table(folder / "visitors.parquet", columns=RULES)


def parts(folder: Path, rows: int) -> dict[str, float]:
    """What nobody can do without, and the same with our decisions in between."""
    import polars as pl
    import polars_hash as plh

    names = pq.read_table(folder / "visitors.parquet", columns=["id"])
    frame = pl.DataFrame(pl.from_arrow(names))
    ours = {count: project(count) for count in (1, 10)}
    results: dict[int, pa.Table] = {}

    def decide(count: int) -> None:
        table = rule_columns(folder).append_column("id", names["id"])
        plan = make_plan(ours[count], table.schema, keep=())
        results[count] = pa.Table.from_batches(assigned(plan, table.to_batches()), plan.schema)

    def write(count: int) -> None:
        table = results[count]
        write_file(table.schema, table.to_batches(), folder / "results.parquet", "parquet")

    def whole(count: int) -> None:
        table = rule_columns(folder).append_column("id", names["id"])
        plan = make_plan(ours[count], table.schema, keep=())
        write_file(plan.schema, assigned(plan, table.to_batches()), folder / "results.parquet", "parquet")

    found = fastest_of_each(
        {
            "hash": lambda: frame.select(plh.col("id").nchash.murmur32(seed=9999)),
            "read": lambda: rule_columns(folder),
            "ours_1": lambda: whole(1),
            "ours_1_without_write": lambda: decide(1),
            "write": lambda: write(1),
            "ours_10": lambda: whole(10),
            "ours_10_without_write": lambda: decide(10),
            "write_10": lambda: write(10),
        }
    )
    return {**found, "rows": rows}


def peek(folder: Path, rows: int) -> dict[str, float]:
    """The loop over `peek`, with the dicts that it needs; for some of the rows, as it is slow."""
    table = next(pq.ParquetFile(folder / "visitors.parquet").iter_batches(min(rows, 200_000)))
    client = Client.offline(project(1), max_visitors=1_000)

    def loop() -> list[object]:
        return [client.visitor(row["id"], row).peek("e0") for row in table.to_pylist()]

    return {"seconds": fastest(loop), "rows": len(table)}


def arrow_file(folder: Path, rows: int) -> dict[str, float]:
    """From file to file by Arrow alone."""
    plan = make_plan(project(1), pq.read_schema(folder / "visitors.parquet"), keep=["id"])

    def work() -> None:
        with pq.ParquetFile(folder / "visitors.parquet") as file:
            batches = file.iter_batches(ROWS, columns=plan.needed)
            write_file(plan.schema, assigned(plan, batches), folder / "arrow.parquet", "parquet")

    return {"seconds": fastest(work), "rows": rows, "memory": peak()}


def duckdb_file(folder: Path, rows: int) -> dict[str, float]:
    """From file to file by DuckDB, as the command does."""

    def work() -> None:
        assign_paths(
            project(1), [folder / "visitors.parquet"], folder / "duckdb.parquet", TableQuestion(keep=["id"])
        )

    return {"seconds": fastest(work), "rows": rows, "memory": peak()}


def once(folder: Path, rows: int) -> dict[str, float]:
    """The same a single time, for its memory."""
    before = peak()
    started = perf_counter()
    question = TableQuestion(keep=["id"])
    assign_paths(project(1), [folder / "visitors.parquet"], folder / "once.parquet", question)
    return {"seconds": perf_counter() - started, "rows": rows, "memory": peak(), "before": before}


def function(folder: Path, rows: int) -> dict[str, float]:
    """The function inside a query of DuckDB."""
    import duckdb

    from convert_sdk.tables.udf import register_udf

    connection = duckdb.connect()
    register_udf(connection, project(1), "e0", {"country": "VARCHAR", "age": "BIGINT"})
    path = str(folder / "visitors.parquet")
    query = (
        "SELECT count(convert_assign(id, {'country': country, 'age': age}).bucket_value) "
        "FROM (SELECT * FROM read_parquet($path) LIMIT $rows)"
    )
    some = min(rows, 1_000_000)
    return {
        "seconds": fastest(lambda: connection.execute(query, {"path": path, "rows": some}).fetchall()),
        "rows": some,
    }


def peak() -> float:
    """The most memory that this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


STEPS: dict[str, Callable[[Path, int], dict[str, float]]] = {
    each.__name__: each for each in (make, parts, peek, arrow_file, duckdb_file, once, function)
}

if __name__ == "__main__":
    answer = STEPS[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
    print(json.dumps({**answer, "processors": processors()}))
