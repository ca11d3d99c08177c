"""The remembered state of one visitor, and the merge of two states."""

from __future__ import annotations

from collections.abc import Container, Mapping
from json import JSONDecoder
from types import MappingProxyType
from typing import NamedTuple

from convert_sdk._core.half_made import shown_half_made

from .events import to_json
from .javascript import js_string, truthy
from .values import tree

VERSION = 1
FORGOTTEN_FOR = 86_400.0
"""Seconds for which a store refuses the changes that were made before a visitor was forgotten: a spool's age."""
NOTHING: Mapping[str, object] = MappingProxyType({})
NO_GOALS: Mapping[str, str] = MappingProxyType({})
_decode = JSONDecoder().decode


@shown_half_made
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
        return self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]  # a mutable value has no hash

    def __reduce__(self) -> tuple[type[VisitorState], tuple[object, ...]]:
        return VisitorState, (dict(self.bucketing), dict(self.goals), dict(self.segments), self.locations)

    def to_dict(self) -> dict[str, object]:
        """The state as plain JSON values.

        >>> VisitorState(goals={"7": "a-claim"}).to_dict()["goals"]
        {'7': 'a-claim'}
        """
        return {
            "version": VERSION,
            "bucketing": dict(self.bucketing),
            "goals": {key: claim or True for key, claim in self.goals.items()},
            "segments": dict(self.segments),
            "locations": list(self.locations),
        }

    def to_json(self) -> str:
        """Versioned ASCII JSON.

        >>> VisitorState({"100": "11"}).to_json()[:40]
        '{"version":1,"bucketing":{"100":"11"},"g'
        """
        return to_json(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> VisitorState:
        """Read what `to_json` wrote; what is not of the expected shape counts as absent.

        Raises ValueError where the text is no JSON at all.

        >>> VisitorState.from_json('{"bucketing": {"100": "11"}}')
        VisitorState(1 decisions, 0 goals)
        """
        return cls.from_dict(_decode(text))

    @classmethod
    def from_dict(cls, stored: object) -> VisitorState:
        """The state in plain JSON values; the reference's own stored objects are read too.

        >>> VisitorState.from_dict({"bucketing": {"100": "11"}, "goals": {"7": True}})
        VisitorState(1 decisions, 1 goals)
        """
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


class ForgottenState(VisitorState):
    """The state of a visitor who was forgotten not long ago: what has been saved since, and `at`, the time of it.

    `at` counts milliseconds since the epoch, and names that one forgetting: changes that carry it were made afterwards.

    >>> ForgottenState(VisitorState({"100": "11"}), at=1_764_201_600_000)
    VisitorState(1 decisions, 0 goals)
    """

    __slots__ = ("at",)

    def __init__(self, state: VisitorState, at: int) -> None:
        super().__init__(state.bucketing, state.goals, state.segments, state.locations)
        self.at = at

    def __reduce__(self) -> tuple[type[VisitorState], tuple[object, ...]]:
        return ForgottenState, (
            VisitorState(self.bucketing, self.goals, dict(self.segments), self.locations),
            self.at,
        )


_new = object.__new__


def store_key(account_id: str, project_id: str, visitor_id: str) -> str:
    """The key of a visitor in every store.

    >>> store_key("100", "200", "v-42")
    '100-200-v-42'
    """
    return f"{account_id}-{project_id}-{visitor_id}"


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
    """The changes of one process to the state of one visitor. `key` is the visitor's key in the store.

    >>> Changes("1-2-visitor", bucketing={"100": "11"}, goals={"7": "a-claim"})
    Changes(1 decisions, 1 goals)
    """

    key: str
    bucketing: Mapping[str, str] = MappingProxyType({})
    goals: Mapping[str, str] = MappingProxyType({})
    segments: Mapping[str, object] = NOTHING
    """Only what changed."""
    locations: tuple[str, ...] | None = None
    """None where they did not change."""
    overruled: Mapping[str, str] = MappingProxyType({})
    """Stored decisions that were seen and decided anew: experience id to the variation id that no longer counts."""
    forgotten: int = 0
    """The last forgetting of the visitor that the process knew of, as a store's `delete` gave it; 0 for none."""

    def __reduce__(self) -> tuple[type[Changes], tuple[object, ...]]:
        return Changes, tuple(dict(value) if isinstance(value, Mapping) else value for value in self)

    def __repr__(self) -> str:
        return f"Changes({len(self.bucketing)} decisions, {len(self.goals)} goals)"


class Winners(NamedTuple):
    """The decisions and goals that the store holds after the save of one `Changes`.

    >>> Winners({"100": "11"}, {}).bucketing["100"]
    '11'
    """

    bucketing: Mapping[str, str]
    goals: Mapping[str, str]


def all_won(changes: Changes) -> Winners:
    """The answer to changes from before the visitor was forgotten: none is kept, and each stands as it is.

    >>> all_won(Changes("1-2-visitor", goals={"7": "a-claim"})).goals
    {'7': 'a-claim'}
    """
    return Winners(dict(changes.bucketing), dict(changes.goals))


def checked(winners: Winners) -> Winners:
    """The answer of a store's `save`; raises TypeError for one of another kind, as an application's own may give."""
    if not isinstance(winners, Winners):
        raise TypeError(f"save must give Winners, not {type(winners).__name__}")
    return winners


def merge(first: VisitorState, second: VisitorState) -> VisitorState:
    """One state out of two: the first decision and claim win, the last segments and locations do."""
    return VisitorState(
        bucketing={**second.bucketing, **first.bucketing},
        goals={**second.goals, **first.goals},
        segments={**first.segments, **second.segments},
        locations=second.locations or first.locations,
    )


def state_for_browsers(
    state: VisitorState, experience_ids: Container[str], segment_ids: Container[str]
) -> dict[str, object]:
    """The part of a state that a page may show, in the shape that the reference stores.

    Decisions, goals and custom segments of these ids; no other segment, as attributes are remembered there, and no
    location.

    >>> state_for_browsers(VisitorState({"100": "11", "9": "1"}, {"7": "a-claim"}, {"country": "DE"}), {"100"}, ())
    {'bucketing': {'100': '11'}, 'goals': {'7': True}, 'segments': {}}
    """
    decided = {key: value for key, value in [*state.bucketing.items()] if key in experience_ids}
    listed = state.segments.get("customSegments")
    texts = [each for each in listed if isinstance(each, str)] if isinstance(listed, (list, tuple)) else []
    custom = [each for each in texts if each in segment_ids]
    return {
        "bucketing": decided,
        "goals": dict.fromkeys(state.goals, True),
        "segments": {"customSegments": custom} if custom else {},
    }


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
