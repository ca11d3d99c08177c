"""`convert-sdk demo`: the whole way, from the SDK key to what the server recorded."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console


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
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object in place of the tables.")] = False,
) -> None:
    """Fetch a shop's project over HTTP, decide for many visitors, deliver every event, and count both ends.

    Server and SDK are real and talk over loopback. The exit code is 1 if the server did not receive every event
    exactly once.
    """
    from convert_sdk.demo.experiments.run import run
    from convert_sdk.demo.experiments.tables import show

    console = Console(stderr=as_json)
    result = run(visitors, seed, console, kill_server=kill_server, fail_for=fail_for)
    if as_json:
        print(json.dumps(result.figures()))
    else:
        show(console, result)
    if result.lost or result.repeated:
        raise typer.Exit(1)
