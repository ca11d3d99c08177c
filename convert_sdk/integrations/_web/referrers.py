"""The source of a visit: how a request came to this site, in the words of reports."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

SEARCH_ENGINES = frozenset({
    "aol", "ask", "baidu", "bing", "brave", "duckduckgo", "ecosia", "google", "kagi", "mojeek", "naver", "qwant",
    "seznam", "sogou", "startpage", "swisscows", "yahoo", "yandex",
})  # fmt: skip
"""Names of hosts below their public suffix; a host of another name below them, such as `mail`, is none."""

AI_TOOLS = frozenset({
    "chatgpt.com", "chat.openai.com", "claude.ai", "perplexity.ai", "gemini.google.com", "copilot.microsoft.com",
    "chat.deepseek.com", "chat.mistral.ai", "grok.com", "meta.ai", "poe.com", "you.com",
})  # fmt: skip
"""Hosts of assistants, with or without `www.`."""

_NOT_SEARCH = frozenset(
    {"mail", "docs", "drive", "accounts", "sites", "groups", "news", "play", "calendar", "meet"}
)
_TAGS = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")


def visit_source(parameters: Mapping[str, str], referrer: str | None, host: str, *, new: bool) -> str | None:
    """The source, such as `search`; None where a request does not tell, as on a page after the first.

    Args:
        parameters: Those of the query.
        referrer: The header; a browser leaves it out for many reasons.
        host: The site's own, without a port.
        new: True for a visitor who was made in this request: then no referrer means that there is none.

    >>> visit_source({}, "https://www.google.de/", "shop.example", new=True)
    'search'
    """
    if any(parameters.get(tag) for tag in _TAGS):
        return "campaign"
    if not referrer:
        return "direct" if new else None
    try:
        named = urlsplit(referrer).hostname
    except ValueError:
        named = None
    if named is None or named == host:
        return None
    bare = named.removeprefix("www.")
    if bare in AI_TOOLS:
        return "ai_tool"
    labels = bare.split(".")
    searched = any(label in SEARCH_ENGINES for label in labels[:-1]) and labels[0] not in _NOT_SEARCH
    return "search" if searched else "referral"
