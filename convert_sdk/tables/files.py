"""Files of visitors in, files of decisions out, by DuckDB: Parquet, CSV, JSON; larger than memory, never half-written.

Every value of a CSV is read as text: a number in its place would lose the zeros in front of an id, and rules compare
text that is written as a number as one. The same holds for dates and UUIDs of JSON.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from glob import escape, glob, has_magic
from pathlib import Path
from typing import IO, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from convert_sdk.errors import TableError

from .frames import relation_reader
from .plan import TablePlan, is_bucket_value
from .stream import assigned

Progress = Callable[[int, int | None], None]
"""Is told of the rows that are done, and of how many there are where that is known."""
Planned = Callable[[pa.Schema], TablePlan]

_FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
}
_ROW_GROUP = 262_144
"""Rows that are written together."""
_AS_TEXT = ("UUID", "DATE", "TIME")


class WrittenRows(NamedTuple):
    """The rows that were written, and their place."""

    rows: int
    path: Path


def input_files(patterns: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """The files that paths and globs name, each once. Raises TableError for one that names none."""
    found: dict[Path, None] = {}
    for given in patterns:
        pattern: str = os.fspath(given)
        globbed = has_magic(pattern) and not Path(pattern).is_file()
        names = sorted(glob(pattern, recursive=True)) if globbed else [pattern]  # noqa: PTH207  # of any folder
        paths = [Path(name) for name in names if Path(name).is_file()]
        if not paths:
            raise TableError(f"{pattern}: there is no such file")
        found.update(dict.fromkeys(paths))
    if len({file_format(path) for path in found}) > 1:
        raise TableError("the files are of several formats: give those of one")
    return list(found)


def file_format(path: Path) -> str:
    """The format that a file's name tells. Raises TableError for another one."""
    name = path.name.lower().removesuffix(".gz")
    known = _FORMATS.get(Path(name).suffix)
    if known is None:
        raise TableError(f"{path}: the name must end in one of {', '.join(_FORMATS)}")
    return known


def read_files(connection: duckdb.DuckDBPyConnection, paths: Sequence[Path]) -> duckdb.DuckDBPyRelation:
    """The rows of files. Raises TableError for one that cannot be read."""
    names = [escape(str(path)) for path in paths]  # DuckDB takes each for a glob again
    kind = file_format(paths[0])
    with said_plainly(paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"):
        if kind == "parquet":
            for path in paths:
                parquet_schema(path)
            return connection.sql(
                "SELECT * FROM read_parquet($files, hive_partitioning = false)", params={"files": names}
            )
        if kind == "csv":
            relation = connection.sql(
                "SELECT * FROM read_csv($files, all_varchar = true, hive_partitioning = false)",
                params={"files": names},
            )
            _check_header(connection, relation, paths[0])
            return relation
        return _json(connection, names)


def _check_header(
    connection: duckdb.DuckDBPyConnection, relation: duckdb.DuckDBPyRelation, path: Path
) -> None:
    """Raise TableError for two columns of one name, of which DuckDB renames one: id, id_1."""
    known = {each.lower() for each in relation.columns}
    bases = (re.fullmatch(r"(.*)_\d+", each) for each in known)
    if not any(found and found[1] in known for found in bases):
        return
    rows = connection.sql(
        "SELECT * FROM read_csv($file, all_varchar = true, header = false, hive_partitioning = false) LIMIT 1",
        params={"file": escape(str(path))},
    ).fetchall()
    seen: set[str] = set()
    for name in filter(None, rows[0]):
        if name.lower() in seen:
            raise TableError(f"{path}: it has two columns {name!r}; rename one")
        seen.add(name.lower())


def parquet_schema(path: Path) -> pa.Schema:
    """The columns of a Parquet file. Raises TableError for two of one name, of which DuckDB would rename one."""
    schema = pq.read_schema(path).remove_metadata()
    twice = next((name for name in schema.names if schema.names.count(name) > 1), None)
    if twice is not None:
        raise TableError(f"{path}: it has two columns {twice!r}; rename one")
    return schema


def _json(connection: duckdb.DuckDBPyConnection, names: list[str]) -> duckdb.DuckDBPyRelation:
    relation = connection.sql(
        "SELECT * FROM read_json($files, hive_partitioning = false)", params={"files": names}
    )
    kinds = dict(zip(relation.columns, map(str, relation.types), strict=True))
    if not any(kind.startswith(_AS_TEXT) for kind in kinds.values()):
        return relation
    told = {name: "VARCHAR" if kind.startswith(_AS_TEXT) else kind for name, kind in kinds.items()}
    columns = ", ".join(f"{quoted(name)}: {literal(kind)}" for name, kind in told.items())
    return connection.sql(
        f"SELECT * FROM read_json($files, columns = {{{columns}}}, hive_partitioning = false)",  # noqa: S608  # quoted
        params={"files": names},
    )


def quoted(name: str) -> str:
    """A name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text in SQL."""
    return "'" + text.replace("'", "''") + "'"


@contextmanager
def said_plainly(path: object) -> Iterator[None]:
    """Turn what DuckDB, Arrow or the system says of a file into one TableError."""
    try:
        yield
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise TableError(f"{path}: {reason}") from error


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
        column_encoding=dict.fromkeys(numbers, "DELTA_BINARY_PACKED"),
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
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as held:
            _lock(held)
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _remove_abandoned(path: Path) -> None:
    """Remove what processes that were killed have left of a file: their locks ended with them."""
    name = re.compile(rf"\.{re.escape(path.name)}\.\d+\.part")
    for left in [each for each in path.parent.iterdir() if name.fullmatch(each.name)]:
        with left.open("rb") as file:
            if _lock(file):
                left.unlink(missing_ok=True)


def _lock(file: IO[bytes]) -> bool:
    """Lock a file as long as it is open; False where another process has, or the file system has no locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
