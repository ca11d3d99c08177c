"""The hash of a visitor to a bucket value, and the ranges that give a bucket value to a variation."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from math import ceil
from typing import NamedTuple

from mmh3 import mmh3_32_uintdigest

SCALE = 10_000
_WORD = 1 << 32
_EXACT = 1 << 21
"""Times a 32-bit hash this still fits a double's 53 bits."""
_FAR = 1e18
"""Beyond every bucket value."""
_LARGEST_INDEX = 4_294_967_294


class Bucketing(NamedTuple):
    """The parameters of the hash; the defaults are those of every other Convert SDK."""

    seed: int = 9999
    max_traffic: float = SCALE
    exclude_experience_id: bool = False


DEFAULT = Bucketing()


class Allocation(NamedTuple):
    """The traffic of one variation in percent; only an `active` one gets it."""

    id: str
    percent: float
    active: bool = True


class Range(NamedTuple):
    """The half-open interval of bucket values that belongs to one variation."""

    variation_id: str
    start: float
    end: float


class Split(NamedTuple):
    """Ranges laid for look-up: the owner of a value is `owners[bisect_right(edges, value)]`."""

    ranges: tuple[Range, ...]
    edges: tuple[float, ...]
    owners: tuple[str | None, ...]

    def pick(self, value: int) -> str | None:
        """The variation id that owns a bucket value; None where nobody does."""
        return self.owners[bisect_right(self.edges, value)]


class BucketingId(bytes):
    """The bytes of an id that is hashed in the place of the visitor id, and that id: a plain visitor has none."""

    text: str

    @classmethod
    def of(cls, text: str) -> BucketingId:
        """The bytes of this id."""
        made = cls(id_bytes(text))
        made.text = text
        return made


def id_bytes(text: str) -> bytes:
    """UTF-8 as a browser encodes it: a surrogate pair is one character, a lone surrogate U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def hash_value(experience_id: str, visitor_id: str, bucketing: Bucketing = DEFAULT) -> int:
    """MurmurHash3 (x86, 32 bit) of the experience id followed by the visitor id."""
    prefix = "" if bucketing.exclude_experience_id else experience_id
    return mmh3_32_uintdigest(id_bytes(prefix + visitor_id), bucketing.seed)


def scale(hashed: int, max_traffic: float) -> int:
    """A hash as a bucket value below `max_traffic`."""
    return int(hashed / _WORD * max_traffic)


def threshold(edge: float, max_traffic: float) -> int:
    """The first hash whose bucket value is not below an edge; beyond every hash where there is none."""
    whole = int(max_traffic)
    if whole == max_traffic and 0 < whole <= _EXACT:  # a double is the very integer `hash * whole >> 32`
        return -(-ceil(max(-_FAR, min(edge, _FAR))) * _WORD // whole)
    return bisect_left(range(_WORD), edge, key=lambda hashed: scale(hashed, max_traffic))


def bucket_value(experience_id: str, visitor_id: str, bucketing: Bucketing = DEFAULT) -> int:
    """The bucket value of a visitor in an experience, 0 to 9,999.

    >>> bucket_value("100218245", "visitor-1")
    6514
    """
    return scale(hash_value(experience_id, visitor_id, bucketing), bucketing.max_traffic)


def packed(allocations: Iterable[Allocation]) -> Split:
    """Ranges one after the other, in the order in which JavaScript walks an object's keys.

    Only running variations take part. Ids that are array indices come first, ascending.
    """
    weights: dict[str, float] = {}
    for allocation in allocations:
        if allocation.active:
            weights[allocation.id] = allocation.percent
    ranges: list[Range] = []
    end = 0.0
    for variation_id in property_order(weights):
        start, end = end, end + weights[variation_id] * 100
        ranges.append(Range(variation_id, start, end))
    return _split(ranges)


def anchored(allocations: Sequence[Allocation]) -> Split:
    """Ranges that keep their anchors: more traffic for one variation moves nobody out of another."""
    total = 0.0
    for allocation in allocations:
        total += allocation.percent
    if not total > 0:
        return _split([])
    ranges: list[Range] = []
    before = 0.0
    for allocation in allocations:
        anchor = before / total * SCALE
        width = allocation.percent * 100 if allocation.active else 0.0
        ranges.append(Range(allocation.id, anchor, anchor + width))
        before += allocation.percent
    return _split(ranges)


def property_order(ids: Iterable[str]) -> list[str]:
    """Array indices ascending, then everything else as it came."""
    listed = list(ids)
    indices = sorted((text for text in listed if _is_index(text)), key=int)
    return indices + [text for text in listed if not _is_index(text)] if indices else listed


def _is_index(text: str) -> bool:
    if not (text.isascii() and text.isdigit()) or len(text) > 10:
        return False
    return (text == "0" or text[0] != "0") and int(text) <= _LARGEST_INDEX


def _split(ranges: list[Range]) -> Split:
    """Cut overlapping ranges into steps in which the first range that holds a value owns it."""
    places = [place for place, item in enumerate(ranges) if item.start < item.end]
    edges = sorted({edge for place in places for edge in (ranges[place].start, ranges[place].end)})
    coming = sorted(places, key=lambda place: ranges[place].start, reverse=True)
    holding: list[
        int
    ] = []  # a heap of places: its first is the first range that holds an edge, once others are out
    owners: list[str | None] = [None]
    for edge in edges:
        while coming and ranges[coming[-1]].start <= edge:
            heappush(holding, coming.pop())
        while holding and ranges[holding[0]].end <= edge:
            heappop(holding)
        owners.append(ranges[holding[0]].variation_id if holding else None)
    return Split(tuple(ranges), tuple(edges), tuple(owners))
