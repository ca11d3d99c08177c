"""The visitor of one request, and its verbs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, NoReturn, overload

from . import _checks as check
from ._core.bucketing import id_bytes
from ._core.copy_json import copy_json
from ._core.decide import decide, decide_each, looks_at_location, segments_to_add, without_experience
from ._core.decision import Decision, Reason, ResolvedFeature
from ._core.explain import Explanation, GateTrace, explain
from ._core.facts import UNSEEN, Facts, Place, deep_merge
from ._core.features import resolve, resolve_all
from ._core.goals import ConversionReason, ConversionRequest, ConversionResult, attribution, goal_data
from ._core.js_regex.budget import one_call
from ._core.model import Experience, Segment, Variation
from ._core.state import NOTHING
from ._core.untracked import remember_untracked, set_untracked_segments
from .project import Project

if TYPE_CHECKING:
    from ._delivery.engine import Engine

_BUCKETED = Reason.BUCKETED
_FORCED = Reason.FORCED
_new_request = partial(tuple.__new__, ConversionRequest)
"""80 ns; the call of a NamedTuple with four fields takes 250."""


class Visitor(Facts):
    """One visitor, for one request; made by `client.visitor`, pinned to the project of that moment.

    No verb raises for data, network or unknown keys. Wrong types from the programmer raise at once.

    >>> visitor = client.visitor("v-42", {"plan": "pro"}, location={"url": "/checkout"})
    >>> visitor.decide("checkout-layout").variation_key
    'classic'
    """

    __slots__ = ("_engine", "_preview", "_tracking", "project")

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
        self._preview: Decision | None = None

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a visitor cannot be pickled or copied: keep the id and the attributes, and make it with client.visitor(…)"
        )

    def __repr__(self) -> str:
        return "Visitor(…)"

    def with_context(
        self,
        *,
        attributes: Mapping[str, object] = NOTHING,
        location: Place | check.Unchanged = check.UNCHANGED,
        environment: str | None = None,
        tracking: bool | None = None,
    ) -> Visitor:
        """The same visitor and memory with other facts, for one part of a request.

        Args:
            attributes: Merged over the present ones, deep; not remembered.
            location: In place of the present one: a mapping, `ANYWHERE`, or None for "not known".
            environment: The environment to decide for, in place of the client's.
            tracking: False sends nothing, and remembers nothing beyond the visitor that is returned: for somebody who
                has not agreed to be tracked. Turned on again, deciding and tracking start as if it had not been.

        Raises:
            TypeError: For anything of another type.

        >>> visitor.with_context(attributes={"country": "DE"}).peek("shipping-banner").reason.value
        'bucketed'
        """
        tracked = check.switch(tracking, self._tracking)
        if tracked and self._tracking:
            self._engine.remember_attributes(self)
        deeper = type(self)(self._engine, self.id, self.attributes, self.location)
        deeper.project = self.project
        if tracked and not self._tracking:
            deeper._state = self._engine.states.get(
                self.id, UNSEEN
            )  # what this object kept to itself ends here
        else:
            deeper._state = self._state
            deeper._attributes_remembered = self._attributes_remembered
        deeper._merged_from = None
        deeper._call = deep_merge(self._call or NOTHING, check.attributes(attributes))
        deeper.location = self.location if isinstance(location, check.Unchanged) else check.location(location)
        deeper.environment = check.environment(environment, self.environment)
        deeper._tracking = tracked
        deeper._preview = self._preview
        return deeper

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
        if self._preview is not None and self._preview.key == key:
            return self._preview
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
        if self._preview is not None and self._preview.key == key:
            return self._preview
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
        if self._preview is not None and self._preview.key == key:
            return self._preview
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
          yes known        experience 200, no type, no status
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
        if self.project is None or decision is self._preview:
            return Explanation(decision, self.id, (GateTrace(decision.reason.value, bool(decision)),))
        forced = None if variation_id is None else str(variation_id)
        if variation is not None:
            found = self._variation(key, variation)
            if isinstance(found, Decision) and found.experience is not None:
                return Explanation(
                    found, self.id, (GateTrace("variation", False, f"none of key {variation!r}"),)
                )
            forced = None if isinstance(found, Decision) else found.id
        return explain(self.project, self, key, forced)

    def preview(self, experience_id: str | int, variation_id: str | int) -> bool:
        """Show this variation from now on, for this object only: no gates, nothing stored, nothing sent.

        Args:
            experience_id: The id of an experience, of the project or of one that `client.load_preview` fetched.
            variation_id: The id of one of its variations; `parse_preview` reads both from an address.

        Returns:
            True if both are known; otherwise False, and an earlier preview ends.

        >>> visitor.preview("100", "12")
        True
        >>> visitor.decide("checkout-layout").variation_key
        'one-page'
        """
        self._remember_attributes()
        experience = self._engine.experience_of(str(experience_id), self.project)
        variation = experience.variations.get(str(variation_id)) if experience is not None else None
        if experience is None or variation is None:
            self._preview = None
            return False
        self._preview = Decision(experience.key, Reason.PREVIEW, experience, variation)
        return True

    def _peek(self, key: str, forced: str | None = None) -> Decision:
        if self.project is None:
            return without_experience(key, Reason.NOT_READY)
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
        project, previewed = self.project, self._preview
        if project is None:
            return [self.decide(key) if settle else self.peek(key) for key in wanted or ()]
        asked: Iterable[Experience] = project.experiences
        if wanted is not None or previewed is not None:
            apart = previewed.key if previewed is not None else None
            asked = [each for each in asked if each.key != apart and (wanted is None or each.key in wanted)]
        decisions = self._each(project, asked, settle=settle)
        if previewed is not None and (wanted is None or previewed.key in wanted):
            decisions.append(previewed)
        return decisions

    def _each(self, project: Project, asked: Iterable[Experience], *, settle: bool) -> list[Decision]:
        if self._state is UNSEEN:
            self._state = self._engine.states.get(self.id, UNSEEN)
        decisions: list[Decision] = []
        with one_call():
            for run in decide_each(project, self, asked):
                decisions += run
                if settle:
                    self._settle(run)
        return decisions

    def _settle(self, decisions: Sequence[Decision]) -> None:
        """Remember what follows from decisions, and report what is new."""
        if self._preview is not None:
            return
        if not self._tracking:
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

    def feature(self, key: str) -> ResolvedFeature:
        """The feature as the visitor's variations set it.

        Decides, as `decide` does, the experiences that carry it in any of their variations, and no others.

        Args:
            key: The key of a feature.

        Returns:
            A `ResolvedFeature`, false where no variation enables it; `get(variable, default)` reads a variable.

        Raises:
            TypeError: For a key that is no str.

        >>> visitor.feature("pricing").get("discount", 0.0)
        0.1
        """
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
        return self._feature(key, self._peek)

    def features(self) -> list[ResolvedFeature]:
        """Every feature; decides every experience.

        Returns:
            The enabled ones, then the disabled ones.

        >>> visitor.features()
        [ResolvedFeature(key='pricing', enabled=True)]
        """
        if self.project is None:
            return []
        return resolve_all(self.project, self._each(self.project, self.project.experiences, settle=True))

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
            ValueError: For money that is not finite, a dimension beyond 1 to 5, and a goal_id that is no number.

        >>> visitor.track("purchase", revenue=Decimal("5.00"), rule_data={"total": 5}).reason.value
        'rules'
        >>> visitor.track("purchase", revenue=Decimal("49.90"), products=2, dimensions={1: "gold"}).reason.value
        'tracking_off'
        """
        name = goal if type(goal) is str and goal_id is None else check.goal(goal, goal_id)
        data = goal_data(revenue, products, transaction_id, dimensions)
        attributed = attribution(attributed_to) if attributed_to is not None else None
        request = _new_request((data, rule_data, allow_repeat, attributed))
        if self._preview is not None:
            return ConversionResult(ConversionReason.PREVIEW)
        return self._engine.convert(self, self.project, name, request, tracking=self._tracking)

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
        if self._preview is None and known:
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
            added = segments_to_add(asked, self._data_with(given), known)
        if added and self._preview is None:
            self._set_segments({"customSegments": [*known, *(segment.id for segment in added)]})
        return added

    def _set_segments(self, segments: Mapping[str, object]) -> None:
        if self._tracking:
            self._engine.set_segments(self, segments)
        else:
            set_untracked_segments(self, segments)

    def _remember_attributes(self) -> None:
        """Remember the attributes that are reported, unless nothing is to be remembered of this visitor."""
        if self._tracking:
            self._engine.remember_attributes(self)
        elif self._state is UNSEEN:
            self._state = self._engine.states.get(self.id, UNSEEN)


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
        from time import time

        from .observation import Decided, DecidedFacts

        observer, project = self._engine.observer, self.project
        facts = None
        if observer is not None and observer.with_facts:
            place = self.location
            facts = DecidedFacts(
                copy_json({**self._data()}), copy_json({**place}) if isinstance(place, Mapping) else place
            )
        revision = project.revision if project is not None else None
        self._engine.observe(Decided(self.id, decision, time(), revision, facts))
