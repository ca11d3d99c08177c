"""Checks of what an application passes to a client, its options and the verbs; a mistake raises at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import inf
from os import PathLike
from typing import NamedTuple, TypeGuard, cast

from ._core.bucketing import BucketingId
from ._core.consent import BeforeConsent, Consent
from ._core.facts import ANYWHERE, Place
from ._core.layers import Layer, Layered, Underlay
from ._core.state import NOTHING
from ._core.values import ReadableMapping, copy_mapping, plain
from ._urls import is_web, masked, url_flaw
from .errors import OptionError


class Unchanged:
    """The type of `UNCHANGED`: the default of an argument that leaves a fact as it is."""

    def __repr__(self) -> str:
        return "UNCHANGED"


UNCHANGED = Unchanged()
_LONGEST_ID = 100
_CENTURY = 100 * 365 * 86_400
"""Seconds. Locks and sockets take a little more; nobody waits for longer."""
_MOST = 1_000_000_000
_WIDEST = 1 << 64


def nearest(name: str, known: Iterable[str], most: int = 1) -> str:
    """The end of a message about an unknown name, with the known ones that are near; empty where none is.

    >>> nearest("contry", ["country", "plan"])
    '; did you mean country?'
    """
    from difflib import get_close_matches

    folded = {each.lower(): each for each in reversed([*known])}
    close = [folded[each] for each in get_close_matches(name.lower(), folded, most)]
    return f"; did you mean {' or '.join(close)}?" if close else ""


def visitor_id(id: str | int, name: str = "visitor id") -> str:
    """The visitor id as text. Raises TypeError or ValueError for what identifies nobody."""
    named = plain(id)
    if isinstance(named, int) and not isinstance(named, bool):
        return str(named)
    if not isinstance(named, str):
        raise TypeError(f"a {name} must be a str or an int, not {type(id).__name__}")
    if not named:
        raise ValueError(f"a {name} must not be empty: use a cookie or account id that stays the same")
    return named


def bucketing_id(id: str | int) -> BucketingId:
    """The id to hash in the place of the visitor's. Raises as `visitor_id` does."""
    return BucketingId.of(visitor_id(id, "bucketing_id"))


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
    if isinstance(mapping, Layer):
        return Layered(NOTHING, mapping) if isinstance(mapping, Underlay) else mapping
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


def key(key: str, name: str = "key") -> str:
    """A key, or another text of this name. Raises TypeError for what is no text."""
    if not isinstance(key, str):
        raise TypeError(f"a {name} must be a str, not {type(key).__name__}")
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
    if id is not None:
        id_text(f"{name}_id", cast("str", id))


def id_text(name: str, id: str | int) -> str:
    """The id of an experience or a variation as text. Raises TypeError for what names nothing."""
    number = plain(id)
    if isinstance(number, bool) or not isinstance(number, (str, int)):
        raise TypeError(f"{name} must be a str or an int, not {type(id).__name__}")
    return str(number)


def goal(key: str | None, id: str | int | None) -> str | int:
    """The key of a goal, or its id as a number. Raises ValueError for a text that is no number, else as `one_name`."""
    one_name("goal", key, id)
    if id is None:
        return str(plain(key))
    number = str(plain(id))
    if isinstance(id, str) and not (number.isascii() and number.isdigit() and len(number) <= _LONGEST_ID):
        raise ValueError(f"goal_id must be a number such as 100342, not {number!r}")
    return int(number)


def seconds(timeout: float, name: str = "timeout") -> float:
    """The seconds, those of a century at most. Raises TypeError for what is no number, ValueError for NaN."""
    number = plain(timeout)
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {type(timeout).__name__}")
    if number != number:
        raise ValueError(f"{name} must be a number of seconds, not NaN")
    return float(min(max(number, 0), _CENTURY))


def seconds_or_none(timeout: float | None) -> float | None:
    """As `seconds`; None for None."""
    return None if timeout is None else seconds(timeout)


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


def consent(consent: Consent) -> Consent:
    """The answer. Raises TypeError for anything else: a text or a bool may mean the opposite of what it says."""
    if not isinstance(consent, Consent):
        raise TypeError(f"consent must be a Consent, such as Consent.GRANTED, not {type(consent).__name__}")
    return consent


def before_consent(before_consent: str) -> BeforeConsent:
    """The treatment of somebody whose consent is unknown. Raises ValueError for another word."""
    if before_consent not in ("control", "decide"):
        raise ValueError(f'before_consent must be "control" or "decide", not {before_consent!r}')
    return cast("BeforeConsent", before_consent)


_QUOTES = tuple("\"'`\u2018\u2019\u201c\u201d")
_BYTE_ORDER_MARK = "\ufeff"
_PLACEHOLDERS = ("${", "$(", "{{", "%(")
_BRACKETS = ("<>", "{}", "%%")
_NOTHING = ("none", "null", "nil", "undefined", "nan")
_LONGEST_KEY = 256
SHORTEST_SECRET = 16
"""Characters of a secret that signs; whoever guesses it can sign too."""
_KEY = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")
_CERTIFICATES = (b"-----BEGIN CERTIFICATE-----", b"-----BEGIN TRUSTED CERTIFICATE-----")


def text_flaw(value: object) -> str | None:
    """A usual mistake in a text that came from a file or a variable, as the rest of a sentence about it."""
    if not isinstance(value, str) or not value.strip():
        return None
    flaw = _frame_flaw(value)
    if flaw is not None:
        return flaw
    if any("\ud800" <= char <= "\udfff" for char in value):
        return "has bytes in it that are not UTF-8"
    if any(char.isspace() and char != " " for char in value):
        return "has white space in it"
    unseen = next((char for char in value if not char.isprintable()), None)
    return unseen and _unseen(unseen)


def _frame_flaw(text: str) -> str | None:
    """A mistake around a text, or in its place, as the rest of a sentence about it."""
    if text.startswith(_BYTE_ORDER_MARK):
        return "begins with a byte order mark: save the file that it comes from without one"
    text = text.strip()
    if text.endswith(_BYTE_ORDER_MARK):
        return "ends with a byte order mark: leave it out"
    if text.startswith(_QUOTES) or text.endswith(_QUOTES):
        return "has quotes around it: leave them out (docker's --env-file keeps them)"
    if _is_placeholder(text):
        return "has a placeholder such as ${NAME} in it, which nothing has filled in"
    return None


def _unseen(char: str) -> str:
    return f"has a character in it that nobody sees (U+{ord(char):04X}): type it anew"


def _is_placeholder(text: str) -> bool:
    """True for a text that was to be replaced, or that has a part that was."""
    if any(mark in text for mark in _PLACEHOLDERS):
        return True
    name = text[1:-1]
    if f"{text[:1]}{text[-1:]}" in _BRACKETS and name:
        return not any(char in "<>{}%" for char in name)
    return text.startswith("$") and text[1:].isidentifier() and text.isupper()


def token_flaw(value: object) -> str | None:
    """As `text_flaw`, of a text that may have spaces within, and none around it."""
    flaw = text_flaw(value)
    if flaw is None and isinstance(value, str) and value.strip() and value != value.strip():
        return "has white space in it"
    return flaw


def word_flaw(value: object) -> str | None:
    """As `text_flaw`, of a text without white space."""
    flaw = token_flaw(value)
    if flaw is None and isinstance(value, str) and " " in value.strip():
        return "has white space in it"
    return flaw


def key_flaw(value: object) -> str | None:
    """As `word_flaw`, of an SDK key."""
    if not isinstance(value, str):
        return None
    if "://" in value:
        return f"is a whole URL: {_KEY_ALONE}"
    flaw = word_flaw(value)
    if flaw is not None or not value:
        return flaw
    if value.lower() in _NOTHING:
        return f"is the word {value}: what it was to come from is not set"
    first, *others = value.split("/")
    if others and ("." in first.strip(".") or ":" in first or "config" in (first, *others[:-1])):
        return f"is a URL without its beginning: {_KEY_ALONE}"
    if any(part.strip(".") == "" for part in (first, *others)):
        return "has a part without a name in it, as in a//b, a/ or ../a"
    return None


_KEY_ALONE = "give the key alone, such as 10035569/10034190, and the rest as config_endpoint"


def endpoint_flaw(value: object) -> str | None:
    """As `word_flaw`, of the URL of an endpoint; it quotes the URL, but for a password."""
    flaw = word_flaw(value)
    if flaw is not None or not isinstance(value, str):
        return flaw
    flaw = url_flaw(value)
    return flaw and f"{flaw}, not {masked(value)!r}"


def proxy_flaw(value: object) -> str | None:
    """As `word_flaw`, of the URL of a proxy; it quotes nothing."""
    flaw = word_flaw(value)
    return url_flaw(value) if flaw is None and isinstance(value, str) and is_web(value) else flaw


def path_flaw(value: object) -> str | None:
    """As `text_flaw`, of the path of a file or a folder, in which any character may stand but one."""
    if not isinstance(value, (str, PathLike)):
        return None
    text = str(value)
    flaw = _frame_flaw(text) or _frame_flaw(text.partition("/")[0])
    if flaw is None and text.startswith("~"):
        from pathlib import Path

        try:
            Path(text).expanduser()
        except RuntimeError:
            return f"begins with {text.partition('/')[0]}, the home folder of nobody"
    return _unseen("\0") if flaw is None and "\0" in text else flaw


def size_flaw(value: object) -> str | None:
    """The reason why a number cannot be worked with, as the rest of a sentence about it."""
    return f"must be at most {_MOST:,}" if _is_number(value) and value > _MOST else None


def no_flaw(_: object) -> None:
    """Nothing that is often done wrong."""


class Check(NamedTuple):
    """The values that an option takes: a test, the words for an error, and those for a usual mistake."""

    accepts: Callable[[object], bool]
    allowed: str
    flaw: Callable[[object], str | None] = no_flaw


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_key(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_KEY and _KEY.issuperset(value)


def _is_header(value: object) -> bool:
    return isinstance(value, str) and _is_text(value) and value.isascii() and value.isprintable()


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -inf < value < inf


def _is_positive(value: object) -> bool:
    return _is_number(value) and value > 0


def _is_duration(value: object) -> bool:
    return _is_number(value) and value >= 0


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and -_WIDEST <= value <= _WIDEST


def _is_count(value: object) -> bool:
    return _is_whole(value) and value > 0


def _is_switch(value: object) -> bool:
    return isinstance(value, bool)


def _is_base_url(value: object) -> bool:
    return isinstance(value, str) and url_flaw(value) is None and "?" not in value and "#" not in value


def _is_path(value: object) -> bool:
    return _is_text(value) or (isinstance(value, PathLike) and isinstance(value.__fspath__(), str))


def _is_store(value: object) -> bool:
    return all(hasattr(value, name) for name in ("load", "save", "shared"))


def _is_transport(value: object) -> bool:
    return hasattr(value, "close") or hasattr(value, "aclose")


def _is_callables(value: object) -> bool:
    return isinstance(value, (list, tuple)) and all(map(callable, value))


def _is_secrets(value: object) -> bool:
    if not isinstance(value, (list, tuple)):
        return False
    return all(isinstance(each, (str, bytes)) and len(each) >= SHORTEST_SECRET for each in value)


def secrets_flaw(value: object) -> str | None:
    """A usual mistake in secrets, in which any character may stand."""
    for each in value if isinstance(value, (list, tuple)) else ():
        if isinstance(each, str) and any("\ud800" <= char <= "\udfff" for char in each):
            return "has bytes in it that are not UTF-8"
        if isinstance(each, str) and each != each.strip():
            return "has a secret in it with white space around"
    return None


def _or_none(accepts: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or accepts(value)


def one_of(*allowed: str) -> Check:
    """One of these texts."""
    return Check(lambda value: value in allowed, " or ".join(f'"{each}"' for each in allowed))


SDK_KEY = Check(
    _or_none(_is_key),
    "an SDK key such as 10035569/10034190: letters, digits, - . _ ~ and / between its parts",
    key_flaw,
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
COUNT = Check(_is_count, "a whole number above 0", size_flaw)
WHOLE = Check(_is_whole, "a whole number of 64 bits")
POSITIVE = Check(_is_positive, "a number above 0", size_flaw)
SECONDS = Check(_is_positive, "a number of seconds above 0", size_flaw)
DURATION = Check(_is_duration, "a number of seconds, 0 or more", size_flaw)


def _is_proxy(value: object) -> bool:
    return (
        isinstance(value, str)
        and _is_base_url(value)
        and "/" not in value.partition("://")[2].removesuffix("/")
    )


def certificates_flaw(value: object) -> str | None:
    """The reason why a file of certificates cannot be used, as the rest of a sentence about it."""
    if not _is_path(value):
        return None
    flaw = path_flaw(value)
    if flaw is not None:
        return flaw
    from pathlib import Path

    try:
        content = Path(str(value)).expanduser().read_bytes()
    except OSError as error:
        return f"{str(value)!r} cannot be read: {error.strerror}"
    found = any(mark in content for mark in _CERTIFICATES)
    return None if found else f"{str(value)!r} holds no certificate: it must be a file in PEM form"


URL = Check(_is_base_url, "an http:// or https:// URL without ? and #", endpoint_flaw)
MAYBE_URL = Check(_or_none(_is_base_url), "an http:// or https:// URL without ? and #", endpoint_flaw)
PROXY = Check(
    _or_none(_is_proxy),
    "an http:// or https:// URL of a host and a port, with / ? # @ : in a password percent-encoded",
    proxy_flaw,
)
FOLDER = Check(_or_none(_is_path), "the path of a folder", path_flaw)
FILE = Check(_or_none(_is_path), "the path of a file", path_flaw)


def override_file_flaw(value: object) -> str | None:
    """As `path_flaw`, of a file whose name says what is in it."""
    flaw = path_flaw(value)
    if flaw is not None or not _is_path(value):
        return flaw
    if str(value).lower().endswith((".json", ".toml")):
        return None
    return f"must be a file whose name ends in .json or .toml, not {str(value)!r}"


OVERRIDE_FILE = Check(_or_none(_is_path), "the path of a .json or .toml file", override_file_flaw)
CERTIFICATES = Check(_or_none(_is_path), "the path of a file of certificates", certificates_flaw)
STORE = Check(_or_none(_is_store), "a Store: something with load, save and shared")
TRANSPORT = Check(_or_none(_is_transport), "an httpx transport")
CALLABLES = Check(_is_callables, "a list of callables")
HASH_KEY = Check(
    _or_none(lambda value: _is_text(value) and len(str(value)) >= SHORTEST_SECRET),
    f"a secret of {SHORTEST_SECRET} characters or more",
    token_flaw,
)
SECRETS = Check(
    _is_secrets, f"a list of secrets of {SHORTEST_SECRET} characters or more, the newest first", secrets_flaw
)
