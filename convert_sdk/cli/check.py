"""`convert-sdk check`: what is wrong in a document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from convert_sdk.analysis import CheckReport, Ignore, Severity, read_ignores, sarif_log
from convert_sdk.analysis import check as check_document

from .source import STANDARD_INPUT, AsJson, SdkKey, fail, read_source

IGNORES = ".convert-check"
_NEVER = "never"


def check(
    document: Annotated[
        list[str] | None,
        typer.Argument(metavar="[DOCUMENT]", help="A project's document; - is standard input."),
    ] = None,
    *,
    sdk_key: SdkKey = None,
    fail_on: Annotated[
        str,
        typer.Option(metavar="error|warning|note|never", help="The least severity that gives exit code 1."),
    ] = Severity.ERROR.value,
    ignore: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help=f"What is not told, a code and a pattern a line; by default ./{IGNORES}.",
        ),
    ] = None,
    as_json: AsJson = False,
    as_sarif: Annotated[bool, typer.Option("--sarif", help="A log of SARIF 2.1.0, for code hosts.")] = False,
) -> None:
    """List what is wrong or odd in a document: severity, code, place, and what to do.

    The exit code is 1 if anything is as bad as --fail-on says, 2 if the document cannot be had.
    """
    limit = _severity(fail_on)
    ignores = _ignores(ignore)
    source = read_source(document, sdk_key)
    report = check_document(source.body, ignores=ignores)
    if as_sarif:
        uri = None if source.name == STANDARD_INPUT else _uri(source.name)
        typer.echo(json.dumps(sarif_log(report, uri), indent=2))
    else:
        typer.echo(report.to_json() if as_json else _text(source.name, report))
    for each in report.unused:
        typer.echo(f"note: nothing fits the ignore: {each}", err=True)
    if limit is not None and report.fails(limit):
        raise typer.Exit(1)


def _uri(name: str) -> str:
    """A path as a URI reference."""
    path = Path(name)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix(), errors="surrogateescape")


def _text(name: str, report: CheckReport) -> str:
    *lines, last = str(report).splitlines()
    return "\n".join([*(line if line.startswith(" ") else f"{name}:{line}" for line in lines), last])


def _severity(name: str) -> Severity | None:
    if name == _NEVER:
        return None
    try:
        return Severity(name)
    except ValueError:
        allowed = ", ".join([*Severity, _NEVER])
        raise typer.BadParameter(f"expected one of {allowed}", param_hint="--fail-on") from None


def _ignores(path: Path | None) -> tuple[Ignore, ...]:
    if path is None:
        path = Path(IGNORES)
        if not path.is_file():
            return ()
    try:
        return read_ignores(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        fail(f"{path}: {error}", 2)
