"""`convert-sdk commerce`, with real processes, stores and servers."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("typer", reason="needs the extra cli")
from typer.testing import CliRunner

from convert_sdk.cli.app import app
from convert_sdk.commerce.bridge import Identity, Ledger
from convert_sdk.server import DEMO_SDK_KEY, Conversion, Registry, ServedProject, demo_document, running
from convert_sdk.testing.stores import ConvictionalStore, WebsiteStore

SECRET, PEPPER = "secret of the tests", "pepper of the tests"


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["commerce", *arguments])
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.output


class TestDemo:
    def test_a_killed_process_loses_and_doubles_nothing(self) -> None:
        figures = json.loads(run("demo", "--shoppers", "80", "--seed", "7", "--json"))
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
        for sums in figures["revenue"].values():
            assert sums["truth"] == sums["recorded"] > 0

    def test_people_get_tables(self) -> None:
        shown = run("demo", "--shoppers", "30")
        assert "Every order is counted once, for the right visitor." in shown
        assert "mountain-story" in shown


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
        with ledger.transaction() as entries:
            assert entries.tally() == {("seen", ""): 1}
        ledger.close()
        run(*arguments)
        assert len(conversions(served)) == 1
