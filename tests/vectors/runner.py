"""Cases, what the reference answered, what we answer, and whether the difference is one we chose."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from math import inf, isnan, nan
from pathlib import Path
from typing import NamedTuple

from . import comparisons, decisions, extras, hashes
from .differences import Between, Json, OneOf, asked_otherwise, hangs_on, rewritten

HERE = Path(__file__).parent
ANSWERS: Mapping[str | None, Callable[[Json, Json], Json]] = {
    None: decisions.answered,
    "hash": hashes.hashed,
    "compare": comparisons.compared,
    "rule": comparisons.ruled,
    "cast": comparisons.casted,
    "bucket": extras.bucketed,
    "preview_param": extras.previewed,
    "numeric": extras.numbered,
}
"""By a case's mode; a case without one is a run of decisions on a document."""
SHAPES: Mapping[str | None, Callable[[Json, Json], Json]] = {None: decisions.shaped, "bucket": extras.shaped}
"""What both sides are brought to before they are compared."""
NOT_COMPARED = frozenset({"events", "data_store"})
"""We have no listeners, and the store's dump is an artefact of the reference's queue."""
NUMBERS = {"NaN": nan, "Infinity": inf, "-Infinity": -inf}


class Miss(NamedTuple):
    """A field that nothing explains."""

    case_id: str
    field: str
    expected: object
    found: object

    def __str__(self) -> str:
        return f"{self.case_id} {self.field}: expected {self.expected!a:.500}, found {self.found!a:.500}"


class Tally:
    """How many cases agree, in which of them a difference was in play, and the misses."""

    def __init__(self) -> None:
        self.total = 0
        self.agreed = 0
        self.rewritten: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.misses: list[Miss] = []

    def __str__(self) -> str:
        return (
            f"{self.total} cases, {self.agreed} agree, rewritten {_counts(self.rewritten)}, "
            f"skipped {_counts(self.skipped)}, {len(self.misses)} unexplained"
        )


def _counts(counter: Counter[str]) -> str:
    ordered = sorted(counter.items(), key=lambda item: int(item[0][1:]))
    return " ".join(f"{name} {count}" for name, count in ordered) or "none"


def cases(directory: Path) -> dict[str, list[Json]]:
    """The cases of every file in a directory, by the file's name."""
    return {
        path.name.partition(".")[0]: [json.loads(line) for line in _text(path).splitlines()]
        for path in sorted(directory.iterdir())
        if path.name.endswith((".jsonl", ".jsonl.gz"))
    }


def documents(directory: Path) -> dict[str, Json]:
    """The documents that the decisions of a directory refer to, from configs.json, zipped or not."""
    for path in (directory / "configs.json.gz", directory / "configs.json"):
        if path.exists():
            return dict(json.loads(_text(path)))
    return {}


def _text(path: Path) -> str:
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode()


def run(listed: Iterable[Json], known: Mapping[str, Json]) -> Tally:
    """Answer every case and count."""
    tally = Tally()
    for line in listed:
        tally.total += 1
        case = numbers(line["case"])
        document = known[case["config_ref"]] if "config_ref" in case else None
        verdict = judged(case, document, numbers(line["expected"]))
        if isinstance(verdict, Miss):
            tally.misses.append(verdict)
        elif isinstance(verdict, str):
            tally.skipped[verdict] += 1
        else:
            tally.agreed += 1
            tally.rewritten.update(verdict)
    return tally


def judged(case: Json, document: Json, answer: Json) -> set[str] | str | Miss:
    """The differences in play where we agree, the one for which a case is skipped, or what is unexplained."""
    mode = case.get("mode")
    ask, shape = ANSWERS[mode], SHAPES.get(mode)
    expected, applied = rewritten(case, answer)
    if shape is not None:
        expected = shape(case, expected)
    found = ask(case, document)
    miss = _miss(case, expected, found)
    if miss is None:
        return {*applied}
    answers = [found]
    for names, question in asked_otherwise(case, document):
        answers.append(ask(*question))
        if _miss(case, expected, answers[-1]) is None:
            return {*applied, *names}
    return hangs_on(document, expected, *answers) or miss


def _miss(case: Json, expected: Json, found: Json) -> Miss | None:
    for field, value in expected.items():
        if field not in NOT_COMPARED and not same(value, found.get(field, "nothing")):
            return Miss(case["id"], field, value, found.get(field, "nothing"))
    return None


def numbers(value: object) -> Json:
    """The value with the numbers that JSON cannot carry."""
    if isinstance(value, dict):
        if value.keys() == {"$num"}:
            return NUMBERS[value["$num"]]
        return {key: numbers(item) for key, item in value.items()}
    return [numbers(item) for item in value] if isinstance(value, list) else value


def same(one: object, other: object) -> bool:
    """Equal as JSON: every number is a double, a truth value is no number."""
    if isinstance(other, Between):
        return isinstance(one, list) and other.admits(one)
    if isinstance(other, OneOf):
        return any(same(one, each) for each in other)
    if isinstance(one, (int, float)) and not isinstance(one, bool):
        if not isinstance(other, (int, float)) or isinstance(other, bool):
            return False
        return float(one) == float(other) or (isnan(one) and isnan(other))
    if isinstance(one, dict) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other
