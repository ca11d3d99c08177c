"""The visitor of one request, and its verbs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, NoReturn, TypeVar, overload

from . import _checks as check
from ._core.bucketing import id_bytes
from ._core.consent import WITHHELD, Consent, withheld_decision
from ._core.copy_json import copy_json
from ._core.decide import (
    decide,
    decide_each,
    known_decisions,
    looks_at_location,
    segments_to_add,
    without_experience,
)
from ._core.decision import Decision, Reason, ResolvedFeature
from ._core.explain import Explanation, GateTrace, explain
from ._core.facts import UNSEEN, Facts, Place, deep_merge
from ._core.features import replaced_features, resolve, resolve_all
from ._core.goals import ConversionReason, ConversionRequest, ConversionResult, attribution, goal_data
from ._core.js_regex.budget import one_call
from ._core.layers import Layered
from ._core.model import Experience, Segment, Variation
from ._core.override import (
    Override,
    explain_override,
    is_covered,
    overridden_decision,
    overridden_feature,
)
from ._core.state import NOTHING, VisitorState
from ._core.untracked import UntrackedState, remember_untracked, set_untracked_segments
from ._core.visitor_facts import with_visitor
from .project import Project

if TYPE_CHECKING:
    from ._bootstrap import Bootstrap
    from ._delivery.consent import VisitorConsent
    from ._delivery.engine import Engine
    from ._tokens.handover import Handover

T = TypeVar("T")
_BUCKETED = Reason.BUCKETED
_FORCED = Reason.FORCED
_new_request = partial(tuple.__new__, ConversionRequest)
"""80 ns; the call of a NamedTuple with five fields takes 250."""


class Visitor(Facts):
    """One visitor, for one request; made by `client.visitor`, pinned to the project of that moment.

    No verb raises for data, network or unknown keys. Wrong types from the programmer raise at once.

    >>> visitor = client.visitor("v-42", {"plan": "pro"}, location={"url": "/checkout"})
    >>> visitor.decide("checkout-layout").variation_key
    'classic'
    """

    __slots__ = ("_consent", "_engine", "_shown", "_tracking", "_wants_tracking", "project")

    project: Project | None
    """The project that this visitor is pinned to; None where no document had arrived."""

    def __init__(self, engine: Engine, id: str, attributes: Mapping[str, object], location: Place) -> None:
        # One of these is made for every request: the fields of Facts are set here, without another call.
        self.id = id
        self.attributes = attributes
        self._call = None
        self.location = location
        self._state = UNSEEN  # until a verb asks
        try:
            self._hashed = id.encode()
        except UnicodeEncodeError:
            self._hashed = id_bytes(id)
        self._attributes_remembered = False
        self._merged = attributes
        self._merged_from = NOTHING
        self._engine = engine
        self.project, self.environment = engine.serving
        self._tracking = True
        self._shown: Mapping[str, Decision] | None = None  # in place of others, by key; nothing is sent then
        self._consent: VisitorConsent | None = None

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a visitor cannot be pickled or copied: keep the id and the attributes, and make it with client.visitor(…)"
        )

    def __repr__(self) -> str:
        return "Visitor(…)"

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name.startswith("_")]

    def with_context(
        self,
        *,
        attributes: Mapping[str, object] = NOTHING,
        location: Place | check.Unchanged = check.UNCHANGED,
        environment: str | None = None,
        tracking: bool | None = None,
        bucketing_id: str | int | None = None,
        consent: Consent | None = None,
    ) -> Visitor:
        """The same visitor and memory with other facts, for one part of a request.

        Args:
            attributes: Merged over the present ones, deep; not remembered.
            location: In place of the present one: a mapping, `ANYWHERE`, or None for "not known".
            environment: The environment to decide for, in place of the client's.
            tracking: False sends nothing, and remembers nothing beyond the visitor that is returned: for somebody who
                has not agreed to be tracked. Turned on again, deciding and tracking start as if it had not been.
            bucketing_id: An id to hash in the place of the present one, such as a company's. What was decided before
                stays: it is kept under the visitor's own id.
            consent: The visitor's answer, in place of the present one; as of `client.visitor`.

        Raises:
            TypeError: For anything of another type.

        >>> visitor.with_context(attributes={"country": "DE"}).peek("shipping-banner").reason.value
        'bucketed'
        """
        before = self._tracking if self._consent is None else self._wants_tracking
        wanted = check.switch(tracking, before)
        if wanted and before:
            self._remember_attributes()
        deeper = type(self)(self._engine, self.id, self.attributes, self.location)
        deeper.project = self.project
        if wanted and not before:
            deeper._state = self._engine.states.get(
                self.id, UNSEEN
            )  # what this object kept to itself ends here
        else:
            deeper._state = self._state
            deeper._attributes_remembered = self._attributes_remembered
        deeper._merged_from = None
        given = check.attributes(attributes)
        if type(given) is Layered:  # another request; what is given with it is this call's as ever
            deeper.attributes, given = given.laid_over(self.attributes), given.over
        deeper._call = deep_merge(self._call or NOTHING, given)
        deeper.location = self.location if isinstance(location, check.Unchanged) else check.location(location)
        if type(deeper.attributes) is Layered and isinstance(deeper.location, Mapping):
            deeper.location = deeper.attributes.laid_over(deeper.location)
        deeper.environment = check.environment(environment, self.environment)
        deeper._tracking = wanted and self._consent is None
        deeper._shown = self._shown
        deeper._hashed = self._hashed if bucketing_id is None else check.bucketing_id(bucketing_id)
        if self._consent is not None:
            deeper._consent, deeper._wants_tracking = self._consent, wanted
        if consent is not None:
            deeper._give_consent(self._consent_with(consent))
        return deeper

    def set_consent(self, consent: Consent) -> None:
        """Take the visitor's answer, for this object and those that `with_context` makes of it from now on.

        Args:
            consent: With `GRANTED`, what was held of this visitor is sent, in order; with `DENIED` it is given up,
                and nothing is decided, stored or sent any more; with `UNKNOWN` what happens from now on is held.

        Raises:
            TypeError: For anything but a `Consent`.

        >>> from convert_sdk import Consent
        >>> asked = client.visitor("v-44", consent=Consent.UNKNOWN)
        >>> asked.decide("checkout-layout").reason.value
        'consent'
        >>> asked.set_consent(Consent.GRANTED)
        >>> asked.decide("checkout-layout").reason.value
        'bucketed'
        """
        if self._consent is None:
            self._give_consent(self._consent_with(consent))
        else:
            self._consent.set(check.consent(consent))

    def _consent_with(self, consent: Consent) -> VisitorConsent:
        if self._consent is not None:
            return self._consent.with_answer(check.consent(consent))
        from ._delivery.consent import VisitorConsent

        return VisitorConsent(self._engine, self.id, check.consent(consent))

    def _give_consent(self, consent: VisitorConsent) -> None:
        """Ask this before anything is remembered or sent from now on."""
        if self._consent is None:
            self._wants_tracking = self._tracking
        self._consent = consent
        self._tracking = False  # so that whatever would be remembered takes the longer way

    def _is_untracked(self) -> bool:
        """True unless consent is what stood against tracking, and was given."""
        consent = self._consent
        if consent is None or not self._wants_tracking or not consent.granted:
            return True
        if isinstance(self._state, UntrackedState):  # this object's own memory ends here
            self._state = self._engine.states.get(self.id, UNSEEN)
            self._attributes_remembered = False
        return False

    def handover(self, *, max_age: float = 300.0) -> str:
        """Make a token with which another process goes on with this visitor: `client.visitor_from(token)`.

        It holds the id, the bucketing id, what was decided, and the consent; never attributes or a location. It is
        signed and not encrypted: whoever gets it can read it.

        Args:
            max_age: Seconds for which it is accepted.

        Returns:
            A text that fits into a header, of 2,048 characters at most. Of very many decisions the newest are in it.

        Raises:
            OptionError: Where the client has no secrets.
            TypeError: For what is no number.
            ValueError: For a time that is not above 0, and for ids that do not fit.

        >>> signing = Client.offline(project, secrets=["a secret of the shop's own"])
        >>> visitor = signing.visitor("v-42")
        >>> visitor.force("checkout-layout", "one-page").variation_key
        'one-page'
        >>> handed = signing.visitor_from(visitor.handover())
        >>> handed.id, handed.decide("checkout-layout").variation_key
        ('v-42', 'one-page')
        """
        seconds = check.seconds(max_age, "max_age")
        if seconds <= 0:
            raise ValueError(f"max_age must be a number of seconds above 0, not {max_age!r}")
        from ._tokens.handover import write_handover

        return write_handover(self._engine, self._handover(), seconds)

    def _handover(self) -> Handover:
        from ._tokens.handover import HandedConsent, Handover

        consent, bucketing_id = self._consent, self.bucketing_id
        wanted = self._tracking if consent is None else self._wants_tracking and consent.too_late is None
        return Handover(
            self.id,
            None if bucketing_id == self.id else bucketing_id,
            {} if consent is not None and consent.withheld is not None else self._known_decisions(),
            None if consent is None else HandedConsent(*consent.handed),
            self._shown is None and wanted,
        )

    def _known_decisions(self) -> dict[str, str]:
        """Variation ids by experience id, of all that is remembered and still in the document, and of what is shown."""
        if self._state is UNSEEN:
            self._state = self._engine.states.get(self.id, UNSEEN)
        known = self._in_document(dict(self._state.bucketing))
        for shown in (self._shown or {}).values():
            if shown.experience is not None and shown.variation is not None:
                known.pop(shown.experience.id, None)
                known[shown.experience.id] = shown.variation.id
        return known

    def _in_document(self, decisions: Mapping[str, str]) -> dict[str, str]:
        """Those decisions whose experience and variation the document has; all of them without a document."""
        return dict(decisions) if self.project is None else known_decisions(self.project, decisions)

    def _take_up(self, handover: Handover) -> None:
        """Go on with what another process knew of this visitor."""
        handed = handover.consent
        if handed is not None:
            from ._delivery.consent import VisitorConsent

            self._give_consent(
                VisitorConsent(
                    self._engine,
                    self.id,
                    handed.answer,
                    before_consent=handed.before_consent,
                    withheld=handed.withheld,
                )
            )
        if not handover.tracking:
            if self._consent is None:
                self._tracking = False
            else:
                self._wants_tracking = False
        self._take_up_decisions(handover)

    def _take_up_decisions(self, handover: Handover) -> None:
        if handover.bucketing_id is not None:
            self._hashed = check.bucketing_id(handover.bucketing_id)
        decisions = self._in_document(handover.decisions)
        if decisions:
            self._bring(VisitorState(decisions))

    def _bring(self, brought: VisitorState) -> None:
        """Go on with a state that a token brought: for all visitors of this id where it may be remembered."""
        if self._tracking or not self._is_untracked():
            self._engine.take_up(self.id, brought)
            return
        before = self._engine.states.get(self.id, UNSEEN)
        self._state = UntrackedState(
            {**before.bucketing, **brought.bucketing},
            {**brought.goals, **before.goals},
            {**before.segments, **brought.segments},
            before.locations,
        )
        if self._consent is not None:
            self._consent.brought = brought

    @property
    def segments(self) -> Mapping[str, object]:
        """The segments that are remembered and reported of the visitor; a copy, `set_segments` changes them.

        >>> client.visitor("v-43", {"country": "DE", "plan": "pro"}).segments
        {'country': 'DE'}
        """
        self._remember_attributes()
        return copy_json({**self._state.segments})

    # Experiences

    def decide(self, key: str) -> Decision:
        """Decide, remember, and record the exposure of a new decision.

        Args:
            key: The key of an experience.

        Returns:
            A `Decision`, false without a variation; its `reason` says why. No data, network or unknown key raises.

        Raises:
            TypeError: For a key that is no str.

        >>> [visitor.decide("checkout-layout").reason.value for _ in range(2)]
        ['bucketed', 'sticky']
        """
        if self._shown is not None or self._engine.overridden is not None:
            instead = self._instead(key)
            if instead is not None:
                return instead
        decision = self._peek(key)
        self._settle((decision,))
        return decision

    def decide_all(self, keys: Iterable[str] | None = None) -> list[Decision]:
        """`decide` for every experience, or for those of these keys.

        Args:
            keys: The keys of experiences; None for all of them. Unknown ones are left out.

        Returns:
            The decisions in the order of the document. A previewed experience comes last; before the first document,
            they come as they were asked for.

        Raises:
            TypeError: For a single key, and for one that is no str.

        >>> [decision.variation_key for decision in visitor.decide_all()]
        ['classic', None]
        """
        return self._all(keys, settle=True)

    def peek_all(self, keys: Iterable[str] | None = None) -> list[Decision]:
        """`peek` for every experience, or for those of these keys; cheaper than one by one.

        Args:
            keys: The keys of experiences; None for all of them. Unknown ones are left out.

        Returns:
            The decisions, ordered as by `decide_all`.

        Raises:
            TypeError: For a single key, and for one that is no str.

        >>> [decision.variation_key for decision in visitor.peek_all()]
        ['classic', None]
        """
        return self._all(keys, settle=False)

    @overload
    def force(self, key: str, variation: str) -> Decision: ...
    @overload
    def force(self, key: str, *, variation_id: str | int) -> Decision: ...
    def force(
        self, key: str, variation: str | None = None, *, variation_id: str | int | None = None
    ) -> Decision:
        """`decide`, but this variation wins over the remembered and the hashed one, and is kept.

        Args:
            key: The key of an experience.
            variation: The key of one of its variations. One that it does not have is a miss, with the reason
                `UNKNOWN_VARIATION`: nothing is stored or sent.
            variation_id: An id in place of the key. One that the experience does not have is ignored.

        Returns:
            The decision. The gates (environment, location, audiences) are asked all the same.

        Raises:
            TypeError: For none or both of the two, and for other types.

        >>> visitor.force("checkout-layout", "one-page").variation_key
        'one-page'
        """
        check.one_name("variation", variation, variation_id)
        if self._shown is not None or self._engine.overridden is not None:
            instead = self._instead(key)
            if instead is not None:
                return instead
        if variation is None:
            return self._decide(key, str(variation_id))
        found = self._variation(key, variation)
        return self._miss(found) if isinstance(found, Decision) else self._decide(key, found.id)

    def peek(self, key: str) -> Decision:
        """Decide only: nothing is stored and nothing is sent.

        Args:
            key: The key of an experience.

        Returns:
            The decision, as `decide` would make it.

        Raises:
            TypeError: For a key that is no str.

        >>> [visitor.peek("checkout-layout").reason.value for _ in range(2)]
        ['bucketed', 'bucketed']
        """
        if self._shown is not None or self._engine.overridden is not None:
            instead = self._peek_instead(key)
            if instead is not None:
                return instead
        return self._peek(key)

    @overload
    def explain(self, key: str, variation: str | None = None) -> Explanation: ...
    @overload
    def explain(self, key: str, *, variation_id: str | int) -> Explanation: ...
    def explain(
        self, key: str, variation: str | None = None, *, variation_id: str | int | None = None
    ) -> Explanation:
        """`peek`, and why: every gate, rule, hash input and range.

        Args:
            key: The key of an experience.
            variation: The key of a variation, to explain what `force` would give.
            variation_id: An id in place of the key.

        Returns:
            An `Explanation`: `print` it, or use `to_json()`. It holds the visitor's id and attributes.

        Raises:
            TypeError: For a variation named by both, and for other types.

        >>> print(visitor.explain("shipping-banner"))
        shipping-banner for visitor 'v-42': audience
          yes known        experience 200, a/b_fullstack, active
          yes archived     not archived
          yes environment  any
          yes location     everywhere
          NO  audience     any of the audiences
                NO  audience germans
                    NO  country equals "DE", the visitor has nothing
          ...
        """
        if variation is not None or variation_id is not None:
            check.one_name("variation", variation, variation_id)
        with one_call():
            return self._explain(key, variation, variation_id)

    def _explain(self, key: str, variation: str | None, variation_id: str | int | None) -> Explanation:
        decision = self.peek(key)
        is_shown = self._shown is not None and key in self._shown
        override = None if is_shown else self._override(key)
        if override is not None:
            return explain_override(self.project, self, override, decision)
        if self.project is None or is_shown or decision.reason in WITHHELD:
            return Explanation(decision, self.id, (GateTrace(decision.reason.value, bool(decision)),))
        forced = None if variation_id is None else str(variation_id)
        if variation is not None:
            found = self._variation(key, variation)
            if isinstance(found, Decision) and found.experience is not None:
                return Explanation(
                    found, self.id, (GateTrace("variation", False, f"none of key {variation!r}"),)
                )
            forced = None if isinstance(found, Decision) else found.id
        return explain(self.project, self, key, forced, decision if forced is None else None)

    def preview(self, experience_id: str | int, variation_id: str | int) -> bool:
        """Show this variation from now on, for this object only: no gates, nothing stored, nothing sent.

        Args:
            experience_id: The id of an experience, of the project or of one that `client.load_preview` fetched.
            variation_id: The id of one of its variations; `parse_preview` reads both from an address.

        Returns:
            True if both are known; otherwise False, and an earlier preview ends.

        Raises:
            TypeError: For an id that is neither a str nor an int.

        >>> visitor.preview("100", "12")
        True
        >>> visitor.decide("checkout-layout").variation_key
        'one-page'
        """
        experience_id = check.id_text("experience_id", experience_id)
        variation_id = check.id_text("variation_id", variation_id)
        self._remember_attributes()
        experience = self._engine.experience_of(experience_id, self.project)
        variation = experience.variations.get(variation_id) if experience is not None else None
        if experience is None or variation is None:
            self._shown = None
            return False
        self._shown = {experience.key: Decision(experience.key, Reason.PREVIEW, experience, variation)}
        return True

    def _show(self, variations: Mapping[str, str]) -> None:
        """Show these variations, keys by key of experience, and their features; what the document lacks is left out."""
        self._shown = {}
        for key, wanted in variations.items():
            experience = None if self.project is None else self.project.experiences.get(key)
            variation = None if experience is None else experience.variation(wanted)
            if experience is not None and variation is not None:
                self._shown[key] = Decision(key, Reason.OVERRIDE, experience, variation)

    # In place of a decision: a preview, which wins over all, then an override; `force` asks both first.

    def _instead(self, key: str) -> Decision | None:
        """The decision that stands in place of what the experience would give; None where nothing does."""
        if self._shown is not None and key in self._shown:
            return self._shown[key]
        override = self._override(key)
        return None if override is None else self._miss(self._overridden(override))

    def _peek_instead(self, key: str) -> Decision | None:
        """`_instead` for a verb that nobody observes."""
        if self._shown is not None and key in self._shown:
            return self._shown[key]
        override = self._override(key)
        return None if override is None else self._overridden(override)

    def _override(self, key: str) -> Override | None:
        overrides = self._engine.overridden
        return None if overrides is None else overrides.experience(self.project, self.id, key)

    def _overridden(self, override: Override) -> Decision:
        if self._state is UNSEEN:
            self._state = self._engine.states.get(self.id, UNSEEN)
        return overridden_decision(self.project, self, override)

    def _peek(self, key: str, forced: str | None = None) -> Decision:
        if self.project is None:
            return without_experience(key, Reason.NOT_READY)
        if self._consent is not None and (reason := self._consent.withheld) is not None:
            return withheld_decision(self.project, key, reason)
        if self._state is UNSEEN:
            self._state = self._engine.states.get(self.id, UNSEEN)
        return decide(self.project, self, key, forced)

    def _variation(self, key: str, variation: str) -> Variation | Decision:
        """The variation of this key; if there is none, the decision that says so."""
        if self.project is None:
            return without_experience(key, Reason.NOT_READY)
        experience = self.project.experiences.get(key)
        if experience is None:
            return without_experience(key, Reason.UNKNOWN)
        return experience.variation(variation) or Decision(key, Reason.UNKNOWN_VARIATION, experience)

    def _miss(self, decision: Decision) -> Decision:
        """Return a decision that changes nothing."""
        return decision

    def _decide(self, key: str, forced: str | None = None) -> Decision:
        decision = self._peek(key, forced)
        self._settle((decision,))
        return decision

    def _all(self, keys: Iterable[str] | None, *, settle: bool) -> list[Decision]:
        wanted = None if keys is None else dict.fromkeys(check.keys(keys))
        project, shown = self.project, self._shown or {}
        if project is None:
            unknown = self._unknown(None, wanted, settle=settle) if wanted is None else ()
            return [*unknown, *(self.decide(key) if settle else self.peek(key) for key in wanted or ())]
        asked: Iterable[Experience] = project.experiences
        if wanted is not None or shown:
            asked = [
                each for each in asked if each.key not in shown and (wanted is None or each.key in wanted)
            ]
        decisions = self._each(project, asked, settle=settle)
        if self._engine.overridden is not None:
            decisions += self._unknown(project, wanted, settle=settle)
        return decisions + [each for each in shown.values() if wanted is None or each.key in wanted]

    def _each(self, project: Project, asked: Iterable[Experience], *, settle: bool) -> list[Decision]:
        if self._shown is not None or self._engine.overridden is not None:
            with one_call():
                return [self._one(each.key, settle=settle) for each in asked]
        if self._consent is not None and (reason := self._consent.withheld) is not None:
            withheld = [Decision(each.key, reason, each) for each in asked]
            if settle:
                self._settle(withheld)
            return withheld
        if self._state is UNSEEN:
            self._state = self._engine.states.get(self.id, UNSEEN)
        decisions: list[Decision] = []
        with one_call():
            for run in decide_each(project, self, asked):
                decisions += run
                if settle:
                    self._settle(run)
        return decisions

    def _one(self, key: str, *, settle: bool) -> Decision:
        """One of several decisions, where some have another in their place; a preview does not change features."""
        shown = None if self._shown is None else self._shown.get(key)
        if shown is not None and shown.reason is Reason.OVERRIDE:
            return shown
        override = self._override(key)
        if override is None:
            return self._decide(key) if settle else self._peek(key)
        decision = self._overridden(override)
        return self._miss(decision) if settle else decision

    def _unknown(
        self, project: Project | None, wanted: Mapping[str, None] | None, *, settle: bool
    ) -> list[Decision]:
        """The overridden experiences that the document lacks."""
        overrides = self._engine.overridden
        keys = () if overrides is None else overrides.keys(project, self.id).experiences
        unknown = [key for key in keys if project is None or project.experiences.get(key) is None]
        return [self._one(key, settle=settle) for key in unknown if wanted is None or key in wanted]

    def _settle(self, decisions: Sequence[Decision]) -> None:
        """Remember what follows from decisions, and report what is new."""
        if self._shown is not None:
            return
        if not self._tracking and self._is_untracked():
            if self._consent is not None:
                self._settle_withheld(self._consent, decisions)
            else:
                remember_untracked(self, decisions)
            return
        new = False
        for _, reason, experience, _, _ in decisions:
            if experience is not None and experience.locations and looks_at_location(reason):
                self._engine.relocate(self, experience)
            if reason is _BUCKETED or reason is _FORCED:
                new = True
        if new:
            self._engine.remember(self, decisions)
        elif not self._attributes_remembered:
            self._engine.remember_attributes(self)

    def _settle_withheld(self, consent: VisitorConsent, decisions: Sequence[Decision]) -> None:
        """Remember decisions for this object, and hold them for the visitor's answer."""
        if consent.withheld is None:
            remember_untracked(self, decisions)
            if self._wants_tracking:
                consent.hold_decisions(self, decisions)

    @overload
    def feature(self, key: str) -> ResolvedFeature: ...
    @overload
    def feature(self, key: str, *, as_: type[T]) -> T: ...
    def feature(self, key: str, *, as_: type[object] | None = None) -> object:
        """The feature as the visitor's variations set it.

        Decides, as `decide` does, the experiences that carry it in any of their variations, and no others.

        Args:
            key: The key of a feature.
            as_: A dataclass or a pydantic model that names variables, with a type and a default each.

        Returns:
            A `ResolvedFeature`, false where no variation enables it; `get(variable, default)` reads a variable. With
            `as_`, an object of that class: a variable that is not set, or is of another type, has the default.

        Raises:
            TypeError: For a key that is no str, and a class with a field that has no default.

        >>> visitor.feature("pricing").get("discount", 0.0)
        0.1
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Pricing:
        ...     discount: float = 0.0
        ...     rounding: str = "up"
        >>> visitor.feature("pricing", as_=Pricing)
        Pricing(discount=0.1, rounding='up')
        """
        if as_ is not None:
            from ._feature_models import feature_model

            return feature_model(as_).read(self.feature(key))
        if self._shown is not None or self._engine.overridden is not None:
            return self._feature_instead(key, settle=True)
        if not self._attributes_remembered:
            self._remember_attributes()
        return self._feature(key, self._decide)

    def peek_feature(self, key: str) -> ResolvedFeature:
        """`feature`, with nothing stored and nothing sent.

        Args:
            key: The key of a feature.

        Returns:
            The feature, as `feature` would give it.

        Raises:
            TypeError: For a key that is no str.

        >>> visitor.peek_feature("pricing").enabled
        True
        """
        if self._shown is not None or self._engine.overridden is not None:
            return self._feature_instead(key, settle=False)
        return self._feature(key, self._peek)

    def features(self) -> list[ResolvedFeature]:
        """Every feature; decides every experience.

        Returns:
            The enabled ones, then the disabled ones.

        >>> visitor.features()
        [ResolvedFeature(key='pricing', enabled=True)]
        """
        if self._shown is not None or self._engine.overridden is not None:
            return self._features_instead()
        if self.project is None:
            return []
        return resolve_all(self.project, self._each(self.project, self.project.experiences, settle=True))

    def bootstrap(
        self,
        experiences: Iterable[str] | None = None,
        *,
        features: Iterable[str] | None = None,
        expose: bool = False,
    ) -> Bootstrap:
        """The JSON that a page of this visitor starts with: decisions, features, and the state for the browser SDK.

        Nothing is stored or sent. Its `store` has what was decided before; what is peeked here stays out of it, so that
        the browser SDK reports it when it shows it.

        Args:
            experiences: The keys of experiences; None for all of them. Those that carry one of `features` come too.
            features: The keys of features; None for those that the decisions enable.
            expose: True decides first, as `decide_all` does, so that `store` has everything.

        Returns:
            JSON that is safe in HTML; `script()` makes an element of it. It has no attribute, name or rule.

        Raises:
            TypeError: For a single key, one that is no str, and an `expose` that is no bool.

        >>> import json
        >>> page = json.loads(visitor.bootstrap(features=["pricing"], expose=True))
        >>> page["decisions"]["checkout-layout"]["variation_key"], page["features"]["pricing"]["variables"]
        ('classic', {'discount': 0.1})
        >>> page["store"]
        {'1-2-v-42': {'bucketing': {'100': '11'}, 'goals': {}, 'segments': {}}}
        """
        from ._bootstrap import BootstrapContents, write_bootstrap

        project = self.project
        wanted = None if experiences is None else check.keys(experiences)
        listed = None if features is None else check.keys(features)
        if wanted is not None and listed and project is not None:
            declared = [project.features.get(key) for key in listed]
            wanted += [each.key for one in declared if one is not None for each in project.carriers(one.id)]
        settle = check.switch(expose, False)
        tracking = self._shown is None and self._engine.queue is not None
        tracking = tracking and (self._tracking or not self._is_untracked())
        decisions = self._all(wanted, settle=settle)
        special = self._shown is not None or self._engine.overridden is not None
        contents = BootstrapContents(
            self.id,
            decisions,
            listed,
            self.peek_feature if special else None,
            self._state,
            self._engine.store_key(self.id),
            environment=self.environment,
            tracking=tracking,
            withheld=self._consent is not None and self._consent.withheld is not None,
        )
        return write_bootstrap(project, contents)

    def _feature_instead(self, key: str, *, settle: bool) -> ResolvedFeature:
        """A feature while overrides are in force: as one of them sets it, or as the visitor's variations do."""
        overrides = self._engine.overridden
        override = None if overrides is None else overrides.feature(self.project, self.id, check.key(key))
        if override is not None:
            return overridden_feature(self.project, override)
        feature = None if self.project is None else self.project.features.get(key)
        carriers = () if self.project is None or feature is None else self.project.carriers(feature.id)
        if settle and not (carriers and all(self._override(each.key) is not None for each in carriers)):
            self._remember_attributes()
        return self._feature(key, lambda experience: self._one(experience, settle=settle))

    def _features_instead(self) -> list[ResolvedFeature]:
        """Every feature while overrides are in force; an experience of which nothing is left to see is not exposed."""
        overrides, project = self._engine.overridden, self.project
        keys = () if overrides is None else overrides.keys(project, self.id).features
        found = [] if overrides is None else [overrides.feature(project, self.id, key) for key in keys]
        features = [overridden_feature(project, each) for each in found if each is not None]
        if project is None:
            return features
        with one_call():
            decisions = [
                self._one(each.key, settle=not is_covered(each, keys)) for each in project.experiences
            ]
        return replaced_features(resolve_all(project, decisions), features)

    def _feature(self, key: str, ask: Callable[[str], Decision]) -> ResolvedFeature:
        project = self.project
        feature = project.features.get(key) if project is not None else None
        if project is None or feature is None:
            return ResolvedFeature.disabled(check.key(key), None)
        carriers = project.carriers(feature.id)
        if len(carriers) == 1:
            return resolve(project, key, (ask(carriers[0].key),))
        with one_call():
            return resolve(project, key, [ask(each.key) for each in carriers])

    # Conversions and segments

    def track(
        self,
        goal: str | None = None,
        *,
        goal_id: str | int | None = None,
        revenue: Decimal | float | None = None,
        products: int | None = None,
        transaction_id: str | None = None,
        dimensions: Mapping[int, str] | None = None,
        rule_data: Mapping[str, object] | None = None,
        allow_repeat: bool = False,
        attributed_to: Mapping[str, str] | None = None,
    ) -> ConversionResult:
        """Count a conversion of a goal: once for each visitor, unless it is allowed to repeat.

        Args:
            goal: The key of a goal.
            goal_id: An id in place of the key, a number.
            revenue: An amount of money in the project's currency, exact as a Decimal.
            products: A number of products.
            transaction_id: The name of the order.
            dimensions: Texts by the number of a custom dimension, 1 to 5.
            rule_data: Facts to hold against the goal's rules; without them, the rules are not asked.
            allow_repeat: True counts a second conversion of the goal, if it has revenue or other data.
            attributed_to: Variation ids by experience id, for decisions that were made elsewhere.

        Returns:
            A `ConversionResult`, true if it was accepted (not yet delivered); its `reason` says why not. No data,
            network or unknown goal raises.

        Raises:
            TypeError: For none or both of goal and goal_id, and for other types.
            ValueError: For money that is not finite, more products than 2**53, a dimension beyond 1 to 5, and a goal_id
                that is no number.

        >>> visitor.track("purchase", revenue=Decimal("5.00"), rule_data={"total": 5}).reason.value
        'rules'
        >>> visitor.track("purchase", revenue=Decimal("49.90"), products=2, dimensions={1: "gold"}).reason.value
        'tracking_off'
        """
        name = goal if type(goal) is str and goal_id is None else check.goal(goal, goal_id)
        data = goal_data(revenue, products, transaction_id, dimensions)
        attributed = attribution(attributed_to) if attributed_to is not None else None
        overrides = self._engine.overridden
        keys = None if overrides is None else overrides.keys(self.project, self.id) or None
        request = _new_request((data, rule_data, allow_repeat, attributed, keys))
        if self._shown is not None:
            return ConversionResult(ConversionReason.PREVIEW)
        tracked = self._tracking or not self._is_untracked()
        if not tracked and self._consent is not None and self._wants_tracking:
            return self._consent.hold_conversion(self, self.project, name, request)
        return self._engine.convert(self, self.project, name, request, tracking=tracked)

    def set_segments(self, segments: Mapping[str, object]) -> None:
        """Remember these segments of the visitor, over the present ones.

        Args:
            segments: Values by name. All of them are reported with exposures, the known ones (`country`, `browser`,
                …) with conversions too.

        Raises:
            TypeError: For what is no mapping.

        >>> visitor.set_segments({"visitorType": "returning"})
        >>> visitor.segments
        {'visitorType': 'returning'}
        """
        known = check.attributes(segments, "segments")
        self._remember_attributes()
        if self._shown is None and known:
            self._set_segments(known)

    def match_segments(
        self, keys: Iterable[str], rule_data: Mapping[str, object] | None = None
    ) -> list[Segment]:
        """Put the visitor into those of these custom segments whose rules hold.

        Args:
            keys: The keys of segments. Once one holds, all later ones (in the order of the document) are added unasked.
            rule_data: Facts over the visitor's own, for these rules only.

        Returns:
            The segments that were added.

        Raises:
            TypeError: For a single key, for one that is no str, and for facts that are no mapping.

        >>> visitor.match_segments(["big-spenders"], {"spent": 1500})
        [Segment(id='71', key='big-spenders')]
        """
        wanted = set(check.keys(keys))
        given = check.attributes(rule_data, "rule_data")
        if self.project is None:
            return []
        custom = self.segments.get("customSegments")
        known = custom if isinstance(custom, (list, tuple)) else ()
        asked = (segment for segment in self.project.segments if segment.key in wanted)
        with one_call():
            added = segments_to_add(asked, with_visitor(self._data_with(given), self), known)
        if added and self._shown is None:
            self._set_segments({"customSegments": [*known, *(segment.id for segment in added)]})
        return added

    def _set_segments(self, segments: Mapping[str, object]) -> None:
        if self._tracking or not self._is_untracked():
            self._engine.set_segments(self, segments)
            return
        set_untracked_segments(self, segments)
        if self._consent is not None and self._wants_tracking:
            self._consent.hold_segments(self, segments)

    def _remember_attributes(self) -> None:
        """Remember the attributes that are reported, unless nothing is to be remembered of this visitor."""
        if self._tracking or not self._is_untracked():
            self._engine.remember_attributes(self)
        elif self._state is UNSEEN:
            self._state = self._engine.states.get(self.id, UNSEEN)


def bare_visitor(engine: Engine, id: str, attributes: Mapping[str, object], location: Place) -> Visitor:
    """A visitor of the class that the client's observers need; what `client.visitor` does, but for the checks."""
    kind = Visitor if engine.observer is None else ObservedVisitor
    return kind(engine, id, attributes, location)


class ObservedVisitor(Visitor):
    """A visitor whose decisions are passed on to `observe` and `hooks`; a class of its own: others need not ask."""

    __slots__ = ()

    def _settle(self, decisions: Sequence[Decision]) -> None:
        for decision in decisions:
            self._observe(decision)
        super()._settle(decisions)

    def _miss(self, decision: Decision) -> Decision:
        self._observe(decision)
        return decision

    def _observe(self, decision: Decision) -> None:
        from .observation import Decided, DecidedFacts

        observer, project = self._engine.observer, self.project
        facts = None
        if observer is not None and observer.with_facts:
            place = self.location
            facts = DecidedFacts(
                copy_json({**self._data()}), copy_json({**place}) if isinstance(place, Mapping) else place
            )
        revision = project.revision if project is not None else None
        self._engine.observe(Decided(self.id, decision, self._engine.wall_clock(), revision, facts))
