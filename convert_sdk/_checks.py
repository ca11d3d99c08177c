"""Checks of what an application passes to a client, its options and the verbs; a mistake raises at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from pathlib import Path
from typing import NamedTuple, TypeGuard

from ._core.facts import ANYWHERE, Place
from ._core.state import NOTHING
from ._core.values import ReadableMapping, copy_mapping, plain
from .errors import OptionError


class Unchanged:
    """The type of `UNCHANGED`: the default of an argument that leaves a fact as it is."""

    def __repr__(self) -> str:
        return "UNCHANGED"


UNCHANGED = Unchanged()
_LONGEST_ID = 100


def visitor_id(id: str | int) -> str:
    """The visitor id as text. Raises TypeError or ValueError for what identifies nobody."""
    named = plain(id)
    if isinstance(named, int) and not isinstance(named, bool):
        return str(named)
    if not isinstance(named, str):
        raise TypeError(f"a visitor id must be a str or an int, not {type(id).__name__}")
    if not named:
        raise ValueError("a visitor id must not be empty: use a cookie or account id that stays the same")
    return named


def entity_id(id: str | int) -> str:
    """The id of an account or a project as text. Raises OptionError for what does not fit into a URL."""
    text = str(id)
    if isinstance(id, bool) or not isinstance(id, (str, int)) or not (text.isascii() and text.isalnum()):
        raise OptionError(f"an account id and a project id are numbers such as 10035569, not {id!r}")
    return text


def attributes(attributes: Mapping[str, object] | None, name: str = "attributes") -> Mapping[str, object]:
    """The attributes, none where None was given. Raises TypeError for what is no mapping."""
    if attributes is None:
        return NOTHING
    if not isinstance(attributes, Mapping):
        raise TypeError(f"{name} must be a mapping, not {type(attributes).__name__}")
    return _own(attributes)


def _own(mapping: Mapping[str, object]) -> Mapping[str, object]:
    """A copy of a dict, through the methods of its own class; another mapping, safe to read."""
    if type(mapping) is dict:
        return {**mapping}
    return copy_mapping(mapping) if isinstance(mapping, dict) else ReadableMapping(mapping)


def location(location: Place) -> Place:
    """The location. Raises TypeError for what is neither a mapping nor ANYWHERE nor None."""
    if location is None or location is ANYWHERE:
        return location
    if isinstance(location, Mapping):
        return _own(location)
    raise TypeError(f'location must be a mapping such as {{"url": "/cart"}}, not {type(location).__name__}')


def keys(keys: Iterable[str]) -> list[str]:
    """Several keys. Raises TypeError for a single one, whose letters would be taken for keys, and for what is none."""
    if isinstance(keys, (str, bytes)):
        raise TypeError(f"keys must be several, as in [{keys!r}], not one {type(keys).__name__}")
    return [key(each) for each in keys]


def key(key: str) -> str:
    """A key. Raises TypeError for what is no text."""
    if not isinstance(key, str):
        raise TypeError(f"a key must be a str, not {type(key).__name__}")
    return key


def one_name(name: str, key: object, id: object) -> None:
    """Check that one of the two names something: its key or, by a keyword, its id.

    Raises TypeError for both and none, an id in the key's place, and what names nothing.
    """
    if key is not None and id is not None:
        raise TypeError(f"a {name} is named by its key or by {name}_id=, not by both")
    if key is None and id is None:
        raise TypeError(f"a {name} is needed: give its key, or its id as {name}_id=")
    if key is not None and not isinstance(key, str):
        hint = f"; give an id as {name}_id=" if isinstance(key, int) else ""
        raise TypeError(f"a {name} is named by its key, a str, not {type(key).__name__}{hint}")
    number = plain(id)
    if id is not None and (isinstance(number, bool) or not isinstance(number, (str, int))):
        raise TypeError(f"{name}_id must be a str or an int, not {type(id).__name__}")


def goal(key: str | None, id: str | int | None) -> str | int:
    """The key of a goal, or its id as a number. Raises ValueError for a text that is no number, else as `one_name`."""
    one_name("goal", key, id)
    if id is None:
        return str(plain(key))
    number = str(plain(id))
    if isinstance(id, str) and not (number.isascii() and number.isdigit() and len(number) <= _LONGEST_ID):
        raise ValueError(f"goal_id must be a number such as 100342, not {number!r}")
    return int(number)


def duration(name: str, seconds: float) -> float:
    """The seconds. Raises TypeError for what is no number."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {type(seconds).__name__}")
    return seconds


def environment(environment: str | None, otherwise: str | None) -> str | None:
    """The environment, `otherwise` for None. Raises TypeError for what is no text."""
    if environment is not None and not isinstance(environment, str):
        raise TypeError(f"environment must be a str, not {type(environment).__name__}")
    return environment or otherwise


def switch(tracking: bool | None, otherwise: bool) -> bool:
    """The tracking switch, `otherwise` for None. Raises TypeError for anything else: "no" would count as true."""
    if tracking is not None and not isinstance(tracking, bool):
        raise TypeError(f"tracking must be True or False, not {type(tracking).__name__}")
    return otherwise if tracking is None else tracking


_QUOTES = "\"'`\u2018\u2019\u201c\u201d"
_BYTE_ORDER_MARK = "\ufeff"
_PLACEHOLDERS = ("${", "$(", "{{", "%(")
_CERTIFICATES = (b"-----BEGIN CERTIFICATE-----", b"-----BEGIN TRUSTED CERTIFICATE-----")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def text_flaw(value: object) -> str | None:
    """A usual mistake in a text that came from a file or a variable, as the rest of a sentence about it."""
    if not isinstance(value, str):
        return None
    if value.startswith(_BYTE_ORDER_MARK):
        return "begins with a byte order mark: save the file that it comes from without one"
    if value.strip()[:1] in tuple(_QUOTES) or value.strip()[-1:] in tuple(_QUOTES):
        return "has quotes around it: leave them out (docker's --env-file keeps them)"
    if any(mark in value for mark in _PLACEHOLDERS):
        return "has a placeholder such as ${NAME} in it, which nothing has filled in"
    if any("\ud800" <= char <= "\udfff" for char in value):
        return "has bytes in it that are not UTF-8"
    return None


def word_flaw(value: object) -> str | None:
    """As `text_flaw`, of a text without white space."""
    if isinstance(value, str) and value.strip() and any(char.isspace() for char in value):
        return text_flaw(value) or "has white space in it"
    return text_flaw(value)


def token_flaw(value: object) -> str | None:
    """As `word_flaw`, of a text that may have spaces within."""
    return word_flaw(value) if isinstance(value, str) and value != value.strip() else text_flaw(value)


def key_flaw(value: object) -> str | None:
    """As `word_flaw`, of an SDK key."""
    if isinstance(value, str) and "://" in value:
        return (
            "is a whole URL: give the key alone, such as 10035569/10034190, and the rest as config_endpoint"
        )
    return word_flaw(value)


def host_of(url: str) -> str | None:
    """The host of an http:// or https:// URL in lower case, an IPv6 address without brackets; None without one."""
    from urllib.parse import urlsplit

    if "\\" in url or any(char <= " " or char in _QUOTES + "<>^{}|" for char in url):
        return None
    try:
        parts = urlsplit(url.replace("[project_id]", "0"))
        valid = parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:
        return None
    return parts.hostname if valid else None


def is_loopback(url: str) -> bool:
    """True if a URL leads to this very machine."""
    return host_of(url) in _LOOPBACK


def masked(url: str) -> str:
    """The URL with stars in place of the name and the password in it, and of its query.

    A URL that is wrong is masked too: whatever stands before its last @ may be a password.

    >>> masked("https://me:s3cret@convert.example/api/v1/")
    'https://***@convert.example/api/v1/'
    >>> masked("me:s3cret/1?@convert.example?token=s3cret")
    '***@convert.example?***'
    """
    scheme, slashes, rest = url.partition("://") if "://" in url else ("", "", url)
    at = rest.rfind("@")
    shown, question, _ = (rest if at < 0 else f"***{rest[at:]}").partition("?")
    return f"{scheme}{slashes}{shown}{question and '?***'}"


def no_flaw(_: object) -> None:
    """Nothing that is often done wrong."""


class Check(NamedTuple):
    """The values that an option takes: a test, the words for an error, and those for a usual mistake."""

    accepts: Callable[[object], bool]
    allowed: str
    flaw: Callable[[object], str | None] = no_flaw


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_path(value: object) -> bool:
    return isinstance(value, str) and bool(value) and not any(char in "?#" or char <= " " for char in value)


def _is_header(value: object) -> bool:
    return isinstance(value, str) and _is_text(value) and value.isascii() and value.isprintable()


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)


def _is_positive(value: object) -> bool:
    return _is_number(value) and value > 0


def _is_duration(value: object) -> bool:
    return _is_number(value) and value >= 0


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return _is_whole(value) and value > 0


def _is_switch(value: object) -> bool:
    return isinstance(value, bool)


def _is_url(value: object) -> bool:
    return isinstance(value, str) and bool(host_of(value))


def _is_base_url(value: object) -> bool:
    return isinstance(value, str) and _is_url(value) and "?" not in value and "#" not in value


def _is_folder(value: object) -> bool:
    return _is_text(value) or hasattr(value, "__fspath__")


def _is_store(value: object) -> bool:
    return all(hasattr(value, name) for name in ("load", "save", "shared"))


def _is_transport(value: object) -> bool:
    return hasattr(value, "close") or hasattr(value, "aclose")


def _is_callables(value: object) -> bool:
    return isinstance(value, (list, tuple)) and all(map(callable, value))


def _or_none(accepts: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or accepts(value)


def one_of(*allowed: str) -> Check:
    """One of these texts."""
    return Check(lambda value: value in allowed, " or ".join(f'"{each}"' for each in allowed))


SDK_KEY = Check(
    _or_none(_is_path), "an SDK key such as 10035569/10034190, without white space, ? or #", key_flaw
)
SECRET = Check(_or_none(_is_header), "text of visible ASCII characters, on one line", word_flaw)
TOKEN = Check(
    _or_none(lambda value: _is_header(value) or callable(value)),
    "a token of visible ASCII characters, or a callable that gives one",
    token_flaw,
)
TEXT = Check(_is_text, "text that is not empty", text_flaw)
MAYBE_TEXT = Check(_or_none(_is_text), "text that is not empty", text_flaw)
SWITCH = Check(_is_switch, "True or False")
MAYBE_SWITCH = Check(_or_none(_is_switch), "True, False or None")
COUNT = Check(_is_count, "a whole number above 0")
WHOLE = Check(_is_whole, "a whole number")
POSITIVE = Check(_is_positive, "a number above 0")
SECONDS = Check(_is_positive, "a number of seconds above 0")
DURATION = Check(_is_duration, "a number of seconds, 0 or more")


def _is_proxy(value: object) -> bool:
    return (
        isinstance(value, str)
        and _is_base_url(value)
        and "/" not in value.partition("://")[2].removesuffix("/")
    )


def certificates_flaw(value: object) -> str | None:
    """The reason why a file of certificates cannot be used, as the rest of a sentence about it."""
    if not isinstance(value, str) or not value:
        return None
    try:
        content = Path(value).read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        return f"{value!r} cannot be read: {reason}"
    found = any(mark in content for mark in _CERTIFICATES)
    return None if found else f"{value!r} holds no certificate: it must be a file in PEM form"


URL = Check(_is_base_url, "an http:// or https:// URL without ? and #", word_flaw)
PROXY = Check(
    _or_none(_is_proxy),
    "an http:// or https:// URL of a host and a port, with / ? # @ : in a password percent-encoded",
    word_flaw,
)
FOLDER = Check(_or_none(_is_folder), "the path of a folder")
CERTIFICATES = Check(_or_none(_is_folder), "the path of a file of certificates", certificates_flaw)
STORE = Check(_or_none(_is_store), "a Store: something with load, save and shared")
TRANSPORT = Check(_or_none(_is_transport), "an httpx transport")
CALLABLES = Check(_is_callables, "a list of callables")
