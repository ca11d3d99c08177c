"""The record of a served project as JSON: the wire's words, with keys and names beside ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pydantic.alias_generators import to_camel

from .record import Conversion, Exposure, GoalTotal, Summary, VariationTotal


class Entity(NamedTuple):
    """The key and name of something in the document; None for what is not there."""

    key: str | None = None
    name: str | None = None


UNKNOWN = Entity()


class Entities(NamedTuple):
    """Keys and names by id; variations by the id of their experience too."""

    experiences: Mapping[str, Entity]
    variations: Mapping[tuple[str, str], Entity]
    goals: Mapping[str, Entity]


def event_row(event: Exposure | Conversion, entities: Entities) -> dict[str, object]:
    """One event as it was sent, with what its ids mean."""
    if isinstance(event, Exposure):
        return {
            "eventType": "bucketing",
            "visitorId": event.visitor_id,
            **_variation_row(event.experience_id, event.variation_id, entities),
            "segments": event.segments,
        }
    return {
        "eventType": "conversion",
        "visitorId": event.visitor_id,
        **_row("goal", event.goal_id, entities.goals.get(event.goal_id, UNKNOWN)),
        "goalData": [{"key": key, "value": value} for key, value in event.goal_data.items()],
        "bucketingData": event.bucketing,
        "segments": event.segments,
    }


def summary_row(summary: Summary, entities: Entities) -> dict[str, object]:
    """The sums, with what their ids mean."""
    return {
        "requests": summary.requests,
        "received": summary.received,
        "recorded": summary.recorded,
        "visitors": summary.visitors,
        "transactionIds": summary.transaction_ids,
        "variations": [_shown_row(total, entities) for total in summary.variations],
        "goals": [_goal_row(total, entities) for total in summary.goals],
    }


def _shown_row(total: VariationTotal, entities: Entities) -> dict[str, object]:
    shown = _variation_row(total.experience_id, total.variation_id, entities)
    return {**shown, "exposures": total.exposures}


def _goal_row(total: GoalTotal, entities: Entities) -> dict[str, object]:
    row = _row("goal", total.goal_id, entities.goals.get(total.goal_id, UNKNOWN))
    if total.experience_id is not None and total.variation_id is not None:
        row |= _variation_row(total.experience_id, total.variation_id, entities)
    return {
        **row,
        "conversions": total.conversions,
        "transactions": total.transactions,
        "revenue": str(total.revenue),
        "products": total.products,
    }


def _variation_row(experience_id: str, variation_id: str, entities: Entities) -> dict[str, object]:
    variation = entities.variations.get((experience_id, variation_id), UNKNOWN)
    return {
        **_row("experience", experience_id, entities.experiences.get(experience_id, UNKNOWN)),
        **_row("variation", variation_id, variation),
    }


def _row(kind: str, id: str, entity: Entity) -> dict[str, object]:
    return {to_camel(f"{kind}_{name}"): value for name, value in {"id": id, **entity._asdict()}.items()}
