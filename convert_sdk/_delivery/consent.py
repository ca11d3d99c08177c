"""The consent of one visitor, and what becomes of their events under it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from convert_sdk._core.consent import WITHHELD, BeforeConsent, Consent
from convert_sdk._core.copy_json import copy_json
from convert_sdk._core.decide import looks_at_location
from convert_sdk._core.decision import Decision, Reason
from convert_sdk._core.facts import UNSEEN, Facts
from convert_sdk._core.goals import ConversionReason, ConversionRequest, ConversionResult
from convert_sdk._core.state import VisitorState
from convert_sdk._core.values import tree
from convert_sdk._process.clock import monotonic

from .engine import Engine
from .held import HeldConversion, HeldDecision, HeldEvents, HeldSegments

if TYPE_CHECKING:
    from convert_sdk.project import Project

_NEW = frozenset({Reason.BUCKETED, Reason.FORCED})


class VisitorConsent:
    """The consent of one visitor; the objects that `with_context` makes share it.

    Args:
        engine: The client's.
        visitor_id: The id that the events are for.
        consent: The visitor's answer.
        before_consent: The treatment of somebody whose answer is unknown.
        stable: The id stays the same in the visitor's next request, so that events may wait for that.
        withheld: A reason for which the visitor gets no variation, whatever they agree to.
        brought: The state that a token brought, to be remembered when they agree.
    """

    __slots__ = (
        "_before_consent",
        "_engine",
        "_held",
        "_late",
        "_stable",
        "_visitor_id",
        "_withheld",
        "brought",
        "consent",
    )

    def __init__(
        self,
        engine: Engine,
        visitor_id: str,
        consent: Consent,
        *,
        before_consent: BeforeConsent = "control",
        stable: bool = True,
        withheld: Reason | None = None,
        brought: VisitorState | None = None,
        late: list[Callable[[], None]] | None = None,
    ) -> None:
        self._engine = engine
        self._visitor_id = visitor_id
        self._before_consent: BeforeConsent = before_consent
        self._stable = stable
        self._withheld = withheld
        self._held: HeldEvents | None = None
        self.brought = brought
        self._late: list[Callable[[], None]] = [] if late is None else late
        self.consent = consent
        self._apply()

    @property
    def withheld(self) -> Reason | None:
        """The reason for which the visitor gets no variation now; None where they are decided for."""
        if self._withheld is not None:
            return self._withheld
        if self.consent is Consent.GRANTED:
            return None
        decided = self.consent is Consent.UNKNOWN and self._before_consent == "decide"
        return None if decided else Reason.CONSENT

    @property
    def handed(self) -> tuple[Consent, BeforeConsent, Reason | None]:
        """The answer, the treatment before it, and the reason to withhold, as another process needs them."""
        return self.consent, self._before_consent, self._withheld

    @property
    def too_late(self) -> Callable[[], None] | None:
        """Called where the visitor agrees, but no later request can have the id: nothing is remembered or sent then.

        None while the id lasts. Objects with answers of their own share it, whenever they were made.
        """
        return self._late[0] if self._late else None

    @too_late.setter
    def too_late(self, told: Callable[[], None]) -> None:
        self._late[:] = [told]

    @property
    def granted(self) -> bool:
        """True if everything may be remembered and sent."""
        return self.consent is Consent.GRANTED and self._withheld is None and self.too_late is None

    def set(self, consent: Consent) -> None:
        """Take the visitor's answer: what is held is sent, or given up."""
        self.consent = consent
        self._apply()

    def with_answer(self, consent: Consent) -> VisitorConsent:
        """The same for another visitor object, with an answer of its own."""
        return VisitorConsent(
            self._engine,
            self._visitor_id,
            consent,
            before_consent=self._before_consent,
            stable=self._stable,
            withheld=self._withheld,
            brought=self.brought,
            late=self._late,
        )

    def end(self) -> None:
        """Give up what is held in this object; what waits in the process goes on waiting."""
        if not self._stable and self._held is not None:
            self._held.drop()

    def _apply(self) -> None:
        if self.consent is Consent.UNKNOWN:
            return
        if self.consent is Consent.GRANTED and self.too_late is not None:
            self.too_late()
        if self.brought is not None and self.granted:
            self._engine.take_up(self._visitor_id, self.brought)
            self.brought = None
        for held in (self._held, self._taken()):
            if held is not None and self.granted:
                self._release(held)
            elif held is not None:
                held.drop()
        self._held = None

    def _taken(self) -> HeldEvents | None:
        """The events that wait in the process, taken out."""
        waiting = self._engine.held
        return waiting.take(self._visitor_id, monotonic()) if self._stable and waiting is not None else None

    def _release(self, held: HeldEvents) -> None:
        engine = self._engine
        for action in held.take():
            action.facts._state = engine.states.get(action.facts.id, UNSEEN)
            match action:
                case HeldDecision(facts, decision):
                    experience = decision.experience
                    if experience is not None and experience.locations and looks_at_location(decision.reason):
                        engine.relocate(facts, experience)
                    if action.events:
                        engine.remember(facts, (decision,))
                case HeldConversion(facts, goal, request):
                    engine.convert(facts, None, goal, request)
                case HeldSegments(facts, segments):
                    engine.set_segments(facts, segments)

    # What is asked while the visitor has not agreed.

    def hold_decisions(self, facts: Facts, decisions: Iterable[Decision]) -> None:
        """Hold the decisions that would be remembered."""
        if self.consent is not Consent.UNKNOWN or self._withheld is not None:
            return
        for decision in decisions:
            experience = decision.experience
            placed = experience is not None and experience.locations and looks_at_location(decision.reason)
            new = decision.reason in _NEW
            if new or placed:
                self._hold(HeldDecision(snapshot(facts), decision, int(new)))

    def hold_segments(self, facts: Facts, segments: Mapping[str, object]) -> None:
        """Hold segments that would be remembered."""
        if self.consent is Consent.UNKNOWN and self._withheld is None:
            self._hold(HeldSegments(snapshot(facts), copy_json({**segments})))

    def hold_conversion(
        self, facts: Facts, project: Project | None, goal: str | int, request: ConversionRequest
    ) -> ConversionResult:
        """Hold a conversion that would be counted."""
        if self._withheld is not None:
            return self._engine.convert_not(facts, project, goal, request, WITHHELD[self._withheld])
        if self.consent is Consent.GRANTED and self.too_late is not None:
            return self._engine.convert_not(facts, project, goal, request, ConversionReason.TRACKING_OFF)
        result = self._engine.convert_not(facts, project, goal, request, ConversionReason.CONSENT)
        if self.consent is not Consent.DENIED and result.reason is ConversionReason.CONSENT:
            kept = request._replace(rule_data=tree(request.rule_data))  # until now the application's own
            self._hold(HeldConversion(snapshot(facts), goal, kept))
        return result

    def _hold(self, action: HeldDecision | HeldConversion | HeldSegments) -> None:
        held = self._held
        if held is None or self._stable:
            held = self._held = self._engine.hold(self._visitor_id, stable=self._stable)
        held.add(action)
        if self.granted:  # another thread brought the answer meanwhile
            self._release(held)


def snapshot(facts: Facts) -> Facts:
    """The facts of this moment, without what was remembered for one object alone."""
    copied = Facts(facts.id, facts.attributes, facts.location, facts.environment, UNSEEN)
    copied._call = facts._call
    copied._merged_from = None
    return copied
