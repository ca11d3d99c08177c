"""This project's web integrations: what each adds to a request."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from measure import Json
from web_requests import added, configure_django, django_requests, environ

from convert_sdk import Client, Project, current_visitor

ONE = "experience-0"
ATTRIBUTES = {"plan": "pro", "visits": 7}


def client_of(arguments: argparse.Namespace) -> Client:
    return Client.offline(Project.load(arguments.document), sink=lambda body: None)


def decided() -> str:
    return str(current_visitor().decide(ONE).variation_key)


def nothing() -> str:
    return "nothing"


def attributes(_: object) -> dict[str, object]:
    return {**ATTRIBUTES}


def django(arguments: argparse.Namespace, answer: Callable[[], str]) -> Json:
    configure_django(CONVERT={"CLIENT": client_of(arguments), "ATTRIBUTES": attributes})
    from django.http import HttpResponse

    from convert_sdk.integrations.django import ConvertMiddleware

    wrapped = ConvertMiddleware(lambda request: HttpResponse(answer().encode()))
    return added(lambda request: HttpResponse(nothing().encode()), wrapped, django_requests, arguments.n)


def wsgi(arguments: argparse.Namespace, answer: Callable[[], str]) -> Json:
    from convert_sdk.integrations.wsgi import ConvertMiddleware

    def page(text: Callable[[], str]) -> Any:
        def application(environ: Any, start_response: Any) -> list[bytes]:
            body = text().encode()
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [body]

        return application

    return added(
        _by_wsgi(page(nothing)),
        _by_wsgi(ConvertMiddleware(page(answer), client_of(arguments), attributes=attributes)),
        lambda ids: map(environ, ids),
        arguments.n,
    )


def _by_wsgi(application: Any) -> Callable[[Any], object]:
    def serve(request: Any) -> None:
        body = application(request, lambda status, headers: None)
        for _ in body:
            pass
        if hasattr(body, "close"):
            body.close()

    return serve


def flask(arguments: argparse.Namespace, answer: Callable[[], str]) -> Json:
    from flask import Flask

    from convert_sdk.integrations.flask import Convert

    plain, wrapped = Flask("plain"), Flask("wrapped")
    plain.add_url_rule("/checkout", view_func=nothing)
    Convert(wrapped, client_of(arguments), attributes=attributes)
    wrapped.add_url_rule("/checkout", view_func=answer)
    return added(_by_wsgi(plain), _by_wsgi(wrapped), lambda ids: map(environ, ids), arguments.n)


def asgi(arguments: argparse.Namespace, answer: Callable[[], str]) -> Json:
    from convert_sdk.integrations.asgi import ConvertMiddleware

    def page(text: Callable[[], str]) -> Any:
        async def application(scope: Any, receive: Any, send: Any) -> None:
            body = text().encode()
            await send(
                {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
            )
            await send({"type": "http.response.body", "body": body})

        return application

    async def send(message: Any) -> None:
        """Nobody reads it."""

    def by_asgi(application: Any) -> Callable[[Any], object]:
        def serve(scope: Any) -> None:
            try:  # nothing in it waits: one step is the whole request, without a loop's own cost
                application(scope, None, send).send(None)
            except StopIteration:
                return
            raise AssertionError("the request waits for something")

        return serve

    wrapped = ConvertMiddleware(page(answer), client_of(arguments), attributes=attributes)
    return added(by_asgi(page(nothing)), by_asgi(wrapped), _asgi_scopes, arguments.n)


def _asgi_scopes(ids: Sequence[str]) -> list[Any]:
    return [
        {
            "type": "http",
            "method": "GET",
            "scheme": "https",
            "path": "/checkout",
            "query_string": b"a=1",
            "headers": [
                (b"host", b"shop.example"),
                (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
                (b"cookie", f"session=1; visitor={visitor_id}".encode()),
            ],
        }
        for visitor_id in ids
    ]


WORKS = {
    f"{kind.__name__}_{answer.__name__}": lambda arguments, kind=kind, answer=answer: kind(arguments, answer)
    for kind in (django, wsgi, flask, asgi)
    for answer in (nothing, decided)
}
