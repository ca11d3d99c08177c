"""What only event loops have: awaited clients, stores and callables, websockets, the application's life, tasks."""

from __future__ import annotations

import asyncio
import contextvars
import json
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs FastAPI: pip install convert-sdk[fastapi]")

import httpx
from fastapi import FastAPI, WebSocket
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request

from convert_sdk import AsyncClient, Client, Consent, MemoryStore, Project, VisitorState, current_visitor
from convert_sdk.integrations.asgi import ConvertMiddleware as AsgiMiddleware
from convert_sdk.integrations.fastapi import ConvertMiddleware, VisitorDep
from convert_sdk.stores import Changes, Winners
from tests.contracts.test_web import warnings_in
from tests.documents import HIGH, LOW, Sink, exposure, remembering
from tests.reliability.site import KEY, site
from tests.web.pages import DOCUMENT, Shop, shop, shown
from tests.web.sites import BROWSER, HOST


def awaited_client(sink: Sink, **options: Any) -> AsyncClient:
    return AsyncClient.offline(Project.parse(json.dumps(DOCUMENT)), sink, **options)


def asked(app: Any, *paths: str, visitor_id: str | None = LOW, **headers: str) -> list[httpx.Response]:
    """The responses to these paths, one after the other, in one event loop."""

    async def ask() -> list[httpx.Response]:
        cookies = {} if visitor_id is None else {"Cookie": f"convert_visitor_id={visitor_id}"}
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(
            transport=transport, base_url=HOST, headers={**BROWSER, **cookies, **headers}
        ) as http:
            return [await http.get(path) for path in paths]

    return asyncio.run(ask())


class AwaitedStore:
    """A store of an event loop, around one in memory."""

    shared = True

    def __init__(self, inner: MemoryStore) -> None:
        self.inner = inner
        self.loaded: list[str] = []

    async def load(self, key: str) -> VisitorState | None:
        self.loaded.append(key)
        await asyncio.sleep(0)
        return self.inner.load(key)

    async def save(self, changes: Changes) -> Winners:
        await asyncio.sleep(0)
        return self.inner.save(changes)

    async def close(self) -> None:
        self.inner.close()


def fastapi_shop(client: Client | AsyncClient, **options: Any) -> FastAPI:
    app = FastAPI()
    app.add_middleware(ConvertMiddleware, client=client, **options)

    @app.get("/decide")
    async def decide(visitor: VisitorDep) -> str:
        return shown(visitor)

    @app.get("/nothing")
    async def nothing() -> str:
        return "nothing"

    return app


class TestClientsAndStores:
    @pytest.mark.parametrize("store", [None, MemoryStore()])
    def test_an_awaited_client(self, store: MemoryStore | None) -> None:
        client = awaited_client(sink := Sink(), store=store)
        answers = asked(fastapi_shop(client), "/decide", "/nothing", "/decide")
        assert [each.json() for each in answers] == ["1", "nothing", "1"]
        asyncio.run(client.flush())
        assert sink.events == [exposure("100", "1")]

    @pytest.mark.parametrize("kind", ["Client", "AsyncClient"])
    def test_what_a_store_knows_is_loaded_ahead(self, kind: str) -> None:
        store = remembering(LOW, bucketing={"100": "2"})
        if kind == "Client":
            client: Client | AsyncClient = shop(store=store).client
        else:
            client = awaited_client(Sink(), store=AwaitedStore(store))
        first, second = asked(fastapi_shop(client), "/decide", "/nothing")
        assert first.json() == "2"
        assert (first.headers["vary"], "vary" in second.headers) == ("Cookie", False)

    def test_only_requests_that_are_admitted_ask_the_store(self) -> None:
        store = AwaitedStore(MemoryStore())
        asked(fastapi_shop(awaited_client(Sink(), store=store), only=["/decide"]), "/nothing", "/decide")
        assert store.loaded == [f"1-2-{LOW}"]

    def test_a_prepared_visitor_that_comes_late_leaves_no_trace(self) -> None:
        client = awaited_client(sink := Sink(), store=AwaitedStore(MemoryStore()))

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": shown(current_visitor()).encode()})

        (response,) = asked(AsgiMiddleware(app, client), "/")
        asyncio.run(client.flush())
        assert (response.text, sink, client.status().visitors) == ("1", [], 0)

    def test_before_the_document_the_middleware_waits(self) -> None:
        with site() as convert:
            client = AsyncClient(KEY, config_endpoint=convert.url, track_endpoint=convert.url, start_wait=60)
            app = FastAPI()
            app.add_middleware(ConvertMiddleware, client=client)

            @app.get("/")
            async def page(visitor: VisitorDep) -> str:
                return visitor.decide("button-10").reason.value

            async def ask() -> list[Any]:
                async with httpx.AsyncClient(
                    transport=httpx.ASGITransport(app), base_url=HOST, headers=BROWSER
                ) as http:
                    answers = [(await http.get("/")).json() for _ in range(2)]
                await client.close()
                return answers

            assert asyncio.run(ask()) == ["bucketed", "sticky"]


class TestAwaitedCallables:
    def test_answers_are_awaited(self) -> None:
        store = shop()

        async def consent(request: Any) -> Consent:
            await asyncio.sleep(0)
            assert isinstance(request, Request)
            return Consent.DENIED if request.headers.get("x-no") else Consent.GRANTED

        async def attributes(request: Any) -> dict[str, object]:
            return {"country": "DE"}

        app = fastapi_shop(store.client, consent=consent, attributes=attributes)
        assert asked(app, "/decide")[0].json() == "1"
        assert asked(app, "/decide", **{"X-No": "1"})[0].json() == "consent"
        store.client.flush()
        assert [each["segments"] for each in store.sink.visitors] == [{"country": "DE"}]

    def test_one_that_raises_gives_no_answer(self, caplog: pytest.LogCaptureFixture) -> None:
        async def consent(request: Any) -> Consent:
            raise RuntimeError("no session")

        app = fastapi_shop(shop().client, consent=consent)
        assert [each.json() for each in asked(app, "/decide", "/decide")] == ["consent"] * 2
        assert warnings_in(caplog) == [
            "web integration: consent= raised RuntimeError: it counts as no answer"
        ]


class TestBelowTheRequest:
    def test_in_tasks_and_threads_that_take_the_context(self) -> None:
        store = shop()
        app = FastAPI()
        app.add_middleware(ConvertMiddleware, client=store.client)
        seen: list[str] = []

        @app.get("/")
        async def page() -> list[str]:
            async def task() -> str:
                return current_visitor().id

            thread = threading.Thread(
                target=contextvars.copy_context().run, args=(lambda: seen.append(current_visitor().id),)
            )
            thread.start()
            thread.join()
            alone = threading.Thread(target=lambda: seen.append(str(current_visitor(default=None))))
            alone.start()
            alone.join()
            return [
                *seen,
                await asyncio.create_task(task()),
                await asyncio.to_thread(lambda: current_visitor().id),
            ]

        assert asked(app, "/")[0].json() == [LOW, "None", LOW, LOW]

    def test_below_a_middleware_of_starlette_s_own_kind(self) -> None:
        store = shop()
        app = fastapi_shop(store.client)

        async def passing(request: Request, call_next: Callable[[Request], Awaitable[Any]]) -> Any:
            response = await call_next(request)
            visitor = current_visitor(default=None)
            response.headers["x-visitor"] = "nobody" if visitor is None else visitor.id
            return response

        app.add_middleware(BaseHTTPMiddleware, dispatch=passing)  # around ours
        inner = FastAPI()
        inner.add_middleware(BaseHTTPMiddleware, dispatch=passing)
        inner.add_middleware(ConvertMiddleware, client=store.client)  # around theirs

        @inner.get("/decide")
        async def decide(visitor: VisitorDep) -> str:
            return shown(visitor)

        assert asked(inner, "/decide")[0].headers["x-visitor"] == LOW
        assert asked(app, "/decide")[0].headers["x-visitor"] == "nobody"

    def test_two_clients_have_a_visitor_each(self) -> None:
        inner, outer, other = shop(), shop(), shop()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            assert current_visitor() is current_visitor(inner.client)
            assert current_visitor(outer.client) is not current_visitor(inner.client)
            assert current_visitor(other.client, default=None) is None
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": shown(current_visitor(outer.client)).encode()})

        (response,) = asked(AsgiMiddleware(AsgiMiddleware(app, inner.client), outer.client), "/")
        assert (response.text, inner.sent(), outer.sent()) == ("1", [], [exposure("100", "1")])

    def test_a_finished_request_has_no_visitor(self) -> None:
        kept: list[contextvars.Context] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            kept.append(contextvars.copy_context())
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        asked(AsgiMiddleware(app, shop().client), "/")
        assert kept[0].run(lambda: current_visitor(default="over")) == "over"

    def test_a_page_of_an_error_nobody_handles_has_the_headers_if_the_middleware_is_outermost(self) -> None:
        app = FastAPI()

        @app.get("/")
        async def broken() -> None:
            shown(current_visitor())
            raise RuntimeError("broken")

        wrapped = AsgiMiddleware(app, shop().client)
        transport = httpx.ASGITransport(wrapped, raise_app_exceptions=False)

        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=transport, base_url=HOST, headers=BROWSER) as http:
                return await http.get("/")

        response = asyncio.run(ask())
        assert (response.status_code, response.headers["vary"]) == (500, "Cookie")
        assert response.headers["set-cookie"].startswith("convert_visitor_id=")


class TestWebsockets:
    @pytest.fixture
    def store(self) -> Shop:
        return shop()

    def connected(self, app: Any, *, cookie: str | None = None) -> tuple[dict[str, str], list[str]]:
        """The headers of the accepted handshake, and the texts that were sent over the socket."""
        sent: list[Any] = []

        async def connect() -> None:
            headers = [] if cookie is None else [(b"cookie", f"convert_visitor_id={cookie}".encode())]
            scope = {
                "type": "websocket",
                "asgi": {"version": "3.0"},
                "scheme": "wss",
                "path": "/",
                "raw_path": b"/",
                "query_string": b"",
                "headers": headers,
                "server": ("shop.example", 443),
                "subprotocols": [],
            }

            async def receive() -> Any:
                return {"type": "websocket.connect"}

            async def send(message: Any) -> None:
                sent.append(message)

            await app(scope, receive, send)

        asyncio.run(connect())
        (accepted,) = [each for each in sent if each["type"] == "websocket.accept"]
        texts = [each["text"] for each in sent if each["type"] == "websocket.send"]
        return {name.decode(): value.decode() for name, value in accepted["headers"]}, texts

    def app(self, store: Shop, *, early: bool) -> FastAPI:
        app = FastAPI()
        app.add_middleware(ConvertMiddleware, client=store.client)

        @app.websocket("/")
        async def talk(socket: WebSocket) -> None:
            if early:
                current_visitor()
            await socket.accept()
            await socket.send_text(shown(current_visitor()))

        return app

    def test_the_handshake_sets_the_cookie(self, store: Shop) -> None:
        headers, texts = self.connected(self.app(store, early=True))
        assert headers["set-cookie"].endswith("; Secure")
        assert texts in (["1"], ["2"])
        assert len(store.sent()) == 1

    def test_after_it_a_visitor_leaves_no_trace(self, store: Shop) -> None:
        headers, texts = self.connected(self.app(store, early=False), cookie=HIGH)
        assert (headers, texts, store.sent()) == ({}, ["2"], [])


class TestTheApplicationsLife:
    def lived(self, app: Any) -> list[str]:
        """The messages of an application that starts, serves nobody, and ends."""
        said: list[str] = []

        async def live() -> None:
            events = iter(["lifespan.startup", "lifespan.shutdown"])

            async def receive() -> Any:
                return {"type": next(events)}

            async def send(message: Any) -> None:
                said.append(message["type"])

            await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)

        asyncio.run(live())
        return said

    @pytest.mark.parametrize("kind", [Client, AsyncClient])
    def test_it_starts_and_ends_the_client(self, kind: type[Client | AsyncClient]) -> None:
        with site() as convert:
            client = kind(KEY, config_endpoint=convert.url, track_endpoint=convert.url, start_wait=60)
            ready: list[bool] = []
            app = fastapi_shop(client)

            async def probed(scope: Any, receive: Any, send: Any) -> None:
                async def probing(message: Any) -> None:
                    ready.append(client.ready)
                    await send(message)

                await app(scope, receive, probing)

            assert self.lived(probed) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
            assert (ready, client.status().worker_alive) == ([True, True], False)

    def test_or_leaves_that_to_the_application(self) -> None:
        client = Client(KEY, config_endpoint="http://127.0.0.1:9/")
        assert len(self.lived(fastapi_shop(client, lifespan=False))) == 2
        assert not client.status().started


def test_an_application_of_another_protocol_is_passed_on() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    asyncio.run(AsgiMiddleware(app, shop().client)({"type": "mqtt"}, None, None))  # type: ignore[arg-type]
    assert seen == ["mqtt"]
