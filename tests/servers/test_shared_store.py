"""Workers that share a store credit each purchase to what another worker has shown; without one they cannot."""

from __future__ import annotations

import json
import signal
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.processes import ROOT
from tests.reliability.site import KEY, site
from tests.servers.programs import free_port, server_program
from tests.waiting import eventually

pytest.importorskip("gunicorn", reason="needs gunicorn: pip install --group reliability")

APP = """
import os
from convert_sdk import Client
from convert_sdk.stores.sqlite import SqliteStore

file = os.environ["STORE"]
client = Client(
    os.environ["SITE_KEY"],
    config_endpoint=os.environ["SITE"],
    track_endpoint=os.environ["SITE"],
    store=SqliteStore(file) if file else None,
    start_wait=120,
    shutdown_timeout=120,
)

def app(environ, start_response):
    _, what, name = environ["PATH_INFO"].split("/")
    visitor = client.visitor(name)
    done = visitor.decide("button-10") if what == "look" else visitor.track("goal-1")
    start_response("200 OK", [])
    return [f"{os.getpid()} {done.reason}".encode()]
"""
VISITORS = 300


class Shop(NamedTuple):
    """A shop's purchases: all visitors, those whose two requests met two workers, and those who were credited."""

    visitors: set[str]
    strayed: set[str]
    credited: set[str]


def stored(file: Path) -> int:
    """The number of visitors that a file of a store holds."""
    with closing(sqlite3.connect(file)) as database:
        (count,) = database.execute("SELECT count(*) FROM visitors").fetchone()
    return int(count)


def purchases(tmp_path: Path, workers: int, file: Path | None) -> Shop:
    """Everybody looks; once a store has heard of it everybody buys, with a connection for each request.

    More look until every worker has answered: one that is late would have no part in it.
    """
    (tmp_path / "shop.py").write_text(APP)
    port = free_port()
    limits = httpx.Limits(max_keepalive_connections=0)
    command = ["-m", "gunicorn", "shop:app", f"--bind=127.0.0.1:{port}", f"--workers={workers}"]
    command += ["--chdir", str(tmp_path), "--log-level=warning", "--timeout=120", "--graceful-timeout=120"]
    names: list[str] = []
    looked: list[list[str]] = []
    with site() as convert:
        environ = {"SITE": convert.url, "SITE_KEY": KEY, "STORE": str(file or ""), "PYTHONPATH": str(ROOT)}
        with (
            server_program(sys.executable, *command, at=("127.0.0.1", port), env=environ) as server,
            httpx.Client(
                base_url=f"http://127.0.0.1:{port}", timeout=120, trust_env=False, limits=limits
            ) as http,
            ThreadPoolExecutor(8) as pool,
        ):
            while len({worker for worker, _ in looked}) < workers:
                more = [f"v{number}" for number in range(len(names), len(names) + VISITORS)]
                looked += [
                    answer.text.split() for answer in pool.map(http.get, [f"/look/{each}" for each in more])
                ]
                names += more
            if file is not None:
                eventually(lambda: stored(file) == len(names))
            bought = [
                answer.text.split() for answer in pool.map(http.get, [f"/buy/{each}" for each in names])
            ]
            server.send(signal.SIGTERM)
            assert server.end().status == 0
        assert {reason for _, reason in looked} == {"bucketed"}
        assert {reason for _, reason in bought} == {"accepted"}
        events = [(who, json.loads(event)) for who, event in convert.events]
    strayed = {name for name, (one, _), (other, _) in zip(names, looked, bought, strict=True) if one != other}
    credited = {who for who, event in events if "10" in event["data"].get("bucketingData", {})}
    print(f"{workers} workers, {'a' if file else 'no'} store: {len(credited)} of {len(names)} credited")  # noqa: T201
    return Shop(set(names), strayed, credited)


@pytest.mark.parametrize("workers", [2, 4])
def test_with_a_store_every_purchase_is_credited(workers: int, tmp_path: Path) -> None:
    shop = purchases(tmp_path, workers, tmp_path / "visitors.db")
    assert shop.strayed
    assert shop.credited == shop.visitors


@pytest.mark.parametrize("workers", [2, 4])
def test_without_one_those_are_not_who_met_another_worker(workers: int, tmp_path: Path) -> None:
    shop = purchases(tmp_path, workers, None)
    assert shop.strayed
    assert shop.strayed.isdisjoint(shop.credited)
    assert shop.strayed | shop.credited == shop.visitors
