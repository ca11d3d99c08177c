"""The answers to look-ups: value, reason, variant and metadata of one flag for one visitor."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, TypeVar, cast

from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagResolutionDetails

from convert_sdk._core.decision import Decision, Reason, ResolvedFeature
from convert_sdk._core.features import resolve
from convert_sdk._core.flag_reasons import FlagError, FlagReason, depends_on_visitor, flag_reason
from convert_sdk.project import Project
from convert_sdk.visitor import Visitor

from .flags import (
    MISFIT,
    FlagPlan,
    KnownAnswer,
    Metadata,
    ProjectFlags,
    Reads,
    ValueType,
    experience_plan,
    feature_plan,
    openfeature_reason,
    read,
    undeclared,
    variable_plan,
)

V = TypeVar("V")

ANONYMOUS: Final = "anonymous"
CONTEXT_ID: Final = "contextId"
_STALE = "stale"
_MOST_IDS = 10_000
"""Hashed ids that are kept."""
_BUCKETED, _STICKY = Reason.BUCKETED, Reason.STICKY
_FOR_SOME = frozenset({Reason.FORCED, Reason.OVERRIDE, Reason.PREVIEW})
"""Reasons of decisions that say nothing of others."""
_ERROR = openfeature_reason(FlagReason.ERROR)
_NO_KEY = (
    "the answer depends on who asks: give the evaluation context a targeting_key, or ask in a request under the "
    "ConvertMiddleware of the same client"
)


class ContextIds:
    """Visitor ids in a form that tells nobody who it is: a hash with a key.

    >>> ids = ContextIds(b"a key of 16 bytes")
    >>> ids.of("v-42") == ids.of("v-42"), ids.of("v-42") == ids.of("v-43"), len(ids.of("v-42"))
    (True, False, 32)
    """

    def __init__(self, key: bytes) -> None:
        self._keyed = blake2b(key=key, digest_size=16)
        self.known: dict[str, str] = {}
        """The hashes of late: look here first."""

    def of(self, visitor_id: str) -> str:
        """The hash of a visitor id."""
        known = self.known.get(visitor_id)
        if known is None:
            hashed = self._keyed.copy()
            hashed.update(visitor_id.encode("utf-8", "surrogatepass"))
            if len(self.known) >= _MOST_IDS:
                self.known.clear()
            known = self.known[visitor_id] = hashed.hexdigest()
        return known


class FlagAnswers:
    """The answers of one provider.

    Args:
        context_ids: Gives the metadata's `contextId`.
        exposures: False peeks: nothing is remembered or sent.
    """

    def __init__(self, context_ids: ContextIds, *, exposures: bool) -> None:
        self._context_ids = context_ids
        self._exposures = exposures
        self._flags: ProjectFlags | None = None
        self.stale = False
        """True while the document may be out of date: the metadata says so."""

    def answer(self, visitor: Visitor, wanted: ValueType, key: str, default: V) -> FlagResolutionDetails[V]:
        """The answer for a visitor."""
        flags = self._flags
        if flags is None or flags.project is not visitor.project:
            if visitor.project is None:
                return self.not_ready(default, visitor.id)
            flags = self._flags_of(visitor.project)
        plan = flags.plans[wanted.place].get(key)
        # Most look-ups are of one experience that many have asked for: its decision is all that is new.
        is_own = visitor._engine.overridden is None and visitor._shown is None
        if plan is not None and plan.answers and is_own:
            carrier = plan.carriers[0].key
            decision = visitor.decide(carrier) if self._exposures else visitor.peek(carrier)
            variation, reason = decision.variation, decision.reason
            known = plan.answers.get(variation or reason)
            if known is not None and (variation is None or reason is _BUCKETED or reason is _STICKY):
                metadata = known.metadata.copy()
                ids = self._context_ids
                metadata[CONTEXT_ID] = ids.known.get(visitor.id) or ids.of(visitor.id)
                if self.stale:
                    metadata[_STALE] = True
                value: V = default if known.value is None else known.value  # type: ignore[assignment]  # it fits
                return FlagResolutionDetails(value, None, None, known.reason, known.variant, metadata)
            return self._answer(visitor, flags, plan, wanted, default, decided=decision)
        return self._answer_at_length(visitor, flags, wanted, key, default)

    def _answer_at_length(
        self, visitor: Visitor, flags: ProjectFlags, wanted: ValueType, key: str, default: V
    ) -> FlagResolutionDetails[V]:
        plan = plan_for(visitor, flags, key, wanted)
        if plan is None:
            return self.error(FlagError.FLAG_NOT_FOUND, _not_found(key), default, visitor.id)
        if plan.reads is Reads.MISMATCH:
            return self.error(FlagError.TYPE_MISMATCH, plan.name, default, visitor.id)
        if plan.unsure:  # whether the value fits is to be known before anything is remembered or sent
            feature = visitor.peek_feature(plan.key)
            if feature.enabled and read(plan, wanted, feature) is MISFIT:
                return self.error(FlagError.TYPE_MISMATCH, _misfit(key, wanted), default, visitor.id)
        return self._answer(visitor, flags, plan, wanted, default, exposes=self._exposures)

    def answer_anybody(
        self, visitor: Visitor, wanted: ValueType, key: str, default: V
    ) -> FlagResolutionDetails[V]:
        """The answer for somebody who was not named, if it is the same for everybody with these facts."""
        project = visitor.project
        if project is None:
            return self.not_ready(default, None)
        flags = self._flags_of(project)
        plan = plan_for(visitor, flags, key, wanted)
        if plan is None:
            return self.error(FlagError.FLAG_NOT_FOUND, _not_found(key), default, None)
        if plan.reads is Reads.MISMATCH:
            return self.error(FlagError.TYPE_MISMATCH, plan.name, default, None)
        if _depends_on_visitor(visitor, plan):
            return self.error(FlagError.TARGETING_KEY_MISSING, _NO_KEY, default, None)
        details = self._answer(visitor, flags, plan, wanted, default, exposes=False)
        details.flag_metadata = {**details.flag_metadata, CONTEXT_ID: ANONYMOUS}
        return details

    def not_ready(self, default: V, visitor_id: str | None) -> FlagResolutionDetails[V]:
        """The answer before the first document."""
        return self.error(FlagError.PROVIDER_NOT_READY, "no document has arrived yet", default, visitor_id)

    def error(
        self, error: FlagError, message: str, default: V, visitor_id: str | None
    ) -> FlagResolutionDetails[V]:
        """The answer where there is none."""
        code = ErrorCode(error.value.upper())
        metadata: Metadata = {CONTEXT_ID: self.context_id(visitor_id)}
        return FlagResolutionDetails(default, code, message, _ERROR, None, metadata)

    def context_id(self, visitor_id: object) -> str:
        """The metadata's name for a visitor, or for a targeting key of any type."""
        is_id = isinstance(visitor_id, (str, int)) and visitor_id != ""
        return self._context_ids.of(str(visitor_id)) if is_id else ANONYMOUS

    def _flags_of(self, project: Project) -> ProjectFlags:
        flags = self._flags
        if flags is None or flags.project is not project:
            flags = self._flags = ProjectFlags(project)
        return flags

    def _answer(
        self,
        visitor: Visitor,
        flags: ProjectFlags,
        plan: FlagPlan,
        wanted: ValueType,
        default: V,
        *,
        exposes: bool = True,
        decided: Decision | None = None,
    ) -> FlagResolutionDetails[V]:
        """The answer of a plan; `decided` is the decision of its only carrier, where that was made already."""
        if plan.reads is Reads.VARIATION:
            decision = decided
            if decision is None:
                decision = visitor.decide(plan.key) if exposes else visitor.peek(plan.key)
            value: object = decision.variation_key
        else:
            feature = previewed_feature(visitor, plan)
            if feature is None and decided is not None:
                feature = resolve(flags.project, plan.key, (decided,))
            elif feature is None:
                feature = visitor.feature(plan.key) if exposes else visitor.peek_feature(plan.key)
            if feature.decision is None:
                return self._off(visitor, flags, plan, default)
            decision, value = feature.decision, read(plan, wanted, feature)
            if value is MISFIT:
                return self.error(FlagError.TYPE_MISMATCH, _misfit(plan.key, wanted), default, visitor.id)
        reason = flag_reason(decision, _earlier(visitor, plan, decision))
        return self._conclude(visitor, flags, plan, decision, reason, value, default)

    def _off(
        self, visitor: Visitor, flags: ProjectFlags, plan: FlagPlan, default: V
    ) -> FlagResolutionDetails[V]:
        """The answer of a feature that nothing turns on."""
        overrides = visitor._engine.overridden
        if overrides is not None and overrides.feature(visitor.project, visitor.id, plan.key) is not None:
            decision: Decision | None = Decision(plan.key, Reason.OVERRIDE)
            reason = FlagReason.STATIC
        else:
            decisions = [visitor.peek(each.key) for each in plan.carriers]
            decision = _answering(decisions)
            place = 0 if decision is None else decisions.index(decision)
            reason = FlagReason.DISABLED if decision is None else flag_reason(decision, decisions[:place])
        # A feature that no experience can turn on says nothing; one that is off for this visitor is off.
        is_off = plan.reads is Reads.ENABLED and reason is not FlagReason.DISABLED
        return self._conclude(visitor, flags, plan, decision, reason, False if is_off else None, default)

    def _conclude(
        self,
        visitor: Visitor,
        flags: ProjectFlags,
        plan: FlagPlan,
        decision: Decision | None,
        reason: FlagReason,
        value: object,
        default: V,
    ) -> FlagResolutionDetails[V]:
        """The answer with this value, kept where it is the same for others; the default for a value of None."""
        variant = None if decision is None else decision.variation_key
        if value is None and variant is not None:
            reason = FlagReason.DEFAULT  # the variation does not set the variable
        known = KnownAnswer(value, openfeature_reason(reason), variant, flags.metadata(decision))
        if plan.answers is not None and decision is not None and decision.reason not in _FOR_SOME:
            plan.answers[decision.variation or decision.reason] = known
        metadata: Metadata = {**known.metadata, CONTEXT_ID: self.context_id(visitor.id)}
        if self.stale:
            metadata[_STALE] = True
        answer = default if value is None else cast("V", value)
        return FlagResolutionDetails(answer, None, None, known.reason, variant, metadata)


def previewed_feature(visitor: Visitor, plan: FlagPlan) -> ResolvedFeature | None:
    """The feature as a variation sets it that is shown in place of the visitor's own, if one does."""
    shown = [] if visitor._shown is None else visitor._shown.values()
    features = (each for decision in shown for each in decision.features)
    return next((each for each in features if each.key == plan.key), None)


def plan_for(visitor: Visitor, flags: ProjectFlags, key: str, wanted: ValueType) -> FlagPlan | None:
    """The plan of a key, of the project or of what is shown to this visitor in its place; None where nothing has it."""
    plan = flags.plan(key, wanted)
    overrides, shown = visitor._engine.overridden, visitor._shown or {}
    if plan is not None or (overrides is None and not shown):
        return plan
    features = {each.key: each.variables for decision in shown.values() for each in decision.features}
    experiences: set[str] = {*shown}
    if overrides is not None:
        keys = overrides.keys(visitor.project, visitor.id)
        features |= {each: visitor.peek_feature(each).variables for each in keys.features}
        experiences |= {*keys.experiences}
    if key in features:
        return feature_plan(undeclared(key, features[key]), wanted)
    if key in experiences:
        return experience_plan(key, wanted)
    name, _, variable = key.rpartition(".")
    if name in features:
        feature = undeclared(name, features[name])
        found = next((each for each in feature.variables if each.key == variable), None)
        return None if found is None else variable_plan(feature, found, wanted)
    return None


def _earlier(visitor: Visitor, plan: FlagPlan, decision: Decision) -> list[Decision]:
    """The decisions of the carriers before the one that answers."""
    earlier: list[Decision] = []
    for carrier in plan.carriers:
        if carrier is decision.experience:
            break
        earlier.append(visitor.peek(carrier.key))
    return earlier


def _answering(decisions: list[Decision]) -> Decision | None:
    """The decision that says why a feature is off: the first with a variation, else the first that was made."""
    made = [each for each in decisions if each.reason is not Reason.ARCHIVED]
    return next((each for each in made if each), made[0] if made else None)


def _depends_on_visitor(visitor: Visitor, plan: FlagPlan) -> bool:
    """True if somebody else with the same facts may get another answer."""
    overrides = visitor._engine.overridden
    if overrides is not None and overrides.feature(visitor.project, visitor.id, plan.key) is not None:
        return False
    for carrier in plan.carriers:
        decision = visitor.peek(carrier.key)
        if depends_on_visitor(decision):
            return True
        if plan.reads is Reads.VARIATION or any(each.key == plan.key for each in decision.features):
            return False
    return False


def _not_found(key: str) -> str:
    return f"flag {key} not found: the project has no feature and no experience of this key"


def _misfit(key: str, wanted: ValueType) -> str:
    return f"the value of {key!r} is no {wanted.name}"
