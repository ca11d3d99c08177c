"""The events between the queue and the wire, in the order in which they go out."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from itertools import chain, islice
from math import inf

from cachetools import FIFOCache

from convert_sdk._core.events import Event

_MOST_DECIDED = 10_000


class Backlog:
    """Parts to try again, then two lanes: attributed events travel apart. Claims are held."""

    __slots__ = ("_apart", "_decided", "_held", "_parts", "_plain", "_turn")

    def __init__(self) -> None:
        self._parts: deque[list[Event]] = deque()
        self._plain: deque[Event] = deque()
        self._apart: deque[Event] = deque()
        self._held: deque[tuple[float, Event]] = deque()
        self._turn = False
        self._decided: FIFOCache[str, bool] = FIFOCache(_MOST_DECIDED)

    def __len__(self) -> int:
        return self.sendable + len(self._held)

    @property
    def sendable(self) -> int:
        """Events that nothing holds back."""
        return len(self._plain) + len(self._apart) + sum(map(len, self._parts))

    @property
    def again(self) -> bool:
        """Whether a part waits to be tried again."""
        return bool(self._parts)

    @property
    def expiry(self) -> float:
        """When the first held event goes out unclaimed."""
        return self._held[0][0] if self._held else inf

    def admit(self, events: Iterable[Event], hold_until: float) -> list[Event]:
        """Line events up, or hold those whose claims must be decided first; gives back those that lost already."""
        lost: list[Event] = []
        for event in events:
            uuid, _, _, _, claim, attributed = event
            won = True if claim is None else self._decided.pop(uuid, None)
            if won:
                (self._apart if attributed else self._plain).append(event)
            elif won is None:
                self._held.append((hold_until, event))
            else:
                lost.append(event)
        return lost

    def put_back(self, part: list[Event]) -> None:
        """The next part to try."""
        self._parts.appendleft(part)

    def held(self) -> list[Event]:
        """The events whose claim is not decided."""
        return [event for _, event in self._held]

    def decide(self, won: Collection[str], lost: Collection[str]) -> list[Event]:
        """Line up the winners and give back the losers, by uuid; verdicts may come before their events."""
        verdicts = {**dict.fromkeys(won, True), **dict.fromkeys(lost, False)}
        losers: list[Event] = []
        undecided: deque[tuple[float, Event]] = deque()
        for until, event in self._held:
            verdict = verdicts.pop(event.uuid, None)
            if verdict is None:
                undecided.append((until, event))
            elif verdict:
                self._line_up(event)
            else:
                losers.append(event)
        self._held = undecided
        self._decided.update(verdicts)
        return losers

    def release(self, now: float = inf) -> None:
        """Line up unclaimed what was held for long enough."""
        while self._held and self._held[0][0] <= now:
            self._line_up(self._held.popleft()[1])

    def next_part(self, most: int, size: int) -> list[Event]:
        """Up to `most` events of one lane and about `size` characters; empty where none can go."""
        if self._parts:
            return self._parts.popleft()
        lane = self._apart if self._apart and (self._turn or not self._plain) else self._plain
        self._turn = lane is self._plain
        count = 0
        for _, visitor_id, wire, _, _, _ in islice(lane, most):
            count += 1
            size -= len(wire) + len(visitor_id)
            if size <= 0:
                break
        return [lane.popleft() for _ in range(count)]

    def everything(self) -> list[Event]:
        """All that wait here."""
        return [*chain.from_iterable(self._parts), *self._plain, *self._apart, *self.held()]

    def clear(self) -> list[Event]:
        """Take everything out."""
        everything = self.everything()
        for events in (self._parts, self._plain, self._apart, self._held):
            events.clear()
        return everything

    def _line_up(self, event: Event) -> None:
        (self._apart if event.attributed else self._plain).append(event)
