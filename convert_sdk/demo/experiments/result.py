"""What came of the demonstration, as figures."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median, quantiles
from typing import TYPE_CHECKING, NamedTuple

from convert_sdk import Explanation, Project, Status

from .sample_ratio import chi_square, p_value
from .shoppers import Tally

if TYPE_CHECKING:
    from convert_sdk._core.model import Experience
    from convert_sdk.server import GoalTotal, Summary

SUSPICIOUS = 0.001
"""Below this probability a split is called a mismatch, as is usual for sample ratios."""


class Arm(NamedTuple):
    """One variation, or (without a key) the part of the traffic that an experience leaves out."""

    id: str | None
    key: str | None
    percent: float
    shown: int


class Split(NamedTuple):
    """How an experience's traffic was split; `p` is the probability of a split at least this far off."""

    experience: Experience
    arms: tuple[Arm, ...]
    p: float | None

    @property
    def total(self) -> int:
        """Visitors who passed every gate."""
        return sum(arm.shown for arm in self.arms)


class Return(NamedTuple):
    """What one goal brought from the visitors of one variation."""

    experience_key: str
    goal_key: str
    variation_key: str
    visitors: int
    total: GoalTotal


class Outcome(NamedTuple):
    """Both ends: what the application counted and what the server recorded."""

    project: Project
    tally: Tally
    status: Status
    summary: Summary
    explanation: Explanation
    seconds: float

    @property
    def lost(self) -> int:
        """Events that were offered and never received."""
        return max(0, self.status.events.offered - self.summary.received)

    @property
    def repeated(self) -> int:
        """Events that were received more than once."""
        return max(0, self.summary.received - self.status.events.offered)

    @property
    def us_per_decision(self) -> float:
        """Microseconds, the median over the visitors."""
        return round(median(self.tally.nanoseconds) / 1_000, 2)

    @property
    def us_worst(self) -> float:
        """Microseconds, the 99th percentile over the visitors."""
        taken = self.tally.nanoseconds
        return round(quantiles(taken, n=100)[-1] / 1_000 if len(taken) > 1 else taken[0] / 1_000, 2)

    def splits(self) -> Iterator[Split]:
        """Every experience that somebody reached: exposures by the server's count."""
        recorded = {
            (each.experience_id, each.variation_id): each.exposures for each in self.summary.variations
        }
        for experience in self.project.experiences:
            arms = [
                Arm(each.id, each.key, each.percent, recorded.get((experience.id, each.id), 0))
                for each in experience.variations.values()
            ]
            rest = 100 - sum(arm.percent for arm in arms)
            if rest > 0:
                arms.append(Arm(None, None, rest, self.tally.shown[experience.id, None]))
            if any(arm.shown for arm in arms):
                yield Split(experience, tuple(arms), _probability(arms))

    def returns(self) -> Iterator[Return]:
        """What the goals of each experience brought, variation by variation."""
        shown = {(each.experience_id, each.variation_id): each.exposures for each in self.summary.variations}
        totals = {(each.experience_id, each.variation_id, each.goal_id): each for each in self.summary.goals}
        for described in self.project.config.experiences or ():
            experience = self.project.experiences.of_id(described.id or "")
            if experience is None:
                continue
            for goal_id in described.goals or ():
                for variation in experience.variations.values():
                    total = totals.get((experience.id, variation.id, goal_id))
                    visitors = shown.get((experience.id, variation.id), 0)
                    goal = self.project.goals.of_id(goal_id)
                    if total is not None and visitors and goal is not None:
                        yield Return(experience.key, goal.key, variation.key, visitors, total)

    def figures(self) -> dict[str, object]:
        """One flat JSON object."""
        events = self.status.events
        return {
            "visitors": len(self.tally.nanoseconds),
            "decisions": self.tally.decisions,
            "events_offered": events.offered,
            "events_sent": events.sent,
            "events_received": self.summary.received,
            "events_lost": self.lost,
            "events_repeated": self.repeated,
            "us_per_decision": self.us_per_decision,
            "us_per_decision_p99": self.us_worst,
            "requests": self.summary.requests,
            "retries": self.status.retries,
            "seconds": round(self.seconds, 2),
            "sample_ratio_p": {
                split.experience.key: round(split.p, 4) for split in self.splits() if split.p is not None
            },
        }


def _probability(arms: list[Arm]) -> float | None:
    if len(arms) < 2:
        return None
    statistic = chi_square([arm.shown for arm in arms], [arm.percent for arm in arms])
    return p_value(statistic, len(arms) - 1)
