"""Conversions from before the first document: kept in memory until it arrives, or on disk where there is a spool.

Theory of operation
-------------------
Memory holds a thousand, and further ones are refused. Where there is a spool, a conversion is in memory until it is
written; the first thousand stay there, too, and the others lie on disk only (`leave`) and are counted as `spooled`.
Once the document is there, what memory holds is counted at once; with a spool, as many as the queue has room for.
`SpoolSync` brings the others back as the queue empties.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import NamedTuple, cast

from convert_sdk._core.events import known_segments
from convert_sdk._core.facts import ANYWHERE, Facts
from convert_sdk._core.goals import ConversionRequest, OverriddenKeys
from convert_sdk._core.state import NOTHING
from convert_sdk._core.values import tree

MOST_PENDING = 1_000
"""The conversions that memory holds, beside those that are about to be written."""


class PendingConversion(NamedTuple):
    """A conversion that cannot become events yet; `uuid` is the name that it will have."""

    uuid: str
    facts: Facts
    goal: str | int
    request: ConversionRequest


class PendingConversions:
    """The conversions of one process that wait for the first document; changed under the engine's lock."""

    def __init__(self) -> None:
        self.unwritten = 0
        """Room in memory for those that are about to be written; 0 where there is no spool."""
        self.waiting: dict[str, PendingConversion] = {}
        """Those in memory by their names, the oldest first."""
        self.spooled = 0
        """The number of those that are on disk only."""
        self.in_hand = 0
        """The number of those taken out of `waiting` that are not in the queue yet."""
        self.cancelled: deque[str] = deque()
        """The names of those that came to nothing: the spool may forget them."""

    def __len__(self) -> int:
        return len(self.waiting) + self.spooled + self.in_hand

    def add(self, conversion: PendingConversion) -> bool:
        """Keep a conversion; False where there is no room."""
        if len(self.waiting) >= MOST_PENDING + self.unwritten:
            return False
        self.waiting[conversion.uuid] = conversion
        return True

    def take_first(self) -> PendingConversion | None:
        """Take the oldest in memory; the caller lowers `in_hand` once it is in the queue."""
        first = next(iter(self.waiting), None)
        if first is None:
            return None
        self.in_hand += 1
        return self.waiting.pop(first)

    def take_all(self) -> Mapping[str, PendingConversion]:
        """Take all conversions out that memory holds."""
        waiting, self.waiting = self.waiting, {}
        return waiting

    def forget(self, visitor_id: str) -> int:
        """Let go of a visitor's conversions in memory; returns their number."""
        gone = [uuid for uuid, each in [*self.waiting.items()] if each.facts.id == visitor_id]
        for uuid in gone:
            del self.waiting[uuid]
        self.cancelled.extend(gone)
        return len(gone)

    def leave(self, written: Iterable[str]) -> set[str]:
        """Let go of those that are on disk, beyond the first thousand; returns their names."""
        gone = set(islice(self.waiting, MOST_PENDING, None)).intersection(written)
        for uuid in gone:
            del self.waiting[uuid]
        self.spooled += len(gone)
        return gone


class StoredConversion(NamedTuple):
    """A pending conversion from the disk, and the segments that were remembered of its visitor."""

    conversion: PendingConversion
    segments: Mapping[str, object]

    def __repr__(self) -> str:
        return f"StoredConversion({self.conversion!r})"


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
        "overridden": request.overridden and request.overridden._asdict(),
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
        overridden=_overridden(record.get("overridden")),
    )
    return StoredConversion(
        PendingConversion(uuid, Facts(visitor_id, location=ANYWHERE), goal, request),
        segments if isinstance(segments, Mapping) else NOTHING,
    )


def _overridden(record: object) -> OverriddenKeys | None:
    if not isinstance(record, Mapping):
        return None
    lists = (record.get("experiences"), record.get("features"))
    return OverriddenKeys(
        *(
            tuple(key for key in keys if isinstance(key, str)) if isinstance(keys, list) else ()
            for keys in lists
        )
    )
