"""The request path of one client: it decides, remembers and tracks, and never waits for I/O.

Theory of operation
-------------------
*What it knows.* A visitor is `Facts` here, and a project is an argument: the one that the visitor was made with.

*Locks.* `lock` guards what all visitors share: conversions from before the first document, claims, and with a store
the pending changes. Visitors are divided among 64 more locks by the hash of their ids, so that threads which serve
different visitors hardly ever meet; with a store all 64 are `lock` itself. All are re-entrant, as a signal handler
may track while the code that it interrupts does, and none is held across I/O. A new visitor takes none of them
(`VisitorCache.create`).

*Interruptions.* A goal is marked as converted before its events are made, in one assignment: a signal handler that
tracks the same goal between the two finds a duplicate. An offer that is refused takes the mark back.

*Order.* An observation of an exposure is added before its event is offered: whoever delivers the event can tell the
application about both, in order.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import count
from os import urandom
from typing import TYPE_CHECKING, NamedTuple

from convert_sdk._core.decide import updated_locations
from convert_sdk._core.decision import Decision, Reason
from convert_sdk._core.events import Event, conversion_wires, known_segments
from convert_sdk._core.facts import UNSEEN, Facts
from convert_sdk._core.goals import ConversionReason, ConversionRequest, ConversionResult, refusal
from convert_sdk._core.mismatches import Mismatch
from convert_sdk._core.model import Experience, Goal
from convert_sdk._core.override import without_overridden
from convert_sdk._core.state import NOTHING, VisitorState, Winners, kept_segments, store_key
from convert_sdk._core.values import tree
from convert_sdk._process.clock import Clock, monotonic, wall_time
from convert_sdk._process.locks import held_by_this_thread
from convert_sdk.status import DropReason

from .held import HeldEvents, HeldVisitors
from .overrides import Overrides
from .pending import PendingConversion, PendingConversions, StoredConversion
from .stats import Notice
from .visitors import VisitorCache

if TYPE_CHECKING:
    from convert_sdk.observation import Observation
    from convert_sdk.project import Project

    from .observer import Observer
    from .queue import EventQueue

_MOST_MISMATCHES = 1_000
_MOST_EVENTS = 2
"""The events of one conversion, at the most."""
_LOCKS = 64
"""Locks that the visitors of a process share."""
_BUCKETED = Reason.BUCKETED
_ACCEPTED = ConversionReason.ACCEPTED
_CLOSED = ConversionReason.CLOSED
_QUEUE_FULL = ConversionReason.QUEUE_FULL
_new_event = partial(tuple.__new__, Event)
"""80 ns, of which an exposure has one; the call of a NamedTuple takes 250."""
_new_result = partial(tuple.__new__, ConversionResult)
"""As above, for an accepted conversion."""


class Engine:
    """One client's project, visitors and queue, as the verbs of a visitor use them.

    Args:
        visitors: The states of the visitors.
        queue: The queue for events; None if nothing is tracked.
        environment: The environment of all visitors; None for the default one of the document.
        claiming: Several processes share the store, and a conversion counts in one of them.
        naming: Exposures need ids, as a spool or an observer asks for them; an id costs a tenth of an exposure.
        observer: The way to the application's `observe` callback.
        overrides: Overrides that several engines share; None for its own.
        secrets: The secrets that sign tokens, the newest first.
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
        overrides: Overrides | None = None,
        secrets: Sequence[str | bytes] = (),
    ) -> None:
        self.visitors = visitors
        self.states = visitors.states
        self.queue = queue
        self.project: Project | None = None
        self.serving: tuple[Project | None, str | None] = (None, environment)
        """The project and the environment of the visitors that are made now."""
        self._environment = environment
        self.previews: dict[str, Experience] = {}
        """Experiences that are not live, by id, as `load_preview` found them."""
        self.pending: PendingConversions
        """Conversions from before the first document."""
        self.observer = observer
        self.wall_clock: Clock = wall_time
        """The clock of observations, and of a project's time."""
        self.overridden: Overrides | None = None
        """The overrides, while any are in force: all that a decision looks at."""
        self.overrides = overrides or Overrides()
        self.overrides.attach(self._set_overridden)
        self.notices: deque[Notice] = deque(maxlen=_MOST_MISMATCHES)
        """Lines for the log."""
        self.on_notice: Callable[[], None] = lambda: None
        """Called when there is one."""
        self._mismatches: set[Mismatch] = set()
        self.after_offer: Callable[[], None] | None = None
        """Called after events were offered, where the queue is emptied or written at once."""
        self.secrets: Callable[[], Sequence[str | bytes]] = lambda: secrets
        """Gives what signs tokens, the newest first. A web framework's own stand here where the client has none."""
        self._claiming = claiming
        self._naming = naming
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """Start with locks that nobody holds, ids that no other process has, and nothing of the parent's."""
        self.reset_locks()
        self.pending = PendingConversions()
        self.bots = 0
        """Requests of bots that asked for a decision."""
        self.mismatched = 0
        """Variables that were read with a default of another type, each time."""
        self._prefix = urandom(10).hex()
        self._numbers = count(1)
        self.held: HeldVisitors | None = None
        """Events that wait for consent; None until there are some."""
        self.visitors.reset_after_fork()
        if self.observer is not None:
            self.observer.reset_after_fork()

    def reset_locks(self) -> None:
        """Make new locks of the kind that `threading` has at this moment; for a time at which nobody holds one."""
        self.overrides.reset_locks()
        self.lock = threading.RLock()
        shared = self.visitors.pending is not None
        self._visitor_locks = [self.lock if shared else threading.RLock() for _ in range(_LOCKS)]

    def _set_overridden(self, overrides: Overrides | None) -> None:
        self.overridden = overrides

    # The project.

    def install(self, project: Project) -> None:
        """Serve this project to the visitors made from now on, and count the conversions that waited for it."""
        environment = self._environment
        self.serving = project, project.default_environment if environment is None else environment
        self.project = project
        project.mismatches.listen(self.note_mismatch)
        self.resolve_waiting()

    def resolve_waiting(self) -> None:
        """Count conversions in memory that waited for a document; with a spool, as many as the queue has room for."""
        pending = self.pending
        while True:
            with self.lock:
                full = self.queue is not None and self.queue.room < _MOST_EVENTS
                waits = full and pending.unwritten > 0
                conversion = None if waits else pending.take_first()
            if conversion is None:
                return
            try:
                self._resolve(conversion)
            finally:
                with self.lock:
                    pending.in_hand -= 1

    def resolve_stored(self, stored: StoredConversion) -> None:
        """Count a conversion that waited on disk for a document."""
        self.set_segments(stored.conversion.facts, stored.segments)
        self._resolve(stored.conversion)

    def _resolve(self, conversion: PendingConversion) -> None:
        result = self.convert(
            conversion.facts,
            None,
            conversion.goal,
            conversion.request,
            uuid=conversion.uuid,
        )
        if result.reason is not _ACCEPTED:
            self.pending.cancelled.append(conversion.uuid)

    def experience_of(self, experience_id: str, project: Project | None) -> Experience | None:
        """An experience by id, from the project or from a preview that was loaded."""
        experience = project.experiences.of_id(experience_id) if project is not None else None
        return experience or self.previews.get(experience_id)

    def note_bot(self) -> None:
        """Count a request of a bot."""
        with self.lock:
            self.bots += 1

    def note_mismatch(self, mismatch: Mismatch) -> None:
        """Count a variable that was read with a default of another type, and have it logged the first time."""
        with self.lock:
            self.mismatched += 1
            if mismatch in self._mismatches or len(self._mismatches) >= _MOST_MISMATCHES:
                return
            self._mismatches.add(mismatch)
        self.notices.append(Notice("warning", str(mismatch)))
        self.on_notice()

    # The store.

    def store_key(self, visitor_id: str) -> str:
        """The visitor's key in a store; there is a project by then."""
        project = self.project
        return visitor_id if project is None else store_key(project.account_id, project.id, visitor_id)

    def claim_restored(self, events: Iterable[Event]) -> set[str]:
        """Claim events that came back from disk, under their former names; returns the ids of those that lost."""
        lost: set[str] = set()
        with self.lock:
            for event in events:
                if event.claim is None or self.visitors.pending is None:
                    continue
                uuid = conversion_of(event.uuid)
                state = self.states.get(event.visitor_id)
                current = state.goals.get(event.claim, uuid) if state is not None else uuid
                claims = self.visitors.changes_of(event.visitor_id).goals
                if current != uuid or claims.setdefault(event.claim, uuid) != uuid:
                    lost.add(event.uuid)
        return lost

    # A visitor who is forgotten.

    def forget(self, visitor_id: str) -> int:
        """Forget what is remembered of a visitor, and what waits for consent or a document; the events of these."""
        self.forget_stored(
            visitor_id, round(self.wall_clock() * 1000) if self.visitors.pending is None else 0
        )
        with self.lock:
            gone = self.pending.forget(visitor_id)
        if gone and self.queue is not None:
            self.queue.stats.refuse(gone, monotonic(), DropReason.FORGOTTEN)
        held = None if self.held is None else self.held.take(visitor_id, monotonic())
        return gone + (0 if held is None else held.drop())

    def forget_stored(self, visitor_id: str, at: int) -> None:
        """Forget what is remembered of a visitor whom the store has forgotten at this time; 0 before it has."""
        with self._lock_of(visitor_id):
            self.visitors.forget(visitor_id, at)

    # Consent.

    def hold(self, visitor_id: str, *, stable: bool) -> HeldEvents:
        """The events of a visitor that wait for consent: in this process where the id is stable, else by themselves."""
        drop = partial(self._drop_held, self._prefix)
        if not stable:
            return HeldEvents(drop)
        with self.lock:
            held = self.held = self.held or HeldVisitors(drop)
        return held.of(visitor_id, monotonic())

    def expire_held(self) -> None:
        """Give up what has waited for consent for too long."""
        if self.held is not None:
            self.held.expire(monotonic())

    def drop_all_held(self) -> None:
        """Give up what waits in this process for consent, as it ends."""
        if self.held is not None:
            self.held.clear()

    def _drop_held(self, prefix: str, events: int) -> None:
        """Count events that nobody agreed to; not in a forked child, for they are the parent's."""
        if prefix == self._prefix and self.queue is not None:
            self.queue.stats.refuse(events, monotonic(), DropReason.CONSENT)

    # Observations.

    def observe(self, observation: Observation) -> None:
        """Pass an observation on, if somebody listens."""
        if self.observer is not None:
            self.observer.add(observation)

    # The verbs.

    def remember_attributes(self, facts: Facts) -> None:
        """Remember the attributes that are reported, once for each visitor object."""
        if facts._state is UNSEEN:
            facts._state = self.states.get(facts.id, UNSEEN)
        if not facts._attributes_remembered:
            if known_segments(facts.attributes):
                with self._lock_of(facts.id):
                    self.visitors.get_for_update(facts)
            facts._attributes_remembered = True

    def segments_of(self, facts: Facts) -> Mapping[str, object]:
        """The remembered segments of a visitor, with the attributes that are reported."""
        self.remember_attributes(facts)
        return facts._state.segments

    def remember(self, facts: Facts, decisions: Sequence[Decision]) -> None:
        """Remember the decisions that are new, and offer their exposures; of two threads the first one does."""
        visitors, observer = self.visitors, self.observer
        state = None
        if facts._state is UNSEEN and visitors.pending is None:
            state = visitors.create(facts, decisions)
        if state is None:
            with self._lock_of(facts.id):
                state = visitors.get_for_update(facts)
                decisions = [each for each in decisions if self._is_new(facts.id, state, each)]
        if not decisions or self.queue is None:
            return
        # Not `facts._state`, which another thread may have replaced.
        visitor_id, segments = facts.id, state.segments
        reported = None if segments is NOTHING else segments or None
        prefix, numbers, naming = self._prefix, self._numbers, self._naming
        exposures = []
        for _, _, _, variation, _ in decisions:
            if variation is not None:
                uuid = f"{prefix}-{next(numbers)}" if naming else ""
                exposures.append(_new_event((uuid, visitor_id, variation.exposure, reported, None, False)))
        if observer is not None:
            observer.add_exposures(exposures, decisions)
        self._offer_exposures(exposures, self.queue)

    def _is_new(self, visitor_id: str, state: VisitorState, decision: Decision) -> bool:
        """Remember a decision, unless there is one that counts already."""
        _, reason, experience, variation, _ = decision
        if experience is None or variation is None:
            return False
        kept, key, chosen = state.bucketing, experience.id, variation.id
        before = kept.get(key)
        if before is not None and (
            before == chosen or (reason is _BUCKETED and before in experience.variations)
        ):
            return False
        # Look and change in one line that calls nothing: no signal handler can come between the two.
        kept[key] = chosen if (mine := (kept[key] if key in kept else None) is before) else kept[key]  # noqa: SIM401
        if not mine:  # it has decided before
            return self._is_new(visitor_id, state, decision)
        if self.visitors.pending is not None:
            self.visitors.note_decision(visitor_id, key, chosen, before)
        return True

    def _offer_exposures(self, exposures: list[Event], queue: EventQueue) -> None:
        """Offer exposures: all of them, or the first ones that fit."""
        if len(exposures) == 1 or len(exposures) <= queue.room:
            queue.offer(exposures, monotonic())
        else:
            for exposure in exposures:
                queue.offer((exposure,), monotonic())
        after_offer = self.after_offer
        if after_offer is not None:
            after_offer()

    def relocate(self, facts: Facts, experience: Experience) -> None:
        """Remember the locations of an experience that the visitor is in."""
        with self._lock_of(facts.id):
            locations = updated_locations(experience, facts)
            if locations is None:
                return
            self.visitors.get_for_update(facts).locations = locations
            if self.visitors.pending is not None:
                self.visitors.changes_of(facts.id).locations = locations

    def take_up(self, visitor_id: str, brought: VisitorState) -> None:
        """Remember what a token says of a visitor; nothing is reported, as another process did that."""
        with self._lock_of(visitor_id):
            self.visitors.merge_brought(visitor_id, brought)

    def set_segments(self, facts: Facts, segments: Mapping[str, object]) -> None:
        """Remember segments over the present ones."""
        with self._lock_of(facts.id):
            self.visitors.set_segments(facts, self.visitors.get_for_update(facts), kept_segments(segments))

    def convert(
        self,
        facts: Facts,
        project: Project | None,
        goal: str | int,
        request: ConversionRequest,
        *,
        tracking: bool = True,
        uuid: str | None = None,
    ) -> ConversionResult:
        """Count a conversion: once for each goal of a visitor, unless the request says otherwise.

        Args:
            facts: The visitor.
            project: The visitor's project; None for the present one, or the first one that arrives.
            goal: The goal's key (text) or id (a number).
            request: The data and wishes of the application.
            tracking: False to say what would come of it, and to leave no trace.
            uuid: The name of the conversion, if it has one already.
        """
        # A name is unique among the processes that share a store, also when two are restored from one snapshot.
        name = uuid or (urandom(16).hex() if self._claiming else f"{self._prefix}-{next(self._numbers)}")
        result = self._convert(facts, project or self.project, goal, request, tracking, name)
        after_offer = self.after_offer
        if after_offer is not None:
            after_offer()
        if self.observer is not None:
            self._observe_conversion(facts, goal, result)
        return result

    def convert_not(
        self,
        facts: Facts,
        project: Project | None,
        goal: str | int,
        request: ConversionRequest,
        reason: ConversionReason,
    ) -> ConversionResult:
        """The result of a conversion that is not counted, for this reason or for an earlier one; it leaves no trace."""
        result = self._convert(facts, project or self.project, goal, request, False, "")
        if result.reason is ConversionReason.TRACKING_OFF:
            result = ConversionResult(reason)
        if self.observer is not None:
            self._observe_conversion(facts, goal, result)
        return result

    def _observe_conversion(self, facts: Facts, goal: str | int, result: ConversionResult) -> None:
        from convert_sdk.observation import Converted

        self.observe(Converted(result.uuid, facts.id, goal, result.reason))

    def _convert(
        self,
        facts: Facts,
        project: Project | None,
        key: str | int,
        request: ConversionRequest,
        tracking: bool,
        uuid: str,
    ) -> ConversionResult:
        if project is None:
            if not tracking:
                return ConversionResult(ConversionReason.TRACKING_OFF)
            kept = self._keep_pending(PendingConversion(uuid, facts, key, request))
            if isinstance(kept, ConversionResult):
                return self._refused(facts, kept, tracking=tracking)
            project = kept
        goals = project.goals
        if isinstance(key, str):
            goal = goals.found.get(key) or goals.get(key)
        else:
            goal = goals.of_id(str(key))
        if goal is None or not goal.id:
            return self._refused(facts, ConversionResult(ConversionReason.UNKNOWN_GOAL), tracking=tracking)
        refused = refusal(goal, request.rule_data) if request.rule_data is not None else None
        if refused is not None:
            return self._refused(facts, ConversionResult(refused), tracking=tracking)
        if not tracking:
            counted = goal.key in self.states.get(facts.id, UNSEEN).goals and not request.allow_repeat
            return ConversionResult(ConversionReason.DUPLICATE if counted else ConversionReason.TRACKING_OFF)
        with self._lock_of(facts.id):
            return self._count(facts, project, goal, request, uuid)

    def mark_goal(self, facts: Facts, project: Project | None, key: str | int) -> None:
        """Remember that a goal was reported for a visitor before, where the state does not know; nothing is sent."""
        goals = None if project is None else project.goals
        goal = None if goals is None else goals.get(key) if isinstance(key, str) else goals.of_id(str(key))
        if goal is not None:
            with self._lock_of(facts.id):
                state = self.visitors.get_for_update(facts)
                if goal.key not in state.goals:
                    state.goals = {**state.goals, goal.key: ""}

    def _refused(self, facts: Facts, result: ConversionResult, *, tracking: bool) -> ConversionResult:
        if tracking:
            self.remember_attributes(facts)
        return result

    def _keep_pending(self, conversion: PendingConversion) -> ConversionResult | Project:
        """Keep a conversion for the first document; the project, if that has come meanwhile."""
        queue, request = self.queue, conversion.request
        # The application's own until now, and it may go on to change them.
        conversion = conversion._replace(request=request._replace(rule_data=tree(request.rule_data)))
        with self.lock:
            if self.project is not None:
                return self.project
            closed = queue is not None and queue.closed
            if not closed and self.pending.add(conversion):
                self.visitors.notify()
                return ConversionResult(ConversionReason.PENDING, conversion.uuid)
        if queue is not None:
            queue.stats.refuse(1, monotonic(), DropReason.CLOSED if closed else DropReason.FULL)
        return ConversionResult(_CLOSED if closed else _QUEUE_FULL)

    def _count(
        self, facts: Facts, project: Project, goal: Goal, request: ConversionRequest, uuid: str
    ) -> ConversionResult:
        state = self.visitors.get_for_update(facts)
        first = goal.key not in state.goals
        if (
            first
        ):  # at once: for a signal handler it is a duplicate from here on, unless the handler was quicker
            state.goals = {goal.key: uuid, **state.goals}
            first = state.goals[goal.key] is uuid
        if not first and not request.allow_repeat:
            return ConversionResult(ConversionReason.DUPLICATE)
        attributed_to = request.attributed_to
        bucketing = state.bucketing if attributed_to is None else attributed_to
        if request.overridden is not None and attributed_to is None:
            bucketing = without_overridden(bucketing, project, request.overridden)
        wires = conversion_wires(goal.id, bucketing, request.data, first=first)
        if not wires:
            return ConversionResult(ConversionReason.NOTHING_TO_SEND)
        queue = self.queue
        if queue is not None:
            claim = goal.key if first and self._claiming else None
            reported = _reported_segments(state)
            attributed = attributed_to is not None
            events = [
                _new_event((name, facts.id, wire, reported, claim, attributed))
                for name, wire in zip(
                    event_ids(uuid), wires, strict=False
                )  # one, or one bare and one with the data
            ]
            if not queue.offer(events, monotonic()):
                if first:
                    _unmark(state, goal.key, uuid)
                return ConversionResult(_CLOSED if queue.closed else _QUEUE_FULL)
        if first and self.visitors.pending is not None:
            self.visitors.changes_of(facts.id).goals[goal.key] = uuid
        if queue is None:
            return ConversionResult(ConversionReason.TRACKING_OFF, uuid)
        return _new_result((_ACCEPTED, uuid, len(wires)))

    @property
    def busy(self) -> bool:
        """True for a signal's handler that has interrupted this thread in the middle of a change."""
        return held_by_this_thread(self.lock) or any(map(held_by_this_thread, self._visitor_locks))

    def _lock_of(self, visitor_id: str) -> threading.RLock:
        return self._visitor_locks[hash(visitor_id) % _LOCKS]


def _unmark(state: VisitorState, goal_key: str, uuid: str) -> None:
    """Take back the mark of a conversion; a signal handler may mark other goals between any two lines."""
    while state.goals.get(goal_key) is uuid:
        before = state.goals
        after = {key: claim for key, claim in before.items() if key != goal_key}
        state.goals = after if state.goals is before else state.goals  # one line: nobody comes in between


def _reported_segments(state: VisitorState) -> Mapping[str, object] | None:
    """The segments that are sent with a conversion: the very object of the state where possible."""
    segments = state.segments
    if segments is NOTHING:
        return None
    known = known_segments(segments)
    return segments if known and len(known) == len(segments) else known or None


def event_ids(uuid: str) -> tuple[str, str]:
    """The ids of the events of one conversion, of which there are one or two."""
    return f"{uuid}.0", f"{uuid}.1"


def conversion_of(event_id: str) -> str:
    """The name of the conversion that an event is part of.

    >>> conversion_of(event_ids("5f1c-7")[1])
    '5f1c-7'
    """
    return event_id.rpartition(".")[0]


class ClaimResults(NamedTuple):
    """The ids of the events whose conversions won their claims, and of those that lost them."""

    won: set[str]
    lost: set[str]


def claim_results(claims: Mapping[str, str], winners: Winners) -> ClaimResults:
    """The outcome of the claims of one save: goal keys with names of conversions, held against what the store has."""
    results = ClaimResults(set(), set())
    for goal_key, uuid in claims.items():
        names = results.won if winners.goals.get(goal_key) == uuid else results.lost
        names.update(event_ids(uuid))
    return results
