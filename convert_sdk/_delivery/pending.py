"""Conversions from before the first document, in memory and on disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, cast

from convert_sdk._core.events import known_segments
from convert_sdk._core.facts import ANYWHERE
from convert_sdk._core.goals import ConversionRequest

if TYPE_CHECKING:
    from convert_sdk.visitor import Visitor

    from .engine import Engine


class PendingConversion(NamedTuple):
    """A conversion that cannot become events yet; `uuid` is what it will be called."""

    uuid: str
    visitor: Visitor
    goal: str | int
    request: ConversionRequest
    tracking: bool


def to_record(conversion: PendingConversion) -> dict[str, object]:
    """What lies on disk of it."""
    request = conversion.request
    return {
        "visitor": conversion.visitor.id,
        "segments": dict(known_segments(conversion.visitor.segments)),
        "goal": conversion.goal,
        "data": request.data,
        "rule_data": request.rule_data,
        "again": request.allow_repeat,
        "attributed_to": dict(request.attributed_to) if request.attributed_to is not None else None,
        "tracking": conversion.tracking,
    }


def from_record(engine: Engine, uuid: str, record: Mapping[str, object]) -> PendingConversion | None:
    """The conversion of an earlier process; None for what `to_record` did not write."""
    from convert_sdk.visitor import Visitor

    visitor_id, goal, data = record.get("visitor"), record.get("goal"), record.get("data")
    attributed, segments = record.get("attributed_to"), record.get("segments")
    if not (isinstance(visitor_id, str) and visitor_id and isinstance(goal, (str, int))):
        return None
    visitor = Visitor(engine, visitor_id, {}, ANYWHERE)
    visitor.set_segments(segments if isinstance(segments, Mapping) else {})
    request = ConversionRequest(
        data if isinstance(data, str) else None,
        record.get("rule_data"),
        record.get("again") is True,
        cast("Mapping[str, str]", attributed) if isinstance(attributed, Mapping) else None,
    )
    return PendingConversion(uuid, visitor, goal, request, record.get("tracking") is not False)
