"""`convert-sdk check` and `convert-sdk explain`: look into a document without a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from convert_sdk import ANYWHERE, Client, Project
from convert_sdk.errors import DocumentError

Document = Annotated[
    Path,
    typer.Argument(help="A project's document, as the Serving API gives it.", exists=True, dir_okay=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON value in place of text.")]


def loaded(path: Path) -> Project:
    """The project in a file; a document that is no good ends the command with one line."""
    try:
        return Project.load(path)
    except DocumentError as error:
        typer.echo(f"error: {path}: {error}", err=True)
        raise typer.Exit(1) from None


def check(path: Document, *, as_json: AsJson = False) -> None:
    """List what is wrong in a document, each with its JSON path; the exit code is 1 if anything is."""
    problems = loaded(path).problems
    if as_json:
        print(json.dumps([problem._asdict() for problem in problems]))
    else:
        for problem in problems:
            typer.echo(f"{problem.path}: {problem.message}")
        typer.echo(f"{len(problems) or 'no'} problem{'' if len(problems) == 1 else 's'}")
    if problems:
        raise typer.Exit(1)


def explain(
    path: Document,
    experience: Annotated[str, typer.Argument(help="The key of the experience.")],
    visitor_id: Annotated[str, typer.Argument(metavar="VISITOR", help="The visitor's id.")],
    *,
    attributes: Annotated[str, typer.Option(help='A JSON object, such as {"country": "DE"}.')] = "{}",
    location: Annotated[
        str, typer.Option(help='A JSON object, such as {"path": "/cart"}; "anywhere" asks no location rule.')
    ] = "{}",
    environment: Annotated[str | None, typer.Option(help="By default the document's own default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what one visitor gets and why: every gate, rule, hash input and range."""
    project = loaded(path)
    known = _object("--attributes", attributes)
    place = ANYWHERE if location == "anywhere" else _object("--location", location)
    if not visitor_id:
        raise typer.BadParameter("it must not be empty", param_hint="VISITOR")
    with Client.offline(project, environment=environment) as client:
        explanation = client.visitor(visitor_id, known, location=place).explain(experience)
    typer.echo(explanation.to_json() if as_json else str(explanation))


def _object(option: str, text: str) -> dict[str, object]:
    try:
        value: object = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"not JSON: {error}", param_hint=option) from None
    if not isinstance(value, dict):
        raise typer.BadParameter("a JSON object is needed", param_hint=option)
    return value
