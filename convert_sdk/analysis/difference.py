"""The difference of two documents: what changed, and which visitors enter, leave or switch because of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

from convert_sdk._core.decision import Decision, Reason
from convert_sdk._core.events import to_json
from convert_sdk.project import Project

from .changes import EntityChange, document_changes
from .state import named_state
from .visitor_rows import VisitorRow, decide_row


class MoveKind(StrEnum):
    """The kind of a move between two documents."""

    ENTER = "enter"
    LEAVE = "leave"
    SWITCH = "switch"
    """From one variation to another: what was measured of the visitor is worth nothing."""


class Move(NamedTuple):
    """The visitors of whom one experience gets the same other outcome, for the same cause."""

    experience: str
    kind: MoveKind
    cause: str
    before: str | None
    after: str | None
    visitors: int

    def __str__(self) -> str:
        one = self.visitors == 1
        who = f"{self.visitors:,} visitor{'' if one else 's'}"
        match self.kind:
            case MoveKind.ENTER:
                does = f"{'enters' if one else 'enter'} {self.after}"
            case MoveKind.LEAVE:
                does = f"{'leaves' if one else 'leave'} {self.before}"
            case MoveKind.SWITCH:
                does = f"{'switches' if one else 'switch'} from {self.before} to {self.after}"
        return f"{self.experience}: {who} {does} ({self.cause})"

    def to_dict(self) -> dict[str, object]:
        """The same as values of JSON."""
        return {**self._asdict(), "kind": self.kind.value}


class Difference(NamedTuple):
    """The changes, and whom they move. `str()` is for people, `to_json()` for tools.

    >>> from convert_sdk.analysis import VisitorRow, diff
    >>> print(diff(project, project, [VisitorRow("v-42")]))
    nothing changed
    of 1 visitor, none enters, none leaves, none switches
    """

    changes: tuple[EntityChange, ...]
    moves: tuple[Move, ...]
    visitors: int
    """The visitors that were asked for."""
    entering: int
    """Visitors who enter any experience; the same for the two below."""
    leaving: int
    switching: int

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield from map(str, self.changes)
        if not self.changes:
            yield "nothing changed"
        yield from map(str, self.moves)
        if self.visitors:
            parts = ((self.entering, "enter"), (self.leaving, "leave"), (self.switching, "switch"))
            told = ", ".join(_counted(count, verb) for count, verb in parts)
            yield f"of {self.visitors:,} visitor{'' if self.visitors == 1 else 's'}, {told}"

    def to_dict(self) -> dict[str, object]:
        """The same as values of JSON."""
        return {
            **self._asdict(),
            "changes": [change.to_dict() for change in self.changes],
            "moves": [move.to_dict() for move in self.moves],
        }

    def to_json(self) -> str:
        """The same as JSON text."""
        return to_json(self.to_dict())


def _counted(count: int, verb: str) -> str:
    if count == 0:
        return f"none {verb}{'es' if verb == 'switch' else 's'}"
    return f"{count:,} {verb}{('es' if verb == 'switch' else 's') if count == 1 else ''}"


def diff(
    old: Project, new: Project, visitors: Iterable[VisitorRow] = (), *, remembered: bool = False
) -> Difference:
    """Compare two documents: what changed, and which of some visitors get something else.

    Args:
        old: The document before.
        new: The document after.
        visitors: Whom to decide for, with both.
        remembered: Whether what the old document decided is remembered, as a store does; then nobody switches
            except where a variation is gone.
    """
    counts: Counter[Move] = Counter()
    asked = entering = leaving = switching = 0
    for row in visitors:
        asked += 1
        found = list(moves_of(old, new, row, remembered=remembered))
        counts.update(found)
        kinds = {move.kind for move in found}
        entering += MoveKind.ENTER in kinds
        leaving += MoveKind.LEAVE in kinds
        switching += MoveKind.SWITCH in kinds
    places = {each.key: place for place, each in enumerate([*new.experiences, *old.experiences])}
    moves = (move._replace(visitors=count) for move, count in counts.items())
    in_order = sorted(moves, key=lambda each: (places[each.experience], each.kind, -each.visitors, str(each)))
    return Difference(document_changes(old, new), tuple(in_order), asked, entering, leaving, switching)


def moves_of(old: Project, new: Project, row: VisitorRow, *, remembered: bool = False) -> Iterator[Move]:
    """The moves of one visitor."""
    state = named_state(old, row.state)
    before = {decision.key: decision for decision in decide_row(old, row, state=state)}
    after_state = state if remembered else named_state(old, row.state)
    after = {decision.key: decision for decision in decide_row(new, row, state=after_state)}
    for key in dict.fromkeys([*before, *after]):
        absent = Decision(key, Reason.UNKNOWN)
        move = _move(before.get(key, absent), after.get(key, absent))
        if move is not None:
            yield move


def _move(before: Decision, after: Decision) -> Move | None:
    one, other = before.variation, after.variation
    if one is None and other is None:
        return None
    if one is None:
        cause = _ENTERS[before.reason]
        return Move(before.key, MoveKind.ENTER, cause, None, after.variation_key, 1)
    if other is None:
        cause = _LEAVES[after.reason]
        return Move(before.key, MoveKind.LEAVE, cause, before.variation_key, None, 1)
    if one.id == other.id or one.key == other.key:
        return None
    return Move(before.key, MoveKind.SWITCH, _switch(before, after), one.key, other.key, 1)


def _switch(before: Decision, after: Decision) -> str:
    """The cause of another variation in the same experience."""
    old, new = before.experience, after.experience
    if old is None or new is None or before.variation is None:
        return "the experience"
    if old.id != new.id:
        return "another id of the experience, by which visitors are hashed"
    if before.variation.id not in new.variations:
        return "the variation is gone"
    if old.anchored != new.anchored:
        return f"{'anchored' if new.anchored else 'packed'} ranges"
    return "traffic"


_ENTERS = {
    Reason.UNKNOWN: "the experience is new",
    Reason.ARCHIVED: "it is no longer archived",
    Reason.ENVIRONMENT: "environment",
    Reason.LOCATION: "location",
    Reason.AUDIENCE: "audience",
    Reason.SEGMENT: "segments",
    Reason.NO_VARIATIONS: "variations",
    Reason.NOT_ALLOCATED: "traffic",
}
_LEAVES = {**_ENTERS, Reason.UNKNOWN: "the experience is gone", Reason.ARCHIVED: "it is archived"}
