"""The values that `observe=` is called with: one per decision, exposure, conversion, delivery and incident."""

from __future__ import annotations

from typing import Literal, NamedTuple

from ._core.decision import Decision
from ._core.goals import ConversionReason
from .status import EventOutcome


class Decided(NamedTuple):
    """A verb asked for a decision."""

    visitor_id: str
    decision: Decision

    def __repr__(self) -> str:
        return f"Decided({self.decision.key!r}, {self.decision.reason.value!r})"


class Exposed(NamedTuple):
    """A new decision was remembered, and its exposure queued under this id."""

    uuid: str
    visitor_id: str
    experience_id: str
    variation_id: str

    def __repr__(self) -> str:
        return f"Exposed({self.uuid}, {self.experience_id!r}, {self.variation_id!r})"


class Converted(NamedTuple):
    """A conversion was counted or turned away. Its events are named by `uuid`, a dot and a number."""

    uuid: str | None
    visitor_id: str
    goal: str | int
    reason: ConversionReason

    def __repr__(self) -> str:
        return f"Converted({self.uuid}, {self.goal!r}, {self.reason.value!r})"


class Delivered(NamedTuple):
    """The end of these events: sent, dropped, refused for good, or counted by another process."""

    outcome: EventOutcome
    uuids: tuple[str, ...]


class Incident(NamedTuple):
    """Something that should not happen, or its end: a fetch or a delivery that fails, a store that is down."""

    level: Literal["info", "warning", "error"]
    text: str


Observation = Decided | Exposed | Converted | Delivered | Incident
