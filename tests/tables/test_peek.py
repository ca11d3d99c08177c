"""A table's decisions are those that `peek` gives, row by row, whatever the document and the columns are."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convert_sdk import ANYWHERE, Client, MemoryStore, Project, Visitor
from convert_sdk._core.facts import Place
from convert_sdk._core.state import VisitorState
from convert_sdk.stores import Changes
from convert_sdk.tables.plan import make_plan
from convert_sdk.tables.stream import assigned
from tests.documents import Json
from tests.strategies import NAMES, documents, parsed

utf8 = st.text(st.characters(codec="utf-8"), max_size=8)
plain_texts = st.sampled_from(["pro", "free", "DE", "de", "", "30", "/cart", "null", "5.5"]) | utf8
COLUMNS: dict[str, tuple[pa.DataType, st.SearchStrategy[object]]] = {
    "text": (pa.string(), plain_texts),
    "large text": (pa.large_string(), plain_texts),
    "text view": (pa.string_view(), plain_texts),
    "dictionary": (pa.dictionary(pa.int8(), pa.string()), plain_texts),
    "int": (pa.int64(), st.sampled_from([18, 30, 0]) | st.integers(-(2**63), 2**63 - 1)),
    "small": (pa.int8(), st.sampled_from([18, 30]) | st.integers(-128, 127)),
    "unsigned": (pa.uint64(), st.sampled_from([18, 30]) | st.integers(0, 2**64 - 1)),
    "float": (pa.float64(), st.sampled_from([5.5, 18.0, 30.0]) | st.floats()),
    "single": (pa.float32(), st.sampled_from([5.5, 18.0]) | st.floats(width=32)),
    "bool": (pa.bool_(), st.booleans()),
    "decimal": (pa.decimal128(10, 2), st.sampled_from([Decimal("5.50"), Decimal("18.00"), Decimal("30.00")])),
    "time": (pa.timestamp("us"), st.datetimes(datetime(1990, 1, 1), datetime(2030, 1, 1))),  # noqa: DTZ001  # as told
    "duration": (pa.duration("s"), st.integers(0, 10**6).map(lambda n: timedelta(seconds=n))),
    "binary": (pa.binary(), st.binary(max_size=4)),
    "list": (pa.list_(pa.string()), st.lists(st.none() | plain_texts, max_size=3)),
    "numbers": (pa.list_(pa.float64()), st.lists(st.sampled_from([18.0, 5.5]) | st.floats(), max_size=3)),
    "struct": (
        pa.struct([("pro", pa.string()), ("18", pa.list_(pa.int64()))]),
        st.fixed_dictionaries({"pro": st.none() | plain_texts, "18": st.none() | st.just([18])}),
    ),
    "map": (
        pa.map_(pa.string(), pa.int64()),
        st.dictionaries(plain_texts, st.integers(0, 9), max_size=2).map(dict.items).map(list),
    ),
    "null": (pa.null(), st.none()),
}
IDS: dict[str, tuple[pa.DataType, st.SearchStrategy[object]]] = {
    "text": (pa.string(), utf8.filter(bool)),
    "large text": (pa.large_string(), st.text(st.characters(codec="utf-8"), min_size=1, max_size=300)),
    "text view": (pa.string_view(), utf8.filter(bool)),
    "dictionary": (pa.dictionary(pa.int32(), pa.string()), st.sampled_from(["a", "bb", "日本"])),
    "dictionary of views": (
        pa.dictionary(pa.int32(), pa.string_view()),
        st.sampled_from(["a", "bb", "a text that is not held in place"]),
    ),
    "int": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "small": (pa.int16(), st.integers(-(2**15), 2**15 - 1)),
    "unsigned": (pa.uint64(), st.integers(0, 2**64 - 1)),
}


@st.composite
def columns(
    draw: st.DrawFn,
    kinds: dict[str, tuple[pa.DataType, st.SearchStrategy[object]]],
    size: int,
    *,
    nulls: bool = True,
) -> pa.Array:
    """A column of some type."""
    kind, values = kinds[draw(st.sampled_from(sorted(kinds)))]
    cells = st.none() | values if nulls else values
    drawn = draw(st.lists(cells, min_size=size, max_size=size))
    if pa.types.is_dictionary(kind) and pa.types.is_string_view(
        kind.value_type
    ):  # which no list becomes by itself
        encoded = pa.array(drawn, pa.dictionary(kind.index_type, pa.string()))
        views = pa.array(encoded.dictionary.to_pylist(), pa.string_view())
        return pa.DictionaryArray.from_arrays(encoded.indices, views)
    return pa.array(drawn, kind)


class Asked(NamedTuple):
    """A table, and how it is asked."""

    table: pa.Table
    location: Place
    located: tuple[str, ...]
    environment: str | None
    state: str | None
    nulls: str


@st.composite
def tables(draw: st.DrawFn) -> Asked:
    """A table of visitors, with columns that rules ask for and columns that they do not."""
    size = draw(st.integers(1, 8))
    found = {"visitor": draw(columns(IDS, size, nulls=False))}
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True)):
        found[name] = draw(columns(COLUMNS, size))
    state = None
    if draw(st.booleans()):
        state = "state"
        found["state"] = pa.array(draw(st.lists(states, min_size=size, max_size=size)), pa.string())
    located = tuple(draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=2)))
    for name in located:
        found[f"location {name}"] = draw(columns(COLUMNS, size))
    return Asked(
        pa.table(found),
        draw(st.sampled_from([ANYWHERE, {}, ANYWHERE, None])) if not located else None,
        located,
        draw(st.sampled_from(["live", "live", "live", "qa", None])),
        state,
        draw(st.sampled_from(["none", "missing"])),
    )


remembered = st.builds(
    lambda bucketing, segments: VisitorState(bucketing, segments=segments).to_json(),
    st.dictionaries(st.sampled_from(["100", "200", "300"]), st.sampled_from("1239"), max_size=2),
    st.sampled_from([{}, {"customSegments": ["71"]}, {"country": "DE"}, {"plan": ["pro"], "age": {"30": 1}}]),
)
states: st.SearchStrategy[str | None] = st.none() | remembered


def row_by_row(project: Project, asked: Asked) -> list[Visitor]:
    """The visitors of a table, each made as an application would."""
    found = []
    for row in asked.table.to_pylist():
        state, visitor_id = row.pop("state", None), row.pop("visitor")
        known = {name: x for name, x in row.items() if x is not None or asked.nulls == "none"}
        place: Place = asked.location
        if asked.located:
            place = {name: known[f"location {name}"] for name in asked.located if f"location {name}" in known}
        attributes = {name: value for name, value in known.items() if not name.startswith("location ")}
        store = MemoryStore()
        if state is not None:
            kept = VisitorState.from_json(state)
            store.save(Changes(f"1-2-{visitor_id}", bucketing=kept.bucketing, segments=kept.segments))
        client = Client.offline(project, store=store, environment=asked.environment)
        found.append(client.visitor(visitor_id, attributes, location=place))
    return found


def decided(project: Project, asked: Asked, **more: object) -> list[Json]:
    """The rows that a table gives."""
    location = {name: f"location {name}" for name in asked.located} if asked.located else asked.location
    plan = make_plan(
        project,
        asked.table.schema,
        visitor="visitor",
        attributes=[name for name in asked.table.column_names if name in NAMES],
        location=location,
        state=asked.state,
        environment=asked.environment,
        nulls=asked.nulls,  # type: ignore[arg-type]  # one of the two
        keep=(),
        **more,  # type: ignore[arg-type]  # as the caller says
    )
    rows: list[Json] = []
    for batch in assigned(plan, asked.table.to_batches(), threads=1):
        batch.validate(full=True)
        rows += batch.to_pylist()
    return rows


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(documents(), tables())
def test_every_row_is_decided_as_peek_decides_it(raw: Json, asked: Asked) -> None:
    hold(raw, asked)


@pytest.mark.soak
@settings(max_examples=2_000, suppress_health_check=[HealthCheck.too_slow])
@given(documents(), tables())
def test_so_it_is_for_very_many_tables(raw: Json, asked: Asked) -> None:
    hold(raw, asked)


def hold(raw: Json, asked: Asked) -> None:
    """Hold the rows of a table against `peek`."""
    project = parsed(raw)
    features = [feature.key for feature in project.features]
    rows = decided(project, asked, features=features)
    for row, visitor in zip(rows, row_by_row(project, asked), strict=True):
        for experience in project.experiences:
            decision = visitor.peek(experience.key)
            assert {
                name: row[f"{experience.key}_{name}"]
                for name in ("variation_key", "variation_id", "reason", "bucket_value")
            } == {
                "variation_key": decision.variation_key,
                "variation_id": decision.variation_id,
                "reason": decision.reason.value,
                "bucket_value": decision.bucket_value,
            }
        for key in features:
            feature = visitor.peek_feature(key)
            assert row[f"{key}_enabled"] is feature.enabled
