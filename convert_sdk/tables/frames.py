"""The kinds of tables: each is read as Arrow batches, and what was decided is given back as the same kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar, cast

import pyarrow as pa

from convert_sdk.errors import TableError

from .plan import check_unlike

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import polars as pl

    from .plan import TablePlan

Frame = TypeVar("Frame")
Planned = Callable[[pa.Schema], "TablePlan"]
"""Makes the plan for the columns of a table."""
Run = Callable[["TablePlan", Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]
"""Decides batches."""


def through(table: Frame, planned: Planned, run: Run, connection: object = None) -> Frame:
    """Run a table through an assignment. Raises TypeError for what is no table that is known."""
    found: object
    if isinstance(table, pa.Table):
        found = _arrow_table(table, planned, run)
    elif isinstance(table, pa.RecordBatch):
        whole = _arrow_table(pa.Table.from_batches([table]), planned, run).combine_chunks()
        found = whole.to_batches()[0] if whole.num_rows else _none_of(whole.schema)
    else:
        kind = type(table)
        made: Callable[..., object] = _KINDS.get(
            f"{kind.__module__.partition('.')[0]}.{kind.__name__}", _stream
        )
        found = made(table, planned, run, connection)
    return cast("Frame", found)


def _arrow_table(table: pa.Table, planned: Planned, run: Run) -> pa.Table:
    plan = planned(table.schema)
    batches = table.select(plan.needed).to_batches()
    return pa.Table.from_batches(run(plan, batches or [_none_of(table.schema)]), plan.schema)


def _none_of(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema)


def _stream(table: object, planned: Planned, run: Run, connection: object) -> pa.RecordBatchReader:  # noqa: ARG001  # as the others
    if not hasattr(table, "__arrow_c_stream__"):
        raise TypeError(
            "a table is one of pyarrow, polars, pandas, DuckDB or narwhals, or anything with __arrow_c_stream__; not "
            f"{type(table).__name__}"
        )
    reader = pa.RecordBatchReader.from_stream(table)
    plan = planned(reader.schema)
    return pa.RecordBatchReader.from_batches(plan.schema, run(plan, reader))


class RelationSource:
    """A DuckDB relation with its decisions, read anew by each query that asks for it."""

    __slots__ = ("_plan", "_relation", "_run", "connection")

    def __init__(self, relation: duckdb.DuckDBPyRelation, plan: TablePlan, run: Run) -> None:
        self._relation = relation
        self._plan = plan
        self._run = run
        self.connection: object = None
        """The connection of the result: kept here, as a relation does not keep its own open."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        reader = pa.RecordBatchReader.from_batches(self._plan.schema, self._batches())
        return reader.__arrow_c_stream__(requested_schema)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        """Nothing is read before the first batch is asked for: a look at the schema costs no query."""
        yield from self._run(self._plan, relation_reader(self._relation.select(*_columns(self._plan.needed))))


def _columns(names: Iterable[str]) -> list[duckdb.Expression]:
    from duckdb import ColumnExpression

    return [ColumnExpression(name) for name in names]


def relation_reader(relation: duckdb.DuckDBPyRelation) -> pa.RecordBatchReader:
    """The rows of a relation as Arrow batches."""
    from .stream import ROWS

    newer: Callable[[int], pa.RecordBatchReader] | None = getattr(
        relation, "to_arrow_reader", None
    )  # its name since DuckDB 1.4
    return (newer or relation.fetch_arrow_reader)(ROWS)


def _relation(
    table: duckdb.DuckDBPyRelation, planned: Planned, run: Run, connection: duckdb.DuckDBPyConnection | None
) -> duckdb.DuckDBPyRelation:
    import duckdb

    plan = planned(relation_reader(table.limit(0)).schema)
    check_unlike(plan, "leave it out of keep")
    # What runs inside a query cannot use the connection of that query: the result has one of its own.
    other = connection.cursor() if connection is not None else duckdb.cursor()
    source = RelationSource(table, plan, run)
    source.connection = other
    return other.from_arrow(source)


def _pandas(table: pd.DataFrame, planned: Planned, run: Run, connection: object) -> pd.DataFrame:  # noqa: ARG001  # as the others
    import pandas as pd

    if not table.columns.is_unique:
        raise TableError("the table has two columns of one name; rename all but one")
    rows, faults = _of_pandas(table)
    plan = planned(rows.schema)
    labels = [label for label in table.columns if isinstance(label, str)]
    for name in plan.needed:
        if name not in labels:
            raise TableError(f"the label of column {name} is no text: rename it, or leave it out of keep")
        if name in plan.asked and name in faults:
            raise TableError(
                f"column {name!r} has values that Arrow cannot hold together, such as text beside numbers: give it "
                "one type"
            ) from faults[name]
    results = [name for name in plan.schema.names if name not in plan.kept]
    batches = rows.select(plan.needed).to_batches() or [_none_of(rows.schema)]
    found = pa.Table.from_batches(
        (batch.select(results) for batch in run(plan, batches)),
        pa.schema([plan.schema.field(name) for name in results]),
    )
    nullable = {pa.int32(): pd.Int32Dtype(), pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    made = found.to_pandas(types_mapper=nullable.get).set_axis(table.index)
    return pd.concat([table[list(plan.kept)], made], axis=1)


def _of_pandas(table: pd.DataFrame) -> tuple[pa.Table, dict[str, Exception]]:
    """A frame in Arrow, and why columns are missing in it: they are nulls, as most often nobody asks for them."""
    columns: list[pa.Array] = []
    faults: dict[str, Exception] = {}
    for label, column in table.items():
        try:
            columns.append(pa.array(column, from_pandas=True))
        except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
            columns.append(pa.nulls(len(table)))
            faults[str(label)] = error
    return pa.table(columns, [str(label) for label in table.columns]), faults


def _polars(table: pl.DataFrame, planned: Planned, run: Run, connection: object) -> pl.DataFrame:  # noqa: ARG001  # as the others
    import polars as pl

    rows = table.to_arrow()
    plan = planned(rows.schema)
    results = [name for name in plan.schema.names if name not in plan.kept]
    batches = rows.select(plan.needed).to_batches() or [_none_of(rows.schema)]
    found = pa.Table.from_batches(
        (batch.select(results) for batch in run(plan, batches)),
        pa.schema([plan.schema.field(name) for name in results]),
    )
    made = cast("pl.DataFrame", pl.from_arrow(found))
    return table.select(plan.kept).hstack(made)


def _polars_lazy(table: pl.LazyFrame, planned: Planned, run: Run, connection: object) -> pl.LazyFrame:
    import polars as pl

    nothing = _polars(pl.DataFrame(schema=table.collect_schema()), planned, run, connection)
    return table.map_batches(
        lambda part: _polars(part, planned, run, connection), schema=nothing.schema, streamable=True
    )


def _narwhals(table: object, planned: Planned, run: Run, connection: object) -> object:
    import narwhals as nw

    native: object = nw.to_native(table)  # type: ignore[call-overload]  # whatever a frame of narwhals holds
    found = through(native, planned, run, connection)
    return nw.from_native(found)  # type: ignore[call-overload]  # as above


_KINDS: dict[str, Callable[..., object]] = {
    "duckdb.DuckDBPyRelation": _relation,
    "_duckdb.DuckDBPyRelation": _relation,
    "pandas.DataFrame": _pandas,
    "polars.DataFrame": _polars,
    "polars.LazyFrame": _polars_lazy,
    "narwhals.DataFrame": _narwhals,
    "narwhals.LazyFrame": _narwhals,
}
