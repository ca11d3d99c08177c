"""Entries of the activity as JSON, and the filters of who reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException

from convert_sdk.server.activity import ActivityEntry, EntryKind, Exchanged, RefusedRequest
from convert_sdk.server.listing import UNKNOWN, Entities, Entity
from convert_sdk.server.record import Conversion, Exposure
from convert_sdk.server.registry import ServedProject


class EntryFilter(NamedTuple):
    """The entries that are wanted: of one project, and of these kinds, visitors, experiences and goals."""

    place: str
    kinds: frozenset[EntryKind] = frozenset()
    visitor: str = ""
    experiences: frozenset[str] = frozenset()
    """Ids; of one that the document lacks, the name itself."""
    goals: frozenset[str] = frozenset()

    @property
    def names_events(self) -> bool:
        """True if only events can fit, and no requests."""
        return bool(self.visitor or self.experiences or self.goals)

    def fits(self, entry: ActivityEntry) -> bool:
        """True if an entry is wanted."""
        if entry.place not in (self.place, None):
            return False
        if self.kinds and entry.kind not in self.kinds:
            return False
        if not self.names_events:
            return True
        detail = entry.detail
        if not isinstance(detail, (Exposure, Conversion)):
            return False
        if self.visitor and detail.visitor_id != self.visitor:
            return False
        if isinstance(detail, Exposure):
            return not self.goals and (not self.experiences or detail.experience_id in self.experiences)
        if self.goals and detail.goal_id not in self.goals:
            return False
        return not self.experiences or not self.experiences.isdisjoint(detail.bucketing)


def read_filter(project: ServedProject, query: QueryParams) -> EntryFilter:
    """The filter of a query; experiences and goals by keys or ids."""
    try:
        kinds = frozenset(EntryKind(each) for each in query.get("kind", "").split(",") if each)
    except ValueError:
        raise HTTPException(400, f"kind: the kinds are {', '.join(EntryKind)}") from None
    entities = project.entities()
    return EntryFilter(
        project.place,
        kinds,
        query.get("visitor", ""),
        _ids(query.get("experience", ""), entities.experiences),
        _ids(query.get("goal", ""), entities.goals),
    )


def _ids(name: str, known: Mapping[str, Entity]) -> frozenset[str]:
    if not name:
        return frozenset()
    return frozenset(each for each, entity in known.items() if entity.key == name) or frozenset([name])


def entry_rows(entries: Iterable[ActivityEntry], entities: Entities) -> list[dict[str, object]]:
    """Entries as values of JSON."""
    return [entry_row(each, entities) for each in entries]


def entry_row(entry: ActivityEntry, entities: Entities) -> dict[str, object]:
    """An entry as values of JSON, with the keys of what its ids mean."""
    row: dict[str, object] = {
        "seq": entry.seq,
        "at": entry.at,
        "kind": entry.kind.value,
        "request": entry.request,
        "client": entry.client,
    }
    match entry.detail:
        case Exposure() as shown:
            row |= {
                "visitor": shown.visitor_id,
                "experience": entities.experiences.get(shown.experience_id, UNKNOWN).key,
                "experience_id": shown.experience_id,
                "variation": entities.variations.get((shown.experience_id, shown.variation_id), UNKNOWN).key,
                "variation_id": shown.variation_id,
                "segments": shown.segments,
                "repeated": entry.repeated,
            }
        case Conversion() as reached:
            row |= {
                "visitor": reached.visitor_id,
                "goal": entities.goals.get(reached.goal_id, UNKNOWN).key,
                "goal_id": reached.goal_id,
                "data": dict(reached.goal_data),
                "bucketing": dict(_named(reached.bucketing, entities)),
                "segments": reached.segments,
            }
        case Exchanged() as exchanged:
            row |= {"status": exchanged.status, "bytes": exchanged.bytes, "fault": exchanged.fault}
            if entry.kind is EntryKind.TRACK:
                row |= {"events": exchanged.events, "visitors": exchanged.visitors}
            else:
                row["environment"] = exchanged.environment
        case RefusedRequest() as refused:
            row |= refused._asdict()
    return row


def _named(bucketing: Mapping[str, str], entities: Entities) -> Iterable[tuple[str, str]]:
    """Decisions by keys, where the document has them."""
    for experience_id, variation_id in bucketing.items():
        experience = entities.experiences.get(experience_id, UNKNOWN).key
        variation = entities.variations.get((experience_id, variation_id), UNKNOWN).key
        yield experience or experience_id, variation or variation_id
