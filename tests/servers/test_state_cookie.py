"""Visitors whose requests reach any of four workers that share nothing: each purchase is credited to what was shown."""

from __future__ import annotations

import json
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.processes import ROOT
from tests.reliability.site import KEY, site
from tests.servers.programs import free_port, server_program
from tests.web.sites import BROWSER

for package in ("gunicorn", "flask"):
    pytest.importorskip(package, reason=f"needs {package}: pip install --group servers")

VISITORS = 300
WORKERS = 4


class Visit(NamedTuple):
    """One visitor: what was shown, and which workers served the page and the purchase."""

    id: str
    shown: str
    workers: set[int]


def visit(url: str) -> Visit:
    """Look, buy, and look again, with a connection for each request, so that any worker answers."""
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=url, timeout=120, trust_env=False, limits=limits, headers=BROWSER) as browser:
        first = browser.get("/").json()
        bought = browser.post("/buy").json()
        again = browser.get("/").json()
        assert (bought["counted"], again["button"]) == (True, first["button"])
        assert browser.post("/buy").json()["counted"] is False
        workers = {first["worker"], bought["worker"], again["worker"]}
        return Visit(browser.cookies["convert_visitor_id"], first["button"], workers)


def test_every_purchase_is_credited() -> None:
    port = free_port()
    with site() as convert:
        environ = {
            "CONVERT_SDK_KEY": KEY,
            "CONVERT_CONFIG_ENDPOINT": convert.url,
            "CONVERT_TRACK_ENDPOINT": convert.url,
            "SHOP_SECRET": "the secret of all workers",
            "PYTHONPATH": str(ROOT),
        }
        command = ["-m", "gunicorn", "state_shop:create_app()", f"--bind=127.0.0.1:{port}"]
        command += [f"--workers={WORKERS}"]
        at = ("127.0.0.1", port)
        with server_program(
            sys.executable, *command, at=at, env=environ, cwd=Path(__file__).parent
        ) as server:
            early: list[Visit] = []  # until all workers take requests
            with ThreadPoolExecutor(8) as pool:
                while len(set().union(*(each.workers for each in early))) < WORKERS:
                    early += pool.map(visit, [f"http://127.0.0.1:{port}"] * 8)
                visits = [*pool.map(visit, [f"http://127.0.0.1:{port}"] * VISITORS)]
            server.send(signal.SIGTERM)
            server.end()
        events = [(visitor, json.loads(event)) for visitor, event in convert.events]
    shown = {each.id: each.shown for each in [*early, *visits]}
    exposed = [
        (who, event["data"]["variationId"]) for who, event in events if event["eventType"] == "bucketing"
    ]
    bought = [
        (who, event["data"].get("bucketingData", {}).get("10"))
        for who, event in events
        if event["eventType"] == "conversion"
    ]
    credited = [who for who, variation in bought if shown[who] == variation]
    several = sum(len(each.workers) > 1 for each in visits)
    print(f"{several} of {VISITORS} visitors met several workers; {len(credited)} purchases credited")  # noqa: T201
    assert several > VISITORS / 4
    assert sorted(exposed) == sorted(shown.items())
    assert sorted(bought) == sorted(shown.items())
