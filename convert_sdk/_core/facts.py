"""The facts about one visitor that a decision looks at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Final, NamedTuple, cast

from .bucketing import BucketingId, id_bytes
from .events import REPORT_KEYS
from .layers import Layered
from .state import NOTHING, VisitorState
from .values import LISTS, MISSING, copy_mapping, plain, tree


class Anywhere(Enum):
    """The type of `ANYWHERE`.

    >>> visitor.with_context(location=ANYWHERE).peek("checkout-layout").reason.value
    'bucketed'
    """

    ANYWHERE = "anywhere"


ANYWHERE: Final = Anywhere.ANYWHERE
"""Given as a location: location rules are ignored."""

Place = Mapping[str, object] | Anywhere | None
"""The place of a visitor. None means "not known": then nothing is decided."""

UNSEEN: Final = VisitorState()
"""The state of a visitor of whom nothing is remembered; never written to."""

_REPORTED = frozenset(REPORT_KEYS)


class Facts:
    """One visitor: who, where, and what is remembered.

    `attributes` are the application's; `_call` overlays them and is never remembered. An application has these facts
    as a `Visitor`: what is not for it has an underscore, and is for the modules of this package.
    """

    __slots__ = (
        "_attributes_remembered",
        "_call",
        "_hashed",
        "_merged",
        "_merged_from",
        "_state",
        "attributes",
        "environment",
        "id",
        "location",
    )  # fmt: skip

    id: str
    attributes: Mapping[str, object]
    _call: Mapping[str, object] | None
    location: Place
    environment: str | None
    _state: VisitorState
    _hashed: bytes
    """The id as it is hashed; a `BucketingId` where that is another than the visitor's."""
    _attributes_remembered: bool
    """True once the attributes that are reported are remembered; until then they count as if they were."""
    _merged: Mapping[str, object]
    """The last result of `data`, and the segments that it was made from."""
    _merged_from: Mapping[str, object] | None

    def __init__(
        self,
        id: str,
        attributes: Mapping[str, object] = NOTHING,
        location: Place = NOTHING,
        environment: str | None = None,
        state: VisitorState = UNSEEN,
    ) -> None:
        self.id = id
        self.attributes = attributes
        self._call = None
        self.location = location
        self.environment = environment
        self._state = state
        self._hashed = id_bytes(id)
        self._attributes_remembered = False
        self._merged = attributes
        self._merged_from = NOTHING if state is UNSEEN else None

    @property
    def bucketing_id(self) -> str:
        """The id that is hashed to decide; the visitor's own unless `bucketing_id=` was given.

        >>> client.visitor("v-42", bucketing_id="company-7").bucketing_id
        'company-7'
        """
        hashed = self._hashed
        return hashed.text if isinstance(hashed, BucketingId) else self.id

    def _data(self) -> Mapping[str, object]:
        """The data for audiences: attributes under the call's, over the remembered segments, over a request's."""
        segments = self._state.segments
        if segments is not self._merged_from:
            self._merged = self._merge(segments)
            self._merged_from = segments
        return self._merged

    def _data_with(self, given: Mapping[str, object]) -> Mapping[str, object]:
        """`data`, with `given` as a part of the call."""
        return self._merge(self._state.segments, given) if given else self._data()

    def _merge(
        self, segments: Mapping[str, object], given: Mapping[str, object] = NOTHING
    ) -> Mapping[str, object]:
        # What is over what matters for each pair: three merges of objects and lists are not associative.
        own, request = self.attributes, None
        if type(own) is Layered:
            request = own
            own = own.over if self._attributes_remembered else own.flat()
        if segments and self._attributes_remembered and not _REPORTED.isdisjoint(own):
            own = {key: value for key, value in own.items() if key not in _REPORTED}
        if self._call:
            own = deep_merge(own, self._call)
        merged = deep_merge(segments, deep_merge(own, given))
        return merged if request is None else request.laid_over(merged)


def deep_merge(
    under: Mapping[str, object], over: Mapping[str, object], *, by_value: bool = False
) -> Mapping[str, object]:
    """`over` on top of `under`: objects merge, of two lists the new items come first, without duplicates.

    Args:
        under: What gives way.
        over: What wins.
        by_value: Tell objects in lists apart by what they hold, where a JavaScript Set tells them by identity.
    """
    if not under:
        return over
    if not over:
        return under
    merged = {**under} if type(under) is dict else copy_mapping(under)
    unmerged: list[tuple[dict[str, object], Mapping[str, object]]] = [
        (merged, over if type(over) is dict else copy_mapping(over))
    ]
    met: dict[tuple[int, int], _Meeting] = {}  # what holds itself, or shares its parts, meets itself again
    while unmerged:  # a stack, as attributes may nest deeper than calls can
        target, source = unmerged.pop()
        for key, given in source.items():
            if type(given) is str:
                target[key] = given
                continue
            value, below = plain(given), plain(target.get(key))
            if isinstance(value, LISTS) and isinstance(below, LISTS):
                target[key] = _united(value, below, by_value=by_value)
            elif isinstance(value, _CONTAINERS) and isinstance(below, _CONTAINERS) and len(met) < _MOST_MET:
                meeting = met.get((id(below), id(value)))
                if meeting is None:
                    meeting = met[id(below), id(value)] = _Meeting({**_members(below)}, below, value)
                    unmerged.append((meeting.merged, _members(value)))
                target[key] = meeting.merged
            else:
                target[key] = given if value is MISSING else value
    return merged


class _Meeting(NamedTuple):
    """Two containers, kept so that no other takes their place in memory, and what they give."""

    merged: dict[str, object]
    below: object
    value: object


_CONTAINERS = (dict, *LISTS)
_MOST_MET = 20_000
"""Containers that are merged; beyond that the upper one wins."""


def _members(value: Mapping[str, object] | Iterable[object]) -> Mapping[str, object]:
    """An object's members; a list that meets an object is one, by index."""
    if isinstance(value, dict):
        return cast("dict[str, object]", value)
    return {str(place): item for place, item in enumerate(value)}


def _united(first: Iterable[object], second: Iterable[object], *, by_value: bool) -> list[object]:
    """The union of a JavaScript Set: scalars by type and value, containers by identity or by value."""
    united: dict[object, object] = {}
    for item in map(plain, (*first, *second)):
        if isinstance(item, str):
            united.setdefault((str, item), item)
        elif isinstance(item, bool) or item is None:
            united.setdefault((bool, item), item)
        elif isinstance(item, (int, float)):
            united.setdefault((float, item), item)
        elif by_value and isinstance(item, _CONTAINERS):
            united.setdefault((list, _written(item)), item)
        elif item is not MISSING:
            united.setdefault(id(item), item)
    return list(united.values())


def _written(item: object) -> object:
    """The same for two objects or lists that hold the same; of one that cannot be written, its identity."""
    from json import dumps

    try:
        return dumps(tree(item), sort_keys=True, default=str)
    except TypeError:  # keys that have no order
        return id(item)
