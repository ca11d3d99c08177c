"""The options of a client: declared, read from arguments and CONVERT_* variables, and checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import environ
from typing import TYPE_CHECKING, Literal, NamedTuple, TypedDict, TypeVar, cast

from . import _checks as check
from ._checks import Check
from ._core.bucketing import DEFAULT, Bucketing
from ._urls import CONFIG_ENDPOINT, TRACK_ENDPOINT, is_loopback, masked
from .errors import OptionError

if TYPE_CHECKING:
    from httpx import AsyncBaseTransport, BaseTransport

    from .observation import Observation
    from .stores import AsyncStore, Store

Token = str | Callable[[], str]
T = TypeVar("T")


class Option(NamedTuple):
    """One option, but for its name, type and default."""

    check: Check
    meaning: str
    variable: str | None
    shown: bool
    """False for what no `repr` and no error repeats."""


_declared: list[Option] = []


def _option(default: T, check: Check, meaning: str, *, variable: str | None = None, shown: bool = True) -> T:
    """Declare the option of a field, as `dataclasses.field` does; the result is the default."""
    _declared.append(Option(check, meaning, variable, shown))
    return default


class Options(NamedTuple):
    """The options of a client; `Client(...)` and `AsyncClient(...)` take the same names as keywords.

    An option that is not given comes from its environment variable, then from its default. This class is the one place
    where an option is declared: checks, variables and the tables of the documentation follow from it.

    >>> options = build({"refresh_interval": 60, "cache": "low"}, {})
    >>> options.refresh_interval, options.batch_size
    (60, 100)
    """

    sdk_key: str | None = _option(
        None,
        check.SDK_KEY,
        "The SDK key, normally `account/project`.",
        variable="CONVERT_SDK_KEY",
        shown=False,
    )
    sdk_secret: str | None = _option(
        None,
        check.SECRET,
        "The secret of the SDK key, sent as a bearer token to both endpoints.",
        variable="CONVERT_SDK_SECRET",
        shown=False,
    )
    environment: str | None = _option(
        None,
        check.MAYBE_TEXT,
        "The environment to decide for; None takes the one that the document marks as default.",
        variable="CONVERT_ENVIRONMENT",
    )
    config_endpoint: str = _option(
        CONFIG_ENDPOINT, check.URL, "The base URL of the Serving API.", variable="CONVERT_CONFIG_ENDPOINT"
    )
    track_endpoint: str = _option(
        TRACK_ENDPOINT,
        check.URL,
        "The base URL of the collector; `[project_id]` in it is filled in.",
        variable="CONVERT_TRACK_ENDPOINT",
    )
    secrets: Sequence[str | bytes] = _option(
        (),
        check.SECRETS,
        "The secrets that sign what a visitor takes along, as by `visitor.handover`: the first one signs, the others "
        "are still accepted. In the variable, white space stands between them.",
        variable="CONVERT_SECRETS",
        shown=False,
    )
    debug_token: Token | None = _option(
        None,
        check.TOKEN,
        "A token for drafts and paused experiences. Tokens last 24 hours: a callable is asked before each fetch.",
        variable="CONVERT_DEBUG_TOKEN",
        shown=False,
    )
    cache: Literal["default", "low"] = _option(
        "default",
        check.one_of("default", "low"),
        '"low" asks the CDN for a short-lived copy of the document.',
    )
    refresh_interval: float = _option(
        300.0, check.SECONDS, "Seconds between two fetches of the document, give or take a tenth."
    )
    start_wait: float = _option(
        2.0, check.DURATION, "Seconds that the first `visitor()` of a process waits for the document, once."
    )
    request_timeout: float = _option(10.0, check.SECONDS, "Seconds for one whole answer.")
    tracking: bool = _option(
        True, check.SWITCH, "False sends nothing and keeps nothing to send.", variable="CONVERT_TRACKING"
    )
    enrich_data: bool | None = _option(
        None,
        check.MAYBE_SWITCH,
        "True lets the API add what it knows to the events; None is True unless several processes share the store.",
    )
    report_id: str | None = _option(
        None,
        check.HASH_KEY,
        "A secret of 16 characters or more: tracking requests name each visitor by a hash with this key, in place of "
        "the id.",
        variable="CONVERT_REPORT_ID",
        shown=False,
    )
    source: str = _option("python-sdk", check.TEXT, "The name of the sender in every tracking request.")
    store: Store | AsyncStore | None = _option(
        None, check.STORE, "The store that remembers visitors beyond this process.", shown=False
    )
    max_visitors: int = _option(10_000, check.COUNT, "Visitors that the process remembers at the same time.")
    batch_size: int = _option(100, check.COUNT, "Events that start a tracking request at once.")
    flush_interval: float = _option(1.0, check.SECONDS, "Seconds after which fewer events are sent too.")
    max_queue: int = _option(10_000, check.COUNT, "Events that wait in memory; more are dropped and counted.")
    delivery: Literal["at_least_once", "at_most_once"] = _option(
        "at_least_once",
        check.one_of("at_least_once", "at_most_once"),
        '"at_most_once" never repeats a request that may have arrived.',
    )
    spool: str | None = _option(
        None,
        check.FOLDER,
        "A folder, and no link to one, in which undelivered events survive the process.",
        variable="CONVERT_SPOOL",
    )
    durability: Literal["async", "sync"] = _option(
        "async",
        check.one_of("async", "sync"),
        '"sync" writes to the spool before `decide` and `track` return.',
    )
    shutdown_timeout: float = _option(
        2.0, check.DURATION, "Seconds for the last delivery, at `close()` or at the end of the process."
    )
    flush_on_sigterm: bool = _option(
        True,
        check.SWITCH,
        "True delivers what waits when the process gets SIGTERM, for `shutdown_timeout` at most, before it ends.",
    )
    cache_dir: str | None = _option(
        None,
        check.FOLDER,
        "A folder for the last good document, so that a cold start decides while the network is down.",
        variable="CONVERT_CACHE_DIR",
    )
    allow_http: bool = _option(False, check.SWITCH, "True permits http:// beyond this machine.")
    ca_bundle: str | None = _option(
        None,
        check.CERTIFICATES,
        "A file of certificates to trust in place of the usual ones.",
        variable="CONVERT_CA_BUNDLE",
    )
    proxy: str | None = _option(
        None,
        check.PROXY,
        "The URL of an HTTP proxy; None follows HTTPS_PROXY and the like, but not for loopback.",
        variable="CONVERT_PROXY",
        shown=False,
    )
    trust_env: bool = _option(
        True,
        check.SWITCH,
        "False reads nothing from the environment: no variable below, no proxies, no certificates named there.",
    )
    transport: BaseTransport | AsyncBaseTransport | None = _option(
        None, check.TRANSPORT, "An httpx transport, for tests and special networks.", shown=False
    )
    observe: Sequence[Callable[[Observation], object]] = _option(
        (),
        check.CALLABLES,
        "Callables that get every decision, exposure, conversion, delivery, incident and change of the document, each "
        "an object of `convert_sdk.observation`, in a thread of their own.",
        shown=False,
    )
    hooks: Sequence[Callable[[Observation], object]] = _option(
        (),
        check.CALLABLES,
        "The same, called where it happens, also within `decide` and `track`; exceptions are swallowed and counted.",
        shown=False,
    )
    observe_facts: bool = _option(
        False, check.SWITCH, "True gives each `Decided` the attributes and the location that were decided on."
    )
    overrides: str | None = _option(
        None,
        check.OVERRIDE_FILE,
        "A .json or .toml file of variations and features to force; it is looked at every second.",
        variable="CONVERT_OVERRIDES",
    )
    override_mode: Literal["local_over_remote", "remote_over_local", "local_only"] = _option(
        "local_over_remote",
        check.one_of("local_over_remote", "remote_over_local", "local_only"),
        'The file "local_over_remote" wins over the document, "remote_over_local" adds what that lacks, and '
        '"local_only" fetches and sends nothing.',
    )
    status_file: str | None = _option(
        None,
        check.FILE,
        "A file that has the client's `status()` as JSON, every second, for `convert-sdk watch`; `{pid}` in its name "
        "is filled in.",
        variable="CONVERT_STATUS_FILE",
    )
    status_url: str | None = _option(
        None,
        check.MAYBE_URL,
        "The address of a local Serving API, `http://127.0.0.1:8088/_status/account/project`, that is told the same "
        "every second and compares it with what it received.",
        variable="CONVERT_STATUS_URL",
    )
    hash_seed: int = _option(
        9999, check.WHOLE, "The seed of the hash; 0 is the default too, as in every Convert SDK."
    )
    max_traffic: float = _option(
        10_000, check.POSITIVE, "The number of bucket values that a visitor may be hashed to."
    )
    exclude_experience_id: bool = _option(
        False,
        check.SWITCH,
        "True hashes the visitor id without the experience id, so that all experiences split visitors alike.",
    )

    def __repr__(self) -> str:
        return f"Options({self.changed})"

    @property
    def changed(self) -> str:
        """The options that are not the defaults, as arguments; without secrets."""
        return ", ".join(
            f"{name}={masked(value)!r}" if isinstance(value, str) else f"{name}={value!r}"
            for name, value in zip(self._fields, self, strict=True)
            if OPTIONS[name].shown and value != self._field_defaults[name]
        )

    @property
    def bucketing(self) -> Bucketing:
        """The parameters of the hash."""
        return Bucketing(
            (self.hash_seed or DEFAULT.seed) % (1 << 32), self.max_traffic, self.exclude_experience_id
        )

    @property
    def is_local(self) -> bool:
        """True if nothing is fetched and nothing is sent."""
        return self.override_mode == "local_only"

    @property
    def enriches(self) -> bool:
        """True if the API is asked to complete events: by default where no processes share a store."""
        alone = self.store is None or not self.store.shared
        return alone if self.enrich_data is None else self.enrich_data


class OptionArguments(TypedDict, total=False):
    """The keywords of `Client(...)`: the fields of `Options` but for the SDK key."""

    sdk_secret: str | None
    environment: str | None
    config_endpoint: str
    track_endpoint: str
    secrets: Sequence[str | bytes]
    debug_token: Token | None
    cache: Literal["default", "low"]
    refresh_interval: float
    start_wait: float
    request_timeout: float
    tracking: bool
    enrich_data: bool | None
    report_id: str | None
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
    flush_on_sigterm: bool
    cache_dir: str | None
    allow_http: bool
    ca_bundle: str | None
    proxy: str | None
    trust_env: bool
    transport: BaseTransport | AsyncBaseTransport | None
    observe: Sequence[Callable[[Observation], object]]
    hooks: Sequence[Callable[[Observation], object]]
    observe_facts: bool
    overrides: str | None
    override_mode: Literal["local_over_remote", "remote_over_local", "local_only"]
    status_file: str | None
    status_url: str | None
    hash_seed: int
    max_traffic: float
    exclude_experience_id: bool


OPTIONS: Mapping[str, Option] = dict(zip(Options._fields, _declared, strict=True))
"""Every option by its name."""

_LONGEST_REPR = 100
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


def build(given: Mapping[str, object], variables: Mapping[str, str] = environ) -> Options:
    """The options of these arguments and, unless `trust_env` is False among them, of these variables.

    Raises OptionError, which names the option and says what is allowed.
    """
    unknown = [name for name in given if name not in Options._fields]
    if unknown:
        raise OptionError(f"{unknown[0]} is no option{check.nearest(unknown[0], Options._fields)}")
    values = {} if given.get("trust_env") is False else _from_variables(variables)
    from_variables = {name for name in values if given.get(name) is None}
    values |= {name: value for name, value in given.items() if value is not None or name not in values}
    for name, value in [*values.items()]:
        source = f" (from {OPTIONS[name].variable})" if name in from_variables else ""
        _check(f"{name}{source}", value, OPTIONS[name])
        if OPTIONS[name].check in (check.CALLABLES, check.SECRETS):
            values[name] = (*cast("Sequence[object]", value),)  # the application may go on with its list
    options = Options(**values)  # type: ignore[arg-type]  # each value was checked
    _check_together(options)
    return options


def _from_variables(variables: Mapping[str, str]) -> dict[str, object]:
    values: dict[str, object] = {}
    for name, option in OPTIONS.items():
        if option.variable is not None:
            text = variables.get(option.variable, "").strip()  # a file ends with a line break
            if text:
                values[name] = _read(option, option.variable, text)
    return values


def _read(option: Option, variable: str, text: str) -> object:
    if option.check is check.SWITCH:
        return _switch(variable, text)
    return text.split() if option.check is check.SECRETS else text


def _check(name: str, value: object, option: Option) -> None:
    flaw = option.check.flaw(value)
    if flaw is not None:
        raise OptionError(f"{name} {flaw}")
    if not option.check.accepts(value):
        raise OptionError(f"{name} must be {option.check.allowed}{_shown(value) if option.shown else ''}")


def _shown(value: object) -> str:
    if isinstance(value, str):
        return f", not {masked(value)!r}"
    try:
        shown = repr(value)
    except Exception:  # noqa: BLE001  # its own class, or a number of more digits than Python writes
        shown = type(value).__name__
    return f", not {shown if len(shown) <= _LONGEST_REPR else type(value).__name__}"


def _switch(variable: str, text: str) -> bool:
    try:
        return _SWITCH[text.lower()]
    except KeyError:
        raise OptionError(f"{variable} must be one of {', '.join(_SWITCH)}, not {text!r}") from None


def _check_together(options: Options) -> None:
    if options.override_mode != "local_over_remote" and options.overrides is None:
        raise OptionError(
            f'override_mode="{options.override_mode}" needs a file of overrides: give overrides='
        )
    if options.durability == "sync" and options.spool is None:
        raise OptionError('durability="sync" needs a spool: give a folder as spool=')
    if options.spool is not None:
        try:
            import fcntl  # noqa: F401  # is it there?
        except ImportError:
            raise OptionError("spool needs file locks, which this platform does not have (fcntl)") from None
    for name in ("config_endpoint", "track_endpoint", "status_url"):
        endpoint: str = getattr(options, name) or CONFIG_ENDPOINT
        if not endpoint.lower().startswith("https:") and not options.allow_http and not is_loopback(endpoint):
            raise OptionError(f"{name} must be https:// beyond this machine; allow_http=True permits http://")
