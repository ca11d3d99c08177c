"""`convert-sdk doctor`: whether a client would work here, and what to do where it would not."""

from __future__ import annotations

from typing import Annotated

import typer

from convert_sdk import Client
from convert_sdk.diagnosis import Health
from convert_sdk.errors import ConvertError

from .source import AsJson, fail


def doctor(
    *,
    sdk_key: Annotated[
        str | None, typer.Option(help="By default CONVERT_SDK_KEY; the secret is CONVERT_SDK_SECRET.")
    ] = None,
    wait: Annotated[float, typer.Option(min=0.0, help="Seconds to wait for the document first.")] = 10.0,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for each request.")] = 10.0,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 1 for a warning, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a client as the application would, ask both endpoints once, and say what is wrong and what to do.

    No event is sent. Inside an application, `client.doctor()` says the same of its server and its processes too. The
    exit code is 1 if anything failed.
    """
    try:
        with Client(sdk_key, start_wait=0) as client:
            client.wait_until_ready(wait)
            found = client.doctor(timeout)
    except ConvertError as error:
        fail(str(error), 2)
    typer.echo(found.to_json() if as_json else str(found))
    if not found.healthy or (strict and found.having(Health.WARNING)):
        raise typer.Exit(1)
