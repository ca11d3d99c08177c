"""The table of sizes in docs/across.md; `pytest -s` prints it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from convert_sdk import Client, Consent, VisitorState
from convert_sdk._tokens.handover import HandedConsent, Handover, read_handover, write_handover
from convert_sdk._tokens.override import sign_override
from convert_sdk._tokens.state import carried_state, sign_state
from tests.documents import project

PAGE = Path(__file__).parents[3] / "docs" / "across.md"
ID = "3f1c2b9a-7a7e-4d8e-9a0e-1c2b3d4e5f60"
MANY = {
    f"{10**9 + n * 829_348_951 % 9_000_000_000}": f"{10**9 + n * 648_391_173 % 9_000_000_000}"
    for n in range(1, 251)
}
"""Ids of ten digits without an order."""


class Size(NamedTuple):
    """One row of the table."""

    decisions: int
    state: int
    state_kept: int
    handover: int
    handover_kept: int


def size(decisions: int) -> Size:
    engine = Client.offline(project(), secrets=["a secret of all of them"])._engine
    engine.wall_clock = lambda: 1_800_000_000.0
    engine.project = None  # so that nothing leaves for the document's sake
    some = dict([*MANY.items()][:decisions])
    state = VisitorState(some, {"purchase": ""}, {"country": "DE"})
    signed = sign_state(engine, carried_state(ID, state), 31_536_000)
    assert signed is not None
    handover = Handover(ID, decisions=some, consent=HandedConsent(Consent.GRANTED))
    token = write_handover(engine, handover, 300)
    read = read_handover(engine, token).handover
    assert read is not None
    return Size(decisions, len(signed.token), len(signed.carried.decisions), len(token), len(read.decisions))


def test_the_table_of_sizes() -> None:
    sizes = [size(decisions) for decisions in (0, 1, 5, 20, 50, 100, 250)]
    rows = [
        f"| {each.decisions} | {each.state:,} ({each.state_kept}) | {each.handover:,} ({each.handover_kept}) |"
        for each in sizes
    ]
    print("\n".join(rows))  # noqa: T201  # the table, to be copied
    quoted = re.findall(
        r"^\| (\d+) \| ([\d,]+) \((\d+)\) \| ([\d,]+) \((\d+)\) \|$", PAGE.read_text("utf-8"), re.MULTILINE
    )
    found = [Size(*(int(cell.replace(",", "")) for cell in row)) for row in quoted]
    assert [row.decisions for row in found] == [row.decisions for row in sizes]
    for row, now in zip(found, sizes, strict=True):  # other builds of zlib differ by a little
        assert all(abs(one - other) <= 0.03 * other + 1 for one, other in zip(row, now, strict=True))
        assert (now.state <= 3_072, now.handover <= 2_048) == (True, True)


def test_an_override_is_short() -> None:
    engine = Client.offline(project(), secrets=["a secret of all of them"])._engine
    assert len(sign_override(engine, {"checkout-layout": "one-page"}, 3_600)) < 150
