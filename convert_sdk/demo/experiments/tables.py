"""The result of the demonstration as tables."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import shorten

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from convert_sdk.analysis.sample_ratio import RatioVerdict, SampleRatio

from .result import ExperimentsResult


def show(console: Console, result: ExperimentsResult) -> None:
    """Print the tables; the verdict comes last."""
    project = result.project
    console.print(f"\n[bold]{escape(project.name)}[/], revision {project.revision}, fetched by its SDK key\n")
    console.print(_splits(result))
    console.print("[dim]Sample ratio: how probable a split at least this far off is, by chi-square.[/]\n")
    console.print(_features(result, console.width))
    console.print()
    console.print(_goals(result))
    console.print("\n[italic]Why one visitor gets what they get[/]")
    console.print(f"{result.explanation}\n", markup=False, highlight=False, soft_wrap=True)
    console.print(_events(result))
    console.print(
        "\n"
        f"{result.tally.decisions:,} decisions for {len(result.tally.nanoseconds):,} visitors in"
        f" {result.seconds:.1f} s, the server beside them in the same process.\n"
        f"One takes {result.us_per_decision} µs, what it remembers and records included (median;"
        f" 99th percentile {result.us_worst} µs)."
    )
    console.print(_verdict(result))


def _table(title: str, *columns: str, figures: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    for name in columns:
        table.add_column(name, no_wrap=True)
    for name in figures:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _splits(result: ExperimentsResult) -> Table:
    table = _table(
        "Exposures that the server recorded",
        "experience",
        "variation",
        figures=("allocated", "visitors", "share"),
    )
    table.add_column("sample ratio", no_wrap=True)
    for split in result.splits():
        for number, variation in enumerate(split.variations):
            table.add_row(
                escape(split.experience.key) if number == 0 else "",
                escape(variation.key) if variation.key is not None else "[dim](left out)[/]",
                f"{variation.percent:g} %",
                f"{variation.exposures:,}",
                f"{100 * variation.exposures / split.total:.1f} %",
                _ratio(split.ratio) if number == 0 else "",
            )
    return table


def _ratio(ratio: SampleRatio) -> str:
    if ratio.p is None:
        return "too few to tell" if ratio.verdict is RatioVerdict.TOO_FEW else ""
    is_off = ratio.verdict is RatioVerdict.MISMATCH
    return f"[red]mismatch, p {ratio.p:.1g}[/]" if is_off else f"[green]fits[/], p {ratio.p:.2f}"


def _features(result: ExperimentsResult, width: int) -> Table:
    table = _table("Features", "feature", "set by", figures=("visitors",))
    table.add_column("variables", no_wrap=True)
    tally = result.tally
    last = None
    for (key, setter), count in sorted(
        tally.features.items(), key=lambda item: (item[0][0], item[0][1] or "~")
    ):
        table.add_row(
            escape(key) if key != last else "",
            escape(setter) if setter is not None else "[dim](nobody)[/]",
            f"{count:,}",
            escape(shorten(_written(tally.variables[key, setter]), max(width - 44, 20), placeholder=" …")),
        )
        last = key
    return table


def _written(variables: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in variables.items())


def _goals(result: ExperimentsResult) -> Table:
    table = _table(
        "Conversions that the server recorded",
        "experience",
        "goal",
        "variation",
        figures=("conversions", "rate", "revenue"),
    )
    last: tuple[str, str] = ("", "")
    for each in result.goal_results():
        place = (each.experience_key, each.goal_key)
        table.add_row(
            escape(each.experience_key) if each.experience_key != last[0] else "",
            escape(each.goal_key) if place != last else "",
            escape(each.variation_key),
            f"{each.total.conversions:,}",
            f"{100 * each.total.conversions / each.visitors:.1f} %",
            f"{each.total.revenue:,.2f}" if each.total.revenue else "",
        )
        last = place
    return table


def _events(result: ExperimentsResult) -> Table:
    figures = {
        "offered": result.status.events.offered,
        "sent": result.status.events.sent,
        "received": result.summary.received,
        "lost": result.lost,
        "requests": result.summary.requests,
        "retries": result.status.retries,
    }
    table = _table("Events", figures=tuple(figures))
    table.add_row(*(f"{figure:,}" for figure in figures.values()))
    return table


def _verdict(result: ExperimentsResult) -> str:
    if result.lost:
        return f"[bold red]{result.lost:,} events are lost.[/]"
    if result.repeated:
        return f"[bold red]{result.repeated:,} events arrived twice.[/]"
    return "[bold green]Every event arrived, once.[/]"
