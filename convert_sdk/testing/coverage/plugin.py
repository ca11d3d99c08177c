"""Rule coverage as a part of pytest: options, workers of xdist, reports, and the share that must be reached."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from convert_sdk.errors import ConvertError
from convert_sdk.project import Project

from .collector import Collector
from .counts import CoverageCounts
from .html import html_report
from .report import Coverage, measure, text_report, unused

COLLECTOR: Final = pytest.StashKey[Collector]()
"""The collector of a run that measures, for what brings projects of its own."""
_KEY: Final = "convert_coverage"
_FILES: Final = {"html": "convert_coverage.html", "json": "convert_coverage.json"}


class CoveragePlugin:
    """The rule coverage of one run; on a worker of xdist it hands its counts to the controller."""

    def __init__(
        self, config: pytest.Config, document_path: Path | None, reports: Sequence[str], least: float | None
    ) -> None:
        self.config = config
        self.least = least
        self.exclude: list[str] = config.getini("convert_coverage_exclude")
        self.reports = [self._report(each) for each in reports]
        self.lost: list[str] = []
        """The workers that handed nothing over."""
        self.coverages: list[Coverage] = []
        self.failed = False
        self.collector = config.stash[COLLECTOR] = Collector()
        self.collector.start()
        if document_path is not None:
            try:
                self.collector.cover(Project.load(document_path))
            except (ConvertError, OSError) as error:
                self.collector.stop()
                raise pytest.UsageError(f"--convert-coverage: {document_path}: {error}") from None

    @property
    def is_worker(self) -> bool:
        """True in a process of xdist that runs tests for another one."""
        return hasattr(self.config, "workerinput")

    def _report(self, named: str) -> tuple[str, Path | None]:
        kind, _, path = named.partition(":")
        if kind != "term" and kind not in _FILES:
            raise pytest.UsageError(
                f"--convert-coverage={named}: expected html, json or term, with :PATH if wanted; a path to tests "
                "stands before the option or after --convert-coverage=term"
            )
        return kind, None if kind == "term" else self.config.invocation_params.dir / (path or _FILES[kind])

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:  # noqa: ARG002 # the hook's own arguments
        """Add what a worker of xdist has counted."""
        output: dict[str, Any] = getattr(node, "workeroutput", {})
        if _KEY not in output:
            self.lost.append(node.gateway.id)
            return
        found = json.loads(output[_KEY])
        self.collector.counts.update(CoverageCounts.from_json(found["counts"]))
        for source in found["projects"]:
            self.collector.cover(Project.parse(source))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        """Measure before the summary is written; afterwards fail where too little was seen."""
        self.collector.stop()
        if self.is_worker:
            counts = self.collector.counts.to_json()
            projects = [
                each.source.decode("utf-8", "surrogatepass") for each in self.collector.covered.values()
            ]
            output: dict[str, str] = self.config.workeroutput  # type: ignore[attr-defined]  # of xdist
            output[_KEY] = json.dumps({"counts": counts, "projects": projects})
            return (yield)
        covered = self.collector.covered.values()
        self.coverages = [measure(each, self.collector.counts, self.exclude) for each in covered]
        self._write()
        self.failed = self.least is not None and self.percent < self.least
        yield
        if self.failed and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        return None

    @property
    def percent(self) -> float:
        """The share of all projects; 0 where none was covered."""
        total = sum(each.total for each in self.coverages)
        if not self.coverages:
            return 0.0
        return 100 * sum(each.hits for each in self.coverages) / total if total else 100.0

    def _write(self) -> None:
        writers: dict[str, Callable[[], str]] = {
            "html": lambda: html_report(self.coverages),
            "json": lambda: (
                json.dumps(
                    {
                        "percent": round(self.percent, 2),
                        "projects": [each.to_dict() for each in self.coverages],
                    },
                    indent=2,
                )
                + "\n"
            ),
        }
        for kind, path in self.reports:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(writers[kind](), "utf-8")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what was not seen, where the reports are, and what is wrong with the options."""
        reporter = terminalreporter
        reporter.section("convert coverage")
        if not self.coverages:
            reporter.line("no project was covered: name one as convert_config, or in a table")
        for each in self.coverages:
            for line in text_report(each):
                reporter.line(line)
        patterns = [set(unused(each, self.exclude)) for each in self.collector.covered.values()]
        for pattern in sorted(set.intersection(*patterns)) if patterns else ():
            reporter.line(f"convert_coverage_exclude: {pattern!r} names nothing")
        for worker in self.lost:
            reporter.line(f"the counts of {worker} are lost: it ended before it could hand them over")
        for kind, path in self.reports:
            if path is not None:
                reporter.line(f"{kind}: {path}")
        if self.failed:
            reporter.line(
                f"FAIL  {self.percent:.1f} % is less than the {self.least:g} % that must be reached", red=True
            )
