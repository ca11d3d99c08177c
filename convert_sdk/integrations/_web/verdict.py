"""The verdict on a request before anything is decided: withheld from somebody, or decided without a trace."""

from __future__ import annotations

from typing import NamedTuple

from convert_sdk._core.consent import Consent
from convert_sdk._core.decision import Reason
from convert_sdk._core.layers import NATIVE, Layered
from convert_sdk._core.web_settings import Area, WebSettings

from .bots import is_without_view
from .privacy import asks_for_privacy
from .request import WebRequest


class Verdict(NamedTuple):
    """The treatment of one request."""

    withheld: Reason | None = None
    """`BOT` or `PRIVACY`: no variation, no cookie, nothing stored or sent."""
    quiet: bool = False
    """Decided, never exposed or stored: a prefetch, or a method that shows no page. The real view exposes."""


NORMAL = Verdict()
QUIET = Verdict(quiet=True)


BOT = Verdict(withheld=Reason.BOT)
PRIVATE = Verdict(withheld=Reason.PRIVACY)
UNKNOWN_SETTINGS = WebSettings(do_not_track=Area.WORLDWIDE, global_privacy_control=Area.WORLDWIDE)
"""The settings before the first document: what a browser asks for is heeded everywhere."""


def judge(
    request: WebRequest,
    consent: Consent,
    attributes: Layered,
    settings: WebSettings | None,
    *,
    cookie_consent_wins: bool,
) -> Verdict:
    """The verdict on a request of somebody who is no bot.

    Args:
        request: The request.
        consent: The visitor's answer.
        attributes: Those of the visitor, over the request's facts: they may say the country.
        settings: Those of the project; None before the first document.
        cookie_consent_wins: The option of this name.
    """
    if asks_for_privacy(
        request,
        UNKNOWN_SETTINGS if settings is None else settings,
        _country(attributes),
        consent,
        cookie_consent_wins=cookie_consent_wins,
    ):
        return PRIVATE
    return QUIET if is_without_view(request) else NORMAL


def _country(attributes: Layered) -> str | None:
    named = attributes.get(NATIVE["country"])
    return named if isinstance(named, str) else None
