"""The parts of the web engine, each by itself: cookies, ids, headers, and what a request is."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert_sdk import OptionError
from convert_sdk.integrations import Cookie
from convert_sdk.integrations._web.cookies import checked_cookie, decoded, read_cookies
from convert_sdk.integrations._web.identity import cookie_id, usable_id
from convert_sdk.integrations._web.request import AsgiRequest, WebRequest, WsgiRequest
from convert_sdk.integrations._web.response import ResponseChanges, with_names


class TestCookies:
    @given(st.text(min_size=1, max_size=255))
    def test_an_id_comes_back_as_it_was_set(self, id: str) -> None:
        header = Cookie().header(id, "http") if not any("\ud800" <= char <= "\udfff" for char in id) else None
        if header is not None:
            assert decoded(read_cookies(header)["convert_visitor_id"]) == id
            assert header.isascii()
            assert header.isprintable()

    def test_every_attribute(self) -> None:
        cookie = Cookie("me", "/shop", "shop.example", 60, "None", http_only=False, secure=True)
        assert (
            cookie.header("a", "http")
            == "me=a; Path=/shop; Domain=shop.example; Max-Age=60; SameSite=None; Secure"
        )
        assert cookie._replace(same_site="Strict", secure=False).deletion("https") == (
            "me=; Path=/shop; Domain=shop.example; Max-Age=0; SameSite=Strict"
        )

    @pytest.mark.parametrize(
        "cookie",
        [Cookie(same_site="None"), Cookie("__Host-me"), Cookie("__secure-me", domain="shop.example")],
    )
    def test_what_browsers_take_securely_only_is_secure(self, cookie: Cookie) -> None:
        checked = checked_cookie(cookie)
        assert checked.header("a", "http").endswith("; Secure")
        assert checked.deletion("http").endswith("; Secure")

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"name": ""}, "a cookie's name is a word without separators, not ''"),
            ({"name": "a;b"}, "a cookie's name is a word without separators"),
            ({"name": "a b"}, "a cookie's name is a word without separators"),
            ({"path": "/;x"}, "a cookie's path is visible ASCII without ;"),
            ({"domain": "a\r\nb"}, "a cookie's domain is visible ASCII without ;"),
            ({"max_age": 0}, "a cookie's max_age is a number of seconds above 0, not 0"),
            ({"max_age": True}, "a cookie's max_age is a number"),
            ({"same_site": "lax"}, 'a cookie\'s same_site is "Lax", "Strict" or "None", not \'lax\''),
            ({"secure": "yes"}, 'a cookie\'s secure is "auto", True or False'),
            ({"same_site": "None", "secure": False}, "only if it is secure: leave out secure=False"),
            ({"name": "__Secure-me", "secure": False}, "only if it is secure"),
            ({"name": "__host-me", "secure": False}, "only if it is secure"),
            ({"name": "__Host-me", "domain": "shop.example"}, 'only with path="/" and without a domain'),
            ({"name": "__Host-me", "path": "/shop"}, 'only with path="/" and without a domain'),
        ],
    )
    def test_what_no_browser_takes_is_refused(self, wrong: dict[str, Any], said: str) -> None:
        with pytest.raises(OptionError, match=said):
            checked_cookie(Cookie(**wrong))

    def test_a_cookie_is_a_cookie(self) -> None:
        with pytest.raises(OptionError, match="cookie must be a Cookie, not str"):
            checked_cookie(cast("Cookie", "me"))

    @given(st.text())
    def test_any_header_can_be_read(self, header: str) -> None:
        assert all(name and name == name.strip() for name in read_cookies(header))


class TestIds:
    @given(st.one_of(st.text(), st.integers(), st.none(), st.booleans(), st.binary()))
    def test_only_what_can_be_an_id_is_one(self, id: object) -> None:
        usable = usable_id(id)
        if usable is not None:
            assert str(id) == usable
            assert 0 < len(usable) <= 255 or isinstance(id, int)
            assert usable.isprintable() or " " in usable

    def test_without_a_cookie_there_is_none(self) -> None:
        assert cookie_id(WsgiRequest({"HTTP_COOKIE": "convert_visitor_id=v"}), None) is None
        assert cookie_id(WsgiRequest({"HTTP_COOKIE": "convert_visitor_id=v"}), Cookie()) == "v"
        assert cookie_id(WsgiRequest({}), Cookie()) is None


class TestHeaders:
    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("", "private"),
            ("public", "private"),
            ("max-age=60, s-maxage=10, PUBLIC", "max-age=60, private"),
            ("no-store", "no-store"),
            ("private, max-age=0", "private, max-age=0"),
            ('private="set-cookie"', 'private="set-cookie", private'),
        ],
    )
    def test_cache_control(self, before: str, after: str) -> None:
        assert ResponseChanges().cache_control(before) == after
        assert ResponseChanges(store=False).cache_control(before) == "private, no-store"

    @pytest.mark.parametrize(
        ("before", "after"), [("Accept, ,Origin", "Accept, Origin, Cookie"), ("A, *", "A, *")]
    )
    def test_vary(self, before: str, after: str) -> None:
        assert with_names(before, ["Cookie"]) == after

    def test_headers_of_several_lines_become_one(self) -> None:
        headers = [("Vary", "A"), ("X", "1"), ("vary", "B"), ("Set-Cookie", "theirs=1")]
        assert ResponseChanges(("ours=2",)).applied(headers) == [
            ("X", "1"),
            ("Set-Cookie", "theirs=1"),
            ("Cache-Control", "private"),
            ("Vary", "A, B, Cookie"),
            ("Set-Cookie", "ours=2"),
        ]


ASGI = AsgiRequest({
    "type": "http", "method": "POST", "scheme": "https", "path": "/shop/caf\u00e9", "query_string": b"a=%20&b",
    "headers": [(b"host", b"shop.example"), (b"Cookie", b"a=1"), (b"cookie", b"b=2"), (b"x", b"1"), (b"x", b"2")],
    "client": ("10.0.0.7", 5000), "server": ("127.0.0.1", 8000),
})  # fmt: skip
WSGI = WsgiRequest({
    "REQUEST_METHOD": "POST", "wsgi.url_scheme": "https", "SCRIPT_NAME": "/shop", "PATH_INFO": "/caf\u00c3\u00a9",
    "QUERY_STRING": "a=%20&b", "HTTP_HOST": "shop.example", "HTTP_COOKIE": "a=1; b=2", "HTTP_X": "1, 2",
    "REMOTE_ADDR": "10.0.0.7",
})  # fmt: skip


@pytest.mark.parametrize("request_", [ASGI, WSGI], ids=["asgi", "wsgi"])
def test_a_request_is_the_same_in_both_protocols(request_: WebRequest) -> None:
    assert (request_.method, request_.scheme, request_.host) == ("POST", "https", "shop.example")
    assert (request_.path, request_.query, request_.client) == ("/shop/caf\u00e9", "a=%20&b", "10.0.0.7")
    assert (request_.cookies, request_.header("x"), request_.header("none")) == (
        {"a": "1", "b": "2"},
        "1, 2",
        None,
    )
    assert request_.url == "https://shop.example/shop/caf%C3%A9"
    assert "10.0.0.7" not in repr(request_)


@pytest.mark.parametrize(
    ("request_", "host"),
    [
        (AsgiRequest({"type": "http", "server": ("localhost", 80)}), "localhost"),
        (
            AsgiRequest({"type": "websocket", "scheme": "wss", "server": ("localhost", 8000)}),
            "localhost:8000",
        ),
        (AsgiRequest({"type": "http", "server": ("/run/app.sock", None)}), ""),
        (WsgiRequest({"SERVER_NAME": "localhost", "SERVER_PORT": "80"}), "localhost"),
        (WsgiRequest({"SERVER_NAME": "localhost", "SERVER_PORT": "8000"}), "localhost:8000"),
        (WsgiRequest({}), ""),
    ],
)
def test_without_a_host_header_it_is_the_server_s(request_: WebRequest, host: str) -> None:
    assert request_.host == host


def test_what_is_missing_is_empty() -> None:
    for empty in (AsgiRequest({"type": "http"}), WsgiRequest({})):
        assert (empty.method, empty.scheme, empty.path, empty.query, empty.client) == (
            "GET",
            "http",
            "",
            "",
            None,
        )
    assert WsgiRequest({"CONTENT_TYPE": "text/plain"}).header("content-type") == "text/plain"
    assert AsgiRequest({"type": "websocket", "scheme": "wss"}).scheme == "https"
