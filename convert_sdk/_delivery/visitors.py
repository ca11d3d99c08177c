"""The states of the visitors of one process, and their changes that a store has not saved yet.

Theory of operation
-------------------
A state is made by the first verb that remembers something of a visitor. In most processes there is no store, and the
first verb is `decide`: `create` builds the state with the decisions in it, whole, and publishes it by one
`dict.setdefault`, without a lock. If two threads meet, one of them wins; the other gets None and takes the long way,
as every later change does: `get_for_update`, under the lock that the visitor's id is assigned to (`Engine`).

Readers take no lock at all. That is safe because a dict of a state is either replaced (`goals`, `segments`) or only
gets more entries (`bucketing`), and because no state is published before it is whole.

*Forgetting.* A state that is forgotten is also emptied: a visitor object may hold it still. `forgotten` has the time
that the store gave to each such visitor; changes from then on carry it, and those from before are kept by nobody.

With a store, all visitors share one lock, as `pending`, the changes to save, is one dict for all. A state with
pending changes stays in the cache, up to twice its bound; then the oldest goes after all and counts as `lost`.
While changes are being saved they are `in_hand`. A load may be answered before the store has them, so both lie over
what it gives: nobody loses sight of what this process has just written.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Container, Iterable, Mapping

from convert_sdk._core.decision import Decision
from convert_sdk._core.events import known_segments
from convert_sdk._core.facts import UNSEEN, Facts, deep_merge
from convert_sdk._core.state import (
    NO_GOALS,
    NOTHING,
    Changes,
    ForgottenState,
    VisitorState,
    Winners,
    kept_segments,
    new_visitor_state,
)

_MOST_SHARED = 1_000
_MOST_FORGOTTEN = 10_000
"""Visitors of whom it is known that they were forgotten; a store tells of them again."""


class PendingChanges:
    """The changes of one visitor since the last save."""

    __slots__ = ("bucketing", "goals", "locations", "overruled", "segments")

    def __init__(self) -> None:
        self.bucketing: dict[str, str] = {}
        self.overruled: dict[str, str] = {}
        self.goals: dict[str, str] = {}
        self.segments: Mapping[str, object] = NOTHING
        self.locations: tuple[str, ...] | None = None


class VisitorCache:
    """Visitor states by visitor id; the oldest is forgotten first, but not while a store has not saved it.

    Every method but `create` is called under the visitor's lock. `pending` is None where there is no store.
    """

    __slots__ = (
        "_segments",
        "bound",
        "failed_loads",
        "forgotten",
        "in_hand",
        "lost",
        "notify",
        "pending",
        "states",
    )

    def __init__(self, bound: int, *, stored: bool, notify: Callable[[], None] = lambda: None) -> None:
        self.bound = bound
        self.lost = self.failed_loads = 0
        self.notify = notify
        """Called when there is something to save where there was nothing."""
        self.states: OrderedDict[str, VisitorState] = OrderedDict()
        self.pending: dict[str, PendingChanges] | None = {} if stored else None
        self.in_hand: list[dict[str, PendingChanges]] = []
        """The changes that were taken and are not saved yet: a dict for each `take_pending`, the oldest first."""
        self.forgotten: OrderedDict[str, int] = OrderedDict()
        """The times at which visitors were forgotten, as the store gave them; 0 until it has."""
        self._segments: dict[tuple[tuple[str, object], ...], Mapping[str, object]] = {}

    def reset_after_fork(self) -> None:
        """Forget the changes that are not saved: the parent process saves them."""
        self.in_hand = []
        if self.pending is not None:
            self.pending = {}

    def create(self, facts: Facts, decisions: Iterable[Decision]) -> VisitorState | None:
        """Remember a new visitor's first decisions, without a lock; None where another thread was quicker."""
        segments = NOTHING if facts._attributes_remembered else self._shared(known_segments(facts.attributes))
        bucketing: dict[str, str] = {}
        for _, _, experience, variation, _ in decisions:
            if experience is not None and variation is not None:
                bucketing[experience.id] = variation.id
        state = new_visitor_state(bucketing, segments)
        if self.states.setdefault(facts.id, state) is not state:
            return None
        facts._state = state
        facts._attributes_remembered = True
        if segments and facts._merged_from is NOTHING:  # the attributes are what was merged, and stay so
            facts._merged_from = segments
        if len(self.states) > self.bound:
            self.states.popitem(False)
        return state

    def get_for_update(self, facts: Facts) -> VisitorState:
        """The one state of this visitor id, made if there is none; a forgotten one comes back.

        The attributes that are reported are part of it from then on.
        """
        state = self.states.get(facts.id)
        if state is None:
            is_new = facts._state is UNSEEN or facts.id in self.forgotten
            mine = new_visitor_state({}, NOTHING) if is_new else facts._state
            state = self.states.setdefault(facts.id, mine)  # `create` may have been quicker
            if len(self.states) > self.bound:
                self._forget_oldest(facts.id)
        facts._state = state
        if not facts._attributes_remembered:
            facts._attributes_remembered = True
            segments = self._shared(known_segments(facts.attributes))
            if segments and not state.segments and self.pending is None:
                state.segments = segments
                if facts._merged_from is NOTHING:  # the attributes are what was merged, and stay so
                    facts._merged_from = segments
            elif segments and segments is not state.segments:
                self.set_segments(facts, state, segments)
        return state

    def set_segments(self, facts: Facts, state: VisitorState, segments: Mapping[str, object]) -> None:
        """Remember segments over the present ones."""
        # By value: what the application sends at every request is kept once.
        after = deep_merge(state.segments, segments, by_value=True)
        if self.pending is not None:
            changed = self.changes_of(facts.id)
            changed.segments = {**changed.segments, **{key: after[key] for key in segments}}
        state.segments = after

    def _shared(self, segments: dict[str, object]) -> Mapping[str, object]:
        """The one object for all visitors with the same segments: it is kept, written and checked once."""
        if not segments:
            return NOTHING
        try:
            known = self._segments.get(tuple(segments.items()))
        except Exception:  # noqa: BLE001  # a list of custom segments, or whatever the application has
            return kept_segments(segments)
        return self._share(segments) if known is None else known

    def _share(self, segments: dict[str, object]) -> Mapping[str, object]:
        if all(type(part) is str for item in segments.items() for part in item):  # 1 and True are equal
            if len(self._segments) >= _MOST_SHARED:
                self._segments.clear()
            self._segments[tuple(segments.items())] = segments
            return segments
        return kept_segments(segments)

    def merge_loaded(self, visitor_id: str, loaded: VisitorState) -> None:
        """Merge a state from the store; unsaved changes of this process win, unless the visitor was forgotten since."""
        if isinstance(loaded, ForgottenState):
            if loaded.at > self.forgotten.get(visitor_id, 0):
                self.forget(visitor_id, loaded.at)
            loaded = VisitorState(loaded.bucketing, loaded.goals, loaded.segments, loaded.locations)
        for changes in (*self.in_hand, self.pending or {}):
            unsaved = changes.get(visitor_id)
            if unsaved is not None:
                loaded.bucketing.update(unsaved.bucketing)
                loaded.goals = {**unsaved.goals, **loaded.goals}
                loaded.segments = {**loaded.segments, **unsaved.segments}
                if unsaved.locations is not None:
                    loaded.locations = unsaved.locations
        state = self.states.setdefault(visitor_id, loaded)
        if state is loaded:
            if len(self.states) > self.bound:
                self._forget_oldest(visitor_id)
            return
        state.bucketing.update(loaded.bucketing)
        state.goals = {**state.goals, **loaded.goals}
        state.segments = {**state.segments, **loaded.segments}
        state.locations = loaded.locations

    def merge_brought(self, visitor_id: str, brought: VisitorState) -> None:
        """Merge a state that a token brought: its decisions and segments win, and a goal counts in neither again."""
        state = self.states.setdefault(visitor_id, brought)
        if state is brought:
            if len(self.states) > self.bound:
                self._forget_oldest(visitor_id)
            if self.pending is None:
                return
        for experience_id, variation_id in brought.bucketing.items():
            before = None if state is brought else state.bucketing.get(experience_id)
            if before != variation_id:
                state.bucketing[experience_id] = variation_id
                if self.pending is not None:
                    self.note_decision(visitor_id, experience_id, variation_id, before)
        state.goals = {**brought.goals, **state.goals}
        state.segments = {**state.segments, **brought.segments}

    def changes_of(self, visitor_id: str) -> PendingChanges:
        """The pending changes of a visitor, to be added to."""
        pending = self.pending if self.pending is not None else {}
        if not pending:
            self.notify()
        return pending.get(visitor_id) or pending.setdefault(visitor_id, PendingChanges())

    def note_decision(
        self, visitor_id: str, experience_id: str, variation_id: str, before: str | None
    ) -> None:
        """Note a decision for the store; `before` is the stored one that no longer counts."""
        changed = self.changes_of(visitor_id)
        if before is not None and experience_id not in changed.bucketing:
            changed.overruled[experience_id] = before
        changed.bucketing[experience_id] = variation_id

    def forget(self, visitor_id: str, at: int = 0) -> None:
        """Forget a visitor, and what is not saved; `at` is the time that the store has given to it."""
        state = self.states.pop(visitor_id, None)
        if state is not None:
            state.bucketing, state.goals = {}, NO_GOALS
            state.segments, state.locations = NOTHING, ()
        for changes in (*self.in_hand, self.pending or {}):
            changes.pop(visitor_id, None)
        self.note_forgotten(visitor_id, at)

    def note_forgotten(self, visitor_id: str, at: int) -> None:
        """Have the changes from now on carry the time at which the visitor was forgotten."""
        self.forgotten[visitor_id] = max(at, self.forgotten.pop(visitor_id, 0))
        if len(self.forgotten) > _MOST_FORGOTTEN:
            self.forgotten.popitem(last=False)

    def is_outdated(self, visitor_id: str, issued: float) -> bool:
        """True for a token of that time, in seconds since 1970, if its visitor was forgotten since."""
        at = self.forgotten.get(visitor_id)
        return at is not None and (at == 0 or issued * 1000 <= at)

    def take_pending(self, most: int | None = None) -> dict[str, PendingChanges]:
        """Take the pending changes of so many visitors in hand, or of all, the oldest first.

        Whoever takes them removes those that are saved or given up, and puts the others back in the end.
        """
        if not self.pending:
            return {}
        taken: dict[str, PendingChanges] = {}
        for visitor_id in list(self.pending)[:most]:
            pending = self.pending.pop(visitor_id, None)
            if pending is not None:
                taken[visitor_id] = pending
        self.in_hand.append(taken)
        return taken

    def put_back(self, taken: dict[str, PendingChanges], last: Container[str]) -> None:
        """Put back what is left of the changes that were taken, those of some visitors behind the others."""
        self.in_hand = [each for each in self.in_hand if each is not taken]
        for visitor_id in sorted(taken, key=last.__contains__):
            self.restore_pending(visitor_id, taken[visitor_id])

    def restore_pending(self, visitor_id: str, older: PendingChanges) -> None:
        """Put changes back whose save failed; newer ones win."""
        waiting = self.changes_of(visitor_id)
        waiting.bucketing = {**older.bucketing, **waiting.bucketing}
        waiting.overruled = {**waiting.overruled, **older.overruled}
        waiting.goals = {**waiting.goals, **older.goals}
        waiting.segments = {**older.segments, **waiting.segments}
        if waiting.locations is None:
            waiting.locations = older.locations

    def apply_winners(self, visitor_id: str, winners: Winners) -> None:
        """Take over what the store holds, unless this process has decided again since."""
        state = self.states.get(visitor_id)
        if state is None:
            return
        waiting = self.pending.get(visitor_id) if self.pending else None
        for experience_id, variation_id in winners.bucketing.items():
            if waiting is None or experience_id not in waiting.bucketing:
                state.bucketing[experience_id] = variation_id
        if winners.goals:
            state.goals = {**state.goals, **winners.goals}

    def _forget_oldest(self, newest: str) -> None:
        oldest, state = self.states.popitem(last=False)
        if oldest == newest or (
            self.pending and oldest in self.pending and len(self.states) < 2 * self.bound
        ):
            self.states[oldest] = state
        elif self.pending and self.pending.pop(oldest, None):
            self.lost += 1


def to_changes(key: str, pending: PendingChanges, forgotten: int = 0) -> Changes:
    """The changes of one visitor as a store takes them, with the time at which the visitor was forgotten."""
    return Changes(
        key,
        pending.bucketing,
        pending.goals,
        pending.segments,
        pending.locations,
        pending.overruled,
        forgotten,
    )
