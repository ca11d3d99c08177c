"""The time that one call may spend on searches without a bound, and what is known of searches already.

A search whose cost has a bound is never charged and never refused; one outside of any `one_call` has only its own
time limit.
"""

from __future__ import annotations

from collections import OrderedDict
from contextvars import ContextVar, Token
from enum import StrEnum
from typing import Final

from mmh3 import mmh3_x64_128_uintdigest

LIMIT: Final = 0.050
"""Seconds of its thread that one call may spend."""
_MOST_REMEMBERED: Final = 1_000


class Outcome(StrEnum):
    """The end of a search; the last two count as "no match"."""

    FOUND = "found"
    ABSENT = "absent"
    TIMED_OUT = "the search took too long and was given up"
    NOT_SEARCHED = "not searched, as this call had spent its time for regular expressions"


GIVEN_UP: Final = frozenset({Outcome.TIMED_OUT, Outcome.NOT_SEARCHED})


class Searches:
    """The searches of one call. `last` is the last one's outcome."""

    __slots__ = ("last", "outcomes", "spent")

    def __init__(self) -> None:
        self.spent = 0.0
        self.outcomes: dict[tuple[str, str], Outcome] = {}
        self.last: Outcome | None = None

    @property
    def given_up(self) -> int:
        """The number of searches that have no answer."""
        return sum(outcome in GIVEN_UP for outcome in self.outcomes.values())


_open: ContextVar[Searches | None] = ContextVar("convert_sdk_searches", default=None)
_closed: ContextVar[Searches | None] = ContextVar("convert_sdk_last_searches", default=None)


def current() -> Searches | None:
    """The searches of the call that this code is part of."""
    return _open.get()


class one_call:  # noqa: N801  # it reads as a phrase: with one_call()
    """Count what is searched inside as one call; within another one, as a part of that.

    Args:
        resume: Go on with the call that ended last: for what follows from a decision, such as remembering locations.
    """

    __slots__ = ("_resume", "_token")

    def __init__(self, *, resume: bool = False) -> None:
        self._resume = resume
        self._token: Token[Searches | None] | None = None

    def __enter__(self) -> Searches:
        searches = _open.get()
        if searches is None:
            searches = (_closed.get() if self._resume else None) or Searches()
            self._token = _open.set(searches)
        return searches

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _closed.set(_open.get())
            _open.reset(self._token)


_timed_out: OrderedDict[tuple[str, int], None] = OrderedDict()
"""Searches that took too long, the least recently asked for first: patterns, and digests of what was searched."""


def has_timed_out(source: str, subject: str) -> bool:
    """True if this search is known to take too long."""
    key = _key(source, subject)
    try:
        _timed_out.move_to_end(key)
    except KeyError:
        return False
    return True


def remember_time_out(source: str, subject: str) -> None:
    """Remember a search that took too long; the one that nobody has asked for longest is forgotten."""
    _timed_out[_key(source, subject)] = None
    while len(_timed_out) > _MOST_REMEMBERED:
        _timed_out.popitem(last=False)


def _key(source: str, subject: str) -> tuple[str, int]:
    return source, mmh3_x64_128_uintdigest(subject.encode("utf-8", "surrogatepass"), 0)
