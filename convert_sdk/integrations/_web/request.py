"""A request as the web integrations see it, whatever the framework."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, MutableMapping
from urllib.parse import quote

from .cookies import read_cookies


class WebRequest(ABC):
    """One HTTP request. Everything is read from the framework's own object when it is asked, and not before."""

    @property
    @abstractmethod
    def method(self) -> str:
        """The method in capitals; GET for a websocket."""

    @property
    @abstractmethod
    def scheme(self) -> str:
        """`http` or `https`, as the framework's own handling of proxies has it."""

    @property
    @abstractmethod
    def host(self) -> str:
        """The host as the client named it, with the port if it did; empty if it did not."""

    @property
    @abstractmethod
    def path(self) -> str:
        """The path, percent-decoded, from the root of the host on."""

    @property
    @abstractmethod
    def query(self) -> str:
        """The query as it came, without the question mark."""

    @property
    @abstractmethod
    def client(self) -> str | None:
        """The address of the client, as the framework's own handling of proxies has it."""

    @abstractmethod
    def header(self, name: str) -> str | None:
        """A header by its name in small letters, the values of several joined by a comma; None if there is none."""

    _cookies: Mapping[str, str] | None = None

    @property
    def cookies(self) -> Mapping[str, str]:
        """The cookies by name, with their values as they came; the first of several counts."""
        if self._cookies is None:
            self._cookies = read_cookies(self.header("cookie") or "")
        return self._cookies

    @property
    def url(self) -> str:
        """The whole address, without the query."""
        return f"{self.scheme}://{self.host}{quote(self.path, safe=_SAFE)}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


_SAFE = "/!$&'()*+,;=:@-._~%"


class AsgiRequest(WebRequest):
    """The request of an ASGI scope, `http` or `websocket`."""

    def __init__(self, scope: MutableMapping[str, object]) -> None:
        self.asgi = scope

    @property
    def method(self) -> str:
        """As the scope has it."""
        return str(self.asgi.get("method", "GET"))

    @property
    def scheme(self) -> str:
        """As the scope has it; that of the page for a websocket."""
        scheme = str(self.asgi.get("scheme", "http"))
        return _PAGES.get(scheme, scheme)

    @property
    def host(self) -> str:
        """The header, or the server's own address."""
        named = self.header("host")
        if named is not None:
            return named
        match self.asgi.get("server"):
            case (str(host), int(port)):
                return host if port == _PORTS.get(self.scheme) else f"{host}:{port}"
        return ""

    @property
    def path(self) -> str:
        """The scope's path, which has the `root_path` in it."""
        return str(self.asgi.get("path", ""))

    @property
    def query(self) -> str:
        """The scope's bytes as text."""
        found = self.asgi.get("query_string", b"")
        return found.decode("latin-1") if isinstance(found, bytes) else str(found)

    @property
    def client(self) -> str | None:
        """The first half of the scope's pair."""
        match self.asgi.get("client"):
            case (str(host), _):
                return host
        return None

    def header(self, name: str) -> str | None:
        """From the scope's list of pairs."""
        wanted = name.encode("latin-1")
        headers: Iterable[tuple[bytes, bytes]] = self.asgi.get("headers", ())  # type: ignore[assignment]  # by ASGI
        values = [value.decode("latin-1") for key, value in headers if key.lower() == wanted]
        joined = "; " if name == "cookie" else ", "
        return joined.join(values) if values else None


class WsgiRequest(WebRequest):
    """The request of a WSGI environment."""

    def __init__(self, environ: Mapping[str, object]) -> None:
        self.environ = environ

    @property
    def method(self) -> str:
        """The environment's own."""
        return self._text("REQUEST_METHOD") or "GET"

    @property
    def scheme(self) -> str:
        """The environment's own, which the middleware of a proxy sets."""
        return self._text("wsgi.url_scheme") or "http"

    @property
    def host(self) -> str:
        """The header, or the server's own name."""
        named = self._text("HTTP_HOST")
        if named:
            return named
        host, port = self._text("SERVER_NAME"), self._text("SERVER_PORT")
        return host if not port or int(port) == _PORTS.get(self.scheme) else f"{host}:{port}"

    @property
    def path(self) -> str:
        """The script's name and the path within it."""
        raw = self._text("SCRIPT_NAME") + self._text("PATH_INFO")
        return raw.encode("latin-1", "replace").decode("utf-8", "replace")

    @property
    def query(self) -> str:
        """The environment's own."""
        return self._text("QUERY_STRING")

    @property
    def client(self) -> str | None:
        """The environment's own."""
        return self._text("REMOTE_ADDR") or None

    def header(self, name: str) -> str | None:
        """From the variables that begin with HTTP_."""
        key = name.upper().replace("-", "_")
        found = self.environ.get(key if key in _WITHOUT_PREFIX else f"HTTP_{key}")
        return found if isinstance(found, str) else None

    def _text(self, name: str) -> str:
        found = self.environ.get(name)
        return found if isinstance(found, str) else ""


_PAGES = {"ws": "http", "wss": "https"}
_PORTS = {"http": 80, "https": 443}
_WITHOUT_PREFIX = frozenset({"CONTENT_TYPE", "CONTENT_LENGTH"})
