"""Conversions from before the first document: kept in memory, on disk where there is a spool, until it arrives."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple, cast

from convert_sdk._core.events import known_segments
from convert_sdk._core.facts import ANYWHERE, Facts
from convert_sdk._core.goals import ConversionRequest
from convert_sdk._core.state import NOTHING
from convert_sdk._core.values import tree

_MOST = 1_000


class PendingConversion(NamedTuple):
    """A conversion that cannot become events yet; `uuid` is the name that it will have."""

    uuid: str
    facts: Facts
    goal: str | int
    request: ConversionRequest


class PendingConversions:
    """The conversions of one process that wait for the first document; changed under the engine's lock."""

    def __init__(self) -> None:
        self.waiting: dict[str, PendingConversion] = {}
        """By their names, the oldest first."""
        self.cancelled: deque[str] = deque()
        """The names of those that came to nothing: the spool may forget them."""

    def __len__(self) -> int:
        return len(self.waiting)

    def add(self, conversion: PendingConversion) -> bool:
        """Keep a conversion; False where there is no room."""
        if len(self.waiting) >= _MOST:
            return False
        self.waiting[conversion.uuid] = conversion
        return True

    def take_all(self) -> Mapping[str, PendingConversion]:
        """Take all conversions out."""
        waiting, self.waiting = self.waiting, {}
        return waiting


class StoredConversion(NamedTuple):
    """A pending conversion from the disk, and the segments that were remembered of its visitor."""

    conversion: PendingConversion
    segments: Mapping[str, object]


def to_record(conversion: PendingConversion, segments: Mapping[str, object]) -> dict[str, object]:
    """The JSON object that lies on disk; its keys stay, as later versions read it."""
    request = conversion.request
    attributed = request.attributed_to
    return {
        "visitor": conversion.facts.id,
        "segments": dict(known_segments(segments)),
        "goal": conversion.goal,
        "data": request.data,
        "rule_data": tree(request.rule_data),
        "again": request.allow_repeat,
        "attributed_to": dict(attributed) if attributed is not None else None,
    }


def from_record(uuid: str, record: Mapping[str, object]) -> StoredConversion | None:
    """The conversion of an earlier process; None for what is not to be counted, or cannot be read."""
    visitor_id, goal, data = record.get("visitor"), record.get("goal"), record.get("data")
    attributed, segments = record.get("attributed_to"), record.get("segments")
    if not (isinstance(visitor_id, str) and visitor_id and isinstance(goal, (str, int))):
        return None
    if record.get("tracking") is False:  # earlier versions kept it to mark the goal, and sent nothing
        return None
    request = ConversionRequest(
        data=data if isinstance(data, str) else None,
        rule_data=record.get("rule_data"),
        allow_repeat=record.get("again") is True,
        attributed_to=cast("Mapping[str, str]", attributed) if isinstance(attributed, Mapping) else None,
    )
    return StoredConversion(
        PendingConversion(uuid, Facts(visitor_id, location=ANYWHERE), goal, request),
        segments if isinstance(segments, Mapping) else NOTHING,
    )
