"""`convert-sdk scan`: the keys that a code base names, beside those of a document."""

from __future__ import annotations

from typing import Annotated

import typer

from convert_sdk.analysis import scan as scan_code

from .source import AsJson, SdkKey, fail, read_source


def scan(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DOCUMENT] PATH...", help="The document (- is standard input), and files or folders."
        ),
    ] = None,
    *,
    sdk_key: SdkKey = None,
    as_json: AsJson = False,
) -> None:
    """Find experience, feature and goal keys in Python code that are absent, archived, or never named.

    The exit code is 1 if code names a key that is absent or archived.
    """
    source = read_source(words, sdk_key, least=1, most=1000)
    try:
        found = scan_code(source.project(), source.words)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}", 2)
    typer.echo(found.to_json() if as_json else str(found))
    if found.absent or found.archived:
        raise typer.Exit(1)
