"""The consent of a visitor, and the decisions that are withheld from somebody."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from .decision import Decision, Reason
from .goals import ConversionReason
from .model import CompiledProject, Experience


class Consent(StrEnum):
    """The answer of a visitor who was asked for consent to be experimented with.

    >>> client.visitor("v-42", consent=Consent.DENIED).decide("checkout-layout").reason.value
    'consent'
    """

    GRANTED = "granted"
    DENIED = "denied"
    """No variation is given; nothing is stored or sent."""
    UNKNOWN = "unknown"
    """Not asked yet, or no answer: what happens would be sent if consent came."""


BeforeConsent = Literal["control", "decide"]
"""The treatment of somebody whose consent is unknown: no variation, or decisions whose events are held."""

WITHHELD = {
    Reason.CONSENT: ConversionReason.CONSENT,
    Reason.PRIVACY: ConversionReason.PRIVACY,
    Reason.BOT: ConversionReason.BOT,
}
"""The reasons for which somebody gets no variation at all, and those of their conversions."""


def withheld_decision(project: CompiledProject, key: str, reason: Reason) -> Decision:
    """The decision for somebody who gets no variation. Raises TypeError for a key that is no text."""
    experience: Experience | None = project.experiences.get(key)
    if experience is None:
        reason = Reason.UNKNOWN
        if not isinstance(key, str):
            raise TypeError(f"an experience's key must be a str, not {type(key).__name__}")
    return Decision(key, reason, experience)
