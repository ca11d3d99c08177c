"""An exposure and a conversion of every visitor to a collector in another process (W5)."""

from __future__ import annotations

import json
import urllib.request

from benchmarks import documents
from benchmarks.harness import Bench, Json, Row, Task, main


def measure(bench: Bench) -> list[Row]:
    rows = []
    for delay in (0, 20):
        answers = _answers(bench, delay)
        lost = {name: [entry["lost"] for entry in entries] for name, entries in answers.items()}
        twice = {name: [entry["twice"] for entry in entries] for name, entries in answers.items()}
        counts = ", ".join(f"{name} {entries[0]['offered']:,} events" for name, entries in answers.items())
        note = (
            f"{counts} a round; lost {json.dumps(lost)}, arrived twice {json.dumps(twice)}. The rival posts "
            "ten events at a time on the caller's thread, so it runs fewer visitors. Eppo delivers nothing."
        )
        rows += [
            Row(
                f"W5/{delay}",
                f"the caller's time per event, answers after {delay} ms",
                "µs",
                _caller(answers),
                note,
            ),
            Row(f"W5/{delay} added", "of which reporting added", "µs", _added(answers)),
            Row(
                f"W5/{delay} rate",
                "events a second until all arrived",
                "",
                _rate(answers),
                higher_is_better=True,
            ),
        ]
    return rows


def _answers(bench: Bench, delay: int) -> dict[str, list[Json]]:
    visitors = {"ours": 50_000, "rival": bench.pick(1_000, 5_000) if delay else bench.pick(5_000, 20_000)}
    document = bench.document("feature", documents.with_feature())
    peers = [peer for peer in visitors if peer in bench.peers]
    answers: dict[str, list[Json]] = {peer: [] for peer in peers}
    with bench.collector(document, delay) as port:
        for _ in range(bench.rounds):
            for peer in peers:
                options = {"document": document, "port": port, "n": visitors[peer]}
                answer = bench.run(Task(peer, "w5", options))
                arrived = _arrived(port)
                answer["lost"] = answer["offered"] - arrived["distinct"]
                answer["twice"] = arrived["events"] - arrived["distinct"]
                answers[peer].append(answer)
    return answers


def _arrived(port: int) -> Json:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/count") as reply:
        counted: Json = json.load(reply)
    return counted


def _caller(answers: dict[str, list[Json]]) -> dict[str, list[float]]:
    return {
        name: [1e6 * one["caller"] / one["offered"] for one in entries] for name, entries in answers.items()
    }


def _added(answers: dict[str, list[Json]]) -> dict[str, list[float]]:
    return {
        name: [1e6 * (one["caller"] - one["without"]) / one["offered"] for one in entries]
        for name, entries in answers.items()
        if "without" in entries[0]
    }


def _rate(answers: dict[str, list[Json]]) -> dict[str, list[float]]:
    return {name: [one["offered"] / one["whole"] for one in entries] for name, entries in answers.items()}


if __name__ == "__main__":
    main({"delivery": measure}, __doc__)
