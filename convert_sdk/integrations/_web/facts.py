"""The facts of a web request, worked out when a rule asks for them and not before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from time import gmtime, time
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from convert_sdk._checks import attributes as checked_attributes
from convert_sdk._core.layers import CookieKey, Layered, Underlay
from convert_sdk._core.model import CompiledProject
from convert_sdk._core.values import MISSING, FactKey
from convert_sdk.errors import OptionError

from .cookies import decoded
from .referrers import visit_source
from .request import WebRequest
from .user_agents import MISSING_EXTRA, ClientHints, UserAgent, read_user_agent

QUERY = "query."
COOKIE = "cookie."
"""The beginnings of the keys of single query parameters and cookies."""
_LONGEST_QUERY = 8_192
_UNKNOWN_COUNTRIES = frozenset({"XX", "ZZ", "T1", "A1", "A2"})
"""Words of content delivery networks for a country that they do not know, and for what is in none."""


class GeoHeaders(NamedTuple):
    """The request headers in which a content delivery network says where the client is; None for one that it has not.

    Name them only where every request comes through that network: anybody can send them.
    """

    country: str | None = None
    region: str | None = None
    city: str | None = None


NETWORKS: Mapping[str, GeoHeaders] = {
    "cloudflare": GeoHeaders("cf-ipcountry", "cf-region", "cf-ipcity"),
    "cloudfront": GeoHeaders(
        "cloudfront-viewer-country", "cloudfront-viewer-country-region-name", "cloudfront-viewer-city"
    ),
    "appengine": GeoHeaders("x-appengine-country", "x-appengine-region", "x-appengine-city"),
    "vercel": GeoHeaders("x-vercel-ip-country", "x-vercel-ip-country-region", "x-vercel-ip-city"),
}
"""Those of well-known networks, under the names that `geo=` takes."""


class FactOptions(NamedTuple):
    """The settings of the facts of all requests of one integration; `fact_options` checks them."""

    geo: GeoHeaders = GeoHeaders()
    names: Mapping[str, str | None] = {}  # read only
    """Facts to the keys under which rules ask for them, where that is another; None for a fact that is not given."""
    report: tuple[str, ...] = ()
    """The segments to report."""

    def key_of(self, fact: str) -> str | None:
        """The key of a fact; None for one that is not given."""
        return self.names.get(fact, fact)


NO_OPTIONS = FactOptions()


def fact_options(
    geo: str | GeoHeaders | None = None,
    names: Mapping[str, str | None] | None = None,
    report: Sequence[str] = (),
) -> FactOptions:
    """The settings, checked.

    Args:
        geo: The network in front of the application, by a name of `NETWORKS`, or its headers; None trusts none.
        names: Other keys of facts, such as `{"browser_name": "browser"}`; None as a key takes a fact out.
        report: The segments to report, of `REPORTABLE`.

    Raises:
        OptionError: For what there is not, and for two facts under one key.

    >>> fact_options(geo="cloudflare", report=["country"]).geo.country
    'cf-ipcountry'
    """
    if isinstance(geo, str):
        if geo not in NETWORKS:
            raise OptionError(f"geo must be one of {', '.join(NETWORKS)}, or GeoHeaders, not {geo!r}")
        geo = NETWORKS[geo]
    elif geo is not None and not isinstance(geo, GeoHeaders):
        raise OptionError(f"geo must be the name of a network or GeoHeaders, not {type(geo).__name__}")
    headers = GeoHeaders(*(name if name is None else name.lower() for name in geo or ()))
    renamed = dict(names or {})
    for fact, key in renamed.items():
        if fact not in FACTS and fact not in (QUERY, COOKIE):
            raise OptionError(
                f"there is no fact {fact!r} to name; there are {', '.join((*FACTS, QUERY, COOKIE))}"
            )
        if key is not None and (not isinstance(key, str) or not key):
            raise OptionError(f"the key of the fact {fact!r} must be a text or None, not {key!r}")
    keys = {fact: renamed.get(fact, fact) for fact in (*FACTS, QUERY, COOKIE)}
    _check_keys(keys, report)
    if {"browser", "devices"} & {*report}:
        require_extra()
    return FactOptions(headers, renamed, tuple(report))


def _check_keys(keys: Mapping[str, str | None], report: Sequence[str]) -> None:
    if isinstance(report, str):
        raise OptionError(f"report must be several names, as in ({report!r},), not a text")
    unknown = next((name for name in report if name not in REPORTABLE), None)
    if unknown is not None:
        raise OptionError(f"report must be of {', '.join(REPORTABLE)}, not {unknown!r}")
    taken = {name: name for name in report}
    for fact, key in keys.items():
        if key is not None and taken.setdefault(key, fact) != fact:
            raise OptionError(f"one key cannot stand for two, {taken[key]!r} and {fact!r}: {key!r}")


@cache
def say_what_is_missing() -> None:
    """Log that rules ask for what nothing can answer, once in a process."""
    from logging import getLogger

    getLogger("convert_sdk").warning("web integration: rules ask for what is not known: %s", MISSING_EXTRA)


def require_extra() -> None:
    """Raise OptionError where ua-parser is not installed."""
    from importlib.util import find_spec

    if find_spec("ua_parser") is None:
        raise OptionError(MISSING_EXTRA)


class RequestFacts(Underlay):
    """The facts of one request, to lie under the attributes of a visitor.

    Nothing of the request is read before a rule asks for it, and then only that. What a request does not tell is
    missing, as an attribute that was not given.

    Args:
        request: The request.
        options: The settings.
        project: The project, whose `utc_offset` is that of project time, and whose settings may keep a referral back.
        new: True for a visitor who was made in this request.
        clock: Gives the seconds since 1970.
    """

    __slots__ = (
        "_agent", "_clock", "_moment", "_new", "_options", "_parameters", "_project", "_reported", "_request",
    )  # fmt: skip

    def __init__(
        self,
        request: WebRequest,
        options: FactOptions = NO_OPTIONS,
        project: CompiledProject | None = None,
        *,
        new: bool = False,
        clock: Callable[[], float] = time,
    ) -> None:
        self._request = request
        self._options = options
        self._project = project
        self._new = new
        self._clock = clock
        self._moment: float | None = None
        self._agent: UserAgent | None = None
        self._parameters: Mapping[str, str] | None = None
        self._reported: Mapping[str, object] | None = None

    def __repr__(self) -> str:
        return "RequestFacts(…)"

    def under(self, attributes: Mapping[str, object] | None = None) -> Layered:
        """Attributes over these facts, as `client.visitor` takes them."""
        return Layered(checked_attributes(attributes), self)

    def answer(self, key: object) -> object:
        try:
            return self._answer(key)
        except ImportError:
            say_what_is_missing()
            return MISSING
        except Exception:  # noqa: BLE001  # a framework's own object may be closed, or odd; it then tells nothing
            return MISSING

    def key_of(self, fact: str) -> str | None:
        return self._options.key_of(fact)

    def reported(self) -> Mapping[str, object]:
        if self._reported is None:
            found = {name: self._segment(name) for name in self._options.report}
            self._reported = {name: value for name, value in found.items() if value is not MISSING}
        return self._reported

    def _answer(self, key: object) -> object:
        if isinstance(key, FactKey):
            return MISSING if self.key_of(key.fact) is None else self._fact(key.fact)
        if isinstance(key, CookieKey):
            return self._cookie(str(key))
        if not isinstance(key, str):
            return MISSING
        if key in self._options.report:  # as an attribute of this name would be seen
            return self.reported().get(key, MISSING)
        for prefix, look in ((QUERY, self._parameter), (COOKIE, self._cookie)):
            start = self._options.key_of(prefix)
            if start is not None and key.startswith(start):
                return look(key.removeprefix(start))
        names = self._options.names
        if not names:
            return self._fact(key)
        fact = next((fact for fact, named in names.items() if named == key), key if key not in names else "")
        return self._fact(fact)

    def _fact(self, fact: str) -> object:
        find = FACTS.get(fact)
        found = None if find is None else find(self)
        return MISSING if found is None else found

    def _cookie(self, name: str) -> object:
        value = self._request.cookies.get(name)
        return MISSING if value is None else decoded(value)

    def _parameter(self, name: str) -> object:
        return self.parameters.get(name, MISSING)

    def _segment(self, name: str) -> object:
        try:
            found = REPORTABLE[name](self)
        except ImportError:
            say_what_is_missing()
            return MISSING
        except Exception:  # noqa: BLE001  # as in `answer`
            return MISSING
        return MISSING if found is None else found

    # What facts are made of.

    @property
    def request(self) -> WebRequest:
        """The request."""
        return self._request

    @property
    def parameters(self) -> Mapping[str, str]:
        """The parameters of the query, decoded; the first of several counts."""
        if self._parameters is None:
            pairs = parse_qsl(self._request.query[:_LONGEST_QUERY], keep_blank_values=True)
            self._parameters = dict(reversed(pairs))
        return self._parameters

    @property
    def agent(self) -> UserAgent:
        """The sender of the request."""
        if self._agent is None:
            header = self._request.header
            hints = ClientHints(header("sec-ch-ua"), header("sec-ch-ua-mobile"), header("sec-ch-ua-platform"))
            self._agent = read_user_agent(header("user-agent") or "", hints)
        return self._agent

    def geo(self, name: str) -> str | None:
        """The word of the trusted header of this name about the place of the client."""
        header: str | None = getattr(self._options.geo, name)
        value = None if header is None else self._request.header(header)
        return unquote(value).strip() or None if value else None

    def now(self, field: int) -> int:
        """A field of the project's time, by its place in a struct_time."""
        if self._moment is None:
            self._moment = self._clock()
        offset = 0.0 if self._project is None else self._project.web.utc_offset
        return gmtime(self._moment + offset)[field]

    @property
    def source(self) -> str | None:
        """The source of the visit; None where it is not told, or not to be told."""
        if self._keeps_referral_back:
            return None
        request = self._request
        return visit_source(
            self.parameters, request.header("referer"), _hostname(request.host), new=self._new
        )

    @property
    def campaign(self) -> str | None:
        """The campaign of the visit, as `source`."""
        return None if self._keeps_referral_back else self.parameters.get("utm_campaign")

    @property
    def _keeps_referral_back(self) -> bool:
        return self._project is not None and self._project.web.do_not_track_referral


def _hostname(host: str) -> str:
    """A host without its port, in small letters."""
    bare = host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    return bare.lower()


def _language(accepted: str | None) -> str | None:
    """The language that is wanted most, two or three letters.

    >>> _language("fr;q=0.3, de-AT, en;q=0.9")
    'de'
    """
    best, found = 0.0, None
    for part in (accepted or "").split(","):
        name, _, weight = part.partition(";")
        language = name.strip().partition("-")[0].lower()
        try:
            wanted = float(weight.partition("=")[2]) if weight else 1.0
        except ValueError:
            continue
        if wanted > best and language.isascii() and language.isalpha():
            best, found = wanted, language
    return found


def _country(facts: RequestFacts) -> str | None:
    named = (facts.geo("country") or "").upper()
    usable = len(named) == 2 and named.isascii() and named.isalpha()  # as of ISO 3166-1
    return named if usable and named not in _UNKNOWN_COUNTRIES else None


def _url(facts: RequestFacts, *, query: bool = False) -> str:
    asked = facts.request.query if query else ""
    return f"{facts.request.url}?{asked}" if asked else facts.request.url


def _query_string(facts: RequestFacts) -> str:
    return f"?{facts.request.query}" if facts.request.query else ""


def _is(kind: str, facts: RequestFacts) -> bool | None:
    device = facts.agent.device
    return None if device is None else device.kind == kind


def _header(name: str, facts: RequestFacts) -> str | None:
    return facts.request.header(name)


def _tag(name: str, facts: RequestFacts) -> str | None:
    return facts.parameters.get(name)


def _browser(facts: RequestFacts) -> str | None:
    return None if facts.agent.browser is None else facts.agent.browser.name


_MINUTE, _HOUR, _DAY = 4, 3, 6

FACTS: Mapping[str, Callable[[RequestFacts], object]] = {
    "url": _url,
    "url_with_query": partial(_url, query=True),
    "path": lambda facts: urlsplit(facts.request.url).path,
    "query": lambda facts: facts.request.query,
    "query_string": _query_string,
    **{
        tag: partial(_tag, tag)
        for tag in ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
    },
    "host": lambda facts: _hostname(facts.request.host) or None,
    "method": lambda facts: facts.request.method,
    "referrer": partial(_header, "referer"),
    "user_agent": partial(_header, "user-agent"),
    "language": lambda facts: _language(facts.request.header("accept-language")),
    "country": _country,
    "region": lambda facts: facts.geo("region"),
    "city": lambda facts: facts.geo("city"),
    "browser_name": _browser,
    "os": lambda facts: facts.agent.os,
    "is_mobile": partial(_is, "mobile"),
    "is_tablet": partial(_is, "tablet"),
    "is_desktop": partial(_is, "desktop"),
    "project_time_day_of_week": lambda facts: (facts.now(_DAY) + 1) % 7,
    "project_time_hour_of_day": lambda facts: facts.now(_HOUR),
    "project_time_minute_of_hour": lambda facts: facts.now(_MINUTE),
}
"""Every fact by its name, and how it is found; None where the request does not tell."""

REPORTABLE: Mapping[str, Callable[[RequestFacts], object]] = {
    "country": _country,
    "browser": lambda facts: None if facts.agent.browser is None else facts.agent.browser.reported,
    "devices": lambda facts: None if facts.agent.device is None else [*facts.agent.device.reported],
    "source": lambda facts: facts.source,
    "campaign": lambda facts: facts.campaign,
}
"""The segments that a request can tell, in the words of the API."""
