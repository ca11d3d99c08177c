"""The decisions of the reference's runs, asked of tables: what fits into one table goes through together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import NamedTuple

import pyarrow as pa
import pytest

from convert_sdk import Decision, Project, visitor
from convert_sdk._core.decide import decide, decide_each
from convert_sdk._core.facts import Facts, Place
from convert_sdk._core.model import CompiledProject, Experience
from convert_sdk._core.state import VisitorState
from convert_sdk.tables import assign
from tests.vectors.runner import HERE, cases, documents, run

RESULTS = ("variation_key", "variation_id", "reason", "bucket_value")


class Question(NamedTuple):
    """One decision, and all that it was made from."""

    id: str
    data: Mapping[str, object]
    location: Place
    environment: str | None
    state: VisitorState
    decision: Decision


class Recorder:
    """Stands in for the core's deciding, and keeps what was asked."""

    def __init__(self) -> None:
        self.asked: dict[tuple[bytes, object], list[Question]] = defaultdict(list)
        self.projects: dict[tuple[bytes, object], CompiledProject] = {}

    def decide(self, project: CompiledProject, facts: Facts, key: str, forced: str | None = None) -> Decision:
        decision = decide(project, facts, key, forced)
        if forced is None and decision.experience is not None:
            self._keep(project, facts, [decision])
        return decision

    def decide_each(
        self, project: CompiledProject, facts: Facts, experiences: Iterable[Experience]
    ) -> Iterator[list[Decision]]:
        for decisions in decide_each(project, facts, experiences):
            self._keep(project, facts, decisions)
            yield decisions

    def _keep(self, project: CompiledProject, facts: Facts, decisions: Iterable[Decision]) -> None:
        named = project.source, project.bucketing
        self.projects.setdefault(named, project)
        custom = facts._state.segments.get("customSegments")
        state = VisitorState(
            facts._state.bucketing, segments={} if custom is None else {"customSegments": custom}
        )
        known = deepcopy((dict(facts._data()), facts.location))
        self.asked[named] += [
            Question(facts.id, known[0], known[1], facts.environment, state, decision)
            for decision in decisions
        ]


class Bin:
    """Questions that fit into one table: every column has one type, and a null means the same in every row."""

    def __init__(self, first: Question) -> None:
        self.place = type(first.location)
        self.environment = first.environment
        self.nulls = "none" if has_null(first) else "missing"
        self.kinds: dict[str, object] = {}
        self.rows: list[tuple[Question, dict[str, object]]] = []

    def takes(self, question: Question) -> bool:
        """True if the question fits, which then is in."""
        if (type(question.location), question.environment) != (self.place, self.environment):
            return False
        cells = {f"of the visitor: {name}": value for name, value in question.data.items()}
        if isinstance(question.location, Mapping):
            cells |= {f"of the place: {name}": value for name, value in question.location.items()}
        kinds = {name: pa.array([value]).type for name, value in cells.items()}
        if any(self.kinds.get(name, kind) != kind for name, kind in kinds.items()):
            return False
        if self.nulls == "none" and self.rows and self.kinds.keys() != kinds.keys():
            return False
        if self.nulls == "missing" and has_null(question):
            return False
        self.kinds |= kinds
        cells |= {"the visitor": question.id, "the state": question.state.to_json()}
        pa.array([question.id, cells["the state"]])  # refuses half a character
        self.rows.append((question, cells))
        return True

    def answers(self, project: CompiledProject) -> list[dict[str, object]]:
        """What a table of these questions gives."""
        assert isinstance(project, Project)
        columns = {
            name: pa.array([cells.get(name) for _, cells in self.rows], kind)
            for name, kind in {"the visitor": pa.string(), "the state": pa.string(), **self.kinds}.items()
        }
        located = {
            name.removeprefix("of the place: "): name
            for name in self.kinds
            if name.startswith("of the place: ")
        }
        assigned = assign(
            project,
            pa.table(columns),
            visitor="the visitor",
            attributes={
                name.removeprefix("of the visitor: "): name
                for name in self.kinds
                if name.startswith("of the visitor: ")
            },
            location=located if issubclass(self.place, Mapping) else self.rows[0][0].location,
            state="the state",
            environment=self.environment or "",
            nulls=self.nulls,  # type: ignore[arg-type]  # one of the two
            keep=(),
            threads=1,
        )
        rows: list[dict[str, object]] = assigned.to_pylist()
        return rows


def binned(questions: Iterable[Question]) -> tuple[list[Bin], int]:
    """The questions in as few tables as they fit into, and how many no table can hold."""
    bins: list[Bin] = []
    outside = 0
    for question in questions:
        try:
            if not any(each.takes(question) for each in bins):
                bins.append(Bin(question))
                bins[-1].takes(question)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, UnicodeEncodeError):
            outside += 1  # half a character, a list of several types: no column can hold it
    return [each for each in bins if each.rows], outside


def has_null(question: Question) -> bool:
    """True if any fact is None, which is not the same as a fact that is not there."""
    place = question.location if isinstance(question.location, Mapping) else {}
    return any(value is None for value in (*question.data.values(), *place.values()))


def test_some_decisions_of_the_vectors_are_those_of_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    assert agreeing(monkeypatch, every=30) > 400


@pytest.mark.soak
def test_all_decisions_of_the_vectors_are_those_of_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    assert agreeing(monkeypatch, every=1) > 18_000


def agreeing(monkeypatch: pytest.MonkeyPatch, every: int) -> int:
    """How many decisions of one in so many cases a table gives too; none may differ."""
    recorder = Recorder()
    monkeypatch.setattr(visitor, "decide", recorder.decide)
    monkeypatch.setattr(visitor, "decide_each", recorder.decide_each)
    assert run(cases(HERE)["decide"][::every], documents(HERE)).misses == []
    agreed, outside = 0, 0
    for named, questions in recorder.asked.items():
        bins, left_out = binned(questions)
        outside += left_out
        for each in bins:
            for row, (question, _) in zip(each.answers(recorder.projects[named]), each.rows, strict=True):
                key, decision = question.decision.key, question.decision
                assert {name: row[f"{key}_{name}"] for name in RESULTS} == {
                    "variation_key": decision.variation_key,
                    "variation_id": decision.variation_id,
                    "reason": decision.reason.value,
                    "bucket_value": decision.bucket_value,
                }
                agreed += 1
    assert outside < agreed / 20
    return agreed
