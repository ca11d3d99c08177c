"""Runs measurements in fresh interpreters, peers taking turns, and lays out what came back."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parent.parent
PEERS = Path(__file__).resolve().parent / "peers"
VENVS = ROOT / ".venv-peers"
TITLES = {
    "ours": "convert_sdk",
    "ours_hand": "the same by hand",
    "rival": "convert-python-sdk 2.1.0",
    "eppo": "eppo-server-sdk 4.4.1",
    "eppo_quiet": "eppo-server-sdk 4.4.1, `doLog` off",
    "hog": "posthog 7.91.1",
}
_REQUIREMENTS = {
    "rival": "convert-python-sdk==2.1.0",
    "eppo": "eppo-server-sdk==4.4.1",
    "hog": "posthog==7.91.1 django==5.2.19",
}


@dataclass(frozen=True)
class Task:
    """One measurement of one peer: which column it fills, which worker and work, with which arguments."""

    column: str
    work: str
    arguments: Mapping[str, object] = field(default_factory=dict)

    @property
    def peer(self) -> str:
        return self.column.split("_")[0]


@dataclass(frozen=True)
class Row:
    """One line of the table: per column the figures of all rounds, in `unit`."""

    key: str
    work: str
    unit: str
    figures: Mapping[str, Sequence[float]]
    note: str = ""
    higher_is_better: bool = False

    def ratio(self, column: str) -> float | None:
        """How many times better we are than `column`: the median of the rounds' ratios."""
        ours, theirs = self.figures.get("ours", ()), self.figures.get(column, ())
        pairs = [(mine, other) for mine, other in zip(ours, theirs, strict=False) if mine > 0 and other > 0]
        if not pairs or column == "ours":
            return None
        better = [mine / other if self.higher_is_better else other / mine for mine, other in pairs]
        return statistics.median(better)

    def as_json(self) -> Json:
        figures = {
            column: {
                "median": statistics.median(values),
                "min": min(values),
                "max": max(values),
                "all": list(values),
            }
            for column, values in self.figures.items()
            if values
        }
        ratios = {column: ratio for column in figures if (ratio := self.ratio(column)) is not None}
        return {
            "key": self.key,
            "work": self.work,
            "unit": self.unit,
            "figures": figures,
            "times_better": ratios,
            "note": self.note,
        }


class Bench:
    """A run: how many rounds, which peers, and the folder of this run's documents."""

    def __init__(self, folder: Path, *, short: bool, peers: Sequence[str], rounds: int | None = None) -> None:
        self.folder = folder
        self.short = short
        self.peers = peers
        self.rounds = rounds or (3 if short else 7)
        self._interpreters = {peer: interpreter(peer) for peer in peers}

    def pick(self, short: int, full: int) -> int:
        return short if self.short else full

    def document(self, name: str, content: Json) -> Path:
        path = self.folder / f"{name}.json"
        if not path.exists():
            path.write_text(json.dumps(content))
        return path

    def measure(self, tasks: Iterable[Task], *, rounds: int | None = None) -> dict[str, list[Json]]:
        """What every task answered in each round, by column; each second round goes backwards."""
        wanted = [task for task in tasks if task.peer in self.peers]
        answers: dict[str, list[Json]] = {task.column: [] for task in wanted}
        for number in range(rounds or self.rounds):
            for task in wanted if number % 2 == 0 else reversed(wanted):
                answers[task.column].append(self.run(task))
        return answers

    def run(self, task: Task) -> Json:
        options = [str(part) for name, value in task.arguments.items() for part in (f"--{name}", value)]
        script = PEERS / f"{task.peer}.py"
        return self.script(task.peer, [str(script), task.work, *options])

    def script(self, peer: str, command: Sequence[str]) -> Json:
        """Run a script with a peer's interpreter in a folder from which it cannot import this project."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        if peer == "ours":
            environment["PYTHONPATH"] = str(ROOT)
        finished = subprocess.run(
            [self._interpreters[peer], *command],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if finished.returncode:
            raise SystemExit(f"{peer} {' '.join(command)} failed:\n{finished.stderr}")
        answer: Json = json.loads(finished.stdout)
        return answer

    @contextmanager
    def collector(self, document: Path, delay: float) -> Any:
        """A running collector's port."""
        command = [sys.executable, str(PEERS.parent / "collector.py"), str(document), str(delay)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                yield int(process.stdout.readline())
            finally:
                process.terminate()


def interpreter(peer: str) -> str:
    """The peer's interpreter; its virtual environment is made the first time it is asked for."""
    if peer == "ours":
        return sys.executable
    folder = VENVS / peer
    python = folder / "bin" / "python"
    ready = folder / f".{_REQUIREMENTS[peer].replace(' ', '+')}"
    if not ready.exists():
        print(f"making {folder.relative_to(ROOT)} with {_REQUIREMENTS[peer]}", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if subprocess.run([*install, *_REQUIREMENTS[peer].split()], check=False).returncode:
            raise SystemExit(f"could not install {_REQUIREMENTS[peer]}; leave it out with --peers")
        ready.touch()
    return str(python)


def column(answers: Mapping[str, list[Json]], name: str, scale: float = 1.0) -> dict[str, list[float]]:
    """One measured value of every column, scaled, for those that have it."""
    found = {
        key: [entry[name] * scale for entry in rounds if name in entry] for key, rounds in answers.items()
    }
    return {key: values for key, values in found.items() if values}


def machine(bench: Bench) -> Json:
    cpuinfo = Path("/proc/cpuinfo")
    names = (
        [line for line in cpuinfo.read_text().splitlines() if "model name" in line]
        if cpuinfo.exists()
        else []
    )
    versions = {peer: bench.run(Task(peer, "about")) for peer in bench.peers}
    return {
        "processor": names[0].split(":")[1].strip() if names else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
        "rounds": bench.rounds,
        "versions": versions,
    }


Measure = Callable[[Bench], list[Row]]


def main(measures: Mapping[str, Measure], description: str | None, *, peers: str = "ours,rival,eppo") -> None:
    """The command line that every script here has; `peers` are the sides of whoever names none."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--short", action="store_true", help="fewer rounds and visitors")
    parser.add_argument("--json", action="store_true", help="print JSON with every round's figure")
    parser.add_argument("--rounds", type=int, help="fresh processes per figure (default 7, short 3)")
    parser.add_argument("--peers", default=peers, help="which sides to run (default: %(default)s)")
    parser.add_argument("--write", type=Path, help="also write the table to this Markdown file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sides = arguments.peers.split(",")
        bench = Bench(Path(folder), short=arguments.short, peers=sides, rounds=arguments.rounds)
        about = machine(bench)
        rows: list[Row] = []
        for name, measure in measures.items():
            print(f"measuring {name}", file=sys.stderr)
            rows += measure(bench)
    from benchmarks.table import markdown

    report = markdown(rows, about)
    print(
        json.dumps({"machine": about, "rows": [row.as_json() for row in rows]}) if arguments.json else report
    )
    if arguments.write:
        arguments.write.write_text(report)
