"""The answers of one experience, laid out for many rows.

Theory of operation. What the facts of a row lead to is one of a few outcomes: "ask the hash", or an answer that stands
already. The hash of a row falls on one of a few steps, between two thresholds of the experience. So every answer is a
cell of a small grid, a row for each outcome and a column for each step, and a row of the table knows its answer by one
number, `outcome * steps + step`. The columns of the result are look-ups of that number.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from convert_sdk._core.decision import Decision, Reason
from convert_sdk._core.model import Experience, Variation

from .columns import Rows
from .plan import REASONS, RowFault, bucket_type
from .texts import Hashes, Places

_HASHED = frozenset({Reason.BUCKETED, Reason.NOT_ALLOCATED})
_LARGEST_EXACT = 1 << 21
_FEW = 8
"""Thresholds that are compared with one by one; a binary search costs more."""
_AT_ONCE = 8_192
_HALF = np.uint64(32)
_REASONS = pa.array(REASONS, pa.string())
_PLACES = {word: place for place, word in enumerate(REASONS)}


class RowAnswer(NamedTuple):
    """One answer: a reason, the place of a variation or -1, and whether the bucket value is a part of it."""

    reason: str
    variation: int = -1
    hashed: bool = False


class Cells:
    """The grid of one experience, which gains a row with each outcome that is met."""

    def __init__(self, experience: Experience) -> None:
        self.key = experience.key
        self.variations: tuple[Variation, ...] = tuple(experience.variations.values())
        self._traffic = experience.bucketing.max_traffic
        self._type = bucket_type(experience)
        thresholds = experience.thresholds
        self._below = sum(each <= 0 for each in thresholds)
        self._edges = np.array([each for each in thresholds if 0 < each < 1 << 32], np.uint32)
        self._steps = len(thresholds) + 1
        self._answers: list[RowAnswer] = []
        self._rows: dict[RowAnswer | None, int] = {}
        self._owned = [self._owned_by(owner) for owner in experience.owners]
        self._ids = pa.array([each.id for each in self.variations], pa.string())
        keys = [each.key for each in self.variations]
        listed = list(dict.fromkeys(keys))
        self._keys = pa.array(listed, pa.string())
        self._key_places: npt.NDArray[np.int16] | None = None
        if len(listed) < len(keys):
            self._key_places = np.array([*(listed.index(key) for key in keys), -1], np.int16)
        self._row(None)

    def _owned_by(self, variation: Variation | None) -> RowAnswer:
        if variation is None:
            return RowAnswer(Reason.NOT_ALLOCATED.value)
        return RowAnswer(Reason.BUCKETED.value, self.variations.index(variation), hashed=True)

    def _row(self, answer: RowAnswer | None) -> int:
        """The first cell of an answer that stands whatever the hash is; None asks the hash."""
        known = self._rows.get(answer)
        if known is None:
            known = self._rows[answer] = len(self._answers)
            self._answers += self._owned if answer is None else [answer] * self._steps
            self._variation = np.array([each.variation for each in self._answers], np.int16)
            self._reason = np.array([_PLACES[each.reason] for each in self._answers], np.int16)
            self._hashed = np.array([each.hashed for each in self._answers], np.bool_)
            self._all_hashed = bool((self._hashed == (self._variation >= 0)).all())
        return known

    def judge(self, decision: Decision) -> int:
        """The first cell of what was decided for a kind of visitor, without an id."""
        if decision.reason in _HASHED:
            return self._row(None)
        place = -1 if decision.variation is None else self.variations.index(decision.variation)
        return self._row(RowAnswer(decision.reason.value, place))

    def of_fault(self, fault: RowFault) -> int:
        """The cell of a row in which something is wrong."""
        return self._row(RowAnswer(fault.value))

    def step(self, cells: Places, hashed: Hashes) -> Places:
        """From the first cells of outcomes to the cells of answers, in place."""
        if self._below:
            cells += self._below
        if len(self._edges) > _FEW:
            cells += np.searchsorted(self._edges, hashed, "right")
        elif len(self._edges):
            steps = np.zeros(len(hashed), np.int8)
            for edge in self._edges:
                steps += (hashed >= edge).view(np.int8)
            cells += steps
        return cells

    def variation_places(self, cells: Places) -> npt.NDArray[np.int16]:
        """The place of each row's variation; -1 without one."""
        return self._variation.take(cells, mode="clip")

    def columns(self, cells: Places, hashed: Hashes) -> list[pa.Array]:
        """Variation key, variation id, reason, bucket value."""
        variation = self.variation_places(cells)
        given = _bits(variation >= 0)
        key = variation if self._key_places is None else self._key_places.take(variation)
        by_hash = given if self._all_hashed else _bits(self._hashed.take(cells, mode="clip"))
        reason = self._reason.take(cells, mode="clip")
        return [
            pa.DictionaryArray.from_arrays(_array(key, given, pa.int16()), self._keys, safe=False),
            pa.DictionaryArray.from_arrays(_array(variation, given, pa.int16()), self._ids, safe=False),
            pa.DictionaryArray.from_arrays(_array(reason, None, pa.int16()), _REASONS, safe=False),
            _array(self._values(hashed), by_hash, self._type),
        ]

    def _values(self, hashed: Hashes) -> npt.NDArray[np.signedinteger]:
        """`scale` for every hash."""
        whole = int(self._traffic)
        if whole == self._traffic and 0 < whole <= _LARGEST_EXACT:
            return _products(hashed, np.uint64(whole))
        scaled = hashed / 4294967296 * self._traffic
        return scaled.astype(np.int32) if self._type == pa.int32() else scaled.astype(np.int64)


def _products(hashed: Hashes, traffic: np.uint64) -> npt.NDArray[np.int32]:
    """`scale` in whole numbers, through a few rows of memory that is at hand: the system's costs more than the work."""
    found = np.empty(len(hashed), np.int32)
    wide = np.empty(min(_AT_ONCE, len(hashed)), np.uint64)
    for start in range(0, len(hashed), _AT_ONCE):
        some = hashed[start : start + _AT_ONCE]
        part = wide[: len(some)]
        part[:] = some
        part *= traffic
        part >>= _HALF
        found[start : start + _AT_ONCE] = part
    return found


def _bits(rows: Rows) -> pa.Buffer | None:
    """The bits of the rows that have a value, as Arrow holds them; None where all of them have."""
    return None if rows.all() else pa.py_buffer(np.packbits(rows, bitorder="little"))


def _array(values: npt.NDArray[np.signedinteger], bits: pa.Buffer | None, kind: pa.DataType) -> pa.Array:
    return pa.Array.from_buffers(kind, len(values), [bits, pa.py_buffer(values)])
