"""The file of overrides: one contract for both clients, on the network and off it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

from convert_sdk import AsyncClient, Client, FetchError, OptionError, Project, Reason, Status, Visitor
from convert_sdk._delivery import task, thread
from convert_sdk.testing import replaced
from tests.documents import LOW, Sink, experience, project, variation
from tests.reliability.collector import Collector
from tests.reliability.site import KEY, site
from tests.waiting import eventually

ARMS = [variation("1", key="arm-1"), variation("2", key="arm-2")]
SHOP = project(experience("100", "button-10", variations=ARMS))


class Driven(Protocol):
    """A client whose verbs are called and not awaited."""

    project: Project | None

    def start(self) -> None: ...
    def wait_until_ready(self, timeout: float) -> bool: ...
    def visitor(self, id: str) -> Visitor: ...
    def reload_overrides(self) -> tuple[str, ...]: ...
    def load_preview(self, experience_id: str) -> bool: ...
    def close(self, timeout: float | None = None) -> object: ...
    def status(self) -> Status: ...


class Awaited:
    """An AsyncClient in a loop of its own."""

    def __init__(self, client: AsyncClient, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self.client = client
        self._run = run

    @property
    def project(self) -> Project | None:
        return self.client.project

    def status(self) -> Status:
        return self.client.status()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        verb = getattr(self.client, name)
        return lambda *arguments, **named: self._run(verb(*arguments, **named))


Make = Callable[..., Driven]


@pytest.fixture
def convert() -> Iterator[Collector]:
    with site() as collector:
        yield collector


@contextmanager
def making(kind: str, convert: Collector, *, offline: bool) -> Iterator[Make]:
    made: list[Driven] = []
    with asyncio.Runner() as runner:

        def one(**options: Any) -> Driven:
            cls: Any = Client if kind == "thread" else AsyncClient
            if offline:
                client = cls.offline(SHOP, Sink(), **options)
            else:
                at = {"config_endpoint": convert.url, "track_endpoint": convert.url}
                client = cls(options.pop("sdk_key", KEY), **{**at, "start_wait": 120, **options})
            made.append(client if kind == "thread" else Awaited(client, runner.run))  # type: ignore[arg-type]
            return made[-1]

        yield one
        for client in made:
            client.close(0)


@pytest.fixture(params=["thread", "task"])
def online(request: pytest.FixtureRequest, convert: Collector) -> Iterator[Make]:
    """Makes clients that fetch."""
    with making(request.param, convert, offline=False) as make:
        yield make


@pytest.fixture(params=["thread", "task"])
def offline(request: pytest.FixtureRequest, convert: Collector) -> Iterator[Make]:
    """Makes clients that are offline."""
    with making(request.param, convert, offline=True) as make:
        yield make


@pytest.fixture(params=["thread", "task", "offline thread", "offline task"])
def make(request: pytest.FixtureRequest, convert: Collector) -> Iterator[Make]:
    """Makes clients of one kind."""
    offline, _, kind = request.param.rpartition(" ")
    with making(kind, convert, offline=bool(offline)) as make:
        yield make


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the file all the time."""
    for module in (thread, task):
        monkeypatch.setattr(module, "LOOK_EVERY", 0.01)


def written(path: Path, content: object) -> Path:
    """The file with this content, at once, as editors write it."""
    draft = path.with_name("draft")
    draft.write_text(content if isinstance(content, str) else json.dumps(content))
    return draft.replace(path)


def wanted(variation: str) -> dict[str, object]:
    return {"experiences": {"button-10": variation}}


def shown(client: Driven, key: str = "button-10") -> str | None:
    return client.visitor(LOW).peek(key).variation_key


class TestEveryClient:
    def test_the_file_is_in_force_from_the_first_visitor_on(self, make: Make, tmp_path: Path) -> None:
        client = make(overrides=str(written(tmp_path / "mine.json", wanted("forced"))))
        decision = client.visitor(LOW).decide("button-10")
        assert (decision.reason, decision.variation_key) == (Reason.OVERRIDE, "forced")
        gate = client.visitor(LOW).explain("button-10").gates[0]
        assert gate.detail.startswith("variation 'forced' for every visitor, by the file mine.json")

    def test_a_file_of_toml(self, make: Make, tmp_path: Path) -> None:
        path = written(
            tmp_path / "mine.toml", "[features]\nchat = true\n[experiences]\nbutton-10 = 'forced'\n"
        )
        client = make(overrides=str(path))
        assert shown(client) == "forced"
        assert client.visitor(LOW).feature("chat")

    def test_it_is_read_again_when_that_is_asked_for(self, make: Make, tmp_path: Path) -> None:
        path = written(tmp_path / "mine.json", wanted("one"))
        client = make(overrides=str(path))
        assert shown(client) == "one"
        written(path, {**wanted("two"), "features": {"chat": 5}})
        assert client.reload_overrides() == (
            "$.features.chat: expected true, false or an object with enabled, variables, visitor_id, found a number",
        )
        assert shown(client) == "two"

    def test_the_start_of_a_task_reads_it_first(self, convert: Collector, tmp_path: Path) -> None:
        path = str(written(tmp_path / "mine.json", wanted("forced")))

        async def started() -> str | None:
            client = AsyncClient(KEY, overrides=path, start_wait=0, config_endpoint=convert.url)
            await asyncio.gather(client.start(), client.start())
            shown = (await client.visitor(LOW)).peek("button-10").variation_key
            await client.close(0)
            return shown

        assert asyncio.run(started()) == "forced"

    def test_an_override_of_the_context_wins(self, make: Make, tmp_path: Path) -> None:
        client: Any = make(overrides=str(written(tmp_path / "mine.json", wanted("forced"))))
        shown(client)
        overriding: Any = getattr(client, "client", client)
        with overriding.override("button-10", "mine"):
            assert shown(client) == "mine"
        assert shown(client) == "forced"

    def test_only_what_the_document_lacks(self, make: Make, tmp_path: Path) -> None:
        content = {"experiences": {"button-10": "forced", "new": "b"}}
        path = written(tmp_path / "mine.json", content)
        client = make(overrides=str(path), override_mode="remote_over_local")
        assert shown(client) in ("arm-1", "arm-2")
        assert client.visitor(LOW).decide("button-10").reason is Reason.BUCKETED
        assert shown(client, "new") == "b"

    @pytest.mark.parametrize(
        ("content", "flaw"),
        [
            (None, "the overrides in mine.json cannot be read: No such file or directory"),
            ("{", "$: expected JSON"),
        ],
    )
    def test_a_file_that_is_no_good_stops_nobody(
        self,
        make: Make,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
        content: str | None,
        flaw: str,
    ) -> None:
        path = tmp_path / "mine.json"
        if content is not None:
            path.write_text(content)
        client = make(overrides=str(path))
        assert shown(client) in ("arm-1", "arm-2")
        (found,) = client.reload_overrides()
        assert found.startswith(flaw)
        client.close()
        told = [each.getMessage() for each in caplog.records if "overrides in mine.json" in each.getMessage()]
        assert len(told) == 1

    def test_who_has_no_file_has_nothing_to_reload(self, make: Make) -> None:
        with pytest.raises(OptionError, match="there is no file of overrides"):
            make().reload_overrides()

    def test_in_a_test_the_developers_file_does_not_count(self, make: Make, tmp_path: Path) -> None:
        client: Any = make(overrides=str(written(tmp_path / "mine.json", wanted("forced"))))
        with replaced(getattr(client, "client", client), SHOP):
            assert shown(client) in ("arm-1", "arm-2")


class TestOnTheNetwork:
    def test_a_change_is_noticed(self, online: Make, tmp_path: Path, quick: None) -> None:
        path = written(tmp_path / "mine.json", wanted("one"))
        client = online(overrides=str(path))
        assert shown(client) == "one"
        written(path, wanted("two"))
        eventually(lambda: shown(client) == "two")

    def test_a_file_that_comes_and_goes(
        self, online: Make, tmp_path: Path, quick: None, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = tmp_path / "mine.json"
        client = online(overrides=str(path))
        assert shown(client) != "forced"
        written(path, wanted("forced"))
        eventually(lambda: shown(client) == "forced")
        path.unlink()
        eventually(lambda: shown(client) != "forced")
        # A task says so in its loop, which runs only while the client is asked for something.
        eventually(lambda: shown(client) and caplog.text.count("mine.json") == 3)
        assert [each.getMessage() for each in caplog.records if "mine.json" in each.getMessage()] == [
            "the overrides in mine.json cannot be read: No such file or directory",
            "1 override of mine.json in force",
            "the overrides in mine.json cannot be read: No such file or directory",
        ]

    def test_a_file_that_is_spoilt_leaves_the_last_good_one(
        self, online: Make, tmp_path: Path, quick: None, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = written(tmp_path / "mine.json", wanted("one"))
        client = online(overrides=str(path))
        assert shown(client) == "one"
        written(path, "{")
        eventually(lambda: shown(client) and "cannot be used" in caplog.text)
        assert shown(client) == "one"
        with caplog.at_level(logging.INFO, "convert_sdk"):
            written(path, {})
            eventually(lambda: shown(client) != "one" and "no overrides in mine.json" in caplog.text)

    def test_it_is_in_force_before_the_document_is_there(
        self, online: Make, tmp_path: Path, convert: Collector
    ) -> None:
        convert.answer = lambda _: convert_down()
        path = written(tmp_path / "mine.json", wanted("forced"))
        client = online(overrides=str(path), override_mode="remote_over_local")
        assert shown(client) == "forced"
        assert client.project is None

    def test_a_client_that_was_not_started_reads_it_too_and_starts_nothing(
        self, online: Make, tmp_path: Path
    ) -> None:
        path = written(tmp_path / "mine.json", wanted("forced"))
        client = online(overrides=str(path))
        assert client.reload_overrides() == ()
        assert not client.status().started
        assert not client.status().worker_alive


def convert_down() -> Any:
    from tests.reliability.collector import Answer

    return Answer(503)


class TestLocalOnly:
    def test_nothing_is_fetched_and_nothing_is_sent(
        self, online: Make, tmp_path: Path, convert: Collector
    ) -> None:
        path = written(
            tmp_path / "mine.json", {**wanted("forced"), "features": {"chat": {"variables": {"a": 1}}}}
        )
        client = online(sdk_key=None, overrides=str(path), override_mode="local_only", trust_env=False)
        assert client.wait_until_ready(timeout=120)
        visitor = client.visitor(LOW)
        assert visitor.decide("button-10").variation_key == "forced"
        assert visitor.feature("chat").get("a", 0) == 1
        assert visitor.decide("other").reason is Reason.UNKNOWN
        assert not visitor.track("purchase")
        with pytest.raises(FetchError, match="local_only"):
            client.load_preview("100")
        status = client.status()
        assert (status.healthy, status.stale, status.fetch_error) == (True, False, None)
        client.close()
        assert not convert.requests

    def test_nothing_is_left_on_disk(self, online: Make, tmp_path: Path) -> None:
        path = written(tmp_path / "mine.json", wanted("forced"))
        client = online(
            overrides=str(path),
            override_mode="local_only",
            cache_dir=str(tmp_path / "cache"),
            spool=str(tmp_path / "spool"),
        )
        assert shown(client) == "forced"
        client.close()
        assert sorted(each.name for each in tmp_path.iterdir()) == ["mine.json"]

    def test_a_change_is_noticed(self, online: Make, tmp_path: Path, quick: None) -> None:
        path = written(tmp_path / "mine.json", wanted("one"))
        client = online(overrides=str(path), override_mode="local_only")
        assert shown(client) == "one"
        written(path, wanted("two"))
        eventually(lambda: shown(client) == "two")

    def test_offline_the_project_counts_as_ever(self, offline: Make, tmp_path: Path) -> None:
        path = written(tmp_path / "mine.json", {"features": {"chat": True}})
        client = offline(overrides=str(path), override_mode="local_only")
        assert client.visitor(LOW).decide("button-10").reason is Reason.BUCKETED
        assert client.visitor(LOW).feature("chat")


class TestOptions:
    def test_the_environment_names_the_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = written(tmp_path / "mine.json", wanted("forced"))
        monkeypatch.setenv("CONVERT_OVERRIDES", str(path))
        client = Client(KEY)
        assert client.reload_overrides() == ()
        assert "mine.json" in repr(client)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (
                {"overrides": "mine.yaml"},
                "overrides must be a file whose name ends in .json or .toml, not 'mine.yaml'",
            ),
            ({"overrides": 5}, "overrides must be the path of a .json or .toml file, not 5"),
            (
                {"overrides": "a.json", "override_mode": "local"},
                'override_mode must be "local_over_remote" or',
            ),
            ({"override_mode": "local_only"}, 'override_mode="local_only" needs a file of overrides'),
        ],
    )
    def test_nonsense_is_refused(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(OptionError) as caught:
            Client(KEY, **options)
        assert str(caught.value).startswith(message)
