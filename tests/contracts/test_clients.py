"""One contract for both clients, and nothing in one that the other lacks."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import sys
from base64 import b64encode
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from math import inf, nan
from pathlib import Path
from threading import Event
from typing import Any, Protocol

import certifi
import pytest

from convert_sdk import (
    AsyncClient,
    Client,
    ConversionReason,
    FetchError,
    FlushReport,
    OptionError,
    Project,
    Status,
    Visitor,
)
from convert_sdk.observation import DocumentChanged, Observation
from tests.documents import change, document, experience, feature, variation
from tests.reliability.collector import Answer, Collector, Received
from tests.reliability.site import KEY, dead, serving, site


class Driven(Protocol):
    """A client whose verbs are called and not awaited."""

    project: Project | None

    def visitor(self, id: str, attributes: Mapping[str, object] | None = None) -> Visitor: ...
    def flush(self, timeout: float = 120.0) -> FlushReport: ...
    def close(self, timeout: float | None = None) -> FlushReport: ...
    def status(self) -> Status: ...
    def load_preview(self, experience_id: str, *, timeout: float | None = None) -> bool: ...
    def start(self) -> None: ...
    def wait_until_ready(self, timeout: float) -> bool: ...
    def __enter__(self) -> object: ...

    @property
    def ready(self) -> bool: ...


class Awaited:
    """An AsyncClient in a loop of its own."""

    def __init__(self, client: AsyncClient, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._client = client
        self._run = run

    @property
    def project(self) -> Project | None:
        return self._client.project

    def visitor(self, id: str, attributes: Mapping[str, object] | None = None) -> Visitor:
        return self._run(self._client.visitor(id, attributes))  # type: ignore[no-any-return]

    def flush(self, timeout: float = 120.0) -> FlushReport:
        return self._run(self._client.flush(timeout))  # type: ignore[no-any-return]

    def close(self, timeout: float | None = None) -> FlushReport:
        return self._run(self._client.close(timeout))  # type: ignore[no-any-return]

    def status(self) -> Status:
        return self._client.status()

    def load_preview(self, experience_id: str, *, timeout: float | None = None) -> bool:
        return self._run(self._client.load_preview(experience_id, timeout=timeout))  # type: ignore[no-any-return]

    def start(self) -> None:
        self._run(self._client.start())

    def wait_until_ready(self, timeout: float) -> bool:
        return self._run(self._client.wait_until_ready(timeout))  # type: ignore[no-any-return]

    def __enter__(self) -> object:
        return self._run(self._client.__aenter__())

    @property
    def ready(self) -> bool:
        return self._client.ready


Make = Callable[..., Any]


@pytest.fixture(params=["thread", "task"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Makes clients of one kind; they are closed at the end."""
    made: list[Driven] = []
    with asyncio.Runner() as runner:

        def one(convert: Collector, **options: Any) -> Driven:
            at = {"config_endpoint": convert.url, "track_endpoint": convert.url}
            options = {**at, "start_wait": 120, "shutdown_timeout": 120, **options}
            client: Driven
            if request.param == "thread":
                client = Client(KEY, **options)  # type: ignore[assignment]
            else:
                client = Awaited(AsyncClient(KEY, **options), runner.run)  # type: ignore[assignment]
            made.append(client)
            return client

        yield one
        for client in made:
            client.close(0)


@contextmanager
def changing(answers: list[Answer]) -> Iterator[Collector]:
    """A tracking endpoint that gives these answers in turn, and then 200."""
    with site(lambda _: answers.pop(0) if answers else Answer()) as convert:
        yield convert


class TestEveryClient:
    def test_it_does_nothing_before_the_first_visitor(self, make: Make) -> None:
        with site() as convert:
            client = make(convert)
            assert client.project is None
            assert not client.status().worker_alive
            assert not convert.requests

    def test_the_first_visitor_waits_for_the_document(self, make: Make) -> None:
        with site() as convert:
            client = make(convert)
            assert client.visitor("v").decide("button-10").variation is not None
            assert client.project.id == "2002"
            assert client.status().worker_alive

    def test_starting_does_not_wait(self, make: Make) -> None:
        may_answer = Event()
        with site() as convert:
            good = convert.answer

            def answer(received: Received) -> Answer:
                assert may_answer.wait(120)
                return good(received)

            convert.answer = answer
            client = make(convert)
            assert (client.status().started, client.status().healthy) == (False, True)
            client.start()
            client.start()
            status = client.status()
            assert (client.ready, status.started, status.healthy) == (False, True, False)
            assert not client.wait_until_ready(0.01)
            may_answer.set()
            assert client.wait_until_ready(120)
            assert client.ready
            assert client.status().healthy
            assert len(convert.requests) == 1
            assert client.visitor("v").decide("button-10").variation is not None

    @pytest.mark.parametrize("wrong", ["5", None, True, nan])
    def test_a_time_is_a_number(self, wrong: Any, make: Make) -> None:
        with site() as convert:
            client = make(convert)
            verbs = [
                client.wait_until_ready,
                client.flush,
                lambda timeout: client.load_preview("1", timeout=timeout),
            ]
            for verb in verbs if wrong is not None else verbs[:2]:
                with pytest.raises((TypeError, ValueError), match="timeout must be a number of seconds, not"):
                    verb(wrong)
            assert convert.requests == []

    @pytest.mark.parametrize("timeout", [inf, 10**400, 1e300])
    def test_a_time_may_be_longer_than_anybody_waits(self, timeout: float, make: Make) -> None:
        with site() as convert:
            client = make(convert, flush_interval=3600)
            assert client.wait_until_ready(timeout)
            assert client.visitor("v").decide("button-10").variation is not None
            assert client.flush(timeout).sent == 1
            assert client.load_preview("no-such-experience", timeout=timeout) is False
            assert client.close(timeout).pending == 0

    def test_a_time_that_is_over_waits_for_nothing(self, make: Make) -> None:
        with site() as convert:
            client = make(convert)
            assert client.flush(-inf).pending == 0
            with pytest.raises(FetchError):
                client.load_preview("1", timeout=0)

    @pytest.mark.parametrize("wrong", [None, True, 1.5, ["1"]])
    def test_an_experience_is_loaded_by_its_id(self, wrong: Any, make: Make) -> None:
        with site() as convert, pytest.raises(TypeError, match="experience_id must be a str or an int, not"):
            make(convert).load_preview(wrong)

    def test_a_block_waits_for_the_document(self, make: Make) -> None:
        with site() as convert:
            client = make(convert)
            client.__enter__()
            assert client.ready

    def test_a_block_waits_no_longer_than_a_visitor_would(self, make: Make) -> None:
        with site(dead) as convert:
            convert.answer = dead
            client = make(convert, start_wait=0.01)
            client.__enter__()
            assert not client.ready
            assert not client.wait_until_ready(0.01)
            assert not client.status().healthy

    def test_a_closed_client_is_not_waited_for(self, make: Make) -> None:
        with site() as convert:
            convert.answer = dead
            client = make(convert)
            client.close(0)
            assert not client.wait_until_ready(120)

    def test_an_endpoint_that_refuses_the_key_is_not_healthy(self, make: Make) -> None:
        with site(lambda _: Answer(401)) as convert:
            client = make(convert, flush_interval=3600)
            client.visitor("v").track("goal-1")
            assert client.status().healthy
            client.flush(120)  # ends with the answer: the next request is due later than that
            status = client.status()
            assert (status.endpoint, status.healthy) == ("denied", False)
            assert status.failing_for > 0

    def test_another_document_is_told_and_logged_in_one_line(
        self, make: Make, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "convert_sdk")
        heard: list[Observation] = []
        told = Event()

        def hear(observation: Observation) -> None:
            heard.append(observation)
            if isinstance(observation, DocumentChanged):
                told.set()

        names = {"account_id": "1001", "project": {"id": "2002"}}
        before = {**document(experience(), experience("200", "old"), experience("300", "same")), **names}
        after = {
            **document(experience(status="paused"), experience("300", "same"), experience("400", "new")),
            **names,
        }
        with site(body=json.dumps(before).encode()) as convert:
            client = make(convert, refresh_interval=0.01, hooks=[hear])
            client.visitor("v")
            first = client.status().revision
            convert.answer = serving(body=json.dumps(after).encode())
            while not told.wait(0.01):
                client.flush(0.05)  # a task runs while its loop does
            client.close()
            [change] = [each for each in heard if isinstance(each, DocumentChanged)]
            last = client.status().revision
            assert change == DocumentChanged(str(first), str(last), ("new",), ("old",), ("checkout",))
        line = f"the document changed from {first} to {last}: experiences 1 added, 1 removed, 1 changed"
        assert [record.getMessage() for record in caplog.records if "changed" in record.getMessage()] == [
            line
        ]

    def test_a_default_of_another_type_is_logged_once_and_counted(
        self, make: Make, caplog: pytest.LogCaptureFixture
    ) -> None:
        price = change("5", price="5", discount="0.5", rate="nan")
        pricing = feature("5", "pricing", price="float", discount="float", rate="float")
        shop = document(experience(variations=[variation("1", 100, changes=[price])]), features=[pricing])
        with site(
            body=json.dumps({**shop, "account_id": "1001", "project": {"id": "2002"}}).encode()
        ) as convert:
            client = make(convert)
            for found in (
                client.visitor("v").feature("pricing"),
                client.visitor("w").decide("checkout").features[0],
            ):
                assert (found.get("price", 0), type(found.get("price", 0))) == (5, int)
                assert (found.get("discount", 0), found.get("discount", "none")) == (0, "none")
                assert (found.get("nothing", 0), found.get("rate", 0.25)) == (0, 0.25)
            client.flush(120)
            client.close()
            assert client.status().incidents == {"mismatched": 6}
        assert sorted(record.getMessage() for record in caplog.records if record.name == "convert_sdk") == [
            f"the variable 'discount' of the feature 'pricing' is of type float and was read with a default of type "
            f"{wanted}: the default is used"
            for wanted in ("int", "str")
        ] + [
            (
                "the variable 'rate' of the feature 'pricing' has a value that cannot be brought to its declared type: "
                "the default is used"
            )
        ]

    @pytest.mark.parametrize("ready", [True, False])
    def test_a_closed_client_says_so(self, ready: bool, make: Make) -> None:
        with site() as convert:
            convert.answer = convert.answer if ready else dead
            client = make(convert, start_wait=120 if ready else 0)
            visitor = client.visitor("v")
            client.close()
            assert visitor.track("goal-1").reason is ConversionReason.CLOSED
            assert client.status().dropped == {"closed": 1}
            assert client.status().events.dropped == 1

    def test_what_happens_is_delivered_once(self, make: Make) -> None:
        with site() as convert:
            client = make(convert)
            for n in range(30):
                visitor = client.visitor(f"v{n}", {"country": "DE"})
                visitor.decide("button-10")
                visitor.track("goal-1", revenue=5)
            report = client.flush(120)
            assert (report.pending, report.dropped) == (0, 0)
            assert client.status().events == (90, 90, 0, 0, 0, 0, 0, 0)
            assert len(convert.events) == 90
            assert convert.duplicates() == 0

    def test_a_failing_endpoint_gets_everything_later(self, make: Make) -> None:
        with changing([Answer(503), Answer(429, {"Retry-After": "0"}), Answer(502)]) as convert:
            client = make(convert, flush_interval=3600)
            client.visitor("v").track("goal-1")
            assert client.flush(120).pending == 0
            assert client.status().retries == 3
            assert len(convert.events) == 1

    def test_a_flush_waits_for_what_was_offered_before_it(self, make: Make) -> None:
        """Each request brings about another event, as busy threads do; that one is for the next time."""
        with site() as convert:
            client = make(convert, flush_interval=3600)
            more = iter([client.visitor(f"v{n}") for n in range(40)])

            def track(_: Received) -> Answer:
                next(more).track("goal-1")
                return Answer()

            convert.answer = serving(track)
            next(more).track("goal-1")
            report = client.flush(120)
            assert 1 <= report.sent < 20
            assert report.pending == 1
            convert.answer = serving()
            assert client.flush(120).pending == 0

    def test_what_cannot_be_delivered_is_dropped_and_counted_at_the_end(self, make: Make) -> None:
        with site(lambda _: Answer(503, {"Retry-After": "300"})) as convert:
            client = make(convert, flush_interval=3600)
            client.visitor("v").track("goal-1")
            report = client.close(120)  # ends with the answer: no retry is in flight
            assert report == FlushReport(sent=0, pending=0, dropped=1)
            assert client.status().dropped == {"closed": 1}

    def test_what_cannot_be_delivered_is_left_to_the_next(self, make: Make, tmp_path: Path) -> None:
        with site(dead) as convert:
            client = make(convert, spool=str(tmp_path), flush_interval=3600)
            client.visitor("v").track("goal-1")
            assert client.close(0.1) == FlushReport(sent=0, pending=1, dropped=0)
            convert.answer = serving()
            other = make(convert, spool=str(tmp_path))
            other.visitor("w")
            assert other.flush(120).pending == 0
            assert other.status().events == (1, 1, 0, 0, 0, 0, 0, 0)

    def test_closing_again_is_fine_and_closed_is_closed(self, make: Make) -> None:
        with site() as convert:
            client = make(convert)
            visitor = client.visitor("v")
            client.close()
            assert client.close() == FlushReport()
            assert not client.status().worker_alive
            assert not visitor.track("goal-1")
            assert client.visitor("v").decide("button-10").variation is not None
            assert client.flush(120) == FlushReport()
            counts = client.status().events
            assert counts.offered == sum(counts[1:]) == counts.dropped == 2

    def test_without_a_document_it_decides_nothing_and_keeps_conversions(self, make: Make) -> None:
        with site() as convert:
            ready, convert.answer = convert.answer, dead
            client = make(convert, start_wait=0.05)
            visitor = client.visitor("v")
            assert visitor.decide("button-10").reason.value == "not_ready"
            assert visitor.track("goal-1")
            assert client.status().pending_conversions == 1
            convert.answer = ready
            assert client.flush(120).pending == 0
            assert client.status().pending_conversions == 0
            assert len(convert.events) == 1

    def test_a_store_of_odd_answers_costs_no_event(self, make: Make) -> None:
        class Odd:
            shared = False

            def load(self, key: str) -> Any:
                return 5

            def save(self, changes: object) -> Any:
                return "saved"

        with site() as convert:
            client = make(convert, store=Odd())
            visitor = client.visitor("v")
            assert visitor.decide("button-10").variation is not None
            assert visitor.track("goal-1")
            client.close()
            assert len(convert.events) == 2
            assert client.status().incidents["load"] == 1

    @pytest.mark.parametrize("spooled", [False, True])
    def test_conversions_without_a_document_are_pending(
        self, spooled: bool, make: Make, tmp_path: Path
    ) -> None:
        with site() as convert:
            ready, convert.answer = convert.answer, dead
            client = make(convert, start_wait=0.05, spool=str(tmp_path) if spooled else None)
            visitor = client.visitor("v")
            for goal in ("goal-1", "goal-2"):
                assert visitor.track(goal)
            assert client.flush(0.1) == FlushReport(sent=0, pending=2, dropped=0)
            assert client.close(0.1) == FlushReport(0, 2 if spooled else 0, 0 if spooled else 2)
            convert.answer = ready
            heir = make(convert, spool=str(tmp_path) if spooled else None, flush_interval=3600)
            heir.visitor("v")
            assert heir.flush(120) == FlushReport(sent=2 if spooled else 0, pending=0, dropped=0)

    def test_a_flush_sends_at_once_what_the_document_releases(self, make: Make) -> None:
        with site() as convert:
            ready, convert.answer = convert.answer, dead
            client = make(convert, start_wait=0.05, flush_interval=3600)
            client.visitor("v").track("goal-1")
            convert.answer = ready
            assert client.flush(120) == FlushReport(sent=1, pending=0, dropped=0)

    def test_a_cold_start_decides_from_disk_while_the_network_is_down(
        self, make: Make, tmp_path: Path
    ) -> None:
        with site() as convert:
            first = make(convert, cache_dir=str(tmp_path))
            first.visitor("v")
            first.close()
            convert.answer = dead
            second = make(convert, cache_dir=str(tmp_path), start_wait=120)
            assert second.visitor("v").decide("button-10").variation is not None
            assert second.status().stale
            assert second.status().revision == first.status().revision
            elsewhere = make(convert, cache_dir=str(tmp_path), start_wait=0.05, environment="staging")
            assert elsewhere.visitor("v").decide("button-10").variation is None

    def test_debug_documents_are_not_left_on_disk(self, make: Make, tmp_path: Path) -> None:
        with site() as convert:
            client = make(convert, cache_dir=str(tmp_path), debug_token="drafts-too")
            client.visitor("v")
            assert client.load_preview("10")
            client.close()
            assert not list(tmp_path.iterdir())

    @pytest.mark.skipif(sys.platform != "linux", reason="other systems have one loopback address only")
    def test_the_environment_can_be_left_alone(
        self, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """At an address of this machine for which the environment's proxies are asked."""
        nowhere, keys = "http://127.0.0.1:9", tmp_path / "keys"
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "CONVERT_PROXY", "CONVERT_CONFIG_ENDPOINT"):
            monkeypatch.setenv(name, nowhere)
            monkeypatch.setenv(name.lower(), nowhere)
        for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "CONVERT_CA_BUNDLE", "CONVERT_SPOOL"):
            monkeypatch.setenv(name, str(tmp_path / "missing"))
        monkeypatch.setenv("CONVERT_TRACKING", "0")
        monkeypatch.setenv("SSLKEYLOGFILE", str(keys))
        with site(host="127.0.0.2") as convert:
            client = make(convert, trust_env=False, allow_http=True, ca_bundle=certifi.where())
            assert client.visitor("v").decide("button-10").variation is not None
            assert client.flush(120).pending == 0
            assert len(convert.events) == 1
            assert not list(tmp_path.iterdir())
            # As a check of this test: the environment does say all this.
            secure = convert.url.replace("http:", "https:")
            other = make(
                convert,
                config_endpoint=secure,
                allow_http=True,
                ca_bundle=certifi.where(),
                proxy=nowhere,
            )
            assert other.visitor("v").decide("button-10").variation is None
            assert other.close(0).pending == 0

    def test_a_password_in_an_endpoint_is_sent_and_shown_nowhere(
        self, make: Make, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        caplog.set_level(logging.DEBUG)
        with site() as convert:
            url = convert.url.replace("//", "//me:hunter2@")
            client = make(convert, config_endpoint=url, track_endpoint=url, flush_interval=3600)
            assert client.visitor("v").decide("button-10").variation is not None
            assert client.flush(120).sent == 1
            convert.answer = dead
            client.visitor("v").track("goal-1")
            client.flush(0.1)
            said = [f"{client!r} {client.status()!r} {client.status()}", caplog.text]
        sent = [received.headers["authorization"] for received in convert.requests]
        assert set(sent) == {f"Basic {b64encode(b'me:hunter2').decode()}"}
        assert "HTTP Request" not in caplog.text
        assert "hunter2" not in "".join(said)


def surface(client: type) -> dict[str, list[str]]:
    """The public names of a class, with the parameters of those that have some."""
    return {
        name: list(inspect.signature(value).parameters) if callable(value) else []
        for name, value in inspect.getmembers(client)
        if not name.startswith("_") or name == "__init__"
    }


def test_the_two_have_the_same_surface() -> None:
    sync, awaited = surface(Client), surface(AsyncClient)
    assert sync == awaited


def test_what_may_move_bytes_is_awaited_and_nothing_else() -> None:
    moves = {name for name, value in inspect.getmembers(AsyncClient) if inspect.iscoroutinefunction(value)}
    assert moves - {"__aenter__", "__aexit__"} == {
        "visitor",
        "start",
        "wait_until_ready",
        "flush",
        "close",
        "load_preview",
        "project_settings",
        "doctor",
        "forget",
        "reload_overrides",
        "visitor_from",
    }


def test_what_is_for_the_other_client_is_refused_at_once() -> None:
    class Later:
        shared = False

        async def load(self, key: str) -> None: ...
        async def save(self, changes: object) -> None: ...

    with pytest.raises(OptionError, match="AsyncClient"):
        Client(KEY, store=Later())  # type: ignore[arg-type]
