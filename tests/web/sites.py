"""The shop's pages in each framework, asked over HTTP without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

import httpx

from convert_sdk import AsyncClient, Client
from tests.web.pages import PAGES, Page

if find_spec("django") is not None:
    import_module(
        "tests.web.django_site"
    )  # its settings are the process's, before another test takes lesser ones

HOST = "http://shop.example"
BROWSER = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0"}
"""The headers of somebody who is no library."""


class Visits(Protocol):
    """Browsers of a site: each has cookies of its own, and all go through one application."""

    def __call__(self, path: str, browser: httpx.Cookies | None = None, **asked: Any) -> httpx.Response: ...


Site = Callable[..., AbstractContextManager[Any]]
"""Makes an application of a client and the options of its middleware."""


def plain_wsgi(client: Client, **options: Any) -> Any:
    from convert_sdk.integrations.wsgi import ConvertMiddleware, new_visitor

    def application(environ: Any, start_response: Any) -> Any:
        page = PAGES[environ["PATH_INFO"]]()
        headers = list(page.headers.items())
        if page.forgets:
            new_visitor(headers)
        start_response(f"{page.status} Status", headers)
        return (chunk.encode() for chunk in page.chunks()) if page.chunks else [page.body.encode()]

    return ConvertMiddleware(application, client, **options)


def flask(client: Client, **options: Any) -> Any:
    from flask import Flask, Response

    from convert_sdk.integrations.flask import Convert

    app = Flask("shop")
    convert = Convert(app, client, **options)

    @app.route("/<name>", methods=["GET", "HEAD", "OPTIONS", "POST"])
    def page(name: str) -> Response:
        found = PAGES[f"/{name}"]()
        response = Response(found.chunks() if found.chunks else found.body, found.status, dict(found.headers))
        if found.forgets:
            convert.new_visitor(response)
        return response

    return app


async def later(chunks: Callable[[], Iterator[str]]) -> AsyncIterator[str]:
    for chunk in chunks():
        yield chunk


def plain_asgi(client: Client, **options: Any) -> Any:
    from convert_sdk.integrations.asgi import ConvertMiddleware, new_visitor

    async def application(scope: Any, receive: Any, send: Any) -> None:
        page = PAGES[scope["path"]]()
        headers = [(name.lower().encode(), value.encode()) for name, value in page.headers.items()]
        if page.forgets:
            new_visitor(headers)
        await send({"type": "http.response.start", "status": page.status, "headers": headers})
        for chunk in page.chunks() if page.chunks else [page.body]:
            await send({"type": "http.response.body", "body": chunk.encode(), "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return ConvertMiddleware(application, client, **options)


def starlette_response(page: Page) -> Any:
    from starlette.responses import Response, StreamingResponse

    from convert_sdk.integrations.starlette import new_visitor

    if page.chunks is not None:
        return StreamingResponse(later(page.chunks), page.status, dict(page.headers))
    response = Response(page.body, page.status, dict(page.headers))
    if page.forgets:
        new_visitor(response)
    return response


def starlette(client: Client, **options: Any) -> Any:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.routing import Route

    from convert_sdk.integrations.starlette import ConvertMiddleware

    async def page(request: Request) -> Any:
        return starlette_response(PAGES[request.url.path]())

    app = Starlette(routes=[Route("/{name}", page, methods=["GET", "HEAD", "OPTIONS", "POST"])])
    app.add_middleware(ConvertMiddleware, client=client, **options)
    return app


def fastapi(client: Client, **options: Any) -> Any:
    from fastapi import FastAPI

    from convert_sdk.integrations.fastapi import ConvertMiddleware

    app = FastAPI()
    app.add_middleware(ConvertMiddleware, client=client, **options)

    @app.api_route("/{name}", methods=["GET", "HEAD", "OPTIONS", "POST"])
    def page(name: str) -> Any:  # in a thread, with the request's context
        return starlette_response(PAGES[f"/{name}"]())

    return app


@contextmanager
def django(client: Client, **options: Any) -> Iterator[Any]:
    from tests.web.django_site import application

    with application(client, awaited=False, **options) as app:
        yield app


@contextmanager
def django_awaited(client: Client, **options: Any) -> Iterator[Any]:
    from tests.web.django_site import application

    with application(client, awaited=True, **options) as app:
        yield app


def once(site: Callable[..., Any]) -> Site:
    """A site whose application needs nothing at its end."""

    @contextmanager
    def made(client: Any, **options: Any) -> Iterator[Any]:
        yield site(client, **options)

    return made


WSGI: dict[str, Site] = {"wsgi": once(plain_wsgi), "flask": once(flask), "django": django}
ASGI: dict[str, Site] = {
    "asgi": once(plain_asgi),
    "starlette": once(starlette),
    "fastapi": once(fastapi),
    "django awaited": django_awaited,
}
SITES = [*WSGI, *ASGI]


@contextmanager
def visits(name: str, client: Client | AsyncClient, **options: Any) -> Iterator[Visits]:
    """A site, to be asked; only those of a loop take an `AsyncClient`."""
    with WSGI[name](client, **options) if name in WSGI else ASGI[name](client, **options) as app:
        if name in WSGI:
            yield asked_by_wsgi(app)
        else:
            with asyncio.Runner() as runner:
                yield asked_by_asgi(app, runner)
                if isinstance(client, AsyncClient):
                    runner.run(client.close())


def asked_by_wsgi(app: Any) -> Visits:
    transport = httpx.WSGITransport(app, raise_app_exceptions=False)

    def ask(path: str, browser: httpx.Cookies | None = None, **asked: Any) -> httpx.Response:
        with httpx.Client(transport=transport, base_url=HOST, headers=BROWSER) as http:
            return _kept(browser, http.request(**_request(path, browser, asked)))

    return ask


def asked_by_asgi(app: Any, runner: asyncio.Runner) -> Visits:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)

    async def send(request: dict[str, Any]) -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url=HOST, headers=BROWSER) as http:
            return await http.request(**request)

    def ask(path: str, browser: httpx.Cookies | None = None, **asked: Any) -> httpx.Response:
        return _kept(browser, runner.run(send(_request(path, browser, asked))))

    return ask


def _request(path: str, browser: httpx.Cookies | None, asked: dict[str, Any]) -> dict[str, Any]:
    headers = {**asked.pop("headers", {})}
    if browser:
        headers["Cookie"] = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.jar)
    return {"method": asked.pop("method", "GET"), "url": path, "headers": headers, **asked}


def _kept(browser: httpx.Cookies | None, response: httpx.Response) -> httpx.Response:
    if browser is not None:
        browser.extract_cookies(response)
    return response
