"""What the cookie with a visitor's state does in each framework: workers that share nothing else agree."""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, NamedTuple

import httpx
import pytest

pytest.importorskip("flask", reason="needs Flask: pip install convert-sdk[flask]")

from flask import Flask

from convert_sdk import Client, Consent, MemoryStore, OptionError, Project, VisitorState
from convert_sdk._tokens.state import carried_state, sign_state
from convert_sdk.integrations import Cookie
from convert_sdk.integrations._web.options import web_options
from convert_sdk.integrations.flask import Convert
from tests.contracts.test_web import COOKIE, browser, consent_of, user_of, warnings_in
from tests.documents import HIGH, LOW, Json, conversion, exposure
from tests.web.pages import DOCUMENT, Shop, shop
from tests.web.sites import Visits, visits

STATE = "convert_state"
SECRETS = ["the secret of all workers"]
ON: dict[str, Any] = {"state": "cookie"}


class Worker(NamedTuple):
    """One of several processes: what it answers, and what it has sent."""

    ask: Visits
    shop: Shop

    def sent(self) -> list[Json]:
        return self.shop.sent()


def worker(name: str, stack: ExitStack, **options: Any) -> Worker:
    own = shop(secrets=SECRETS)
    return Worker(stack.enter_context(visits(name, own.client, **ON, **options)), own)


@pytest.fixture
def workers(name: str, stack: ExitStack) -> list[Worker]:
    """Three processes with nothing in common but the secret."""
    return [worker(name, stack) for _ in range(3)]


def state_cookies(response: httpx.Response) -> list[str]:
    """What a response says of the cookie with the state."""
    return named(response, STATE)


def named(response: httpx.Response, name: str) -> list[str]:
    """The values of `Set-Cookie` for one cookie."""
    values = [value.strip() for value in response.headers.get_list("set-cookie")]
    return [value for value in values if value.startswith(f"{name}=")]


def signed(client: Client, visitor_id: str = LOW, variation_id: str = "2") -> str:
    state = carried_state(visitor_id, VisitorState({"100": variation_id}))
    found = sign_state(client._engine, state, 3_600)
    assert found is not None
    return found.token


def another_project(**options: Any) -> Client:
    return Client.offline(Project.parse(json.dumps({**DOCUMENT, "project": {"id": "3"}})), **options)


class TestWorkers:
    def test_a_conversion_in_another_worker_is_credited(self, workers: list[Worker]) -> None:
        first, second, third = workers
        shown = first.ask("/decide", jar := browser()).text
        assert second.ask("/buy", jar).text == "accepted"
        assert third.ask("/decide", jar).text == shown
        assert third.ask("/buy", jar).text == "duplicate"
        assert first.sent() == [exposure("100", shown)]
        assert second.sent() == [conversion("91", bucketingData={"100": shown})]
        assert third.sent() == []
        assert [body["enrichData"] for each in workers for body in each.shop.sink] == [True, True]

    def test_what_the_browser_has_beats_what_a_worker_remembers(self, workers: list[Worker]) -> None:
        first, second, _ = workers
        first.shop.client.visitor(LOW).force("checkout", "arm-2")
        second.shop.client.visitor(LOW).force("checkout", "arm-1")
        assert first.ask("/decide", jar := browser(LOW)).text == "2"
        assert second.ask("/decide", jar).text == "2"

    def test_it_is_written_when_something_changed(self, workers: list[Worker]) -> None:
        first, second, third = workers
        (written,) = state_cookies(first.ask("/decide", jar := browser(LOW)))
        assert {*written.split("; ")[1:]} == {"Path=/", "Max-Age=31536000", "SameSite=Lax", "HttpOnly"}
        assert [state_cookies(each.ask("/decide", jar)) for each in workers] == [[], [], []]
        assert len(state_cookies(second.ask("/buy", jar))) == 1
        assert [state_cookies(each.ask("/decide", jar)) for each in workers] == [[], [], []]
        assert state_cookies(third.ask("/nothing", jar)) == []

    def test_two_first_requests_at_once(self, workers: list[Worker]) -> None:
        """Each is exposed, as the API counts them once; both browsers' cookies are credited."""
        first, second, third = workers
        with ThreadPoolExecutor(2) as pool:
            jars = [browser(LOW), browser(LOW)]
            shown = [*pool.map(lambda worker, jar: worker.ask("/decide", jar).text, (first, second), jars)]
        assert shown == ["1", "1"]
        assert (first.sent(), second.sent()) == ([exposure("100", "1")], [exposure("100", "1")])
        assert jars[0][STATE] != "" != jars[1][STATE]
        assert third.ask("/buy", jars[0]).text == "accepted"
        assert third.sent() == [conversion("91", bucketingData={"100": "1"})]


class TestOthers:
    @pytest.mark.parametrize(
        "token",
        [
            pytest.param(signed(shop(secrets=SECRETS).client, HIGH), id="another visitor's"),
            pytest.param(signed(another_project(secrets=SECRETS)), id="another project's"),
            pytest.param(
                signed(shop(secrets=SECRETS, environment="staging").client), id="another environment's"
            ),
            pytest.param(signed(shop(secrets=["a secret of somebody else"]).client), id="forged"),
            pytest.param(signed(shop(secrets=SECRETS).client)[:-1], id="cut"),
            pytest.param("x" * 5_000, id="long"),
            pytest.param("", id="empty"),
        ],
    )
    def test_it_counts_for_nothing_and_is_replaced(self, name: str, stack: ExitStack, token: str) -> None:
        one = worker(name, stack)
        jar = browser(LOW)
        jar.set(STATE, token, domain="shop.example")
        assert one.ask("/decide", jar).text == "1"
        assert one.sent() == [exposure("100", "1")]
        assert jar[STATE] != token
        assert worker(name, stack).ask("/buy", jar).text == "accepted"

    def test_the_right_one_counts(self, name: str, stack: ExitStack) -> None:
        jar = browser(LOW)
        jar.set(STATE, signed(shop(secrets=SECRETS).client), domain="shop.example")
        assert worker(name, stack).ask("/decide", jar).text == "2"

    def test_one_of_an_older_secret_is_signed_anew(self, name: str, stack: ExitStack) -> None:
        own = shop(secrets=["a newer secret of all workers", *SECRETS])
        ask = stack.enter_context(visits(name, own.client, **ON))
        jar = browser(LOW)
        jar.set(STATE, signed(shop(secrets=SECRETS).client), domain="shop.example")
        assert ask("/decide", jar).text == "2"
        assert state_cookies(ask("/decide", jar)) == []
        assert own.sent() == []
        assert worker(name, stack).ask("/decide", jar).text == "1"  # who knows the older one alone


class TestConsent:
    def test_a_refusal_deletes_it(self, name: str, stack: ExitStack) -> None:
        one = worker(name, stack, consent=consent_of)
        one.ask("/decide", jar := browser(), headers={"X-Consent": "granted"})
        assert {COOKIE, STATE} <= {*jar}
        one.ask("/decide", jar, headers={"X-Consent": "denied"})
        assert {*jar} == set()

    def test_before_an_answer_it_is_read_and_not_written(self, name: str, stack: ExitStack) -> None:
        one, other = (worker(name, stack, consent=consent_of, before_consent="decide") for _ in range(2))
        jar = browser(LOW)
        jar.set(STATE, signed(one.shop.client), domain="shop.example")
        response = one.ask("/buy", jar)
        assert (response.text, state_cookies(response)) == ("consent", [])
        assert one.ask("/decide", jar).text == "2"
        assert (one.sent(), one.shop.client.status().visitors) == ([], 0)
        assert one.ask("/buy-and-agree", jar).text == "2 2"
        assert one.sent() == [conversion("91", bucketingData={"100": "2"})]
        assert other.ask("/buy", jar, headers={"X-Consent": "granted"}).text == "duplicate"

    def test_a_request_without_a_view_changes_nothing(self, name: str, stack: ExitStack) -> None:
        one = worker(name, stack)
        jar = browser(LOW)
        assert state_cookies(one.ask("/decide", jar, method="HEAD")) == []
        jar.set(STATE, signed(one.shop.client), domain="shop.example")
        assert state_cookies(one.ask("/decide", jar, method="HEAD")) == []
        assert one.shop.client.status().visitors == 0

    def test_somebody_new_on_a_shared_device(self, name: str, stack: ExitStack) -> None:
        one = worker(name, stack)
        one.ask("/decide", jar := browser())
        one.ask("/leave", jar)
        assert COOKIE not in jar
        one.ask("/decide", jar)
        response = one.ask("/leave-after-a-look", jar)
        assert ({*jar}, len(state_cookies(response))) == (set(), 1)

    @pytest.mark.parametrize(
        ("path", "asked"),
        [
            pytest.param("/leave", {}, id="nobody is asked for"),
            pytest.param("/leave-after-a-look", {"headers": {"User-Agent": "curl/8.0"}}, id="a bot"),
            pytest.param("/leave-after-a-look", {"method": "HEAD"}, id="without a view"),
        ],
    )
    def test_a_device_keeps_nothing_of_who_left(
        self, name: str, stack: ExitStack, path: str, asked: dict[str, Any]
    ) -> None:
        one = worker(name, stack)
        one.ask("/decide", jar := browser())
        response = one.ask(path, jar, **asked)
        assert (len(state_cookies(response)), len(named(response, COOKIE)), {*jar}) == (1, 1, set())
        assert response.headers["cache-control"] == "private"
        assert state_cookies(one.ask("/leave", browser(LOW))) == []


class TestLogin:
    def test_what_a_device_brings_counts_for_the_user(self, name: str, stack: ExitStack) -> None:
        first, second, third = (worker(name, stack, identify=user_of, on_login="switch") for _ in range(3))
        jar = browser(HIGH)
        assert first.ask("/decide", jar).text == "2"
        assert second.ask("/decide", jar, headers={"X-User": LOW}).text == "2"  # the hash would give 1
        assert third.ask("/buy", jar, headers={"X-User": LOW}).text == "accepted"
        assert third.sent() == [conversion("91", bucketingData={"100": "2"})]

    def test_without_a_cookie_for_the_id(self, name: str, stack: ExitStack) -> None:
        first, second = (worker(name, stack, identify=user_of, cookie=None) for _ in range(2))
        user = {"X-User": LOW}
        first.shop.client.visitor(LOW).force("checkout", "arm-2")
        first.ask("/decide", jar := browser(), headers=user)
        assert {*jar} == {STATE}
        assert second.ask("/decide", jar, headers=user).text == "2"
        assert "set-cookie" not in second.ask("/decide").headers


class TestOptions:
    @pytest.mark.parametrize(
        ("client", "state", "said"),
        [
            ({"secrets": SECRETS, "store": MemoryStore()}, "cookie", "for a client without a store"),
            ({"secrets": SECRETS}, "server", "state must be 'memory' or 'cookie'"),
            ({}, "cookie", "give the client secrets"),
        ],
    )
    def test_what_cannot_be(self, client: dict[str, Any], state: Any, said: str) -> None:
        with pytest.raises(OptionError, match=said):
            web_options(shop(**client).client, {"state": state}, awaits=False)

    def test_a_framework_s_own_secret_signs(self, name: str, stack: ExitStack) -> None:
        if name == "flask":
            app = Flask("shop")
            app.secret_key = "of the application"
            app.config["SECRET_KEY_FALLBACKS"] = ["an older one"]
            own = shop()
            Convert(app, own.client, state="cookie")
            assert own.client._engine.secrets() == ["of the application", "an older one"]
        elif name.startswith("django"):
            ask = stack.enter_context(visits(name, shop().client, **ON))
            assert state_cookies(ask("/decide"))

    def test_secrets_that_went_away_break_no_page(
        self, name: str, stack: ExitStack, caplog: pytest.LogCaptureFixture
    ) -> None:
        one = worker(name, stack)
        one.ask("/decide", jar := browser(LOW))
        one.shop.client._engine.secrets = lambda: ()
        with caplog.at_level(logging.WARNING, "convert_sdk"):
            assert [one.ask(path, jar).text for path in ("/decide", "/buy")] == ["1", "accepted"]
        assert len(warnings_in(caplog)) == 1

    def test_the_cookie_follows_that_of_the_id(self, name: str, stack: ExitStack) -> None:
        one = worker(name, stack, cookie=Cookie("shop", path="/decide", http_only=False))
        (written,) = named(one.ask("/decide"), "shop_state")
        assert "Path=/decide" in written
        assert "HttpOnly" in written


def test_an_answer_for_another_object_takes_the_state_along() -> None:
    visitor = shop(secrets=SECRETS).client.visitor(LOW, consent=Consent.UNKNOWN, before_consent="decide")
    visitor._bring(VisitorState({"100": "2"}))
    assert visitor.decide("checkout").variation_id == "2"
    assert visitor.with_context(consent=Consent.GRANTED).decide("checkout").variation_id == "2"
