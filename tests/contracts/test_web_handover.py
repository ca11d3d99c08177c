"""Visitors whom another service hands over, in each framework that serves them."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import Any, NamedTuple

import httpx
import pytest

from convert_sdk import Client, Consent, OptionError, Visitor
from convert_sdk.integrations._web.options import web_options
from tests.contracts.test_web import browser, consent_of, user_of, warnings_in
from tests.documents import HIGH, LOW, conversion
from tests.web.pages import Shop, shop
from tests.web.sites import Visits, visits

SECRETS = ["the secret of all services"]
SERVICE: dict[str, Any] = {"accept_handover": True}


class Service(NamedTuple):
    """A service that takes visitors of others."""

    ask: Visits
    shop: Shop

    def handed(self, path: str, visitor: Visitor | str, **headers: str) -> httpx.Response:
        """What it answers to another service."""
        token = visitor if isinstance(visitor, str) else visitor.handover()
        caller = {"User-Agent": "python-httpx/0.28.1", "Convert-Visitor": token}
        return self.ask(path, headers=caller | headers)


def service(name: str, stack: ExitStack, **options: Any) -> Service:
    own = shop(secrets=SECRETS)
    return Service(stack.enter_context(visits(name, own.client, **{**SERVICE, **options})), own)


@pytest.fixture
def one(name: str, stack: ExitStack) -> Service:
    return service(name, stack)


@pytest.fixture
def upstream() -> Client:
    return shop(secrets=SECRETS).client


@pytest.fixture
def visitor(upstream: Client) -> Visitor:
    """Somebody who was shown what the hash would not give."""
    found = upstream.visitor(LOW)
    found.force("checkout", "arm-2")
    return found


class TestWhoIsHandedOver:
    def test_sees_the_same_and_is_credited(self, one: Service, visitor: Visitor) -> None:
        response = one.handed("/decide", visitor)
        assert response.text == "2"
        assert "set-cookie" not in response.headers
        assert (response.headers["vary"], response.headers["cache-control"]) == (
            "Cookie, Convert-Visitor",
            "private",
        )
        assert one.handed("/who", visitor).text == LOW
        assert one.handed("/buy", visitor).text == "accepted"
        assert one.shop.sent() == [conversion("91", bucketingData={"100": "2"})]

    def test_comes_before_cookie_and_login(self, name: str, stack: ExitStack, visitor: Visitor) -> None:
        one = service(name, stack, identify=user_of, on_login="switch")
        assert (
            one.handed("/who", visitor, Cookie=f"convert_visitor_id={HIGH}", **{"X-User": "ann"}).text == LOW
        )

    def test_has_its_bucketing_id(self, one: Service, upstream: Client) -> None:
        assert one.handed("/decide", upstream.visitor(LOW, bucketing_id=HIGH)).text == "2"

    def test_is_judged_by_who_knows_the_person(self, one: Service, visitor: Visitor) -> None:
        assert one.ask("/decide", headers={"User-Agent": "python-httpx/0.28.1"}).text == "bot"
        assert one.handed("/decide", visitor).text == "2"
        assert one.handed("/decide", visitor.with_context(tracking=False)).text == "2"
        assert one.handed("/buy", visitor.with_context(tracking=False)).text == "tracking_off"
        assert one.shop.sent() == []

    def test_has_the_consent_of_upstream(self, name: str, stack: ExitStack, upstream: Client) -> None:
        one = service(name, stack, consent=consent_of)
        visitors = [upstream.visitor(LOW, consent=consent) for consent in (None, *Consent)]
        assert [one.handed("/decide", each).text for each in visitors] == [
            "consent",
            "1",
            "consent",
            "consent",
        ]
        agreed = {"X-Consent": "granted"}
        assert [one.handed("/decide", each, **agreed).text for each in visitors] == [
            "1",
            "1",
            "consent",
            "consent",
        ]

    def test_keeps_no_state_in_a_cookie(self, name: str, stack: ExitStack, visitor: Visitor) -> None:
        one = service(name, stack, state="cookie")
        assert "set-cookie" not in one.handed("/decide", visitor).headers

    def test_without_a_view_nothing_is_stored(self, one: Service, visitor: Visitor) -> None:
        token = visitor.handover()
        response = one.ask("/decide", headers={"Convert-Visitor": token}, method="HEAD")
        assert (response.status_code, one.shop.client.status().visitors) == (200, 0)


class TestWhoIsNot:
    def test_a_token_that_is_refused_is_said_once(
        self, one: Service, visitor: Visitor, caplog: pytest.LogCaptureFixture
    ) -> None:
        jar = browser(HIGH)
        with caplog.at_level(logging.WARNING, "convert_sdk"):
            for token in (visitor.handover()[:-1], "x", "", "x" * 3_000):
                assert one.ask("/who", jar, headers={"Convert-Visitor": token}).text == HIGH
        assert warnings_in(caplog) == [
            f"web integration: a visitor was handed over by a token that is refused: {flaw}"
            for flaw in ("unsigned", "too_long")
        ]

    def test_where_it_is_off_the_header_is_nothing(
        self, name: str, stack: ExitStack, visitor: Visitor
    ) -> None:
        one = service(name, stack, accept_handover=False)
        response = one.ask("/who", browser(HIGH), headers={"Convert-Visitor": visitor.handover()})
        assert (response.text, response.headers["vary"]) == (HIGH, "Cookie")

    def test_of_secrets_that_went_away(
        self, one: Service, visitor: Visitor, caplog: pytest.LogCaptureFixture
    ) -> None:
        token = visitor.handover()
        one.ask("/nothing")  # some frameworks make their middleware now
        one.shop.client._engine.secrets = lambda: ()
        assert one.handed("/decide", token).text == "bot"
        assert "give the client secrets" in caplog.text

    @pytest.mark.parametrize(
        ("client", "accept", "said"),
        [({}, True, "give the client secrets"), ({"secrets": SECRETS}, "yes", "must be True or False")],
    )
    def test_options_that_cannot_be(self, client: dict[str, Any], accept: Any, said: str) -> None:
        with pytest.raises(OptionError, match=said):
            web_options(shop(**client).client, {"accept_handover": accept}, awaits=False)
