"""The making of a visitor, as far as both clients do it alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from . import _checks as check
from ._core.consent import BeforeConsent, Consent
from ._core.facts import Place
from ._core.layers import Layered
from ._core.state import VisitorState
from ._delivery.engine import Engine
from .visitor import Visitor

if TYPE_CHECKING:
    from ._tokens.handover import Handover
    from .stores import AsyncStore, Store

_GRANTED = Consent.GRANTED


def handed_over(engine: Engine, token: str, *, keep_expired: bool) -> Handover | None:
    """The visitor in a token; None for one that is refused."""
    from ._tokens.handover import read_handover

    reading = read_handover(engine, token)
    return reading.handover if reading.flaw is None or keep_expired else None


def answer_before_loading(handover: Handover) -> Consent | None:
    """The consent that decides whether a store may hear of the visitor; None for one that may."""
    handed = handover.consent
    return None if handed is None or handed.answer is _GRANTED else handed.answer


def give_consent(visitor: Visitor, consent: Consent, before_consent: BeforeConsent) -> None:
    """Make a visitor one who was asked for consent, or is to be."""
    from ._delivery.consent import VisitorConsent

    answer, before = check.consent(consent), check.before_consent(before_consent)
    visitor._give_consent(VisitorConsent(visitor._engine, visitor.id, answer, before_consent=before))


def over_a_request(attributes: Mapping[str, object], location: Place) -> tuple[Mapping[str, object], Place]:
    """The attributes and the location; where the attributes lie over a request's facts, so does the location."""
    if type(attributes) is Layered and isinstance(location, Mapping):
        return attributes, attributes.laid_over(location)
    return attributes, location


def is_to_load(engine: Engine, store: Store | AsyncStore, visitor_id: str, consent: Consent | None) -> bool:
    """True if the store may know more of a visitor than this process does; without consent no id reaches it."""
    if consent is not None and consent is not _GRANTED:
        return False
    return engine.project is not None and (store.shared or visitor_id not in engine.states)


def merge_loaded(engine: Engine, visitor_id: str, state: VisitorState | None, forgotten: int | None) -> None:
    """Remember what the store knows; an answer of another kind, as an application's own store may give, is none.

    `forgotten` is what was known of that before the store was asked: a visitor who was forgotten meanwhile stays so.
    """
    if state is None and any(visitor_id in changes for changes in engine.visitors.in_hand):
        state = VisitorState()  # the store will know them in a moment, and memory may have let them go
    if state is not None and not isinstance(state, VisitorState):
        engine.visitors.failed_loads += 1
    elif state is not None:
        with engine.lock:
            if engine.visitors.forgotten.get(visitor_id) == forgotten:
                engine.visitors.merge_loaded(visitor_id, state)
