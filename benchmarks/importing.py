"""What importing the package adds to a bare interpreter (W4)."""

from __future__ import annotations

from benchmarks.harness import PEERS, TITLES, Bench, Json, Row, column, main

_MODULES = {"ours": "convert_sdk", "rival": "convert_sdk", "eppo": "eppo_client"}


def measure(bench: Bench) -> list[Row]:
    answers: dict[str, list[Json]] = {peer: [] for peer in bench.peers}
    for number in range(1 + bench.rounds * 3):
        for peer in bench.peers:
            answer = bench.script(peer, [str(PEERS / "import_cost.py"), _MODULES[peer]])
            if number:  # the first run writes the byte code
                answers[peer].append(answer)
    heavy = [f"{TITLES[peer]}: {', '.join(found[0]['heavy']) or 'none'}" for peer, found in answers.items()]
    note = f"Of asyncio, dataclasses, httpx, logging, pydantic and regex it loads: {'; '.join(heavy)}."
    return [
        Row("W4", "importing the package", "ms", column(answers, "ms"), note),
        Row("W4 memory", "memory that the import adds", "MB", column(answers, "bytes", 1e-6)),
        Row("W4 modules", "modules that the import loads", "", column(answers, "modules")),
    ]


if __name__ == "__main__":
    main({"importing": measure}, __doc__)
