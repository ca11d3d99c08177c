"""The reasons of flag look-ups, in the words that OpenFeature and OpenTelemetry share: one table for both."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

from .decision import Decision, Reason
from .model import Experience, Variation

_LARGEST_HASH = 0xFFFF_FFFF


class FlagReason(StrEnum):
    """The reason of a flag's value."""

    STATIC = "static"
    """The same for everybody, or named by the application, an override or a preview."""
    TARGETING_MATCH = "targeting_match"
    """An audience takes the visitor."""
    SPLIT = "split"
    """The hash of the visitor chose among variations, now or earlier."""
    DEFAULT = "default"
    """Nothing takes the visitor, or an earlier experience did not and a later one answers."""
    DISABLED = "disabled"
    """Declared, and carried by no experience that runs."""
    ERROR = "error"
    """There is no answer: `FlagError` says why."""


class FlagError(StrEnum):
    """The reason why a flag has no answer."""

    PROVIDER_NOT_READY = "provider_not_ready"
    """No document has arrived yet."""
    FLAG_NOT_FOUND = "flag_not_found"
    """The document has nothing of this key."""
    TYPE_MISMATCH = "type_mismatch"
    """The value is of another type than the one that was asked for."""
    TARGETING_KEY_MISSING = "targeting_key_missing"
    """The answer depends on who asks, and nobody was named."""
    INVALID_CONTEXT = "invalid_context"
    GENERAL = "general"


FLAG_REASONS: Final[Mapping[Reason, FlagReason]] = {
    Reason.NOT_READY: FlagReason.ERROR,
    Reason.UNKNOWN: FlagReason.ERROR,
    Reason.UNKNOWN_VARIATION: FlagReason.DEFAULT,
    Reason.ARCHIVED: FlagReason.DISABLED,
    Reason.ENVIRONMENT: FlagReason.DEFAULT,
    Reason.LOCATION: FlagReason.DEFAULT,
    Reason.AUDIENCE: FlagReason.DEFAULT,
    Reason.SEGMENT: FlagReason.DEFAULT,
    Reason.NO_VARIATIONS: FlagReason.DEFAULT,
    Reason.NOT_ALLOCATED: FlagReason.DEFAULT,
    Reason.BUCKETED: FlagReason.SPLIT,
    Reason.STICKY: FlagReason.SPLIT,
    Reason.FORCED: FlagReason.STATIC,
    Reason.OVERRIDE: FlagReason.STATIC,
    Reason.PREVIEW: FlagReason.STATIC,
    Reason.CONSENT: FlagReason.DEFAULT,
    Reason.PRIVACY: FlagReason.DEFAULT,
    Reason.BOT: FlagReason.DEFAULT,
}
"""The table. A `SPLIT` is refined by `flag_reason`: by who was asked, and by what else there was to get."""

_TURNED_AWAY = frozenset({Reason.AUDIENCE, Reason.SEGMENT})
"""Reasons that are about who the visitor is."""


def flag_reason(decision: Decision, earlier: Iterable[Decision] = ()) -> FlagReason:
    """The reason of a flag that a decision answers.

    Args:
        decision: The decision that gives the value, or that gives none.
        earlier: Those of the experiences that carry the same flag and come before.
    """
    reason = FLAG_REASONS[decision.reason]
    experience = decision.experience
    if reason is not FlagReason.SPLIT or experience is None:
        return reason
    if experience.audiences or experience.segments:
        return FlagReason.TARGETING_MATCH
    if any(each.reason in _TURNED_AWAY for each in earlier):
        return FlagReason.DEFAULT
    owners = bucket_owners(experience)
    return FlagReason.STATIC if owners == {decision.variation} else FlagReason.SPLIT


def bucket_owners(experience: Experience) -> set[Variation | None]:
    """The variations that own the bucket values; None among them where nobody owns some."""
    first = bisect_right(experience.thresholds, 0)
    last = bisect_right(experience.thresholds, _LARGEST_HASH)
    return {*experience.owners[first : last + 1]}


def depends_on_visitor(decision: Decision) -> bool:
    """True if another visitor with the same facts may be decided for in another way."""
    experience = decision.experience
    if experience is None or FLAG_REASONS[decision.reason] is FlagReason.STATIC:
        return False
    if experience.depends_on_state:
        return True
    asked_the_hash = decision.variation is not None or decision.reason is Reason.NOT_ALLOCATED
    return asked_the_hash and len(bucket_owners(experience)) != 1
