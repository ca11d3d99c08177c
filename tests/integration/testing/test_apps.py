"""Applications of three frameworks, tested as their authors would: with the plugin and five lines of set-up."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.integration.testing.conftest import Run


class Application(NamedTuple):
    """An application that makes its client at import, and how its tests are set up."""

    needs: tuple[str, ...]
    source: str
    setup: str


SETUP = """
import pytest
from shop import app
@pytest.fixture
def http(convert_app):
    return convert_app(app)
"""
FASTAPI = Application(
    ("fastapi.responses", "fastapi.applications"),
    """
    from fastapi import FastAPI
    from fastapi.responses import PlainTextResponse

    from convert_sdk import Client

    client = Client("1/2")
    app = FastAPI()

    @app.get("/checkout", response_class=PlainTextResponse)
    def checkout(visitor: str):
        return client.visitor(visitor).decide("checkout").variation_key

    @app.post("/buy", response_class=PlainTextResponse)
    def buy(visitor: str):
        return client.visitor(visitor).track("purchase", revenue=5).reason
    """,
    SETUP,
)
ASGI = Application(
    ("fastapi.responses", "fastapi.applications"),
    """
    from contextlib import asynccontextmanager

    from fastapi import FastAPI, Request
    from fastapi.responses import PlainTextResponse

    from convert_sdk import AsyncClient

    @asynccontextmanager
    async def lifespan(app):
        async with AsyncClient("1/2") as client:
            app.state.client = client
            yield

    inner = FastAPI(lifespan=lifespan)

    @inner.get("/checkout", response_class=PlainTextResponse)
    async def checkout(request: Request, visitor: str):
        return (await request.app.state.client.visitor(visitor)).decide("checkout").variation_key

    @inner.post("/buy", response_class=PlainTextResponse)
    async def buy(request: Request, visitor: str):
        return (await request.app.state.client.visitor(visitor)).track("purchase", revenue=5).reason

    async def app(scope, receive, send):
        await inner(scope, receive, send)
    """,
    SETUP,
)
INTEGRATED = Application(
    ("fastapi.responses", "fastapi.applications"),
    """
    from fastapi import FastAPI
    from fastapi.responses import PlainTextResponse

    from convert_sdk import AsyncClient
    from convert_sdk.integrations.fastapi import ConvertMiddleware, VisitorDep

    client = AsyncClient("1/2")
    app = FastAPI()
    app.add_middleware(
        ConvertMiddleware,
        client=client,
        identify=lambda request: request.query_params["visitor"],
        on_login="switch",
        cookie=None,
    )

    @app.get("/checkout", response_class=PlainTextResponse)
    async def checkout(visitor: VisitorDep):
        return visitor.decide("checkout").variation_key

    @app.post("/buy", response_class=PlainTextResponse)
    def buy(visitor: VisitorDep):
        return visitor.track("purchase", revenue=5).reason
    """,
    SETUP,
)
FLASK = Application(
    ("flask",),
    """
    from flask import Flask, request

    from convert_sdk import Client

    client = Client("1/2")
    app = Flask(__name__)

    @app.get("/checkout")
    def checkout():
        return client.visitor(request.args["visitor"]).decide("checkout").variation_key

    @app.post("/buy")
    def buy():
        return client.visitor(request.args["visitor"]).track("purchase", revenue=5).reason.value
    """,
    SETUP,
)
DJANGO = Application(
    ("django",),
    """
    import django
    from django.conf import settings
    from django.http import HttpResponse
    from django.urls import path

    from convert_sdk import AsyncClient, Client

    settings.configure(ROOT_URLCONF="shop", ALLOWED_HOSTS=["testserver"], SECRET_KEY="none")
    django.setup()
    client = Client("1/2")

    def checkout(request):
        return HttpResponse(client.visitor(request.GET["visitor"]).decide("checkout").variation_key)

    def buy(request):
        return HttpResponse(client.visitor(request.GET["visitor"]).track("purchase", revenue=5).reason)

    other = AsyncClient("1/2")

    async def asynchronous(request):
        visitor = await other.visitor(request.GET["visitor"])
        return HttpResponse(visitor.decide("checkout").variation_key)

    urlpatterns = [path(view.__name__, view) for view in (checkout, buy, asynchronous)]
    """,
    """
import pytest
import shop
@pytest.fixture
def http(convert_app):
    return convert_app()
""",
)
TESTS = """
    import threading

    import pytest

    def text(response):
        return response.text if hasattr(response, "text") else response.content.decode()

    @pytest.fixture(autouse=True)
    def no_thread_of_ours():
        earlier = {*threading.enumerate()}  # one of another test may not have ended yet
        yield
        assert [thread.name for thread in {*threading.enumerate()} - earlier if "convert" in thread.name] == []

    def test_a_visitor_is_exposed_and_converts(http, convert):
        assert text(http.get("/checkout?visitor=v-1")) == "classic"
        assert text(http.post("/buy?visitor=v-1")) == "accepted"
        convert.assert_exposed("v-1", "checkout", "classic")
        assert convert.assert_converted("v-1", "purchase", revenue=5).variations == {"checkout": "classic"}

    @pytest.mark.variations("checkout")
    def test_every_variation(http, convert, convert_variations):
        assert text(http.get("/checkout?visitor=v-1")) == convert_variations["checkout"]
        convert.assert_nothing_sent()

    def test_an_override_around_a_request(http, convert):
        with convert.override("checkout", "one-page"):
            assert text(http.get("/checkout?visitor=v-1")) == "one-page"
        assert text(http.get("/checkout?visitor=v-1")) == "classic"

    def test_another_project(http, convert):
        from convert_sdk.testing import experience, project

        convert.serve(project(experience("checkout", {"new": 100})))
        assert text(http.get("/checkout?visitor=v-1")) == "new"

    def test_no_network(http, convert_forbid_network):
        assert text(http.get("/checkout?visitor=v-1")) == "classic"
"""


@pytest.mark.parametrize(
    "application", [FASTAPI, ASGI, INTEGRATED, FLASK], ids=["fastapi", "asgi", "integrated", "flask"]
)
def test_an_application(pytester: pytest.Pytester, shop: Path, run: Run, application: Application) -> None:
    for name in application.needs:
        pytest.importorskip(name, reason=f"pip install {name.partition('.')[0]}")
    assert len(application.setup.strip().splitlines()) <= 5
    pytester.makepyfile(shop=application.source, conftest=application.setup, test_shop=TESTS)
    run().assert_outcomes(passed=6)


@pytest.mark.servers
def test_django(pytester: pytest.Pytester, shop: Path, run: Run) -> None:
    """In a process of its own, which the settings belong to; with an asynchronous view too."""
    pytest.importorskip("django", reason="pip install django")
    assert len(DJANGO.setup.strip().splitlines()) <= 5
    tests = """
        import pytest
        from django.core.handlers.asgi import ASGIHandler
        from django.core.handlers.wsgi import WSGIHandler

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        @pytest.mark.anyio
        async def test_asgi(convert_app, convert):
            http = convert_app(ASGIHandler())
            assert (await http.get("/asynchronous?visitor=v-1")).content == b"classic"
            with convert.override("checkout", "one-page"):
                assert (await http.get("/asynchronous?visitor=v-2")).content == b"one-page"
            convert.assert_exposed("v-1", "checkout")

        def test_wsgi(convert_app, convert):
            assert convert_app(WSGIHandler()).get("/checkout?visitor=v-1").content == b"classic"
            convert.assert_exposed("v-1", "checkout")
    """
    pytester.makepyfile(shop=DJANGO.source, conftest=DJANGO.setup, test_shop=TESTS, test_handlers=tests)
    run(separately=True).assert_outcomes(passed=8)


def test_named_clients_alone_are_replaced(pytester: pytest.Pytester, shop: Path, run: Run) -> None:
    pytest.importorskip("flask", reason="pip install flask")
    tests = """
        import shop
        from convert_sdk import Client

        def test_it(convert_app, convert):
            other = Client("1/2")
            http = convert_app(shop.app, shop.client)
            assert http.get("/checkout?visitor=v-1").text == "classic"
            assert other.project is None
            assert not other.status().offline
    """
    pytester.makepyfile(shop=FLASK.source, test_shop=tests)
    run().assert_outcomes(passed=1)


@pytest.mark.parametrize("app", ["'shop:app'", "object()", "[]"])
def test_what_is_no_application_is_refused(pytester: pytest.Pytester, shop: Path, run: Run, app: str) -> None:
    pytester.makepyfile(
        f"""
        import pytest

        def test_it(convert_app):
            with pytest.raises(TypeError, match="app must be a FastAPI, Starlette or other ASGI application"):
                convert_app({app})
        """
    )
    run().assert_outcomes(passed=1)
