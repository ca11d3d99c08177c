"""`convert-sdk decide`: a table of visitors in, their decisions out."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated

import typer

from convert_sdk import Decision, Project
from convert_sdk.analysis import VisitorRow, decide_row
from convert_sdk.analysis.vocabulary import near
from convert_sdk.errors import UnknownNameError

from .source import STANDARD_INPUT, SdkKey, fail, read_source
from .visitors import visitor_table

COLUMNS = (
    *("visitor_id", "experience", "variation", "reason", "experience_id", "variation_id", "bucket_value"),
)


class Format(StrEnum):
    """The format of the decisions."""

    CSV = "csv"
    JSON_LINES = "jsonl"


def decide(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DOCUMENT] VISITORS",
            help="The document, and a table of visitors: CSV or JSON lines; - is standard input.",
        ),
    ] = None,
    *,
    sdk_key: SdkKey = None,
    experience: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY", help="Only this experience; may be given several times."),
    ] = None,
    format: Annotated[Format, typer.Option(help="The format of the decisions.")] = Format.CSV,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format jsonl.")] = False,
) -> None:
    """Decide for every visitor of a table: a line a visitor and experience, as `decide_all` would.

    Each line of the table is a visitor of its own; nothing is remembered from one to the next, and nothing is sent.
    """
    source = read_source(words, sdk_key, least=1, most=1)
    if source.name == STANDARD_INPUT and source.words[0] == "-":
        raise typer.BadParameter("only one of the two can be standard input", param_hint="VISITORS")
    project = source.project()
    keys = [_known(project, key) for key in experience] if experience else None
    rows = visitor_table([project], source.words[0])
    lines = _lines(project, rows, keys, source.words[0])
    if as_json or format is Format.JSON_LINES:
        for line in lines:
            print(json.dumps(dict(zip(COLUMNS, line, strict=True)), ensure_ascii=False))
    else:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(lines)


def _lines(
    project: Project, rows: list[VisitorRow], keys: list[str] | None, name: str
) -> Iterator[tuple[object, ...]]:
    for number, row in enumerate(rows, 1):
        try:
            decisions = decide_row(project, row, keys)
        except UnknownNameError as error:
            fail(f"{name}: visitor {number}: {error}", 2)
        yield from (_line(row.id, decision) for decision in decisions)


def _line(visitor_id: str, decision: Decision) -> tuple[object, ...]:
    return (
        visitor_id,
        decision.key,
        decision.variation_key,
        decision.reason.value,
        decision.experience_id,
        decision.variation_id,
        decision.bucket_value,
    )


def _known(project: Project, key: str) -> str:
    if project.experience(key) is None:
        fail(f"there is no experience {key!r}{near(key, [each.key for each in project.experiences])}", 2)
    return key
