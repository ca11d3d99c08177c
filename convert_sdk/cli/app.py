"""Every command of `convert-sdk`."""

from __future__ import annotations

from typing import Annotated

import typer

from convert_sdk import __version__

from .commerce import commerce_app
from .demo import demo
from .document import check, explain
from .serve import serve
from .spool import spool_app

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Run Convert.com experiments from Python: try them out, look into them, serve them locally.",
)
app.command()(demo)
app.command()(serve)
app.command()(explain)
app.command()(check)
app.add_typer(commerce_app, name="commerce")
app.add_typer(spool_app, name="spool")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def common(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Options of every command."""
