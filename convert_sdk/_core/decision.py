"""The values that a decision gives: a variation, a reason, and the features that follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from math import isfinite
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar, overload

from convert_sdk._core.half_made import shown_half_made

from .bucketing import scale
from .copy_json import copy_json
from .events import to_json
from .javascript import double
from .mismatches import Mismatch
from .model import Change, Experience, Feature, Variation

T = TypeVar("T")
_CONTAINERS = (dict, list)
_NONE: Mapping[str, object] = MappingProxyType({})
_MISSING = object()


class Reason(StrEnum):
    """The reason of a decision.

    `BUCKETED`, `STICKY`, `FORCED`, `PREVIEW` and mostly `OVERRIDE` come with a variation.

    >>> visitor.decide("shipping-banner").reason is Reason.AUDIENCE
    True
    """

    NOT_READY = "not_ready"
    """No document has arrived yet."""
    UNKNOWN = "unknown"
    """The document has no experience of this key."""
    UNKNOWN_VARIATION = "unknown_variation"
    """The experience has no variation of the key that was to be forced."""
    ARCHIVED = "archived"
    ENVIRONMENT = "environment"
    """The experience is for another environment."""
    LOCATION = "location"
    """The visitor is not where the experience runs, or where they are is not known."""
    AUDIENCE = "audience"
    """The visitor is not who the experience is for."""
    SEGMENT = "segment"
    """The visitor is in none of the experience's segments."""
    NO_VARIATIONS = "no_variations"
    NOT_ALLOCATED = "not_allocated"
    """The visitor's bucket value belongs to no running variation: traffic exclusion."""
    BUCKETED = "bucketed"
    """Decided now, by the hash."""
    STICKY = "sticky"
    """Decided earlier and kept."""
    FORCED = "forced"
    """The application named the variation."""
    OVERRIDE = "override"
    """An override named the variation, or that there is none: nothing is stored, nothing is sent."""
    PREVIEW = "preview"
    CONSENT = "consent"
    """The visitor has not agreed, or has not been asked."""
    PRIVACY = "privacy"
    """The browser asks not to be tracked, where the project heeds that."""
    BOT = "bot"
    """The visitor is a declared bot."""


class Decision(NamedTuple):
    """The variation of a visitor in one experience, and the reason. False in a condition without a variation.

    It can be pickled: key, reason, ids and keys come back, its truth and its equality; `experience` and `variation`,
    which belong to a project, are None then.

    >>> decision = visitor.decide("checkout-layout")
    >>> bool(decision), decision.variation_key, decision.bucket_value
    (True, 'classic', 1527)
    >>> decision.to_dict()["reason"]
    'bucketed'
    """

    key: str
    """The experience's key, as it was asked for."""
    reason: Reason
    experience: Experience | None = None
    variation: Variation | None = None
    hashed: int | None = None
    """The hash, 32 bits, where it found a variation just now."""

    def __bool__(self) -> bool:
        return self.variation is not None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Decision) and self._parts() == other._parts()

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self._parts())

    def __repr__(self) -> str:
        return f"Decision({self.key!r}, {self.reason.value!r}, {self.variation_key!r})"

    def __copy__(self) -> Decision:
        return self

    def __deepcopy__(self, memo: object) -> Decision:
        return self

    def __reduce__(self) -> tuple[Callable[..., Decision], tuple[object, ...]]:
        return restore_decision, self._parts()

    @property
    def experience_id(self) -> str | None:
        """The id of the experience; None if the document has none of this key.

        >>> visitor.decide("checkout-layout").experience_id
        '100'
        """
        return self.experience.id if self.experience is not None else None

    @property
    def bucket_value(self) -> int | None:
        """The visitor's bucket value where the hash found a variation just now.

        >>> visitor.peek("checkout-layout").bucket_value
        1527
        """
        if self.hashed is None or self.experience is None:
            return None
        return scale(self.hashed, self.experience.bucketing.max_traffic)

    @property
    def variation_key(self) -> str | None:
        """The key of the variation; None without one.

        >>> visitor.decide("checkout-layout").variation_key
        'classic'
        """
        return self.variation.key if self.variation is not None else None

    @property
    def variation_id(self) -> str | None:
        """The id of the variation; None without one.

        >>> visitor.decide("checkout-layout").variation_id
        '11'
        """
        return self.variation.id if self.variation is not None else None

    def to_dict(self) -> dict[str, object]:
        """Key, reason, ids and keys as values of JSON.

        >>> visitor.decide("shipping-banner").to_dict()["reason"]
        'audience'
        """
        return {
            "key": self.key,
            "reason": self.reason.value,
            "experience_id": self.experience_id,
            "variation_id": self.variation_id,
            "variation_key": self.variation_key,
            "bucket_value": self.bucket_value,
        }

    def to_json(self) -> str:
        """The same as JSON text.

        >>> visitor.peek("unknown").to_json()[:35]
        '{"key":"unknown","reason":"unknown"'
        """
        return to_json(self.to_dict())

    def _parts(self) -> DecisionParts:
        return DecisionParts(
            self.key,
            self.reason,
            self.hashed,
            self.experience_id,
            self.variation_id,
            self.variation_key,
            self.bucket_value,
        )

    @property
    def features(self) -> tuple[ResolvedFeature, ...]:
        """The features that the variation sets.

        >>> visitor.decide("checkout-layout").features
        (ResolvedFeature(key='pricing', enabled=True),)
        """
        if self.variation is None:
            return ()
        return tuple(ResolvedFeature.enabled_by(self, change) for change in self.variation.changes)


class DecisionParts(NamedTuple):
    """Everything about a decision that is no model: what makes two of them equal, and what a pickle holds."""

    key: str
    reason: Reason
    hashed: int | None
    experience_id: str | None
    variation_id: str | None
    variation_key: str | None
    bucket_value: int | None


class DetachedDecision(Decision):
    """A decision of ids and keys without models: one that was pickled, or an override of what the document lacks."""

    parts: DecisionParts

    @classmethod
    def of(cls, parts: DecisionParts) -> DetachedDecision:
        """The decision of these parts."""
        detached = cls(parts.key, parts.reason, hashed=parts.hashed)
        detached.parts = parts
        return detached

    def __bool__(self) -> bool:
        return self.parts.variation_key is not None

    @property
    def experience_id(self) -> str | None:
        """As the parts have it."""
        return self.parts.experience_id

    @property
    def bucket_value(self) -> int | None:
        """As the parts have it."""
        return self.parts.bucket_value

    @property
    def variation_key(self) -> str | None:
        """As the parts have it."""
        return self.parts.variation_key

    @property
    def variation_id(self) -> str | None:
        """As the parts have it."""
        return self.parts.variation_id


def restore_decision(*parts: Any) -> Decision:
    """The decision that was pickled as these parts."""
    return DetachedDecision.of(DecisionParts(*parts))


@shown_half_made
class ResolvedFeature:
    """A feature as one visitor sees it.

    `variables` are cast to their declared types, `raw` are as they came; each look gives a copy. An id
    without a declared feature has neither key nor name.

    >>> pricing = visitor.feature("pricing")
    >>> pricing.enabled, pricing.variables["discount"], pricing.raw["discount"]
    (True, 0.1, '0.1')
    """

    __slots__ = ("_raw", "_variables", "decision", "id", "key", "name")

    def __init__(
        self,
        id: str | None,
        key: str | None,
        name: str | None,
        decision: Decision | None = None,
        variables: Mapping[str, object] = _NONE,
        raw: Mapping[str, object] | None = None,
    ) -> None:
        self.id = id
        self.key = key
        self.name = name
        self.decision = decision
        """The decision that enabled it; None where it is disabled."""
        self._variables = variables
        self._raw = raw

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ResolvedFeature) and self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash((self.id, self.key, self.decision))

    def __copy__(self) -> ResolvedFeature:
        return self

    def __deepcopy__(self, memo: object) -> ResolvedFeature:
        return self

    def __reduce__(self) -> tuple[type[ResolvedFeature], tuple[object, ...]]:
        return ResolvedFeature, self._parts()

    def __repr__(self) -> str:
        return f"ResolvedFeature(key={self.key!r}, enabled={self.enabled})"

    def __bool__(self) -> bool:
        return self.enabled

    @property
    def enabled(self) -> bool:
        """True if a variation of the visitor sets it.

        >>> visitor.feature("pricing").enabled
        True
        """
        return self.decision is not None

    @property
    def variables(self) -> Mapping[str, object]:
        """The variables in their declared types; one that cannot be cast is missing.

        >>> visitor.feature("pricing").variables
        {'discount': 0.1}
        """
        return copy_json({**self._variables})

    @property
    def raw(self) -> Mapping[str, object] | None:
        """The variables as the document has them; None where it has none.

        >>> visitor.feature("pricing").raw
        {'discount': '0.1'}
        """
        return None if self._raw is None else copy_json({**self._raw})

    def to_dict(self) -> dict[str, object]:
        """Everything as values of JSON; `decision` is the dict of the decision that enabled it, or None.

        >>> visitor.feature("pricing").to_dict()["variables"]
        {'discount': 0.1}
        """
        return {
            "id": self.id,
            "key": self.key,
            "name": self.name,
            "enabled": self.enabled,
            "variables": self.variables,
            "raw": self.raw,
            "decision": None if self.decision is None else self.decision.to_dict(),
        }

    def to_json(self) -> str:
        """The same as JSON text.

        >>> visitor.feature("pricing").to_json()[:30]
        '{"id":"81","key":"pricing","na'
        """
        return to_json(self.to_dict())

    def _parts(self) -> tuple[object, ...]:
        return self.id, self.key, self.name, self.decision, self.variables, self.raw

    @overload
    def get(self, name: str, default: None = None) -> object: ...
    @overload
    def get(self, name: str, default: T) -> T: ...
    def get(self, name: str, default: object = None) -> object:
        """The variable, if it is of the default's type; otherwise the default.

        An int fits a float default, a whole float fits an int default, a bool fits no number, and a default of None
        takes anything. A value that does not fit, its default or its declared type, is logged once, and counted as
        `mismatched` among `status().incidents`.

        >>> pricing = visitor.feature("pricing")
        >>> pricing.get("discount", 0.0), pricing.get("discount", "none"), pricing.get("rounding", "up")
        (0.1, 'none', 'up')
        """
        value = self._variables.get(name, _MISSING)
        if value is _MISSING:
            if self._raw is not None and name in self._raw:
                self._report(name, "", default)
            return default
        kind = type(value)
        if kind is type(default) or default is None:
            return copy_json(value) if kind in _CONTAINERS else value
        if type(default) is float and type(value) is int:
            number = double(value)
            if isfinite(number):
                return number
            self._report(name, kind.__name__, default)
            return default
        if type(default) is int and isinstance(value, float) and value.is_integer():
            return int(value)
        if isinstance(default, bool) or isinstance(value, bool) or not isinstance(value, type(default)):
            self._report(name, kind.__name__, default)
            return default
        return copy_json(value)

    def _report(self, name: str, found: str, default: object) -> None:
        self._log(Mismatch(self.key or self.id or "", name, found, type(default).__name__))

    def _log(self, mismatch: Mismatch) -> None:
        experience = self.decision.experience if self.decision is not None else None
        if experience is not None:
            experience.mismatches.report(mismatch)

    @classmethod
    def enabled_by(cls, decision: Decision, change: Change) -> ResolvedFeature:
        """The feature as a decision's variation sets it.

        >>> decision = visitor.decide("checkout-layout")
        >>> ResolvedFeature.enabled_by(decision, decision.variation.changes[0])
        ResolvedFeature(key='pricing', enabled=True)
        """
        feature = change.feature
        if feature is None:
            return cls(change.feature_id, None, None, decision, change.variables, change.raw)
        return cls(feature.id, feature.key, feature.name, decision, change.variables, change.raw)

    @classmethod
    def disabled(cls, key: str, feature: Feature | None) -> ResolvedFeature:
        """The feature where nothing sets it; without a feature, the document declares none of this key.

        >>> ResolvedFeature.disabled("pricing", project.feature("pricing"))
        ResolvedFeature(key='pricing', enabled=False)
        """
        return cls(None, key, None) if feature is None else cls(feature.id, key, feature.name)


def report_mismatch(feature: ResolvedFeature, name: str, wanted: str) -> None:
    """Say that a variable is not of the type that the application wants, as `ResolvedFeature.get` does."""
    found = type(feature._variables.get(name)).__name__
    feature._log(Mismatch(feature.key or feature.id or "", name, found, wanted))
