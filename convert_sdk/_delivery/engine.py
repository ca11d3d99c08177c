"""Everything of one client that changes: the project, what is remembered, what is on its way out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from os import urandom
from threading import RLock
from time import monotonic
from typing import TYPE_CHECKING

from convert_sdk._core.decide import relocated
from convert_sdk._core.decision import Decision, Reason
from convert_sdk._core.events import Event, conversion_wires, known_segments
from convert_sdk._core.facts import UNSEEN, Facts
from convert_sdk._core.goals import ConversionReason, ConversionResult, Wish, refusal
from convert_sdk._core.model import Experience, Goal
from convert_sdk._core.own import own
from convert_sdk._core.state import VisitorState, Winners

from .kept import Kept
from .memory import Memory

if TYPE_CHECKING:
    from convert_sdk.observation import Observation
    from convert_sdk.project import Project
    from convert_sdk.visitor import Visitor

    from .outbox import Outbox
    from .watch import Watch

_MOST_KEPT = 1_000
_BUCKETED = Reason.BUCKETED
_CLOSED = ConversionReason.CLOSED
_QUEUE_FULL = ConversionReason.QUEUE_FULL
_new = tuple.__new__  # a call of a NamedTuple costs more than all else that an exposure costs


class Engine:
    """One client's project, memory and outbox, and the one lock of the request path, never held across I/O.

    `claiming`: several processes share the store, and a conversion counts in one of them.
    """

    def __init__(
        self,
        memory: Memory,
        outbox: Outbox | None,
        *,
        environment: str | None = None,
        claiming: bool = False,
        watch: Watch | None = None,
    ) -> None:
        self.memory = memory
        self.states = memory.states
        self.outbox = outbox
        self.project: Project | None = None
        self.environment = environment
        """The configured one; without it, each project's own default counts."""
        self.previews: dict[str, Experience] = {}
        self.kept: dict[str, Kept]
        """Conversions from before the first document, by the ids they will have."""
        self.void: deque[str]
        """The ids of those that came to nothing."""
        self.seen = watch
        self.after_offer: Callable[[], None] | None = None
        """What empties the outbox where no worker does."""
        self._claiming = claiming
        self.start_anew()

    def start_anew(self) -> None:
        """In a forked process: a lock that nobody holds, ids that no other process has, nothing of the parent's."""
        self.lock = RLock()  # a signal's own handler may track while the interrupted thread does
        self.kept = {}
        self.void = deque()
        self._prefix = urandom(10).hex()
        self._numbers = count(1)
        self.memory.start_anew()
        if self.seen is not None:
            self.seen.clear()

    def install(self, project: Project) -> None:
        """Serve this project to the visitors made from now on, and count what was kept for it."""
        self.project = project
        with self.lock:
            kept, self.kept = self.kept, {}
        for each in kept.values():
            self.resolve(each)

    def resolve(self, kept: Kept) -> None:
        """Count a conversion that waited for a document."""
        result = self.convert(kept.visitor, kept.goal, kept.wish, tracking=kept.tracking, uuid=kept.uuid)
        if result.reason is not ConversionReason.ACCEPTED:
            self.void.append(kept.uuid)

    def reclaim(self, events: Iterable[Event]) -> set[str]:
        """Claim what came back from disk in the store, under the same names; the ids of the events that have lost."""
        lost: set[str] = set()
        with self.lock:
            for event in events:
                if event.claim is None or self.memory.unsaved is None:
                    continue
                uuid = conversion_of(event.uuid)
                state = self.states.get(event.visitor_id)
                standing = state.goals.get(event.claim, uuid) if state is not None else uuid
                claims = self.memory.changed(event.visitor_id).goals
                if standing != uuid or claims.setdefault(event.claim, uuid) != uuid:
                    lost.add(event.uuid)
        return lost

    def store_key(self, visitor_id: str) -> str:
        """The visitor's key in a store; there is a project by then."""
        project = self.project
        return f"{project.account_id}-{project.id}-{visitor_id}" if project is not None else visitor_id

    def experience_of(self, experience_id: str, project: Project | None) -> Experience | None:
        """An experience by id, from the project or from a preview that the client loaded."""
        experience = project.experiences.of_id(experience_id) if project is not None else None
        return experience or self.previews.get(experience_id)

    def note(self, observation: Observation) -> None:
        """Keep something for the application's callback; the oldest goes where it cannot keep up."""
        if self.seen is not None:
            self.seen.append(observation)

    def enter(self, visitor: Facts) -> None:
        """Remember the attributes that are reported, once for each visitor object."""
        if visitor.state is UNSEEN:
            visitor.state = self.states.get(visitor.id, UNSEEN)
        if not visitor.entered:
            if known_segments(visitor.attributes):
                with self.lock:
                    self.memory.writable(visitor)
            visitor.entered = True

    def remember(self, visitor: Facts, decision: Decision, *, tracking: bool) -> Event | None:
        """Keep a new decision; its exposure, to be reported. Of two threads with the same one, the first has it."""
        _, reason, experience, variation, _ = decision
        if experience is None or variation is None:
            return None
        memory = self.memory
        with self.lock:
            state = memory.writable(visitor)
            before = state.bucketing.get(experience.id)
            if before is not None:
                if before == variation.id or (reason is _BUCKETED and before in experience.variations):
                    return None
                if memory.unsaved is not None:
                    memory.overrule(visitor.id, experience.id, before)
            state.bucketing[experience.id] = variation.id
            if memory.unsaved is not None:
                memory.changed(visitor.id).bucketing[experience.id] = variation.id
        if not tracking or self.outbox is None:
            return None
        uuid = f"{self._prefix}-{next(self._numbers)}"
        if self.seen is not None:
            from convert_sdk.observation import Exposed

            # First, so that whoever delivers the event tells of this too, and in time.
            self.seen.append(Exposed(uuid, visitor.id, experience.id, variation.id))
        return _new(Event, (uuid, visitor.id, variation.exposure, state.segments or None, None, False))

    def report(self, exposures: Sequence[Event]) -> None:
        """Queue exposures: all of them, or the first ones that fit."""
        outbox = self.outbox
        if outbox is None:
            return
        if len(exposures) == 1 or len(exposures) <= outbox.room:
            outbox.offer(*exposures, now=monotonic())
        else:
            for exposure in exposures:
                outbox.offer(exposure, now=monotonic())
        after_offer = self.after_offer
        if after_offer is not None:
            after_offer()

    def relocate(self, visitor: Facts, experience: Experience) -> None:
        """Remember which of the experience's locations the visitor is in."""
        with self.lock:
            locations = relocated(experience, visitor)
            if locations is None:
                return
            self.memory.writable(visitor).locations = locations
            if self.memory.unsaved is not None:
                self.memory.changed(visitor.id).locations = locations

    def set_segments(self, visitor: Facts, segments: Mapping[str, object]) -> None:
        """Remember segments over the present ones."""
        with self.lock:
            self.memory.set_segments(visitor, self.memory.writable(visitor), own({**segments}))

    def convert(
        self, visitor: Visitor, name: str | int, wish: Wish, *, tracking: bool, uuid: str | None = None
    ) -> ConversionResult:
        """Count a conversion, under this id or a new one: once for each goal, unless it is wished again."""
        result = self._convert(_new(Kept, (uuid or self._new_id(), visitor, name, wish, tracking)))
        after_offer = self.after_offer
        if after_offer is not None:
            after_offer()
        if self.seen is not None:
            from convert_sdk.observation import Converted

            self.seen.append(Converted(result.uuid, visitor.id, name, result.reason))
        return result

    def _convert(self, wanted: Kept) -> ConversionResult:
        visitor, name, wish = wanted.visitor, wanted.goal, wanted.wish
        self.enter(visitor)
        project = visitor.project or self.project or self._keep(wanted)
        if isinstance(project, ConversionResult):
            return project
        goals = project.goals
        goal = goals.get(name) if isinstance(name, str) else goals.of_id(str(name))
        if goal is None or not goal.id:
            return ConversionResult(ConversionReason.UNKNOWN_GOAL)
        refused = refusal(goal, wish.rule_data) if wish.rule_data is not None else None
        if refused is not None:
            return ConversionResult(refused)
        with self.lock:
            return self._count(goal, wanted)

    def _keep(self, conversion: Kept) -> ConversionResult | Project:
        """Keep a conversion for the first document; the project, if that has come meanwhile."""
        with self.lock:
            if self.project is not None:
                return self.project
            if len(self.kept) < _MOST_KEPT and not (self.outbox is not None and self.outbox.closed):
                self.kept[conversion.uuid] = conversion
                self.memory.stir()
                return ConversionResult(ConversionReason.KEPT, conversion.uuid)
        outbox = self.outbox
        closed = outbox is not None and outbox.closed
        if outbox is not None:
            outbox.ledger.refuse(1, monotonic(), "closed" if closed else "full")
        return ConversionResult(_CLOSED if closed else _QUEUE_FULL)

    def _count(self, goal: Goal, wanted: Kept) -> ConversionResult:
        uuid, visitor, _, wish, tracking = wanted
        state = self.memory.writable(visitor)
        first = goal.key not in state.goals
        if not first and not wish.again:
            return ConversionResult(ConversionReason.DUPLICATE)
        if first:
            state.goals[goal.key] = uuid  # at once: for a signal's handler it is a duplicate from here on
        bucketing = state.bucketing if wish.attributed_to is None else wish.attributed_to
        wires = conversion_wires(goal.id, bucketing, wish.data, first=first)
        if not wires:
            return ConversionResult(ConversionReason.NOTHING_TO_SEND)
        outbox = self.outbox if tracking else None
        if outbox is not None:
            claim = goal.key if first and self._claiming else None
            events = _events(uuid, visitor.id, wires, state, claim, attributed=wish.attributed_to is not None)
            if not outbox.offer(*events, now=monotonic()):
                if first:
                    del state.goals[goal.key]
                return ConversionResult(_CLOSED if outbox.closed else _QUEUE_FULL)
        if first and self.memory.unsaved is not None:
            self.memory.changed(visitor.id).goals[goal.key] = uuid
        if outbox is None:
            return ConversionResult(ConversionReason.TRACKING_OFF, uuid)
        return ConversionResult(ConversionReason.ACCEPTED, uuid, len(wires))

    def _new_id(self) -> str:
        return f"{self._prefix}-{next(self._numbers)}"


def event_ids(uuid: str) -> tuple[str, str]:
    """The ids of the events of one conversion, of which there are one or two."""
    return f"{uuid}.0", f"{uuid}.1"


def conversion_of(event_id: str) -> str:
    """The conversion that an event is part of.

    >>> conversion_of(event_ids("5f1c-7")[1])
    '5f1c-7'
    """
    return event_id.rpartition(".")[0]


def verdicts(claims: Mapping[str, str], winners: Winners) -> tuple[set[str], set[str]]:
    """The ids of the events whose conversions won their claims, and of those that lost them."""
    won: set[str] = set()
    lost: set[str] = set()
    for goal_key, uuid in claims.items():
        (won if winners.goals.get(goal_key) == uuid else lost).update(event_ids(uuid))
    return won, lost


def _events(
    uuid: str,
    visitor_id: str,
    wires: tuple[str, ...],
    state: VisitorState,
    claim: str | None,
    *,
    attributed: bool,
) -> list[Event]:
    segments = known_segments(state.segments) or None
    ids = event_ids(uuid)
    return [
        Event(ids[part], visitor_id, wire, segments, claim, attributed) for part, wire in enumerate(wires)
    ]
