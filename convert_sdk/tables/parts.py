"""A folder of decisions: one part for each piece of the input, and a manifest by which an assignment goes on.

Theory of operation. The input is cut into pieces that can be read by themselves: row groups of Parquet files, about a
million rows together, or whole files of CSV and JSON. The manifest stands before the first part, so that two processes
with different questions never share a folder. A piece becomes one part, written under another name and then
renamed; only then does the manifest, replaced as a whole too, count it as done. Whatever ends the process in between
costs the work on one piece. The manifest names the document's revision, what was asked, and a fingerprint of the input,
and an assignment goes on only where all three are the same: parts of different decisions never share a folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import file_digest, sha256
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from convert_sdk._core.values import tree
from convert_sdk._extras import needs_extra
from convert_sdk.errors import TableError

from .files import Planned, Progress, WrittenRows, beside, replaced, rows_of, write_file
from .frames import relation_reader
from .plan import TablePlan
from .reading import file_format, parquet_schema, read_files, said_plainly
from .stream import ROWS, assigned

with needs_extra(__name__, "duckdb", "duckdb"):
    import duckdb

MANIFEST = "_manifest.json"
"""Readers of folders, such as pyarrow and Spark, pass over names that begin so."""
VERSION = 1
_ROWS = 1_000_000
"""Rows of a part, where row groups allow it."""
_ENDS = 65_536
"""Bytes at both ends of a Parquet file that its fingerprint looks at: its own summary is at its end."""


class Piece(NamedTuple):
    """A part of the input: a file, and which of its row groups; None for all of it."""

    path: Path
    row_groups: tuple[int, ...] | None

    def to_json(self) -> dict[str, object]:
        """The piece as the manifest has it."""
        return {"file": str(self.path), "row_groups": self.row_groups and list(self.row_groups)}


def assign_folder(
    planned: Planned,
    paths: Sequence[Path],
    output: Path,
    asked: Mapping[str, object],
    *,
    threads: int | None = None,
    progress: Progress = lambda _, __: None,
) -> WrittenRows:
    """Decide for the rows of files into a folder of Parquet parts; go on where an earlier run ended."""
    with said_plainly(paths[0]):
        plan = planned(_schema(paths))
        pieces = [piece for path in paths for piece in _pieces(path)]
    identity = {
        "version": VERSION,
        "revision": plan.project.revision,
        "asked": json.loads(json.dumps(tree(dict(asked)), default=str)),
        "input": [_fingerprint(path) for path in paths],
    }
    done = _begun(output, identity, pieces)
    total = rows_of(paths)
    progress(sum(done.values()), total)
    for number, piece in enumerate(pieces):
        name = _part_name(number)
        if name in done:
            continue
        with said_plainly(output / name), replaced(output / name) as temporary:
            done[name] = write_file(
                plan.schema, assigned(plan, _batches(piece, plan), threads), temporary, "parquet"
            )
        with said_plainly(output), replaced(output / MANIFEST) as temporary:
            temporary.write_text(_manifest(identity, done, pieces), encoding="utf-8")
        progress(sum(done.values()), total)
    return WrittenRows(sum(done.values()), output)


def _begun(output: Path, identity: Mapping[str, object], pieces: Sequence[Piece]) -> dict[str, int]:
    """The rows of the parts that are done, in a folder that is from now on for this assignment."""
    with said_plainly(output):
        output.mkdir(parents=True, exist_ok=True)
        done = _done(output, identity)
        if done is None:
            _claim(output, _manifest(identity, {}, pieces))
            done = _done(output, identity) or {}
    return done


def _part_name(number: int) -> str:
    return f"part-{number:06}.parquet"


def _schema(paths: Sequence[Path]) -> pa.Schema:
    """The columns of the files. Raises TableError where they differ."""
    found: pa.Schema | None = None
    for path in paths:
        if file_format(path) == "parquet":
            schema = parquet_schema(path)
        else:
            schema = relation_reader(read_files(duckdb.connect(), [path]).limit(0)).schema
        if found is not None and not schema.equals(found):
            raise TableError(
                f"{path}: its columns differ from those of {paths[0]}: {_difference(found, schema)}"
            )
        found = schema
    assert found is not None  # noqa: S101  # there is a path
    return found


def _difference(one: pa.Schema, other: pa.Schema) -> str:
    for name in dict.fromkeys((*one.names, *other.names)):
        if name not in other.names or name not in one.names:
            return f"{name!r} is in one of them alone"
        if one.field(name).type != other.field(name).type:
            return f"{name!r} is {other.field(name).type}, not {one.field(name).type}"
    return "their order"


def _pieces(path: Path) -> Iterator[Piece]:
    if file_format(path) != "parquet":
        yield Piece(path, None)
        return
    metadata = pq.read_metadata(path)
    together: list[int] = []
    rows = 0
    for number in range(metadata.num_row_groups):
        together.append(number)
        rows += metadata.row_group(number).num_rows
        if rows >= _ROWS:
            yield Piece(path, tuple(together))
            together, rows = [], 0
    if together:
        yield Piece(path, tuple(together))


def _batches(piece: Piece, plan: TablePlan) -> Iterator[pa.RecordBatch]:
    with said_plainly(piece.path):
        if piece.row_groups is None:
            relation = read_files(duckdb.connect(), [piece.path])
            yield from relation_reader(relation.select(*map(duckdb.ColumnExpression, plan.needed)))
            return
        with pq.ParquetFile(piece.path) as file:
            yield from file.iter_batches(ROWS, row_groups=list(piece.row_groups), columns=plan.needed)


def _fingerprint(path: Path) -> dict[str, object]:
    """The marks of a file: its name, its size and a digest, of a Parquet file of both its ends."""
    with said_plainly(path), path.open("rb") as file:
        size = path.stat().st_size
        if file_format(path) == "parquet":
            digest = sha256(file.read(_ENDS))
            file.seek(max(0, size - _ENDS))
            digest.update(file.read(_ENDS))
        else:
            digest = file_digest(file, "sha256")  # pyright: ignore[reportAssignmentType]  # one too
    return {"file": str(path), "size": size, "sha256": digest.hexdigest()}


def _done(output: Path, identity: Mapping[str, object]) -> dict[str, int] | None:
    """The parts that an earlier run has finished; None without one. Raises TableError where it was another one."""
    path = output / MANIFEST
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if not all(each.name.startswith(f".{MANIFEST}.") for each in output.iterdir()):
            raise TableError(
                f"{output}: the folder is not empty and has no {MANIFEST}; name another one"
            ) from None
        return None
    except (OSError, ValueError) as error:
        raise TableError(f"{path}: it cannot be read: {error}; name another folder") from error
    for name, what in _SAME.items():
        if not isinstance(known, dict) or known.get(name) != identity[name]:
            raise TableError(f"{output}: the parts in it are of {what}; name another folder")
    return {
        part["part"]: part["rows"]
        for part in known["parts"]
        if part["rows"] is not None and (output / part["part"]).exists()
    }


_SAME = {
    "version": "another version of the manifest",
    "revision": "another revision of the document",
    "input": "another input",
    "asked": "another question: other columns, experiences or options",
}


def _claim(output: Path, manifest: str) -> None:
    """Write the first manifest, before any part: whoever comes later sees what the folder is for."""
    temporary = beside(output / MANIFEST)
    try:
        temporary.write_text(manifest, encoding="utf-8")
        (output / MANIFEST).hardlink_to(temporary)
    except FileExistsError:  # another process was faster: it has its say
        pass
    except OSError:  # a file system without such links
        temporary.replace(output / MANIFEST)
    finally:
        temporary.unlink(missing_ok=True)


def _manifest(identity: Mapping[str, object], done: Mapping[str, int], pieces: Sequence[Piece]) -> str:
    names = [_part_name(number) for number in range(len(pieces))]
    parts = [
        {**piece.to_json(), "part": name, "rows": done.get(name)}
        for name, piece in zip(names, pieces, strict=True)
    ]
    return json.dumps({**identity, "complete": len(done) == len(pieces), "parts": parts}, indent=1)
