"""Requests to a view with and without a middleware, for the workers of every side."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from typing import Any

from measure import Json, visitor_ids

Serve = Callable[[Any], object]
TURN = 500
"""Requests of one kind in a row: both kinds see the same machine."""


def added(
    plain: Serve, wrapped: Serve, requests: Callable[[Sequence[str]], Iterable[Any]], count: int
) -> Json:
    """Nanoseconds of the processor that a middleware adds to each of `count` requests, made before the clock starts."""
    for serve in (plain, wrapped):
        _spent(serve, requests(visitor_ids(TURN, start=90_000_000)))
    without = with_it = 0
    for start in range(0, count, TURN):
        ids = visitor_ids(TURN, start=start)
        without += _spent(plain, requests(ids))
        with_it += _spent(wrapped, requests(ids))
    return {"ns": (with_it - without) / count, "view": without / count, "operations": count}


def _spent(serve: Serve, requests: Iterable[Any]) -> int:
    ready = list(requests)
    began = time.thread_time_ns()
    for request in ready:
        serve(request)
    return time.thread_time_ns() - began


def environ(visitor_id: str) -> dict[str, Any]:
    """A request as WSGI has it; a visitor of this id asks for `/checkout`."""
    return {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/checkout",
        "QUERY_STRING": "a=1",
        "SERVER_NAME": "shop.example",
        "SERVER_PORT": "443",
        "wsgi.url_scheme": "https",
        "wsgi.input": BytesIO(),
        "HTTP_HOST": "shop.example",
        "HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "HTTP_ACCEPT": "text/html",
        "HTTP_COOKIE": f"session=1; visitor={visitor_id}",
        "HTTP_X_POSTHOG_DISTINCT_ID": visitor_id,
    }


def django_requests(ids: Sequence[str]) -> Iterable[Any]:
    """The same as Django has it."""
    from django.core.handlers.wsgi import WSGIRequest

    return (WSGIRequest(environ(visitor_id)) for visitor_id in ids)


def configure_django(**settings: Any) -> None:
    """As few settings as can be."""
    import django
    from django.conf import settings as configured

    configured.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="only of measurements", **settings)  # noqa: S106  # made up
    django.setup()
