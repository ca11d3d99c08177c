"""Mismatches: variables of features that were read with a default of another type."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
from weakref import WeakMethod


class Mismatch(NamedTuple):
    """A variable whose default was given in its place."""

    feature: str
    variable: str
    found: str
    """The type that it has; empty where its value has no form in the declared one."""
    wanted: str
    """The type of the default."""

    def __str__(self) -> str:
        if not self.found:
            return (
                f"the variable {self.variable!r} of the feature {self.feature!r} has a value that cannot be brought to "
                "its declared type: the default is used"
            )
        return (
            f"the variable {self.variable!r} of the feature {self.feature!r} is of type {self.found} and was read with "
            f"a default of type {self.wanted}: the default is used"
        )


class Mismatches:
    """The mismatches of one project, for every client that uses it; a client that is gone hears of none.

    >>> class Log(list):
    ...     def note(self, mismatch: Mismatch) -> None:
    ...         self.append(mismatch.variable)
    >>> log, mismatches = Log(), Mismatches()
    >>> mismatches.listen(log.note)
    >>> mismatches.report(Mismatch("pricing", "discount", "float", "str"))
    >>> log
    ['discount']
    """

    __slots__ = ("_listeners",)

    def __init__(self) -> None:
        self._listeners: tuple[WeakMethod[Callable[[Mismatch], None]], ...] = ()

    def listen(self, listener: Callable[[Mismatch], None]) -> None:
        """Call this method with every mismatch, for as long as its object lives."""
        living = tuple(each for each in self._listeners if each() not in (None, listener))
        self._listeners = (*living, WeakMethod(listener))

    def report(self, mismatch: Mismatch) -> None:
        """Tell every listener."""
        for each in self._listeners:
            listener = each()
            if listener is not None:
                listener(mismatch)
