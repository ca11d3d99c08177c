"""`convert-sdk commerce`, with real processes, stores and servers."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from tests.shapes import of, present
from tests.waiting import patient_clients

pytest.importorskip("typer", reason="needs the extra cli")
from typer.testing import CliRunner

from convert_sdk.cli.app import app
from convert_sdk.commerce.bridge import Identity, Ledger, OrderConversion, OrderSnapshot
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


def in_one_line(printed: str) -> str:
    """What a box says, wherever its lines end."""
    return re.sub(r"[\s│]+", " ", printed)


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
        with patient_clients():
            first = json.loads(run(*arguments, "--json"))
        assert (first["new"], first["states"]) == (3, {"sent": 2, "waiting": 1})
        assert len(first["unresolved"]) == 1
        with patient_clients():
            second = run(*arguments)
        assert "0 of them new" in second
        assert "unresolved" in second
        assert len(conversions(served)) == 2

    def test_says_in_one_line_what_is_wrong(
        self, shop: Any, website: WebsiteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ledger = ("--ledger", str(tmp_path / "bridge.db"))
        assert "give --website or --account" in run("sync", *ledger, code=2)
        for store, variable in (("--website", "WEBSITE_KEY"), ("--account", "CONVICTIONAL_KEY")):
            missing = run("sync", *ledger, store, "acme", code=2)
            assert f"give it, or set CONVERT_{variable}" in in_one_line(missing)
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
        assert "give --app, or --ledger" in run("sync", code=2)
        monkeypatch.delenv("CONVERT_BRIDGE_SECRET")
        assert "set CONVERT_BRIDGE_SECRET" in in_one_line(run("sync", *ledger, code=2))

    def test_claims_of_another_process_are_no_failure_of_this_one(
        self, shop: Any, website: WebsiteStore, tmp_path: Path
    ) -> None:
        path = tmp_path / "bridge.db"
        ledger = Ledger(path)
        now = time.time()
        order = OrderSnapshot("website", "shop.example.com", "7", datetime.now(UTC), paid=True)
        claim = OrderConversion(
            "purchase|7", "purchase", order, "claimed", now, now, due=now + 600, owner="another", event="e.1"
        )
        with ledger.transaction() as transaction:
            transaction.keep(claim)
        ledger.close()
        arguments = ("--ledger", str(path), "--website", website.url, "--website-key", website.key)
        assert json.loads(run("sync", *arguments, "--json"))["states"] == {"claimed": 1}

    def test_a_claim_of_a_dead_process_waits_for_the_document(
        self, shop: Any, website: WebsiteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _, server = shop
        ledger = Ledger(tmp_path / "bridge.db")
        now = time.time()
        order = OrderSnapshot("website", "shop.example.com", "7", datetime.now(UTC), paid=True)
        claim = OrderConversion(
            "purchase|7", "purchase", order, "claimed", now, now, due=now - 1, owner="another", event="e.1"
        )
        with ledger.transaction() as transaction:
            transaction.keep(claim)
        ledger.close()
        arguments = (
            "--ledger",
            str(tmp_path / "bridge.db"),
            "--website",
            website.url,
            "--website-key",
            website.key,
        )
        with server.failing(404):
            monkeypatch.setenv("CONVERT_SDK_KEY", "1/2")
            assert "Convert could not be reached" in in_one_line(run("sync", *arguments, code=1))

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
        with patient_clients():
            run(*arguments)
        assert len(conversions(served)) == 1


APPLICATION = """
import os

from convert_sdk import Client
from convert_sdk.commerce.bridge import Bridge, Goals, Identity, Ledger, Policy, WebsiteSource, recording
from convert_sdk.commerce.website import WebsiteClient

ledger = Ledger("bridge.db", policy=Policy(hold_for=3600))
client = Client(observe=[recording(ledger)])
website = WebsiteSource(WebsiteClient(os.environ["STORE"], os.environ["CONVERT_WEBSITE_KEY"]))
identity = Identity(os.environ["CONVERT_BRIDGE_SECRET"], pepper=os.environ["CONVERT_BRIDGE_PEPPER"])


def make():
    return Bridge(client, ledger, goals=Goals("purchase"), identity=identity, sources=[website])


bridge = make()
"""


class TestApplication:
    """The bridge of an application, in place of one from options."""

    @pytest.fixture
    def application(
        self, shop: Any, website: WebsiteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[Any]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", [*sys.path])
        monkeypatch.setenv("STORE", website.url)
        monkeypatch.setenv("CONVERT_WEBSITE_KEY", website.key)
        (tmp_path / "shop_application.py").write_text(APPLICATION)
        monkeypatch.syspath_prepend(tmp_path)
        with patient_clients():
            loaded = importlib.import_module("shop_application")
        yield loaded
        loaded.client.close()
        loaded.website.client.close()
        loaded.ledger.close()
        del sys.modules["shop_application"]

    @pytest.mark.parametrize("name", ["bridge", "make"])
    def test_goes_by_the_applications_rules(
        self, shop: Any, website: WebsiteStore, application: Any, name: str
    ) -> None:
        token = Identity(SECRET, pepper=PEPPER).token("v-1")
        field = {"field": "convert_visitor_id", "value": token}
        website.place_order(paid=True, created=int(time.time()) - 60, additionalFields=[field])
        assert application.bridge.sync().new == 1
        website.place_order(paid=True, created=int(time.time()) - 60, additionalFields=[field])
        told = json.loads(run("sync", "--app", f"shop_application:{name}", "--json"))
        assert (told["new"], told["states"], told["waiting"]) == (1, {"waiting": 2}, {"held": 2})
        assert conversions(shop[0]) == []

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["shop_application"], "expected MODULE:NAME"),
            (["no_such_application:bridge"], "No module named 'no_such_application'"),
            (["shop_application:brigde"], "shop_application has no brigde"),
            (["shop_application:client"], "expected a Bridge, or a function without arguments"),
            (["shop_application:bridge", "--hold-hours", "0"], "the bridge of --app has its own"),
        ],
    )
    def test_says_what_is_wrong_with_it(self, application: Any, arguments: list[str], told: str) -> None:
        assert told in in_one_line(run("sync", "--app", *arguments, code=2))
