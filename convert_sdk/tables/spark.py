"""Beyond one machine: the same batches in the executors of Spark, and in the workers of Ray Data and Dask."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Unpack

import pyarrow as pa

from convert_sdk._core.bucketing import Bucketing
from convert_sdk._core.state import NOTHING
from convert_sdk.project import Project

from .evaluate import Evaluator
from .plan import TableArguments, TablePlan, make_plan
from .stream import pieces

if TYPE_CHECKING:
    from pyspark.sql import DataFrame  # pyright: ignore[reportMissingImports]  # an extra of its own


class Assigner:
    """Decides for Arrow tables anywhere: it can be pickled, and compiles the project once in each process.

    >>> import pickle
    >>> import pyarrow as pa
    >>> assigner = pickle.loads(pickle.dumps(Assigner(project, experiences=["checkout-layout"])))
    >>> assigner(pa.table({"id": ["v-42"]}))["checkout-layout_variation_key"].to_pylist()
    ['classic']
    """

    def __init__(self, project: Project, **asked: Unpack[TableArguments]) -> None:
        """Take what `assign` takes, but for threads and a connection; the project's bytes are what is pickled."""
        self._source = project.source
        self._bucketing: tuple[int, float, bool] = tuple(project.bucketing)  # type: ignore[assignment]  # its fields
        experiences, features, keep = (
            asked.get("experiences"),
            asked.get("features", ()),
            asked.get("keep", "*"),
        )
        asked["experiences"] = (
            None if experiences is None else [*experiences]
        )  # an iterator cannot be pickled
        asked["features"] = [*features]
        asked["keep"] = keep if isinstance(keep, str) else [*keep]
        if asked.get("location") is NOTHING:
            del asked["location"]  # nor can a view
        self._asked = asked

    def keep(self, columns: Iterable[str]) -> None:
        """Have the result keep these columns, in this order."""
        self._asked["keep"] = list(columns)

    def plan(self, schema: pa.Schema) -> TablePlan:
        """The plan for a table's columns. Raises TableError as `assign` does."""
        project = _project(self._source, self._bucketing)
        return make_plan(project, schema, **self._asked)

    def batches(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Each batch with its decisions, whose columns of text are plain text: not every engine knows codes."""
        evaluator: Evaluator | None = None
        schema = pa.schema([])
        for batch in pieces(batches):
            if evaluator is None:
                plan = self.plan(batch.schema)
                evaluator, schema = Evaluator(plan), plain_schema(plan)
            yield evaluator.assign(batch).cast(schema)

    def __call__(self, table: pa.Table) -> pa.Table:
        """A table with its decisions."""
        plan = self.plan(table.schema)
        return pa.Table.from_batches(self.batches(table.to_batches()), plain_schema(plan))


_projects: dict[tuple[bytes, tuple[int, float, bool]], Project] = {}
"""The projects that this process has compiled; a worker decides by one or two."""


def _project(source: bytes, bucketing: tuple[int, float, bool]) -> Project:
    known = _projects.get((source, bucketing))
    if known is None:
        if len(_projects) >= 8:
            _projects.clear()
        known = _projects[source, bucketing] = Project.parse(source, bucketing=Bucketing(*bucketing))
    return known


def plain_schema(plan: TablePlan) -> pa.Schema:
    """The columns of a result, with text in place of codes."""
    return pa.schema(
        [
            pa.field(each.name, each.type.value_type if pa.types.is_dictionary(each.type) else each.type)
            for each in plan.schema
        ]
    )


def assign_spark(project: Project, frame: DataFrame, **asked: Unpack[TableArguments]) -> DataFrame:
    """`assign` for a Spark DataFrame, by `mapInArrow`: the project is broadcast once, executors decide batch by batch.

    Args:
        project: The project to decide by.
        frame: A DataFrame; its executors need this package with the extra `arrow`.
        asked: As for `assign`, by the same names: visitor, attributes, location, experiences, and so on.

    Returns:
        A DataFrame with the same columns as `assign` gives, lazy as every other.

    Raises:
        TableError: As `assign`, before anything runs.
    """
    from pyspark.sql.pandas.types import (  # pyright: ignore[reportMissingImports]  # an extra of its own
        from_arrow_schema,
        to_arrow_schema,
    )

    assigner = Assigner(project, **asked)
    plan = assigner.plan(to_arrow_schema(frame.schema))
    assigner.keep(plan.kept)  # executors see the needed columns alone, in another order
    broadcast = frame.sparkSession.sparkContext.broadcast(assigner)
    needed = frame.select([_backticked(name) for name in plan.needed])

    def decide(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        decided: Iterator[pa.RecordBatch] = broadcast.value.batches(batches)
        return decided

    return needed.mapInArrow(decide, from_arrow_schema(plain_schema(plan)))


def _backticked(name: str) -> str:
    """A column's name for `select`, which takes a dot for a step into a structure."""
    return "`" + name.replace("`", "``") + "`"
