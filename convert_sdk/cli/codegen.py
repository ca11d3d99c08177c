"""`convert-sdk codegen`: a project's flags as a module of Python."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convert_sdk.errors import TypedFlagsError
from convert_sdk.typed_flags import FlagSettings, generate_flags, is_current, read_settings

from .source import SdkKey, fail, read_source


def codegen(
    document: Annotated[
        list[str] | None,
        typer.Argument(metavar="[DOCUMENT]", help="A project's document; - is standard input."),
    ] = None,
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", dir_okay=False, help="The module to write; standard output if left out."
        ),
    ] = None,
    sdk_key: SdkKey = None,
    settings: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="TOML with [defaults.FEATURE] and [models.FEATURE]."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if the module is out of date.")
    ] = False,
) -> None:
    """Write a project's features and keys as Python, so that a type checker finds what is misspelt."""
    if check and output is None:
        raise typer.BadParameter("--check needs the module to look at, as -o FILE", param_hint="--output")
    project = read_source(document, sdk_key).project()
    try:
        given = FlagSettings() if settings is None else read_settings(settings.read_text("utf-8"), project)
        text = generate_flags(project, given)
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{settings}: {error}", 2)
    except TypedFlagsError as error:
        fail(str(error), 2)
    if output is None:
        typer.echo(text, nl=False)
    elif check:
        _check(output, text)
    else:
        _write(output, text)


def _check(output: Path, text: str) -> None:
    try:
        present = output.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{output}: {error}", 1)
    if not is_current(present, text):
        fail(f"{output} is out of date: run convert-sdk codegen again without --check", 1)


def _write(output: Path, text: str) -> None:
    """Replace the module in one step, so that nobody imports half of it."""
    beside = output.with_name(f".{output.name}.new")
    try:
        beside.write_text(text, "utf-8")
        beside.replace(output)
    except (OSError, UnicodeEncodeError) as error:
        beside.unlink(missing_ok=True)
        fail(f"{output}: {error}", 2)
