"""The gates of experiences for many visitors: the core decides once for each kind of visitor that occurs.

Theory of operation. What the audiences and locations of an experience say of a visitor depends on nothing but the
verdicts of their conditions, and each condition looks at one value. Two values with the same verdicts under all
conditions that ask for them are of one class: any of them stands for the others. So each distinct value of a column is
put to the tests once, which gives its class; each combination of classes that occurs is decided once, by the core's own
`decide` for a visitor with one value out of each class; and every row looks its combination up in a table. What was
learnt in one batch serves the next ones.

Numbers that are only ever compared by `less` and `lessEqual` need no list of distinct values: the limits cut the line
into pieces, and a binary search finds the piece of each row.

With a column of states, the state is one more value with classes of its own: by the variation that it holds for each
experience, by the other experiences that audiences ask about, and by the segments that stand in for attributes. As
objects and lists of attributes and segments merge, a list or an object is then a class of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import inf, nan, nextafter, prod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from convert_sdk._core.decide import decide, is_in_segments
from convert_sdk._core.decision import Decision
from convert_sdk._core.facts import UNSEEN, Facts, Place
from convert_sdk._core.javascript import numeric
from convert_sdk._core.js_regex.budget import one_call
from convert_sdk._core.model import CompiledProject, Experience
from convert_sdk._core.rules import Condition, Rules
from convert_sdk._core.state import NOTHING, VisitorState
from convert_sdk._core.values import LISTS, MISSING, plain

from .columns import UNREADABLE, Codes, FactColumn, Rows, encoded, numbers

Outcomes = npt.NDArray[np.int64]
_ORDERED = frozenset({"less", "lessEqual"})
_PRESENCE = frozenset({"exists", "doesNotExist", "not_exists"})
_MOST_KNOWN = 100_000
"""Values whose class is remembered from batch to batch."""
_LARGEST_TABLE = 1 << 20
"""Combinations of classes that are looked up in a table; beyond that, those of each batch are listed."""
_LARGEST_CODE = 1 << 62
"""Combinations that a whole number of 64 bits can count; beyond that, rows are compared class by class."""
_SMALL_TABLE = 1 << 15
"""Combinations whose numbers fit into 16 bits, which costs less memory to go through."""
_FEW = 4
"""Limits that are compared with one by one; a binary search costs more."""
_SCALARS = (str, int, float, bool)


class Fact(NamedTuple):
    """A key of the attributes or of the location, given by a column."""

    name: str
    of_location: bool


def asked(experience: Experience) -> Iterator[tuple[Fact, Condition]]:
    """The conditions that decide an experience, each with the fact that it looks at."""
    for audience in experience.audiences:
        if audience.exclusion is None:
            yield from ((Fact(each.key, of_location=False), each) for each in _leaves(audience.rules))
    places = (
        [experience.site_area] if experience.locations is None else [x.rules for x in experience.locations]
    )
    for rules in places:
        yield from ((Fact(each.key, of_location=True), each) for each in _leaves(rules))


def _conditions(experiences: Iterable[Experience], fact: Fact) -> list[Condition]:
    return [each for experience in experiences for of, each in asked(experience) if of == fact]


def _leaves(rules: Rules | None) -> Iterator[Condition]:
    return (leaf for all_of in rules or () for any_of in all_of for leaf in any_of)


class FactQuestion:
    """One fact that a group of experiences asks for, and the classes of its values so far."""

    __slots__ = (
        "_apart",
        "_classes",
        "_conditions",
        "_known",
        "_missing",
        "_pieces",
        "limits",
        "representatives",
    )

    def __init__(self, conditions: Sequence[Condition], *, apart: bool, missing: bool) -> None:
        self._conditions = conditions
        self._apart = apart
        """True if every list and object is a class of its own."""
        self._missing = missing
        """True if a null is no value at all."""
        self._classes: dict[object, int] = {}
        self._known: dict[object, int] = {}
        self.representatives: list[object] = []
        self.limits = _limits(conditions)
        """The numbers that a value is compared with, where nothing else is asked; None otherwise."""
        self._pieces: npt.NDArray[np.int64] | None = None

    def signature(self, value: object) -> object:
        """A key of the value's class: the same for two values that no condition tells apart."""
        verdicts = tuple([condition.test(value) for condition in self._conditions])
        if self._apart and isinstance(plain(value), (dict, *LISTS)):
            return verdicts, repr(value)
        return verdicts

    def class_of(self, value: object) -> int:
        """The class of a value."""
        if (value is None and self._missing) or value is UNREADABLE:
            value = MISSING
        kept = type(value) in _SCALARS and value == value  # not a number is equal to none
        if kept:
            known = self._known.get((type(value), value))
            if known is not None:
                return known
        with one_call():  # each value has the time that one visitor has
            signature = self.signature(value)
        found = self._classes.get(signature)
        if found is None:
            found = self._classes[signature] = len(self.representatives)
            self.representatives.append(value)
        if kept:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[type(value), value] = found
        return found

    def classes(self, column: FactColumn) -> npt.NDArray[np.int64]:
        """The class of each of a column's codes: its values' classes, or those of the pieces between limits."""
        if column.numbers is None:
            return np.array([self.class_of(value) for value in column.values], np.int64)
        if self._pieces is None:
            self._pieces = np.array([self.class_of(value) for value in _between(self.limits or ())], np.int64)
        return self._pieces

    def codes(self, column: FactColumn) -> Codes:
        """The places of a column's rows in what `classes` gives."""
        if column.numbers is None:
            return column.codes
        values, limits = column.numbers, self.limits or ()
        pieces: Codes
        if len(limits) > _FEW:
            edges = np.array(limits, np.float64)
            pieces = np.searchsorted(edges, values, "left") + np.searchsorted(edges, values, "right")
        else:
            pieces = np.zeros(len(values), np.int8)
            for limit in limits:
                pieces += (values >= limit).view(np.int8)
                pieces += (values > limit).view(np.int8)
        if column.may_be_nan:
            pieces[np.isnan(values)] = 2 * len(limits) + 1
        if column.empty is not None:
            pieces[column.empty] = 2 * len(limits) + 2
        return pieces


def _limits(conditions: Iterable[Condition]) -> tuple[float, ...] | None:
    """The numbers that values are compared with, ascending; None where something else is asked."""
    found: set[float] = set()
    for condition in conditions:
        if condition.match_type in _ORDERED and not condition.problem:
            limit = numeric(plain(condition.comparand))
            if limit is None:
                return None
            found.add(limit)
        elif condition.match_type not in _PRESENCE:
            return None
    return tuple(sorted(found))


def _between(limits: Sequence[float]) -> Iterator[object]:
    """A number for each piece of the line: below the first limit, on it, above it, …; not a number; none."""
    for limit in limits:
        yield nextafter(limit, -inf)
        yield limit
    yield inf
    yield nan
    yield None


class BatchFacts:
    """The columns of one batch that facts are read from, each read once."""

    __slots__ = ("_arrays", "_encoded", "_numbers", "size", "states")

    def __init__(self, arrays: Mapping[Fact, pa.Array], size: int, states: FactColumn | None) -> None:
        self._arrays = arrays
        self._encoded: dict[Fact, FactColumn] = {}
        self._numbers: dict[Fact, FactColumn | None] = {}
        self.size = size
        self.states = states

    def column(self, fact: Fact, question: FactQuestion) -> FactColumn:
        """The column of a fact, in the form in which a question looks at it."""
        if question.limits is not None:
            if fact not in self._numbers:
                self._numbers[fact] = numbers(self._arrays[fact])
            found = self._numbers[fact]
            if found is not None:
                return found
        if fact not in self._encoded:
            self._encoded[fact] = encoded(self._arrays[fact])
        return self._encoded[fact]

    def unreadable(self) -> Rows | None:
        """The rows in which a fact that was asked for cannot be read."""
        rows = None
        for column in self._encoded.values():
            wrong = [place for place, value in enumerate(column.values) if value is UNREADABLE]
            if wrong:
                found = np.isin(column.codes, wrong)
                rows = found if rows is None else rows | found
        return rows


class States:
    """The classes of remembered states, for a group of experiences."""

    __slots__ = ("_classes", "_exclusions", "_experiences", "_questions", "representatives")

    def __init__(self, experiences: Sequence[Experience]) -> None:
        self._experiences = experiences
        self._questions = {
            fact.name: FactQuestion(_conditions(experiences, fact), apart=True, missing=False)
            for experience in experiences
            for fact, _ in asked(experience)
            if not fact.of_location
        }
        """Of every attribute, as a segment may stand in for one that no column gives."""
        self._exclusions = [
            audience.exclusion
            for experience in experiences
            for audience in experience.audiences
            if audience.exclusion is not None
        ]
        self._classes: dict[object, int] = {}
        self.representatives: list[VisitorState] = []

    def class_of(self, value: object) -> int:
        """The class of a state; what cannot be read counts as nothing remembered."""
        state = value if isinstance(value, VisitorState) else UNSEEN
        signature = self._signature(state)
        found = self._classes.get(signature)
        if found is None:
            found = self._classes[signature] = len(self.representatives)
            self.representatives.append(state)
        return found

    def _signature(self, state: VisitorState) -> object:
        facts = Facts("-", state=state)
        stored = [state.bucketing.get(experience.id) for experience in self._experiences]
        with one_call():
            merged = [
                each.signature(state.segments[name]) if name in state.segments else None
                for name, each in self._questions.items()
            ]
        return (
            tuple(
                known if known is not None and known in experience.variations else None
                for known, experience in zip(stored, self._experiences, strict=True)
            ),
            tuple(each.holds(state.bucketing) for each in self._exclusions),
            tuple(is_in_segments(each.segments, facts) for each in self._experiences if each.segments),
            tuple(merged),
        )


class Setting(NamedTuple):
    """The facts that are the same for every row."""

    attributes: Mapping[str, object] = NOTHING
    location: Place = NOTHING
    environment: str | None = None
    nulls_are_missing: bool = False
    with_states: bool = False


Coded = tuple[npt.NDArray[np.int64], Codes]
"""Classes, and for each row the place of its own among them."""
Judge = Callable[[Decision], int]
"""Gives the number of what a decision leads to that was made for a kind of visitor, without an id."""


class Group:
    """Experiences that ask for the same facts, and what was decided for each kind of visitor so far."""

    def __init__(
        self,
        project: CompiledProject,
        experiences: Sequence[Experience],
        facts: Sequence[Fact],
        setting: Setting,
        judges: Sequence[Judge],
    ) -> None:
        self.experiences = experiences
        self._project = project
        self._setting = setting
        self._judges = judges
        self._questions = {
            fact: FactQuestion(
                _conditions(experiences, fact),
                apart=setting.with_states,
                missing=setting.nulls_are_missing,
            )
            for fact in facts
        }
        self._states = States(experiences) if setting.with_states else None
        self._decided: dict[tuple[int, ...], list[int]] = {}
        self._sizes: tuple[int, ...] = ()
        self._tables: list[Outcomes] = []

    def outcomes(self, batch: BatchFacts) -> list[Outcomes]:
        """For each experience the outcome of each row."""
        coded = self._coded(batch)
        if not coded:
            return [np.full(batch.size, each, np.int64) for each in self._decide(())]
        counts = [len(each.representatives) for each in self._questions.values()]
        if self._states is not None:
            counts.append(len(self._states.representatives))
        # With room for further classes, so that few tables are laid anew.
        sizes = tuple(1 << (count - 1).bit_length() for count in counts)
        total = prod(sizes)
        if total > _LARGEST_CODE:
            return self._compared(coded)
        codes = _combined(coded, sizes)
        if total > _LARGEST_TABLE:
            unique, places = np.unique(codes, return_inverse=True)
            return self._listed([_digits(code, sizes) for code in unique.tolist()], places)
        if sizes != self._sizes:
            self._lay(sizes, total)
        places = codes.astype(np.intp, copy=False)  # once, and not by each `take`
        found = self._tables[0].take(places, mode="clip")
        if found.min(initial=0) < 0:
            for code in np.unique(codes[found < 0]).tolist():
                self._enter(code, sizes)
            found = self._tables[0].take(places, mode="clip")
        return [found, *(table.take(places, mode="clip") for table in self._tables[1:])]

    def _coded(self, batch: BatchFacts) -> list[Coded]:
        """The classes of each fact that is asked for, and of the states, with the rows' places in them."""
        coded: list[Coded] = []
        for fact, question in self._questions.items():
            column = batch.column(fact, question)
            coded.append((question.classes(column), question.codes(column)))
        if self._states is not None and batch.states is not None:
            classes = [self._states.class_of(each) for each in batch.states.values]
            coded.append((np.array(classes, np.int64), batch.states.codes))
        return coded

    def _compared(self, coded: Sequence[Coded]) -> list[Outcomes]:
        """The outcomes where no whole number of 64 bits tells all combinations apart."""
        rows = np.stack([classes.take(places, mode="clip") for classes, places in coded], axis=1)
        kinds, places = np.unique(rows, axis=0, return_inverse=True)
        return self._listed([tuple(kind) for kind in kinds.tolist()], places.reshape(-1))

    def _listed(self, kinds: Sequence[tuple[int, ...]], places: Codes) -> list[Outcomes]:
        """The outcomes where there are more combinations than a table can hold."""
        rows = np.array([self._decide(kind) for kind in kinds], np.int64).reshape(-1, len(self.experiences))
        return [column.take(places) for column in rows.T]

    def _lay(self, sizes: tuple[int, ...], total: int) -> None:
        """Lay tables for as many classes as there are now, with what is decided already."""
        self._sizes = sizes
        self._tables = [np.full(total, -1, np.int64) for _ in self.experiences]
        for classes, outcomes in self._decided.items():
            code, stride = 0, 1
            for each, size in zip(classes, sizes, strict=True):
                code += each * stride
                stride *= size
            for table, outcome in zip(self._tables, outcomes, strict=True):
                table[code] = outcome

    def _enter(self, code: int, sizes: tuple[int, ...]) -> None:
        for table, outcome in zip(self._tables, self._decide(_digits(code, sizes)), strict=True):
            table[code] = outcome

    def _decide(self, classes: tuple[int, ...]) -> list[int]:
        """The core's decision for one kind of visitor, in each experience."""
        known = self._decided.get(classes)
        if known is None:
            if len(self._decided) >= _LARGEST_TABLE:
                self._decided.clear()
            known = self._decided[classes] = [
                judge(decide(self._project, self._facts(classes), each.key))
                for each, judge in zip(self.experiences, self._judges, strict=True)
            ]
        return known

    def _facts(self, classes: tuple[int, ...]) -> Facts:
        attributes = dict(self._setting.attributes)
        place = self._setting.location
        located = dict(place) if isinstance(place, Mapping) else {}
        for (fact, question), number in zip(
            self._questions.items(), classes, strict=False
        ):  # the state comes last
            value = question.representatives[number]
            if value is not MISSING:
                (located if fact.of_location else attributes)[fact.name] = value
        state = UNSEEN if self._states is None else self._states.representatives[classes[-1]]
        return Facts(
            "-",
            attributes,
            located if isinstance(place, Mapping) else place,
            self._setting.environment,
            state,
        )


def _combined(coded: Sequence[Coded], sizes: tuple[int, ...]) -> Codes:
    """The combination of classes of each row as one number, of which each class is a digit."""
    codes: Codes | None = None
    stride = 1
    kind: type[np.signedinteger] = np.int16 if prod(sizes) <= _SMALL_TABLE else np.int64
    for (classes, places), size in zip(coded, sizes, strict=True):
        part: Codes = (classes * stride).astype(kind).take(places, mode="clip")
        codes = part if codes is None else np.add(codes, part, codes)
        stride *= size
    assert codes is not None  # noqa: S101  # there is a question
    return codes


def _digits(code: int, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """The classes that a code stands for."""
    found = []
    for size in sizes:
        code, digit = divmod(code, size)
        found.append(digit)
    return tuple(found)
