"""Requests that nobody looks at: declared bots, and pages that a browser fetches ahead."""

from __future__ import annotations

import re
from functools import lru_cache

from .request import WebRequest
from .user_agents import parse

_LIBRARIES = (
    "aiohttp/", "curl/", "faraday", "go-http-client/", "guzzlehttp/", "httpie/", "java/", "libwww-perl/",
    "lwp", "php/", "python-httpx/", "python-requests/", "python-urllib", "python/", "scrapy/", "urllib3/", "wget/",
    "insomnia/", "postmanruntime/", "apachebench/", "hey/", "k6/", "locust", "vegeta", "wrk",
    "blackbox exporter/", "consul health check", "elb-healthchecker/", "googlehc/", "haproxy", "kube-probe/",
    "prometheus/", "uptime-kuma/",
)  # fmt: skip
"""The beginnings of the user agents of scripts, tools, load generators and health checks, in small letters.

What apps and pages of people use too (okhttp, CFNetwork, Dart, axios, node) is not here.
"""

_MAY_BE_ONE = re.compile(
    r"bot|crawl|spider|slurp|archiv|index|scrap|scoot|fetch|monitor|preview|snippet|check|probe|valid|lighthouse"
    r"|pagespeed|page speed|headless|phantom|https?:|www\.|@|google|yahoo|yandex|baidu|sogou|daum|yeti|naver|lycos"
    r"|facebook|whatsapp|telegram|slack|discord|skype|embedly|pinterest|twitter|linkedin|feed|rss|favicon|wordpress"
    r"|java|python|ruby|perl|php|winhttp|pingdom|statuscake|gomez|ptst|datanyze|masscan|nutch|heritrix|larbin|gpt",
    re.IGNORECASE,
)
"""Found in whatever ua-parser calls a spider: a browser without any of it is not parsed to know that it is none."""

_DECLARED = re.compile(r"(?<!cu)bot\b|crawler|spider|slurp|headlesschrome", re.IGNORECASE)
"""The words that are enough by themselves, where ua-parser is not installed; Cubot makes phones."""

_NO_VIEW = frozenset({"HEAD", "OPTIONS"})


def is_declared_bot(user_agent: str | None) -> bool:
    """True for a user agent that says it is no browser of a person.

    >>> is_declared_bot("curl/8.5.0"), is_declared_bot("Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Firefox/125.0")
    (True, False)
    """
    return bool(user_agent) and _is_declared(user_agent[:2_048])  # type: ignore[index]  # it is no None


@lru_cache(maxsize=2_000)
def _is_declared(user_agent: str) -> bool:
    if user_agent.lower().startswith(_LIBRARIES):
        return True
    if user_agent.startswith(("Mozilla/", "Opera/")) and not _MAY_BE_ONE.search(user_agent):
        return False
    try:
        device = parse(user_agent).device
    except ImportError:
        return _DECLARED.search(user_agent) is not None
    return device is not None and device.family == "Spider"


def is_prefetch(request: WebRequest) -> bool:
    """True for a page that a browser fetches or renders ahead, which somebody may look at later, or never."""
    purposes = f"{request.header('sec-purpose') or ''};{request.header('purpose') or ''}".lower()
    return "prefetch" in purposes or "prerender" in purposes


def is_without_view(request: WebRequest) -> bool:
    """True for a request whose answer nobody sees: a prefetch, HEAD, OPTIONS. It is decided, and leaves no trace."""
    return request.method in _NO_VIEW or is_prefetch(request)
