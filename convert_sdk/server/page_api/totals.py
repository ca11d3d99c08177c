"""The sums of what a project received, by experience, variation and goal, with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from convert_sdk._core.model import Experience
from convert_sdk.analysis.intervals import Uplift, rate_interval, rate_uplift
from convert_sdk.analysis.sample_ratio import RatioVerdict, SampleRatio, sample_ratio
from convert_sdk.analysis.simulation import owned_shares
from convert_sdk.project import Project
from convert_sdk.server.activity import Activity
from convert_sdk.server.clients import ConnectedClients
from convert_sdk.server.listing import UNKNOWN, Entities
from convert_sdk.server.record import GoalTotal, Summary
from convert_sdk.server.registry import ServedProject


def totals(project: ServedProject, activity: Activity, clients: ConnectedClients) -> dict[str, object]:
    """Everything that was counted of a project."""
    summary = project.record.summary()
    entities = project.entities()
    return {
        "requests": summary.requests,
        "received": summary.received,
        "recorded": summary.recorded,
        "refused": activity.refused(project.place),
        "visitors": summary.visitors,
        "transaction_ids": summary.transaction_ids,
        "experiences": [*_experiences(summary, entities, project.current.project)],
        "goals": [
            {**_named(total, entities), **_counts(total)}
            for total in summary.goals
            if total.experience_id is None
        ],
        "clients": clients.totals(project.place).to_dict(),
    }


class _Arm(NamedTuple):
    id: str
    exposures: int
    goals: Mapping[str, GoalTotal]


def _experiences(summary: Summary, entities: Entities, project: Project) -> Iterable[dict[str, object]]:
    exposures: dict[str, dict[str, int]] = {}
    for shown in summary.variations:
        exposures.setdefault(shown.experience_id, {})[shown.variation_id] = shown.exposures
    goals: dict[tuple[str, str], dict[str, GoalTotal]] = {}
    for total in summary.goals:
        if total.experience_id is not None and total.variation_id is not None:
            goals.setdefault((total.experience_id, total.variation_id), {})[total.goal_id] = total
            exposures.setdefault(total.experience_id, {}).setdefault(total.variation_id, 0)
    for experience_id, counted in exposures.items():
        known = project.experiences.of_id(experience_id)
        order = [] if known is None else [*known.variations]
        ids = sorted(counted, key=lambda each: order.index(each) if each in order else len(order))
        arms = [_Arm(each, counted[each], goals.get((experience_id, each), {})) for each in ids]
        ratio = _NO_RATIO if known is None else _sample_ratio(known, counted)
        entity = entities.experiences.get(experience_id, UNKNOWN)
        yield {
            "id": experience_id,
            "key": entity.key,
            "name": entity.name,
            "exposures": sum(counted.values()),
            "p": ratio.p,
            "verdict": ratio.verdict.value,
            "variations": [_arm(experience_id, arm, arms[0], entities) for arm in arms],
        }


def _arm(experience_id: str, arm: _Arm, control: _Arm, entities: Entities) -> dict[str, object]:
    entity = entities.variations.get((experience_id, arm.id), UNKNOWN)
    return {
        "id": arm.id,
        "key": entity.key,
        "name": entity.name,
        "exposures": arm.exposures,
        "goals": [_goal(total, arm, control, entities) for total in arm.goals.values()],
    }


def _goal(total: GoalTotal, arm: _Arm, control: _Arm, entities: Entities) -> dict[str, object]:
    interval = rate_interval(total.conversions, arm.exposures)
    other = control.goals.get(total.goal_id)
    uplift = (
        None
        if arm is control or other is None
        else rate_uplift(total.conversions, arm.exposures, other.conversions, control.exposures)
    )
    return {
        **_named(total, entities),
        **_counts(total),
        "rate": None if interval is None else total.conversions / arm.exposures,
        "rate_interval": interval,
        "uplift": uplift_row(uplift),
    }


def uplift_row(uplift: Uplift | None) -> dict[str, object] | None:
    """A relative difference of rates as values of JSON."""
    return None if uplift is None else {"rate": uplift.value, "rate_interval": uplift.interval}


def _named(total: GoalTotal, entities: Entities) -> dict[str, object]:
    entity = entities.goals.get(total.goal_id, UNKNOWN)
    return {"id": total.goal_id, "key": entity.key, "name": entity.name}


def _counts(total: GoalTotal) -> dict[str, object]:
    return {
        "conversions": total.conversions,
        "transactions": total.transactions,
        "revenue": str(total.revenue),
        "products": total.products,
    }


_NO_RATIO = SampleRatio(None, RatioVerdict.NOTHING)


def _sample_ratio(experience: Experience, counted: Mapping[str, int]) -> SampleRatio:
    """The exposures against the ranges of the variations."""
    shares = owned_shares(experience)
    return sample_ratio([counted.get(each, 0) for each in shares], [*shares.values()])
