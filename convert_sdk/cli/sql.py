"""`convert-sdk sql`: a project's decisions as a view of SQL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from convert_sdk import ANYWHERE, Project

from .assign import Document, Environment, ExperienceKeys, Visitor, plainly

if TYPE_CHECKING:
    from convert_sdk._core.facts import Place


def sql(
    project: Document,
    *,
    dialect: Annotated[str, typer.Option(metavar="duckdb|spark|postgres|bigquery|snowflake")],
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=TYPE", help="A column of attributes: text, number or boolean; again for each."
        ),
    ] = None,
    visitor: Visitor = "id",
    table: Annotated[str, typer.Option(help="The table of visitors, as SQL names it.")] = "visitors",
    view: Annotated[str, typer.Option(help="The name of the view.")] = "assigned",
    experience: ExperienceKeys = None,
    location: Annotated[
        str,
        typer.Option(help='For all rows: a JSON object, such as {"path": "/cart"}, or "anywhere".'),
    ] = "{}",
    environment: Environment = None,
    nulls: Annotated[str, typer.Option(metavar="none|missing", help="What a null is to a rule.")] = "none",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A file, in place of standard output.")
    ] = None,
) -> None:
    """Write a script with a view of decisions, and a self-check at its top.

    Rules that SQL cannot say as the SDK decides them are refused by name. Needs the extra arrow.
    """
    from convert_sdk.tables.sql import write_sql

    with plainly():
        script = write_sql(
            Project.load(project),
            dialect,
            _columns(column or []),
            visitor=visitor,
            table=table,
            view=view,
            experiences=experience,
            location=ANYWHERE if location == "anywhere" else _place(location),
            environment=environment,
            nulls=cast("Literal['none', 'missing']", nulls),
        )
        if output is None:
            typer.echo(script, nl=False)
        else:
            output.write_text(script, encoding="utf-8")


def _columns(given: list[str]) -> dict[str, str]:
    found = {}
    for each in given:
        name, equals, kind = each.rpartition("=")
        if not equals or not name:
            raise typer.BadParameter(
                f"expected NAME=TYPE, such as country=text, not {each!r}", param_hint="--column"
            )
        found[name] = kind
    return found


def _place(text: str) -> Place:
    try:
        place = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"not JSON: {error}", param_hint="--location") from None
    if not isinstance(place, dict):
        raise typer.BadParameter("a JSON object is needed", param_hint="--location")
    return place
