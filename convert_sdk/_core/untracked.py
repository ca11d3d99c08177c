"""The memory of a visitor without tracking: it ends with the visitor object, and nobody else sees it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .copy_json import copy_json
from .decide import looks_at_location, updated_locations
from .decision import Decision, Reason
from .facts import Facts, deep_merge
from .state import VisitorState

_NEW = frozenset({Reason.BUCKETED, Reason.FORCED})


class UntrackedState(VisitorState):
    """The state of one visitor object: a copy of what was remembered when it first changed something."""

    __slots__ = ()


def remember_untracked(facts: Facts, decisions: Iterable[Decision]) -> None:
    """Remember decisions and locations for this object, so that it goes on as a tracked one would."""
    for decision in decisions:
        experience, variation = decision.experience, decision.variation
        if experience is None:
            continue
        if looks_at_location(decision.reason):
            locations = updated_locations(experience, facts)
            if locations is not None:
                _own_state(facts).locations = locations
        if variation is not None and decision.reason in _NEW:
            _own_state(facts).bucketing[experience.id] = variation.id


def set_untracked_segments(facts: Facts, segments: Mapping[str, object]) -> None:
    """Remember segments over the present ones, for this object."""
    state = _own_state(facts)
    state.segments = deep_merge(state.segments, copy_json({**segments}), by_value=True)


def _own_state(facts: Facts) -> UntrackedState:
    state = facts._state
    if not isinstance(state, UntrackedState):
        state = facts._state = UntrackedState(state.bucketing, state.goals, state.segments, state.locations)
    return state
