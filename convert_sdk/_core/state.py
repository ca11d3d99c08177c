"""The remembered state of one visitor, and the merge of two states."""

from __future__ import annotations

from collections.abc import Mapping
from json import JSONDecoder
from types import MappingProxyType
from typing import NamedTuple

from .events import to_json
from .javascript import js_string, truthy
from .values import tree

VERSION = 1
NOTHING: Mapping[str, object] = MappingProxyType({})
NO_GOALS: Mapping[str, str] = MappingProxyType({})
_decode = JSONDecoder().decode


class VisitorState:
    """Decisions, goals, segments and locations of one visitor; never attributes.

    `bucketing` maps experience ids to variation ids, `goals` maps goal keys to the id of the
    conversion that counted ("" where unknown). All but `bucketing` are replaced, never changed.

    >>> VisitorState({"100": "11"}).to_json()
    '{"version":1,"bucketing":{"100":"11"},"goals":{},"segments":{},"locations":[]}'
    """

    __slots__ = ("bucketing", "goals", "locations", "segments")

    def __init__(
        self,
        bucketing: Mapping[str, str] | None = None,
        goals: Mapping[str, str] = NO_GOALS,
        segments: Mapping[str, object] = NOTHING,
        locations: tuple[str, ...] = (),
    ) -> None:
        self.bucketing: dict[str, str] = dict(bucketing) if bucketing else {}
        self.goals: Mapping[str, str] = dict(goals)
        self.segments = segments
        self.locations = locations

    def __repr__(self) -> str:
        return f"VisitorState({len(self.bucketing)} decisions, {len(self.goals)} goals)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, VisitorState):
            return NotImplemented
        return self.to_mapping() == other.to_mapping()

    __hash__ = None  # type: ignore[assignment]  # a mutable value has no hash

    def to_mapping(self) -> dict[str, object]:
        """The state as plain JSON values."""
        return {
            "version": VERSION,
            "bucketing": dict(self.bucketing),
            "goals": {key: claim or True for key, claim in self.goals.items()},
            "segments": dict(self.segments),
            "locations": list(self.locations),
        }

    def to_json(self) -> str:
        """Versioned ASCII JSON."""
        return to_json(self.to_mapping())

    @classmethod
    def from_json(cls, text: str) -> VisitorState:
        """Read what `to_json` wrote; what is not of the expected shape counts as absent.

        Raises ValueError where the text is no JSON at all.
        """
        return cls.from_mapping(_decode(text))

    @classmethod
    def from_mapping(cls, stored: object) -> VisitorState:
        """The state in plain JSON values; the reference's own stored objects are read too."""
        fields = _mapping(stored)
        locations = fields.get("locations")
        return cls(
            bucketing={
                k: js_string(v)
                for k, v in _mapping(fields.get("bucketing")).items()
                if isinstance(v, (str, int, float)) and truthy(v) and v is not True
            },
            goals={
                key: claim if isinstance(claim, str) else ""
                for key, claim in _mapping(fields.get("goals")).items()
                if claim
            },
            segments=_mapping(fields.get("segments")),
            locations=tuple(x for x in locations if isinstance(x, str))
            if isinstance(locations, list)
            else (),
        )


_new = object.__new__


def kept_segments(segments: Mapping[str, object]) -> Mapping[str, object]:
    """A copy of segments, to be remembered: nothing in it is the application's any more."""
    copied = tree(segments)
    return copied if isinstance(copied, dict) else NOTHING


def new_visitor_state(bucketing: dict[str, str], segments: Mapping[str, object]) -> VisitorState:
    """The state of a new visitor: one is made for each, and the constructor costs twice as much."""
    state = _new(VisitorState)
    state.bucketing = bucketing
    state.goals = NO_GOALS
    state.segments = segments
    state.locations = ()
    return state


class Changes(NamedTuple):
    """The changes of one process to the state of one visitor. `key` is the visitor's key in the store."""

    key: str
    bucketing: Mapping[str, str] = MappingProxyType({})
    goals: Mapping[str, str] = MappingProxyType({})
    segments: Mapping[str, object] = NOTHING
    """Only what changed."""
    locations: tuple[str, ...] | None = None
    """None where they did not change."""
    overruled: Mapping[str, str] = MappingProxyType({})
    """Stored decisions that were seen and decided anew: experience id to the variation id that no longer counts."""

    def __repr__(self) -> str:
        return f"Changes({len(self.bucketing)} decisions, {len(self.goals)} goals)"


class Winners(NamedTuple):
    """The decisions and goals that the store holds after the save of one `Changes`."""

    bucketing: Mapping[str, str]
    goals: Mapping[str, str]


def merge(first: VisitorState, second: VisitorState) -> VisitorState:
    """One state out of two: the first decision and claim win, the last segments and locations do."""
    return VisitorState(
        bucketing={**second.bucketing, **first.bucketing},
        goals={**second.goals, **first.goals},
        segments={**first.segments, **second.segments},
        locations=second.locations or first.locations,
    )


def apply(state: VisitorState, changes: Changes) -> Winners:
    """Write `changes` into `state` and say who won; every store does exactly this."""
    for experience_id, variation_id in changes.bucketing.items():
        stands = state.bucketing.setdefault(experience_id, variation_id)
        if stands == changes.overruled.get(experience_id):
            state.bucketing[experience_id] = variation_id
    if changes.goals:
        new = {key: claim for key, claim in changes.goals.items() if key not in state.goals}
        state.goals = {**state.goals, **new}
    if changes.segments:
        state.segments = {**state.segments, **changes.segments}
    if changes.locations is not None:
        state.locations = changes.locations
    return Winners(
        {key: state.bucketing[key] for key in changes.bucketing},
        {key: state.goals[key] for key in changes.goals},
    )


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else NOTHING
