"""The facts of a request, privacy signals, bots and prefetches, in frameworks of both kinds."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

pytest.importorskip("flask", reason="needs Flask: pip install convert-sdk[flask]")
pytest.importorskip("fastapi", reason="needs FastAPI: pip install convert-sdk[fastapi]")

from convert_sdk import AsyncClient, Client, Consent, MemoryStore, OptionError
from convert_sdk import testing as kit
from convert_sdk.integrations._web.options import web_options
from tests.documents import LOW, Json, Sink, entity, every, experience, leaf, project
from tests.web.sites import visits

COOKIE = "convert_visitor_id"
FRAMEWORKS = ["wsgi", "flask", "django", "asgi", "fastapi", "django awaited"]
SETTINGS: Json = {"global_privacy_control": "EU ONLY", "do_not_track": "EEA ONLY"}


@pytest.fixture(params=FRAMEWORKS)
def framework(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def client_of(
    sink: Sink, store: MemoryStore | None = None, *leaves: Json, settings: Json | None = None
) -> Client:
    """A shop whose experience is for an audience of these rules."""
    made = project(
        experience(audiences=["51"] if leaves else []),
        audiences=[entity("51", "some", every(*leaves))] if leaves else [],
        goals=[entity("91", "buy")],
        project={"id": "2", "settings": settings or {}},
    )
    return Client.offline(made, sink, store=store)


def device() -> httpx.Cookies:
    cookies = httpx.Cookies()
    cookies.set(COOKIE, LOW)
    return cookies


def keyless(rule_type: str, value: object) -> Json:
    return {"rule_type": rule_type, "value": value, "matching": {"match_type": "equals", "negated": False}}


class TestFacts:
    def test_rules_ask_the_request(self, framework: str, sink: Sink) -> None:
        wanted = [
            leaf("path", "/decide"),
            keyless("language", "de"),
            keyless("country", "DE"),
            leaf("query.ref", "ad"),
        ]
        with visits(framework, client_of(sink, None, *wanted), geo="cloudflare") as ask:
            german = {"Accept-Language": "de-AT", "CF-IPCountry": "DE"}
            assert ask("/decide?ref=ad", device(), headers=german).text == "1"
            assert ask("/decide", device(), headers=german).text == "audience"
            assert ask("/decide?ref=ad", device()).text == "audience"

    def test_attributes_of_the_application_are_over_it(self, framework: str, sink: Sink) -> None:
        client = client_of(sink, None, keyless("language", "fr"), leaf("plan"))
        with visits(framework, client, attributes=lambda request: {"language": "fr", "plan": "pro"}) as ask:
            assert ask("/decide", device(), headers={"Accept-Language": "de"}).text == "1"

    def test_the_project_s_time_is_that_of_the_client_of_a_test(self, framework: str) -> None:
        arms = [kit.variation("arm-1", id="1"), kit.variation("arm-2", id="2")]
        nights = kit.experience("checkout", arms, audience=kit.attr("project_time_hour_of_day") == 3)
        convert = kit.RecordingClient(kit.project(nights))
        with visits(framework, convert) as ask:
            assert ask("/decide", device()).text == "audience"
            convert.clock.advance(3 * 3_600)
            assert ask("/decide", device()).text in {"1", "2"}

    def test_what_is_reported_is_said(self, framework: str, sink: Sink) -> None:
        client = client_of(sink)
        with visits(framework, client, geo="cloudflare", report=("country", "source")) as ask:
            ask("/decide", headers={"CF-IPCountry": "DE"})
        client.flush()
        assert [entry["segments"] for entry in sink.visitors] == [{"country": "DE", "source": "direct"}]

    def test_without_a_name_nothing_is_trusted_or_reported(self, framework: str, sink: Sink) -> None:
        client = client_of(sink)
        with visits(framework, client) as ask:
            ask("/decide", device(), headers={"CF-IPCountry": "DE"})
        client.flush()
        assert ["segments" in entry for entry in sink.visitors] == [False]

    def test_an_awaited_client_asks_too(self, sink: Sink) -> None:
        made = client_of(sink, None, leaf("path", "/decide")).project
        assert made is not None
        with visits("fastapi", AsyncClient.offline(made, sink)) as ask:
            assert ask("/decide", device()).text == "1"


class TestPrivacy:
    @pytest.mark.parametrize(
        ("headers", "private"),
        [
            ({"Sec-GPC": "1", "CF-IPCountry": "DE"}, True),
            ({"Sec-GPC": "1", "CF-IPCountry": "NO"}, False),
            ({"DNT": "1", "CF-IPCountry": "NO"}, True),
            ({"DNT": "1", "CF-IPCountry": "GB"}, False),
            ({"Sec-GPC": "1"}, True),
            ({"CF-IPCountry": "DE"}, False),
        ],
    )
    def test_a_signal_leaves_nothing(
        self, framework: str, sink: Sink, store: MemoryStore, headers: dict[str, str], private: bool
    ) -> None:
        client = client_of(sink, store, settings=SETTINGS)
        with visits(framework, client, geo="cloudflare") as ask:
            browser = httpx.Cookies()
            shown = ask("/decide", browser, headers=headers).text
            bought = ask("/buy", browser, headers=headers).text
        client.flush()
        assert (shown == "privacy") is (bought == "privacy") is private
        assert (COOKIE not in browser) is (not sink.visitors) is private
        client.close()
        assert (not store._states) is private

    def test_consent_may_win_over_do_not_track(self, sink: Sink) -> None:
        client = client_of(sink, settings=SETTINGS)
        options: dict[str, Any] = {"consent": lambda request: Consent.GRANTED, "cookie_consent_wins": True}
        with visits("flask", client, **options) as ask:
            assert ask("/decide", device(), headers={"DNT": "1"}).text == "1"
            assert ask("/decide", device(), headers={"Sec-GPC": "1"}).text == "privacy"

    def test_the_attributes_may_say_the_country(self, sink: Sink) -> None:
        with visits(
            "flask", client_of(sink, settings=SETTINGS), attributes=lambda request: {"country": "US"}
        ) as ask:
            assert ask("/decide", device(), headers={"Sec-GPC": "1"}).text == "1"

    def test_before_the_first_document_every_signal_is_heeded(self) -> None:
        client = Client(
            "1/2", config_endpoint="http://127.0.0.1:9", track_endpoint="http://127.0.0.1:9", start_wait=0
        )
        with visits("flask", client) as ask:
            assert ask("/buy", device(), headers={"Sec-GPC": "1"}).text == "privacy"
            assert ask("/buy", device()).text == "pending"
        client.close(timeout=0)


class TestBotsAndPrefetches:
    def test_a_declared_bot_gets_no_variation_and_is_counted(self, framework: str, sink: Sink) -> None:
        client = client_of(sink)
        with visits(framework, client) as ask:
            browser = httpx.Cookies()
            assert ask("/decide", browser, headers={"User-Agent": "curl/8.5.0"}).text == "bot"
            assert ask("/buy", browser, headers={"User-Agent": "curl/8.5.0"}).text == "bot"
            assert ask("/nothing", browser, headers={"User-Agent": "curl/8.5.0"}).text == "nothing"
        client.flush()
        assert (client.status().bots, sink.visitors, COOKIE in browser) == (2, [], False)

    def test_another_test_may_take_its_place(self, sink: Sink, caplog: pytest.LogCaptureFixture) -> None:
        def is_bot(request: Any) -> bool:
            return bool({"yes": True, "no": False}[request.headers["X-Bot"]])

        with visits("flask", client_of(sink), is_bot=is_bot) as ask:
            told = [
                ask("/decide", device(), headers={"X-Bot": word, "User-Agent": "curl/8"}).text
                for word in ("yes", "no", "?")
            ]
        assert told == ["bot", "1", "1"]
        assert ["is_bot= raised" in record.getMessage() for record in caplog.records] == [True]

    @pytest.mark.parametrize(
        "asked",
        [
            {"headers": {"Sec-Purpose": "prefetch;prerender"}},
            {"headers": {"Purpose": "prefetch"}},
            {"method": "HEAD"},
            {"method": "OPTIONS"},
        ],
        ids=str,
    )
    def test_what_nobody_looks_at_is_decided_and_the_real_view_exposes(
        self, framework: str, sink: Sink, asked: dict[str, Any]
    ) -> None:
        client = client_of(sink)
        with visits(framework, client) as ask:
            browser = device()
            before = ask("/decide", browser, **asked)
            client.flush()
            assert sink.visitors == []
            assert ask("/decide", browser).text == "1"
        assert before.text in ("1", "")  # a HEAD has no body
        client.flush()
        assert len(sink.events) == 1

    def test_a_prefetch_for_somebody_new_sets_no_cookie(self, framework: str, sink: Sink) -> None:
        with visits(framework, client_of(sink)) as ask:
            browser = httpx.Cookies()
            assert ask("/decide", browser, headers={"Sec-Purpose": "prefetch"}).text in ("1", "2")
            assert COOKIE not in browser


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"geo": "akamai"}, "geo must be one of"),
        ({"report": ("plan",)}, "report must be of"),
        ({"fact_names": {"nothing": "x"}}, "there is no fact"),
        ({"is_bot": "curl"}, "is_bot must be a plain function"),
        ({"cookie_consent_wins": "yes"}, "cookie_consent_wins must be True or False"),
    ],
)
def test_what_cannot_be_used_is_refused(sink: Sink, wrong: Any, named: str) -> None:
    with pytest.raises(OptionError, match=named):
        web_options(client_of(sink), wrong, awaits=False)
