"""Captures and references of a JavaScript regex: the place of both decides if one can see the other."""

from __future__ import annotations

from typing import NamedTuple


class Lookaround(NamedTuple):
    """A look-ahead or look-behind that encloses something."""

    start: int
    backward: bool
    negative: bool


class Capture(NamedTuple):
    """A capturing group: where it stands in the pattern, and what encloses it, outermost first."""

    start: int
    end: int
    path: tuple[Lookaround, ...]


class Reference(NamedTuple):
    """A reference to `group`; `piece` is its place in what is being written."""

    piece: int
    group: int
    start: int
    path: tuple[Lookaround, ...]


def can_be_set(capture: Capture, reference: Reference) -> bool:
    """True if the group can have captured anything when the reference is reached.

    Within a look-behind the pattern runs backward; what a negative look-around captures is lost.
    """
    if capture.start < reference.start < capture.end:
        return False
    shared = [one for one, other in zip(capture.path, reference.path, strict=False) if one == other]
    if any(around.negative for around in capture.path[len(shared) :]):
        return False
    backward = bool(shared) and shared[-1].backward
    return (capture.end <= reference.start) is not backward
