"""The block CONVERT of a Django project's settings, and the client and the middleware's options that it gives."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from convert_sdk._checks import nearest
from convert_sdk.async_client import AsyncClient
from convert_sdk.client import Client
from convert_sdk.errors import OptionError
from convert_sdk.integrations._web.cookies import Cookie
from convert_sdk.integrations._web.facts import GeoHeaders
from convert_sdk.integrations._web.options import WebArguments, WebOptions
from convert_sdk.options import Options

_BLOCK = "CONVERT"
_CALLABLES = frozenset({"identify", "consent", "attributes", "is_bot"})
_KNOWN = (*WebOptions._fields, "client", *Options._fields)
_lock = threading.RLock()
Described = TypeVar("Described", Cookie, GeoHeaders)
_made: list[tuple[object, Client | AsyncClient]] = []


def block() -> dict[str, Any]:
    """The block CONVERT, with its keys in small letters. Raises OptionError for what is none, and for unknown keys."""
    found = getattr(settings, _BLOCK, {})
    if not isinstance(found, Mapping) or not all(isinstance(key, str) for key in found):
        raise OptionError(f'the setting {_BLOCK} must be a dict such as {{"SDK_KEY": "10035569/10034190"}}')
    unknown = next((key for key in found if key.lower() not in _KNOWN), None)
    if unknown is not None:
        near = nearest(unknown, [name.upper() for name in _KNOWN])
        raise OptionError(f"{_BLOCK}[{unknown!r}] is no option{near}")
    return {key.lower(): value for key, value in found.items()}


def client_options() -> dict[str, Any]:
    """The options of the client in the block."""
    return {name: value for name, value in block().items() if name in Options._fields}


def middleware_options() -> WebArguments[Any]:
    """The options of the middleware in the block; callables may be named by their dotted paths."""
    options: dict[str, Any] = {}
    for name, value in block().items():
        if name not in WebOptions._fields:
            continue
        if name in _CALLABLES or (name == "only" and isinstance(value, str)):
            value = imported(name, value)  # noqa: PLW2901  # the thing that the path names
        elif name == "cookie" and isinstance(value, Mapping):
            value = described(Cookie, name, value)  # noqa: PLW2901  # the cookie that it describes
        elif name == "geo" and isinstance(value, Mapping):
            value = described(GeoHeaders, name, value)  # noqa: PLW2901  # the headers that it names
        options[name] = value
    return cast("WebArguments[Any]", options)


def imported(name: str, value: object) -> object:
    """The thing at a dotted path; what is no text as it is. Raises OptionError where nothing is there."""
    if not isinstance(value, str):
        return value
    try:
        return import_string(value)
    except ImportError as error:
        raise OptionError(f"{_BLOCK}[{name.upper()!r}] cannot be imported: {error}") from error


def described(kind: type[Described], name: str, fields: Mapping[str, Any]) -> Described:
    """The cookie, or the headers, that a dict describes. Raises OptionError for a key that these do not have."""
    try:
        return kind(**{key.lower(): value for key, value in fields.items()})
    except TypeError as error:
        known = ", ".join(each.upper() for each in kind._fields)
        raise OptionError(f"{_BLOCK}[{name.upper()!r}] has the keys {known}: {error}") from error


def get_client() -> Client | AsyncClient:
    """The client of the project: `CONVERT["CLIENT"]`, or the one made of the block's options, once.

    Returns:
        A `Client`; an `AsyncClient` only where `CLIENT` names one.

    Raises:
        OptionError: For a block that cannot be used.
    """
    given, options = imported("client", block().get("client")), client_options()
    if given is not None and options:
        raise OptionError(
            f"{_BLOCK}['CLIENT'] has options of its own: leave out {next(iter(options)).upper()}"
        )
    if isinstance(given, (Client, AsyncClient)):
        client = given
    elif given is None:
        client = _once(None, lambda: Client(**options))
    elif callable(given):
        client = _once(given, cast("Callable[[], Client | AsyncClient]", given))
    else:
        raise OptionError(f"{_BLOCK}['CLIENT'] must be a client, a callable that gives one, or a path to it")
    if not client._options.secrets:
        client._engine.secrets = _secrets
    return client


def _secrets() -> Sequence[str | bytes]:
    """The secrets of the project, which sign what a visitor takes along, where the client has none of its own."""
    return [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]


def _once(maker: object, make: Callable[[], Client | AsyncClient]) -> Client | AsyncClient:
    with _lock:
        for known, client in _made:
            if known is maker:
                return client
        made = make()
        if not isinstance(made, (Client, AsyncClient)):
            raise OptionError(f"{_BLOCK}['CLIENT'] gave no client, but {type(made).__name__}")
        _made.append((maker, made))
        return made


def _forget(*, setting: str, **_: object) -> None:
    """Make the client anew after a test has changed its settings."""
    if setting == _BLOCK:
        with _lock:
            _made.clear()


setting_changed.connect(_forget)
