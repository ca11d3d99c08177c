"""The result of the demonstration, as figures."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median, quantiles
from typing import TYPE_CHECKING, NamedTuple

from convert_sdk import Explanation, Project, Status
from convert_sdk.analysis.sample_ratio import SampleRatio, sample_ratio

from .shoppers import Tally

if TYPE_CHECKING:
    from convert_sdk._core.model import Experience
    from convert_sdk.server import GoalTotal, Summary


class VariationShare(NamedTuple):
    """The traffic and the exposures of one variation, or (without a key) of what an experience leaves out."""

    id: str | None
    key: str | None
    percent: float
    exposures: int


class TrafficSplit(NamedTuple):
    """The traffic of one experience."""

    experience: Experience
    variations: tuple[VariationShare, ...]
    ratio: SampleRatio

    @property
    def total(self) -> int:
        """The number of visitors who passed every gate."""
        return sum(each.exposures for each in self.variations)


class GoalResult(NamedTuple):
    """The conversions and the revenue of one goal, from the visitors of one variation."""

    experience_key: str
    goal_key: str
    variation_key: str
    visitors: int
    total: GoalTotal


class ExperimentsResult(NamedTuple):
    """The figures of both ends: counted by the application, and recorded by the server."""

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

    def splits(self) -> Iterator[TrafficSplit]:
        """The traffic of every experience that somebody reached, counted by the server."""
        recorded = {
            (each.experience_id, each.variation_id): each.exposures for each in self.summary.variations
        }
        for experience in self.project.experiences:
            variations = [
                VariationShare(each.id, each.key, each.percent, recorded.get((experience.id, each.id), 0))
                for each in experience.variations.values()
            ]
            rest = 100 - sum(each.percent for each in variations)
            if rest > 0:
                variations.append(VariationShare(None, None, rest, self.tally.exposures[experience.id, None]))
            if any(each.exposures for each in variations):
                yield TrafficSplit(experience, tuple(variations), _ratio(variations))

    def goal_results(self) -> Iterator[GoalResult]:
        """The results of the goals of each experience, variation by variation."""
        exposures = {
            (each.experience_id, each.variation_id): each.exposures for each in self.summary.variations
        }
        totals = {(each.experience_id, each.variation_id, each.goal_id): each for each in self.summary.goals}
        for described in self.project.config.experiences or ():
            experience = self.project.experiences.of_id(described.id or "")
            if experience is None:
                continue
            for goal_id in described.goals or ():
                for variation in experience.variations.values():
                    total = totals.get((experience.id, variation.id, goal_id))
                    visitors = exposures.get((experience.id, variation.id), 0)
                    goal = self.project.goals.of_id(goal_id)
                    if total is not None and visitors and goal is not None:
                        yield GoalResult(experience.key, goal.key, variation.key, visitors, total)

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
                split.experience.key: round(split.ratio.p, 4)
                for split in self.splits()
                if split.ratio.p is not None
            },
        }


def _ratio(variations: list[VariationShare]) -> SampleRatio:
    return sample_ratio([each.exposures for each in variations], [each.percent for each in variations])
