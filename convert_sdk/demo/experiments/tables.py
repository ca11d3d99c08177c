"""The demonstration's outcome for people."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import shorten

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .result import SUSPICIOUS, Outcome


def show(console: Console, outcome: Outcome) -> None:
    """Print the tables; the verdict comes last."""
    project = outcome.project
    console.print(f"\n[bold]{escape(project.name)}[/], revision {project.revision}, fetched by its SDK key\n")
    console.print(_splits(outcome))
    console.print("[dim]Sample ratio: how probable a split at least this far off is, by chi-square.[/]\n")
    console.print(_features(outcome, console.width))
    console.print()
    console.print(_goals(outcome))
    console.print("\n[italic]Why one visitor gets what they get[/]")
    console.print(f"{outcome.explanation}\n", markup=False, highlight=False, soft_wrap=True)
    console.print(_events(outcome))
    console.print(
        "\n"
        f"{outcome.tally.decisions:,} decisions for {len(outcome.tally.nanoseconds):,} visitors in"
        f" {outcome.seconds:.1f} s, the server beside them in the same process.\n"
        f"One takes {outcome.us_per_decision} µs, what it remembers and records included (median;"
        f" 99th percentile {outcome.us_worst} µs)."
    )
    console.print(_verdict(outcome))


def _table(title: str, *columns: str, figures: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    for name in columns:
        table.add_column(name, no_wrap=True)
    for name in figures:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _splits(outcome: Outcome) -> Table:
    table = _table(
        "Exposures that the server recorded",
        "experience",
        "variation",
        figures=("allocated", "visitors", "share"),
    )
    table.add_column("sample ratio", no_wrap=True)
    for split in outcome.splits():
        for number, arm in enumerate(split.arms):
            table.add_row(
                escape(split.experience.key) if number == 0 else "",
                escape(arm.key) if arm.key is not None else "[dim](left out)[/]",
                f"{arm.percent:g} %",
                f"{arm.shown:,}",
                f"{100 * arm.shown / split.total:.1f} %",
                _ratio(split.p) if number == 0 else "",
            )
    return table


def _ratio(p: float | None) -> str:
    if p is None:
        return ""
    return f"[red]mismatch, p {p:.1g}[/]" if p < SUSPICIOUS else f"[green]fits[/], p {p:.2f}"


def _features(outcome: Outcome, width: int) -> Table:
    table = _table("Features", "feature", "set by", figures=("visitors",))
    table.add_column("variables", no_wrap=True)
    tally = outcome.tally
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


def _goals(outcome: Outcome) -> Table:
    table = _table(
        "Conversions that the server recorded",
        "experience",
        "goal",
        "variation",
        figures=("conversions", "rate", "revenue"),
    )
    last: tuple[str, str] = ("", "")
    for each in outcome.returns():
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


def _events(outcome: Outcome) -> Table:
    figures = {
        "offered": outcome.status.events.offered,
        "sent": outcome.status.events.sent,
        "received": outcome.summary.received,
        "lost": outcome.lost,
        "requests": outcome.summary.requests,
        "retries": outcome.status.retries,
    }
    table = _table("Events", figures=tuple(figures))
    table.add_row(*(f"{figure:,}" for figure in figures.values()))
    return table


def _verdict(outcome: Outcome) -> str:
    if outcome.lost:
        return f"[bold red]{outcome.lost:,} events are lost.[/]"
    if outcome.repeated:
        return f"[bold red]{outcome.repeated:,} events arrived twice.[/]"
    return "[bold green]Every event arrived, once.[/]"
