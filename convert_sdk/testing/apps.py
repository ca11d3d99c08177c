"""The test client of an application's web framework."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import iscoroutinefunction
from typing import Any

_STARLETTE = "starlette.applications.Starlette"
_FLASK = "flask.app.Flask"
_DJANGO_WSGI = "django.core.handlers.wsgi.WSGIHandler"
_DJANGO_ASGI = "django.core.handlers.asgi.ASGIHandler"


@contextmanager
def http_client(app: object = None) -> Iterator[Any]:
    """The framework's own test client of an application, started up where the framework starts up.

    Args:
        app: A FastAPI or Starlette application, or another one of ASGI; a Flask application; Django's WSGI or ASGI
            application, or None for Django, whose settings say which application it is.

    Raises:
        TypeError: For what is no such application.
    """
    kinds = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(app).__mro__}
    if app is None or _DJANGO_WSGI in kinds:
        from django.test import Client  # type: ignore[import-untyped]  # it has no types

        yield Client()
    elif _DJANGO_ASGI in kinds:
        from django.test import AsyncClient

        yield AsyncClient()
    elif _FLASK in kinds:
        yield app.test_client()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]  # Flask
    elif _STARLETTE in kinds or _is_asgi(app):
        with warnings.catch_warnings():  # starlette would rather have httpx2 than the httpx that is here
            warnings.filterwarnings("ignore", message=".*starlette.testclient", category=UserWarning)
            from starlette.testclient import TestClient

        with TestClient(app) as client:  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # as it is
            yield client
    else:
        raise TypeError(
            "app must be a FastAPI, Starlette or other ASGI application, a Flask application, Django's, or None for "
            f"Django, not {type(app).__name__}; for another framework use its own test client and "
            "convert_sdk.testing.replaced"
        )


def _is_asgi(app: object) -> bool:
    called = getattr(app, "__call__", None)  # noqa: B004  # the method itself is asked for, of a middleware object
    return iscoroutinefunction(app) or iscoroutinefunction(called)
