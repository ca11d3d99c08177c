"""`convert-sdk simulate`: shares, sample ratio, overlap, and how long a test takes."""

from __future__ import annotations

from typing import Annotated

import typer

from convert_sdk.analysis import plan_tests
from convert_sdk.analysis import simulate as simulation_of
from convert_sdk.errors import UnknownNameError

from .source import AsJson, SdkKey, fail, read_source
from .visitors import Sample, Seed, VisitorFile, visitors_of


def simulate(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[DOCUMENT]", help="A project's document; - is standard input."),
    ] = None,
    *,
    sdk_key: SdkKey = None,
    visitors: VisitorFile = None,
    sample: Sample = 10_000,
    seed: Seed = 42,
    goal: Annotated[
        str | None, typer.Option(metavar="KEY", help="Say what a test of this goal takes.")
    ] = None,
    rate: Annotated[float, typer.Option(help="The goal's conversion rate, such as 0.05.")] = 0.05,
    lift: Annotated[float, typer.Option(help="The relative change to be found, such as 0.1.")] = 0.1,
    daily: Annotated[float | None, typer.Option(min=0.0, help="The visitors of a day.")] = None,
    power: Annotated[float, typer.Option(help="The probability of finding the change.")] = 0.8,
    alpha: Annotated[float, typer.Option(help="The probability of finding one that is not there.")] = 0.05,
    as_json: AsJson = False,
) -> None:
    """Decide for many visitors: shares beside the allocation, sample ratio, overlap, and what a test takes.

    The exit code is 1 if a sample ratio is no chance (p below 0.001). What a test takes needs the extra stats.
    """
    project = read_source(words, sdk_key).project()
    try:
        found = simulation_of(project, visitors_of([project], visitors, sample, seed))
        if goal is not None:
            found = plan_tests(
                project, found, goal, rate=rate, lift=lift, daily=daily, power=power, alpha=alpha
            )
    except (UnknownNameError, ValueError) as error:
        fail(str(error), 2)
    typer.echo(found.to_json() if as_json else str(found))
    if found.is_off:
        raise typer.Exit(1)
