"""Preview links: what they show, what they leave behind, and what strangers can cause with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from time import monotonic
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

pytest.importorskip("fastapi", reason="needs FastAPI: pip install convert-sdk[fastapi]")
pytest.importorskip("flask", reason="needs Flask: pip install convert-sdk[flask]")

from convert_sdk import AsyncClient, Client
from convert_sdk.integrations._web.previews import PreviewLink, PreviewQueue, preview_link
from tests.contracts.test_web import browser
from tests.documents import LOW, document, exposure, variation
from tests.documents import experience as described
from tests.reliability.collector import Answer, Collector, Received
from tests.web.pages import shop
from tests.web.sites import ASGI, WSGI, Visits, visits

COOKIE = "convert_visitor_id"


@pytest.mark.parametrize(
    ("query", "link"),
    [
        ("convert_preview=100.2", PreviewLink("100", "2")),
        ("a=1&_conv_eforce=100.2&b", PreviewLink("100", "2")),
        ("convert_preview=x&convert_preview=100.2", PreviewLink("100", "2")),
        ("convert_preview=100", None),
        ("convert_preview=100.two", None),
        ("convert_preview=", None),
        ("a=convert_preview", None),
        ("&".join(["a=convert_preview"] * 101) + "&convert_preview=100.2", None),
    ],
)
def test_what_an_address_asks_for(query: str, link: PreviewLink | None) -> None:
    assert preview_link(query) == link


@pytest.mark.parametrize("name", [*WSGI, *ASGI])
class TestKnown:
    @pytest.mark.parametrize("parameter", ["convert_preview", "_conv_eforce"])
    def test_the_variation_is_shown_and_nothing_is_left(self, name: str, parameter: str) -> None:
        store = shop()
        with visits(name, store.client, preview="known", attributes=lambda native: {"country": "DE"}) as ask:
            response = ask(f"/decide?{parameter}=100.2", jar := browser())
            assert (response.text, response.headers["cache-control"]) == ("2", "private, no-store")
            assert COOKIE not in jar
            assert ask(f"/buy?{parameter}=100.2", browser(LOW)).text == "preview"
            assert (store.sent(), store.client.status().visitors) == ([], 0)
            assert ask("/decide", browser(LOW)).text == "1"
        assert store.sent() == [exposure("100", "1")]

    @pytest.mark.parametrize("asked", ["100.9", "9.2", "100", "abc.2"])
    def test_what_is_not_known_is_a_page_like_any_other(self, name: str, asked: str) -> None:
        store = shop()
        with visits(name, store.client, preview="known") as ask:
            response = ask(f"/decide?convert_preview={asked}", browser(LOW))
            assert (response.text, response.headers["cache-control"]) == ("1", "private")
        assert store.sent() == [exposure("100", "1")]

    def test_they_are_off_unless_somebody_turns_them_on(self, name: str) -> None:
        with visits(name, shop().client) as ask:
            assert ask("/decide?convert_preview=100.2", browser(LOW)).text == "1"


LIVE = document(described())
DRAFT = document(described(), described("200", "checkout", variations=[variation("21"), variation("22")]))


@contextmanager
def serving_drafts() -> Iterator[tuple[Collector, list[str]]]:
    """A Convert with an experience that is not live; and the ids that were asked for."""
    asked: list[str] = []

    def answer(received: Received) -> Answer:
        wanted = parse_qs(urlsplit(received.path).query).get("exp")
        asked.extend(wanted or ())
        found = DRAFT if wanted == ["200"] else LIVE
        return Answer(200, {"Content-Type": "application/json"}, json.dumps(found).encode())

    with Collector(answer) as convert:
        yield convert, asked


@contextmanager
def drafting(kind: str, convert: Collector) -> Iterator[Visits]:
    options: Any = {
        "config_endpoint": convert.url,
        "track_endpoint": convert.url,
        "debug_token": "token",
        "start_wait": 60,
    }
    if kind == "flask":
        with Client("1/2", **options) as client, visits("flask", client, preview="drafts") as ask:
            yield ask
        return
    with visits("fastapi", AsyncClient("1/2", **options), preview="drafts") as ask:
        yield ask


@pytest.mark.parametrize("kind", ["flask", "fastapi"])
class TestDrafts:
    def test_the_answer_serves_a_later_request(self, kind: str) -> None:
        with serving_drafts() as (convert, asked), drafting(kind, convert) as ask:
            first = ask("/decide?convert_preview=200.22", jar := browser())
            assert (first.headers["cache-control"], COOKIE in jar) == ("private, no-store", False)
            response: httpx.Response = first
            while response.text != "22":
                Event().wait(0.01)
                response = ask("/decide?convert_preview=200.22", jar)
            assert response.headers["cache-control"] == "private, no-store"
            assert (asked, COOKIE in jar) == (["200"], False)
        assert convert.events == []

    def test_strangers_cause_one_fetch_a_second_at_most(self, kind: str) -> None:
        with serving_drafts() as (convert, asked), drafting(kind, convert) as ask:
            began = monotonic()
            for number in range(1_000, 1_200):
                assert ask(f"/nothing?convert_preview={number}.1").status_code == 200
                assert ask(f"/decide?convert_preview={number}.1").status_code == 200
            assert len(asked) <= 1 + (monotonic() - began)


def test_ten_thousand_ids_are_sixty_fetches_a_minute() -> None:
    now = [0.0]
    queue = PreviewQueue(lambda: now[0])
    fetched: list[str] = []
    for number in range(10_000):
        queue.add(str(number))
        found = queue.take()
        fetched += [found] if found is not None else []
        now[0] += 0.006
    assert 59 <= len(fetched) <= 61
    assert len(set(fetched)) == len(fetched)


def test_what_was_fetched_is_not_fetched_again_for_a_minute() -> None:
    now = [0.0]
    queue = PreviewQueue(lambda: now[0])
    assert (queue.add("1"), queue.add("1"), queue.take(), queue.add("1")) == (True, False, "1", False)
    now[0] = 59.9
    assert not queue.add("1")
    now[0] = 60.1
    assert (queue.add("1"), queue.due(), queue.take(), queue.due()) == (True, 1.0, "1", float("inf"))


def test_a_hundred_wait_at_most() -> None:
    queue = PreviewQueue(lambda: 0.0)
    assert sum(queue.add(str(number)) for number in range(150)) == 100
