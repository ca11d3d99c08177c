"""What every web integration does, in each framework: ids, cookies, headers, consent, and what is sent."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from convert_sdk import Consent
from convert_sdk.status import DropReason
from tests.documents import HIGH, LOW, conversion, exposure
from tests.web.pages import Shop, shop
from tests.web.sites import Visits, visits

COOKIE = "convert_visitor_id"


DELETED = ("", {"Path=/", "Max-Age=0", "SameSite=Lax", "HttpOnly"})


def set_cookie(response: httpx.Response) -> tuple[str, set[str]]:
    """The value and the attributes of the one cookie that a response sets."""
    (header,) = response.headers.get_list("set-cookie")
    value, *attributes = header.strip().split("; ")
    assert value.startswith(f"{COOKIE}=")
    return value.removeprefix(f"{COOKIE}=").strip('"'), {*attributes}


def browser(visitor_id: str | None = None) -> httpx.Cookies:
    cookies = httpx.Cookies()
    if visitor_id is not None:
        cookies.set(COOKIE, visitor_id, domain="shop.example")
    return cookies


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What our log says, beside whatever a framework turned on."""
    return [record.getMessage() for record in caplog.records if record.name == "convert_sdk"]


def consent_of(native: Any) -> Consent | None:
    """The application's own record of an answer, in a header that a test sets."""
    answer = header(native, "x-consent")
    return None if answer is None else Consent(answer)


def user_of(native: Any) -> str | None:
    return header(native, "x-user")


def header(native: Any, name: str) -> str | None:
    """A header of whatever the framework calls a request."""
    if isinstance(native, dict) and "wsgi.version" in native:
        return native.get(f"HTTP_{name.upper().replace('-', '_')}")
    if isinstance(native, dict):
        return {key.decode(): value.decode() for key, value in native["headers"]}.get(name)
    found: str | None = native.headers.get(name)
    return found


@pytest.fixture
def store() -> Shop:
    return shop()


@pytest.fixture
def ask(name: str, store: Shop) -> Iterator[Visits]:
    with visits(name, store.client) as asked:
        yield asked


class TestTheVisitor:
    def test_a_new_one_gets_a_cookie(self, ask: Visits, store: Shop) -> None:
        response = ask("/decide", jar := browser())
        value, attributes = set_cookie(response)
        assert uuid.UUID(value).version == 4
        assert attributes == {"Path=/", "Max-Age=31536000", "SameSite=Lax", "HttpOnly"}
        assert response.headers["vary"] == "Cookie"
        assert response.headers["cache-control"] == "private"
        assert [each["visitorId"] for each in _sent_visitors(store)] == [jar[COOKIE]]

    def test_one_who_came_before_keeps_the_id(self, ask: Visits, store: Shop) -> None:
        first = ask("/decide", jar := browser())
        again = ask("/decide", jar)
        assert first.text == again.text
        assert "set-cookie" not in again.headers
        assert again.headers["vary"] == "Cookie"
        assert len(store.sent()) == 1

    def test_two_browsers_are_two_visitors(self, ask: Visits) -> None:
        assert ask("/decide", browser(LOW)).text == "1"
        assert ask("/decide", browser(HIGH)).text == "2"

    def test_a_page_that_asks_nothing_is_left_alone(self, ask: Visits, store: Shop) -> None:
        response = ask("/nothing", browser(LOW))
        assert response.headers["cache-control"] == "public, max-age=60"
        assert not {"vary", "set-cookie"} & {*response.headers}
        assert (store.sent(), store.client.status().visitors) == ([], 0)

    def test_the_cookie_is_secure_over_https(self, ask: Visits) -> None:
        response = ask("https://shop.example/decide", browser())
        assert "Secure" in set_cookie(response)[1]

    @pytest.mark.parametrize("wrong", ["", "x" * 256, "a%0Ab", "%00", "%E2%80%A8"])
    def test_an_id_that_cannot_be_one_is_replaced(self, ask: Visits, wrong: str) -> None:
        response = ask("/who", headers={"Cookie": f"{COOKIE}={wrong}"})
        assert uuid.UUID(response.text).version == 4
        assert "set-cookie" in response.headers

    def test_ids_of_others_are_percent_encoded(self, ask: Visits) -> None:
        assert ask("/who", headers={"Cookie": f'a=b; {COOKIE}="v%2042%3B"; {COOKIE}=second'}).text == "v 42;"

    def test_a_conversion_is_credited(self, ask: Visits, store: Shop) -> None:
        jar = browser(LOW)
        ask("/decide", jar)
        assert ask("/buy", jar).text == "accepted"
        assert ask("/buy", jar).text == "duplicate"
        assert store.sent() == [exposure("100", "1"), conversion("91", bucketingData={"100": "1"})]

    def test_the_visitor_is_one_object_in_a_request(self, ask: Visits) -> None:
        assert ask("/same").text == "True"

    def test_somebody_new_on_a_shared_device(self, ask: Visits) -> None:
        jar = browser(LOW)
        response = ask("/leave", jar)
        assert set_cookie(response) == DELETED
        assert COOKIE not in jar
        ask("/decide", jar)
        assert jar[COOKIE] != LOW


class TestTheResponse:
    def test_what_caches_may_share_is_private_now(self, ask: Visits) -> None:
        response = ask("/public", browser(LOW))
        assert response.headers["cache-control"] == "max-age=5, private"
        assert response.headers["vary"] == "Accept-Encoding, Cookie"

    @pytest.mark.parametrize(
        ("path", "status"), [("/not-modified", 304), ("/missing", 404), ("/broken", 500)]
    )
    def test_pages_of_any_status_have_the_headers(self, ask: Visits, path: str, status: int) -> None:
        response = ask(path, jar := browser())
        assert response.status_code == status
        assert (response.headers["vary"], response.headers["cache-control"]) == ("Cookie", "private")
        assert COOKIE in jar

    def test_a_stream_has_them_if_it_begins_with_a_visitor(self, ask: Visits, store: Shop) -> None:
        response = ask("/stream", jar := browser())
        first, again = response.text.split()
        assert first == again
        assert COOKIE in jar
        assert len(store.sent()) == 1

    def test_a_visitor_after_the_headers_leaves_no_trace(
        self, ask: Visits, store: Shop, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING, "convert_sdk"):
            answers = [ask("/stream-late", jar := browser()) for _ in range(2)]
        assert {response.text for response in answers} <= {"first 1", "first 2"}
        assert COOKIE not in jar
        assert not any({"vary", "set-cookie"} & {*response.headers} for response in answers)
        assert (store.sent(), store.client.status().visitors) == ([], 0)
        assert [text.partition(":")[0] for text in warnings_in(caplog)] == ["web integration"]

    def test_a_known_visitor_after_the_headers_sees_the_same(self, ask: Visits, store: Shop) -> None:
        assert ask("/stream-late", browser(LOW)).text == "first 1"
        assert ask("/stream-late", browser(HIGH)).text == "first 2"
        assert store.sent() == []

    @pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
    def test_a_request_without_a_view_exposes_nobody(self, ask: Visits, store: Shop, method: str) -> None:
        response = ask("/decide", browser(), method=method)
        assert response.status_code == 200
        assert "set-cookie" not in response.headers
        assert (store.sent(), store.client.status().visitors) == ([], 0)
        ask("/decide", browser(LOW), method=method)
        assert store.sent() == []
        ask("/decide", browser(LOW))
        assert store.sent() == [exposure("100", "1")]


class TestConsent:
    def test_nobody_is_decided_for_before_it(self, name: str, store: Shop) -> None:
        jar = browser()
        with visits(name, store.client, consent=consent_of) as ask:
            for _ in range(2):
                response = ask("/decide", jar)
                assert response.text == "consent"
                assert (response.headers["vary"], COOKIE in jar) == ("Cookie", False)
            before, shown = ask("/agree", jar).text.split()
            assert (before, shown in ("1", "2"), COOKIE in jar) == ("consent", True, True)
            assert ask("/decide", jar, headers={"X-Consent": "granted"}).text == shown
        assert store.sent() == [exposure("100", shown)]
        assert [each["visitorId"] for each in _sent_visitors(store)] == [jar[COOKIE]]

    def test_or_decided_for_and_nothing_sent(self, name: str, store: Shop) -> None:
        jar = browser()
        with visits(name, store.client, consent=consent_of, before_consent="decide") as ask:
            for _ in range(2):
                response = ask("/decide", jar)
                assert response.text in ("1", "2")
                assert (COOKIE in jar, store.sent()) == (False, [])
            before, shown = ask("/buy-and-agree", jar).text.split()
            assert before == shown
            assert ask("/decide", jar, headers={"X-Consent": "granted"}).text == shown
        assert store.sent() == [exposure("100", shown), conversion("91", bucketingData={"100": shown})]
        assert store.client.status().dropped == {DropReason.CONSENT: 2}
        assert store.client.status().events.offered == 4

    def test_a_user_s_events_wait_for_the_next_request(self, name: str, store: Shop) -> None:
        asked = {"consent": consent_of, "before_consent": "decide", "identify": user_of, "on_login": "switch"}
        with visits(name, store.client, **asked) as ask:
            user = {"X-User": LOW}
            assert [ask("/decide", headers=user).text for _ in range(2)] == ["1", "1"]
            assert (ask("/buy", headers=user).text, store.sent()) == ("consent", [])
            ask("/decide", headers={**user, "X-Consent": "granted"})
        assert store.sent() == [exposure("100", "1"), conversion("91", bucketingData={"100": "1"})]

    def test_a_refusal_deletes_the_cookie(self, name: str, store: Shop) -> None:
        with visits(name, store.client, consent=consent_of) as ask:
            response = ask("/decide", jar := browser(LOW), headers={"X-Consent": "denied"})
            assert (response.text, COOKIE in jar) == ("consent", False)
            assert set_cookie(response) == DELETED
            response = ask("/decide", jar, headers={"X-Consent": "denied"})
            assert "set-cookie" not in response.headers
            ask("/refuse", jar := browser(LOW), headers={"X-Consent": "granted"})
            assert COOKIE not in jar
        assert store.sent() == [exposure("100", "1")]  # of the page on which the visitor refused, before that

    @pytest.mark.parametrize("answer", ["unknown", "denied"])
    def test_an_answer_after_the_headers_counts_for_nobody_new(
        self, name: str, store: Shop, caplog: pytest.LogCaptureFixture, answer: str
    ) -> None:
        asked = {"consent": consent_of, "before_consent": "decide"}
        with visits(name, store.client, **asked) as ask:
            jars = [browser(), browser()]
            answers = [ask("/agree-late", jar, headers={"X-Consent": answer}).text.split() for jar in jars]
        assert [COOKIE in jar for jar in jars] == [False, False]
        for before, agreed, part, tracked in answers:
            assert agreed in ("1", "2")
            assert (before, part, tracked) == (
                "consent" if answer == "denied" else agreed,
                agreed,
                "tracking_off",
            )
        assert (store.sent(), store.client.status().visitors) == ([], 0)
        held = {DropReason.CONSENT: 2} if answer == "unknown" else {}
        assert store.client.status().dropped == held
        (said,) = warnings_in(caplog)
        assert said.startswith("web integration: a visitor agreed after the headers of a response had left")

    def test_but_for_those_with_an_id_that_lasts(
        self, name: str, store: Shop, caplog: pytest.LogCaptureFixture
    ) -> None:
        asked = {"consent": consent_of, "before_consent": "decide", "identify": user_of, "on_login": "switch"}
        with visits(name, store.client, **asked) as ask:
            assert ask("/agree-late", browser(LOW)).text == "1 1 1 accepted"
            assert ask("/agree-late", browser(), headers={"X-User": HIGH}).text == "2 2 2 accepted"
        assert [each["visitorId"] for each in _sent_visitors(store)] == [LOW, HIGH]
        assert warnings_in(caplog) == []

    def test_a_callable_that_raises_knows_no_answer(
        self, name: str, store: Shop, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(native: object) -> Consent:
            raise RuntimeError("no session")

        with visits(name, store.client, consent=broken) as ask:
            assert [ask("/decide", browser(LOW)).text for _ in range(2)] == ["consent"] * 2
        assert warnings_in(caplog) == [
            "web integration: consent= raised RuntimeError: it counts as no answer"
        ]


class TestLogin:
    def test_keep_never_names_the_user(self, name: str, store: Shop) -> None:
        with visits(name, store.client, identify=user_of) as ask:
            jar = browser(HIGH)
            assert ask("/decide", jar, headers={"X-User": LOW}).text == "2"
            assert ask("/who", browser(), headers={"X-User": LOW}).text != LOW
        assert [each["visitorId"] for each in _sent_visitors(store)] == [HIGH]

    def test_switch_makes_the_user_the_visitor(self, name: str, store: Shop) -> None:
        with visits(name, store.client, identify=user_of, on_login="switch") as ask:
            jar = browser(HIGH)
            assert ask("/decide", jar).text == "2"
            assert ask("/decide", jar, headers={"X-User": LOW}).text == "2"  # merged in: the user had none
            assert jar[COOKIE] == LOW
            assert ask("/who", jar).text == LOW  # logged out
            other = browser("v-6")
            assert ask("/decide", other, headers={"X-User": LOW}).text == "2"  # the user has one
        assert [each["visitorId"] for each in _sent_visitors(store)] == [HIGH, LOW]
        assert store.sent() == [exposure("100", "2")] * 2

    def test_a_user_s_id_that_cannot_be_one_is_ignored(
        self, name: str, store: Shop, caplog: pytest.LogCaptureFixture
    ) -> None:
        with visits(name, store.client, identify=lambda native: "", on_login="switch") as ask:
            assert ask("/who", browser(HIGH)).text == HIGH
        assert "identify= gave no id" in caplog.text

    def test_without_a_cookie_the_user_is_the_visitor(self, name: str, store: Shop) -> None:
        with visits(name, store.client, identify=user_of, cookie=None) as ask:
            response = ask("/decide", browser(HIGH), headers={"X-User": LOW})
            assert (response.text, "set-cookie" in response.headers) == ("1", False)
            assert "set-cookie" not in ask("/decide").headers  # nobody: decided, and not reported
            assert "set-cookie" not in ask("/leave").headers
        assert store.sent() == [exposure("100", "1")]


class TestOnly:
    def test_other_paths_have_no_visitor(self, name: str, store: Shop) -> None:
        with visits(name, store.client, only=["/dec"]) as ask:
            assert ask("/decide", browser(LOW)).text == "1"
            assert ask("/guest", browser(LOW)).text == "nobody"

    def test_a_test_of_one_s_own(self, name: str, store: Shop) -> None:
        with visits(name, store.client, only=lambda native: header(native, "x-user") is None) as ask:
            assert ask("/decide", browser(LOW)).text == "1"
            assert ask("/guest", browser(LOW), headers={"X-User": "bot"}).text == "nobody"

    def test_one_that_raises_admits(self, name: str, store: Shop, caplog: pytest.LogCaptureFixture) -> None:
        with visits(name, store.client, only=lambda native: native.no_such) as ask:
            assert ask("/decide", browser(LOW)).text == "1"
        assert "only= raised AttributeError: the request is admitted" in caplog.text


@pytest.mark.parametrize(
    "attributes", [lambda native: {"country": "DE"}, lambda native: 5, lambda native: None]
)
def test_attributes_are_those_of_the_visitor(name: str, store: Shop, attributes: Any) -> None:
    with visits(name, store.client, attributes=attributes) as ask:
        assert ask("/decide", browser(LOW)).text == "1"
    segments = [each.get("segments") for each in _sent_visitors(store)]
    assert segments == [{"country": "DE"} if attributes(None) == {"country": "DE"} else None]


def _sent_visitors(store: Shop) -> list[dict[str, Any]]:
    store.client.flush()
    return store.sink.visitors
