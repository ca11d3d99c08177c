"""What `convert-sdk commerce` found, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from convert_sdk.commerce.bridge import Report

    from ._commerce_outcome import Outcome

_FIGURES = (
    ("orders", "orders placed in the two stores"),
    ("orders_that_count", "paid and not cancelled in time"),
    ("conversions", "orders that Convert heard of"),
    ("duplicates", "of them more than once"),
    ("lost", "orders of known visitors that Convert did not hear of"),
    ("invented", "conversions without such an order"),
    ("misattributed", "credited to another visitor or variation than the truth"),
    ("resent", "sent again by the second process, as nobody knew whether they had arrived"),
    ("unresolved", "orders of shoppers whom nothing leads to: reported, never guessed"),
)


def show_outcome(console: Console, outcome: Outcome) -> None:
    """The demonstration's figures and verdict."""
    figures = outcome.figures()
    console.print(_revenue(outcome))
    counts = Table("", "", title="Orders and conversions", title_justify="left", box=None, show_header=False)
    counts.columns[0].justify = "right"
    for name, meaning in _FIGURES:
        counts.add_row(f"{figures[name]}", f"{name.replace('_', ' ')}: {meaning}")
    console.print(counts)
    written = outcome.written
    console.print(f"Convertmax: {written['accepted']} records written, with who saw which variation.")
    verdict = (
        "[green]Every order is counted once, for the right visitor."
        if outcome.is_good
        else "[red]They differ."
    )
    console.print(f"{verdict}[/] {outcome.seconds:.1f} s")


def _revenue(outcome: Outcome) -> Table:
    table = Table("variation", title="Revenue", title_justify="left", box=None)
    table.add_column("in the stores", justify="right")
    table.add_column("at Convert", justify="right")
    for key, sums in outcome.revenue().items():
        table.add_row(key, f"{sums['truth']:,.2f}", f"{sums['recorded']:,.2f}")
    return table


def show_report(console: Console, report: Report) -> None:
    """How the books stand."""
    table = Table("state", "reason", title="The ledger", title_justify="left", box=None)
    table.add_column("effects", justify="right")
    for state, count in sorted(report.states.items()):
        reasons = {"waiting": report.waiting, "dropped": report.dropped}.get(state) or {"": count}
        for reason, number in sorted(reasons.items()):
            table.add_row(state, reason, f"{number:,}")
    console.print(table)
    if report.unresolved:
        console.print(f"Orders whose visitor nothing leads to: {len(report.unresolved):,}", highlight=False)
        for name in report.unresolved[:20]:
            console.print(f"  {name}", markup=False, highlight=False)
