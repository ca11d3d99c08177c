"""The wishes of browsers: Global Privacy Control and Do Not Track, heeded where the project's settings say so."""

from __future__ import annotations

from convert_sdk._core.consent import Consent
from convert_sdk._core.web_settings import Area, WebSettings

from .request import WebRequest

# The members since 1 February 2020: the United Kingdom left both on the day before.
EU = frozenset({
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU",
    "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
})  # fmt: skip
"""The 27 members of the European Union."""

EEA = EU | {"IS", "LI", "NO"}
"""The 30 members of the European Economic Area."""

_OLDER_CODES = {"EL": "GR"}
"""The Union's own codes, where they differ from ISO 3166-1."""


def covers(area: Area, country: str | None) -> bool:
    """True if an area has a country; one that is not known is in every area.

    >>> covers(Area.EU_ONLY, "NO"), covers(Area.EEA_ONLY, "NO"), covers(Area.EU_ONLY, None)
    (False, True, True)
    """
    if area is Area.OFF or area is Area.WORLDWIDE:
        return area is Area.WORLDWIDE
    if country is None:
        return True
    members = EU if area is Area.EU_ONLY else EEA
    return _OLDER_CODES.get(country.upper(), country.upper()) in members


def asks_for_privacy(
    request: WebRequest,
    settings: WebSettings,
    country: str | None,
    consent: Consent | None = None,
    *,
    cookie_consent_wins: bool = False,
) -> bool:
    """True if nothing is to be decided, stored or sent for a request, as its browser asks for that.

    Args:
        request: The request.
        settings: Those of the project.
        country: That of the client, two letters; None where nobody says it.
        consent: The visitor's answer.
        cookie_consent_wins: True lets `GRANTED` override Do Not Track; it never overrides Global Privacy Control.
    """
    if _is_set(request, "sec-gpc") and covers(settings.global_privacy_control, country):
        return True
    if not _is_set(request, "dnt") or not covers(settings.do_not_track, country):
        return False
    return not (cookie_consent_wins and consent is Consent.GRANTED)


def _is_set(request: WebRequest, header: str) -> bool:
    return (request.header(header) or "").strip() == "1"
