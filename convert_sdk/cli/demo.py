"""`convert-sdk demo`: the whole way, from the SDK key to what the server recorded."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from .serve import LOOPBACK, Browse, open_page, refused_address

if TYPE_CHECKING:
    from convert_sdk.demo.experiments.result import ExperimentsResult


def demo(
    *,
    visitors: Annotated[int, typer.Option(min=1, max=1_000_000)] = 10_000,
    seed: Annotated[int, typer.Option(help="Another number, other visitors.")] = 42,
    kill_server: Annotated[
        bool,
        typer.Option("--kill-server", help="Stop the server halfway, start it again three quarters through."),
    ] = False,
    fail_for: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.0, help="Let the server answer 503 from halfway on.")
    ] = 0.0,
    page: Annotated[
        bool,
        typer.Option(
            "--page", help="Show the server's page before the first visitor, and keep it until Ctrl-C."
        ),
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    browser: Browse = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object in place of the tables.")] = False,
) -> None:
    """Fetch a shop's project over HTTP, decide for many visitors, deliver every event, and count both ends.

    Server and SDK are real and talk over loopback. The exit code is 1 if the server did not receive every event
    exactly once.
    """
    from convert_sdk.demo.experiments.run import DemoPage, run
    from convert_sdk.demo.experiments.tables import show

    console = Console(stderr=as_json)

    def tell(result: ExperimentsResult) -> None:
        if as_json:
            print(json.dumps(result.figures()), flush=True)
        else:
            show(console, result)

    def opened(url: str) -> None:
        console.print(f"The page: {url}")
        if sys.stdout.isatty() if browser is None else browser:
            open_page(url)

    def looked_at(result: ExperimentsResult) -> None:
        tell(result)
        console.print("The page stays until Ctrl-C.")
        with suppress(KeyboardInterrupt):
            Event().wait()

    shown = DemoPage(opened, looked_at) if page else None
    try:
        result = run(
            visitors, seed, console, kill_server=kill_server, fail_for=fail_for, page=shown, port=port
        )
    except OSError as error:
        raise refused_address(LOOPBACK, port, error) from None
    if not page:
        tell(result)
    if result.lost or result.repeated:
        raise typer.Exit(1)
