"""`convert-sdk serve`: a local Serving API in a shell of its own."""

from __future__ import annotations

import sys
from os import strerror
from pathlib import Path
from shlex import quote
from socket import gethostname
from threading import Event, Thread
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from convert_sdk import Project
from convert_sdk.analysis import Severity
from convert_sdk.errors import DocumentError

from .source import loaded

if TYPE_CHECKING:
    from convert_sdk._process.file_version import FileVersion
    from convert_sdk.server import ServedProject

LOOPBACK = "127.0.0.1"
Browse = Annotated[
    bool | None,
    typer.Option(
        "--open/--no-open", help="Open the page in a browser; by default where the output is a terminal."
    ),
]
"""The option of whoever shows the page."""


def serve(
    path: Annotated[
        Path | None,
        typer.Argument(
            help="A project's document; without one, the demonstration shop.", exists=True, dir_okay=False
        ),
    ] = None,
    *,
    host: Annotated[
        str, typer.Option(help="The address to listen on, such as 0.0.0.0 in a container.")
    ] = LOOPBACK,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8088,
    sdk_key: Annotated[str | None, typer.Option(help="By default `account/project`.")] = None,
    secret: Annotated[
        str | None, typer.Option(envvar="CONVERT_SDK_SECRET", help="What the SDK key's bearers must know.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Serve the file again when it changes.")] = False,
    browser: Browse = None,
) -> None:
    """Answer as Convert's Serving API does, with a page to look at it, until Ctrl-C."""
    from convert_sdk._process.file_version import file_version
    from convert_sdk.server import Registry, demo_document
    from convert_sdk.server import serve as run

    if watch and path is None:
        raise typer.BadParameter("give the file to follow", param_hint="--watch")
    mark = file_version(path) if path is not None else None
    document = demo_document() if path is None else loaded(path).source
    registry = Registry()
    try:
        served = registry.add(document)
        key = sdk_key or served.place
        registry.add(document, sdk_key=key, secret=secret)
    except DocumentError as error:
        typer.echo(f"error: {path}: {error}", err=True)
        raise typer.Exit(1) from None
    served.file, served.watched = path, watch

    def ready(url: str) -> None:
        _tell_addresses(url, key, served)
        _tell_address_elsewhere(url, host)
        if sys.stdout.isatty() if browser is None else browser:
            open_page(f"{url}/")

    def checked() -> None:
        if path is not None:
            _tell_problems(path, served)

    ended = Event()
    if watch and path is not None:
        Thread(target=_follow, args=(path, mark, served, ended), name="convert-watch", daemon=True).start()
    try:
        run(registry, host=host, port=port, ready=ready, checked=checked)
    except OSError as error:
        raise refused_address(host, port, error) from None
    finally:
        ended.set()


def _tell_addresses(url: str, key: str, served: ServedProject) -> None:
    at = quote(url)
    typer.echo(
        f"export CONVERT_SDK_KEY={quote(key)} CONVERT_CONFIG_ENDPOINT={at} CONVERT_TRACK_ENDPOINT={at}"
    )
    typer.echo(f"The page, to see and ask: {url}/", err=True)
    typer.echo(f"What was tracked: {url}/_summary/{served.place}", err=True)
    status_url = quote(f"{url}/_status/{served.place}")
    typer.echo(f"To compare both ends: export CONVERT_STATUS_URL={status_url}", err=True)


def _tell_address_elsewhere(url: str, host: str) -> None:
    """Say how clients on other machines reach a server that listens beyond this one."""
    from convert_sdk.server.access import is_loopback

    if not is_loopback(host):
        here = urlsplit(url)
        elsewhere = f"http://{gethostname()}:{here.port}" if is_loopback(here.hostname or "") else url
        typer.echo(f"From other machines: {elsewhere}, which a client takes with allow_http=True", err=True)


def refused_address(host: str, port: int, error: OSError) -> typer.Exit:
    """The end of a command whose address is taken or not allowed, once it has said so."""
    number = error.errno or 0  # a name that is not resolved has numbers of its own
    reason = strerror(number) if number > 0 else error.strerror
    typer.echo(f"error: {host}:{port} cannot be listened on: {reason}", err=True)
    return typer.Exit(1)


def open_page(url: str) -> None:
    """Open an address in a browser, without waiting for it; where there is none, nothing happens."""
    import webbrowser

    Thread(target=webbrowser.open, args=(url,), name="convert-browser", daemon=True).start()


def _follow(path: Path, mark: FileVersion | None, served: ServedProject, ended: Event) -> None:
    from convert_sdk.server.follow import follow
    from convert_sdk.server.revisions import RevisionOrigin

    def changed() -> None:
        try:
            project = Project.load(path)
            served.file_flaw = ""
            revision = served.replace(project.source, RevisionOrigin.FILE)
        except (DocumentError, OSError) as error:
            served.file_flaw = str(error)
            typer.echo(f"error: {path}: {error}; the last good document is still served", err=True)
        else:
            typer.echo(f"{path}: revision {revision.name} is served", err=True)
            _tell_problems(path, served)

    follow(path, mark, changed, until=ended)


def _tell_problems(path: Path, served: ServedProject) -> None:
    for finding in served.current.report.findings:
        if finding.severity.at_least(Severity.WARNING):
            typer.echo(f"{path}:{finding} ({finding.path})", err=True)
