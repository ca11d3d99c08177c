"""Access to a server on a socket: the names it answers to, the pages that may ask, and CORS.

A page in a browser on this machine can reach every port of it. So a server on a socket answers only to names of the
machine itself (a page of another site whose name was rebound to 127.0.0.1 brings that site's name), and what it
offers beyond Convert's API (events, tokens) is refused to pages of other origins. Convert's own endpoints may be asked
by any page, as the real ones may: a browser SDK on a page of yours is to work.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request

_MOST_PROXIES = 50
ANY_HOST = "*"
"""In `hosts`: Convert's own endpoints answer to every name."""
CORS: Mapping[str, str] = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "ETag",
}
"""On every answer of Convert's own endpoints."""
PREFLIGHT: Mapping[str, str] = {
    **CORS,
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Content-Encoding, If-None-Match, convert-debug-token",
    "Access-Control-Allow-Private-Network": "true",
    "Access-Control-Max-Age": "600",
}
"""The answer to OPTIONS, which a browser asks before a page's request."""
PRIVATE: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
"""On every answer beyond Convert's API."""


def check_api(request: Request, hosts: Collection[str] | None) -> None:
    """Refuse a request to one of Convert's endpoints that comes under a foreign name, or posts what is no JSON."""
    _forwarded(request)
    if hosts is None:
        return
    if ANY_HOST not in hosts:
        _check_host(request, hosts)
    if request.method == "POST" and not _is_json(request):
        raise HTTPException(415, "the Content-Type must be application/json")


def check_private(request: Request, hosts: Collection[str] | None) -> None:
    """Refuse what comes from another machine, under a foreign name or from a page of another origin."""
    _check_client(request)
    if hosts is None:
        return
    _check_host(request, hosts)
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower():
        raise HTTPException(403, "not answered to pages of other origins")
    if "content-type" in request.headers and not _is_json(request):
        raise HTTPException(415, "the Content-Type must be application/json")


def is_loopback(host: str) -> bool:
    """Tell a name or address of the machine itself, written as in a URL."""
    name = host.strip("[]").lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _check_host(request: Request, hosts: Collection[str]) -> None:
    host = request.headers.get("host", "")
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    if not is_loopback(name) and name.lower() not in hosts:
        raise HTTPException(403, "this server only answers to names of the machine itself, such as localhost")


def _check_client(request: Request) -> None:
    client = request.client.host if request.client is not None else "127.0.0.1"
    if not all(map(is_loopback, (client, *_forwarded(request)))):
        raise HTTPException(403, "only answered on the machine itself")


def _forwarded(request: Request) -> list[str]:
    """The addresses that proxies on the way have named; raises HTTPException for what is none."""
    lines = request.headers.getlist("x-forwarded-for")
    entries = [entry for line in lines for each in line.split(",") if (entry := each.strip())]
    addresses = [address for each in entries if (address := _address(each)) is not None]
    if len(addresses) < len(entries) or len(entries) > _MOST_PROXIES:
        wanted = "a list of addresses, such as 203.0.113.7, 2001:db8::1"
        raise HTTPException(400, f"X-Forwarded-For must be {wanted}")
    return addresses


def _address(entry: str) -> str | None:
    """The address of an entry, which may have a port; "unknown" stays, as proxies write it."""
    if entry.lower() == "unknown":
        return entry
    host, colon, port = entry.rpartition(":")
    bare = host if colon and port.isdecimal() and (host.endswith("]") or ":" not in host) else entry
    try:
        return str(ip_address(bare.removeprefix("[").removesuffix("]")))
    except ValueError:
        return None


def _is_json(request: Request) -> bool:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")
