"""What is remembered of the visitors of one process, and what a store has yet to hear of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from convert_sdk._core.facts import UNSEEN, Facts
from convert_sdk._core.state import NOTHING, Changes, VisitorState, Winners


class Unsaved:
    """What changed of one visitor since the last save."""

    __slots__ = ("bucketing", "goals", "locations", "overruled", "segments")

    def __init__(self) -> None:
        self.bucketing: dict[str, str] = {}
        self.overruled: dict[str, str] = {}
        self.goals: dict[str, str] = {}
        self.segments: Mapping[str, object] = NOTHING
        self.locations: tuple[str, ...] | None = None


class Memory:
    """Visitor states, the oldest forgotten first; one that a store has not heard of stays.

    Whoever writes holds the engine's lock. `unsaved` is None where there is no store. With a store that
    is down for so long that twice the bound waits, the oldest goes after all, and is counted in `lost`.
    """

    __slots__ = ("bound", "failed_loads", "lost", "states", "stir", "unsaved")

    def __init__(self, bound: int, *, stored: bool, stir: Callable[[], None] = lambda: None) -> None:
        self.bound = bound
        self.lost = self.failed_loads = 0
        self.stir = stir
        """Called when there is something to save where there was nothing."""
        self.states: dict[str, VisitorState] = {}
        self.unsaved: dict[str, Unsaved] | None = {} if stored else None

    def start_anew(self) -> None:
        """In a forked process: the parent saves what it has not saved."""
        if self.unsaved is not None:
            self.unsaved = {}

    def writable(self, facts: Facts) -> VisitorState:
        """The one state of this visitor id, made on the first write; one that was forgotten comes back."""
        state = self.states.get(facts.id)
        if state is None:
            state = VisitorState() if facts.state is UNSEEN else facts.state
            self.states[facts.id] = state
            if len(self.states) > self.bound:
                self._forget_oldest(facts.id)
        facts.state = state
        return state

    def put(self, visitor_id: str, loaded: VisitorState) -> None:
        """Take in what a store holds; what this process has yet to save wins over it."""
        state = self.states.setdefault(visitor_id, loaded)
        if state is loaded:
            if len(self.states) > self.bound:
                self._forget_oldest(visitor_id)
            return
        own = self.unsaved.get(visitor_id) if self.unsaved else None
        state.bucketing.update(loaded.bucketing)
        state.goals = {**state.goals, **loaded.goals}
        state.segments = {**state.segments, **loaded.segments}
        if own is None or own.locations is None:
            state.locations = loaded.locations
        if own is not None:
            state.bucketing.update(own.bucketing)
            state.segments = {**state.segments, **own.segments}

    def changed(self, visitor_id: str) -> Unsaved | None:
        """Where to note a change; None without a store."""
        if self.unsaved is None:
            return None
        if not self.unsaved:
            self.stir()
        return self.unsaved.get(visitor_id) or self.unsaved.setdefault(visitor_id, Unsaved())

    def take_unsaved(self, most: int) -> dict[str, Unsaved]:
        """Take out what the store has yet to hear of, the oldest first."""
        if not self.unsaved:
            return {}
        taken: dict[str, Unsaved] = {}
        for visitor_id in list(self.unsaved)[:most]:
            taken[visitor_id] = self.unsaved.pop(visitor_id)
        return taken

    def give_back(self, visitor_id: str, older: Unsaved) -> None:
        """A save failed: what changed since then wins over what it would have saved."""
        own = self.changed(visitor_id)
        if own is None:
            return
        own.bucketing = {**older.bucketing, **own.bucketing}
        own.overruled = {**own.overruled, **older.overruled}
        own.goals = {**own.goals, **older.goals}
        own.segments = {**older.segments, **own.segments}
        if own.locations is None:
            own.locations = older.locations

    def adopt(self, visitor_id: str, winners: Winners) -> None:
        """What the store holds is what counts, unless this process has decided anew since."""
        state = self.states.get(visitor_id)
        if state is None:
            return
        own = self.unsaved.get(visitor_id) if self.unsaved else None
        for experience_id, variation_id in winners.bucketing.items():
            if own is None or experience_id not in own.bucketing:
                state.bucketing[experience_id] = variation_id
        state.goals.update(winners.goals)

    def _forget_oldest(self, newest: str) -> None:
        oldest = next(iter(self.states))
        state = self.states.pop(oldest)
        if oldest == newest or (
            self.unsaved and oldest in self.unsaved and len(self.states) < 2 * self.bound
        ):
            self.states[oldest] = state
        elif self.unsaved and self.unsaved.pop(oldest, None):
            self.lost += 1


def changes(key: str, unsaved: Unsaved) -> Changes:
    """One visitor's changes as a store takes them."""
    return Changes(
        key, unsaved.bucketing, unsaved.goals, unsaved.segments, unsaved.locations, unsaved.overruled
    )
