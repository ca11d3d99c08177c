"""An audit of logged exposures: is each the variation that the hash gives, and if not, why not.

Theory of operation. An exposure says that its visitor passed the gates; what can be computed again is where the hash
puts the visitor. A row whose variation is another one has the first of these causes that its own columns show: it was
forced, it came from another revision of the document, it was kept from earlier, another id of the row gives it. What
none of them explains is a real mismatch.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from convert_sdk._core.decision import Reason
from convert_sdk._core.model import Experience, Variation
from convert_sdk.analysis.sample_ratio import RatioVerdict, sample_ratio
from convert_sdk.errors import TableError
from convert_sdk.project import Project

from .columns import UNREADABLE, FactColumn, Rows, check_ids, encoded, ids, is_text, without_views
from .hashing import hashes
from .plan import need_column
from .stream import pieces
from .texts import Places

_FORCED = frozenset({Reason.FORCED.value, Reason.OVERRIDE.value, Reason.PREVIEW.value})
_SPACE = 1 << 32
_MOST_KEPT = 10_000
_CAUSE, _EXPECTED = "cause", "expected_variation"
"""The columns beside each row that is kept."""


class Cause(StrEnum):
    """The cause of an exposure that is not what the hash gives.

    >>> Cause.REAL.value
    'real'
    """

    UNKNOWN = "unknown"
    """The document has no such experience or variation."""
    NO_ID = "no_id"
    """The row has no visitor id that can be read."""
    FORCED = "forced"
    """The row's reason says that somebody named the variation."""
    OTHER_REVISION = "other_revision"
    """The row names another revision of the document."""
    STICKY = "sticky"
    """The row's reason says that the variation was kept from earlier."""
    OTHER_ID = "other_id"
    """Another id of the row gives this variation."""
    REAL = "real"
    """None of these explains it."""


class DayRatio(NamedTuple):
    """The visitors of an experience on one day, against the shares of its variations.

    A visitor counts once in a day, however often they were exposed, and only with a variation that the hash gives: to
    their id, or to another id of the row. Rows that were forced count nowhere.
    """

    experience: str
    day: str
    counts: Mapping[str, int]
    """By variation key."""
    p_value: float | None
    """The probability of counts at least this far off; small where a sample ratio does not hold, None where visitors
    are too few to tell."""


class AuditReport(NamedTuple):
    """The findings of an audit.

    `mismatched` has the first 10,000 rows that are not what the hash gives, with `cause` and `expected_variation`; it
    holds visitor ids.
    """

    rows: int
    agreed: int
    mismatches: Mapping[str, int]
    """Rows by cause."""
    by_experience: Mapping[str, Mapping[str, int]]
    """For each experience, as logged: `agreed` and the causes."""
    days: tuple[DayRatio, ...]
    mismatched: pa.Table

    @property
    def real(self) -> int:
        """The mismatches that nothing explains."""
        return self.mismatches.get(Cause.REAL.value, 0)

    def exceeds(self, bound: float) -> bool:
        """True if the share of real mismatches is above a bound."""
        return self.real > bound * self.rows

    def to_dict(self) -> dict[str, object]:
        """Everything but the rows, as values of JSON."""
        return {
            "rows": self.rows,
            "agreed": self.agreed,
            "mismatches": dict(self.mismatches),
            "by_experience": {key: dict(counts) for key, counts in self.by_experience.items()},
            "days": [{**each._asdict(), "counts": dict(each.counts)} for each in self.days],
        }

    def to_json(self) -> str:
        """The same as JSON text."""
        return json.dumps(self.to_dict())


class AuditColumns(NamedTuple):
    """The columns of logged exposures."""

    visitor: str = "visitor_id"
    experience: str = "experience"
    """Keys or ids."""
    variation: str = "variation"
    """Keys or ids."""
    time: str | None = None
    """A date, a time, or text that begins with a date."""
    reason: str | None = None
    revision: str | None = None
    other_ids: tuple[str, ...] = ()
    """Other ids of the visitor, that may have been hashed."""

    def given(self) -> list[tuple[str, str]]:
        """The columns that are read, each after what it is."""
        single = [(field, name) for field, name in self._asdict().items() if isinstance(name, str)]
        return single + [("other_ids", name) for name in self.other_ids]


def audit(project: Project, exposures: object, columns: AuditColumns | None = None) -> AuditReport:
    """Recompute logged exposures.

    Args:
        project: The project that they were decided by.
        exposures: A table with one exposure in a row: anything with `__arrow_c_stream__`.
        columns: The names of its columns.

    Returns:
        A report: the rows that agree, the others by cause, and the sample ratio of each day.

    Raises:
        TableError: For a column that is missing or of a type that cannot be used.
        TypeError: For what is no table.

    >>> import pyarrow as pa
    >>> logged = pa.table({"visitor_id": ["v-42", "v-43"], "experience": ["checkout-layout"] * 2,
    ...     "variation": ["classic", "classic"]})
    >>> report = audit(project, logged)
    >>> report.rows, report.agreed, dict(report.mismatches)
    (2, 1, {'real': 1})
    """
    named = columns or AuditColumns()
    if not hasattr(exposures, "__arrow_c_stream__"):
        raise TypeError(f"a table with __arrow_c_stream__ is needed, not {type(exposures).__name__}")
    reader = pa.RecordBatchReader.from_stream(exposures)
    for field, name in named.given():
        need_column(reader.schema, name, field)
        kind = reader.schema.field(name).type
        if field in ("visitor", "other_ids"):
            check_ids(name, kind)
        if field == "time":
            _check_time(name, kind)
    auditor = _Audit(project, named)
    for batch in pieces(reader):
        auditor.add(batch)
    return auditor.report(reader.schema)


def _check_time(name: str, kind: pa.DataType) -> None:
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    known = (is_text, pa.types.is_timestamp, pa.types.is_date, pa.types.is_null)
    if not any(is_known(inner) for is_known in known):
        raise TableError(
            f"time: column {name!r} is {kind}; it must be a date, a timestamp, or text that begins with a date"
        )


class _Audit:
    """The counts so far."""

    def __init__(self, project: Project, columns: AuditColumns) -> None:
        self._project = project
        self._columns = columns
        self._read = list(dict.fromkeys(name for _, name in columns.given()))
        self._rows = 0
        self._counts: dict[str, Counter[str]] = {}
        self._days: dict[tuple[str, str], Counter[str]] = {}
        self._met: set[int] = set()
        """Digests of 64 bits: each visitor who is counted, with experience, day and variation; 70 to 100 bytes each."""
        self._kept: list[pa.Table] = []
        self._kept_rows = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Count the rows of a batch."""
        self._rows += len(batch)
        asked = _that_can_be_taken(batch.select(self._read))
        logged = encoded(asked.column(self._columns.experience))
        for place, value in enumerate(logged.values):
            rows = np.flatnonzero(np.asarray(logged.codes) == place)
            if len(rows):
                self._add(str(value), asked.take(pa.array(rows)), rows, batch)

    def _add(self, named: str, batch: pa.RecordBatch, rows: Places, whole: pa.RecordBatch) -> None:
        """Count the exposures of one experience: these rows of the whole batch."""
        experience = self._project.experiences.get(named) or self._project.experiences.of_id(named)
        given = encoded(batch.column(self._columns.variation))
        variations = _variations(experience)
        places = {each.key: number for number, each in reversed([*enumerate(variations)])}
        places |= {each.id: number for number, each in enumerate(variations)}
        table = np.array([*(places.get(str(value), -2) for value in given.values), -2], np.int64)
        seen = table.take(given.codes)
        expected = (
            np.full(len(batch), -2)
            if experience is None
            else self._hashed(experience, batch, self._columns.visitor)
        )
        causes = np.full(len(batch), Cause.REAL.value, object)
        for explained, cause in self._explained(experience, batch, seen):
            causes[explained] = cause.value
        wrong = (seen != expected) | (seen == -2)
        counts = self._counts.setdefault(experience.key if experience is not None else named, Counter())
        counts["agreed"] += int((~wrong).sum())
        counts.update(causes[wrong].tolist())
        if self._columns.time is not None and experience is not None:
            drawn = (~wrong & (causes != Cause.FORCED.value)) | (causes == Cause.OTHER_ID.value)
            self._count_days(experience, batch, self._columns.time, seen, np.flatnonzero(drawn))
        if wrong.any() and self._kept_rows < _MOST_KEPT:
            keys = [None if place < 0 else variations[place].key for place in expected[wrong].tolist()]
            self._keep(whole, rows[wrong].tolist(), causes[wrong].tolist(), keys)

    def _hashed(self, experience: Experience, batch: pa.RecordBatch, column: str) -> npt.NDArray[np.int64]:
        """The place of the variation that the hash of a column gives; -1 for none, -3 without an id."""
        found = ids(batch.column(column))
        hashed = hashes(found.texts, [experience.hashed], experience.seed)[0].astype(np.int64)
        variations = list(experience.variations.values())
        owners = np.array(
            [-1 if each is None else variations.index(each) for each in experience.owners], np.int64
        )
        thresholds = np.array([max(0, min(each, _SPACE)) for each in experience.thresholds], np.int64)
        places = owners.take(np.searchsorted(thresholds, hashed, "right"))
        for rows in (found.absent, found.empty, found.unreadable):
            if rows is not None:
                places[rows] = -3
        return places

    def _explained(
        self, experience: Experience | None, batch: pa.RecordBatch, seen: npt.NDArray[np.int64]
    ) -> Iterable[tuple[Rows, Cause]]:
        """The rows of each cause, the weakest first: a later one overrules it."""
        if experience is None:
            yield np.ones(len(batch), np.bool_), Cause.UNKNOWN
            return
        for column in self._columns.other_ids:
            yield self._hashed(experience, batch, column) == seen, Cause.OTHER_ID
        if self._columns.reason is not None:
            yield _among(encoded(batch.column(self._columns.reason)), {Reason.STICKY.value}), Cause.STICKY
        if self._columns.revision is not None:
            yield ~self._of_this_revision(batch, self._columns.revision), Cause.OTHER_REVISION
        if self._columns.reason is not None:
            yield _among(encoded(batch.column(self._columns.reason)), _FORCED), Cause.FORCED
        yield self._hashed(experience, batch, self._columns.visitor) == -3, Cause.NO_ID
        unknown = seen == -2
        if self._columns.revision is not None:
            unknown &= self._of_this_revision(batch, self._columns.revision)
        yield unknown, Cause.UNKNOWN

    def _of_this_revision(self, batch: pa.RecordBatch, column: str) -> Rows:
        """The rows that name this document, or none."""
        return _among(encoded(batch.column(column)), {self._project.revision, None})

    def _count_days(
        self,
        experience: Experience,
        batch: pa.RecordBatch,
        time: str,
        seen: npt.NDArray[np.int64],
        rows: Places,
    ) -> None:
        """Count the visitors of these rows: each once for a day and a variation."""
        times = batch.column(time)
        if pa.types.is_timestamp(times.type):  # Python has no nanoseconds
            times = times.cast(pa.timestamp("us", times.type.tz), safe=False)
        column = encoded(times)
        days = [None if value is None or value is UNREADABLE else str(value)[:10] for value in column.values]
        keys = [each.key for each in experience.variations.values()]
        visitors = ids(batch.column(self._columns.visitor)).texts
        codes = np.asarray(column.codes)
        for row, place, variation in zip(
            rows.tolist(), codes[rows].tolist(), seen[rows].tolist(), strict=True
        ):
            day, key = days[place], keys[variation]
            if day is None:
                continue
            digest = hash((experience.key, day, key, visitors.text(row)))
            if digest not in self._met:
                self._met.add(digest)
                self._days.setdefault((experience.key, day), Counter())[key] += 1

    def _keep(
        self,
        whole: pa.RecordBatch,
        rows: Sequence[int],
        causes: Sequence[str],
        expected: Sequence[str | None],
    ) -> None:
        """Keep rows with their causes, as far as there is room."""
        room = _MOST_KEPT - self._kept_rows
        kept = pa.Table.from_batches(
            [whole.slice(row, 1) for row in rows[:room]]
        )  # not every type can be taken from
        told = kept.append_column(_CAUSE, pa.array(causes[:room], pa.string()))
        self._kept.append(told.append_column(_EXPECTED, pa.array(expected[:room], pa.string())))
        self._kept_rows += len(kept)

    def report(self, schema: pa.Schema) -> AuditReport:
        """The report of all batches."""
        total = sum(self._counts.values(), Counter[str]())
        wanted = pa.schema([*schema, pa.field(_CAUSE, pa.string()), pa.field(_EXPECTED, pa.string())])
        return AuditReport(
            self._rows,
            total.pop("agreed", 0),
            dict(total),
            {key: dict(counts) for key, counts in self._counts.items()},
            tuple(
                each
                for (key, day), counts in sorted(self._days.items())
                if (each := self._ratio(key, day, counts))
            ),
            pa.concat_tables(self._kept).combine_chunks() if self._kept else wanted.empty_table(),
        )

    def _ratio(self, key: str, day: str, counts: Counter[str]) -> DayRatio | None:
        """A day's ratio; None where fewer than two variations have a share."""
        experience = self._project.experiences.get(key)
        shares = {} if experience is None else variation_shares(experience)
        with_share = [name for name, share in shares.items() if share > 0]
        observed = [counts[name] for name in with_share]
        ratio = sample_ratio(observed, [shares[name] for name in with_share])
        if ratio.verdict is RatioVerdict.NOTHING:
            return None
        return DayRatio(key, day, {name: counts[name] for name in {**shares, **counts}}, ratio.p)


def _variations(experience: Experience | None) -> tuple[Variation, ...]:
    return () if experience is None else tuple(experience.variations.values())


def _that_can_be_taken(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch without views of text, from which Arrow takes no rows."""
    columns = [without_views(each) if pa.types.is_string_view(each.type) else each for each in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _among(column: FactColumn, wanted: Iterable[object]) -> Rows:
    known = set(wanted)
    table = np.array([value in known for value in column.values], np.bool_)
    return table.take(column.codes)


def variation_shares(experience: Experience) -> dict[str, float]:
    """The share of all hashes that each variation has, by its key.

    >>> variation_shares(project.experience("checkout-layout"))
    {'classic': 0.5, 'one-page': 0.5}
    """
    found = dict.fromkeys((each.key for each in experience.variations.values()), 0.0)
    edges = [0, *(max(0, min(each, _SPACE)) for each in experience.thresholds), _SPACE]
    for owner, low, high in zip(experience.owners, edges, edges[1:], strict=False):
        if owner is not None:
            found[owner.key] += (high - low) / _SPACE
    return found
