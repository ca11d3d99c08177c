"""People who test in production, in each framework: what a signed token shows them, and what it leaves behind."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple

import httpx
import pytest

from convert_sdk import OptionError
from convert_sdk._tokens.override import sign_override
from convert_sdk.integrations import override_token
from convert_sdk.integrations._web.options import web_options
from convert_sdk.integrations._web.override_tokens import OverrideTokens
from tests.contracts.test_web import browser, consent_of
from tests.documents import LOW, exposure
from tests.unit.integrations.requests import Asked
from tests.web.pages import Shop, shop
from tests.web.sites import Visits, visits

SECRETS = ["the secret of the site"]
ON: dict[str, Any] = {"accept_override": True}
COOKIE = "convert_override"


class Site(NamedTuple):
    """A site that takes tokens."""

    ask: Visits
    shop: Shop

    def token(self, variations: Mapping[str, str] | None = None, max_age: float = 3_600) -> str:
        return sign_override(self.shop.client._engine, variations or {"checkout": "arm-2"}, max_age)

    def shown(self, path: str, jar: httpx.Cookies | None = None, **headers: str) -> httpx.Response:
        """What it answers to somebody with a token."""
        return self.ask(path, jar, headers={"Convert-Override": self.token(), **headers})


def opened(name: str, stack: ExitStack, **options: Any) -> Site:
    own = shop(secrets=SECRETS)
    return Site(stack.enter_context(visits(name, own.client, **{**ON, **options})), own)


@pytest.fixture
def site(name: str, stack: ExitStack) -> Site:
    return opened(name, stack)


class TestTheHeader:
    def test_it_shows_the_variation_and_leaves_nothing(self, site: Site) -> None:
        response = site.shown("/decide", jar := browser(LOW))
        assert (response.text, response.headers["cache-control"]) == ("2", "private, no-store")
        assert response.headers["vary"] == "Cookie, Convert-Override"
        assert site.shown("/discount", jar).text == "0.25"
        assert site.shown("/buy", jar).text == "preview"
        assert site.shown("/decide", browser()).headers.get("set-cookie") is None
        assert (site.shop.sent(), site.shop.client.status().visitors) == ([], 0)
        assert site.ask("/decide", jar).text == "1"
        assert site.shop.sent() == [exposure("100", "1")]

    def test_a_page_that_asks_for_nobody_is_as_it_was(self, site: Site) -> None:
        assert site.shown("/nothing").headers["cache-control"] == "public, max-age=60"

    def test_it_comes_before_consent_and_the_test_for_bots(self, name: str, stack: ExitStack) -> None:
        site = opened(name, stack, consent=consent_of)
        assert site.shown("/decide", browser(LOW)).text == "2"
        assert site.shown("/decide", browser(LOW), **{"User-Agent": "curl/8.5.0"}).text == "2"

    def test_it_names_what_the_document_has_and_nothing_else(self, site: Site) -> None:
        token = site.token({"checkout": "arm-9", "unknown": "arm-1"})
        jar = browser(LOW)
        assert site.ask("/decide", jar, headers={"Convert-Override": token}).text == "1"
        assert site.shop.sent() == []

    def test_it_wins_over_the_state_in_the_cookie_and_leaves_it(self, name: str, stack: ExitStack) -> None:
        site = opened(name, stack, state="cookie")
        site.ask("/decide", jar := browser(LOW))
        before = jar["convert_state"]
        assert site.shown("/decide", jar).text == "2"
        assert (jar["convert_state"], site.ask("/decide", jar).text) == (before, "1")

    def test_who_was_handed_over_tests_too(self, name: str, stack: ExitStack) -> None:
        site = opened(name, stack, accept_handover=True)
        token = shop(secrets=SECRETS).client.visitor(LOW).handover()
        assert site.shown("/decide", None, **{"Convert-Visitor": token}).text == "2"
        assert site.shop.sent() == []

    def test_one_line_of_the_log(self, site: Site, caplog: pytest.LogCaptureFixture) -> None:
        token = site.token()
        with caplog.at_level(logging.INFO, "convert_sdk"):
            for _ in range(3):
                site.ask("/decide", headers={"Convert-Override": token})
        said = [(each.levelname, each.getMessage()) for each in caplog.records if each.name == "convert_sdk"]
        assert said == [
            (
                "INFO",
                "web integration: somebody tests 'checkout' as 'arm-2' by a signed token; nothing of it is counted",
            )
        ]


class TestRefusals:
    @pytest.mark.parametrize("wrong", ["forged", "", "x" * 3_000])
    def test_another_token_is_nothing(self, site: Site, wrong: str) -> None:
        jar = browser(LOW)
        assert site.ask("/decide", jar, headers={"Convert-Override": wrong}).text == "1"
        jar.set(COOKIE, wrong, domain="shop.example")
        assert site.ask("/decide", jar).text == "1"
        assert site.shop.sent() == [exposure("100", "1")]
        assert site.ask(f"/decide?{COOKIE}={wrong}", jar).status_code == 200

    def test_one_of_another_purpose_is_nothing(self, site: Site) -> None:
        token = site.shop.client.visitor(LOW).handover()
        assert site.ask("/decide", browser(LOW), headers={"Convert-Override": token}).text == "1"

    def test_one_that_has_ended_is_nothing(self, site: Site) -> None:
        token = site.token(max_age=60)
        now = site.shop.client._engine.wall_clock()
        site.shop.client._engine.wall_clock = lambda: now + 61
        assert site.ask("/decide", browser(LOW), headers={"Convert-Override": token}).text == "1"

    def test_where_it_is_off_a_token_is_nothing(self, name: str, stack: ExitStack) -> None:
        site = opened(name, stack, accept_override=False)
        assert site.shown("/decide", browser(LOW)).text == "1"
        assert site.ask(f"/decide?{COOKIE}={site.token()}", browser(LOW)).text == "1"

    def test_secrets_that_went_away(self, site: Site) -> None:
        token = site.token()
        site.ask("/nothing")
        site.shop.client._engine.secrets = lambda: ()
        assert site.ask("/decide", browser(LOW), headers={"Convert-Override": token}).text == "1"
        assert site.ask(f"/decide?{COOKIE}={token}", browser(LOW)).text == "1"

    @pytest.mark.parametrize(
        ("client", "accept", "said"),
        [({}, True, "give the client secrets"), ({"secrets": SECRETS}, 1, "must be True or False")],
    )
    def test_options_that_cannot_be(self, client: dict[str, Any], accept: Any, said: str) -> None:
        with pytest.raises(OptionError, match=said):
            web_options(shop(**client).client, {"accept_override": accept}, awaits=False)


class TestLinks:
    def test_a_link_sets_the_cookie_and_leads_to_the_page(self, site: Site) -> None:
        token = site.token(max_age=600)
        response = site.ask(f"/decide?a=1&{COOKIE}={token}&b=%20", jar := browser(LOW))
        assert (response.status_code, response.headers["location"]) == (303, "/decide?a=1&b=%20")
        assert response.headers["cache-control"] == "private, no-store"
        assert response.headers["referrer-policy"] == "no-referrer"
        (header,) = response.headers.get_list("set-cookie")
        value, *attributes = header.strip().split("; ")
        assert value == f"{COOKIE}={token}"
        (age,) = [int(each.partition("=")[2]) for each in attributes if each.startswith("Max-Age=")]
        assert 590 <= age <= 600
        assert {"Path=/", "SameSite=Lax", "HttpOnly"} <= {*attributes}
        shown = site.ask("/decide?a=1", jar)
        assert (shown.text, shown.headers["cache-control"]) == ("2", "private, no-store")
        assert site.shop.sent() == []

    def test_another_link_ends_it(self, site: Site) -> None:
        site.ask(f"/decide?{COOKIE}={site.token()}", jar := browser(LOW))
        response = site.ask(f"/decide?{COOKIE}=off", jar)
        assert (response.status_code, response.headers["location"]) == (303, "/decide")
        assert COOKIE not in jar
        assert site.ask("/decide", jar).text == "1"

    def test_what_is_sent_to_the_site_is_not_redirected(self, site: Site) -> None:
        assert site.ask(f"/buy?{COOKIE}={site.token()}", browser(LOW), method="POST").status_code == 200

    @pytest.mark.parametrize(
        ("path", "location"),
        [
            ("//evil.example/x", "/evil.example/x"),
            ("///evil.example", "/evil.example"),
            ("/\\evil.example", "/%5Cevil.example"),
            ("/a b%é", "/a%20b%25%C3%A9"),
            ("/", "/"),
        ],
    )
    def test_it_leads_to_no_other_site(self, path: str, location: str) -> None:
        own = shop(secrets=SECRETS)
        tokens = OverrideTokens(own.client, None)
        request = Asked(f"https://shop.example/?{COOKIE}={override_token(own.client, {'checkout': 'arm-2'})}")
        request.asgi["path"] = path
        answer = tokens.link(request)
        assert answer is not None
        assert answer.location == location
        assert "; Secure" in answer.set_cookie
