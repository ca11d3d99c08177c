"""One batch of rows in, its decisions out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from convert_sdk._core.model import Experience, Feature
from convert_sdk._core.state import VisitorState

from .cells import Cells
from .columns import UNREADABLE, FactColumn, Ids, Rows, encoded, ids, masked
from .hashing import hashes
from .plan import RowFault, TablePlan, variables_json
from .questions import BatchFacts, Fact, Group, Outcomes, Setting, asked
from .texts import Hashes, Places, Texts


class Evaluator:
    """Decides batches, one after the other; what it learns of values and combinations it keeps. For one thread."""

    __slots__ = ("_cells", "_features", "_given", "_groups", "_plan")

    def __init__(self, plan: TablePlan) -> None:
        self._plan = plan
        self._given = {each.key for each in plan.experiences}
        self._cells = {each.key: Cells(each) for each in plan.decided}
        setting = Setting(
            plan.source.attributes,
            plan.source.location,
            plan.environment,
            plan.nulls_are_missing,
            plan.state is not None,
        )
        self._groups = [
            Group(plan.project, members, facts, setting, [self._cells[each.key].judge for each in members])
            for facts, members in _grouped(plan).items()
        ]
        self._features = [_FeatureColumns(feature, self._carriers(feature)) for feature in plan.features]

    def _carriers(self, feature: Feature) -> list[Cells]:
        return [self._cells[each.key] for each in self._plan.project.carriers(feature.id)]

    def assign(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch with its decisions beside it."""
        plan = self._plan
        visitors = ids(batch.column(plan.visitor))
        states = None if plan.state is None else _states(batch.column(plan.state))
        columns = {fact: batch.column(name) for fact, name in plan.source.columns.items()}
        facts = BatchFacts(columns, len(batch), states)
        outcomes = self._outcomes(facts)
        faults = _faults(visitors, facts, states)
        hashed = self._hash(batch, visitors)
        found: dict[str, Places] = {}
        results: dict[str, list[pa.Array]] = {}
        for (
            key,
            some,
        ) in outcomes.items():  # one after the other, while its numbers are in the processor's cache
            found[key] = self._answered(key, some, hashed[key], faults)
            if key in self._given:
                results[key] = self._cells[key].columns(found[key], hashed[key])
        arrays = [batch.column(name) for name in plan.kept]
        for experience in plan.experiences:
            arrays += results[experience.key]
        nobody = np.logical_or.reduce([rows for rows, _ in faults]) if faults else None
        for feature in self._features:
            arrays += feature.columns(found, nobody, len(batch))
        return pa.RecordBatch.from_arrays(arrays, schema=plan.schema)

    def _outcomes(self, facts: BatchFacts) -> dict[str, Outcomes]:
        """The outcome of each row, by experience."""
        found: dict[str, Outcomes] = {}
        for group in self._groups:
            keys = [experience.key for experience in group.experiences]
            found |= zip(keys, group.outcomes(facts), strict=True)
        return found

    def _answered(
        self, key: str, outcomes: Outcomes, hashed: Hashes, faults: Sequence[tuple[Rows, RowFault]]
    ) -> Places:
        """The cell of each row's answer in one experience."""
        cells = self._cells[key]
        found = cells.step(outcomes, hashed)
        for rows, fault in faults:
            found[rows] = cells.of_fault(fault)
        return found

    def _hash(self, batch: pa.RecordBatch, visitors: Ids) -> dict[str, Hashes]:
        texts = visitors.texts
        if self._plan.bucketing_id is not None:
            texts = _in_place_of(visitors, ids(batch.column(self._plan.bucketing_id)))
        found: dict[str, Hashes] = {}
        by_seed: dict[int, list[Experience]] = {}
        for experience in self._plan.decided:
            by_seed.setdefault(experience.seed, []).append(experience)
        for seed, members in by_seed.items():
            prefixes = list(dict.fromkeys(each.hashed for each in members))
            made = dict(zip(prefixes, hashes(texts, prefixes, seed), strict=True))
            found |= {each.key: made[each.hashed] for each in members}
        return found


def _in_place_of(visitors: Ids, others: Ids) -> Texts:
    """The texts that are hashed: the other id, and the visitor's own where there is no other."""
    missing = [rows for rows in (others.absent, others.empty, others.unreadable) if rows is not None]
    if not missing:
        return others.texts
    without = np.logical_or.reduce(missing)
    chosen = [(visitors if lacks else others).texts.text(row) for row, lacks in enumerate(without.tolist())]
    offsets = np.cumsum([0, *map(len, chosen)], dtype=np.int64)
    return Texts(np.frombuffer(b"".join(chosen), np.uint8), offsets)


def _grouped(plan: TablePlan) -> dict[tuple[Fact, ...], list[Experience]]:
    """The experiences by the facts that they ask for, of those that a column gives."""
    found: dict[tuple[Fact, ...], list[Experience]] = {}
    for experience in plan.decided:
        facts = {fact for fact, _ in asked(experience) if fact in plan.source.columns}
        found.setdefault(tuple(sorted(facts)), []).append(experience)
    return found


def _states(array: pa.Array) -> FactColumn:
    """The remembered states of a batch; `UNREADABLE` in place of one that cannot be read."""
    column = encoded(array)
    is_map = pa.types.is_map(array.type)
    return FactColumn(column.codes, [_state(value, is_map=is_map) for value in column.values])


def _state(value: object, *, is_map: bool) -> object:
    if value is None or value is UNREADABLE or value == "":
        return value or None
    if is_map:
        kept = {str(key): item for key, item in value}  # type: ignore[attr-defined]  # pairs
        return VisitorState.from_dict({"bucketing": kept})
    try:
        return VisitorState.from_json(str(value))
    except (ValueError, RecursionError):
        return UNREADABLE


def _faults(visitors: Ids, facts: BatchFacts, states: FactColumn | None) -> list[tuple[Rows, RowFault]]:
    """The rows in which something is wrong, and what: of several the last one counts."""
    wrong = None
    if states is not None:
        places = [place for place, value in enumerate(states.values) if value is UNREADABLE]
        wrong = np.isin(states.codes, places) if places else None
    found = [
        (facts.unreadable(), RowFault.UNREADABLE_ATTRIBUTE),
        (wrong, RowFault.UNREADABLE_STATE),
        (visitors.unreadable, RowFault.UNREADABLE_ID),
        (visitors.empty, RowFault.EMPTY_ID),
        (visitors.absent, RowFault.NO_ID),
    ]
    return [(rows, fault) for rows, fault in found if rows is not None]


class _FeatureColumns:
    """The settings of a feature by the variations of the experiences that carry it."""

    def __init__(self, feature: Feature, carriers: Sequence[Cells]) -> None:
        self._feature = feature
        self._carriers = carriers
        self._places: dict[str, int] = {}
        for cells in carriers:
            for variation in cells.variations:
                text = variables_json(variation, feature)
                if text is not None:
                    self._places.setdefault(text, len(self._places))
        self._texts = pa.array(self._places, pa.string())

    def columns(self, found: Mapping[str, Places], nobody: Rows | None, size: int) -> list[pa.Array]:
        """Enabled or not, and the variables; null for rows in which nothing can be decided."""
        places = np.full(size, -1, np.int16)
        for cells in self._carriers:  # the first one that sets it counts
            texts = [variables_json(each, self._feature) for each in cells.variations]
            table = np.array([*(-1 if text is None else self._places[text] for text in texts), -1], np.int16)
            given = table.take(cells.variation_places(found[cells.key]))
            places = np.where(places < 0, given, places)
        enabled = places >= 0
        return [
            pa.array(enabled, mask=nobody),
            pa.DictionaryArray.from_arrays(masked(places, enabled, pa.int16()), self._texts),
        ]
