"""The counterfactual of a decision: the smallest change of facts that lets a visitor take part.

Location and attributes are independent, so each is solved alone. The rules are an OR of ANDs of ORs, and what a
condition says of a value depends on that value alone, so of all values of a key only those matter whose conditions
hold where no other value's do as well and more. Sizes are tried from none upwards: the first set that is found is
the smallest among the values tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, islice, product
from math import prod
from typing import NamedTuple

from mmh3 import mmh3_32_uintdigest

from convert_sdk._core.bucketing import scale
from convert_sdk._core.decide import closed_gate, hash_input
from convert_sdk._core.events import to_json
from convert_sdk._core.facts import ANYWHERE, Facts, Place
from convert_sdk._core.js_regex.budget import one_call
from convert_sdk._core.model import Audience, CompiledProject, Experience, Variation
from convert_sdk._core.rules import AllOf, Condition, as_data, matches
from convert_sdk._core.values import MISSING, tree
from convert_sdk.errors import UnknownNameError
from convert_sdk.visitor import Visitor

from .border_values import Border, border_values
from .description import segment_names
from .vocabulary import near_names

LOCATION_UNKNOWN = "the location is not known: give one, which may be empty"
"""The gate that is closed where the location's rules hold, and nobody said where the visitor is."""
_MOST_STEPS = 4_000
"""Steps of one search; what has more alternatives gets a change that may not be the smallest."""
_MOST_CONDITIONS = 2_000
"""Conditions in all alternatives together."""
_FEW_KEYS = 8
_MOST_TRIES = 3**_FEW_KEYS
"""Sets of values that are tried for a few keys: two for each beside the present one, in every combination."""


class FactChange(NamedTuple):
    """One fact that would have to be another."""

    where: str
    """`attributes` or `location`."""
    key: str
    before: object
    """The value now; None where there is none, which `known` tells apart."""
    known: bool
    after: object
    """The value that it takes; None where the fact must go, which `removed` tells apart."""
    removed: bool

    def __repr__(self) -> str:
        return f"FactChange({self.where!r}, {self.key!r})"

    def __str__(self) -> str:
        name = f"{self.where}.{self.key}"
        if self.removed:
            return f"no {name}, in place of {to_json(self.before)}"
        before = to_json(self.before) if self.known else "nothing"
        return f"{name} = {to_json(self.after)}, in place of {before}"

    def to_dict(self) -> dict[str, object]:
        """The same as values of JSON."""
        return self._asdict()


class TrafficShare(NamedTuple):
    """The part of the traffic that takes part, and whether it has this visitor."""

    percent: float
    bucket_value: int
    variation: str | None
    """The key of the variation that the bucket value belongs to; None where it belongs to none."""
    sticky: bool = False
    """True if the visitor has the variation from an earlier decision."""

    def __str__(self) -> str:
        if self.sticky:
            return f"the visitor keeps {self.variation}"
        share = f"at {self.percent:g} % traffic"
        if self.variation is None:
            return f"{share}, bucket value {self.bucket_value} gets no variation, whatever the facts"
        return f"{share}, bucket value {self.bucket_value} gets {self.variation}"


class Counterfactual(NamedTuple):
    """The change of facts that lets a visitor take part. `str()` is for people, `to_json()` for tools.

    It holds the visitor's attributes: show it, do not log it.

    >>> from convert_sdk.analysis import counterfactual
    >>> found = counterfactual(client.visitor("v-42", {"country": "FR"}), "shipping-banner")
    >>> print(found)
    shipping-banner: the smallest change that lets the visitor take part
      attributes.country = "DE", in place of "FR"
      at 100 % traffic, bucket value 6804 gets on
    """

    key: str
    found: bool
    """True if the gates that facts open are open, or would be with `changes`."""
    changes: tuple[FactChange, ...]
    minimal: bool
    """True if no smaller set of changes among the values tried does it."""
    closed: tuple[str, ...]
    """The gates that no fact opens."""
    unsolved: tuple[str, ...]
    """The gates that facts could open, for which no value was found."""
    traffic: TrafficShare | None

    def __repr__(self) -> str:
        return f"Counterfactual({self.key!r}, {len(self.changes)} changes)"

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        if self.found and not self.changes:
            yield f"{self.key}: the facts are enough"
        elif self.found:
            which = "the smallest change" if self.minimal else "a small change"
            yield f"{self.key}: {which} that lets the visitor take part"
            yield from (f"  {change}" for change in self.changes)
        else:
            yield f"{self.key}: not found"
            yield from (f"  {change}" for change in self.changes)
        yield from (f"  no value was found for the {gate}" for gate in self.unsolved)
        yield from (f"  no fact opens this: {gate}" for gate in self.closed)
        if self.traffic is not None:
            yield f"  {self.traffic}"

    def to_dict(self) -> dict[str, object]:
        """The same as values of JSON."""
        traffic = None if self.traffic is None else self.traffic._asdict()
        return {
            **self._asdict(),
            "changes": [change.to_dict() for change in self.changes],
            "traffic": traffic,
        }

    def to_json(self) -> str:
        """The same as JSON text."""
        return to_json(self.to_dict())


class Solution(NamedTuple):
    """The values that some facts take; `MISSING` for one that goes."""

    values: Mapping[str, object]
    proven: bool


def counterfactual(visitor: Visitor, key: str) -> Counterfactual:
    """The smallest change of a visitor's facts with which an experience takes them.

    Args:
        visitor: The visitor, whose attributes, location and state count.
        key: The experience's key.

    Raises:
        UnknownNameError: The project has no such experience.
    """
    visitor.peek(key)  # what is remembered is loaded by a verb
    known = visitor.project
    experience = known.experiences.get(key) if known is not None else None
    if known is None or experience is None:
        keys = [each.key for each in known.experiences] if known is not None else []
        raise UnknownNameError(key, "experience", near_names(key, keys))
    with one_call():
        return _Question(known, visitor, experience).answer()


class _Question:
    """One visitor and one experience."""

    def __init__(self, project: CompiledProject, facts: Facts, experience: Experience) -> None:
        self.project = project
        self.facts = facts
        self.experience = experience
        state = facts._state
        stored = state.bucketing.get(experience.id)
        self.sticky = experience.variations.get(stored) if stored is not None else None
        self.closed: list[str] = []
        self.unsolved: list[str] = []
        self.changes: list[FactChange] = []
        self.minimal = True

    def answer(self) -> Counterfactual:
        self._gates_beside_facts()
        place = self._solve_location()
        attributes = self._solve_audiences()
        solved = not self.unsolved and not self.closed
        if solved and not self._opens(attributes, place):
            self.unsolved.append("facts that the visitor's segments override")
            solved = False
        return Counterfactual(
            self.experience.key,
            solved,
            tuple(self.changes),
            self.minimal and solved,
            tuple(self.closed),
            tuple(self.unsolved),
            self._traffic() if self.experience.variations else None,
        )

    def _gates_beside_facts(self) -> None:
        experience, facts = self.experience, self.facts
        if experience.archived:
            self.closed.append("the experience is archived")
        if experience.environment is not None and experience.environment != facts.environment:
            given = facts.environment or "none"
            self.closed.append(f"it runs in the environment {experience.environment}, and not in {given}")
        custom = facts._state.segments.get("customSegments")
        held = custom if isinstance(custom, (list, tuple)) else ()
        if experience.segments and not any(each in experience.segments for each in held):
            names = ", ".join(segment_names(self.project, experience.segments))
            self.closed.append(f"it is for the segments {names}, which the application gives")
        if not experience.variations:
            self.closed.append("it has no variations")

    def _solve_location(self) -> Place:
        place, experience = self.facts.location, self.experience
        if place is ANYWHERE or (place is not None and experience.unrestricted):
            return place
        data = {} if place is None else as_data(place) or {}
        sets = (
            [each.rules for each in experience.locations]
            if experience.locations is not None
            else [experience.site_area]
        )
        holds_empty = experience.unrestricted or any(rules and matches(rules, {}) for rules in sets)
        if place is None and holds_empty:
            self.closed.append(LOCATION_UNKNOWN)
            return data
        alternatives = [all_of for rules in sets for all_of in rules or ()]
        return self._apply("location", self._fewest([alternatives], data, frozenset()), data)

    def _solve_audiences(self) -> Mapping[str, object]:
        facts, experience = self.facts, self.experience
        data = facts._data()
        audiences = experience.audiences if self.sticky is None else experience.transient
        bound = frozenset(facts._state.segments)
        if not audiences:
            return data
        open_already = [self._takes(audience, data) for audience in audiences]
        if all(open_already) if experience.match_all else any(open_already):
            return data
        left = [each for each, is_open in zip(audiences, open_already, strict=True) if not is_open]
        by_facts = [each for each in left if each.exclusion is None and each.rules]
        beside = [each for each in left if each not in by_facts]
        if experience.match_all:
            self.closed += [f"the audience {each.key}: {_beside_facts(each)}" for each in beside]
            asked = [each for each in audiences if each.exclusion is None and each.rules]
            sets = [each.rules or () for each in asked]
            return self._apply("audiences", self._fewest(sets, data, bound), data)
        if not by_facts:
            self.closed += [f"the audience {each.key}: {_beside_facts(each)}" for each in beside]
            return data
        alternatives = [all_of for each in by_facts for all_of in each.rules or ()]
        return self._apply("audiences", self._fewest([alternatives], data, bound), data)

    def _takes(self, audience: Audience, data: Mapping[str, object]) -> bool:
        if audience.exclusion is not None:
            return audience.exclusion.holds(self.facts._state.bucketing)
        return audience.rules is not None and matches(audience.rules, data)

    def _fewest(
        self, sets: Sequence[Sequence[AllOf]], data: Mapping[str, object], bound: frozenset[str]
    ) -> Solution | None:
        """The smallest change with which an alternative of each set holds; where they are too many, a small one."""
        solution = None
        is_many = len(sets) > 1 and prod(map(len, sets)) * sum(map(_size, sets)) > _MOST_CONDITIONS
        if not is_many:
            solution = smallest_change(_together(sets), data, bound, prove=self.minimal)
            if not self.minimal or (solution is not None and solution.proven):
                return solution
        few = smallest_of_few_keys(sets, data, bound) if self.minimal else None
        if few is not None or not is_many:
            return few or solution
        self.minimal = False
        best = [(min(rules, key=lambda all_of: _unmet(all_of, data)),) for rules in sets]
        return smallest_change(_together(best), data, bound, prove=False)

    def _apply(
        self, gate: str, solution: Solution | None, data: Mapping[str, object]
    ) -> Mapping[str, object]:
        if solution is None:
            self.unsolved.append(gate)
            return data
        self.minimal = self.minimal and solution.proven
        where = "location" if gate == "location" else "attributes"
        changed = dict(data)
        for key, value in solution.values.items():
            before = data.get(key, MISSING)
            removed = value is MISSING
            self.changes.append(
                FactChange(
                    where,
                    key,
                    None if before is MISSING else tree(before),
                    before is not MISSING,
                    None if removed else value,
                    removed,
                )
            )
            if removed:
                changed.pop(key, None)
            else:
                changed[key] = value
        return changed

    def _opens(self, attributes: Mapping[str, object], place: Place) -> bool:
        """True if `decide` sees it in the same way."""
        facts = self.facts
        changed = Facts(facts.id, attributes, place, facts.environment, facts._state)
        return closed_gate(self.experience, changed, self.sticky) is None

    def _traffic(self) -> TrafficShare:
        experience = self.experience
        ranges = experience.split.ranges
        percent = sum(max(0.0, each.end - each.start) for each in ranges) / 100
        hashed = mmh3_32_uintdigest(hash_input(experience, self.facts), experience.seed)
        value = scale(hashed, experience.bucketing.max_traffic)
        owner = experience.split.pick(value)
        arm: Variation | None = experience.variations.get(owner) if owner is not None else None
        if self.sticky is not None:
            return TrafficShare(percent, value, self.sticky.key, sticky=True)
        return TrafficShare(percent, value, None if arm is None else arm.key)


def _beside_facts(audience: Audience) -> str:
    return str(audience.exclusion) if audience.exclusion is not None else "it has no rules that can hold"


def smallest_change(
    alternatives: Sequence[AllOf],
    data: Mapping[str, object],
    bound: frozenset[str] = frozenset(),
    *,
    prove: bool = True,
) -> Solution | None:
    """The fewest facts to change so that one of the alternatives holds; None where no value does it.

    Args:
        alternatives: Each holds where all of its groups do.
        data: The facts as they are.
        bound: The facts that cannot be removed.
        prove: Try every smaller size first.
    """
    chosen = [all_of for all_of in alternatives if all_of]
    if _size(chosen) > _MOST_CONDITIONS:
        chosen = sorted(chosen, key=lambda all_of: _unmet(all_of, data))[: _MOST_CONDITIONS // 20]
    searches = [_Search(all_of, data, bound) for all_of in chosen]
    budget = _Budget(_MOST_STEPS)
    most = max((len(search.keys) for search in searches), default=-1) if prove else -1
    for size in range(most + 1):
        for search in searches:
            if size <= len(search.keys):
                found = search.within(size, budget)
                if found is not None:
                    return Solution(found, len(chosen) == len(alternatives))
        if budget.is_spent:
            break
    budget = _Budget(_MOST_STEPS)
    for search in searches:  # no proof that it is the smallest
        found = search.within(len(search.keys), budget)
        if found is not None:
            return Solution(found, proven=False)
    return None


def smallest_of_few_keys(
    sets: Sequence[Sequence[AllOf]], data: Mapping[str, object], bound: frozenset[str]
) -> Solution | None:
    """The fewest facts to change so that an alternative of each set holds, by trying every change of these keys.

    Args:
        sets: Of each, one alternative is to hold.
        data: The facts as they are.
        bound: The facts that cannot be removed.

    Returns:
        None where no value does it, or there is too much to try.
    """
    leaves = _leaves_by_key(group for alternatives in sets for all_of in alternatives for group in all_of)
    if len(leaves) > _FEW_KEYS:
        return None
    values = {key: _best_values(asked, key, data, bound) for key, asked in leaves.items()}
    every_change = (
        dict(zip(keys, chosen, strict=True))
        for size in range(len(leaves) + 1)
        for keys in combinations(leaves, size)
        for chosen in product(*(values[key] for key in keys))
    )
    for taken in islice(every_change, _MOST_TRIES):
        changed = {**data, **taken}
        if all(any(_hold(all_of, changed) for all_of in alternatives) for alternatives in sets):
            return Solution(taken, proven=True)
    return None


def _hold(all_of: AllOf, data: Mapping[str, object]) -> bool:
    """True if every group has a condition that holds."""
    return bool(all_of) and all(
        any(not leaf.problem and leaf.test(data.get(leaf.key, MISSING)) for leaf in group) for group in all_of
    )


def _together(sets: Sequence[Sequence[AllOf]]) -> list[AllOf]:
    """One alternative of each set, in every combination."""
    return [tuple(group for all_of in chosen for group in all_of) for chosen in product(*sets)]


def _leaves_by_key(groups: Iterable[Iterable[Condition]]) -> dict[str, list[Condition]]:
    """The conditions that a value can satisfy, by the key that they ask for."""
    found: dict[str, list[Condition]] = {}
    for leaf in (leaf for any_of in groups for leaf in any_of if not leaf.problem):
        found.setdefault(leaf.key, []).append(leaf)
    return found


def _size(alternatives: Iterable[AllOf]) -> int:
    """The number of conditions."""
    return sum(len(any_of) for all_of in alternatives for any_of in all_of)


def _unmet(all_of: AllOf, data: Mapping[str, object]) -> int:
    """The number of groups that do not hold."""
    return sum(not any(leaf.test(data.get(leaf.key, MISSING)) for leaf in any_of) for any_of in all_of)


class _Budget:
    """The steps that may still be made."""

    __slots__ = ("left",)

    def __init__(self, steps: int) -> None:
        self.left = steps

    @property
    def is_spent(self) -> bool:
        return self.left <= 0


class _Search:
    """The search in one alternative."""

    def __init__(self, all_of: AllOf, data: Mapping[str, object], bound: frozenset[str]) -> None:
        self.groups = all_of
        self.data = data
        leaves = _leaves_by_key(all_of)
        self.keys = list(leaves)
        self.values = {key: _best_values(asked, key, data, bound) for key, asked in leaves.items()}

    def within(self, size: int, budget: _Budget) -> dict[str, object] | None:
        """The first set of at most `size` changes; None where there is none, or the budget is spent."""
        return self._from({}, size, budget)

    def _from(self, taken: dict[str, object], left: int, budget: _Budget) -> dict[str, object] | None:
        budget.left -= 1 + len(self.groups) // 4
        if budget.is_spent:
            return None
        open_group = next((group for group in self.groups if not self._holds(group, taken)), None)
        if open_group is None:
            return dict(taken)
        if left == 0:
            return None
        for leaf in open_group:
            if leaf.problem or leaf.key in taken:
                continue
            for value in self.values[leaf.key]:
                if leaf.test(value):
                    found = self._from({**taken, leaf.key: value}, left - 1, budget)
                    if found is not None:
                        return found
        return None

    def _holds(self, group: Iterable[Condition], taken: Mapping[str, object]) -> bool:
        return any(
            leaf.test(taken[leaf.key] if leaf.key in taken else self.data.get(leaf.key, MISSING))
            for leaf in group
        )


def _best_values(
    leaves: Sequence[Condition], key: str, data: Mapping[str, object], bound: frozenset[str]
) -> list[object]:
    """The values of a key of which no other satisfies the same conditions and more."""
    best: dict[tuple[bool, ...], object] = {}
    for value in border_values(Border(leaf.match_type, leaf.comparand) for leaf in leaves):
        if value is MISSING and (key not in data or key in bound):
            continue
        best.setdefault(tuple(leaf.test(value) for leaf in leaves), value)
    return [
        value for one, value in best.items() if any(one) and not any(_is_less(one, other) for other in best)
    ]


def _is_less(one: tuple[bool, ...], other: tuple[bool, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
