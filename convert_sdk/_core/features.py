"""Features: what a visitor's decisions set them to."""

from __future__ import annotations

from collections.abc import Iterable

from .bucketing import property_order
from .decision import Decision, ResolvedFeature
from .model import CompiledProject


def resolve(project: CompiledProject, key: str, decisions: Iterable[Decision]) -> ResolvedFeature:
    """One feature: the first of the decisions that sets it enables it."""
    feature = project.features.get(key)
    if feature is not None:
        for decision in decisions:
            if decision.variation is not None:
                for change in decision.variation.changes:
                    if change.feature is not None and change.feature.key == key:
                        return ResolvedFeature.enabled_by(decision, change)
    return ResolvedFeature.disabled(key, feature)


def resolve_all(project: CompiledProject, decisions: Iterable[Decision]) -> list[ResolvedFeature]:
    """Every feature that the decisions enable, then every declared one that they do not."""
    enabled = [feature for decision in decisions for feature in decision.features]
    seen = {feature.id for feature in enabled}
    unseen = (each for each in property_order(project.features.ids()) if each not in seen)
    rest = (project.features.named((each,))[-1] for each in unseen)  # the last of an id counts
    return enabled + [ResolvedFeature.disabled(feature.key, feature) for feature in rest]


def replaced_features(
    features: Iterable[ResolvedFeature], overridden: Iterable[ResolvedFeature]
) -> list[ResolvedFeature]:
    """The features with the overridden ones in their place: the enabled ones, then the disabled ones."""
    instead = [*overridden]
    keys = {feature.key for feature in instead}
    found = [*(feature for feature in features if feature.key not in keys), *instead]
    return sorted(found, key=lambda feature: not feature.enabled)
