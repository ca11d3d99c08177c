"""People who test in production: the signed token that shows them variations, in a header or a cookie.

Theory of operation
-------------------
A token in an address would stay in histories, logs and what is sent on to other sites. So a link with one only sets the
cookie, and leads to the same page without the parameter. The token names variations of the document, and nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from convert_sdk import _checks as check
from convert_sdk.async_client import AsyncClient
from convert_sdk.client import Client
from convert_sdk.errors import OptionError, UnknownNameError

from .cookies import Cookie
from .request import WebRequest

if TYPE_CHECKING:
    from convert_sdk._tokens.override import OverrideReading

OVERRIDE_HEADER = "Convert-Override"
OVERRIDE_COOKIE = "convert_override"
OFF = "off"
"""The value of the parameter that ends an override in this browser."""
_MOST_SEEN = 1_000
_log = logging.getLogger("convert_sdk")


class LinkAnswer(NamedTuple):
    """The response to a link: it sets or deletes the cookie, and leads to the page without the parameter."""

    set_cookie: str
    location: str
    status: int = 303

    def __repr__(self) -> str:
        return "LinkAnswer(…)"

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers of the response."""
        return [
            ("Location", self.location),
            ("Cache-Control", "private, no-store"),
            ("Referrer-Policy", "no-referrer"),
            ("Content-Length", "0"),
            ("Set-Cookie", self.set_cookie),
        ]


class OverrideTokens:
    """The tokens that one middleware takes.

    Args:
        client: The client, whose secrets sign.
        like: The visitor's cookie: that of the override has the same path and domain.
    """

    def __init__(self, client: Client | AsyncClient, like: Cookie | None) -> None:
        self._client = client
        self._cookie = (like or Cookie())._replace(name=OVERRIDE_COOKIE, http_only=True)
        self._seen: set[str] = set()

    def variations(self, request: WebRequest) -> Mapping[str, str] | None:
        """The variations that a request asks for by its header or its cookie; None where it has no good token."""
        token = request.header(OVERRIDE_HEADER.lower()) or request.cookies.get(OVERRIDE_COOKIE)
        reading = self._read(token) if token else None
        return None if reading is None else reading.variations

    def link(self, request: WebRequest) -> LinkAnswer | None:
        """The answer to a link with a good token; None for any other request, which is served as it is."""
        if OVERRIDE_COOKIE not in request.query or request.method not in ("GET", "HEAD"):
            return None
        parts = request.query.split("&")
        given = [part for part in parts if part.partition("=")[0] == OVERRIDE_COOKIE]
        if not given:
            return None
        token, scheme = given[0].partition("=")[2], request.scheme
        rest = "&".join(part for part in parts if part not in given)
        # One slash: a browser takes two for the beginning of another site.
        location = "/" + quote(request.path, safe=_SAFE).lstrip("/") + (f"?{rest}" if rest else "")
        if token == OFF:
            return LinkAnswer(self._cookie.deletion(scheme), location)
        reading = self._read(token)
        if reading is None:
            return None
        left = max(1, int(reading.expires - self._client._engine.wall_clock()))
        return LinkAnswer(self._cookie._replace(max_age=left).header(token, scheme), location)

    def _read(self, token: str) -> OverrideReading | None:
        """The contents of a token; None for one that is refused."""
        from convert_sdk._tokens.override import read_override

        try:
            reading = read_override(self._client._engine, token)
        except OptionError:  # the secrets are gone: nothing can be known of it
            return None
        if reading.flaw is not None:
            return None
        self._say(token, reading.variations)
        return reading

    def _say(self, token: str, variations: Mapping[str, str]) -> None:
        if token not in self._seen:
            if len(self._seen) >= _MOST_SEEN:
                self._seen.clear()
            self._seen.add(token)
            named = ", ".join(f"{key!r} as {value!r}" for key, value in variations.items())
            _log.info("web integration: somebody tests %s by a signed token; nothing of it is counted", named)


_SAFE = "/!$&'()*+,;=:@-._~"


def override_token(
    client: Client | AsyncClient, variations: Mapping[str, str], *, max_age: float = 3_600.0
) -> str:
    """Make a token that shows whoever has it these variations, where a middleware has `accept_override=True`.

    It goes into the header `Convert-Override`, or into a link as `?convert_override=…`, which sets a cookie. Nothing of
    what such a visitor does is stored or sent.

    Args:
        client: A client with secrets and a document, as the middleware's.
        variations: Keys of variations by key of experience.
        max_age: Seconds for which it is accepted: 24 hours at most.

    Raises:
        OptionError: Where the client has no secrets.
        UnknownNameError: For an experience or a variation that the document lacks.
        TypeError: For a time that is no number.
        ValueError: For no variations, more than fit, and more than 24 hours.

    >>> signing = Client.offline(project, secrets=["a secret of the shop's own"])
    >>> token = override_token(signing, {"checkout-layout": "one-page"})
    """
    from convert_sdk._tokens.override import sign_override
    from convert_sdk.analysis.vocabulary import near_names

    if not variations:
        raise ValueError('name the variations, as in {"checkout-layout": "one-page"}')
    project = client.project
    for key, wanted in variations.items():
        experience = None if project is None else project.experience(key)
        if experience is None:
            known = [] if project is None else [each.key for each in project.experiences]
            raise UnknownNameError(key, "experience", near_names(key, known))
        if experience.variation(wanted) is None:
            known = [each.key for each in experience.variations.values() if each.key is not None]
            raise UnknownNameError(wanted, f"variation of {key!r}", near_names(wanted, known))
    return sign_override(client._engine, variations, check.seconds(max_age, "max_age"))
