"""Tables of rule tests: a row has facts, and the verdicts, variations, reasons and feature values that are expected.

A table is YAML 1.2, in which text stays text (`NO`, `1.10`, `12:30`), or CSV with types in its header (`age:number`).

>>> shop = project(audience("adults", attr("age") >= 18))
>>> table = parse_csv("name,attributes.age:number,expect.audience.adults\\nof age,18,true\\na minor,17,true")
>>> for result in run_table(table, shop):
...     print(result)
ok      of age
FAILED  a minor, row 2, line 3
    expected audience adults: true, found: false
        NO  audience adults
            NO  age not less 18, the visitor has 17
        decided by: age not less 18, the visitor has 17
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from io import StringIO
from os import PathLike
from pathlib import Path
from typing import Final, NamedTuple

from convert_sdk._checks import nearest
from convert_sdk._core.asks import Asks
from convert_sdk.errors import RuleTableError
from convert_sdk.project import Project

from .table_rows import EXPECT, Row, RowResult, check_columns, run_row

SUFFIXES: Final = (".yaml", ".yml", ".csv")


class Table(NamedTuple):
    """The rows of a file, and the project that it names."""

    name: str
    rows: tuple[Row, ...]
    project: Path | None = None
    header: tuple[str, ...] = ()
    """The columns of a CSV, which all of its rows share."""


def load_table(path: str | PathLike[str]) -> Table:
    """The rows of a file in YAML or CSV, by the end of its name.

    Args:
        path: A file such as `checkout.convert.yaml`.

    Returns:
        The table, with the path of the project that it names, if any.

    Raises:
        OSError: For a file that cannot be read.
        RuleTableError: For one that is no table, with the line.
    """
    file = Path(path)
    if file.suffix not in SUFFIXES:
        raise RuleTableError(str(file), None, f"expected a table in {', '.join(SUFFIXES)}")
    try:
        text = file.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RuleTableError(
            str(file), None, f"expected UTF-8, found another byte at {error.start}"
        ) from None
    if file.suffix == ".csv":
        return parse_csv(text, str(file))
    table = parse_yaml(text, str(file))
    return table if table.project is None else table._replace(project=file.parent / table.project)


def run_table(table: Table, project: Project) -> Iterator[RowResult]:
    """The result of every row, in order.

    Args:
        table: What `load_table`, `parse_yaml` and `parse_csv` give.
        project: The project to be tested.

    Returns:
        An iterator of results; `str(result)` says what failed and why. A row that cannot be run fails alone.

    Raises:
        RuleTableError: For a column of a CSV that the project knows nothing of.
    """
    asked = check_header(table, project)
    for row in table.rows:
        yield run_row(row, project, asked)


def check_header(table: Table, project: Project) -> Asks:
    """The facts that a project asks for. Raises RuleTableError for a column of a CSV that it knows nothing of."""
    asked = project.asks()
    for wrong in check_columns(table.header, project, asked):
        raise RuleTableError(table.name, 1, wrong)
    return asked


_FIELDS = ("project", "defaults", "rows")


def parse_yaml(text: str, name: str = "table") -> Table:
    """The rows of a table in YAML: a list, or a mapping with `rows`, and `project` and `defaults` if wanted.

    Args:
        text: The YAML.
        name: The name for messages.

    Returns:
        The table; `attributes: {age: 18}` is the column `attributes.age`.

    Raises:
        RuleTableError: For what is no table, with the line.
    """
    from .yaml_values import read_yaml

    found, line_of = read_yaml(text, name)
    named: object = None
    defaults: object = {}
    rows = found
    if isinstance(found, dict):
        for key in found:
            if key not in _FIELDS:
                raise RuleTableError(
                    name,
                    line_of(found),
                    f"expected {', '.join(_FIELDS)}, not {key!r}{nearest(str(key), _FIELDS)}",
                )
        named, defaults, rows = found.get("project"), found.get("defaults") or {}, found.get("rows")
    if not isinstance(rows, list) or not rows:
        raise RuleTableError(
            name, line_of(found), "expected a list of rows, or a mapping that has one as `rows`"
        )
    if not isinstance(defaults, dict):
        raise RuleTableError(name, line_of(found), "expected a mapping as `defaults`")
    if named is not None and not isinstance(named, str):
        raise RuleTableError(name, line_of(found), "expected a path as `project`")
    listed = []
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise RuleTableError(name, line_of(rows), f"row {number}: expected a mapping, found {row!r}")
        columns = {**_columns(defaults), **_columns(row)}
        listed.append(Row(number, line_of(row), columns))
    return Table(name, tuple(listed), None if named is None else Path(named))


_GROUPS = ("attributes", "location", "rule_data", "state", "segments")


def _columns(row: Mapping[object, object]) -> dict[str, object]:
    """A row's cells by column; the mappings of facts and expectations in it are columns, too."""
    columns: dict[str, object] = {}
    for key, value in row.items():
        head = str(key)
        if head in _GROUPS and isinstance(value, dict):
            columns.update({f"{head}.{each}": inner for each, inner in value.items()})
        elif head == EXPECT and isinstance(value, dict):
            columns.update(_expected(value))
        else:
            columns[head] = value
    return columns


def _expected(found: Mapping[object, object]) -> Iterator[tuple[str, object]]:
    for kind, value in found.items():
        if not isinstance(value, dict):
            yield f"{EXPECT}.{kind}", value
            continue
        for key, inner in value.items():
            if kind == "feature" and isinstance(inner, dict):
                yield from ((f"{EXPECT}.feature.{key}.{each}", wanted) for each, wanted in inner.items())
            else:
                yield f"{EXPECT}.{kind}.{key}", inner


def parse_csv(text: str, name: str = "table") -> Table:
    """The rows of a table in CSV.

    Args:
        text: The CSV, with commas, semicolons or tabs. A type may follow a column's name: `:text` (the default),
            `:number`, `:boolean` or `:json`. An empty cell is a missing value, and `null` is null.
        name: The name for messages.

    Returns:
        The table.

    Raises:
        RuleTableError: For what is no table, with the line.
    """
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(StringIO(text), delimiter=delimiter, strict=True)
    rows: list[Row] = []
    try:
        names = next(reader, [])
        columns = [_column(each.strip(), name) for each in names]
        twice = {each.name for each in columns if [other.name for other in columns].count(each.name) > 1}
        if not columns or twice:
            what = f"the column {min(twice)} stands twice" if twice else "expected a header of columns"
            raise RuleTableError(name, 1, what)
        for cells in reader:
            line = reader.line_num
            if not any(cells):
                continue
            if len(cells) > len(columns):
                raise RuleTableError(name, line, f"{len(cells)} cells under {len(columns)} columns")
            found = {
                column.name: _cell(column, cell, name, line)
                for column, cell in zip(columns, cells, strict=False)
                if cell
            }
            rows.append(Row(len(rows) + 1, line, found))
    except csv.Error as error:
        raise RuleTableError(name, reader.line_num, str(error)) from None
    return Table(name, tuple(rows), header=tuple(column.name for column in columns))


class _TypedColumn(NamedTuple):
    name: str
    type: str


def _column(header: str, table: str) -> _TypedColumn:
    name, colon, type_name = header.rpartition(":")
    if colon and type_name in _TYPES:
        return _TypedColumn(name, type_name)
    if colon and (near := nearest(type_name, _TYPES)):
        raise RuleTableError(table, 1, f"{header!r}: the types are {', '.join(_TYPES)}{near}")
    return _TypedColumn(header, "")


def _number(cell: str) -> object:
    value: object = json.loads(cell)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError
    return value


_BOOLEANS = {"true": True, "false": False}
_TYPES: Mapping[str, Callable[[str], object]] = {
    "text": str,
    "number": _number,
    "boolean": lambda cell: _BOOLEANS[cell.lower()],
    "json": json.loads,
}


def _cell(column: _TypedColumn, cell: str, table: str, line: int) -> object:
    if cell == "null":
        return None
    try:
        return _TYPES[column.type or "text"](cell)
    except (ValueError, KeyError):
        raise RuleTableError(table, line, f"{column.name}: {cell!r} is no {column.type}") from None
