"""The options of a web integration: declared, checked and described once for all frameworks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from inspect import iscoroutinefunction
from typing import Any, Generic, Literal, NamedTuple, TypedDict, TypeVar

from convert_sdk._core.consent import BeforeConsent, Consent
from convert_sdk.async_client import AsyncClient
from convert_sdk.client import Client
from convert_sdk.errors import OptionError

from .cookies import Cookie, checked_cookie
from .facts import GeoHeaders, fact_options

R = TypeVar("R")
"""The framework's own request, which the application's callables get."""
T = TypeVar("T")
Asked = Callable[[R], T | Awaitable[T]]
"""A callable of the application about one request; frameworks with a loop also take a coroutine function."""

OnLogin = Literal["keep", "alias", "switch"]
Preview = Literal[False, "known", "drafts"]
StatePlace = Literal["memory", "cookie"]


class WebArguments(TypedDict, Generic[R], total=False):
    """The keywords of every web integration."""

    identify: Asked[R, str | int | None] | None
    """Gives the id of the user who is logged in, or None."""
    on_login: OnLogin
    """The meaning of that id: "keep" leaves the visitor's own id, "alias" gives a user one id on all devices, "switch"
    makes the user's id that of the visitor."""
    consent: Asked[R, Consent | None] | None
    """Gives the visitor's answer; None means UNKNOWN. Without it everybody has agreed."""
    before_consent: BeforeConsent
    """The treatment of somebody whose consent is unknown, as of `client.visitor`."""
    attributes: Asked[R, Mapping[str, object] | None] | None
    """Gives the attributes of the visitor."""
    only: Sequence[str] | Callable[[R], bool] | None
    """The requests that have a visitor: prefixes of their paths, or a test. None for all."""
    cookie: Cookie | None
    """The visitor's cookie; None for none, where `identify` names everybody."""
    preview: Preview
    """Preview links: "known" shows experiences of the document, "drafts" fetches others too."""
    geo: str | GeoHeaders | None
    """The content delivery network whose headers say where the client is: "cloudflare", "cloudfront", "appengine",
    "vercel" or `GeoHeaders`. None trusts no header."""
    fact_names: Mapping[str, str | None] | None
    """Other keys for facts of the request, such as {"browser_name": "browser"}; None as a key takes a fact out."""
    report: Sequence[str]
    """The facts of the request that are reported as segments: "country", "browser", "devices", "source", "campaign"."""
    is_bot: Callable[[R], bool] | None
    """Tells a bot by a request, in place of the usual test of its user agent."""
    cookie_consent_wins: bool
    """True lets consent that is granted override Do Not Track; it never overrides Global Privacy Control."""
    state: StatePlace
    """The place where visitors are remembered beside the client's own store: "memory" for none, or a signed "cookie",
    with which any worker goes on where another left off."""
    accept_handover: bool
    """True takes visitors from other services: the header `Convert-Visitor`, in place of cookie and login."""
    accept_override: bool
    """True shows whoever brings a signed token the variations in it: people who test in production."""


class WebOptions(NamedTuple, Generic[R]):
    """The keywords of a web integration, checked."""

    identify: Asked[R, str | int | None] | None = None
    on_login: OnLogin = "keep"
    consent: Asked[R, Consent | None] | None = None
    before_consent: BeforeConsent = "control"
    attributes: Asked[R, Mapping[str, object] | None] | None = None
    only: Sequence[str] | Callable[[R], bool] | None = None
    cookie: Cookie | None = Cookie()
    preview: Preview = False
    geo: str | GeoHeaders | None = None
    fact_names: Mapping[str, str | None] | None = None
    report: Sequence[str] = ()
    is_bot: Callable[[R], bool] | None = None
    cookie_consent_wins: bool = False
    state: StatePlace = "memory"
    accept_handover: bool = False
    accept_override: bool = False

    @property
    def awaited(self) -> bool:
        """True if a callable is a coroutine function."""
        return any(map(iscoroutinefunction, (self.identify, self.consent, self.attributes)))


AnyWebOptions = WebOptions[Any]
"""Those of whatever framework."""


def web_options(client: object, arguments: WebArguments[R], *, awaits: bool) -> WebOptions[R]:
    """The options, checked.

    Args:
        client: The client that they are for.
        arguments: The keywords of the application.
        awaits: The framework has a loop, so that an `AsyncClient` and coroutine functions may be used.

    Raises:
        OptionError: For values that cannot be used, and for those that do not go together.
        TypeError: For what is no client, and for an unknown keyword.
    """
    if not isinstance(client, (Client, AsyncClient)):
        raise TypeError(f"client must be a Client or an AsyncClient, not {type(client).__name__}")
    if isinstance(client, AsyncClient) and not awaits:
        raise OptionError("an AsyncClient needs a framework with an event loop: give this one a Client")
    options = WebOptions(**arguments)
    for name in ("identify", "consent", "attributes"):
        given = getattr(options, name)
        if given is not None and not callable(given):
            raise OptionError(f"{name} must be a callable that takes a request, not {type(given).__name__}")
        if iscoroutinefunction(given) and not awaits:
            raise OptionError(f"{name} must be a plain function here: nothing can be awaited")
    _check_words(options)
    _check_only(options.only)
    fact_options(options.geo, options.fact_names, options.report)
    if options.is_bot is not None and (not callable(options.is_bot) or iscoroutinefunction(options.is_bot)):
        raise OptionError(f"is_bot must be a plain function that takes a request, not {options.is_bot!r}")
    for name in ("cookie_consent_wins", "accept_handover", "accept_override"):
        if not isinstance(getattr(options, name), bool):
            raise OptionError(f"{name} must be True or False, not {getattr(options, name)!r}")
    if options.cookie is not None:
        checked_cookie(options.cookie)
    elif options.identify is None:
        raise OptionError("without a cookie, identify= must name the visitors")
    _check_login(client, options)
    _check_tokens(client, options)
    return options


def _check_tokens(client: Client | AsyncClient, options: WebOptions[R]) -> None:
    if options.state == "cookie" and client._options.store is not None:
        raise OptionError(
            'state="cookie" is for a client without a store, which remembers more: leave one out'
        )
    signed = [f'state="{options.state}"'] * (options.state == "cookie")
    signed += ["accept_handover"] * options.accept_handover + ["accept_override"] * options.accept_override
    if signed and not client._engine.secrets():
        raise OptionError(
            f"{signed[0]} is signed: give the client secrets=[…], or the framework its secret key first"
        )


def _check_words(options: WebOptions[R]) -> None:
    allowed = (
        ("on_login", options.on_login, ("keep", "alias", "switch")),
        ("before_consent", options.before_consent, ("control", "decide")),
        ("preview", options.preview, (False, "known", "drafts")),
        ("state", options.state, ("memory", "cookie")),
    )
    for name, given, words in allowed:
        if not any(given is word or (given == word and isinstance(given, str)) for word in words):
            raise OptionError(f"{name} must be {' or '.join(map(repr, words))}, not {given!r}")


def _check_only(only: object) -> None:
    if only is None or callable(only):
        return
    if isinstance(only, (str, bytes)) or not isinstance(only, Sequence):
        raise OptionError(f'only must be a list of path prefixes such as ["/shop"], or a test, not {only!r}')
    wrong = [prefix for prefix in only if not isinstance(prefix, str) or not prefix.startswith("/")]
    if wrong:
        raise OptionError(f"only must have path prefixes that begin with /, not {wrong[0]!r}")


def _check_login(client: Client | AsyncClient, options: WebOptions[R]) -> None:
    if options.on_login != "keep" and options.identify is None:
        raise OptionError(f'on_login="{options.on_login}" needs identify=, which names the user')
    if options.on_login == "alias" and client._options.store is None:
        raise OptionError('on_login="alias" needs a client with a store, which keeps whose id is whose')
    if options.preview == "drafts" and client._options.debug_token is None:
        raise OptionError('preview="drafts" needs a client with a debug_token')
