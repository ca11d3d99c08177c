"""The environment's proxies: which one a request takes, and what cannot be read of them.

The variables are those of other tools: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in either case. An entry of
NO_PROXY that means nothing is left out. A proxy that cannot be used fails the requests that should take it, and says
so: a request that was to take a proxy is never sent past it.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import NamedTuple
from urllib.request import getproxies

import httpx

from convert_sdk._urls import is_loopback, url_flaw

_ENTRY = re.compile(
    r"""(?:(?P<scheme>[a-z][a-z0-9+.-]*)://)?
    (?:\[(?P<bracketed>[^\[\]]+)\](?P<length>/\d+)?|(?P<host>[^\s\[\]@:/]+(?:/\d+)?|[0-9a-f:.]*:[0-9a-f:.]*:[0-9a-f:.]*(?:/\d+)?))
    (?::(?P<port>\d+))?/?""",
    re.VERBOSE | re.IGNORECASE,
)
_SCHEMES = ("http", "https", "socks5", "socks5h")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Flaw(NamedTuple):
    """A variable of the environment that cannot be used, in part or at all."""

    variable: str
    text: str


class Route(NamedTuple):
    """A proxy on the way, or the reason why it cannot be taken."""

    variable: str
    proxy: httpx.Proxy | None
    flaw: str = ""


class _Exception(NamedTuple):
    """One entry of NO_PROXY: hosts that are reached directly."""

    scheme: str
    host: str
    network: Network | None
    port: int | None

    def covers(self, url: httpx.URL, address: Address | None) -> bool:
        """True if the URL leads to such a host."""
        if self.scheme not in ("", "all", url.scheme) or self.port not in (None, _port(url)):
            return False
        if self.network is not None:
            return address is not None and address in self.network
        host = url.host.lower()
        if self.host.startswith((".", "*.")):
            return host.endswith(self.host.removeprefix("*"))
        name = self.host.removeprefix("*")
        return host == name or host.endswith(f".{name}")


class ProxyEnvironment(NamedTuple):
    """The proxies that a client takes."""

    routes: Mapping[str, Route] = {}
    """By the scheme of the request's URL, or "all"."""
    exceptions: tuple[_Exception, ...] = ()
    direct: bool = False
    """True if no request takes a proxy."""
    even_loopback: bool = False
    """True if requests to this very machine take it, too."""
    flaws: tuple[Flaw, ...] = ()

    def route(self, url: httpx.URL) -> Route | None:
        """The proxy for a request; None for a direct connection."""
        route = self.routes.get(url.scheme) or self.routes.get("all")
        if route is None or self.direct:
            return None
        address = _address(url.host)
        if is_loopback(str(url)) and not self.even_loopback:
            return None
        covered = any(exception.covers(url, address) for exception in self.exceptions)
        return None if covered else route


def read_environment() -> ProxyEnvironment:
    """Read the proxies of the environment, or of the system where it has such settings."""
    found = getproxies()
    routes = {
        scheme: _route(scheme, found[scheme]) for scheme in ("http", "https", "all") if found.get(scheme)
    }
    flaws = [Flaw(route.variable, route.flaw) for route in routes.values() if route.flaw]
    exceptions: list[_Exception] = []
    entries = [entry for entry in re.split(r"[\s,;]+", found.get("no", "")) if entry]
    for entry in entries:
        exception = _exception(entry)
        if exception is None:
            name = _variable("no")
            shown = f"entry {entries.index(entry) + 1}" if "@" in entry else repr(entry)
            flaws.append(Flaw(name, f"{shown} cannot be read and is left out"))
        else:
            exceptions.append(exception)
    return ProxyEnvironment(routes, tuple(exceptions), direct="*" in entries, flaws=tuple(flaws))


def through(proxy: str) -> ProxyEnvironment:
    """Send every request through one proxy."""
    return ProxyEnvironment({"all": _parse("proxy", proxy)}, even_loopback=True)


def _route(scheme: str, url: str) -> Route:
    return _parse(_variable(scheme), url if "://" in url else f"http://{url}")


def _parse(variable: str, text: str) -> Route:
    """Read the URL of a proxy. What is said of it quotes nothing: it may hold a password."""
    try:
        url = httpx.URL(text)
        proxy = httpx.Proxy(url)
    except (httpx.InvalidURL, ValueError, TypeError):
        known = text.lower().startswith(tuple(f"{scheme}://" for scheme in _SCHEMES))
        return Route(variable, None, "is no URL of a proxy: " + _cure(known=known))
    if not url.host or url.fragment or url.query or url.path not in ("", "/"):
        return Route(variable, None, "is no URL of a proxy: " + _cure(known=True))
    flaw = url_flaw(f"http://{url.netloc.decode()}")
    if flaw is not None:
        return Route(variable, None, f"is no URL of a proxy: it {flaw}")
    if url.scheme.startswith("socks") and find_spec("socksio") is None:
        return Route(
            variable, None, "names a SOCKS proxy, which needs the package socksio: pip install 'httpx[socks]'"
        )
    return Route(variable, proxy)


def _cure(*, known: bool) -> str:
    if known:
        return "write http://user:password@host:port, with / ? # @ : in the password percent-encoded"
    return f"it must begin with {', '.join(f'{scheme}://' for scheme in _SCHEMES)}"


def _exception(entry: str) -> _Exception | None:
    parts = _ENTRY.fullmatch(entry)
    if entry == "*":
        return _Exception("", "*", None, None)
    if parts is None:
        return None
    host = parts["host"] or f"{parts['bracketed']}{parts['length'] or ''}"
    port = int(parts["port"]) if parts["port"] else None
    try:
        network = ipaddress.ip_network(host, strict=False)
    except ValueError:
        if "/" in host or ":" in host or host in (".", "*."):
            return None
        return _Exception((parts["scheme"] or "").lower(), host.lower(), None, port)
    return _Exception((parts["scheme"] or "").lower(), host, network, port)


def _variable(scheme: str) -> str:
    """The name of the variable that holds this setting."""
    wanted = f"{scheme}_proxy"
    names = [name for name in os.environ if name.lower() == wanted and os.environ[name]]
    return wanted if wanted in names else next(iter(names), f"the system's {scheme} proxy")


def _address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _port(url: httpx.URL) -> int | None:
    return url.port or {"http": 80, "https": 443}.get(url.scheme)
