from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("starlette", reason="needs the extra server")
from convert_sdk import ConversionReason, FetchError, FlushReport, OptionError, Reason
from convert_sdk.server import DEMO_SDK_KEY, LocalServer, Registry, ServedProject, demo_document, running
from tests.integration.clients import Making, Odd, Wire
from tests.servers.programs import free_port, refused_port
from tests.shapes import of
from tests.waiting import PATIENCE, eventually

CHECKOUT = {"path": "/checkout"}
GIFTS = "100346007"
"""The id of the demonstration's draft."""


@pytest.fixture(params=["sync", "async"])
def make(request: pytest.FixtureRequest) -> Iterator[Making]:
    making = Making(request.param)
    try:
        yield making
    finally:
        making.end()


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def shop(registry: Registry) -> ServedProject:
    return registry.add(demo_document(), sdk_key=DEMO_SDK_KEY)


@pytest.fixture
def server(registry: Registry, shop: ServedProject) -> Iterator[LocalServer]:
    with running(registry) as started:
        yield started


@pytest.fixture
def odd() -> Iterator[Odd]:
    with Odd().running() as server:
        yield server


@pytest.fixture
def wire() -> Wire:
    return Wire()


def at(server: LocalServer | Odd, **options: Any) -> dict[str, Any]:
    return {"config_endpoint": server.url, "track_endpoint": server.url, **options}


def changed(name: str) -> dict[str, object]:
    document = demo_document()
    return {**document, "project": {**of(dict, document["project"]), "name": name}}


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "convert_sdk"]


class TestTheWholeWay:
    def test_what_is_decided_arrives(self, make: Making, server: LocalServer, shop: ServedProject) -> None:
        client = make(DEMO_SDK_KEY, **at(server))
        assert str(client.status()).splitlines()[:2] == ["document  none yet", "events    0 offered"]
        visitor = client.visitor("v-1", {"country": "DE"}, location=CHECKOUT)
        shown = visitor.decide("checkout-layout")
        assert visitor.track("purchase", revenue=10, transaction_id="T-1")
        assert client.flush(120) == FlushReport(sent=3)
        summary = shop.record.summary()
        assert [(each.variation_id, each.exposures) for each in summary.variations] == [
            (shown.variation_id, 1)
        ]
        assert summary.received == 3
        words = str(client.status())
        assert words.startswith(f"document  {client.project.revision}, confirmed ")
        assert "events    3 offered: 3 sent" in words

    def test_how_it_asks(self, make: Making, server: LocalServer, wire: Wire) -> None:
        client = make(DEMO_SDK_KEY, wire=wire, **at(server))
        client.visitor("v-1", location=CHECKOUT).decide("checkout-layout")
        client.flush(120)
        get, post = wire.gets()[0], wire.posts()[0]
        assert get.url == f"{server.url}/config/{DEMO_SDK_KEY}"
        assert post.url == f"{server.url}/track/{DEMO_SDK_KEY}"
        for each in (get, post):
            assert each.headers["user-agent"] == "ConvertAgent/1.0"
            assert "authorization" not in each.headers

    def test_nothing_is_sent_before_the_first_visitor(
        self, make: Making, server: LocalServer, wire: Wire
    ) -> None:
        client = make(DEMO_SDK_KEY, wire=wire, **at(server))
        assert client.project is None
        assert not client.status().worker_alive
        assert client.close() == FlushReport()
        assert wire.exchanges == []

    def test_without_waiting_for_anyone(self, make: Making, server: LocalServer, shop: ServedProject) -> None:
        client = make(DEMO_SDK_KEY, **at(server), flush_interval=0.01)
        client.visitor("v-1", location=CHECKOUT).decide("checkout-layout")
        eventually(lambda: shop.record.summary().received == 1)

    def test_no_proxy_stands_before_the_same_machine(
        self, make: Making, server: LocalServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with refused_port() as port:
            monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
            client = make(DEMO_SDK_KEY, **at(server))
            assert client.visitor("v-1", location=CHECKOUT).decide("checkout-layout")
            assert client.flush(120).sent == 1

    def test_a_proxy_that_was_asked_for_does(self, make: Making, server: LocalServer) -> None:
        with refused_port() as port:
            client = make(DEMO_SDK_KEY, **at(server), proxy=f"http://127.0.0.1:{port}")
            assert client.visitor("v-1").decide("checkout-layout").reason is Reason.NOT_READY
            assert client.status().fetch_error.startswith("ConnectError")

    def test_tracking_off(self, make: Making, server: LocalServer, wire: Wire) -> None:
        client = make(DEMO_SDK_KEY, wire=wire, **at(server), tracking=False)
        visitor = client.visitor("v-1", location=CHECKOUT)
        assert visitor.decide("checkout-layout")
        assert visitor.track("purchase").reason is ConversionReason.TRACKING_OFF
        assert client.flush(120) == FlushReport()
        assert wire.posts() == []


class TestTheDocument:
    def test_an_unchanged_one_is_not_sent_again(self, make: Making, server: LocalServer, wire: Wire) -> None:
        client = make(DEMO_SDK_KEY, wire=wire, **at(server), refresh_interval=0.5)
        client.visitor("v-1")
        again = wire.heard(lambda each: each.status == 304)
        assert wire.gets()[0].status == 200
        assert "if-none-match" not in wire.gets()[0].headers
        assert again.headers["if-none-match"].startswith('"')
        eventually(lambda: not client.status().stale)
        assert client.status().fetch_error is None

    def test_a_refresh_serves_the_next_visitor(
        self, make: Making, server: LocalServer, registry: Registry
    ) -> None:
        client = make(DEMO_SDK_KEY, **at(server), refresh_interval=0.02)
        visitor = client.visitor("v-1")
        first = client.status().revision
        registry.add(changed("Renamed"))
        eventually(lambda: client.project.name == "Renamed")
        assert client.status().revision != first
        assert visitor.project.name == "Northpeak Outdoor"
        assert client.visitor("v-1").project.name == "Renamed"

    def test_an_outage_keeps_the_last_good_one(
        self, make: Making, server: LocalServer, registry: Registry, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "convert_sdk")
        client = make(DEMO_SDK_KEY, **at(server), refresh_interval=0.02)
        client.visitor("v-1")
        with server.failing(503):
            eventually(lambda: client.status().fetch_error)
            assert client.status().fetch_error == "the config endpoint answers 503"
            assert client.visitor("v-2", location=CHECKOUT).decide("checkout-layout")
            eventually(lambda: lines(caplog))  # before the next line, which another thread writes
            registry.add(changed("Renamed"))
        eventually(lambda: client.project.name == "Renamed")
        assert client.status().fetch_error is None
        eventually(lambda: len(lines(caplog)) == 3)
        first, *rest = lines(caplog)
        assert first == "no new document: the config endpoint answers 503"
        change, refreshed = sorted(rest)
        assert refreshed == "the document is refreshed again"
        assert change.startswith("the document changed from ")
        assert change.endswith(": experiences 0 added, 0 removed, 0 changed")

    def test_an_environment(self, make: Making, server: LocalServer, wire: Wire) -> None:
        client = make(DEMO_SDK_KEY, wire=wire, **at(server), environment="staging")
        assert client.visitor("v-1").decide("new-navigation")
        assert client.project.experience("checkout-layout") is None
        assert wire.gets()[0].url.params["environment"] == "staging"

    def test_the_default_environment_is_the_documents(
        self, make: Making, server: LocalServer, wire: Wire
    ) -> None:
        client = make(DEMO_SDK_KEY, wire=wire, **at(server))
        assert client.visitor("v-1").decide("new-navigation").reason is Reason.ENVIRONMENT
        assert wire.gets()[0].url.query == b""

    def test_low_cache(self, make: Making, server: LocalServer, wire: Wire) -> None:
        make(DEMO_SDK_KEY, wire=wire, **at(server), cache="low").visitor("v-1")
        assert wire.gets()[0].url.query == b"_conv_low_cache=1"

    @pytest.mark.parametrize("callable_token", [False, True])
    def test_a_debug_token(
        self, make: Making, server: LocalServer, shop: ServedProject, wire: Wire, callable_token: bool
    ) -> None:
        token = shop.issue_debug_token().token
        given = (lambda: token) if callable_token else token
        client = make(DEMO_SDK_KEY, wire=wire, **at(server), debug_token=given)
        assert client.visitor("v-1", location=CHECKOUT).decide("gift-wrapping")
        assert client.project.is_debug
        assert wire.gets()[0].headers["convert-debug-token"] == token
        assert wire.gets()[0].url.query == b"_conv_low_cache=1"

    def test_a_token_that_cannot_be_had(
        self, make: Making, server: LocalServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail() -> str:
            raise LookupError("s3cret")

        client = make(DEMO_SDK_KEY, **at(server), debug_token=fail)
        assert client.visitor("v-1").decide("home-story").reason is Reason.NOT_READY
        assert client.status().fetch_error == "debug_token raised LookupError"
        assert "s3cret" not in caplog.text


class TestSecrets:
    def test_both_endpoints_get_it(
        self, make: Making, server: LocalServer, registry: Registry, shop: ServedProject, wire: Wire
    ) -> None:
        registry.add(demo_document(), sdk_key="guarded", secret="s3cret")
        client = make("guarded", wire=wire, **at(server), sdk_secret="s3cret")
        client.visitor("v-1", location=CHECKOUT).decide("checkout-layout")
        assert client.flush(120).sent == 1
        assert shop.record.summary().received == 1
        assert {each.headers["authorization"] for each in wire.exchanges} == {"Bearer s3cret"}
        assert "s3cret" not in repr(client)

    def test_a_wrong_one(
        self, make: Making, server: LocalServer, registry: Registry, caplog: pytest.LogCaptureFixture
    ) -> None:
        registry.add(demo_document(), sdk_key="guarded", secret="s3cret")
        client = make("guarded", **at(server), sdk_secret="wr0ng")
        assert client.visitor("v-1").decide("home-story").reason is Reason.NOT_READY
        assert (
            client.status().fetch_error == "the config endpoint answers 401: check the SDK key and its secret"
        )
        eventually(lambda: lines(caplog))
        assert lines(caplog) == [
            "no new document: the config endpoint answers 401: check the SDK key and its secret"
        ]
        assert "wr0ng" not in caplog.text

    def test_never_where_there_is_no_key(self, make: Making, server: LocalServer, wire: Wire) -> None:
        client = make.for_project(10035569, "10034190", wire=wire, **at(server), sdk_secret="s3cret")
        client.visitor("v-1", location=CHECKOUT).decide("checkout-layout")
        client.project_settings()
        assert client.flush(120).sent == 1
        assert {each.url.path for each in wire.exchanges} == {
            "/config/10035569/10034190",
            "/project-settings/10035569/10034190",
            "/track/10035569/10034190",
        }
        assert all("authorization" not in each.headers for each in wire.exchanges)


class TestBeforeTheDocument:
    def test_conversions_are_kept_until_it_arrives(
        self, make: Making, registry: Registry, shop: ServedProject
    ) -> None:
        with running(registry, port=free_port()) as server:  # a port that nobody is given meanwhile
            server.stop()
            client = make(DEMO_SDK_KEY, **at(server), refresh_interval=0.05)
            visitor = client.visitor("v-1", {"country": "DE"}, location=CHECKOUT)
            assert visitor.decide("checkout-layout").reason is Reason.NOT_READY
            assert visitor.track("purchase", revenue=10).reason is ConversionReason.PENDING
            status = client.status()
            assert (status.revision, status.pending_conversions, status.stale) == (None, 1, True)
            assert status.fetch_error.startswith("ConnectError: ")
            server.start()
            eventually(lambda: client.project)
            assert client.flush(120).pending == 0
            assert shop.record.summary().received == 2
            assert client.status().pending_conversions == 0
            assert client.visitor("v-1", location=CHECKOUT).decide("checkout-layout")

    def test_flush_fetches_it_too(self, make: Making, server: LocalServer, shop: ServedProject) -> None:
        client = make(DEMO_SDK_KEY, **at(server), start_wait=0, flush_interval=1)
        visitor = client.visitor("v-1")
        visitor.track("purchase")
        client.flush(120)
        assert shop.record.summary().received == 1


GOOD = json.dumps(demo_document()).encode()

FLAWS = [
    pytest.param(GOOD[:1_000], "truncated document", id="truncated"),
    pytest.param(b"<html><body>Service unavailable</body></html>", "expected JSON", id="html"),
    pytest.param(b"[]", "found a list", id="list"),
    pytest.param(b'{"account_id": "1", "project": {"id": "2"}}', "of another project", id="another project"),
    pytest.param(b"", "expected JSON", id="empty"),
]


class TestFlawedDocuments:
    @pytest.mark.parametrize(("body", "said"), FLAWS)
    def test_a_later_one(
        self, make: Making, odd: Odd, body: bytes, said: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        odd.say(GOOD)
        client = make(DEMO_SDK_KEY, **at(odd), refresh_interval=0.02)
        client.visitor("v-1")
        odd.say(body)
        eventually(lambda: client.status().fetch_error)
        assert said in client.status().fetch_error
        assert client.project.name == "Northpeak Outdoor"
        assert client.visitor("v-2", location=CHECKOUT).decide("checkout-layout")
        before = odd.asked
        eventually(lambda: odd.asked > before + 2)
        eventually(lambda: lines(caplog))
        assert [said in line for line in lines(caplog)] == [True]

    @pytest.mark.parametrize(("body", "said"), [flaw for flaw in FLAWS if flaw.id != "another project"])
    def test_the_first_one(
        self, make: Making, odd: Odd, body: bytes, said: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        odd.say(body)
        client = make(DEMO_SDK_KEY, **at(odd), refresh_interval=0.02)
        assert client.visitor("v-1").decide("home-story").reason is Reason.NOT_READY
        assert said in client.status().fetch_error
        odd.say(GOOD)
        eventually(lambda: client.project)
        assert client.visitor("v-1", location={"path": "/"}).decide("home-story")

    def test_a_refusal(self, make: Making, odd: Odd, caplog: pytest.LogCaptureFixture) -> None:
        odd.say(GOOD)
        client = make(DEMO_SDK_KEY, **at(odd), refresh_interval=0.02)
        client.visitor("v-1")
        odd.say(b'{"code": 401, "message": "no such key"}', 401)
        eventually(lambda: client.status().fetch_error)
        assert (
            client.status().fetch_error == "the config endpoint answers 401: check the SDK key and its secret"
        )
        assert client.project.name == "Northpeak Outdoor"
        eventually(lambda: lines(caplog))
        assert lines(caplog) == [
            "no new document: the config endpoint answers 401: check the SDK key and its secret"
        ]


class TestSettings:
    def test_they_are_typed(self, make: Making, server: LocalServer) -> None:
        settings = make(DEMO_SDK_KEY, **at(server)).project_settings()
        assert (settings.account_id, settings.project_id) == ("10035569", "10034190")
        assert (settings.include_jquery, settings.include_jquery_v1) == (False, False)
        assert settings.disable_spa_functionality is False
        assert settings.version == "2025-03-04T09:30:00+00:00-118"
        assert settings.tracking_script.current_version == "1.3.14"
        assert settings.tracking_script.latest_version == "1.3.14"

    def test_a_key_that_does_not_say_whose(
        self, make: Making, server: LocalServer, registry: Registry
    ) -> None:
        registry.add(demo_document(), sdk_key="plain")
        assert make("plain", **at(server)).project_settings().project_id == "10034190"
        server.stop()
        with pytest.raises(FetchError, match="no document has arrived"):
            make("plain", **at(server)).project_settings()

    def test_refusals_and_flaws(self, make: Making, server: LocalServer, odd: Odd) -> None:
        client = make("1/2", **at(server))
        with pytest.raises(FetchError, match="answers 404: no such SDK key or project") as caught:
            client.project_settings()
        assert caught.value.status == 404
        server.stop()
        with pytest.raises(FetchError, match="no answer: ConnectError") as caught:
            client.project_settings(timeout=PATIENCE)
        assert caught.value.status is None
        for body in (b"<html>", b"[]"):
            odd.say(body)
            with pytest.raises(FetchError, match="settings cannot be read"):
                make("1/2", **at(odd)).project_settings()


class TestPreviews:
    def test_a_draft(self, make: Making, server: LocalServer, shop: ServedProject, wire: Wire) -> None:
        client = make(DEMO_SDK_KEY, wire=wire, **at(server))
        experiences = of(list, demo_document()["experiences"])
        variation = next(e for e in experiences if e["id"] == GIFTS)["variations"][1]["id"]
        visitor = client.visitor("v-1", location=CHECKOUT)
        assert visitor.preview(GIFTS, variation) is False
        assert client.load_preview(GIFTS) is True
        assert visitor.preview(GIFTS, variation) is True
        decision = visitor.decide("gift-wrapping")
        assert (decision.reason, decision.variation_key) == (Reason.PREVIEW, "offered")
        assert client.visitor("v-2").decide("gift-wrapping").reason is Reason.UNKNOWN
        asked = [each.url.query for each in wire.gets() if "exp" in each.url.params]
        assert asked == [f"exp={GIFTS}&_conv_low_cache=1".encode()]
        assert client.load_preview(int(GIFTS)) is True
        assert len([each for each in wire.gets() if "exp" in each.url.params]) == 1
        client.flush(120)
        assert shop.record.summary().received == 0

    def test_what_runs_needs_no_fetch(self, make: Making, server: LocalServer, wire: Wire) -> None:
        client = make(DEMO_SDK_KEY, wire=wire, **at(server))
        client.visitor("v-1")
        assert client.load_preview("100346001") is True
        assert len(wire.gets()) == 1

    def test_a_failure_is_not_remembered(self, make: Making, server: LocalServer) -> None:
        client = make(DEMO_SDK_KEY, **at(server))
        client.visitor("v-1")
        assert client.load_preview("404") is False
        with server.failing(503), pytest.raises(FetchError, match="answers 503: the server is told to fail"):
            client.load_preview(GIFTS)
        assert client.load_preview(GIFTS) is True

    def test_of_another_project(self, make: Making, odd: Odd) -> None:
        odd.say(GOOD)
        client = make(DEMO_SDK_KEY, **at(odd))
        client.visitor("v-1")
        odd.say(
            json.dumps({"account_id": "1", "project": {"id": "2"}, "experiences": [{"id": "9"}]}).encode()
        )
        with pytest.raises(FetchError, match="the document is of another project"):
            client.load_preview("9")
        odd.say(b"[]")
        with pytest.raises(FetchError, match="the preview cannot be read"):
            client.load_preview("9")


class TestSegments:
    def test_unknown_values_are_reported_and_said_once(
        self, make: Making, server: LocalServer, shop: ServedProject, caplog: pytest.LogCaptureFixture
    ) -> None:
        client = make(DEMO_SDK_KEY, **at(server))
        known = {
            "browser": "CH",
            "devices": ["DESK"],
            "source": "search",
            "country": "DE",
            "visitorType": "new",
        }
        odd = {"browser": "Lynx", "devices": ["DESK", "FRIDGE"], "source": "friends", "country": "Sweden"}
        client.visitor("v-0", {**known, "campaign": "anything"}, location={"path": "/"}).decide("home-story")
        client.flush(120)
        eventually(lambda: client.status().events.sent == 1)
        assert lines(caplog) == []
        for number in range(1, 4):
            client.visitor(f"v-{number}", odd, location={"path": "/"}).decide("home-story")
            client.flush(120)
        eventually(lambda: len(lines(caplog)) == 4)
        assert sorted(line.split()[2] for line in lines(caplog)) == [
            "browser",
            "country",
            "devices",
            "source",
        ]
        assert not any(value in caplog.text for value in ("Lynx", "FRIDGE", "friends", "Sweden"))
        assert shop.record.events()[-1].segments == odd


class TestTheEnd:
    def test_close_delivers_and_may_be_repeated(
        self, make: Making, server: LocalServer, shop: ServedProject
    ) -> None:
        client = make(DEMO_SDK_KEY, **at(server))
        client.visitor("v-1", location=CHECKOUT).decide("checkout-layout")
        assert client.close() == FlushReport(sent=1)
        assert client.close() == FlushReport()
        assert shop.record.summary().received == 1
        assert not client.status().worker_alive

    def test_a_block(self, make: Making, server: LocalServer, shop: ServedProject) -> None:
        with make(DEMO_SDK_KEY, **at(server)) as client:
            client.visitor("v-1", location=CHECKOUT).decide("checkout-layout")
        assert shop.record.summary().received == 1
        assert not client.status().worker_alive

    def test_what_a_dead_server_leaves_behind_is_counted(
        self, make: Making, server: LocalServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # No back-off ends within a flush, so that none is cut off in the middle of an attempt.
        monkeypatch.setattr("convert_sdk._delivery.runtime.random", lambda: 2 * PATIENCE)
        client = make(DEMO_SDK_KEY, **at(server))
        client.visitor("v-1", location=CHECKOUT).decide("checkout-layout")
        server.stop()
        report = client.flush(PATIENCE)
        assert report == FlushReport(pending=1)
        assert "tracking  last error" in str(client.status())
        assert client.close(PATIENCE).dropped == 1
        assert client.status().dropped == {"closed": 1}
        assert "dropped   closed 1" in str(client.status())

    def test_after_it_visitors_still_decide(self, make: Making, server: LocalServer) -> None:
        client = make(DEMO_SDK_KEY, **at(server))
        client.visitor("v-1")
        client.close()
        visitor = client.visitor("v-2", location=CHECKOUT)
        assert visitor.decide("checkout-layout")
        assert client.flush(120) == FlushReport()


class TestMisuse:
    def test_wrong_options_are_named(self, make: Making) -> None:
        with pytest.raises(OptionError, match="flush_intervall is no option; did you mean flush_interval"):
            make(DEMO_SDK_KEY, flush_intervall=1)
        with pytest.raises(OptionError, match="an SDK key is needed"):
            make()
