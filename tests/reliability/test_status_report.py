"""A client's figures for those who look on: in a file, and at a local server."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="needs the extra server")
from convert_sdk import ANYWHERE, AsyncClient, Client, OptionError
from convert_sdk.server import DEMO_SDK_KEY, LocalServer, Registry, ServedProject, demo_document, running
from tests.processes import finished
from tests.threads import client_threads
from tests.waiting import PATIENCE, eventually

FACTS = {"customer_group": "retail"}


def site() -> tuple[Registry, ServedProject]:
    registry = Registry()
    return registry, registry.add(demo_document(), sdk_key=DEMO_SDK_KEY)


def options(server: LocalServer, **more: object) -> Any:
    at = {"config_endpoint": server.url, "track_endpoint": server.url}
    return {**at, "start_wait": PATIENCE, "shutdown_timeout": PATIENCE, "flush_interval": 0.05, **more}


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def test_a_file_has_the_figures_and_the_last_ones_stay(tmp_path: Path) -> None:
    registry, shop = site()
    path = tmp_path / "status.json"
    with running(registry) as server:
        with Client(DEMO_SDK_KEY, **options(server, status_file=str(path))) as client:
            client.visitor("v-1", FACTS, location=ANYWHERE).decide_all()
            eventually(lambda: path.exists() and read(path)["status"]["ready"])
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            first = read(path)
            assert (first["pid"], first["closed"], first["language"]) == (os.getpid(), False, "python")
            eventually(lambda: read(path)["at"] > first["at"])
        last = read(path)
    assert last["closed"] is True
    assert last["status"]["events"]["sent"] == shop.record.summary().received > 0
    assert [each.name for each in tmp_path.iterdir()] == ["status.json"]
    assert "v-1" not in json.dumps(last)


def test_both_ends_agree_once_the_queue_is_empty() -> None:
    registry, shop = site()
    with running(registry) as server:
        url = f"{server.url}/_status/{shop.place}"
        with Client(DEMO_SDK_KEY, **options(server, status_url=url)) as client:
            for number in range(50):
                client.visitor(f"v-{number}", FACTS, location=ANYWHERE).decide_all()
            eventually(lambda: registry.clients.totals(shop.place).offered > 0)
        totals = registry.clients.totals(shop.place)
        (listed,) = registry.clients.listed(shop.place)
    assert totals.received == totals.sent == shop.record.summary().received > 0
    assert totals.words == "the difference is 0"
    assert (listed["closed"], listed["pid"]) == (True, os.getpid())


def test_an_async_client_reports_too(tmp_path: Path) -> None:
    registry, shop = site()
    path = tmp_path / "status-{pid}.json"

    async def visit(server: LocalServer) -> None:
        url = f"{server.url}/_status/{shop.place}"
        async with AsyncClient(
            DEMO_SDK_KEY, **options(server, status_url=url, status_file=str(path))
        ) as client:
            (await client.visitor("v-1", FACTS, location=ANYWHERE)).decide_all()

    with running(registry) as server:
        asyncio.run(visit(server))
    assert read(tmp_path / f"status-{os.getpid()}.json")["closed"] is True
    assert registry.clients.totals(shop.place).words == "the difference is 0"


def test_a_server_that_is_gone_and_a_folder_that_is_not_there_are_survived(tmp_path: Path) -> None:
    registry, _ = site()
    with running(registry) as server:
        nowhere = "http://127.0.0.1:9/_status/1/2"
        missing = str(tmp_path / "missing" / "status.json")
        with Client(DEMO_SDK_KEY, **options(server, status_url=nowhere, status_file=missing)) as client:
            client.visitor("v-1", FACTS, location=ANYWHERE).decide_all()
            eventually(lambda: {"status_file", "status_url"} <= client.status().incidents.keys())
            assert client.flush(PATIENCE).pending == 0


def test_a_client_without_the_options_has_no_such_thread(tmp_path: Path) -> None:
    registry, _ = site()
    before = client_threads()
    with running(registry) as server, Client(DEMO_SDK_KEY, **options(server)) as client:
        client.visitor("v-1", FACTS, location=ANYWHERE).decide_all()
        assert "convert_sdk-status" not in {each.name for each in client_threads() - before}
        assert "_delivery.status_report" not in str(client._worker.runtime.status_report)  # type: ignore[union-attr]


def test_a_client_that_is_collected_reports_no_more(tmp_path: Path) -> None:
    registry, _ = site()
    before = client_threads()
    with running(registry) as server:
        client = Client(DEMO_SDK_KEY, **options(server, status_file=str(tmp_path / "status.json")))
        client.visitor("v-1", FACTS, location=ANYWHERE).decide_all()
        client.flush(PATIENCE)
        with pytest.warns(ResourceWarning, match="was not closed"):
            client._worker.abandon()  # as when the client is collected
        eventually(lambda: "convert_sdk-status" not in {each.name for each in client_threads() - before})


FORKED = """
import os, sys
from convert_sdk import Client

url, path = sys.argv[2:]
client = Client(sys.argv[1], config_endpoint=url, track_endpoint=url, status_file=path,
                start_wait=120, shutdown_timeout=60)
client.visitor("parent").decide_all()
child = os.fork()
client.visitor("v").decide_all()
client.close()
if child:
    os.waitpid(child, 0)
"""


def test_a_forked_child_has_a_file_of_its_own(tmp_path: Path) -> None:
    registry, _ = site()
    with running(registry) as server:
        finished(FORKED, DEMO_SDK_KEY, server.url, str(tmp_path / "{pid}.json"))
    reports = [read(path) for path in tmp_path.iterdir()]
    assert {f"{each['pid']}.json" for each in reports} == {path.name for path in tmp_path.iterdir()}
    assert len({each["client"] for each in reports}) == len(reports) == 2
    assert all(each["closed"] for each in reports)


def test_an_address_beyond_this_machine_needs_tls() -> None:
    with pytest.raises(OptionError, match="status_url must be https"):
        Client(DEMO_SDK_KEY, status_url="http://convert.example/_status/1/2")
