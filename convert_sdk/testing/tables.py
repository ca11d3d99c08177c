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

from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Final, NamedTuple

from convert_sdk._checks import nearest
from convert_sdk._core.asks import Asks
from convert_sdk.analysis.typed_csv import CsvError, read_typed_csv
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
    try:
        found = read_typed_csv(text)
        rows = tuple(Row(number, line, cells) for number, (line, cells) in enumerate(found.rows, 1))
    except CsvError as error:
        raise RuleTableError(name, error.line, error.message) from None
    if not rows:
        raise RuleTableError(name, 1, "expected rows under the header")
    return Table(name, rows, header=found.names)
