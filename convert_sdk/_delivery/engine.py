"""Everything of one client that changes: the project, what is remembered, what is on its way out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from os import urandom
from threading import RLock
from time import monotonic
from typing import TYPE_CHECKING

from convert_sdk._core.copy_json import copy_json
from convert_sdk._core.decide import updated_locations
from convert_sdk._core.decision import Decision, Reason
from convert_sdk._core.events import Event, conversion_wires, known_segments
from convert_sdk._core.facts import UNSEEN, Facts
from convert_sdk._core.goals import ConversionReason, ConversionRequest, ConversionResult, refusal
from convert_sdk._core.model import Experience, Goal
from convert_sdk._core.state import NOTHING, VisitorState, Winners

from .pending import PendingConversion
from .visitors import VisitorCache

if TYPE_CHECKING:
    from convert_sdk.observation import Observation
    from convert_sdk.project import Project
    from convert_sdk.visitor import Visitor

    from .observer import Observer
    from .queue import EventQueue

_MOST_PENDING = 1_000
_SHARES = 64
"""Locks for the visitors of a process: threads that serve different ones hardly ever meet."""
_BUCKETED = Reason.BUCKETED
_ACCEPTED = ConversionReason.ACCEPTED
_CLOSED = ConversionReason.CLOSED
_QUEUE_FULL = ConversionReason.QUEUE_FULL
_new = tuple.__new__  # a call of a NamedTuple costs more than all else that an exposure costs


class Engine:
    """One client's project, visitors and queue, and the one lock of the request path, never held across I/O.

    `claiming`: several processes share the store, and a conversion counts in one of them. `naming`: somebody will
    ask for exposures by id, as a spool does and whoever observes; a name costs a tenth of an exposure.
    """

    def __init__(
        self,
        visitors: VisitorCache,
        queue: EventQueue | None,
        *,
        environment: str | None = None,
        claiming: bool = False,
        naming: bool = True,
        observer: Observer | None = None,
    ) -> None:
        self.visitors = visitors
        self.states = visitors.states
        self.queue = queue
        self.project: Project | None = None
        self.serving: tuple[Project | None, str | None] = (None, environment)
        """The project, and the environment of its visitors."""
        self._environment = environment
        self.previews: dict[str, Experience] = {}
        self.pending: dict[str, PendingConversion]
        """Conversions from before the first document, by the ids they will have."""
        self.cancelled: deque[str]
        """The ids of those that came to nothing."""
        self.observer = observer
        self.after_offer: Callable[[], None] | None = None
        """What empties the queue where no worker does."""
        self._claiming = claiming
        self._naming = naming
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """In a forked process: a lock that nobody holds, ids that no other process has, nothing of the parent's."""
        self.lock = RLock()  # a signal's own handler may track while the interrupted thread does
        shared = self.visitors.pending is not None  # what a store has yet to hear of is one for all visitors
        self._visitor_locks = [self.lock if shared else RLock() for _ in range(_SHARES)]
        self.pending = {}
        self.cancelled = deque()
        self._prefix = urandom(10).hex()
        self._numbers = count(1)
        self.visitors.reset_after_fork()
        if self.observer is not None:
            self.observer.clear()

    def install(self, project: Project) -> None:
        """Serve this project to the visitors made from now on, and count what was kept for it."""
        environment = self._environment
        self.serving = project, project.default_environment if environment is None else environment
        self.project = project
        with self.lock:
            kept, self.pending = self.pending, {}
        for each in kept.values():
            self.resolve(each)

    def resolve(self, conversion: PendingConversion) -> None:
        """Count a conversion that waited for a document."""
        result = self.convert(
            conversion.visitor,
            conversion.goal,
            conversion.request,
            tracking=conversion.tracking,
            uuid=conversion.uuid,
        )
        if result.reason is not ConversionReason.ACCEPTED:
            self.cancelled.append(conversion.uuid)

    def reclaim(self, events: Iterable[Event]) -> set[str]:
        """Claim what came back from disk in the store, under the same names; the ids of the events that have lost."""
        lost: set[str] = set()
        with self.lock:
            for event in events:
                if event.claim is None or self.visitors.pending is None:
                    continue
                uuid = conversion_of(event.uuid)
                state = self.states.get(event.visitor_id)
                standing = state.goals.get(event.claim, uuid) if state is not None else uuid
                claims = self.visitors.changes_of(event.visitor_id).goals
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

    def observe(self, observation: Observation) -> None:
        """Keep something for the application's callback; the oldest goes where it cannot keep up."""
        if self.observer is not None:
            self.observer.append(observation)

    def enter(self, visitor: Facts) -> None:
        """Remember the attributes that are reported, once for each visitor object."""
        if visitor.state is UNSEEN:
            visitor.state = self.states.get(visitor.id, UNSEEN)
        if not visitor.attributes_remembered:
            if known_segments(visitor.attributes):
                with self._lock_of(visitor.id):
                    self.visitors.get_for_update(visitor)
            visitor.attributes_remembered = True

    def remember(self, visitor: Facts, decisions: Sequence[Decision], *, tracking: bool) -> None:
        """Keep those decisions that are new and queue their exposures. Of two threads, the first reports."""
        visitors, observer = self.visitors, self.observer
        state = None
        if visitor.state is UNSEEN and visitors.pending is None:
            state = visitors.create(visitor, decisions)
        if state is None:
            with self._lock_of(visitor.id):
                state = visitors.get_for_update(visitor)
                decisions = [each for each in decisions if self._is_new(visitor.id, state, each)]
        if not decisions or not tracking or self.queue is None:
            return
        # Not of the visitor's own state, which may be another thread's just now.
        visitor_id, segments = visitor.id, state.segments
        reported = None if segments is NOTHING else segments or None
        prefix, numbers, naming = self._prefix, self._numbers, self._naming
        exposures = []
        for _, _, _, variation, _ in decisions:
            if variation is not None:
                uuid = f"{prefix}-{next(numbers)}" if naming else ""
                exposures.append(_new(Event, (uuid, visitor_id, variation.exposure, reported, None, False)))
        if observer is not None:  # first, so that whoever delivers the events tells of this too, and in time
            observer.add_exposures(exposures, decisions)
        self._report(exposures, self.queue)

    def _is_new(self, visitor_id: str, state: VisitorState, decision: Decision) -> bool:
        """Keep a decision, unless there is one that counts already."""
        _, reason, experience, variation, _ = decision
        if experience is None or variation is None:
            return False
        before = state.bucketing.get(experience.id)
        if before is not None and (
            before == variation.id or (reason is _BUCKETED and before in experience.variations)
        ):
            return False
        state.bucketing[experience.id] = variation.id
        if self.visitors.pending is not None:
            self.visitors.note_decision(visitor_id, experience.id, variation.id, before)
        return True

    def _report(self, exposures: list[Event], queue: EventQueue) -> None:
        """Queue exposures: all of them, or the first ones that fit."""
        if len(exposures) == 1 or len(exposures) <= queue.room:
            queue.offer(exposures, monotonic())
        else:
            for exposure in exposures:
                queue.offer((exposure,), monotonic())
        after_offer = self.after_offer
        if after_offer is not None:
            after_offer()

    def relocate(self, visitor: Facts, experience: Experience) -> None:
        """Remember which of the experience's locations the visitor is in."""
        with self._lock_of(visitor.id):
            locations = updated_locations(experience, visitor)
            if locations is None:
                return
            self.visitors.get_for_update(visitor).locations = locations
            if self.visitors.pending is not None:
                self.visitors.changes_of(visitor.id).locations = locations

    def set_segments(self, visitor: Facts, segments: Mapping[str, object]) -> None:
        """Remember segments over the present ones."""
        with self._lock_of(visitor.id):
            self.visitors.set_segments(
                visitor, self.visitors.get_for_update(visitor), copy_json({**segments})
            )

    def convert(
        self,
        visitor: Visitor,
        name: str | int,
        request: ConversionRequest,
        *,
        tracking: bool,
        uuid: str | None = None,
    ) -> ConversionResult:
        """Count a conversion, under this id or a new one: once for each goal, unless it is wished again."""
        wanted = _new(
            PendingConversion,
            (uuid or f"{self._prefix}-{next(self._numbers)}", visitor, name, request, tracking),
        )
        result = self._convert(wanted)
        after_offer = self.after_offer
        if after_offer is not None:
            after_offer()
        if self.observer is not None:
            from convert_sdk.observation import Converted

            self.observer.append(Converted(result.uuid, visitor.id, name, result.reason))
        return result

    def _convert(self, wanted: PendingConversion) -> ConversionResult:
        _, visitor, name, request, _ = wanted
        project = visitor.project or self.project or self._keep_pending(wanted)
        if isinstance(project, ConversionResult):
            return self._refused(visitor, project)
        goals = project.goals
        if isinstance(name, str):
            goal = goals.found.get(name) or goals.get(name)
        else:
            goal = goals.of_id(str(name))
        if goal is None or not goal.id:
            return self._refused(visitor, ConversionResult(ConversionReason.UNKNOWN_GOAL))
        refused = refusal(goal, request.rule_data) if request.rule_data is not None else None
        if refused is not None:
            return self._refused(visitor, ConversionResult(refused))
        with self._lock_of(visitor.id):
            return self._count(goal, wanted)

    def _refused(self, visitor: Facts, result: ConversionResult) -> ConversionResult:
        self.enter(visitor)
        return result

    def _keep_pending(self, conversion: PendingConversion) -> ConversionResult | Project:
        """Keep a conversion for the first document; the project, if that has come meanwhile."""
        with self.lock:
            if self.project is not None:
                return self.project
            if len(self.pending) < _MOST_PENDING and not (self.queue is not None and self.queue.closed):
                self.pending[conversion.uuid] = conversion
                self.visitors.notify()
                return ConversionResult(ConversionReason.PENDING, conversion.uuid)
        queue = self.queue
        closed = queue is not None and queue.closed
        if queue is not None:
            queue.stats.refuse(1, monotonic(), "closed" if closed else "full")
        return ConversionResult(_CLOSED if closed else _QUEUE_FULL)

    def _count(self, goal: Goal, wanted: PendingConversion) -> ConversionResult:
        uuid, visitor, _, (data, _, allow_repeat, attributed_to), tracking = wanted
        state = self.visitors.get_for_update(visitor)
        first = goal.key not in state.goals
        if first:  # at once: for a signal's handler it is a duplicate now, unless the handler was quicker
            state.goals = {goal.key: uuid, **state.goals}
            first = state.goals[goal.key] is uuid
        if not first and not allow_repeat:
            return ConversionResult(ConversionReason.DUPLICATE)
        bucketing = state.bucketing if attributed_to is None else attributed_to
        wires = conversion_wires(goal.id, bucketing, data, first=first)
        if not wires:
            return ConversionResult(ConversionReason.NOTHING_TO_SEND)
        queue = self.queue if tracking else None
        if queue is not None:
            about = visitor.id, _reported(state), goal.key if first and self._claiming else None
            events = _events(uuid, wires, about, attributed=attributed_to is not None)
            if not queue.offer(events, monotonic()):
                if first:  # without a call, in which a signal's handler might count another goal
                    goals = {**state.goals}
                    del goals[goal.key]
                    state.goals = goals
                return ConversionResult(_CLOSED if queue.closed else _QUEUE_FULL)
        if first and self.visitors.pending is not None:
            self.visitors.changes_of(visitor.id).goals[goal.key] = uuid
        if queue is None:
            return ConversionResult(ConversionReason.TRACKING_OFF, uuid)
        return _new(ConversionResult, (_ACCEPTED, uuid, len(wires)))

    def _lock_of(self, visitor_id: str) -> RLock:
        return self._visitor_locks[hash(visitor_id) % _SHARES]


def _reported(state: VisitorState) -> Mapping[str, object] | None:
    """The segments that go with a conversion: the very object of the state where it may be."""
    segments = state.segments
    if segments is NOTHING:
        return None
    known = known_segments(segments)
    return segments if known and len(known) == len(segments) else known or None


def _events(
    uuid: str,
    wires: tuple[str, ...],
    about: tuple[str, Mapping[str, object] | None, str | None],
    *,
    attributed: bool,
) -> list[Event]:
    visitor_id, reported, claim = about
    first, second = event_ids(uuid)
    events = [_new(Event, (first, visitor_id, wires[0], reported, claim, attributed))]
    if len(wires) == 2:  # one bare, one with the data
        events.append(_new(Event, (second, visitor_id, wires[1], reported, claim, attributed)))
    return events


def event_ids(uuid: str) -> tuple[str, str]:
    """The ids of the events of one conversion, of which there are one or two."""
    return f"{uuid}.0", f"{uuid}.1"


def conversion_of(event_id: str) -> str:
    """The conversion that an event is part of.

    >>> conversion_of(event_ids("5f1c-7")[1])
    '5f1c-7'
    """
    return event_id.rpartition(".")[0]


def claim_results(claims: Mapping[str, str], winners: Winners) -> tuple[set[str], set[str]]:
    """The ids of the events whose conversions won their claims, and of those that lost them."""
    won: set[str] = set()
    lost: set[str] = set()
    for goal_key, uuid in claims.items():
        (won if winners.goals.get(goal_key) == uuid else lost).update(event_ids(uuid))
    return won, lost
