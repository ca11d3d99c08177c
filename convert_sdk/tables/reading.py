"""Files of visitors, as DuckDB reads them: Parquet, CSV, JSON; nothing in them is renamed, rounded or left out.

Every value of a CSV is read as text: a number in its place would lose the zeros in front of an id, and rules compare
text that is written as a number as one. The same holds for dates, UUIDs and values of several kinds in JSON.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from glob import escape, glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pyarrow as pa
import pyarrow.parquet as pq

from convert_sdk._extras import needs_extra
from convert_sdk.errors import TableError

from .columns import is_text
from .plan import alike

with needs_extra(__name__, "duckdb", "duckdb"):
    import duckdb

if TYPE_CHECKING:
    from duckdb.sqltypes import DuckDBPyType

_FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
}
_CSV = "all_varchar = true, skip = 0, quote = '\"', escape = '\"', comment = '', hive_partitioning = false"
"""The options of a CSV: DuckDB looks for the delimiter alone, not for lines or marks that it might leave out."""
_AS_TEXT = ("UUID", "DATE", "TIME", "JSON")
"""Types that DuckDB guesses for a text, and the one of a column with values of several kinds."""


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
    name = path.name.lower()
    known = _FORMATS.get(Path(name.removesuffix(".gz")).suffix)
    if known is None or (known == "parquet" and name.endswith(".gz")):  # Parquet is compressed inside
        raise TableError(f"{path}: the name must end in one of {', '.join(_FORMATS)}")
    return known


def read_files(connection: duckdb.DuckDBPyConnection, paths: Sequence[Path]) -> duckdb.DuckDBPyRelation:
    """The rows of files. Raises TableError for one that cannot be read."""
    names = [escape(str(path)) for path in paths]  # DuckDB takes each for a glob again
    kind = file_format(paths[0])
    with said_plainly(paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"):
        if kind == "parquet":
            _check_alike(paths)
            return connection.sql(
                "SELECT * FROM read_parquet($files, hive_partitioning = false)", params={"files": names}
            )
        if kind == "csv":
            return _csv(connection, paths, names)
        return _json(connection, paths[0], names)


def _csv(
    connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], names: list[str]
) -> duckdb.DuckDBPyRelation:
    """The rows of CSV files of the same columns: DuckDB leaves out a column that the first one does not have."""

    def read(some: list[str]) -> duckdb.DuckDBPyRelation:
        return connection.sql(
            f"SELECT * FROM read_csv($files, header = true, {_CSV})",  # noqa: S608  # a constant
            params={"files": some},
        )

    first = read(names[:1]).columns
    if len(first) == 1 and any(mark in first[0] for mark in ",;\t|"):  # DuckDB has found no delimiter
        raise TableError(f"{paths[0]}: not every line has as many fields as the first one, {first[0]!r}")
    if _has_renamed(first):
        check_names(paths[0], _header(connection, names[0]))
    for path, name in zip(paths[1:], names[1:], strict=True):
        _check_same(path, read([name]).columns, paths[0], first)
    return read(names)


def _check_same(path: Path, names: Sequence[str], other: Path, wanted: Sequence[str]) -> None:
    """Raise TableError for a column that one of two files has alone."""
    alone = next((name for name in (*wanted, *names) if name not in wanted or name not in names), None)
    if alone is not None:
        raise TableError(
            f"{path}: its columns differ from those of {other}: {alone!r} is in one of them alone"
        )


def check_names(path: Path, names: Iterable[str]) -> None:
    """Raise TableError for two columns of one name to DuckDB, which would rename one of them: id, id_1."""
    found = alike(names)
    if found is not None:
        one, other = found
        told = (
            f"two columns {one!r}"
            if one == other
            else f"columns {one!r} and {other!r}, which only capitals tell apart"
        )
        raise TableError(f"{path}: it has {told}; rename one")


def _has_renamed(columns: Sequence[str]) -> bool:
    """True if DuckDB may have renamed a column of these."""
    known = {each.lower() for each in columns}
    bases = (re.fullmatch(r"(.*)_\d+", each) for each in known)
    return any(found and found[1] in known for found in bases)


def _header(connection: duckdb.DuckDBPyConnection, name: str) -> list[str]:
    """The names in the first line of a CSV."""
    rows = connection.sql(
        f"SELECT * FROM read_csv($file, header = false, {_CSV}) LIMIT 1",  # noqa: S608  # a constant
        params={"file": name},
    ).fetchall()
    return [each for each in rows[0] if each]


def parquet_schema(path: Path) -> pa.Schema:
    """The columns of a Parquet file. Raises TableError for two of one name."""
    schema = pq.read_schema(path).remove_metadata()
    check_names(path, schema.names)
    return schema


def _check_alike(paths: Sequence[Path]) -> None:
    """Check that Parquet files have the same columns: DuckDB would cast those of others to the first one's."""
    first = parquet_schema(paths[0])
    for path in paths[1:]:
        schema = parquet_schema(path)
        _check_same(path, schema.names, paths[0], first.names)
        for name in first.names:
            kind, wanted = schema.field(name).type, first.field(name).type
            if not _is_kept(kind, wanted):
                raise TableError(f"{path}: {name!r} is {kind}, and {wanted} in {paths[0]}: give it one type")


def _is_kept(kind: pa.DataType, wanted: pa.DataType) -> bool:
    """True if DuckDB casts no value of one type to another value: what does not fit into whole numbers is an error."""
    both = [each.value_type if pa.types.is_dictionary(each) else each for each in (kind, wanted)]
    return (
        both[0].equals(both[1])
        or pa.types.is_null(kind)
        or all(map(pa.types.is_integer, both))
        or all(map(is_text, both))
    )


def _json(connection: duckdb.DuckDBPyConnection, path: Path, names: list[str]) -> duckdb.DuckDBPyRelation:
    """The rows of JSON, by the keys and types of all of it: a key that DuckDB does not expect it leaves out."""
    found = connection.sql(
        "SELECT * FROM read_json($files, sample_size = -1, hive_partitioning = false)",
        params={"files": names},
    )
    if _has_renamed(found.columns):
        keys = connection.sql(
            "SELECT DISTINCT unnest(json_keys(json)) FROM read_json_objects($files)", params={"files": names}
        ).fetchall()
        check_names(path, sorted(key for (key,) in keys))
    columns = ", ".join(
        f"{quoted(name)}: {literal(_json_type(kind))}"
        for name, kind in zip(found.columns, found.types, strict=True)
    )
    return connection.sql(
        f"SELECT * FROM read_json($files, columns = {{{columns}}}, hive_partitioning = false)",  # noqa: S608  # quoted
        params={"files": names},
    )


def _json_type(kind: DuckDBPyType) -> str:
    """The type to read JSON as: text stays text in lists and objects too."""
    if kind.id not in ("list", "map", "struct"):
        return "VARCHAR" if str(kind).startswith(_AS_TEXT) else str(kind)
    inner = [(name, _json_type(cast("DuckDBPyType", member))) for name, member in kind.children]
    if kind.id == "struct":
        return f"STRUCT({', '.join(f'{quoted(name)} {member}' for name, member in inner)})"
    return f"MAP(VARCHAR, {inner[1][1]})" if kind.id == "map" else f"{inner[0][1]}[]"


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
