"""The values that `observe` and `hooks` are called with: one per decision, exposure, conversion, delivery and so on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from ._core.decision import Decision
from ._core.facts import Place
from ._core.goals import ConversionReason
from .status import EventOutcome


class DecidedFacts(NamedTuple):
    """The facts that a decision was made on; its `repr` shows none."""

    attributes: Mapping[str, object]
    """The attributes, over the remembered segments."""
    location: Place
    """A mapping, `ANYWHERE`, or None if it is not known."""

    def __repr__(self) -> str:
        return "DecidedFacts(…)"


class Decided(NamedTuple):
    """A verb asked for a decision."""

    visitor_id: str
    decision: Decision
    time: float = 0.0
    """Seconds since the epoch."""
    revision: str | None = None
    """The document that was decided with; None before the first."""
    facts: DecidedFacts | None = None
    """None unless `observe_facts` is True."""

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


class DocumentChanged(NamedTuple):
    """Another document came into use; the keys are those of experiences."""

    old_revision: str
    new_revision: str
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    """Their own JSON, or that of an audience, location, segment, goal or feature that they refer to, differs."""


Observation = Decided | Exposed | Converted | Delivered | Incident | DocumentChanged
"""Everything that `observe` and `hooks` are called with."""
