"""`convert-sdk watch`: the status of running clients, live, from the files that they write."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from convert_sdk._delivery.status_report import GONE_AFTER, ReceivedReport

_LARGEST = 1024 * 1024
_READABLE = 130
"""Columns of a pipe or a log, which have no width of their own: the table fits with nothing cut."""
_ANY_WIDTH = 10_000
_UNREAD = ReceivedReport({})
_TEXTS = ("client", "state", "document")
_FIGURES = ("offered", "/s", "sent", "queued", "in flight", "dropped", "rejected", "retries", "visitors")


class ClientRow(NamedTuple):
    """The last report of one client, and the file that has it."""

    file: str
    report: ReceivedReport
    flaw: str = ""

    def age(self, now: float) -> float:
        """Seconds since the report."""
        at = self.report.at
        return 0.0 if at is None else max(0.0, now - at)

    def state(self, now: float) -> str:
        """The state in a word or two."""
        if self.flaw:
            return self.flaw
        if self.report.closed:
            return "closed"
        if self.age(now) > GONE_AFTER:
            return f"silent for {self.age(now):.0f} s"
        return "healthy" if self.report.healthy else "needs attention"


def watch(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE…", help="The files of `status_file=`; patterns such as '/tmp/status-*.json'."
        ),
    ],
    *,
    once: Annotated[bool, typer.Option("--once", help="Show the figures once, and end.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object in place of the table; implies --once.")
    ] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 1.0,
) -> None:
    """Show what clients say of themselves: documents, events, errors, until Ctrl-C.

    Exit code 1 with --once where a client needs attention or no file is there.
    """
    if once or as_json:
        rows = read_rows(files)
        if as_json:
            typer.echo(
                json.dumps(
                    [
                        {"file": row.file, "state": row.state(time.time()), **row.report.content}
                        for row in rows
                    ]
                )
            )
        else:
            console = Console()
            if not console.is_terminal:
                console.width = max(console.width, _READABLE)
            console.print(Screen(rows, {}))
        raise typer.Exit(_exit_code(rows))
    before: dict[str, ClientRow] = {}
    rows = read_rows(files)
    with Live(Screen(rows, before), screen=True, auto_refresh=False) as live:
        try:
            while True:
                time.sleep(every)
                before = {row.file: row for row in rows}
                rows = read_rows(files)
                live.update(Screen(rows, before), refresh=True)
        except KeyboardInterrupt:
            return


def read_rows(patterns: Iterable[str]) -> list[ClientRow]:
    """The reports in some files, in the order of their names; one that cannot be read says why."""
    return [_read(path) for path in dict.fromkeys(_paths(patterns))]


class Screen:
    """All clients as a table, or each in some lines where that is too wide, and the last errors below.

    Args:
        rows: The clients.
        before: What was seen of them at the last look, by file.
    """

    def __init__(self, rows: list[ClientRow], before: Mapping[str, ClientRow]) -> None:
        self._rows = rows
        self._now = time.time()
        self._cells = [_cells(row, before.get(row.file), self._now) for row in rows]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        rows, table = self._rows, self._table()
        total = sum(row.report.events("pending") for row in rows)
        yield Text(
            f"{len(rows)} client{'' if len(rows) == 1 else 's'}, {total:,} events pending", style="bold"
        )
        needed = Measurement.get(console, options.update_width(_ANY_WIDTH), table).maximum
        if needed <= options.max_width:
            yield table
        else:
            yield from self._lines()
        for row in rows:
            for line in row.report.errors():
                yield Text(f"{row.report.about['pid'] or row.file}: {line}")

    def _table(self) -> Table:
        table = Table(expand=True, box=None, header_style="bold")
        for name in _TEXTS:
            table.add_column(name, no_wrap=True)
        for name in _FIGURES:
            table.add_column(name, justify="right", no_wrap=True)
        for cells in self._cells:
            table.add_row(*cells.texts, *cells.figures)
        return table

    def _lines(self) -> Iterator[RenderableType]:
        """Each client in two or three lines, which break between words."""
        for cells in self._cells:
            client, state, document = cells.texts
            yield Text.assemble(client, "  ", state, "  document ", document)
            figures = zip(_FIGURES, cells.figures, strict=True)
            named = [
                f"{figure}{name}" if name == "/s" else f"{name} {figure}"
                for name, figure in figures
                if figure
            ]
            yield Padding(Text(", ".join(named)), (0, 0, 0, 2))


class _RowTexts(NamedTuple):
    texts: tuple[Text, Text, Text]
    figures: tuple[str, ...]


def _cells(row: ClientRow, before: ClientRow | None, now: float) -> _RowTexts:
    report, state = row.report, row.state(now)
    colour = {"healthy": "green", "closed": "dim"}.get(state, "red")
    name = f"{report.about['host'] or '?'}:{report.about['pid'] or '?'}"
    rate = ""
    if before is not None and before.report.client == report.client:
        seconds = _moved(before, row)
        made = report.events("offered") - before.report.events("offered")
        rate = f"{made / seconds:,.0f}" if seconds > 0 else ""
    return _RowTexts(
        (
            Text(name if report.content else row.file),
            Text(state, style=colour),
            Text(report.revision or "none yet"),
        ),
        (
            f"{report.events('offered'):,}",
            rate,
            f"{report.events('sent'):,}",
            f"{report.events('queued') + report.events('spooled'):,}",
            f"{report.events('in_flight'):,}",
            f"{report.events('dropped'):,}",
            f"{report.events('rejected'):,}",
            f"{report.figure('retries'):,}",
            f"{report.figure('visitors'):,}",
        ),
    )


def _moved(before: ClientRow, row: ClientRow) -> float:
    """Seconds between two reports."""
    one, other = before.report.at, row.report.at
    return 0.0 if one is None or other is None else other - one


def _paths(patterns: Iterable[str]) -> Iterator[Path]:
    for pattern in patterns:
        path = Path(pattern).expanduser()
        if any(sign in path.name for sign in "*?["):
            yield from sorted(path.parent.glob(path.name))
        else:
            yield path


def _read(path: Path) -> ClientRow:
    try:
        if path.stat().st_size > _LARGEST:
            return ClientRow(str(path), _UNREAD, "too large")
        found: object = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return ClientRow(str(path), _UNREAD, "no file yet")
    except (OSError, ValueError):
        return ClientRow(str(path), _UNREAD, "cannot be read")
    report = ReceivedReport(found) if isinstance(found, dict) else _UNREAD
    if not report.status:
        return ClientRow(str(path), _UNREAD, "no status of a client")
    return ClientRow(str(path), report)


def _exit_code(rows: list[ClientRow]) -> int:
    now = time.time()
    return 0 if rows and all(row.state(now) in ("healthy", "closed") for row in rows) else 1
