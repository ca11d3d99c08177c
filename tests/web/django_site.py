"""The shop's pages in Django; the settings are those of the process, and each test has its own CONVERT block."""

# pyright: reportArgumentType=false
# What Django takes and gives is inferred, as it has no types: a body is more than bytes.

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path

from convert_sdk.integrations.django import new_visitor
from tests.web.pages import PAGES, Page

MIDDLEWARE = "convert_sdk.integrations.django.ConvertMiddleware"


def set_up() -> None:
    """Configure Django once in the process, as little as can be."""
    if not settings.configured:
        settings.configure(
            SECRET_KEY="only of tests",
            ALLOWED_HOSTS=["*"],
            ROOT_URLCONF=__name__,
            USE_TZ=True,
            INSTALLED_APPS=["convert_sdk.integrations.django"],
            MIDDLEWARE=[MIDDLEWARE],
            TEMPLATES=[
                {
                    "BACKEND": "django.template.backends.django.DjangoTemplates",
                    "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
                }
            ],
        )
        django.setup()


set_up()


def answer(page: Page) -> Any:
    headers = dict(page.headers)
    if page.chunks is not None:
        return StreamingHttpResponse(page.chunks(), status=page.status, headers=headers)
    response = HttpResponse(page.body, status=page.status, headers=headers)
    if page.forgets:
        new_visitor(response)
    return response


def page(request: HttpRequest, name: str) -> Any:
    return answer(PAGES[f"/{name}"]())


async def awaited_page(request: HttpRequest, name: str) -> Any:
    found = PAGES[f"/{name}"]()
    if found.chunks is None:
        return answer(found)

    async def chunks() -> Any:
        assert found.chunks is not None
        for chunk in found.chunks():
            yield chunk

    return StreamingHttpResponse(chunks(), status=found.status, headers=dict(found.headers))


urlpatterns = (path("<str:name>", page),)
awaited_urlpatterns = (path("<str:name>", awaited_page),)


@contextmanager
def application(client: object, *, awaited: bool, **options: Any) -> Iterator[Any]:
    """An application of this client and these options of the middleware."""
    block = {"CLIENT": client, **{name.upper(): value for name, value in options.items()}}
    with override_settings(CONVERT=block, ROOT_URLCONF=awaited_urlpatterns if awaited else urlpatterns):
        yield get_asgi_application() if awaited else get_wsgi_application()
