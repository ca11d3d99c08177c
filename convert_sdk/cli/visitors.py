"""The visitors that a command decides for: of a table, or made up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

from convert_sdk import Project
from convert_sdk.analysis import VisitorRow, read_visitors, sample_visitors, unknown_facts

from .source import fail, read_file

VisitorFile = Annotated[
    str | None,
    typer.Option(
        "--visitors", metavar="FILE", help="A table of visitors: CSV or JSON lines; - is standard input."
    ),
]
Sample = Annotated[
    int,
    typer.Option(
        min=0, max=1_000_000, help="So many made-up visitors, with values that the rules compare with."
    ),
]
Seed = Annotated[int, typer.Option(help="Another number, other made-up visitors.")]


def visitors_of(projects: list[Project], file: str | None, sample: int, seed: int) -> Iterable[VisitorRow]:
    """The visitors of a table, or made-up ones where there is none."""
    return sample_visitors(projects, sample, seed) if file is None else visitor_table(projects, file)


def visitor_table(projects: list[Project], file: str) -> list[VisitorRow]:
    """The visitors of a table; a fact that no rule asks for is told, what is no table ends the command."""
    try:
        rows = read_visitors(read_file(file).decode("utf-8-sig"))
    except (ValueError, UnicodeDecodeError) as error:
        fail(f"{file}: {error}", 2)
    unknown = [unknown_facts(project, rows) for project in projects]
    for name, near in unknown[0].items():
        if all(name in each for each in unknown):
            meant = f": did you mean {' or '.join(near)}?" if near else ""
            typer.echo(f"note: no rule asks for {name}{meant}", err=True)
    return rows
