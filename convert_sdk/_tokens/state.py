"""The token that a browser keeps of its visitor: what was decided, which goals counted, the segments."""

from __future__ import annotations

from collections.abc import Mapping
from json import loads
from typing import NamedTuple

from convert_sdk._core.decide import known_decisions
from convert_sdk._core.events import to_json
from convert_sdk._core.state import NOTHING, VisitorState
from convert_sdk._delivery.engine import Engine

from .signing import (
    MOST_CHARACTERS,
    TokenPurpose,
    flat_decisions,
    most_that_fit,
    paired_decisions,
    read,
    sign,
)

_MOST = MOST_CHARACTERS[TokenPurpose.STATE]
_LONG_SEGMENTS = 1_000
"""Characters of segments that leave a token before decisions do."""


class CarriedState(NamedTuple):
    """The contents of the token."""

    visitor_id: str
    decisions: Mapping[str, str]
    """Variation ids by experience id, the oldest first."""
    goals: tuple[str, ...] = ()
    """The keys of goals that counted, the newest first."""
    segments: Mapping[str, object] = NOTHING

    def __repr__(self) -> str:
        return "CarriedState(…)"

    def is_same(self, other: CarriedState) -> bool:
        """True if both say the same of the same visitor, in whatever order."""
        return (
            self.visitor_id == other.visitor_id
            and self.decisions == other.decisions
            and self.segments == other.segments
            and {*self.goals} == {*other.goals}
        )

    def state(self) -> VisitorState:
        """The state of the visitor; a new object."""
        return VisitorState(self.decisions, dict.fromkeys(self.goals, ""), self.segments)


class StateReading(NamedTuple):
    """The contents of a token that was taken."""

    carried: CarriedState
    renew: bool
    """True if an older secret than the newest has signed it."""
    issued: int = 0
    """The moment at which it was signed, in seconds since 1970."""


class SignedState(NamedTuple):
    """A token, and what of a visitor's state had room in it."""

    token: str
    carried: CarriedState

    def __repr__(self) -> str:
        return "SignedState(…)"


def carried_state(visitor_id: str, state: VisitorState) -> CarriedState:
    """The contents for a visitor of this state."""
    segments: dict[str, object] = {**state.segments}
    if any(type(value) is not str for value in segments.values()):
        segments = loads(to_json(segments))  # as it comes back: NaN and the like do not
    return CarriedState(visitor_id, dict(state.bucketing), tuple(state.goals), segments)


def read_state(engine: Engine, token: str) -> StateReading | None:
    """The state in a token; None for one that is refused. No text raises.

    Raises:
        OptionError: Where the client has no secrets.
    """
    reading = read(engine, TokenPurpose.STATE, token)
    if reading.flaw is not None:
        return None
    match reading.body:
        case [str(visitor_id), flat, list(goals), dict(segments)]:
            decisions = paired_decisions(flat)
            if decisions is not None and all(isinstance(goal, str) for goal in goals):
                carried = CarriedState(visitor_id, decisions, (*goals,), segments)
                return StateReading(carried, reading.renew, reading.issued)
    return None


def sign_state(engine: Engine, carried: CarriedState, max_age: float) -> SignedState | None:
    """The token of a state; None where not even the visitor's id fits.

    Where not all fits, decisions of what the document lacks leave first, with long segments, then the oldest decisions,
    then the segments, and the marks of goals last.

    Raises:
        OptionError: Where the client has no secrets.
    """

    def signed(carried: CarriedState) -> SignedState | None:
        decisions = flat_decisions(carried.decisions)
        body = (carried.visitor_id, decisions, carried.goals, {**carried.segments})
        token = sign(engine, TokenPurpose.STATE, body, max_age)
        return SignedState(token, carried) if len(token) <= _MOST else None

    whole = signed(carried)
    if whole is not None:
        return whole
    project = engine.project
    kept = carried.decisions if project is None else known_decisions(project, carried.decisions)
    segments = carried.segments if len(to_json(carried.segments)) <= _LONG_SEGMENTS else NOTHING
    fewer = carried._replace(segments=segments)
    decisions, goals = [*kept.items()], carried.goals
    return most_that_fit(
        len(decisions),
        lambda most: signed(fewer._replace(decisions=dict(decisions[len(decisions) - most :]))),
    ) or most_that_fit(
        len(goals),
        lambda most: signed(CarriedState(carried.visitor_id, {}, goals[:most])),
    )
