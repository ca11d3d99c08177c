"""The poller: what it asks for, what it takes for an answer, and when it asks again."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert_sdk._config.source import DocumentSource, document_request, preview_url, request_url
from convert_sdk._delivery.poller import ConfigPoller
from convert_sdk._http.messages import Failure, Request, Response
from convert_sdk._urls import CONFIG_ENDPOINT
from convert_sdk.errors import FetchError

LOST = Failure("undelivered", "ConnectError: refused")


class Taken:
    """Takes every document but those that say they are bad."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def __call__(self, body: bytes, confirm: Callable[[], None]) -> None:
        if body == b"bad":
            raise FetchError("the document has an error")
        if body == b"defect":
            raise ZeroDivisionError
        confirm()
        self.bodies.append(body)


def poller(
    take: Taken | None = None,
    *,
    source: DocumentSource = DocumentSource("1002/1003"),  # noqa: B008  # immutable
    refresh: float | None = 300.0,
    random: float = 0.5,
) -> ConfigPoller:
    return ConfigPoller(source, take or Taken(), random=lambda: random, refresh=refresh)


def document(etag: str | None = None, body: bytes = b"{}") -> Response:
    return Response(200, {"etag": etag} if etag else {}, body)


def ask(machine: ConfigPoller, now: float) -> Request:
    request = machine.next_request(now)
    assert request is not None
    return request


# What is asked for.


@pytest.mark.parametrize(
    ("source", "url"),
    [
        (DocumentSource("sk/96-c2"), f"{CONFIG_ENDPOINT}config/sk/96-c2"),
        (DocumentSource("sk/96-c2", environment=""), f"{CONFIG_ENDPOINT}config/sk/96-c2"),
        (
            DocumentSource("sk/96-c2", environment="staging"),
            f"{CONFIG_ENDPOINT}config/sk/96-c2?environment=staging",
        ),
        (DocumentSource("k", "https://cdn.invalid/v1/"), "https://cdn.invalid/v1/config/k"),
        (DocumentSource("k", "https://cdn.invalid/v1//"), "https://cdn.invalid/v1//config/k"),
        (
            DocumentSource("k", "https://cdn.invalid", low_cache=True),
            "https://cdn.invalid/config/k?_conv_low_cache=1",
        ),
        (
            DocumentSource("k", "https://cdn.invalid", environment="é/ &=+?#'()*!~-._", low_cache=True),
            "https://cdn.invalid/config/k?environment=%C3%A9%2F%20%26%3D%2B%3F%23'()*!~-._&_conv_low_cache=1",
        ),
        (
            DocumentSource(
                "k", "https://cdn.invalid", environment="live", low_cache=True, debug_token="tok en&1"
            ),
            "https://cdn.invalid/config/k?environment=live&_conv_low_cache=1",
        ),
    ],
)
def test_the_address_of_a_document(source: DocumentSource, url: str) -> None:
    assert document_request(source).url == url
    if source.debug_token is None:
        assert request_url(source) == url


def test_the_address_of_a_preview() -> None:
    source = DocumentSource("sk/1", "https://cdn.invalid", environment="live", low_cache=True)
    url = "https://cdn.invalid/config/sk/1?environment=live&exp=55501&_conv_low_cache=1"
    assert preview_url(source, "55501") == url
    assert document_request(source, experience_id="55501").url == url
    assert preview_url(DocumentSource("k", "https://cdn.invalid"), "1").endswith(
        "/config/k?exp=1&_conv_low_cache=1"
    )


def test_the_headers() -> None:
    request = document_request(DocumentSource("k", secret="s3cret", debug_token="tok en&1"), etag='"v1"')
    assert request.headers == {
        "Content-Type": "application/json",
        "User-Agent": "ConvertAgent/1.0",
        "Accept-Encoding": "gzip",
        "Authorization": "Bearer s3cret",
        "convert-debug-token": "tok en&1",
        "If-None-Match": '"v1"',
    }
    assert request.url.endswith("?_conv_low_cache=1")
    assert request.body is None
    plain = document_request(DocumentSource("k"))
    assert "Authorization" not in plain.headers
    assert "convert-debug-token" not in plain.headers


def test_a_source_keeps_its_secrets() -> None:
    shown = repr(DocumentSource("sdk-key", secret="s3cret", debug_token="t0ken"))
    assert all(secret not in shown for secret in ("sdk-key", "s3cret", "t0ken"))


# Debug tokens.


def test_a_callable_token_is_asked_before_each_fetch() -> None:
    tokens = iter(["one", None, "three"])
    machine = poller(source=DocumentSource("k", debug_token=lambda: next(tokens)))
    seen = []
    for now in (1.0, 1_000.0, 2_000.0):
        request = ask(machine, now)
        seen.append((request.headers.get("convert-debug-token"), "low_cache" in request.url))
        machine.handle_response(document(), now)
    assert seen == [("one", True), (None, False), ("three", True)]


def test_of_two_that_want_to_fetch_one_does() -> None:
    """The second one comes while the first one asks for its token, and knew it due before the first one fetched."""
    seconds: list[Request | None] = []

    def token() -> None:
        seconds.append(machine.next_request(1.0))

    machine = poller(source=DocumentSource("k", debug_token=token))
    ask(machine, 1.0)
    assert seconds == [None]
    assert machine.due() == inf
    machine.handle_response(document(), 1.0)
    assert machine.next_request(1.0) is None
    assert machine.due() > 1.0


def test_a_token_that_cannot_be_had_is_a_failed_fetch() -> None:
    def broken() -> str:
        raise PermissionError("s3cret")

    machine = poller(source=DocumentSource("k", debug_token=broken))
    assert machine.next_request(1.0) is None
    assert machine.failures == {"debug_token": 1}
    assert machine.error == "debug_token raised PermissionError"
    assert machine.due() == 1.5


@pytest.mark.parametrize("token", ["s3cret\n", " s3cret", "s3cret\0", "s3cr\xe9t", b"s3cret", 5])
def test_a_token_that_no_header_can_carry_is_not_quoted(token: Any) -> None:
    machine = poller(source=DocumentSource("k", debug_token=lambda: token))
    assert machine.next_request(1.0) is None
    assert machine.failures == {"debug_token": 1}
    said = f"{machine.error} {machine.notices}"
    assert "debug_token gave what no header can carry" in said
    assert "s3c" not in said


# What is an answer.


def test_a_document_is_taken_and_refreshed_with_jitter() -> None:
    taken = Taken()
    machine = poller(taken, random=0.0)
    assert machine.due() == 0.0
    ask(machine, 5.0)
    assert machine.due() == inf
    assert machine.next_request(5.0) is None
    machine.handle_response(document(), 6.0)
    assert taken.bodies == [b"{}"]
    assert machine.due() == 6.0 + 270.0
    assert machine.fetches == 1
    late = poller(random=1.0)
    ask(late, 5.0)
    late.handle_response(document(), 6.0)
    assert late.due() == pytest.approx(6.0 + 330.0)


def test_a_fetch_is_conditional_once_there_is_something_to_keep() -> None:
    taken = Taken()
    machine = poller(taken)
    assert "If-None-Match" not in ask(machine, 1.0).headers
    machine.handle_response(document('"v1"'), 1.0)
    assert ask(machine, 400.0).headers["If-None-Match"] == '"v1"'
    machine.handle_response(Response(304), 400.0)
    assert (machine.fetches, machine.age(410.0), machine.error) == (2, 10.0, None)
    ask(machine, 800.0)
    machine.handle_response(document(None, b"[]"), 800.0)
    assert machine.etag is None
    assert taken.bodies == [b"{}", b"[]"]


@pytest.mark.parametrize("status", [400, 412, 431])
def test_an_etag_that_the_server_refuses_is_dropped(status: int) -> None:
    machine = poller()
    ask(machine, 1.0)
    machine.handle_response(document('"v1"'), 1.0)
    assert "If-None-Match" in ask(machine, 400.0).headers
    machine.handle_response(Response(status), 400.0)
    assert machine.etag is None
    assert machine.due() < 402.0, "it is asked again without it"
    assert "If-None-Match" not in ask(machine, 402.0).headers
    machine.handle_response(Response(status), 402.0)
    assert machine.due() > 700.0, "the ETag was not the reason"


@pytest.mark.parametrize("etag", ['"\xe4"', '"' + "x" * 60_000 + '"', "", '"a\tb"', '"\u20ac"'])
def test_an_etag_that_cannot_be_sent_back_is_not_kept(etag: str) -> None:
    machine = poller()
    machine.prime(etag)
    assert machine.etag is None
    ask(machine, 1.0)
    machine.handle_response(document(etag), 1.0)
    assert machine.etag is None
    assert machine.error is None


def test_a_redirect_says_where_it_leads() -> None:
    machine = poller()
    ask(machine, 1.0)
    target = "https://me:secret@cdn.example/v1/config/1/2?token=secret"
    machine.handle_response(Response(301, {"location": target}), 1.0)
    assert machine.error == (
        "the config endpoint answers 301 and leads to https://***@cdn.example/v1/config/1/2, which is not followed"
    )


def test_an_unasked_304_is_no_answer() -> None:
    machine = poller()
    ask(machine, 1.0)
    machine.handle_response(Response(304), 1.0)
    assert machine.failures == {"304": 1}
    assert machine.age(1.0) is None


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (document('"v2"', b"bad"), "body"),
        (Response(200, {"etag": '"v2"'}, b"", "too large"), "body"),
        *(
            (Response(status, {"etag": '"v2"'}, b"{}"), str(status))
            for status in (201, 204, 301, 302, 403, 500, 503)
        ),
        (LOST, "undelivered"),
        (Failure("ambiguous", "reset"), "ambiguous"),
    ],
)
def test_what_is_no_answer_keeps_the_last_good_document(answer: Response | Failure, kind: str) -> None:
    taken = Taken()
    machine = poller(taken)
    ask(machine, 1.0)
    machine.handle_response(document('"v1"'), 1.0)
    ask(machine, 400.0)
    machine.handle_response(answer, 400.0)
    assert taken.bodies == [b"{}"]
    assert machine.etag == '"v1"'
    assert machine.age(401.0) == 400.0
    assert machine.failures == {kind: 1}
    assert machine.error
    assert machine.due() < 800.0


def test_a_defect_in_taking_is_passed_on_and_counted() -> None:
    machine = poller()
    ask(machine, 1.0)
    with pytest.raises(ZeroDivisionError):
        machine.handle_response(document('"v1"', b"defect"), 1.0)
    assert machine.failures == {"body": 1}
    assert machine.etag is None
    assert machine.due() == 1.5


# When it asks again.


def test_back_off_doubles_up_to_the_refresh_interval() -> None:
    machine = poller(random=1.0, refresh=20.0)
    now, waits = 1.0, []
    for _ in range(8):
        ask(machine, now)
        machine.handle_response(LOST, now)
        waits.append(machine.due() - now)
        now = machine.due()
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 20.0, 20.0, 20.0]
    ask(machine, now)
    machine.handle_response(document(), now)
    ask(machine, now + 100.0)
    machine.handle_response(LOST, now + 100.0)
    assert machine.due() == now + 101.0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_refusal_slows_down_and_resumes_by_itself(status: int) -> None:
    machine = poller(random=0.0)
    ask(machine, 1.0)
    machine.handle_response(Response(status), 1.0)
    assert machine.due() == 301.0
    assert machine.status == status
    ask(machine, 301.0)
    machine.handle_response(document(), 301.0)
    assert machine.error is None


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_a_minimum(status: int) -> None:
    machine = poller()
    ask(machine, 1.0)
    machine.handle_response(Response(status, {"retry-after": "90"}), 1.0)
    assert machine.due() == 91.0


def test_without_refresh_one_good_fetch_is_enough() -> None:
    machine = poller(refresh=None, random=1.0)
    now = 1.0
    for _ in range(12):
        ask(machine, now)
        machine.handle_response(LOST, now)
        assert machine.due() - now <= 300.0
        now = machine.due()
    ask(machine, now)
    machine.handle_response(document(), now)
    assert machine.due() == inf
    assert not machine.stale(now + 1e6)


def test_changes_of_state_are_told_once() -> None:
    machine = poller()
    for now in (10.0, 100.0, 1_000.0):
        ask(machine, now)
        machine.handle_response(LOST, now)
    ask(machine, 2_000.0)
    machine.handle_response(document(), 2_000.0)
    ask(machine, 3_000.0)
    machine.handle_response(document(), 3_000.0)
    assert [notice.level for notice in machine.notices] == ["warning", "info"]


# How old the document is.


def test_a_document_is_stale_after_two_refreshes_or_when_it_came_from_disk() -> None:
    machine = poller()
    machine.prime('"disk"')
    assert machine.stale(1.0)
    assert ask(machine, 1.0).headers["If-None-Match"] == '"disk"'
    machine.handle_response(Response(304), 1.0)
    assert not machine.stale(601.0)
    assert machine.stale(601.1)
    assert machine.age(601.0) == 600.0


@given(
    st.lists(st.one_of(st.integers(100, 599).map(Response), st.just(LOST), st.just(document(body=b"bad"))))
)
def test_whatever_goes_wrong_it_asks_again(answers: list[Response | Failure]) -> None:
    taken = Taken()
    machine = poller(taken)
    now = 1.0
    for answer in answers:
        ask(machine, now)
        machine.handle_response(answer, now)
        assert now <= machine.due() <= now + 331.0
        now = machine.due()
    ask(machine, now)
    machine.handle_response(document(body=b"good"), now)
    assert taken.bodies[-1] == b"good"
