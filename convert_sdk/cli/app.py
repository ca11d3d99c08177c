"""Every command of `convert-sdk`."""

from __future__ import annotations

from typing import Annotated

import typer

from convert_sdk import __version__

from .assign import assign
from .audit import audit
from .check import check
from .codegen import codegen
from .commerce import commerce_app
from .decide import decide
from .demo import demo
from .diff import diff
from .doctor import doctor
from .explain import explain
from .override_token import override_token
from .scan import scan
from .serve import serve
from .simulate import simulate
from .spool import spool_app
from .sql import sql
from .table_tests import run_tables
from .watch import watch

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
app.command()(diff)
app.command()(decide)
app.command()(simulate)
app.command()(scan)
app.command()(doctor)
app.command()(watch)
app.command()(assign)
app.command()(sql)
app.command()(audit)
app.command("test")(run_tables)
app.command()(codegen)
app.command()(override_token)
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
