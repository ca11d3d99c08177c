"""The decision: the variation of a visitor in one experience, and the reason."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import dropwhile

from mmh3 import mmh3_32_uintdigest

from .bucketing import id_bytes
from .decision import Decision, Reason
from .facts import ANYWHERE, Facts
from .js_regex.budget import one_call
from .layers import Layered
from .model import Audience, CompiledProject, Experience, Segment, Variation
from .rules import matches
from .values import MISSING
from .visitor_facts import WithVisitor, with_visitor


def decide(project: CompiledProject, facts: Facts, key: str, forced: str | None = None) -> Decision:
    """Ask the gates in order, then take the forced, the sticky or the bucketed variation.

    Nothing is stored and nothing is sent. `forced` is a variation id; an unknown one is ignored.
    """
    experience = project.experiences.found.get(key) or project.experiences.get(key)
    if experience is None:
        return without_experience(key, _UNKNOWN)
    state = facts._state
    stored = state.bucketing.get(experience.id)
    sticky = experience.variations.get(stored) if stored is not None else None
    conditions = experience.conditions
    if conditions is not None and facts.location is not None:
        get = (facts._merged if facts._merged_from is state.segments else facts._data()).get
        for name, test in conditions if sticky is None else experience.lasting_conditions:
            if not test(get(name, MISSING)):
                return refused_decision(experience) if experience.refused is None else experience.refused
    else:
        gate = timed_gate if experience.timed else closed_gate
        closed = gate(experience, facts, sticky)
        if closed is not None:
            return _new(Decision, (key, closed, experience, None, None))
    wanted = experience.variations.get(forced) if forced is not None else None
    if sticky is not None and (wanted is None or wanted is sticky):
        return sticky_decision(experience, sticky) if sticky.sticky is None else sticky.sticky
    whole = conditions is not None or not experience.ends_in_half_character
    text = experience.hashed + facts._hashed if whole else hash_input(experience, facts)
    hashed = mmh3_32_uintdigest(text, experience.seed)
    selected = experience.owners[bisect_right(experience.thresholds, hashed)]
    if wanted is not None:
        return _new(Decision, (key, _FORCED, experience, wanted, None if selected is None else hashed))
    if selected is None:
        return _new(Decision, (key, _NOT_ALLOCATED, experience, None, None))
    return _new(Decision, (key, _BUCKETED, experience, selected, hashed))


def decide_each(
    project: CompiledProject, facts: Facts, experiences: Iterable[Experience]
) -> Iterator[list[Decision]]:
    """`decide` for each experience, in runs: one run is to be remembered before the next is asked for.

    What is the same for all of a run is looked at once.
    """
    singly = facts.location is None or not project.experiences.distinct
    run: list[Decision] = []
    hashed_id, seed = facts._hashed, project.bucketing.seed
    bucketing, get = facts._state.bucketing, facts._data().get
    for experience in experiences:
        conditions = experience.conditions
        if conditions is None or singly or (bucketing and experience.id in bucketing):
            if run and (experience.depends_on_state or singly):
                yield run
                run = []
                bucketing, get = facts._state.bucketing, facts._data().get
            run.append(decide(project, facts, experience.key))
            continue
        for name, test in conditions:
            if not test(get(name, MISSING)):
                run.append(refused_decision(experience) if experience.refused is None else experience.refused)
                break
        else:
            hashed = mmh3_32_uintdigest(experience.hashed + hashed_id, seed)
            selected = experience.owners[bisect_right(experience.thresholds, hashed)]
            if selected is None:
                run.append(_new(Decision, (experience.key, _NOT_ALLOCATED, experience, None, None)))
            else:
                run.append(_new(Decision, (experience.key, _BUCKETED, experience, selected, hashed)))
    yield run


# Members of an enumeration and calls of a NamedTuple are slow to reach; a decision must not be.
_new = tuple.__new__
"""For `_new(Decision, …)` alone: 140 ns, where the class's own call takes 245 and a `partial` of this one 165."""
_UNKNOWN = Reason.UNKNOWN
_AUDIENCE = Reason.AUDIENCE
_NOT_ALLOCATED = Reason.NOT_ALLOCATED
_BUCKETED = Reason.BUCKETED
_STICKY = Reason.STICKY
_FORCED = Reason.FORCED


def without_experience(key: str, reason: Reason) -> Decision:
    """The decision where there is no experience. Raises TypeError for a key that is no text."""
    if not isinstance(key, str):
        raise TypeError(f"an experience's key must be a str, not {type(key).__name__}")
    return Decision(key, reason)


def refused_decision(experience: Experience) -> Decision:
    """The decision for whoever the audiences turn away: made once, as it names nobody."""
    experience.refused = decision = Decision(experience.key, _AUDIENCE, experience)
    return decision


def sticky_decision(experience: Experience, sticky: Variation) -> Decision:
    """The decision for whoever has the variation already: made once, as it names nobody."""
    sticky.sticky = decision = Decision(experience.key, _STICKY, experience, sticky)
    return decision


def hash_input(experience: Experience, facts: Facts) -> bytes:
    """The bytes to hash where the two ids may share a character, half of it in each."""
    return id_bytes((experience.id if experience.hashed else "") + facts.bucketing_id)


def closed_gate(experience: Experience, facts: Facts, sticky: Variation | None) -> Reason | None:
    """The first gate that turns the visitor away, or None."""
    if experience.archived:
        return Reason.ARCHIVED
    if experience.environment is not None and experience.environment != facts.environment:
        return Reason.ENVIRONMENT
    if facts.location is None or (not experience.unrestricted and not is_located(experience, facts)):
        return Reason.LOCATION
    audiences = experience.audiences if sticky is None else experience.transient
    if audiences and not is_in_audiences(audiences, facts, experience.match_all):
        return Reason.AUDIENCE
    if experience.segments and not is_in_segments(experience.segments, facts):
        return Reason.SEGMENT
    if not experience.variations:
        return Reason.NO_VARIATIONS
    return None


def timed_gate(experience: Experience, facts: Facts, sticky: Variation | None) -> Reason | None:
    """`closed_gate`, with its searches for regular expressions counted as one call."""
    with one_call():
        return closed_gate(experience, facts, sticky)


def is_located(experience: Experience, facts: Facts) -> bool:
    """True if the visitor is in any of the experience's locations, or in its site area."""
    place = facts.location
    if place is None or place is ANYWHERE:
        return place is ANYWHERE
    if type(place) is Layered:
        place = WithVisitor(place, facts)
    if experience.locations is not None:
        return any(x.rules is not None and matches(x.rules, place) for x in experience.locations)
    return experience.site_area is None or matches(experience.site_area, place)


def is_in_audiences(audiences: tuple[Audience, ...], facts: Facts, match_all: bool) -> bool:
    """True if all of the audiences, or any of them, take the visitor."""
    for audience in audiences:
        if is_in_audience(audience, facts) is not match_all:
            return not match_all
    return match_all


def is_in_audience(audience: Audience, facts: Facts) -> bool:
    """True if one audience takes the visitor; one without rules takes nobody."""
    if audience.exclusion is not None:
        return audience.exclusion.holds(facts._state.bucketing)
    data = facts._data()
    if type(data) is Layered:
        data = WithVisitor(data, facts)
    return audience.rules is not None and matches(audience.rules, data)


def is_in_segments(segments: frozenset[str], facts: Facts) -> bool:
    """True if the visitor was put into any of these custom segments."""
    custom = facts._state.segments.get("customSegments")
    return isinstance(custom, (list, tuple)) and any(isinstance(x, str) and x in segments for x in custom)


def known_decisions(project: CompiledProject, decisions: Mapping[str, str]) -> dict[str, str]:
    """Those decisions, variation ids by experience id, whose experience and variation the project has."""
    known: dict[str, str] = {}
    for experience_id, variation_id in decisions.items():
        experience = project.experiences.of_id(experience_id)
        if experience is not None and variation_id in experience.variations:
            known[experience_id] = variation_id
    return known


def segments_to_add(
    asked: Iterable[Segment], data: Mapping[str, object], known: Collection[object]
) -> list[Segment]:
    """The custom segments to add: the first one that holds and all after it, without those that are known."""
    held = dropwhile(lambda segment: not segment.matches(data), asked)
    return [segment for segment in held if segment.id not in known]


def updated_locations(experience: Experience, facts: Facts) -> tuple[str, ...] | None:
    """The visitor's remembered locations after a look at this experience's; None where nothing changed."""
    place = facts.location
    if not experience.locations or place is None or place is ANYWHERE:
        return None
    place = with_visitor(place, facts)
    before = facts._state.locations
    after = list(before)
    with one_call(resume=True):
        for location in experience.locations:
            if location.rules is None:
                continue
            if not matches(location.rules, place):
                after = [key for key in after if key != location.key]
            elif location.key not in after:
                after.append(location.key)
    return tuple(after) if after != list(before) else None


def looks_at_location(reason: Reason) -> bool:
    """True if a decision of this reason looked at the visitor's location at all."""
    return reason not in _BEFORE_LOCATION


_BEFORE_LOCATION = frozenset(
    {
        Reason.NOT_READY,
        Reason.UNKNOWN,
        Reason.UNKNOWN_VARIATION,
        Reason.ARCHIVED,
        Reason.ENVIRONMENT,
        Reason.OVERRIDE,
        Reason.PREVIEW,
    }
)
