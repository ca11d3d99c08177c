"""The figures as a Markdown page."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.harness import TITLES, Row

_HEAD = """# Measured

Medians of interleaved fresh processes (smallest–largest in brackets), made by `make bench`. *×* is how many
times better `convert_sdk` is in the same rounds; under 1 it is worse. Empty: that side has no such work.
"""


def markdown(rows: Sequence[Row], about: dict[str, Any]) -> str:
    lines = [_HEAD, _machine(about), ""]
    lines += table(rows)
    notes = [f"- **{row.key}** {row.note}" for row in rows if row.note]
    return "\n".join([*lines, "", *notes]).rstrip() + "\n"


def table(rows: Sequence[Row]) -> list[str]:
    columns = [name for name in TITLES if any(name in row.figures for row in rows)]
    head = ["", "work"]
    for name in columns:
        head += [TITLES[name]] if name == "ours" else [TITLES[name], "×"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        cells = [row.key, row.work]
        for name in columns:
            cells.append(_cell(row.figures.get(name, ()), row.unit))
            if name != "ours":
                ratio = row.ratio(name)
                cells.append("" if ratio is None else _short(ratio))
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _cell(values: Sequence[float], unit: str) -> str:
    if not values:
        return ""
    middle, low, high = statistics.median(values), min(values), max(values)
    spread = f" ({_short(low)}–{_short(high)})" if low != high else ""
    return f"{_short(middle)} {unit}{spread}".replace("  ", " ")


def _short(value: float) -> str:
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f}"


def _machine(about: dict[str, Any]) -> str:
    versions = "; ".join(
        f"{TITLES[peer]}: " + ", ".join(f"{name} {version}" for name, version in found.items())
        for peer, found in about["versions"].items()
    )
    return (
        f"{about['processor']}, {about['cores']} cores, {about['system']}, Python {about['python']}, "
        f"{about['rounds']} rounds, load {about['load']:.1f} at the start. {versions}."
    )
