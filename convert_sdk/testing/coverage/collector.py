"""The gathering of counts while tests run: projects are compiled as ever, and then count.

Nothing of it is in the package's way: a condition counts by a test around its own, put into its place when the
project has been compiled, and decisions are counted around the functions that the verbs call. Both are undone by
`stop`, and none of it happens without `start`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from convert_sdk import visitor as verbs
from convert_sdk._core import explain as explaining
from convert_sdk._core.decision import Decision
from convert_sdk._core.model import CompiledProject
from convert_sdk._core.operators import Test
from convert_sdk._core.rules import Condition
from convert_sdk.project import Project

from .counts import SEEN, CoverageCounts, leaf_name, leaves, outcome, rule_sets, variation_name

_SINGLE = ("decide", "overridden_decision")
_SEVERAL = ("decide_each",)


class Collector:
    """The counts of the projects that are covered, while it runs."""

    def __init__(self) -> None:
        self.counts = CoverageCounts()
        self.covered: dict[tuple[str, str], Project] = {}
        """Projects by the ids of account and project: the one whose rules a report shows."""
        self._undo: list[Callable[[], None]] = []

    def cover(self, project: Project) -> None:
        """Count what is decided with this project, and with all that have its ids."""
        self.covered.setdefault((project.account_id, project.id), project)
        self.watch(project)

    def is_covered(self, project: CompiledProject) -> bool:
        """True if the project is one whose decisions count."""
        return (project.account_id, project.id) in self.covered

    def start(self) -> None:
        """Count from now on."""
        collector = self

        def created(project: Project, *args: Any, **parts: Any) -> None:
            CompiledProject.__init__(project, *args, **parts)
            collector.watch(project)

        self._replace(Project, "__init__", created)
        for module in (verbs, explaining):
            for name in _SINGLE:
                if hasattr(module, name):
                    self._replace(module, name, self._counted(getattr(module, name)))
        for name in _SEVERAL:
            self._replace(verbs, name, self._counted_runs(getattr(verbs, name)))

    def stop(self) -> None:
        """Leave everything as it was; projects that count already go on, in vain."""
        while self._undo:
            self._undo.pop()()

    def watch(self, project: CompiledProject) -> None:
        """Make the conditions of a project count, if it is covered."""
        if not self.is_covered(project):
            return
        project.warm()
        for rules in rule_sets(project):
            for leaf in leaves(rules.rules):
                if not hasattr(leaf.test, "uncounted"):
                    leaf.test = counting_test(leaf, leaf_name(rules, leaf), self.counts)
        for experience in project.experiences:
            experience.prepare()  # it keeps some of the tests beside the rules

    def _replace(self, holder: Any, name: str, value: object) -> None:
        own = name in vars(holder)
        before = getattr(holder, name)
        setattr(holder, name, value)
        self._undo.append(lambda: setattr(holder, name, before) if own else delattr(holder, name))

    def _counted(self, decide: Callable[..., Decision]) -> Callable[..., Decision]:
        def counted(project: CompiledProject, *args: Any, **more: Any) -> Decision:
            decision = decide(project, *args, **more)
            self._count(project, (decision,))
            return decision

        return counted

    def _counted_runs(
        self, decide_each: Callable[..., Iterator[list[Decision]]]
    ) -> Callable[..., Iterator[list[Decision]]]:
        def counted(project: CompiledProject, *args: Any, **more: Any) -> Iterator[list[Decision]]:
            for run in decide_each(project, *args, **more):
                self._count(project, run)
                yield run

        return counted

    def _count(self, project: CompiledProject, decisions: Iterable[Decision]) -> None:
        if not self.is_covered(project):
            return
        for decision in decisions:
            if decision.experience is not None and decision.variation is not None:
                self.counts[variation_name(decision.experience, decision.variation), SEEN] += 1


def counting_test(leaf: Condition, name: str, counts: CoverageCounts) -> Test:
    """The test of a condition that counts its outcomes; the one beneath is `uncounted`."""
    test = leaf.test

    def counting(value: object) -> bool:
        verdict = test(value)
        counts[name, outcome(leaf, value, verdict=verdict)] += 1
        return verdict

    counting.uncounted = test  # type: ignore[attr-defined]  # see `uncounted`
    return counting
