"""`convert-sdk serve`: a local Serving API in a shell of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .document import loaded

LOOPBACK = "127.0.0.1"


def serve(
    path: Annotated[
        Path | None,
        typer.Argument(
            help="A project's document; without one, the demonstration shop.", exists=True, dir_okay=False
        ),
    ] = None,
    *,
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8088,
    sdk_key: Annotated[str | None, typer.Option(help="By default `account/project`.")] = None,
    secret: Annotated[
        str | None, typer.Option(envvar="CONVERT_SDK_SECRET", help="What the SDK key's bearers must know.")
    ] = None,
) -> None:
    """Answer as Convert's Serving API does, on loopback, until Ctrl-C."""
    from convert_sdk.server import Registry, demo_document
    from convert_sdk.server import serve as run

    document = demo_document() if path is None else loaded(path).document
    registry = Registry()
    served = registry.add(document)
    place = f"{served.account_id}/{served.project_id}"
    key = sdk_key or place
    registry.add(document, sdk_key=key, secret=secret)
    url = f"http://{LOOPBACK}:{port}"
    typer.echo(f"export CONVERT_SDK_KEY={key} CONVERT_CONFIG_ENDPOINT={url} CONVERT_TRACK_ENDPOINT={url}")
    typer.echo(f"What was tracked: {url}/_summary/{place}", err=True)
    run(registry, host=LOOPBACK, port=port)
