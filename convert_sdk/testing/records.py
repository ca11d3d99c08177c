"""The records of a recording client: exposures and conversions as named values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from convert_sdk._core.events import Event, event_contents
from convert_sdk._core.goals import read_goal_data
from convert_sdk.project import Project


class RecordedExposure(NamedTuple):
    """An exposure that would have been sent; keys where the project has them, ids where not."""

    visitor_id: str
    experience: str
    """The key of the experience."""
    variation: str
    """The key of the variation."""
    experience_id: str
    variation_id: str
    segments: Mapping[str, object]
    """The segments that are reported of the visitor."""
    time: datetime

    def __str__(self) -> str:
        return f"visitor {self.visitor_id!r} to {self.experience} / {self.variation}"


class RecordedConversion(NamedTuple):
    """A conversion that would have been sent, with what `track` was given; one, also where it is two events."""

    visitor_id: str
    goal: str
    """The key of the goal."""
    goal_id: str
    revenue: Decimal | None
    products: int | None
    transaction_id: str | None
    dimensions: Mapping[int, str]
    variations: Mapping[str, str]
    """The keys of the variations that it counts for, by the keys of their experiences."""
    segments: Mapping[str, object]
    repeated: bool
    """True for a further conversion of a goal that was converted before."""
    time: datetime

    def __str__(self) -> str:
        given = {
            "revenue": self.revenue,
            "products": self.products,
            "transaction_id": self.transaction_id,
            "dimensions": dict(self.dimensions) or None,
        }
        shown = "".join(f", {name}={value}" for name, value in given.items() if value is not None)
        return f"visitor {self.visitor_id!r}: {self.goal}{shown}{', repeated' if self.repeated else ''}"


class Keys:
    """The keys of entities by their ids: of two projects with the same ids, in the one that a visitor was shown."""

    def __init__(self) -> None:
        self._projects: list[Project] = []
        self._exposed: dict[tuple[str, str, str], tuple[str, str]] = {}

    def add(self, project: Project) -> None:
        """Look into this project first from now on."""
        self._projects.insert(0, project)

    def exposed(self, event: Event, experience_id: str, variation_id: str) -> tuple[str, str]:
        """The keys of an experience and a variation that a visitor is exposed to."""
        keys = self._found(event, experience_id, variation_id)
        self._exposed[event.visitor_id, experience_id, variation_id] = keys
        return keys

    def decided(self, visitor_id: str, experience_id: str, variation_id: str) -> tuple[str, str]:
        """The keys of an experience and a variation that a visitor has."""
        known = self._exposed.get((visitor_id, experience_id, variation_id))
        return known or self._found(None, experience_id, variation_id)

    def goal(self, id: str) -> str:
        """The key of a goal; its id if no project has it."""
        found = (project.goals.of_id(id) for project in self._projects)
        return next((each.key for each in found if each is not None), id)

    def _found(self, event: Event | None, experience_id: str, variation_id: str) -> tuple[str, str]:
        """The keys where the very JSON of the event is from; else in the newest project that has the ids."""
        newest: tuple[str, str] | None = None
        for project in self._projects:
            experience = project.experiences.of_id(experience_id)
            variation = None if experience is None else experience.variations.get(variation_id)
            if experience is not None and variation is not None:
                keys = experience.key, variation.key
                if event is not None and variation.exposure is event.wire:
                    return keys
                newest = newest or keys
        return newest or (experience_id, variation_id)


def recorded_exposure(event: Event, keys: Keys, time: datetime) -> RecordedExposure | None:
    """The exposure of an event; None for an event of another type."""
    contents = event_contents(event.wire)
    experience_id, variation_id = contents.experience_id, contents.variation_id
    if experience_id is None or variation_id is None:
        return None
    experience, variation = keys.exposed(event, experience_id, variation_id)
    segments = {**(event.segments or {})}
    return RecordedExposure(
        event.visitor_id, experience, variation, experience_id, variation_id, segments, time
    )


def recorded_conversion(
    events: Sequence[Event], keys: Keys, goal: str | None, time: datetime
) -> RecordedConversion:
    """The conversion of its events: one bare, one with the data, or both.

    Args:
        events: One or two.
        keys: The keys of what they name by ids.
        goal: The key of the goal, if the application gave it.
        time: The time at which it happened.
    """
    contents = [event_contents(event.wire) for event in events]
    visitor_id, last = events[0].visitor_id, contents[-1]
    goal_id = last.goal_id or ""
    return RecordedConversion(
        visitor_id,
        goal or keys.goal(goal_id),
        goal_id,
        *read_goal_data(last.goal_data or {}),
        variations=dict(keys.decided(visitor_id, *ids) for ids in last.bucketing.items()),
        segments={**(events[0].segments or {})},
        repeated=contents[0].goal_data is not None,
        time=time,
    )
