"""CSV with types in its header (`age:number`), as tables of visitors and tables of rule tests have it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from io import StringIO
from typing import NamedTuple

from convert_sdk._checks import nearest


class CsvError(ValueError):
    """A CSV that cannot be read; `line` says where.

    >>> str(CsvError(2, "2 cells under 1 columns"))
    'line 2: 2 cells under 1 columns'
    """

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line
        self.message = message


class CsvRow(NamedTuple):
    """One row: its line, and its cells by column; an empty cell is a missing one."""

    line: int
    cells: dict[str, object]


class TypedCsv(NamedTuple):
    """The names of the columns, and the rows, each read when it is asked for."""

    names: tuple[str, ...]
    rows: Iterator[CsvRow]


def read_typed_csv(text: str) -> TypedCsv:
    """Read a CSV with commas, semicolons or tabs.

    A type may follow a column's name: `:text`, the default, `:number`, `:boolean` or `:json`; what else follows a
    colon is a part of the name. The cell `null` is None.

    Raises:
        CsvError: For what is no such table, the rows included when they are asked for.

    >>> names, rows = read_typed_csv("utm:source;age:number\\nmail;30")
    >>> names, next(rows).cells
    (('utm:source', 'age'), {'utm:source': 'mail', 'age': 30})
    """
    lines = _lines(text)
    _, header = next(lines, (1, []))
    columns = [_column(each.strip()) for each in header]
    names = tuple(column.name for column in columns)
    twice = [name for name in names if names.count(name) > 1]
    if not columns or twice:
        raise CsvError(
            1, f"the column {min(twice)} stands twice" if twice else "expected a header of columns"
        )
    return TypedCsv(names, (_row(columns, cells, line) for line, cells in lines if any(cells)))


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """The lines of a CSV, each after its number."""
    header = text.partition("\n")[0]
    reader = csv.reader(StringIO(text), delimiter=max(",;\t", key=header.count), strict=True)
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        raise CsvError(reader.line_num, str(error)) from None


class _TypedColumn(NamedTuple):
    name: str
    type: str


def _number(cell: str) -> object:
    value: object = json.loads(cell)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(cell)
    return value


_BOOLEANS = {"true": True, "false": False}
_TYPES: Mapping[str, Callable[[str], object]] = {
    "text": str,
    "number": _number,
    "boolean": lambda cell: _BOOLEANS[cell.lower()],
    "json": json.loads,
}
_OTHER_TYPES = frozenset({"decimal", "float", "int", "integer", "str", "string"})
"""Types of elsewhere: whoever writes one means no part of a name."""


def _column(header: str) -> _TypedColumn:
    name, colon, type_name = header.rpartition(":")
    if colon and type_name in _TYPES:
        return _TypedColumn(name, type_name)
    near = nearest(type_name, _TYPES) if colon else ""
    if colon and (near or type_name in _OTHER_TYPES):
        raise CsvError(1, f"{header!r}: the types are {', '.join(_TYPES)}{near}")
    return _TypedColumn(header, "text")


def _row(columns: list[_TypedColumn], cells: list[str], line: int) -> CsvRow:
    if len(cells) > len(columns):
        raise CsvError(line, f"{len(cells)} cells under {len(columns)} columns")
    given = zip(columns, cells, strict=False)
    return CsvRow(line, {column.name: _value(column, cell, line) for column, cell in given if cell})


def _value(column: _TypedColumn, cell: str, line: int) -> object:
    if cell == "null":
        return None
    try:
        return _TYPES[column.type](cell)
    except (ValueError, KeyError):
        raise CsvError(line, f"{column.name}: {cell!r} is no {column.type}") from None
