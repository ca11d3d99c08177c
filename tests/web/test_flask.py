"""What only Flask has: the extension, its templates, several applications, contexts of tests."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

pytest.importorskip("flask", reason="needs Flask: pip install convert-sdk[flask]")

from flask import Flask, Response, copy_current_request_context, render_template_string, stream_with_context
from werkzeug.middleware.proxy_fix import ProxyFix

from convert_sdk import AsyncClient, OptionError, Project, current_visitor
from convert_sdk.integrations.flask import Convert
from tests.documents import HIGH, LOW, change, experience, exposure, feature, offline, variation
from tests.web.pages import Shop, shop, shown

COOKIE = {"Cookie": f"convert_visitor_id={LOW}"}


@pytest.fixture
def store() -> Shop:
    return shop()


def test_the_visitor_of_the_request(store: Shop) -> None:
    app = Flask("shop")
    convert = Convert(app, store.client)

    @app.get("/")
    def page() -> str:
        assert convert.visitor is current_visitor()
        assert convert.client is store.client
        return shown(convert.visitor)

    assert app.test_client(use_cookies=False).get("/", headers=COOKIE).text == "1"
    assert store.sent() == [exposure("100", "1")]


def test_two_applications_in_one_process(store: Shop) -> None:
    other = shop()
    convert = Convert()
    apps = [Flask("one"), Flask("two")]
    convert.init_app(apps[0], store.client)
    convert.init_app(apps[1], other.client, only=["/"])
    for app in apps:
        app.add_url_rule("/", view_func=lambda: shown(convert.visitor))
        assert app.test_client(use_cookies=False).get("/", headers=COOKIE).text == "1"
    assert [each.sent() for each in (store, other)] == [[exposure("100", "1")]] * 2


def test_an_application_inside_another_one_has_its_own(store: Shop) -> None:
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    outer, inner, other = Flask("outer"), Flask("inner"), shop()
    Convert(outer, store.client)
    convert = Convert(inner, other.client)
    inner.add_url_rule(
        "/", view_func=lambda: f"{shown(convert.visitor)} {shown(current_visitor(store.client))}"
    )
    outer.wsgi_app = DispatcherMiddleware(outer.wsgi_app, {"/inner": inner})  # type: ignore[method-assign]
    Convert(outer, store.client)
    assert outer.test_client(use_cookies=False).get("/inner/", headers=COOKIE).text == "1 1"


def test_templates(store: Shop) -> None:
    arms = [variation("1", changes=[change("81", text="<b>")]), variation("2")]
    client = offline(experience(variations=arms), features=[feature("81", "copy", text="string")])
    app = Flask("shop")
    Convert(app, client)
    source = """{{ experience("checkout").variation_key }} {{ feature("copy").get("text", "") }}"""

    @app.get("/")
    def page() -> str:
        return render_template_string(source)

    assert app.test_client(use_cookies=False).get("/", headers=COOKIE).text == "arm-1 &lt;b&gt;"


def test_a_context_of_a_test_has_a_visitor(store: Shop) -> None:
    app = Flask("shop")
    convert = Convert(app, store.client)
    with app.test_request_context("/", headers=COOKIE):
        assert convert.visitor.id == LOW
        assert convert.visitor is convert.visitor
    with pytest.raises(LookupError, match="no request is served here"):
        _ = convert.visitor


def test_a_request_that_only_leaves_out_has_none(store: Shop) -> None:
    app = Flask("shop")
    convert = Convert(app, store.client, only=["/shop"])

    @app.get("/other")
    def page() -> str:
        with pytest.raises(LookupError, match="only= may leave requests out"):
            _ = convert.visitor
        with pytest.raises(LookupError, match="only= may leave requests out"):
            render_template_string("""{{ experience("checkout") }}""")
        return "nobody"

    response = app.test_client(use_cookies=False).get("/other", headers=COOKIE)
    assert (response.text, "Vary" in response.headers) == ("nobody", False)
    assert (store.sent(), store.client.status().visitors) == ([], 0)


def test_a_thread_that_goes_on_after_the_request_has_none(store: Shop) -> None:
    app = Flask("shop")
    convert = Convert(app, store.client)
    later: list[Callable[[], None]] = []
    said: list[str] = []

    def work() -> None:
        try:
            convert.visitor.track("buy")
        except LookupError as error:
            said.append(str(error))

    @app.get("/")
    def page() -> str:
        later.append(copy_current_request_context(work))
        later.append(partial(contextvars.copy_context().run, work))
        return convert.visitor.id

    ended = app.test_client(use_cookies=False).get("/", headers=COOKIE, buffered=True)
    assert ended.text == LOW
    for target in later:
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()
    assert [text.partition(":")[0] for text in said] == ["no request is served here"] * 2
    assert store.sent() == []


def test_a_stream_with_its_context(store: Shop) -> None:
    app = Flask("shop")
    convert = Convert(
        app, store.client, identify=lambda request: request.headers.get("x-user"), on_login="switch"
    )

    @app.get("/")
    def page() -> Response:
        _ = convert.visitor
        return Response(stream_with_context(iter([shown(convert.visitor)])))

    @app.get("/without")
    def without() -> Response:
        def body() -> Any:
            yield current_visitor().id

        return Response(body())

    assert app.test_client(use_cookies=False).get("/", headers=COOKIE).text == "1"
    assert app.test_client(use_cookies=False).get("/without", headers={"X-User": HIGH}).text == HIGH


def test_a_thread_that_takes_the_context(store: Shop) -> None:
    app = Flask("shop")
    Convert(app, store.client)
    seen: list[str] = []

    @app.get("/")
    def page() -> str:
        run = contextvars.copy_context().run
        thread = threading.Thread(target=run, args=(lambda: seen.append(current_visitor().id),))
        thread.start()
        thread.join()
        return seen[0]

    assert app.test_client(use_cookies=False).get("/", headers=COOKIE).text == LOW


@pytest.mark.parametrize("outermost", [True, False])
def test_behind_a_proxy_the_cookie_is_secure(store: Shop, outermost: bool) -> None:
    app = Flask("shop")
    if not outermost:
        app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
    convert = Convert(app, store.client)
    if outermost:
        app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
    app.add_url_rule("/", view_func=lambda: shown(convert.visitor))
    response = app.test_client(use_cookies=False).get("/", headers={"X-Forwarded-Proto": "https"})
    assert response.headers["Set-Cookie"].endswith("; Secure")


def test_a_client_of_asyncio_is_refused() -> None:
    client = AsyncClient.offline(Project.parse(b'{"account_id": "1", "project": {"id": "2"}}'))
    with pytest.raises(OptionError, match="an AsyncClient needs a framework with an event loop"):
        Convert(Flask("shop"), client)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="client must be a Client or an AsyncClient, not NoneType"):
        Convert(Flask("shop"))
