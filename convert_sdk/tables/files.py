"""Decisions in files: Parquet, CSV, JSON; larger than memory, never half-written."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import IO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from convert_sdk._extras import needs_extra

from .frames import relation_reader
from .plan import TablePlan, check_unlike, is_bucket_value
from .reading import file_format, literal, read_files, said_plainly
from .stream import assigned

with needs_extra(__name__, "duckdb", "duckdb"):
    import duckdb

Progress = Callable[[int, int | None], None]
"""Is told of the rows that are done, and of how many there are where that is known."""
Planned = Callable[[pa.Schema], TablePlan]

_ROW_GROUP = 262_144
"""Rows that are written together."""


class WrittenRows(NamedTuple):
    """The rows that were written, and their place."""

    rows: int
    path: Path


def assign_file(
    planned: Planned,
    paths: Sequence[Path],
    output: Path,
    *,
    threads: int | None = None,
    progress: Progress = lambda _, __: None,
) -> WrittenRows:
    """Decide for the rows of files into one file, which is there whole or not at all."""
    kind = file_format(output)
    connection = duckdb.connect()
    relation = read_files(connection, paths)
    with said_plainly(paths[0]):
        plan = planned(relation_reader(relation.limit(0)).schema)
        if kind != "parquet":
            check_unlike(plan, "write Parquet")
        reader = relation_reader(relation.select(*map(duckdb.ColumnExpression, plan.needed)))
    total = rows_of(paths)
    counted = _counted(assigned(plan, _read(reader, paths[0]), threads), total, progress)
    with said_plainly(output), replaced(output) as temporary:
        rows = write_file(plan.schema, counted, temporary, kind, compressed=output.suffix == ".gz")
    return WrittenRows(rows, output)


def _read(reader: pa.RecordBatchReader, path: Path) -> Iterator[pa.RecordBatch]:
    with said_plainly(path):
        yield from reader


def rows_of(paths: Iterable[Path]) -> int | None:
    """The rows of Parquet files, which say it; None of others."""
    try:
        return sum(int(pq.read_metadata(path).num_rows) for path in paths)
    except (pa.ArrowException, OSError):
        return None


def _counted(
    batches: Iterable[pa.RecordBatch], total: int | None, progress: Progress
) -> Iterator[pa.RecordBatch]:
    done = 0
    for batch in batches:
        yield batch
        done += len(batch)
        progress(done, total)


def write_file(
    schema: pa.Schema, batches: Iterable[pa.RecordBatch], path: Path, kind: str, *, compressed: bool = False
) -> int:
    """Write batches as one file, and count their rows."""
    if kind == "parquet":
        return _write_parquet(schema, batches, path)
    failures: list[Exception] = []
    source = pa.RecordBatchReader.from_batches(schema, _watched(batches, failures))
    connection = duckdb.connect()
    connection.register("decisions", source)
    options = (
        f"FORMAT {kind}{', HEADER' if kind == 'csv' else ''}{', COMPRESSION gzip' if compressed else ''}"
        ", USE_TMP_FILE false"  # it is one
    )
    try:
        copied = connection.execute(
            f"COPY (SELECT * FROM decisions) TO {literal(str(path))} ({options})"  # noqa: S608  # quoted
        ).fetchone()
    except duckdb.Error:
        if failures:  # what DuckDB tells of them is a traceback
            raise failures[0] from None
        raise
    return int(copied[0]) if copied else 0


def _watched(batches: Iterable[pa.RecordBatch], failures: list[Exception]) -> Iterator[pa.RecordBatch]:
    try:
        yield from batches
    except Exception as error:
        failures.append(error)
        raise


def _write_parquet(schema: pa.Schema, batches: Iterable[pa.RecordBatch], path: Path) -> int:
    rows, waiting, held = 0, [], 0
    # Bounds of codes and of bucket values help no reader, and cost a third of the writing. Of bucket values there are
    # so many that a dictionary only makes them larger. Parquet names the parts of nested columns, not the columns.
    nested = any(pa.types.is_nested(each.type) for each in schema)
    numbers = [] if nested else [each.name for each in schema if is_bucket_value(each)]
    bounded = [
        each.name for each in schema if not pa.types.is_dictionary(each.type) and each.name not in numbers
    ]
    with pq.ParquetWriter(
        path,
        schema,
        use_dictionary=nested or [each.name for each in schema if each.name not in numbers],  # pyright: ignore[reportArgumentType]  # names are allowed too
        write_statistics=bounded,  # pyright: ignore[reportArgumentType]  # as above
        column_encoding=dict.fromkeys(numbers, "DELTA_BINARY_PACKED") or None,
    ) as writer:
        for batch in batches:
            waiting.append(batch)
            held += len(batch)
            if held >= _ROW_GROUP:
                writer.write_table(pa.Table.from_batches(waiting, schema), _ROW_GROUP)
                waiting, held, rows = [], 0, rows + held
        if waiting:
            writer.write_table(pa.Table.from_batches(waiting, schema), _ROW_GROUP)
    return rows + held


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the file's place once all is well; nothing is left of it otherwise."""
    with suppress(OSError):
        _remove_abandoned(path)
    temporary = beside(path)
    try:
        with temporary.open("wb") as held:
            _lock(held)
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def beside(path: Path) -> Path:
    """A name of its own, in the folder of a file, for what is to take its place."""
    return path.with_name(f".{path.name}.{os.getpid()}-{next(_numbers)}.part")


_numbers = count()


def _remove_abandoned(path: Path) -> None:
    """Remove what processes that were killed have left of a file: their locks ended with them."""
    name = re.compile(rf"\.{re.escape(path.name)}\.\d+-\d+\.part")
    for left in [each for each in path.parent.iterdir() if name.fullmatch(each.name)]:
        with left.open("rb") as file:
            if _lock(file):
                left.unlink(missing_ok=True)


def _lock(file: IO[bytes]) -> bool:
    """Lock a file as long as it is open; False where another process has, or the platform has no locks."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True
