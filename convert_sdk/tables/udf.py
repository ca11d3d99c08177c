"""Decisions inside a query of DuckDB: a scalar function over Arrow."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from convert_sdk._core.facts import Place
from convert_sdk._core.state import NOTHING
from convert_sdk._extras import needs_extra
from convert_sdk.project import Project

from .columns import one_array
from .evaluate import Evaluator
from .plan import TablePlan, chosen_experiences, make_plan, tell_unasked

with needs_extra(__name__, "duckdb", "duckdb"):
    import duckdb
    from duckdb.func import FunctionNullHandling, PythonUDFType

_RESULT = {
    "variation_key": "VARCHAR",
    "variation_id": "VARCHAR",
    "reason": "VARCHAR",
    "bucket_value": "INTEGER",
}


def register_udf(
    connection: duckdb.DuckDBPyConnection,
    project: Project,
    experience: str,
    attributes: Mapping[str, str],
    *,
    name: str = "convert_assign",
    location: Place = NOTHING,
    environment: str | None = None,
) -> None:
    """Make one experience's decisions a function of SQL: `convert_assign(id, {'country': country})`.

    Args:
        connection: The connection whose queries know the function.
        project: The project to decide by.
        experience: The key of the experience.
        attributes: The members of the second argument, each with its DuckDB type; at least one.
        name: The function's name.
        location: The location of all rows.
        environment: The environment to decide for; by default the document's own.

    The function gives a STRUCT of `variation_key`, `variation_id`, `reason` and `bucket_value`. `assign` over a
    relation is faster: a query calls the function for 2,048 rows at a time.

    Raises:
        TableError: For an experience that the project does not have.

    >>> import duckdb
    >>> connection = duckdb.connect()
    >>> register_udf(connection, project, "shipping-banner", {"country": "VARCHAR"})
    >>> connection.sql("SELECT convert_assign('v-42', {'country': 'DE'}).reason").fetchall()
    [('bucketed',)]
    """

    chosen_experiences(project, [experience])
    columns = {each: f"fact {each}" for each in attributes}
    plans: dict[pa.Schema, TablePlan] = {}

    def plan_of(schema: pa.Schema) -> TablePlan:
        if schema not in plans:
            plans[schema] = make_plan(
                project,
                schema,
                visitor="",
                attributes=columns,
                location=location,
                experiences=[experience],
                environment=environment,
                keep=(),
            )
            tell_unasked(plans[schema], "function's arguments do")
        return plans[schema]

    def decide(ids: pa.ChunkedArray, facts: pa.ChunkedArray) -> pa.Array:
        batch = pa.RecordBatch.from_arrays(
            [one_array(ids), *one_array(facts).flatten()], names=["", *columns.values()]
        )
        found = Evaluator(plan_of(batch.schema)).assign(
            batch
        )  # each call has its own: queries have several threads
        texts = [column.cast(pa.string()) for column in found.columns[:3]]
        return pa.StructArray.from_arrays([*texts, found.column(3).cast(pa.int32())], names=[*_RESULT])

    connection.create_function(
        name,
        decide,
        [duckdb.type("VARCHAR"), duckdb.struct_type(dict(attributes))],
        duckdb.struct_type(_RESULT),
        type=PythonUDFType.ARROW,
        null_handling=FunctionNullHandling.SPECIAL,
    )
