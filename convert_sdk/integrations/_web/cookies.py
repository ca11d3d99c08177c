"""Cookies: the one place that reads a request's and writes a response's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple
from urllib.parse import quote, unquote

from convert_sdk.errors import OptionError

VISITOR_COOKIE = "convert_visitor_id"
"""The name that Convert's own edge package uses."""
_YEAR = 31_536_000
_HOST_PREFIX = "__host-"
_SEPARATORS = frozenset('()<>@,;:\\"/[]?={} \t')

Secure = Literal["auto"] | bool
SameSite = Literal["Lax", "Strict", "None"]


class Cookie(NamedTuple):
    """The name and the attributes of a cookie."""

    name: str = VISITOR_COOKIE
    path: str = "/"
    domain: str | None = None
    max_age: int = _YEAR
    same_site: SameSite = "Lax"
    http_only: bool = True
    secure: Secure = "auto"
    """"auto" is on where the request is https, and always where browsers take the cookie with `Secure` only."""

    @property
    def _needs_secure(self) -> bool:
        """True if browsers take the cookie with `Secure` only."""
        return self.same_site == "None" or self.name.lower().startswith(("__secure-", _HOST_PREFIX))

    def header(self, value: str, scheme: str) -> str:
        """The value of `Set-Cookie`; the cookie's value is percent-encoded.

        >>> Cookie().header("v 42", "https")
        'convert_visitor_id=v%2042; Path=/; Max-Age=31536000; SameSite=Lax; HttpOnly; Secure'
        """
        return self._header(quote(value, safe=""), self.max_age, scheme)

    def deletion(self, scheme: str) -> str:
        """The value of `Set-Cookie` that makes a browser forget the cookie."""
        return self._header("", 0, scheme)

    def _header(self, value: str, max_age: int, scheme: str) -> str:
        parts = [f"{self.name}={value}", f"Path={self.path}"]
        if self.domain is not None:
            parts.append(f"Domain={self.domain}")
        parts += [f"Max-Age={max_age}", f"SameSite={self.same_site}"]
        if self.http_only:
            parts.append("HttpOnly")
        if self.secure is True or self._needs_secure or (self.secure == "auto" and scheme == "https"):
            parts.append("Secure")
        return "; ".join(parts)


def checked_cookie(cookie: Cookie) -> Cookie:
    """The cookie. Raises OptionError for attributes that no browser takes."""
    if not isinstance(cookie, Cookie):
        raise OptionError(f"cookie must be a Cookie, not {type(cookie).__name__}")
    if not cookie.name or any(not "!" <= char <= "~" or char in _SEPARATORS for char in cookie.name):
        raise OptionError(f"a cookie's name is a word without separators, not {cookie.name!r}")
    for name, text in (("path", cookie.path), ("domain", cookie.domain or "")):
        if any(not " " <= char <= "~" or char == ";" for char in text):
            raise OptionError(f"a cookie's {name} is visible ASCII without ;, not {text!r}")
    if isinstance(cookie.max_age, bool) or not isinstance(cookie.max_age, int) or cookie.max_age <= 0:
        raise OptionError(f"a cookie's max_age is a number of seconds above 0, not {cookie.max_age!r}")
    if cookie.same_site not in ("Lax", "Strict", "None"):
        raise OptionError(f'a cookie\'s same_site is "Lax", "Strict" or "None", not {cookie.same_site!r}')
    if cookie.secure not in ("auto", True, False):
        raise OptionError(f'a cookie\'s secure is "auto", True or False, not {cookie.secure!r}')
    if cookie._needs_secure and not cookie.secure:
        raise OptionError(
            'browsers take a cookie with same_site="None", and one whose name begins with __Secure- or __Host-, '
            "only if it is secure: leave out secure=False"
        )
    if cookie.name.lower().startswith(_HOST_PREFIX) and (cookie.domain is not None or cookie.path != "/"):
        raise OptionError(
            'browsers take a cookie whose name begins with __Host- only with path="/" and without a domain'
        )
    return cookie


def read_cookies(header: str) -> Mapping[str, str]:
    """The cookies of a request by name, values as they came; of two of one name the first, as browsers sort them.

    >>> read_cookies('a=1; b="two"; a=3; odd')
    {'a': '1', 'b': 'two'}
    """
    cookies: dict[str, str] = {}
    for part in header.split(";"):
        name, equals, value = part.partition("=")
        name, value = name.strip(), value.strip()
        if equals and name and name not in cookies:
            quoted = len(value) > 1 and value[0] == value[-1] == '"'
            cookies[name] = value[1:-1] if quoted else value
    return cookies


def decoded(value: str) -> str:
    """A cookie's value without its percent-encoding."""
    return unquote(value, errors="replace")
