"""`assign`: a column of decisions for a table of visitors.

Theory of operation. A table comes in as Arrow batches and goes out as Arrow batches, so that its size is bounded by
neither end. For each batch, `questions` finds by the core's own `decide` what each row's facts lead to: refused, kept
from earlier, or "ask the hash". `hashing` hashes the ids of all rows, once for each experience; `evaluate` looks the
hashes up in the experience's thresholds, puts both together into one number a row, the number of an answer, and lays
out the columns of the result, which are codes of that number. Nothing here knows an operator or a gate: the core
decides, once for each kind of visitor, and the table repeats it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import pyarrow as pa

from convert_sdk._core.facts import Place
from convert_sdk._core.state import NOTHING
from convert_sdk.project import Project

from .frames import Frame, through
from .plan import Columns, TablePlan, make_plan, tell_unasked
from .stream import assigned


def assign(
    project: Project,
    table: Frame,
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
    threads: int | None = None,
    connection: object = None,
) -> Frame:
    """Decide for every row of a table: what `peek` gives for a visitor with the row's facts.

    Args:
        project: The project to decide by.
        table: A pyarrow Table, RecordBatch or RecordBatchReader, a polars DataFrame or LazyFrame, a pandas DataFrame,
            a DuckDB relation, a narwhals frame of these, or anything with `__arrow_c_stream__`.
        visitor: The column of the visitor's id: text or whole numbers.
        attributes: "*" takes every column that is left, a list those, a mapping gives the column of each attribute;
            `Constant(value)` in place of a column is the same for every row.
        location: The same for the location, or a location for all rows: `ANYWHERE`, or None for "not known".
        experiences: The keys of the experiences to decide, all by default.
        features: The keys of the features to resolve.
        state: A column of what is remembered of each visitor: JSON of `VisitorState.to_json()`, or a map of
            experience ids to variation ids. Decisions stay, and audiences may ask for other experiences.
        bucketing_id: A column that is hashed in place of the visitor's id; where it is null or empty, the id is.
        environment: The environment to decide for; by default the document's own.
        nulls: "none" takes a null for Python's None, as `to_pylist` gives it; "missing" leaves the fact out.
        keep: The columns of the table that the result has too.
        threads: The batches that are decided at once; by default as many as there are processors.
        connection: Of a DuckDB relation, the connection whose database the result belongs to.

    Returns:
        The same kind of table: the columns of `keep`, and for each experience `{key}_variation_key`,
        `{key}_variation_id`, `{key}_reason` and `{key}_bucket_value`, for each feature `{key}_enabled` and
        `{key}_variables` (JSON). What streams in streams out; a C stream gives a RecordBatchReader.

    Raises:
        TableError: For a column that is missing or of a type that cannot be used, and for unknown keys. A row in which
            something is wrong has that as its reason, one of `RowFault`, and costs no other.
        TypeError: For what is no table.

    >>> import pyarrow as pa
    >>> visitors = pa.table({"id": ["v-42", None], "country": ["DE", "DE"]})
    >>> assigned = assign(project, visitors, experiences=["shipping-banner"], keep=["id"])
    >>> assigned["shipping-banner_variation_key"].to_pylist(), assigned["shipping-banner_reason"].to_pylist()
    (['on', None], ['bucketed', 'no_id'])
    """

    def planned(schema: pa.Schema) -> TablePlan:
        return make_plan(
            project,
            schema,
            visitor=visitor,
            attributes=attributes,
            location=location,
            experiences=experiences,
            features=features,
            state=state,
            bucketing_id=bucketing_id,
            environment=environment,
            nulls=nulls,
            keep=keep,
        )

    def run(plan: TablePlan, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        tell_unasked(plan, "table does")
        return assigned(plan, batches, threads)

    return through(table, planned, run, connection)
