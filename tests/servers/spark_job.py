"""A job of Spark, in a process of its own: `python -m tests.servers.spark_job MASTER ROWS PARTS KEYS…`

prints what it found; the keys are those of the experiences that SQL is asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from tempfile import TemporaryDirectory
from time import perf_counter

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession  # pyright: ignore[reportMissingImports]  # of the group servers

from convert_sdk.tables import assign
from convert_sdk.tables.spark import assign_spark
from convert_sdk.tables.sql import write_sql
from tests.tables.sql_shop import COLUMNS, SHOP, visitors


def main(master: str, rows: int, parts: int, keys: list[str]) -> None:
    """Decide for visitors by both ways, and compare both with `assign` on this machine."""
    spark = (
        SparkSession.builder.master(master)
        .appName("convert-sdk")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.execution.arrow.pyspark.enabled", "true")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", "2")
        .getOrCreate()
    )
    table = visitors(rows)
    wanted = assign(SHOP, table).to_pylist()
    with TemporaryDirectory() as folder:
        pq.write_table(table, f"{folder}/visitors.parquet")
        frame = spark.read.parquet(f"{folder}/visitors.parquet").repartition(parts, "id").cache()
        frame.count()
    found = sorted(_rows(assign_spark(SHOP, frame)), key=lambda row: str(row["id"]))
    frame.createOrReplaceTempView("visitors")
    started = perf_counter()
    checks = []
    for statement in write_sql(SHOP, "spark", COLUMNS, experiences=keys).split(";\n"):
        if statement.strip():
            checks += [row.asDict() for row in spark.sql(statement).collect()]
    said = sorted(_rows(spark.table("assigned")), key=lambda row: str(row["id"]))
    sql_seconds = perf_counter() - started
    ordered = sorted(wanted, key=lambda row: str(row["id"]))
    findings = {
        "rows": len(found),
        "assign_is_equal": found == ordered,
        "sql_is_equal": said == [{name: row[name] for name in said[0]} for row in ordered],
        "checks": checks,
        "sql_seconds": sql_seconds,
        "identity_seconds": _timed(frame.mapInArrow(_same, frame.schema)),
        "assign_seconds": _timed(assign_spark(SHOP, frame)),
    }
    sys.stdout.write(json.dumps(findings) + "\n")
    spark.stop()


def _same(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield from batches


def _timed(frame: DataFrame) -> float:
    """The seconds of the fastest of three runs: the first one of a kind starts workers of Python."""
    found = []
    for _ in range(3):
        started = perf_counter()
        frame.write.format("noop").mode("overwrite").save()
        found.append(perf_counter() - started)
    return min(found)


def _rows(frame: DataFrame) -> list[dict[str, object]]:
    return [row.asDict(recursive=True) for row in frame.collect()]


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
