"""`convert-sdk assign`: decisions for files of visitors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convert_sdk import ANYWHERE, Project
from convert_sdk.errors import DocumentError, TableError

from .source import fail

if TYPE_CHECKING:
    from convert_sdk._core.facts import Place
    from convert_sdk.tables import Constant
    from convert_sdk.tables.files import Progress

Document = Annotated[
    Path,
    typer.Argument(
        metavar="PROJECT",
        help="A project's document, as the Serving API gives it.",
        exists=True,
        dir_okay=False,
    ),
]
Visitor = Annotated[str, typer.Option(help="The column of the visitor's id.")]
Attribute = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME[=COLUMN]",
        help="An attribute and its column; again for each. By default every column that is left.",
    ),
]
Environment = Annotated[str | None, typer.Option(help="By default the document's own default.")]
ExperienceKeys = Annotated[
    list[str] | None,
    typer.Option("--experience", metavar="KEY", help="An experience; again for each. By default all."),
]
Output = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        help="A file (.parquet, .csv, .json), there whole or not at all; or a folder, which an interrupted run goes on "
        "with.",
    ),
]
Keep = Annotated[
    list[str] | None,
    typer.Option(metavar="COLUMN", help="A column that the result has too; again for each. All by default."),
]


def assign(
    project: Document,
    visitors: Annotated[
        list[str], typer.Argument(metavar="FILE…", help="Parquet, CSV or JSON, .gz too; or globs in quotes.")
    ],
    *,
    output: Output,
    visitor: Visitor = "id",
    attribute: Attribute = None,
    location: Annotated[
        str,
        typer.Option(help='For all rows: a JSON object, such as {"path": "/cart"}, "anywhere" or "unknown".'),
    ] = "{}",
    location_column: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[=COLUMN]", help="A fact of the location and its column; again for each."),
    ] = None,
    experience: ExperienceKeys = None,
    feature: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="A feature to resolve; again for each.")
    ] = None,
    state: Annotated[str | None, typer.Option(help="A column of remembered states.")] = None,
    bucketing_id: Annotated[
        str | None, typer.Option(help="A column that is hashed in place of the visitor's id.")
    ] = None,
    environment: Environment = None,
    nulls: Annotated[str, typer.Option(metavar="none|missing", help="What a null is to a rule.")] = "none",
    keep: Keep = None,
    threads: Annotated[int | None, typer.Option(min=1, help="By default as many as processors.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Decide for every visitor of files, as `peek` does, and write the decisions beside them.

    Needs the extra duckdb. Every value of a CSV is text.
    """
    from convert_sdk.tables.run import TableQuestion, assign_paths

    question = TableQuestion(
        visitor=visitor,
        attributes=named("--attribute", attribute) if attribute else "*",
        location=_location(location, location_column),
        experiences=experience,
        features=tuple(feature or ()),
        state=state,
        bucketing_id=bucketing_id,
        environment=environment,
        nulls=nulls,
        keep=keep or "*",
    )
    with plainly(), _progress(quiet=quiet) as progress:
        written = assign_paths(
            Project.load(project), visitors, output, question, threads=threads, progress=progress
        )
    typer.echo(f"{written.rows:,} rows: {written.path}")


@contextmanager
def plainly() -> Iterator[None]:
    """An error of the document or the table, as one line on the standard error."""
    try:
        yield
    except (DocumentError, TableError, OSError) as error:
        fail(str(error), 2)  # 1 is what an audit finds


def named(option: str, given: list[str]) -> dict[str, str | Constant]:
    """NAME=COLUMN, or a NAME that is both."""
    found: dict[str, str | Constant] = {}
    for each in given:
        name, _, column = each.partition("=")
        if not name:
            raise typer.BadParameter(f"expected NAME or NAME=COLUMN, not {each!r}", param_hint=option)
        found[name] = column or name
    return found


def _location(text: str, columns: list[str] | None) -> Place | dict[str, str | Constant]:
    from convert_sdk.tables import Constant

    if text in ("anywhere", "unknown"):
        if columns:
            raise typer.BadParameter(
                f"a location that is {text} has no facts: leave one of the two out",
                param_hint="--location-column",
            )
        return ANYWHERE if text == "anywhere" else None
    try:
        place = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"not JSON: {error}", param_hint="--location") from None
    if not isinstance(place, dict):
        raise typer.BadParameter("a JSON object is needed", param_hint="--location")
    found: dict[str, str | Constant] = {name: Constant(value) for name, value in place.items()}
    return found | named("--location-column", columns or [])


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    if quiet or not console.is_terminal:  # a bar that is disabled still ends a line, in some versions
        yield lambda _, __: None
        return
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("rows", total=None)

        def progress(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)

        yield progress
