"""Objects whose constructor has not ended, or has failed: error trackers and debuggers print them too."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

T = TypeVar("T")


def shown_half_made(cls: type[T]) -> type[T]:
    """Let the `repr` and `str` of a class raise nothing for an object that lacks attributes.

    >>> @shown_half_made
    ... class Point:
    ...     def __repr__(self) -> str:
    ...         return f"Point({self.x})"
    >>> Point.__new__(Point)
    <Point, half made>
    """
    for name in ("__repr__", "__str__"):
        if name in vars(cls):
            setattr(cls, name, _shown(vars(cls)[name]))
    return cls


def _shown(show: Callable[[object], str]) -> Callable[[object], str]:
    @wraps(show)
    def shown(self: object) -> str:
        try:
            return show(self)
        except AttributeError:
            return f"<{type(self).__name__}, half made>"

    return shown
