"""`convert-sdk serve`: a local Serving API in a shell of its own."""

from __future__ import annotations

from os import strerror
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Annotated

import typer

from convert_sdk import Project
from convert_sdk.errors import DocumentError

from .document import loaded

if TYPE_CHECKING:
    from convert_sdk.server import ServedProject
    from convert_sdk.server.follow import FileMark

LOOPBACK = "127.0.0.1"


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
) -> None:
    """Answer as Convert's Serving API does, until Ctrl-C."""
    from convert_sdk.server import Registry, demo_document
    from convert_sdk.server import serve as run
    from convert_sdk.server.follow import file_mark

    if watch and path is None:
        raise typer.BadParameter("give the file to follow", param_hint="--watch")
    mark = file_mark(path) if path is not None else None
    document = demo_document() if path is None else loaded(path).document
    registry = Registry()
    try:
        served = registry.add(document)
        place = f"{served.account_id}/{served.project_id}"
        key = sdk_key or place
        registry.add(document, sdk_key=key, secret=secret)
    except DocumentError as error:
        typer.echo(f"error: {path}: {error}", err=True)
        raise typer.Exit(1) from None

    def ready(url: str) -> None:
        typer.echo(f"export CONVERT_SDK_KEY={key} CONVERT_CONFIG_ENDPOINT={url} CONVERT_TRACK_ENDPOINT={url}")
        if path is not None:
            _tell_problems(path, loaded(path))
        typer.echo(f"All there is to ask: {url}/", err=True)
        typer.echo(f"What was tracked: {url}/_summary/{place}", err=True)

    ended = Event()
    if watch and path is not None:
        Thread(target=_follow, args=(path, mark, served, ended), name="convert-watch", daemon=True).start()
    try:
        run(registry, host=host, port=port, ready=ready)
    except OSError as error:
        typer.echo(f"error: {host}:{port} cannot be listened on: {strerror(error.errno or 0)}", err=True)
        raise typer.Exit(1) from None
    finally:
        ended.set()


def _follow(path: Path, mark: FileMark | None, served: ServedProject, ended: Event) -> None:
    from convert_sdk.server.follow import follow

    def changed() -> None:
        try:
            project = Project.load(path)
            served.replace(project.document)
        except (DocumentError, OSError) as error:
            typer.echo(f"error: {path}: {error}; the last good document is still served", err=True)
        else:
            typer.echo(f"{path}: revision {project.revision} is served", err=True)
            _tell_problems(path, project)

    follow(path, mark, changed, until=ended)


def _tell_problems(path: Path, project: Project) -> None:
    for problem in project.problems:
        typer.echo(f"{path}: {problem.path}: {problem.message}", err=True)
