"""Visitors as rows: read from a table, or made from the values that rules ask for; and what is decided for each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from random import Random
from typing import NamedTuple

from convert_sdk._core.asks import Asked, asks
from convert_sdk._core.decide import decide
from convert_sdk._core.decision import Decision
from convert_sdk._core.facts import ANYWHERE, Facts, Place
from convert_sdk._core.state import VisitorState
from convert_sdk._core.values import MISSING
from convert_sdk.project import Project

from .border_values import Border, border_values
from .state import named_state
from .typed_csv import CsvRow, read_typed_csv
from .vocabulary import near_names

_NO_FACTS: Mapping[str, object] = {}


class VisitorRow(NamedTuple):
    """One visitor of a table.

    >>> VisitorRow("v-1", {"country": "DE"}, {"path": "/"}).id
    'v-1'
    """

    id: str
    attributes: Mapping[str, object] = _NO_FACTS
    location: Place = _NO_FACTS
    state: Mapping[str, object] = _NO_FACTS
    """The remembered state; experiences and variations by keys or ids."""
    environment: str | None = None

    def __repr__(self) -> str:
        return f"VisitorRow({len(self.attributes)} attributes)"


def decide_row(
    project: Project, row: VisitorRow, keys: Iterable[str] | None = None, *, state: VisitorState | None = None
) -> list[Decision]:
    """The decisions for one visitor, as `decide_all` makes them for somebody of whom nothing else is known.

    Args:
        project: What is decided on.
        row: The visitor.
        keys: The experiences, in their order; without it all of the document.
        state: What is remembered, in place of the row's own; it learns what is decided.

    Raises:
        UnknownNameError: The row's state names what the project does not have.

    >>> [decision.variation_key for decision in decide_row(project, VisitorRow("v-42"))]
    ['classic', None]
    """
    remembered = named_state(project, row.state) if state is None else state
    environment = project.default_environment if row.environment is None else row.environment
    facts = Facts(row.id, row.attributes, row.location, environment, remembered)
    listed = [each.key for each in project.experiences] if keys is None else keys
    found: list[Decision] = []
    for key in listed:
        decision = decide(project, facts, key)
        if decision.experience is not None and decision.variation is not None:
            remembered.bucketing[decision.experience.id] = decision.variation.id
        found.append(decision)
    return found


def read_visitors(text: str) -> list[VisitorRow]:
    """The visitors of a table in CSV or JSON lines.

    CSV has a column `visitor_id` and columns `attributes.x`, `location.x`, `state.experience` (the key of the
    remembered variation) and `environment`; a column of another name is an attribute. A type may follow a name:
    `:text`, the default, `:number`, `:boolean` or `:json`. An empty cell is a missing value, `null` is null.
    A JSON line has `visitor_id`, and where it is known `attributes`, `location`, `state` and `environment`.

    Raises:
        ValueError: What is no such table, with the line.

    >>> read_visitors("visitor_id,country,age:number\\nv-1,DE,30")[0].attributes["age"]
    30
    """
    return [*(_json_rows(text) if text.lstrip().startswith("{") else _csv_rows(text))]


def sample_visitors(projects: Iterable[Project], count: int, seed: int = 42) -> Iterator[VisitorRow]:
    """Visitors whose facts are values on and beside the borders of the projects' rules; a seed gives the same ones.

    >>> [row.id for row in sample_visitors([project], 2)]
    ['visitor-1', 'visitor-2']
    """
    chance = Random(seed)  # noqa: S311 # no secret is made of it
    asked = [asks(project) for project in projects]
    attributes = _choices(each.attributes for each in asked)
    places = _choices(each.location for each in asked)
    for number in range(1, count + 1):
        yield VisitorRow(f"visitor-{number}", _drawn(chance, attributes), _drawn(chance, places))


def unknown_facts(project: Project, rows: Iterable[VisitorRow]) -> dict[str, list[str]]:
    """The facts of a table that no rule of the project asks for, each with the names that look like it.

    >>> unknown_facts(project, [VisitorRow("v-1", {"contry": "DE"})])
    {'attributes.contry': ['country']}
    """
    asked = asks(project)
    found: dict[str, list[str]] = {}
    for row in rows:
        location = row.location if isinstance(row.location, Mapping) else _NO_FACTS
        for where, facts, known in (
            ("attributes", row.attributes, asked.attributes),
            ("location", location, asked.location),
        ):
            for key in facts:
                if key not in known and f"{where}.{key}" not in found:
                    found[f"{where}.{key}"] = near_names(key, known)
    return found


def _choices(asked: Iterable[Asked]) -> dict[str, list[object]]:
    borders: dict[str, list[Border]] = {}
    for each in asked:
        for key, conditions in each.items():
            borders.setdefault(key, []).extend(
                Border(condition.operator, condition.comparand) for condition in conditions
            )
    return {key: border_values(listed) for key, listed in borders.items()}


def _drawn(chance: Random, choices: Mapping[str, list[object]]) -> dict[str, object]:
    drawn = {key: chance.choice(values) for key, values in choices.items()}
    return {key: value for key, value in drawn.items() if value is not MISSING}


def _json_rows(text: str) -> Iterator[VisitorRow]:
    for number, line in enumerate(text.split("\n"), 1):  # splitlines() cuts at U+2028 inside a text, too
        if not line.strip():
            continue
        try:
            fields: object = json.loads(line)
        except ValueError as error:
            raise ValueError(f"line {number}: not JSON: {error}") from None
        if not isinstance(fields, dict):
            raise ValueError(f"line {number}: expected an object")
        unknown = fields.keys() - {"visitor_id", "attributes", "location", "state", "environment"}
        if unknown:
            raise ValueError(f"line {number}: unknown {', '.join(sorted(unknown))}")
        place: Place = _NO_FACTS
        if fields.get("location") == "anywhere":
            place = ANYWHERE
        elif "location" in fields:
            place = None if fields["location"] is None else _object(fields, "location", number)
        yield VisitorRow(
            _id(fields.get("visitor_id"), number),
            _object(fields, "attributes", number),
            place,
            _object(fields, "state", number),
            _environment(fields.get("environment"), number),
        )


def _object(fields: Mapping[str, object], name: str, line: int) -> Mapping[str, object]:
    value = fields.get(name)
    if value is None:
        return _NO_FACTS
    if not isinstance(value, dict):
        raise ValueError(f"line {line}: {name} must be an object")
    return value


def _id(value: object, line: int) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value:
        raise ValueError(f"line {line}: expected a visitor_id that is not empty")
    return value


def _environment(value: object, line: int) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValueError(f"line {line}: environment must be text")
    return value


class _Column(NamedTuple):
    where: str
    key: str

    def __str__(self) -> str:
        return f"{self.where}.{self.key}" if self.key else self.where


def _csv_rows(text: str) -> Iterator[VisitorRow]:
    table = read_typed_csv(text)
    columns = {name: _column(name) for name in table.names}
    meant = [*columns.values()]
    if _Column("visitor_id", "") not in meant:
        raise ValueError("line 1: expected a column visitor_id")
    for column in meant:
        if meant.count(column) > 1:
            raise ValueError(f"line 1: two columns are {column}")
    for row in table.rows:
        yield _csv_row(columns, row)


def _column(name: str) -> _Column:
    if name in ("visitor_id", "environment"):
        return _Column(name, "")
    where, dot, key = name.partition(".")
    if dot and where in ("attributes", "location", "state"):
        return _Column(where, key)
    return _Column("attributes", name)


def _csv_row(columns: Mapping[str, _Column], row: CsvRow) -> VisitorRow:
    found: dict[str, dict[str, object]] = {"attributes": {}, "location": {}, "state": {}}
    own: dict[str, object] = {}
    for name, value in row.cells.items():
        where, key = columns[name]
        if key:
            found[where][key] = value
        else:
            own[where] = value
    return VisitorRow(
        _id(own.get("visitor_id"), row.line),
        found["attributes"],
        found["location"],
        {"bucketing": found["state"]} if found["state"] else _NO_FACTS,
        _environment(own.get("environment"), row.line),
    )
