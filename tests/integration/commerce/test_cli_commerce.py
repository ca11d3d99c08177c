"""`convert-sdk commerce`, with real processes, stores and servers."""

from __future__ import annotations

import inspect
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from tests.shapes import of, present

pytest.importorskip("typer", reason="needs the extra cli")
from typer.testing import CliRunner

from convert_sdk.cli.app import app
from convert_sdk.commerce.bridge import Identity, Ledger
from convert_sdk.demo.commerce.result import CommerceResult
from convert_sdk.demo.commerce.scenario import Scenario, set_up
from convert_sdk.server import DEMO_SDK_KEY, Conversion, Registry, ServedProject, demo_document, running
from convert_sdk.testing.stores import ConvictionalStore, WebsiteStore

from .conftest import is_ours
from .openapi import FIXTURES, check_all

PAGE = MarkdownIt().parse((FIXTURES.parents[1] / "docs" / "commerce-bridge.md").read_text(encoding="utf-8"))
PRINTED = next(each.content for each in PAGE if each.type == "fence" and each.info == "console").split(
    "\n", 1
)[1]
AS_JSON = next(each.content for each in PAGE if each.type == "fence" and each.info == "json")
SECRET, PEPPER = "secret of the tests", "pepper of the tests"


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["commerce", *arguments])
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.output


@pytest.fixture(scope="module")
def day() -> Iterator[tuple[Scenario, list[str]]]:
    """The demonstration at its full size."""
    told: list[str] = []
    with set_up(500, 42, told.append) as scenario:
        scenario.run()
        yield scenario, told


@pytest.mark.servers
class TestDemo:
    def test_a_killed_process_loses_and_doubles_nothing(self, day: tuple[Scenario, list[str]]) -> None:
        result = day[0].result
        figures: dict[str, Any] = result.figures()
        assert result.is_good
        assert {name: figures[name] for name in ("duplicates", "lost", "invented", "misattributed")} == {
            "duplicates": 0, "lost": 0, "invented": 0, "misattributed": 0,
        }  # fmt: skip
        assert figures["resent"] == figures["claimed_when_killed"] > 0
        assert (
            figures["conversions"] + figures["unresolved"] == figures["orders_that_count"] < figures["orders"]
        )
        assert figures["found_by_sync"] > 0
        assert figures["convertmax"]["accepted"] >= figures["orders"]
        assert {*figures["revenue"]} == {"original", "mountain-story"}
        for share in figures["revenue"].values():
            assert share["truth"] == share["recorded"] > 0
        assert sum(share["shoppers"] for share in figures["revenue"].values()) == figures["shoppers"] == 500
        assert sum(share["orders"] for share in figures["revenue"].values()) == figures["conversions"]
        assert figures["unresolved_revenue"] > 0

    def test_every_request_is_one_the_systems_document(self, day: tuple[Scenario, list[str]]) -> None:
        scenario, _ = day
        for name, store in (
            ("website-api", scenario.website),
            ("convictional-buyer", scenario.convictional),
            ("convertmax-api", scenario.convertmax),
        ):
            asked = [each for each in store.requests if is_ours(each)]
            assert len(asked) == len(store.requests) > 0
            check_all(name, asked)

    def test_people_are_told_what_happened(self, day: tuple[Scenario, list[str]]) -> None:
        assert shape("".join(f"• {each}\n" for each in day[1])) == shape(PRINTED.split("Revenue")[0])

    def test_the_page_shows_what_is_printed(self) -> None:
        result = CliRunner().invoke(app, ["commerce", "demo", "--shoppers", "60"], env={"COLUMNS": "110"})
        assert (result.exit_code, shape(result.output)) == (0, shape(PRINTED))
        assert "Every order of a known visitor is counted once" in PRINTED
        figures = run("demo", "--shoppers", "60", "--json")
        assert keys(json.loads(figures)) == keys(json.loads(AS_JSON))

    def test_a_lost_order_is_a_failure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        heard = present(of(property, inspect.getattr_static(CommerceResult, "recorded")).fget)
        monkeypatch.setattr(CommerceResult, "recorded", property(lambda result: heard(result)[1:]))
        assert "They differ." in run("demo", "--shoppers", "9", code=1)


def shape(printed: str) -> list[str]:
    """What is printed, without its figures."""
    lines = (re.sub(r"[\d.,]+", "#", line) for line in printed.splitlines())
    return [re.sub(r" +", " ", line).strip() for line in lines if line.strip()]


def keys(found: object) -> object:
    """The names in a JSON object, at every depth."""
    return {name: keys(each) for name, each in found.items()} if isinstance(found, dict) else None


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Any:
    registry = Registry()
    served = registry.add(demo_document(), sdk_key=DEMO_SDK_KEY)
    for name, value in (("SECRET", SECRET), ("PEPPER", PEPPER)):
        monkeypatch.setenv(f"CONVERT_BRIDGE_{name}", value)
    with running(registry) as server:
        monkeypatch.setenv("CONVERT_SDK_KEY", DEMO_SDK_KEY)
        monkeypatch.setenv("CONVERT_CONFIG_ENDPOINT", server.url)
        monkeypatch.setenv("CONVERT_TRACK_ENDPOINT", server.url)
        yield served, server


def conversions(served: ServedProject) -> list[Conversion]:
    return [each for each in served.record.events() if isinstance(each, Conversion) and each.goal_data]


class TestSync:
    def test_pulls_both_stores_and_counts_once(
        self, shop: Any, website: WebsiteStore, convictional: ConvictionalStore, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        served, _ = shop
        token = Identity(SECRET, pepper=PEPPER).token("v-1")
        monkeypatch.setenv("CONVERT_WEBSITE_KEY", website.key)
        monkeypatch.setenv("CONVERT_CONVICTIONAL_KEY", convictional.key)
        at = int(time.time()) - 60
        field = {"field": "convert_visitor_id", "value": token}
        website.place_order(paid=True, created=at, additionalFields=[field])
        website.place_order(paid=True, created=at)
        website.place_order(paid=True, created=at - 30 * 86_400, additionalFields=[field])
        convictional.add_order(attributes={"convert_visitor_id": token})
        stores = (
            "--website", website.url, "--account", "acme", "--convictional-url", convictional.url,
        )  # fmt: skip
        arguments = ("sync", "--ledger", str(tmp_path / "bridge.db"), *stores)
        first = json.loads(run(*arguments, "--json"))
        assert (first["new"], first["states"]) == (3, {"sent": 2, "waiting": 1})
        assert len(first["unresolved"]) == 1
        second = run(*arguments)
        assert "0 of them new" in second
        assert "unresolved" in second
        assert len(conversions(served)) == 2

    def test_says_in_one_line_what_is_wrong(
        self, shop: Any, website: WebsiteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ledger = ("--ledger", str(tmp_path / "bridge.db"))
        assert "give --website or --account" in run("sync", *ledger, code=2)
        wrong = run("sync", *ledger, "--website", website.url, "--website-key", "wrong", code=1)
        assert "error: GET /orders answered 401" in wrong
        assert "16 characters" in run(
            "sync",
            *ledger,
            "--website",
            website.url,
            "--website-key",
            website.key,
            "--pepper",
            "short",
            code=1,
        )

    def test_what_convert_does_not_take_is_kept_for_the_next_run(
        self, shop: Any, website: WebsiteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        served, server = shop
        token = Identity(SECRET, pepper=PEPPER).token("v-1")
        field = {"field": "convert_visitor_id", "value": token}
        website.place_order(paid=True, created=int(time.time()) - 60, additionalFields=[field])
        path = tmp_path / "bridge.db"
        arguments = ("sync", "--ledger", str(path), "--website", website.url, "--website-key", website.key)
        with server.failing(404):  # no document, so nothing is claimed
            monkeypatch.setenv("CONVERT_SDK_KEY", "1/2")
            assert "the conversions are kept for the next run" in run(*arguments, code=1)
        monkeypatch.setenv("CONVERT_SDK_KEY", DEMO_SDK_KEY)
        ledger = Ledger(path)
        with ledger.transaction() as transaction:
            assert transaction.tally() == {("seen", ""): 1}
        ledger.close()
        run(*arguments)
        assert len(conversions(served)) == 1
