"""Options: given as arguments or as CONVERT_* variables, checked once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from os import environ
from typing import TYPE_CHECKING, Literal, NamedTuple, TypedDict, cast

from ._core.bucketing import DEFAULT, Bucketing
from .errors import OptionError

if TYPE_CHECKING:
    from httpx import AsyncBaseTransport, BaseTransport

    from .observation import Observation
    from .stores import AsyncStore, Store

CONFIG_ENDPOINT = "https://cdn-4.convertexperiments.com/api/v1/"
TRACK_ENDPOINT = "https://[project_id].metrics.convertexperiments.com/v1/"
Token = str | Callable[[], str]


class Options(NamedTuple):
    """Everything a client can be told; `Client(...)` and `AsyncClient(...)` take the same names as keywords.

    Times are seconds. What is not given comes from the variable in brackets, then from the default.

    >>> client = Client("10035569/10034190", refresh_interval=60, cache="low")
    >>> client.options.refresh_interval, client.options.batch_size
    (60, 100)
    """

    sdk_key: str | None = None
    """[CONVERT_SDK_KEY] Normally `account/project`."""
    sdk_secret: str | None = None
    """[CONVERT_SDK_SECRET] Sent as a bearer token to both endpoints."""
    environment: str | None = None
    """[CONVERT_ENVIRONMENT] None is the one that the document marks as default."""
    config_endpoint: str = CONFIG_ENDPOINT
    """[CONVERT_CONFIG_ENDPOINT]"""
    track_endpoint: str = TRACK_ENDPOINT
    """[CONVERT_TRACK_ENDPOINT] `[project_id]` is filled in."""
    debug_token: Token | None = None
    """[CONVERT_DEBUG_TOKEN] Serves drafts and paused experiences. A callable is asked before each fetch."""
    cache: Literal["default", "low"] = "default"
    """"low" asks the CDN for a short-lived copy."""
    refresh_interval: float = 300.0
    start_wait: float = 2.0
    """How long the first `visitor()` of a process waits for the document, once."""
    request_timeout: float = 10.0
    """For one whole answer."""
    tracking: bool = True
    """[CONVERT_TRACKING] False sends nothing and keeps nothing to send."""
    enrich_data: bool | None = None
    """None: true unless several processes share the store."""
    source: str = "python-sdk"
    store: Store | AsyncStore | None = None
    max_visitors: int = 10_000
    batch_size: int = 100
    flush_interval: float = 1.0
    max_queue: int = 10_000
    delivery: Literal["at_least_once", "at_most_once"] = "at_least_once"
    """Whether a batch that may have arrived is sent again."""
    spool: str | None = None
    """[CONVERT_SPOOL] A folder in which undelivered events survive the process."""
    durability: Literal["async", "sync"] = "async"
    """"sync" writes to the spool before `decide` and `track` return."""
    shutdown_timeout: float = 2.0
    cache_dir: str | None = None
    """[CONVERT_CACHE_DIR] A folder for the last good document."""
    allow_http: bool = False
    """Permit http:// beyond the loopback interface."""
    ca_bundle: str | None = None
    """[CONVERT_CA_BUNDLE] A file of certificates to trust in place of the usual ones."""
    proxy: str | None = None
    """[CONVERT_PROXY] None follows HTTPS_PROXY and the like."""
    transport: BaseTransport | AsyncBaseTransport | None = None
    """An httpx transport, for tests and special networks."""
    observe: Callable[[Observation], None] | None = None
    """Hears of every decision, exposure, conversion, delivery and lapse, from the worker."""
    observe_inline: bool = False
    """True calls `observe` where it happens, also within `decide` and `track`."""
    hash_seed: int = 9999
    """0 is the default, as in every Convert SDK."""
    max_traffic: float = 10_000
    exclude_experience_id: bool = False

    def __repr__(self) -> str:
        changed = (
            f"{name}={value!r}"
            for name, value in zip(self._fields, self, strict=True)
            if name not in _HIDDEN and value != self._field_defaults[name]
        )
        return f"Options({', '.join(changed)})"

    @property
    def bucketing(self) -> Bucketing:
        """How visitors are hashed."""
        return Bucketing(
            (self.hash_seed or DEFAULT.seed) % (1 << 32), self.max_traffic, self.exclude_experience_id
        )

    @property
    def enriches(self) -> bool:
        """Whether the API fills in what it knows: unless said otherwise, where no processes share a store."""
        alone = self.store is None or not self.store.shared
        return alone if self.enrich_data is None else self.enrich_data


class OptionArguments(TypedDict, total=False):
    """The keywords of `Client(...)`: the fields of `Options` but for the SDK key."""

    sdk_secret: str | None
    environment: str | None
    config_endpoint: str
    track_endpoint: str
    debug_token: Token | None
    cache: Literal["default", "low"]
    refresh_interval: float
    start_wait: float
    request_timeout: float
    tracking: bool
    enrich_data: bool | None
    source: str
    store: Store | AsyncStore | None
    max_visitors: int
    batch_size: int
    flush_interval: float
    max_queue: int
    delivery: Literal["at_least_once", "at_most_once"]
    spool: str | None
    durability: Literal["async", "sync"]
    shutdown_timeout: float
    cache_dir: str | None
    allow_http: bool
    ca_bundle: str | None
    proxy: str | None
    transport: BaseTransport | AsyncBaseTransport | None
    observe: Callable[[Observation], None] | None
    observe_inline: bool
    hash_seed: int
    max_traffic: float
    exclude_experience_id: bool


_HIDDEN = frozenset({"sdk_key", "sdk_secret", "debug_token", "proxy", "store", "transport", "observe"})
_VARIABLES = {
    "sdk_key": "CONVERT_SDK_KEY",
    "sdk_secret": "CONVERT_SDK_SECRET",
    "environment": "CONVERT_ENVIRONMENT",
    "config_endpoint": "CONVERT_CONFIG_ENDPOINT",
    "track_endpoint": "CONVERT_TRACK_ENDPOINT",
    "debug_token": "CONVERT_DEBUG_TOKEN",
    "tracking": "CONVERT_TRACKING",
    "spool": "CONVERT_SPOOL",
    "cache_dir": "CONVERT_CACHE_DIR",
    "ca_bundle": "CONVERT_CA_BUNDLE",
    "proxy": "CONVERT_PROXY",
}
_SWITCH = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def build(given: Mapping[str, object], variables: Mapping[str, str] = environ) -> Options:
    """The options of these arguments and variables.

    Raises OptionError, which names the option and says what is allowed.
    """
    unknown = [name for name in given if name not in Options._fields]
    if unknown:
        raise OptionError(f"{unknown[0]} is no option{_nearest(unknown[0])}")
    values: dict[str, object] = {}
    for name, variable in _VARIABLES.items():
        text = variables.get(variable, "").strip()  # what is read from a file ends with a line break
        if text:
            values[name] = _switch(variable, text) if name == "tracking" else text
    values |= {name: value for name, value in given.items() if value is not None or name not in values}
    for name, value in values.items():
        check, allowed = _CHECKS[name]
        if not check(value):
            shown = "" if name in _HIDDEN else f", not {value!r}"
            raise OptionError(f"{name} must be {allowed}{shown}")
    options = Options(**values)  # type: ignore[arg-type]  # each value was checked
    _check_together(options)
    return options


def _nearest(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, Options._fields, 1)
    return f"; did you mean {close[0]}?" if close else ""


def _switch(variable: str, text: str) -> bool:
    try:
        return _SWITCH[text.lower()]
    except KeyError:
        raise OptionError(f"{variable} must be one of {', '.join(_SWITCH)}, not {text!r}") from None


def _check_together(options: Options) -> None:
    if options.durability == "sync" and options.spool is None:
        raise OptionError('durability="sync" needs a spool: give a folder as spool=')
    for name in ("config_endpoint", "track_endpoint"):
        endpoint: str = getattr(options, name)
        if endpoint.startswith("http://") and not options.allow_http and _host(endpoint) not in _LOOPBACK:
            raise OptionError(f"{name} must be https:// beyond this machine; allow_http=True permits http://")


def _host(url: str) -> str:
    authority = url.split("/", 3)[2].rpartition("@")[2]
    return authority.partition("]")[0] + "]" if authority.startswith("[") else authority.partition(":")[0]


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_path(value: object) -> bool:
    return isinstance(value, str) and bool(value) and not any(char in "?#" or char <= " " for char in value)


def _is_header(value: object) -> bool:
    return _is_text(value) and cast("str", value).isascii() and cast("str", value).isprintable()


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)


def _is_positive(value: object) -> bool:
    return _is_number(value) and cast("float", value) > 0


def _is_duration(value: object) -> bool:
    return _is_number(value) and cast("float", value) >= 0


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_switch(value: object) -> bool:
    return isinstance(value, bool)


def _is_url(value: object) -> bool:
    return (
        isinstance(value, str)
        and value.startswith(("http://", "https://"))
        and len(value.split("/", 3)[2]) > 0
    )


def _is_folder(value: object) -> bool:
    return _is_text(value) or hasattr(value, "__fspath__")


def _or_none(check: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or check(value)


def _one_of(*allowed: str) -> tuple[Callable[[object], bool], str]:
    return (lambda value: value in allowed), " or ".join(f'"{each}"' for each in allowed)


_Check = tuple[Callable[[object], bool], str]
_TEXT: _Check = (_or_none(_is_text), "text that is not empty")
_SWITCHED: _Check = (_is_switch, "True or False")
_COUNT: _Check = (_is_count, "a whole number above 0")
_SECONDS: _Check = (_is_positive, "a number of seconds above 0")
_DURATION: _Check = (_is_duration, "a number of seconds, 0 or more")
_URL: _Check = (_is_url, "an http:// or https:// URL")
_FOLDER: _Check = (_or_none(_is_folder), "the path of a folder")
_CHECKS: Mapping[str, _Check] = {
    "sdk_key": (_or_none(_is_path), "an SDK key such as 10035569/10034190, without spaces, ? or #"),
    "sdk_secret": (_or_none(_is_header), "text of visible ASCII characters, on one line"),
    "environment": _TEXT,
    "config_endpoint": _URL,
    "track_endpoint": _URL,
    "debug_token": (
        lambda value: value is None or _is_header(value) or callable(value),
        "a token of visible ASCII characters, or a callable that gives one",
    ),
    "cache": _one_of("default", "low"),
    "refresh_interval": _SECONDS,
    "start_wait": _DURATION,
    "request_timeout": _SECONDS,
    "tracking": _SWITCHED,
    "enrich_data": (_or_none(_is_switch), "True, False or None"),
    "source": (_is_text, "text that is not empty"),
    "store": (
        lambda value: value is None or all(hasattr(value, name) for name in ("load", "save", "shared")),
        "a Store: something with load, save and shared",
    ),
    "max_visitors": _COUNT,
    "batch_size": _COUNT,
    "flush_interval": _SECONDS,
    "max_queue": _COUNT,
    "delivery": _one_of("at_least_once", "at_most_once"),
    "spool": _FOLDER,
    "durability": _one_of("async", "sync"),
    "shutdown_timeout": _DURATION,
    "cache_dir": _FOLDER,
    "allow_http": _SWITCHED,
    "ca_bundle": (_or_none(_is_folder), "the path of a file"),
    "proxy": (_or_none(_is_url), "an http:// or https:// URL"),
    "transport": (
        lambda value: value is None or hasattr(value, "close") or hasattr(value, "aclose"),
        "an httpx transport",
    ),
    "observe": (_or_none(callable), "a callable"),
    "observe_inline": _SWITCHED,
    "hash_seed": (lambda value: isinstance(value, int) and not isinstance(value, bool), "a whole number"),
    "max_traffic": (_is_positive, "a number above 0"),
    "exclude_experience_id": _SWITCHED,
}
