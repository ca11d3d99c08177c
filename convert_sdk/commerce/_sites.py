"""The one spelling of a site's name: it is in every transaction id, so two spellings would count an order twice."""

from __future__ import annotations

import httpx


def canonical_site(site: str) -> str:
    """A site's name in lower case and ASCII, without the port that its scheme implies and without a final dot.

    >>> [canonical_site(each) for each in ("Shop.Example.com:443", "bücher.example.", "127.0.0.1:8080")]
    ['shop.example.com', 'xn--bcher-kva.example', '127.0.0.1:8080']
    """
    try:
        url = httpx.URL(f"https://{site}")
        host = url.raw_host.decode().rstrip(".")
    except (httpx.InvalidURL, UnicodeError):
        return site.lower()
    name = f"[{host}]" if ":" in host else host
    port = "" if url.port in (None, 80, 443) else f":{url.port}"
    return f"{name}{port}{url.path.rstrip('/')}"


def canonical_scope(scope: str) -> str:
    """A source's scope, `website:{site}`, with the site in its one spelling.

    >>> canonical_scope("website:Shop.Example.com")
    'website:shop.example.com'
    """
    system, _, account = scope.partition(":")
    return f"{system}:{canonical_site(account)}" if system == "website" else scope
