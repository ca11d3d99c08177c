"""The smallest change of facts, beside a search that tries everything and asks the gates of `decide` each time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations, product

from hypothesis import given, settings
from hypothesis import strategies as st

from convert_sdk import Client, Project
from convert_sdk._core.decide import closed_gate
from convert_sdk._core.facts import ANYWHERE, Facts
from convert_sdk._core.model import Experience
from convert_sdk._core.rules import Condition, Rules
from convert_sdk._core.values import MISSING
from convert_sdk.analysis import Counterfactual, counterfactual
from convert_sdk.analysis.border_values import Border, border_values
from convert_sdk.analysis.counterfactual import LOCATION_UNKNOWN
from tests.documents import Json, document, entity, leaf
from tests.documents import experience as described
from tests.strategies import Guest, documents, guests, parsed

Fact = tuple[str, str]


def leaves(rule_sets: Iterable[Rules | None]) -> list[Condition]:
    groups = [any_of for rules in rule_sets for all_of in rules or () for any_of in all_of]
    return [each for any_of in groups for each in any_of if not each.problem]


def candidates(experience: Experience, facts: Facts) -> dict[Fact, list[object]]:
    """For each fact that the experience asks for, the values on and beside all its borders."""
    places = experience.locations
    located = leaves([experience.site_area] if places is None else [each.rules for each in places])
    asked = leaves(each.rules for each in experience.audiences if each.exclusion is None)
    found: dict[Fact, list[Border]] = {}
    for where, conditions in (("location", located), ("attributes", asked)):
        for each in conditions:
            found.setdefault((where, each.key), []).append(Border(each.match_type, each.comparand))
    if facts.location is ANYWHERE:
        found = {fact: borders for fact, borders in found.items() if fact[0] != "location"}
    return {fact: border_values(borders) for fact, borders in found.items()}


def opens(experience: Experience, facts: Facts, changes: Mapping[Fact, object]) -> bool:
    """The answer of `decide`'s own gates for changed facts."""
    places: dict[str, dict[str, object]] = {
        "attributes": dict(facts._data()),
        "location": dict(facts.location) if isinstance(facts.location, Mapping) else {},
    }
    for (where, key), value in changes.items():
        if value is MISSING:
            places[where].pop(key, None)
        else:
            places[where][key] = value
    location = facts.location if not isinstance(facts.location, Mapping) else places["location"]
    if facts.location is None and any(where == "location" for where, _ in changes):
        location = places["location"]
    changed = Facts(facts.id, places["attributes"], location, facts.environment, facts._state)
    stored = facts._state.bucketing.get(experience.id)
    sticky = experience.variations.get(stored) if stored is not None else None
    return closed_gate(experience, changed, sticky) is None


def any_opens(experience: Experience, facts: Facts, size: int) -> bool:
    """True if some change of exactly so many facts opens the gates."""
    tried = candidates(experience, facts)
    for chosen in combinations(tried, size):
        for values in product(*(tried[fact] for fact in chosen)):
            if opens(experience, facts, dict(zip(chosen, values, strict=True))):
                return True
    return False


@given(documents(), guests)
@settings(max_examples=25)
def test_it_is_the_smallest(raw: Json, guest: Guest) -> None:
    project: Project = parsed(raw)
    visitor = guest.visit(project)
    visitor.peek_all()  # what is remembered is loaded by a verb
    for experience in project.experiences:
        found = counterfactual(visitor, experience.key)
        changes = {
            (change.where, change.key): MISSING if change.removed else change.after
            for change in found.changes
        }
        if found.found:
            assert opens(experience, visitor, changes)
            assert found.minimal
            assert not any(any_opens(experience, visitor, size) for size in range(len(changes)))
        elif LOCATION_UNKNOWN in found.closed:
            there = counterfactual(visitor.with_context(location={}), experience.key)
            assert found.changes == there.changes
            assert sorted(found.closed) == sorted([*there.closed, LOCATION_UNKNOWN])
            assert found.unsolved == there.unsolved
        else:
            assert found.closed or found.unsolved
            assert not any(any_opens(experience, visitor, size) for size in range(3))


@given(documents(), guests)
@settings(max_examples=8)
def test_it_names_nothing_where_nothing_is_needed(raw: Json, guest: Guest) -> None:
    project = parsed(raw)
    visitor = guest.visit(project)
    visitor.peek_all()  # what is remembered is loaded by a verb
    for experience in project.experiences:
        found: Counterfactual = counterfactual(visitor, experience.key)
        assert (found.found and not found.changes) == opens(experience, visitor, {})


FEW = [f"k{number}" for number in range(8)]
parts = st.lists(st.lists(st.sampled_from(FEW), min_size=1, max_size=2), min_size=1, max_size=3)
"""The rules of an audience: one of the lists, and in it the keys that must all be "yes"."""


@given(st.lists(parts, min_size=4, max_size=9))
@settings(max_examples=15)
def test_of_many_audiences_with_few_keys_it_is_the_smallest(wanted: list[list[list[str]]]) -> None:
    audiences = [
        entity(
            str(50 + place),
            f"a{place}",
            {"OR": [{"AND": [{"OR_WHEN": [leaf(key, "yes")]} for key in keys]} for keys in alternatives]},
        )
        for place, alternatives in enumerate(wanted)
    ]
    options = {"matching_options": {"audiences": "all"}}
    taking = described(audiences=[each["id"] for each in audiences], settings=options)
    visitor = Client.offline(parsed(document(taking, audiences=audiences))).visitor("v-1", location={})
    found = counterfactual(visitor, "checkout")

    def takes(chosen: tuple[str, ...]) -> bool:
        return all(any({*keys} <= {*chosen} for keys in alternatives) for alternatives in wanted)

    fewest = next(size for size in range(9) if any(takes(chosen) for chosen in combinations(FEW, size)))
    assert found.found
    assert found.minimal
    assert takes(tuple(change.key for change in found.changes))
    assert len(found.changes) == fewest
