"""`convert-sdk diff`: what a new document changes, and whom it moves."""

from __future__ import annotations

from typing import Annotated

import typer

from convert_sdk import Project
from convert_sdk.analysis import diff as difference_of
from convert_sdk.errors import UnknownNameError

from .source import AsJson, SdkKey, fail, fetched, read_project
from .visitors import Sample, Seed, VisitorFile, visitors_of


def diff(
    old: Annotated[str, typer.Argument(help="The document before; - is standard input.")],
    new: Annotated[
        str | None, typer.Argument(help="The document after; with --sdk-key, the live one.")
    ] = None,
    *,
    sdk_key: SdkKey = None,
    visitors: VisitorFile = None,
    sample: Sample = 10_000,
    seed: Seed = 42,
    remembered: Annotated[
        bool, typer.Option("--remembered", help="A store remembers what the old document decided.")
    ] = False,
    max_switch: Annotated[
        str | None,
        typer.Option(metavar="N|N%", help="Exit code 1 if more visitors than this switch their variation."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say in words, by key, what changed, and how many visitors enter, leave or switch variation, and why."""
    limit, is_share = _limit(max_switch)
    before, after = read_project(old), _second(new, sdk_key)
    rows = visitors_of([before, after], visitors, sample, seed)
    try:
        found = difference_of(before, after, rows, remembered=remembered)
    except UnknownNameError as error:
        fail(f"{visitors}: {error}", 2)
    typer.echo(found.to_json() if as_json else str(found))
    most = limit * found.visitors / 100 if is_share else limit
    if max_switch is not None and found.switching > most:
        typer.echo(f"error: {found.switching} visitors switch, and {max_switch} may", err=True)
        raise typer.Exit(1)


def _second(new: str | None, sdk_key: str | None) -> Project:
    if (new is None) is (sdk_key is None):
        raise typer.BadParameter("give a document, or --sdk-key in its place", param_hint="NEW")
    if new is not None:
        return read_project(new)
    assert sdk_key is not None  # noqa: S101 # one of the two is there
    return fetched(sdk_key)


def _limit(text: str | None) -> tuple[float, bool]:
    """The number, and whether it is a percentage."""
    if text is None:
        return 0.0, False
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise typer.BadParameter(
            "expected a number of visitors, or a percentage such as 1%", param_hint="--max-switch"
        )
    return number, text.endswith("%")
