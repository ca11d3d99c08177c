"""Overrides: a variation or a feature that an application, a test or a file names in place of the rules."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from .casting import UNCASTABLE, cast
from .decide import timed_gate, without_experience
from .decision import Decision, DecisionParts, DetachedDecision, Reason, ResolvedFeature
from .explain import Explanation, GateTrace, traced_gates
from .facts import Facts
from .goals import OverriddenKeys
from .model import CompiledProject, Experience, Feature
from .state import NOTHING


class Override(NamedTuple):
    """One override, of an experience or of a feature."""

    key: str
    """The key of the experience or the feature, which the document may lack."""
    is_feature: bool = False
    variation: str | None = None
    """The key of the variation; None for no variation."""
    enabled: bool = True
    """False for no variation, and for a feature that is off."""
    variables: Mapping[str, object] = NOTHING
    gates: bool = False
    """True if the gates of the experience are asked all the same."""
    visitor_id: str | None = None
    """The one visitor whom it is for; None for all of them."""
    source: str = "client.override"
    """Its origin, for explanations."""
    only_unknown: bool = False
    """True if it counts only where the document has no such key."""

    def __repr__(self) -> str:
        if self.is_feature:
            return f"Override(feature {self.key!r})"
        return f"Override(experience {self.key!r}, {self.variation!r})"


def applies(override: Override, project: CompiledProject | None, visitor_id: str) -> bool:
    """True if an override is for this visitor, and for what this document has or lacks."""
    if override.visitor_id is not None and override.visitor_id != visitor_id:
        return False
    if not override.only_unknown or project is None:
        return True
    return (project.features if override.is_feature else project.experiences).get(override.key) is None


def overridden_decision(project: CompiledProject | None, facts: Facts, override: Override) -> Decision:
    """The decision of an override: nothing is stored and nothing is sent."""
    key = override.key
    experience = None if project is None else project.experiences.get(key)
    if override.gates:
        if project is None:
            return without_experience(key, Reason.NOT_READY)
        if experience is not None:
            stored = facts._state.bucketing.get(experience.id)
            sticky = experience.variations.get(stored) if stored is not None else None
            closed = timed_gate(experience, facts, sticky)
            if closed is not None:
                return Decision(key, closed, experience)
    if not override.enabled or override.variation is None:
        return Decision(key, Reason.OVERRIDE, experience)
    variation = None if experience is None else experience.variation(override.variation)
    if variation is not None:
        return Decision(key, Reason.OVERRIDE, experience, variation)
    experience_id = None if experience is None else experience.id
    parts = DecisionParts(key, Reason.OVERRIDE, None, experience_id, None, override.variation, None)
    return DetachedDecision.of(parts)


def overridden_feature(project: CompiledProject | None, override: Override) -> ResolvedFeature:
    """The feature as an override sets it; one that the document lacks has a key alone."""
    key = override.key
    feature = None if project is None else project.features.get(key)
    if not override.enabled:
        return ResolvedFeature.disabled(key, feature)
    decision, given = Decision(key, Reason.OVERRIDE), override.variables
    if feature is None:
        return ResolvedFeature(None, key, None, decision, given, given)
    return ResolvedFeature(feature.id, key, feature.name, decision, _typed(given, feature), given)


def _typed(given: Mapping[str, object], feature: Feature) -> dict[str, object]:
    """The variables in their declared types, as those of a document; what cannot be cast is missing."""
    types = {variable.key: variable.type for variable in feature.variables}
    typed = {name: cast(value, types.get(name, "")) for name, value in given.items()}
    return {name: value for name, value in typed.items() if value is not UNCASTABLE}


def explain_override(
    project: CompiledProject | None, facts: Facts, override: Override, decision: Decision
) -> Explanation:
    """The explanation of a decision that an override made."""
    experience = None if project is None else project.experiences.get(override.key)
    lacking, wanted = "", "no variation"
    if experience is None:
        lacking = "; the document has no such experience"
    if override.variation is not None:
        wanted = f"variation {override.variation!r}"
        if experience is not None and experience.variation(override.variation) is None:
            lacking = "; the document has no such variation"
    whom = "every visitor" if override.visitor_id is None else "this visitor"
    trace = GateTrace("override", True, f"{wanted} for {whom}, by {override.source}{lacking}")
    asked = traced_gates(experience, facts) if override.gates and experience is not None else ()
    return Explanation(decision, facts.id, (trace, *asked))


def without_overridden(
    bucketing: Mapping[str, str], project: CompiledProject, keys: OverriddenKeys
) -> Mapping[str, str]:
    """The decisions without those of overridden experiences, and of the carriers of overridden features."""
    overridden: set[str] = set()
    for key in keys.experiences:
        experience = project.experiences.get(key)
        if experience is not None:
            overridden.add(experience.id)
    for key in keys.features:
        feature = project.features.get(key)
        if feature is not None:
            overridden.update(carrier.id for carrier in project.carriers(feature.id))
    return {key: value for key, value in [*bucketing.items()] if key not in overridden}


def is_covered(experience: Experience, features: Collection[str]) -> bool:
    """True if an experience changes features, and all of these are overridden: then nobody sees its variation."""
    changes = [change for arm in experience.variations.values() for change in arm.changes]
    return bool(changes) and all(
        change.feature is not None and change.feature.key in features for change in changes
    )
