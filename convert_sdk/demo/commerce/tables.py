"""The demonstration's figures as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from .result import CommerceResult

_FIGURES = (
    ("orders", "placed in the two stores"),
    ("orders_that_count", "paid, and not cancelled in time"),
    ("conversions", "orders that Convert heard of"),
    ("duplicates", "conversions that Convert counted more than once"),
    ("lost", "orders of known visitors that Convert did not hear of"),
    ("invented", "conversions without an order that counts"),
    ("misattributed", "conversions credited to another visitor or variation than the truth"),
    ("resent", "on their way when the process was killed: sent again, under the same transaction id"),
    ("unresolved", "orders that count, but nothing says whose they are: reported, never guessed"),
)


def show_result(console: Console, result: CommerceResult) -> None:
    """The demonstration's figures and verdict."""
    figures = result.figures()
    console.print(_revenue(result))
    counts = Table(
        "", "", "", title="Orders and conversions", title_justify="left", box=None, show_header=False
    )
    counts.columns[0].justify = "right"
    for name, meaning in _FIGURES:
        counts.add_row(f"{figures[name]:,}", name.replace("_", " "), meaning)
    console.print(counts)
    written = result.written
    console.print(
        f"Convertmax: {written['accepted']} records written, with who saw which variation.", highlight=False
    )
    verdict = (
        "[green]Every order of a known visitor is counted once, for the right one."
        if result.is_good
        else "[red]They differ."
    )
    console.print(f"{verdict}[/] {result.seconds:.1f} s")


def _revenue(result: CommerceResult) -> Table:
    table = Table("variation", title="Revenue", title_justify="left", box=None)
    for heading in ("shoppers", "orders", "in the stores", "at Convert"):
        table.add_column(heading, justify="right")
    for key, share in result.revenue().items():
        counts = (f"{share[name]:,}" for name in ("shoppers", "orders"))
        table.add_row(key, *counts, *(f"{share[name]:,.2f}" for name in ("truth", "recorded")))
    figures = result.figures()
    table.add_row("unresolved", "", f"{figures['unresolved']:,}", f"{result.unresolved_revenue:,.2f}", "")
    return table
