"""What one decision costs (W1, W1s), a hundred (W2, W2s), and the verbs around them (W8)."""

from __future__ import annotations

import json
from collections import Counter
from math import sqrt
from pathlib import Path

from benchmarks import documents
from benchmarks.harness import Bench, Json, Row, Task, column, main

_COLUMNS = ("ours", "rival", "eppo", "eppo_quiet")


_NOTES = {
    "W1 country": "`peek`; the rival with storage and tracking off. Eppo keeps nothing about a subject; with `doLog` "
    "on (usual for an experiment) it also builds an event and calls the application's logger, so `doLog` off is the "
    "like of `peek`.",
    "W1 plan": "`country` is one of the seven attributes that are remembered and reported as segments (the rival "
    "does not), `plan` is not.",
}


def sources(bench: Bench, name: str, document: Json) -> dict[str, Path]:
    """The same experiments for every column."""
    convert = bench.document(name, document)
    return {
        "ours": convert,
        "rival": convert,
        "eppo": bench.document(f"{name}-eppo", documents.as_eppo(document, log=True)),
        "eppo_quiet": bench.document(f"{name}-eppo-quiet", documents.as_eppo(document, log=False)),
    }


def check(bench: Bench) -> None:
    """Nothing is timed unless each side splits traffic as allocated and both Convert SDKs decide alike."""
    document = documents.small(10)
    paths = sources(bench, "check", document)
    count = bench.pick(5_000, 20_000)
    for peer in bench.peers:
        answers = bench.run(Task(peer, "decisions", {"document": paths[peer], "n": count}))
        for key, expected in documents.shares(document).items():
            seen: Counter[str | None] = Counter(answers[key])
            assert set(seen) <= set(expected), f"{peer} answers unknown variations of {key}: {set(seen)}"
            for variation, share in expected.items():
                tolerance = 4 * sqrt(share * (1 - share) / count)
                part = seen[variation] / count
                assert abs(part - share) <= tolerance, f"{peer} gives {variation} {part:.4f}, not {share:.4f}"
    if {"ours", "rival"} <= set(bench.peers):
        options = {"document": paths["ours"], "n": count, "fill": 8}
        ours, rival = (bench.run(Task(peer, "decisions", options)) for peer in ("ours", "rival"))
        differing = [key for key in ours if ours[key] != rival[key]]
        assert not differing, f"the Convert SDKs decide differently: {differing}"
        missed = sum(answer is None for answers in ours.values() for answer in answers)
        assert 0 < missed < count * len(ours), "the sample must have both kinds of visitors"


def one(bench: Bench) -> list[Row]:
    rows = []
    count = 200_000
    for key in ("country", "plan"):
        paths = sources(bench, f"one-{key}", documents.small(1, key))
        attributes = json.dumps({key: documents.ATTRIBUTES[key], "visits": 7})
        peek, decide = (
            bench.measure(
                Task(name, work, {"document": paths[name], "n": count, "attributes": attributes})
                for name in _COLUMNS
            )
            for work in ("w1", "w1s")
        )
        about = f"rules on `{key}` and `visits`"
        work = f"a new visitor and one decision, {count:,} ids, {about}"
        rows += [
            Row(f"W1 {key}", work, "µs", column(peek, "ns", 1e-3), _NOTES[f"W1 {key}"]),
            Row(
                f"W1s {key}",
                f"the same remembered and reported, {about}",
                "µs",
                column(decide, "ns", 1e-3),
                f"`decide` until a sink that discards has every event; dropped {_dropped(decide)}. The rival with "
                "its defaults and a transport that answers at once. Eppo remembers nothing; its logger does nothing.",
            ),
        ]
    return rows


def hundred(bench: Bench) -> list[Row]:
    sizes = {100: bench.pick(1_000, 3_000), 1_000: bench.pick(100, 300)}
    paths = {size: sources(bench, f"many-{size}", documents.small(size)) for size in sizes}
    singly = _peeked(bench, "w2", sizes, paths)
    together = _peeked(bench, "w2_all", sizes, paths)
    note = "Per decision, by `peek_all`; the rival's by `run_experiences`, Eppo's one by one."
    return [
        *(Row(f"W2/{size}", f"{size:,} experiences peeked one by one", "µs", singly[size]) for size in sizes),
        *(
            Row(f"W2/{size} all", f"{size:,} experiences at once", "µs", together[size], note)
            for size in sizes
        ),
        Row("W2×", "cost of 1,000 experiences over 100", "times", _growth(singly), "10 is proportional."),
        Row("W2× all", "the same at once", "times", _growth(together)),
        _all_decided(bench, paths[100]),
    ]


Times = dict[int, dict[str, list[float]]]


def _peeked(bench: Bench, work: str, sizes: dict[int, int], paths: dict[int, dict[str, Path]]) -> Times:
    """Nanoseconds per decision; both sizes in each round, as their ratio is a figure too."""
    times: Times = {size: {} for size in sizes}
    for _ in range(bench.rounds):
        for size, visitors in sizes.items():
            tasks = (_all_peeked(name, work, paths[size], visitors) for name in _COLUMNS)
            for name, found in column(bench.measure(tasks, rounds=1), "ns", 1e-3).items():
                times[size].setdefault(name, []).extend(found)
    return times


def _growth(times: Times) -> dict[str, list[float]]:
    return {
        name: [10 * many / few for few, many in zip(times[100][name], times[1_000][name], strict=True)]
        for name in times[100]
    }


def _all_peeked(name: str, work: str, paths: dict[str, Path], visitors: int) -> Task:
    work = "w2" if name.startswith("eppo") else work
    return Task(name, work, {"document": paths[name], "n": visitors * (1 if name == "rival" else 5)})


def _all_decided(bench: Bench, paths: dict[str, Path]) -> Row:
    stored = bench.measure(
        Task(name, "w2s", {"document": paths[name], "n": bench.pick(300, 1_000)}) for name in _COLUMNS
    )
    note = f"`decide_all` to a sink that discards, events dropped: {_dropped(stored)}; the others as in W1s."
    return Row("W2s", "100 experiences, remembered and reported", "µs", column(stored, "ns", 1e-3), note)


def verbs(bench: Bench) -> list[Row]:
    featured = sources(bench, "feature", documents.with_feature())
    plain = sources(bench, "one", documents.small(1))
    notes = {
        "feature": "For a visitor who has the decision. The rival casts 20 variables in each call; Eppo's "
        "like is a JSON flag, with nothing cast.",
        "track": "A first conversion with revenue, products and transaction id, without what a worker does later: "
        "every 400 calls the queue is flushed while the clock stands. The rival builds its bodies in the call. "
        "Eppo has none.",
        "explain": "Not alike: ours names every rule, hash and range; the rival's `diagnose_experience` "
        "is one reason; Eppo's details name allocations and conditions.",
    }
    rows = []
    for work, paths in (("feature", featured), ("track", plain), ("explain", plain)):
        columns = [name for name in _COLUMNS if not (work == "track" and name.startswith("eppo"))]
        answers = bench.measure(Task(name, work, {"document": paths[name], "n": 4_000}) for name in columns)
        title = {"feature": "`feature` with 20 variables", "track": "`track`", "explain": "`explain`"}[work]
        rows.append(Row(f"W8 {work}", title, "µs", column(answers, "ns", 1e-3), notes[work]))
    rows.append(typed(bench, featured["ours"]))
    return rows


def typed(bench: Bench, document: Path) -> Row:
    """Generated flags beside the look-up that they stand for."""
    answers = bench.measure(
        Task(name, work, {"document": document, "n": 20_000})
        for name, work in (("ours", "typed"), ("ours_hand", "feature"))
    )
    note = 'For a visitor who has the decision; by hand: `visitor.feature("pricing").get("v1", 0)`.'
    return Row("W8 typed", "`flags.pricing(visitor).v1`", "µs", column(answers, "ns", 1e-3), note)


def measure(bench: Bench) -> list[Row]:
    check(bench)
    return [*one(bench), *hundred(bench), *verbs(bench)]


def _dropped(answers: dict[str, list[Json]]) -> str:
    return json.dumps([entry["dropped"] for entry in answers.get("ours", ())])


if __name__ == "__main__":
    main({"decisions": measure}, __doc__)
