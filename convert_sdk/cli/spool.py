"""`convert-sdk spool`: look at the events on disk, put refused ones back, delete them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from convert_sdk._spool.admin import AdminOutcome, SpoolReport, drop, inspect, replay
from convert_sdk.errors import SpoolError

spool_app = typer.Typer(
    no_args_is_help=True, help="Events on disk: look at them, put them back, delete them."
)

Folder = Annotated[Path, typer.Argument(help="The folder that the client's spool option names.")]


@spool_app.command("ls")
def list_files(
    path: Folder, *, as_json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False
) -> None:
    """List every process's file: whose it is, what waits in it, what was refused and why."""
    try:
        reports = inspect(path)
    except SpoolError as error:
        raise _failed(error) from None
    if as_json:
        print(json.dumps([_json(report) for report in reports]))
        return
    console = Console(soft_wrap=True)
    console.print(_files(reports) if reports else "Nothing on disk.")
    if any(report.rejected for report in reports):
        console.print(_rejected_events(reports))


@spool_app.command("replay")
def put_back(path: Folder) -> None:
    """Put refused events back in the queue; the next client that starts on this path sends them."""
    try:
        outcome = replay(path)
    except SpoolError as error:
        raise _failed(error) from None
    _report(outcome, "put back; the next client that starts on this path sends them")


@spool_app.command("drop")
def delete(
    path: Folder,
    *,
    rejected_only: Annotated[
        bool, typer.Option("--rejected-only", help="Only events that were refused.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete the events of processes that have ended. This cannot be undone."""
    what = "the refused events" if rejected_only else "all events"
    if not yes:
        typer.confirm(f"Delete {what} below {path} for good?", abort=True)
    try:
        outcome = drop(path, rejected_only=rejected_only)
    except SpoolError as error:
        raise _failed(error) from None
    _report(outcome, "deleted")


def _failed(error: SpoolError) -> typer.Exit:
    typer.echo(f"error: {error}", err=True)
    return typer.Exit(1)


def _report(outcome: AdminOutcome, done: str) -> None:
    typer.echo(f"{outcome.events} {'event' if outcome.events == 1 else 'events'} {done}.")
    for path in outcome.in_use:
        typer.echo(f"left, a running process uses it: {path}")


def _json(report: SpoolReport) -> dict[str, object]:
    fields = report._asdict()
    rejected = [entry._asdict() for entry in fields.pop("rejected")]
    return {**fields, "file": str(report.file), "rejected": rejected}


def _files(reports: list[SpoolReport]) -> Table:
    table = Table("key", "file", "process", "events", "pending", "rejected", "oldest", "problem")
    for report in reports:
        table.add_row(
            escape(report.owner),
            report.file.name,
            "running" if report.alive else "gone",
            *map(str, (report.events, report.pending, len(report.rejected))),
            _age(report.oldest),
            escape(report.problem or ""),
        )
    return table


def _rejected_events(reports: list[SpoolReport]) -> Table:
    table = Table("refused event", "status", "message", "age")
    for entry in (entry for report in reports for entry in report.rejected):
        status = "" if entry.status is None else str(entry.status)
        table.add_row(entry.uuid, status, escape(entry.message), _age(entry.stored))
    return table


def _age(stored: float | None) -> str:
    if stored is None:
        return ""
    minutes, seconds = divmod(max(0, round(time.time() - stored)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"
