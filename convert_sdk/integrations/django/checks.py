"""The system check of the settings' block CONVERT."""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings
from django.core import checks

from convert_sdk.errors import OptionError
from convert_sdk.integrations._web.options import web_options

from .configuration import get_client, middleware_options

_MIDDLEWARE = (
    "convert_sdk.integrations.django.ConvertMiddleware",
    "convert_sdk.integrations.django.middleware.ConvertMiddleware",
)
_CACHE = "django.middleware.cache.UpdateCacheMiddleware"
_SESSIONS_AND_LOGINS = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
)
_ASKED = ("identify", "consent", "attributes")


def check_settings(app_configs: Sequence[object] | None, **options: object) -> list[checks.CheckMessage]:
    """The mistakes in the settings; it asks nobody, and starts nothing."""
    del app_configs, options
    found: list[checks.CheckMessage] = []
    asked: list[str] = []
    try:
        block = web_options(get_client(), middleware_options(), awaits=True)
        asked = [name.upper() for name in _ASKED if getattr(block, name) is not None]
    except (OptionError, TypeError) as error:
        found.append(checks.Error(f"CONVERT cannot be used: {error}", id="convert.E001"))
    chain = list(settings.MIDDLEWARE)
    ours = [place for place, name in enumerate(chain) if name in _MIDDLEWARE]
    if not ours:
        found.append(
            checks.Warning(
                "no request has a visitor: the middleware is missing",
                hint=f"Add {_MIDDLEWARE[0]!r} to MIDDLEWARE.",
                id="convert.W001",
            )
        )
        return found
    if _CACHE in chain and chain.index(_CACHE) > ours[0]:
        found.append(
            checks.Warning(
                "pages of one visitor may be kept for all: UpdateCacheMiddleware comes after ConvertMiddleware",
                hint="Put UpdateCacheMiddleware first: it has to see what ConvertMiddleware says of a response.",
                id="convert.W002",
            )
        )
    later = [name for name in chain[ours[0] :] if name in _SESSIONS_AND_LOGINS]
    if asked and later:
        names = " and ".join(name.rpartition(".")[2] for name in later)
        found.append(
            checks.Warning(
                f"{', '.join(asked)} may be asked ahead of {names}: in an event loop that happens where "
                "ConvertMiddleware begins",
                hint=f"Put ConvertMiddleware after {later[-1].rpartition('.')[2]}.",
                id="convert.W003",
            )
        )
    return found
