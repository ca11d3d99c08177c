"""An assignment from files to a file or a folder, as the command line asks for it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, cast

import pyarrow as pa

from convert_sdk._core.facts import Place
from convert_sdk._core.state import NOTHING
from convert_sdk.errors import TableError
from convert_sdk.project import Project

from .files import Progress, WrittenRows, assign_file
from .parts import assign_folder
from .plan import Columns, Constant, TablePlan, make_plan, tell_unasked
from .reading import file_format, input_files


class TableQuestion(NamedTuple):
    """The arguments of `assign`, for files."""

    visitor: str = "id"
    attributes: Columns = "*"
    location: Place | Columns = NOTHING
    experiences: Sequence[str] | None = None
    features: Sequence[str] = ()
    state: str | None = None
    bucketing_id: str | None = None
    environment: str | None = None
    nulls: str = "none"
    keep: Literal["*"] | Sequence[str] = "*"

    def plan(self, project: Project, schema: pa.Schema) -> TablePlan:
        """The plan for the columns of the files; facts that they do not give are said once."""
        asked = self._asdict()
        plan = make_plan(
            project, schema, **{**asked, "nulls": cast("Literal['none', 'missing']", self.nulls)}
        )
        tell_unasked(plan, "files do")
        return plan

    def to_dict(self) -> dict[str, object]:
        """The question in JSON's own types."""
        return {name: _plainly(value) for name, value in self._asdict().items()}


def _plainly(value: object) -> object:
    if isinstance(value, Constant):
        return {"constant": value.value}
    if isinstance(value, dict):
        return {name: _plainly(item) for name, item in value.items()}
    return value


def assign_paths(
    project: Project,
    inputs: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    question: TableQuestion | None = None,
    *,
    threads: int | None = None,
    progress: Progress = lambda _, __: None,
) -> WrittenRows:
    """Decide for the rows of files.

    Args:
        project: The project to decide by.
        inputs: Paths and globs of files of one format: Parquet, CSV or JSON.
        output: A file, there whole or not at all; or a folder: an existing one, or a name that ends in "/" or has no
            suffix. A folder gets parts and a manifest, and an interrupted run goes on with it.
        question: What is asked.
        threads: The batches that are decided at once.
        progress: Is told of the rows that are done, and of how many there are where that is known.

    Returns:
        The number of rows, and where they are.

    Raises:
        TableError: For files that cannot be read, columns that do not fit, and a folder of another assignment.
    """
    asked = question or TableQuestion()
    paths = input_files(inputs)
    target = Path(output)

    def planned(schema: pa.Schema) -> TablePlan:
        return asked.plan(project, schema)

    if os.fspath(output).endswith(("/", os.sep)) or target.is_dir() or not target.suffix:
        return assign_folder(planned, paths, target, asked.to_dict(), threads=threads, progress=progress)
    file_format(target)
    if any(path.resolve() == target.resolve() for path in paths):
        raise TableError(f"{target}: it is one of the files that are read; name another one")
    if not target.parent.is_dir():
        raise TableError(f"{target}: there is no folder {target.parent}")
    return assign_file(planned, paths, target, threads=threads, progress=progress)
