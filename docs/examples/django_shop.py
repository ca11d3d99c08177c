"""A small shop in Django, with consent and login, in one file: `python django_shop.py runserver 8000`.

`gunicorn django_shop:application` and `uvicorn django_shop:asgi_application` serve it, too. The variables
CONVERT_SDK_KEY and the like configure the client; SHOP_STATE is the file that the workers share.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from convert_sdk import Consent
from convert_sdk.integrations.django import new_visitor
from convert_sdk.stores.sqlite import SqliteStore


def agreed(request: HttpRequest) -> Consent | None:
    """The visitor's answer to the banner, which the shop keeps in a cookie of its own."""
    answer = request.COOKIES.get("answer")
    return Consent(answer) if answer in {*Consent} else None


def user(request: HttpRequest) -> str | None:
    """The user who is logged in; a real shop reads `request.user`."""
    return request.COOKIES.get("user")


if not settings.configured:
    settings.configure(
        SECRET_KEY=os.environ.get("SHOP_SECRET", "only for trying out"),
        ALLOWED_HOSTS=["*"],
        DEBUG=False,
        ROOT_URLCONF=__name__,
        INSTALLED_APPS=["convert_sdk.integrations.django"],
        MIDDLEWARE=["convert_sdk.integrations.django.ConvertMiddleware"],
        CONVERT={
            "STORE": SqliteStore(os.environ.get("SHOP_STATE", "shop.db")),
            "CONSENT": agreed,
            "IDENTIFY": user,
            "ON_LOGIN": "alias",
        },
    )


def home(request: Any) -> HttpResponse:
    """Show a button in the visitor's variation."""
    visitor = request.convert
    return JsonResponse({"visitor": visitor.id, "button": visitor.decide("button-10").variation_key})


def buy(request: Any, order: str) -> HttpResponse:
    """Count an order."""
    counted = bool(request.convert.track("goal-0", revenue=10, transaction_id=order))
    return JsonResponse({"counted": counted})


def answer(request: Any, answer: str) -> HttpResponse:
    """Take the visitor's answer to the banner."""
    response = HttpResponse()
    response.set_cookie("answer", answer)
    request.convert.set_consent(Consent(answer))
    return response


def login(request: HttpRequest, name: str) -> HttpResponse:
    """Log in; a real shop asks for a password."""
    del request
    response = HttpResponse()
    response.set_cookie("user", name)
    return response


def logout(request: HttpRequest) -> HttpResponse:
    """Log out of a device that others use, too."""
    del request
    response = HttpResponse()
    response.delete_cookie("user")
    new_visitor(response)
    return response


urlpatterns = [
    path("", home),
    path("buy/<str:order>", buy),
    path("answer/<str:answer>", answer),
    path("login/<str:name>", login),
    path("logout", logout),
]
application = get_wsgi_application()
asgi_application = get_asgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
