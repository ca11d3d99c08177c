"""The plan of an assignment: the columns that give facts, the experiences to decide, the columns of the result."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Literal, NamedTuple, TypedDict

import pyarrow as pa

from convert_sdk import _checks as check
from convert_sdk._core.decision import Reason
from convert_sdk._core.events import to_json
from convert_sdk._core.facts import Place
from convert_sdk._core.model import Experience, Feature, Variation
from convert_sdk._core.state import NOTHING
from convert_sdk.errors import TableError
from convert_sdk.project import Project

from .columns import check_ids, is_text
from .questions import Fact, asked

logger = logging.getLogger("convert_sdk")

Columns = Literal["*"] | Sequence[str] | Mapping[str, "str | Constant"]
"""The columns that give facts: "*" for all that are left, their names, or a column or constant by the fact's name."""


class Constant:
    """A fact that is the same for every row, in the place of a column's name.

    >>> Constant("DE").value
    'DE'
    """

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "Constant(…)"


class RowFault(StrEnum):
    """The reason in a row that nothing can be decided for, beside those of `Reason`.

    >>> RowFault.NO_ID.value
    'no_id'
    """

    NO_ID = "no_id"
    """The visitor's id is null."""
    EMPTY_ID = "empty_id"
    """The visitor's id is empty text."""
    UNREADABLE_ID = "unreadable_id"
    """The visitor's id is no UTF-8."""
    UNREADABLE_ATTRIBUTE = "unreadable_attribute"
    """A fact that a rule asks for cannot be read."""
    UNREADABLE_STATE = "unreadable_state"
    """The remembered state is not what `VisitorState.to_json` writes."""


class FactSource(NamedTuple):
    """The columns that facts come from."""

    columns: Mapping[Fact, str]
    attributes: Mapping[str, object]
    """Attributes that are the same for every row."""
    location: Place


REASONS = tuple(each.value for each in Reason) + tuple(each.value for each in RowFault)
"""Every word of a reason column; its codes are their places."""

_BUCKET_VALUE = "_bucket_value"
TEXTS = pa.dictionary(pa.int16(), pa.string())
"""The type of the columns of keys, ids and reasons."""


class TablePlan(NamedTuple):
    """Everything about an assignment that is known before the first row."""

    project: Project
    visitor: str
    bucketing_id: str | None
    state: str | None
    source: FactSource
    environment: str | None
    nulls_are_missing: bool
    experiences: tuple[Experience, ...]
    """Those whose decisions are given."""
    decided: tuple[Experience, ...]
    """Those, and the ones that features need."""
    features: tuple[Feature, ...]
    kept: tuple[str, ...]
    """The columns of the table that the result holds too."""
    schema: pa.Schema

    @property
    def asked(self) -> set[str]:
        """The columns of the table that decide: ids, states and facts."""
        own = {each for each in (self.bucketing_id, self.state) if each is not None}
        return own | {self.visitor, *self.source.columns.values()}

    @property
    def needed(self) -> list[str]:
        """The columns of the table that are read at all."""
        return sorted({*self.kept, *self.asked})


class TableArguments(TypedDict, total=False):
    """The arguments of `assign` that every engine takes; each has the default that it has there."""

    visitor: str
    attributes: Columns
    location: Place | Columns
    experiences: Iterable[str] | None
    features: Iterable[str]
    state: str | None
    bucketing_id: str | None
    environment: str | None
    nulls: Literal["none", "missing"]
    keep: Literal["*"] | Iterable[str]


def make_plan(
    project: Project,
    schema: pa.Schema,
    *,
    visitor: str = "id",
    attributes: Columns = "*",
    location: Place | Columns = NOTHING,
    experiences: Iterable[str] | None = None,
    features: Iterable[str] = (),
    state: str | None = None,
    bucketing_id: str | None = None,
    environment: str | None = None,
    nulls: Literal["none", "missing"] = "none",
    keep: Literal["*"] | Iterable[str] = "*",
) -> TablePlan:
    """Check what is asked against the table and the project. Raises TableError, which names what does not fit."""
    check_nulls(nulls)
    need_column(schema, visitor, "visitor")
    check_ids(visitor, schema.field(visitor).type)
    if bucketing_id is not None:
        need_column(schema, bucketing_id, "bucketing_id")
        check_ids(bucketing_id, schema.field(bucketing_id).type)
    if state is not None:
        need_column(schema, state, "state")
        _check_state(state, schema.field(state).type)
    asked_for = chosen_experiences(project, experiences)
    wanted = _features(project, features)
    carriers = [each for feature in wanted for each in project.carriers(feature.id)]
    decided = tuple(dict.fromkeys((*asked_for, *carriers)))
    own = {each for each in (visitor, bucketing_id, state) if each is not None}
    source = _source(schema, attributes, location, own, decided)
    kept = tuple(schema.names) if keep == "*" else tuple(check.keys(keep))
    for name in kept:
        need_column(schema, name, "keep")
    results = [field for each in asked_for for field in experience_fields(each)]
    results += [field for each in wanted for field in feature_fields(each)]
    _check_names([*kept, *(field.name for field in results)])
    return TablePlan(
        project=project,
        visitor=visitor,
        bucketing_id=bucketing_id,
        state=state,
        source=source,
        environment=check.environment(environment, project.default_environment),
        nulls_are_missing=nulls == "missing",
        experiences=asked_for,
        decided=decided,
        features=wanted,
        kept=kept,
        schema=pa.schema([*(schema.field(name) for name in kept), *results]),
    )


def check_nulls(nulls: str) -> None:
    """Check the word for nulls. Raises TableError for another one."""
    if nulls not in ("none", "missing"):
        raise TableError(f'nulls must be "none" or "missing", not {nulls!r}')


def experience_fields(experience: Experience) -> list[pa.Field]:
    """The four columns that an experience gives."""
    key = experience.key
    return [
        pa.field(f"{key}_variation_key", TEXTS),
        pa.field(f"{key}_variation_id", TEXTS),
        pa.field(f"{key}_reason", TEXTS, nullable=False),
        pa.field(f"{key}{_BUCKET_VALUE}", bucket_type(experience)),
    ]


def is_bucket_value(field: pa.Field) -> bool:
    """True if a column looks like bucket values: files hold them in another way than other numbers."""
    return bool(field.name.endswith(_BUCKET_VALUE) and pa.types.is_integer(field.type))


def feature_fields(feature: Feature) -> list[pa.Field]:
    """The two columns that a feature gives."""
    return [pa.field(f"{feature.key}_enabled", pa.bool_()), pa.field(f"{feature.key}_variables", TEXTS)]


def bucket_type(experience: Experience) -> pa.DataType:
    """The type of an experience's bucket values. Raises TableError where no whole number of a table holds them."""
    most = abs(experience.bucketing.max_traffic)
    if not most < 1 << 62:
        raise TableError(f"max_traffic {most:g} gives bucket values beyond the 64 bits of a table's numbers")
    return pa.int32() if most < 1 << 31 else pa.int64()


def variables_json(variation: Variation | None, feature: Feature) -> str | None:
    """The variables that a variation sets a feature to, as JSON; None where it does not enable it."""
    changes = variation.changes if variation is not None else ()
    change = next((x for x in changes if x.feature is not None and x.feature.key == feature.key), None)
    return None if change is None else to_json(dict(change.variables))


def unasked(plan: TablePlan) -> list[str]:
    """The facts that rules ask for and that nothing gives: whoever is asked for them has none."""
    place = plan.source.location
    given = set(plan.source.columns) | {Fact(name, of_location=False) for name in plan.source.attributes}
    located = place if isinstance(place, Mapping) else None
    if located is not None:
        given |= {Fact(name, of_location=True) for name in located}
    wanted = {fact for experience in plan.decided for fact, _ in asked(experience) if fact.name}
    return sorted(
        f"{'location ' if each.of_location else ''}{each.name}"
        for each in wanted - given
        if not each.of_location or located is not None
    )


def tell_unasked(plan: TablePlan, source: str) -> None:
    """Log the facts that rules ask for and that a source does not give."""
    missing = unasked(plan)
    if missing:
        logger.warning("rules ask for %s, which the %s not give", ", ".join(missing), source)


def need_column(schema: pa.Schema, name: str, argument: str) -> None:
    """Check that a table has one column of a name. Raises TableError where it has none or several."""
    count = schema.names.count(name)
    if count == 1:
        return
    if count:
        raise TableError(f"{argument}: the table has {count} columns named {name!r}; rename all but one")
    hint = f"; Constant({name!r}) is the same for every row" if argument == "location" else ""
    raise TableError(f"{argument}: the table has no column {name!r}; it has {_listed(schema.names)}{hint}")


def alike(names: Iterable[str]) -> tuple[str, str] | None:
    """The first two names that are one to DuckDB, to which capitals of ASCII make no difference; None without such."""
    seen: dict[bytes, str] = {}
    for name in names:
        lowered = name.encode().lower()  # of bytes, it is ASCII that is lowered
        if lowered in seen:
            return seen[lowered], name
        seen[lowered] = name
    return None


def check_unlike(plan: TablePlan, instead: str) -> None:
    """Check that DuckDB can hold the result. Raises TableError for two columns that only capitals tell apart."""
    found = alike(plan.schema.names)
    if found is not None:
        raise TableError(
            f"the result would have the columns {found[0]!r} and {found[1]!r}, which only capitals tell apart: "
            f"rename the one of the table, or {instead}"
        )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (", …" if len(names) > 20 else "") if names else "no columns"


def _check_names(names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise TableError(
                f"the result would have two columns {name!r}: rename the one of the table, or leave it out of keep"
            )
        seen.add(name)


def _check_state(name: str, kind: pa.DataType) -> None:
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    of_ids = pa.types.is_map(inner) and _is_id(inner.key_type) and _is_id(inner.item_type)
    if not (is_text(inner) or of_ids or pa.types.is_null(inner)):
        raise TableError(
            f"state: column {name!r} is {kind}; it must be JSON text of VisitorState.to_json(), or a map of "
            "experience ids to variation ids"
        )


def _is_id(kind: pa.DataType) -> bool:
    return is_text(kind) or bool(pa.types.is_integer(kind))


def chosen_experiences(project: Project, keys: Iterable[str] | None) -> tuple[Experience, ...]:
    """The experiences of these keys, all for None. Raises TableError for a key that the project does not have."""
    known = {each.key: found for each in project.experiences if (found := project.experiences.get(each.key))}
    if keys is None:
        return tuple(known.values())
    wanted = dict.fromkeys(check.keys(keys))
    for key in wanted:
        if key not in known:
            raise TableError(f"experiences: the project has no {key!r}; it has {_listed([*known])}")
    return tuple(known[key] for key in wanted)


def _features(project: Project, keys: Iterable[str]) -> tuple[Feature, ...]:
    found: list[Feature] = []
    for key in dict.fromkeys(check.keys(keys)):
        feature = project.features.get(key)
        if feature is None:
            raise TableError(
                f"features: the project has no {key!r}; it has {_listed([each.key for each in project.features])}"
            )
        found.append(feature)
    return tuple(found)


def _source(
    schema: pa.Schema,
    attributes: Columns,
    location: Place | Columns,
    own: set[str],
    decided: Sequence[Experience],
) -> FactSource:
    """The columns of the facts that are asked for; others are not read."""
    rest = [name for name in schema.names if name not in own and schema.names.count(name) == 1]
    wanted = {fact for experience in decided for fact, _ in asked(experience)}
    columns: dict[Fact, str] = {}
    constants: dict[bool, dict[str, object]] = {False: {}, True: {}}
    given = [(attributes, False)]
    is_place = location is None or not isinstance(location, (str, Mapping, Sequence))
    if not is_place:
        given.append((location, True))  # type: ignore[arg-type]  # what is no Place names columns
    for named, of_location in given:
        argument = "location" if of_location else "attributes"
        for name, column in _named(named, rest, argument).items():
            if isinstance(column, Constant):
                constants[of_location][name] = column.value
                continue
            need_column(schema, column, argument)
            if Fact(name, of_location) in wanted:
                columns[Fact(name, of_location)] = column
    place: Place = location if is_place else constants[True]  # type: ignore[assignment]  # as above
    return FactSource(columns, constants[False], place)


def _named(given: Columns, rest: Sequence[str], argument: str) -> Mapping[str, str | Constant]:
    if given == "*":
        return {name: name for name in rest}
    if isinstance(given, str):
        raise TypeError(f'{argument} must be "*", a list of columns or a mapping, not the text {given!r}')
    if not isinstance(given, Mapping):
        return {name: name for name in check.keys(given)}
    for name, column in given.items():
        if not isinstance(name, str) or not isinstance(column, (str, Constant)):
            raise TypeError(
                f"{argument} must map names to columns, which are texts, or to Constant(…); not {name!r} to a "
                f"{type(column).__name__}"
            )
    return given
