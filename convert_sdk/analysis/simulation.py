"""The simulation of a document: who gets what, whether the shares are right, and how experiences overlap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations, pairwise
from math import ceil
from typing import NamedTuple

from convert_sdk._config.coerce import ids
from convert_sdk._core.decision import Decision
from convert_sdk._core.events import to_json
from convert_sdk._core.model import Experience
from convert_sdk._core.problem import ignore
from convert_sdk.errors import UnknownNameError
from convert_sdk.project import Project

from .document import document_view
from .sample_ratio import RatioVerdict, sample_ratio
from .visitor_rows import VisitorRow, decide_row
from .vocabulary import near_names


class ArmShare(NamedTuple):
    """The visitors of one variation."""

    variation: str
    visitors: int
    share: float
    """Of those who take part."""
    expected: float
    """The share that the ranges of the traffic give it."""


class ExperienceShare(NamedTuple):
    """The visitors of one experience."""

    experience: str
    visitors: int
    """The visitors who take part."""
    arms: tuple[ArmShare, ...]
    p: float | None
    """The probability of shares at least as far off; None without a verdict."""
    verdict: RatioVerdict

    @property
    def is_off(self) -> bool:
        """True if the shares are no chance: a sample ratio mismatch."""
        return self.verdict is RatioVerdict.MISMATCH


class Overlap(NamedTuple):
    """The visitors who take part in two experiences at once."""

    first: str
    second: str
    visitors: int
    of_first: float
    """Their share of those who take part in the first; the same for the second."""
    of_second: float


class GoalPlan(NamedTuple):
    """The visitors and days that a test of one goal takes.

    The control is the first variation; with several others, `control` is what the slowest of them needs.
    """

    experience: str
    goal: str
    rate: float
    lift: float
    power: float
    alpha: float
    control: int
    """Visitors of the control."""
    visitors: int
    """Visitors of all variations together."""
    days: int | None
    """None where nobody takes part, or the traffic of a day is not known."""


class Simulation(NamedTuple):
    """The shares, overlaps and plans for some visitors. `str()` is for people, `to_json()` for tools.

    >>> from convert_sdk.analysis import VisitorRow, simulate
    >>> found = simulate(project, [VisitorRow(f"v-{n}") for n in range(100)])
    >>> found.experiences[0].visitors, found.experiences[0].is_off
    (100, False)
    """

    visitors: int
    experiences: tuple[ExperienceShare, ...]
    overlaps: tuple[Overlap, ...]
    plans: tuple[GoalPlan, ...] = ()

    @property
    def is_off(self) -> bool:
        """True if any experience has a sample ratio mismatch."""
        return any(each.is_off for each in self.experiences)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.visitors:,} visitors"
        for each in self.experiences:
            part = each.visitors / self.visitors if self.visitors else 0.0
            ratio = "; too few to tell the sample ratio" if each.verdict is RatioVerdict.TOO_FEW else ""
            if each.p is not None:
                ratio = f"; sample ratio p = {each.p:.3g}{', MISMATCH' if each.is_off else ''}"
            yield f"{each.experience}: {each.visitors:,} take part, {part:.1%}{ratio}"
            for arm in each.arms:
                yield f"    {arm.variation:<20} {arm.visitors:>8,}  {arm.share:>6.1%}, expected {arm.expected:.1%}"
        if self.overlaps:
            yield "in two experiences at once"
        for overlap in self.overlaps:
            yield (
                f"    {overlap.first} and {overlap.second}: {overlap.visitors:,}, "
                f"{overlap.of_first:.0%} of the first, {overlap.of_second:.0%} of the second"
            )
        for plan in self.plans:
            days = "" if plan.days is None else f", {plan.days:,} day{'' if plan.days == 1 else 's'}"
            yield (
                f"to find {plan.lift:+.0%} of {plan.goal} at {plan.rate:.2%} in {plan.experience} with "
                f"{plan.power:.0%} power: {plan.visitors:,} visitors, {plan.control:,} of them in the control{days}"
            )

    def to_dict(self) -> dict[str, object]:
        """The same as values of JSON."""
        return {
            "visitors": self.visitors,
            "experiences": [
                {**each._asdict(), "arms": [arm._asdict() for arm in each.arms], "is_off": each.is_off}
                for each in self.experiences
            ],
            "overlaps": [overlap._asdict() for overlap in self.overlaps],
            "plans": [plan._asdict() for plan in self.plans],
        }

    def to_json(self) -> str:
        """The same as JSON text."""
        return to_json(self.to_dict())


def simulate(project: Project, visitors: Iterable[VisitorRow]) -> Simulation:
    """Decide for visitors, and compare what they get with what the document says.

    Args:
        project: What is decided on.
        visitors: Whom to decide for: `read_visitors` of a table, or `sample_visitors`.
    """
    tally = SimulationTally(project)
    for row in visitors:
        tally.add(row)
    return tally.result()


class SimulationTally:
    """The counts of a simulation while visitors are added.

    Args:
        project: What is decided on.
        keys: The experiences; None for all.
        most_together: Overlaps are counted among so many of them, the first ones; None for all.
    """

    def __init__(
        self, project: Project, keys: Iterable[str] | None = None, *, most_together: int | None = None
    ) -> None:
        self._project = project
        wanted = None if keys is None else set(keys)
        self._experiences = [each for each in project.experiences if wanted is None or each.key in wanted]
        self._keys = [each.key for each in self._experiences]
        self._arms: dict[str, Counter[str]] = {key: Counter() for key in self._keys}
        self._paired = set(self._keys[:most_together])
        self._together: Counter[tuple[str, str]] = Counter()
        self.visitors = 0

    def add(self, row: VisitorRow) -> list[Decision]:
        """Decide for one more visitor; the decisions with a variation."""
        self.visitors += 1
        taken = [found for found in decide_row(self._project, row, self._keys) if found.variation is not None]
        for found in taken:
            self._arms[found.key][found.variation_id or ""] += 1
        self._together.update(combinations([found.key for found in taken if found.key in self._paired], 2))
        return taken

    def result(self) -> Simulation:
        """The simulation so far."""
        shares = tuple(_share(each, self._arms[each.key]) for each in self._experiences)
        counted = {each.experience: each.visitors for each in shares}
        overlaps = (
            Overlap(first, second, both, both / counted[first], both / counted[second])
            for (first, second), both in sorted(self._together.items(), key=lambda item: (-item[1], item[0]))
        )
        return Simulation(self.visitors, shares, tuple(overlaps))


def owned_shares(experience: Experience) -> Mapping[str, float]:
    """The part of the traffic that each variation gets, between 0 and 1, once ranges are cut off by others."""
    split, most = experience.split, experience.bucketing.max_traffic
    edges = [min(max(edge, 0.0), most) for edge in split.edges]
    found: dict[str, float] = {}
    for (start, end), owner in zip(pairwise(edges), split.owners[1:], strict=False):
        if owner is not None:
            found[owner] = found.get(owner, 0.0) + (end - start) / most
    return found


def _share(experience: Experience, counts: Counter[str]) -> ExperienceShare:
    owned = owned_shares(experience)
    whole = sum(owned.values())
    total = counts.total()
    arms = tuple(
        ArmShare(
            arm.key,
            counts[arm.id],
            counts[arm.id] / total if total else 0.0,
            owned.get(arm.id, 0.0) / whole if whole else 0.0,
        )
        for arm in experience.variations.values()
    )
    compared = [arm for arm in arms if arm.expected > 0]
    found = sample_ratio([arm.visitors for arm in compared], [arm.expected for arm in compared])
    return ExperienceShare(experience.key, total, arms, found.p, found.verdict)


def plan_tests(
    project: Project,
    simulation: Simulation,
    goal: str,
    *,
    rate: float,
    lift: float,
    daily: float | None = None,
    power: float = 0.8,
    alpha: float = 0.05,
) -> Simulation:
    """The visitors and days that each experience with a goal takes to find a change of its rate.

    Args:
        project: The project that was simulated.
        simulation: Whose shares say who takes part, and in which variation.
        goal: The key of the goal.
        rate: The conversion rate of the control.
        lift: The relative change to be found, such as 0.1.
        daily: The visitors of a day, those included who take no part.
        power: The probability of finding it.
        alpha: The probability of finding something where nothing is.

    Returns:
        The simulation, with `plans`.

    Raises:
        UnknownNameError: There is no such goal.
        ValueError: A rate, power or alpha that is none.
        ModuleNotFoundError: Without scipy, which the extra `stats` installs.
    """
    from .power import sample_size

    known = project.goal(goal)
    if known is None:
        raise UnknownNameError(goal, "goal", near_names(goal, [each.key for each in project.goals]))
    users = {
        item.key
        for item in document_view(project).section("experiences")
        if known.id in ids(item.raw.get("goals"), "", ignore)
    }
    plans: list[GoalPlan] = []
    for each in simulation.experiences:
        arms = [arm for arm in each.arms if arm.expected > 0]
        if each.experience not in users or len(arms) < 2:
            continue
        first = arms[0]
        needed = max(
            sample_size(rate, lift, power=power, alpha=alpha, ratio=arm.expected / first.expected)
            for arm in arms[1:]
        )
        everybody = ceil(needed / first.expected)
        takes_part = each.visitors / simulation.visitors if simulation.visitors else 0.0
        a_day = (daily or 0.0) * takes_part
        days = ceil(everybody / a_day) if a_day > 0 else None
        plans.append(GoalPlan(each.experience, goal, rate, lift, power, alpha, needed, everybody, days))
    return simulation._replace(plans=tuple(plans))
