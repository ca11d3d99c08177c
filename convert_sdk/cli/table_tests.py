"""`convert-sdk test`: run tables of rule tests against a document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from convert_sdk.errors import RuleTableError
from convert_sdk.testing.tables import Table, load_table, run_table

from .source import AsJson, fail, loaded

Document = Annotated[Path, typer.Argument(help="The project's document; - is standard input.")]
Tables = Annotated[
    list[Path],
    typer.Argument(
        metavar="TABLE...",
        help="A table of rule tests: YAML (extra testing) or CSV.",
        exists=True,
        dir_okay=False,
    ),
]


def run_tables(path: Document, tables: Tables, *, as_json: AsJson = False) -> None:
    """Run tables of rule tests: facts, and the verdicts, variations and feature values that are expected.

    The exit code is 1 if any row fails, 2 for what is no table.
    """
    project = loaded(path)
    try:
        results = [(table, result) for table in map(_loaded, tables) for result in run_table(table, project)]
    except RuleTableError as error:
        fail(str(error), 2)
    failed = [each for each in results if not each[1].passed]
    if as_json:
        listed = [{"table": table.name, **result.to_dict()} for table, result in results]
        print(json.dumps(listed))
    else:
        for table, result in failed:
            typer.echo(f"{table.name}\n{result}\n")
        rows = "1 row" if len(results) == 1 else f"{len(results)} rows"
        typer.echo(f"{rows}, {len(results) - len(failed)} passed, {len(failed)} failed")
    if failed:
        raise typer.Exit(1)


def _loaded(path: Path) -> Table:
    try:
        return load_table(path)
    except ModuleNotFoundError as error:
        fail(f"{path}: {error}", 2)
