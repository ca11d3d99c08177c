"""A project's decisions as one view of SQL, for engines in which no Python runs.

Theory of operation. The view hashes the experience's id and the visitor's by a function that the script defines, and
holds the hash against the same thresholds as the core. Rules become conditions only where the engine's answer is the
core's for every value; all others are refused by name. What no column can change, such as the environment, is asked of
the core when the script is written. A script begins with a check of fifty known hashes that fails the query.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from convert_sdk._core.decide import is_located
from convert_sdk._core.decision import Reason
from convert_sdk._core.facts import Facts, Place
from convert_sdk._core.js_regex.budget import one_call
from convert_sdk._core.model import Audience, Experience
from convert_sdk._core.state import NOTHING
from convert_sdk.errors import TableError
from convert_sdk.project import Project
from convert_sdk.tables.plan import RowFault, alike, check_nulls, chosen_experiences, experience_fields

from .conditions import KINDS, Conditions
from .dialects import DIALECTS, Dialect
from .golden import golden_rows

__all__ = ["DIALECTS", "write_sql"]

_LARGEST_TRAFFIC = 1 << 21
_HASHES = 1 << 32
_FAULT = "convert_fault"


def write_sql(
    project: Project,
    dialect: str,
    columns: Mapping[str, str],
    *,
    visitor: str = "id",
    table: str = "visitors",
    view: str = "assigned",
    experiences: Iterable[str] | None = None,
    location: Place = NOTHING,
    environment: str | None = None,
    nulls: Literal["none", "missing"] = "none",
) -> str:
    """Write the script: functions, self-check, and a view with the same columns as `assign` gives.

    Args:
        project: The project to decide by.
        dialect: duckdb, spark, postgres; bigquery and snowflake have bucketing and equality on text alone.
        columns: The columns of attributes, each with its type: text, number or boolean.
        visitor: The column of the visitor's id, text or whole numbers.
        table: The table or query of visitors, as SQL names it.
        view: The name of the view.
        experiences: The keys of experiences, all by default.
        location: The location of all rows.
        environment: The environment to decide for; by default the document's own.
        nulls: As for `assign`.

    Returns:
        The script.

    Raises:
        TableError: For rules that SQL cannot say, by name, columns whose type is not declared, and unknown names.

    >>> script = write_sql(project, "duckdb", {"country": "text"})
    >>> script.splitlines()[0]
    '-- convert-sdk: project 1/2, revision ...; for duckdb'
    """
    spoken = DIALECTS.get(dialect)
    if spoken is None:
        raise TableError(f"dialect must be one of {', '.join(DIALECTS)}, not {dialect!r}")
    for name, kind in columns.items():
        if kind not in KINDS:
            raise TableError(f"columns: {name!r} must be one of {', '.join(KINDS)}, not {kind!r}")
    check_nulls(nulls)
    _check_bucketing(project)
    wanted = chosen_experiences(project, experiences)
    conditions = Conditions(spoken, columns, nulls_are_missing=nulls == "missing")
    facts = Facts("-", location=location, environment=environment or project.default_environment)
    parts = [
        _ExperienceColumns(each, number, spoken, _gate(each, facts, conditions, spoken))
        for number, each in enumerate(wanted)
    ]
    if conditions.refused:
        told = "; ".join(dict.fromkeys(conditions.refused))
        raise TableError(
            f"SQL for {dialect} cannot say what the rules ask: {told}. Use assign, or leave the experience out"
        )
    kept = [visitor, *(name for name in columns if name != visitor)]
    _check_names(kept, parts)
    return (
        "\n\n".join(
            each
            for each in (
                _head(project, spoken),
                spoken.functions(project.bucketing.seed),
                _self_check(project, spoken),
                _view(spoken, kept, visitor, table, view, parts),
            )
            if each
        )
        + "\n"
    )


def _check_bucketing(project: Project) -> None:
    traffic = project.bucketing.max_traffic
    if not (int(traffic) == traffic and 0 < traffic <= _LARGEST_TRAFFIC):
        raise TableError(
            f"SQL cannot say a max_traffic of {traffic:g}: it must be whole, up to {_LARGEST_TRAFFIC}"
        )


def _check_names(kept: Iterable[str], parts: Iterable[_ExperienceColumns]) -> None:
    """Raise TableError for two columns of one name, or of names that are one to an engine without capitals."""
    inner = [_FAULT, *(name for part in parts for name in (part.hash_name, part.gate_name))]
    results = [field.name for part in parts for field in experience_fields(part.experience)]
    found = alike((*kept, *inner, *results))
    if found is not None:
        raise TableError(
            f"the script would have the columns {found[0]!r} and {found[1]!r}, which are one to SQL: rename the one of "
            "the table, or leave an experience out"
        )


def _head(project: Project, dialect: Dialect) -> str:
    named = f"{project.account_id}/{project.id}, revision {project.revision}"
    first = (
        f"-- convert-sdk: project {' '.join(named.split())}; for {dialect.name}"  # a line ends the comment
    )
    if dialect.run:
        return first
    return f"{first}\n-- NOT RUN BY US: no test of ours runs this engine. Compare a sample with what assign gives."


def _self_check(project: Project, dialect: Dialect) -> str:
    rows = golden_rows(project.bucketing)
    traffic = int(project.bucketing.max_traffic)
    hashed = dialect.hash("text", project.bucketing.seed)
    listed = [f"({dialect.literal(row.text)}, {row.hashed}, {row.bucket_value})" for row in rows]
    good = f"h = hashed AND {dialect.bucket_value('h', traffic)} = bucket_value"
    counted = f"sum(CASE WHEN {good} THEN 1 ELSE 0 END) = {len(rows)}"
    if dialect.name == "bigquery":
        struct = "STRUCT<text STRING, hashed INT64, bucket_value INT64>"
        golden = f"UNNEST(ARRAY<{struct}>[\n  " + ",\n  ".join(listed) + "\n])"
    else:
        golden = "(VALUES\n  " + ",\n  ".join(listed) + "\n) AS golden (text, hashed, bucket_value)"
    told = f"SELECT text, hashed, bucket_value, {hashed} AS h FROM {golden}"  # noqa: S608  # quoted
    return f"SELECT {dialect.failing(counted)} AS self_check FROM ({told}) AS checked;"  # noqa: S608  # as above


class _ExperienceColumns:
    """The columns of one experience."""

    def __init__(self, experience: Experience, number: int, dialect: Dialect, gate: str) -> None:
        self.experience = experience
        self.hash_name = f"convert_hash_{number}"
        self.gate_name = f"convert_gate_{number}"
        self.hash = dialect.column(self.hash_name)
        self.gate = dialect.column(self.gate_name)
        self.said_gate = gate
        self._dialect = dialect

    def columns(self, fault: str) -> list[str]:
        """Variation key, variation id, reason, bucket value."""
        said, key = self._dialect, self.experience.key
        open_ = f"{fault} IS NULL AND {self.gate} IS NULL"
        keys = self._steps(
            [None if each is None else said.literal(each.key) for each in self.experience.owners]
        )
        ids = self._steps(
            [None if each is None else said.literal(each.id) for each in self.experience.owners]
        )
        words = (Reason.NOT_ALLOCATED.value, Reason.BUCKETED.value)
        reasons = self._steps([said.literal(words[each is not None]) for each in self.experience.owners])
        traffic = int(self.experience.bucketing.max_traffic)
        value = said.bucket_value(self.hash, traffic)
        return [
            f"CASE WHEN {open_} THEN {keys} END AS {said.column(f'{key}_variation_key')}",
            f"CASE WHEN {open_} THEN {ids} END AS {said.column(f'{key}_variation_id')}",
            f"COALESCE({fault}, {self.gate}, {reasons}) AS {said.column(f'{key}_reason')}",
            f"CASE WHEN {open_} AND ({ids}) IS NOT NULL THEN {value} END AS {said.column(f'{key}_bucket_value')}",
        ]

    def _steps(self, values: list[str | None]) -> str:
        """The value of the step that the hash is on."""
        nothing = f"CAST(NULL AS {self._dialect.text})"
        steps = []
        for edge, value in zip(self.experience.thresholds, values, strict=False):
            if edge >= _HASHES:
                last = value or nothing
                break
            if edge > 0:
                steps.append(f"WHEN {self.hash} < {edge} THEN {value or nothing}")
        else:
            last = values[-1] or nothing
        return f"CASE {' '.join(steps)} ELSE {last} END" if steps else last


def _gate(experience: Experience, facts: Facts, conditions: Conditions, dialect: Dialect) -> str:
    """The reason that turns a row away, or NULL."""
    nothing = f"CAST(NULL AS {dialect.text})"
    if experience.archived:
        return dialect.literal(Reason.ARCHIVED.value)
    if experience.environment is not None and experience.environment != facts.environment:
        return dialect.literal(Reason.ENVIRONMENT.value)
    with one_call():
        located = facts.location is not None and (experience.unrestricted or is_located(experience, facts))
    if not located:
        return dialect.literal(Reason.LOCATION.value)
    last = nothing
    if not experience.variations:
        last = dialect.literal(Reason.NO_VARIATIONS.value)
    if experience.segments:  # nothing is remembered of anybody
        last = dialect.literal(Reason.SEGMENT.value)
    if not experience.audiences:
        return last
    between = " AND " if experience.match_all else " OR "
    said = between.join(_audience(each, conditions) for each in experience.audiences)
    return f"CASE WHEN {said} THEN {last} ELSE {dialect.literal(Reason.AUDIENCE.value)} END"


def _audience(audience: Audience, conditions: Conditions) -> str:
    if audience.exclusion is not None:
        return "TRUE" if audience.exclusion.holds({}) else "FALSE"
    return conditions.rules(audience.rules) if audience.rules else "FALSE"


def _view(
    dialect: Dialect, kept: list[str], visitor: str, table: str, view: str, parts: list[_ExperienceColumns]
) -> str:
    name = dialect.column(visitor)
    text = dialect.as_text(name)
    fault = dialect.column(_FAULT)
    listed = [dialect.column(each) for each in kept]
    no_id, empty_id = dialect.literal(RowFault.NO_ID.value), dialect.literal(RowFault.EMPTY_ID.value)
    inner = [
        *listed,
        f"CASE WHEN {name} IS NULL THEN {no_id} WHEN {text} = '' THEN {empty_id} END AS {fault}",
    ]
    for part in parts:
        experience = part.experience
        prefix = "" if experience.bucketing.exclude_experience_id else experience.id
        hashed = dialect.hash(
            f"concat({dialect.literal(prefix)}, {text})" if prefix else text, experience.seed
        )
        inner += [f"{hashed} AS {part.hash}", f"{part.said_gate} AS {part.gate}"]
    outer = [*listed, *(column for part in parts for column in part.columns(fault))]
    fence = "\n  OFFSET 0" if dialect.name == "postgres" else ""  # so that no hash is asked for twice
    create = "CREATE OR REPLACE TEMPORARY VIEW" if dialect.name == "spark" else "CREATE OR REPLACE VIEW"
    return (
        f"{create} {view} AS\nSELECT\n  "
        + ",\n  ".join(outer)
        + "\nFROM (\n  SELECT\n    "
        + ",\n    ".join(inner)
        + f"\n  FROM {table}{fence}\n) AS asked;"
    )
