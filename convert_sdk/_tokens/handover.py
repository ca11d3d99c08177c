"""The token that takes a visitor from one process to another: who they are, what was decided, what they agreed to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from convert_sdk._core.consent import BeforeConsent, Consent
from convert_sdk._core.decision import Reason
from convert_sdk._core.state import NO_GOALS
from convert_sdk._delivery.engine import Engine

from .signing import (
    MOST_CHARACTERS,
    TokenFlaw,
    TokenPurpose,
    flat_decisions,
    most_that_fit,
    paired_decisions,
    read,
    sign,
)

_MOST = MOST_CHARACTERS[TokenPurpose.HANDOVER]


class HandedConsent(NamedTuple):
    """The consent of a visitor on their way to another process."""

    answer: Consent
    before_consent: BeforeConsent = "control"
    withheld: Reason | None = None
    """`BOT` or `PRIVACY`: no variation, whatever they agreed to."""


class Handover(NamedTuple):
    """The contents of the token; never facts about the visitor."""

    id: str
    bucketing_id: str | None = None
    """None for the visitor's own id."""
    decisions: Mapping[str, str] = NO_GOALS
    """Variation ids by experience id, the oldest first."""
    consent: HandedConsent | None = None
    """None for somebody who is not asked."""
    tracking: bool = True

    def __repr__(self) -> str:
        return "Handover(…)"


class HandoverReading(NamedTuple):
    """The result of reading a token: its contents, or a flaw. An expired one has both, and no decisions."""

    handover: Handover | None
    flaw: TokenFlaw | None = None


_CONSENTS: Mapping[str, HandedConsent | None] = {
    "": None,
    "granted": HandedConsent(Consent.GRANTED),
    "denied": HandedConsent(Consent.DENIED),
    "unknown": HandedConsent(Consent.UNKNOWN),
    "decide": HandedConsent(Consent.UNKNOWN, "decide"),
    "bot": HandedConsent(Consent.DENIED, "control", Reason.BOT),
    "privacy": HandedConsent(Consent.DENIED, "control", Reason.PRIVACY),
}
"""The words of the wire."""


def write_handover(engine: Engine, handover: Handover, max_age: float) -> str:
    """The token of a visitor; where all decisions do not fit, the newest are in it.

    Raises:
        OptionError: Where the client has no secrets.
        ValueError: For an id that does not fit.
    """
    decisions = [*handover.decisions.items()]

    def signed(most: int) -> str | None:
        flat = flat_decisions(dict(decisions[len(decisions) - most :]))
        body = (handover.id, handover.bucketing_id, _word(handover.consent), int(handover.tracking), flat)
        token = sign(engine, TokenPurpose.HANDOVER, body, max_age)
        return token if len(token) <= _MOST else None

    token = most_that_fit(len(decisions), signed)
    if token is None:
        raise ValueError(f"the ids of this visitor do not fit into a token of {_MOST} characters")
    return token


def _word(consent: HandedConsent | None) -> str:
    if consent is None:
        return ""
    if consent.withheld is not None:
        return consent.withheld.value
    decides = consent.answer is Consent.UNKNOWN and consent.before_consent == "decide"
    return "decide" if decides else consent.answer.value


def read_handover(engine: Engine, token: str) -> HandoverReading:
    """The visitor in a token, or the reason why it is refused; no text raises.

    Raises:
        OptionError: Where the client has no secrets.
    """
    reading = read(engine, TokenPurpose.HANDOVER, token)
    if reading.flaw not in (None, TokenFlaw.EXPIRED):
        return HandoverReading(None, reading.flaw)
    match reading.body:
        case [str(id), None | str() as bucketing_id, str(word), 0 | 1 as tracking, flat] if (
            id and bucketing_id != ""
        ):
            decisions = paired_decisions(flat)
            if word in _CONSENTS and decisions is not None:
                outdated = engine.visitors.is_outdated(id, reading.issued)
                kept = NO_GOALS if outdated or reading.flaw is TokenFlaw.EXPIRED else decisions
                handover = Handover(id, bucketing_id, kept, _CONSENTS[word], bool(tracking))
                return HandoverReading(handover, reading.flaw)
    return HandoverReading(None, TokenFlaw.SHAPE)
