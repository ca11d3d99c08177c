"""A signal's handler may use the client in the middle of anything, the same call included."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.processes import finished
from tests.reliability.interruptions import EXPERIENCE, GOAL, Outcome
from tests.reliability.site import KEY, site

INTERRUPTED = """
import tests.reliability.last_words  # before all others, to speak after them
from tests.reliability.interruptions import main
main()
"""
POINTS = {"start": 300, "track": 300, "flush": 200, "close": 400, "exit": 400}
"""The lines at which a client with a spool and a store is interrupted, at the least, by verb."""
VERBS = tuple(POINTS)
KINDS = ("plain", "memory", "spool", "spool+sync+sqlite")
soak = pytest.mark.soak


def interrupted(folder: Path, kind: str, verb: str, then: str, number: int) -> int:
    """How often a client was interrupted in what it does; nothing may be lost or doubled by it."""
    with site() as convert:
        status, out, err = finished(INTERRUPTED, convert.url, KEY, str(folder), kind, verb, then, str(number))
        assert (status, err) == (0, "")
        points, parts = json.loads(out)
        received = [(visitor, said(json.loads(event))) for visitor, event in convert.events]
    outcome = Outcome(*parts)
    shown, counted = (
        {(visitor, what) for visitor, what in each} for each in (outcome.shown, outcome.counted)
    )
    assert outcome.failures == []
    assert len(received) == len({*received}) == outcome.sent, "some were sent twice, or got lost on the way"
    assert {*received} <= shown | counted
    if verb not in ("close", "exit", "loop-close") and then != "close":
        assert outcome.dropped == 0
        assert {*received} == shown | counted
    elif "spool" in kind:
        assert {*received} >= counted, "what was accepted is on disk, if not delivered"
    assert {each for each in shown | counted if is_early(each[0])} <= {*received}
    return int(points)


def said(event: dict[str, dict[str, str]]) -> str:
    """The experience or the goal that an event is about."""
    return EXPERIENCE if event["data"].get("experienceId") == "10" else GOAL


def is_early(visitor: str) -> bool:
    """Tell whether a visitor was served before anything was interrupted."""
    return visitor.endswith(("-first", "-second"))


@pytest.mark.parametrize("least", [500, pytest.param(5_000, marks=soak)])
@pytest.mark.parametrize("kind", ["plain", "memory", "spool", "spool+sync", "sqlite", "spool+sync+sqlite"])
def test_handlers_that_come_at_random(kind: str, least: int, tmp_path: Path) -> None:
    """Nothing waits for ever, and the counts are right whenever a handler asks."""
    assert interrupted(tmp_path, kind, "storm", "flush", least) >= least


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    "kind", ["spool+sync+sqlite", *(pytest.param(each, marks=soak) for each in KINDS[:3])]
)
def test_a_handler_at_every_line_of(verb: str, kind: str, tmp_path: Path) -> None:
    """One client is interrupted at all the lines that it comes to, and at most of them again."""
    least = POINTS[verb] if kind == KINDS[-1] else 100
    assert interrupted(tmp_path, kind, verb, "flush", 0) >= least


def test_the_lines_that_are_interrupted_are_over_a_thousand() -> None:
    assert sum(POINTS.values()) >= 1_000


@pytest.mark.parametrize("stride", [97, pytest.param(3, marks=soak)])
@pytest.mark.parametrize("then", ["flush", "close"])
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    "kind", ["memory", *(pytest.param(each, marks=soak) for each in (KINDS[0], *KINDS[2:]))]
)
def test_a_handler_at_one_line_of(verb: str, kind: str, then: str, stride: int, tmp_path: Path) -> None:
    """Each line that is found meets a client of its own, which is flushed or closed there."""
    assert interrupted(tmp_path, kind, verb, then, stride) >= 1


@pytest.mark.parametrize("then", ["flush", "close"])
@pytest.mark.parametrize("verb", ["loop-track", "loop-flush", "loop-close"])
@pytest.mark.parametrize(
    "kind", ["memory", *(pytest.param(each, marks=soak) for each in (KINDS[0], *KINDS[2:]))]
)
def test_a_handler_at_every_line_in_a_loop(verb: str, kind: str, then: str, tmp_path: Path) -> None:
    """A handler uses the visitors of an `AsyncClient`, and leaves what is awaited to the loop."""
    assert interrupted(tmp_path, kind, verb, then, 0) >= 20
