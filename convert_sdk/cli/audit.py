"""`convert-sdk audit`: logged exposures against what the hash gives."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convert_sdk import Project

from .assign import Document, plainly
from .source import AsJson

if TYPE_CHECKING:
    from convert_sdk.tables.audit import AuditReport


def audit(
    project: Document,
    exposures: Annotated[
        list[str],
        typer.Argument(metavar="FILE…", help="Parquet, CSV or JSON, one exposure in a row; or globs."),
    ],
    *,
    visitor: Annotated[str, typer.Option(help="The column of the visitor's id.")] = "visitor_id",
    experience: Annotated[str, typer.Option(help="The column of the experience's key or id.")] = "experience",
    variation: Annotated[str, typer.Option(help="The column of the variation's key or id.")] = "variation",
    time: Annotated[
        str | None, typer.Option(help="A column that begins with the date: sample ratios by day.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="The column of the decision's reason.")] = None,
    revision: Annotated[str | None, typer.Option(help="The column of the document's revision.")] = None,
    other_id: Annotated[
        list[str] | None,
        typer.Option(help="A column of another id that may have been hashed; again for each."),
    ] = None,
    bound: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="The largest share of real mismatches that gives exit code 0."),
    ] = 0.0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A Parquet file for the first 10,000 mismatches.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Recompute logged exposures: how many agree, why others do not, and each day's sample ratio.

    The exit code is 1 if more real mismatches are found than --bound allows. Needs the extra duckdb.
    """
    import duckdb
    import pyarrow.parquet as pq

    from convert_sdk.tables.audit import AuditColumns, audit
    from convert_sdk.tables.files import replaced
    from convert_sdk.tables.frames import relation_reader
    from convert_sdk.tables.reading import input_files, read_files, said_plainly

    columns = AuditColumns(visitor, experience, variation, time, reason, revision, tuple(other_id or ()))
    with plainly():
        loaded = Project.load(project)
        relation = read_files(duckdb.connect(), input_files(exposures))
        with said_plainly(exposures[0]):
            report = audit(loaded, relation_reader(relation), columns)
        if output is not None:
            with said_plainly(output), replaced(output) as temporary:
                pq.write_table(report.mismatched, temporary)
    typer.echo(report.to_json() if as_json else _text(report))
    if report.exceeds(bound):
        raise typer.Exit(1)


def _text(report: AuditReport) -> str:
    lines = [f"{report.rows:,} exposures, {report.agreed:,} as the hash gives them"]
    lines += [f"  {count:,} {cause}" for cause, count in sorted(report.mismatches.items())]
    for key, counts in sorted(report.by_experience.items()):
        told = ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()))
        lines.append(f"{key}: {told}")
    for each in report.days:
        counted = ", ".join(f"{key} {count:,}" for key, count in each.counts.items())
        ratio = "too few to tell" if each.p_value is None else f"p {each.p_value:.3g}"
        lines.append(f"{each.day} {each.experience}: {counted}; {ratio}")
    return "\n".join(lines)
