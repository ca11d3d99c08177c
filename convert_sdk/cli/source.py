"""The document that a command looks into: a file, standard input, or the live one of an SDK key."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NamedTuple, NoReturn

import typer

from convert_sdk import Project
from convert_sdk.errors import ConvertError, DocumentError

SdkKey = Annotated[
    str | None,
    typer.Option(help="Fetch the live document of this key, in place of a file. CONVERT_SDK_SECRET is used."),
]
STANDARD_INPUT = "standard input"
"""The name of a document that came from there."""
AsJson = Annotated[bool, typer.Option("--json", help="JSON in place of text.")]


class Source(NamedTuple):
    """The bytes of a document, and its name."""

    name: str
    body: bytes
    words: tuple[str, ...]
    """The arguments after the document."""

    def project(self) -> Project:
        """The compiled document; one that is no good ends the command with one line."""
        try:
            return Project.parse(self.body)
        except DocumentError as error:
            fail(f"{self.name}: {error}", 2)


def read_source(words: list[str] | None, sdk_key: str | None, *, least: int = 0, most: int = 0) -> Source:
    """The document that the first argument names, or the SDK key, and the arguments after it.

    Args:
        words: The arguments of the command.
        sdk_key: The key whose live document is wanted; then no argument names a document.
        least: The arguments that must come after the document.
        most: The arguments that may.
    """
    listed = list(words or ())
    if sdk_key is None:
        if not listed:
            raise typer.BadParameter("give a file, - for standard input, or --sdk-key", param_hint="DOCUMENT")
        name, *listed = listed
    else:
        name = sdk_key
    if not least <= len(listed) <= most:
        raise typer.BadParameter(
            f"expected {least} to {most} arguments after it, found {len(listed)}", param_hint="DOCUMENT"
        )
    body = read_file(name) if sdk_key is None else _fetched(sdk_key)
    return Source(STANDARD_INPUT if sdk_key is None and name == "-" else name, body, tuple(listed))


def read_file(name: str) -> bytes:
    """The bytes of a file, or of standard input for `-`; a file that cannot be read ends the command."""
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        fail(f"{name}: {error.strerror or error}", 2)


def read_project(name: str) -> Project:
    """The project in a file, or in standard input for `-`."""
    return Source(STANDARD_INPUT if name == "-" else name, read_file(name), ()).project()


def fetched(sdk_key: str) -> Project:
    """The live project of a key."""
    return Source(sdk_key, _fetched(sdk_key), ()).project()


def loaded(path: Path) -> Project:
    """The project in a file; a document that is no good ends the command with one line."""
    return read_project(str(path))


def fail(message: str, status: int) -> NoReturn:
    """End the command with one line on standard error."""
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(status) from None


def _fetched(sdk_key: str) -> bytes:
    """The document of a key, asked for once."""
    from convert_sdk._config.source import document_request
    from convert_sdk._delivery.previews import body_of, document_source
    from convert_sdk._http.client import open_client, send
    from convert_sdk.options import build

    try:
        options = build({"sdk_key": sdk_key})
        request = document_request(document_source(options, sdk_key))
        with open_client(
            ca_bundle=options.ca_bundle, proxy=options.proxy, trust_env=options.trust_env
        ) as client:
            return body_of(send(client, request))
    except ConvertError as error:
        fail(f"the document of {sdk_key} cannot be fetched: {error}", 2)
