"""The example applications under their real servers, driven over HTTP by two browsers."""

from __future__ import annotations

import json
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

import httpx
import pytest

from convert_sdk import Client
from convert_sdk.stores.sqlite import SqliteStore
from tests.processes import ROOT, Child
from tests.reliability.collector import Collector
from tests.reliability.site import KEY, site
from tests.servers.programs import free_port, server_program
from tests.waiting import PATIENCE
from tests.web.sites import BROWSER

EXAMPLES = ROOT / "docs" / "examples"
SERVERS: dict[str, list[str]] = {
    "fastapi, uvicorn, 2 workers": ["-m", "uvicorn", "fastapi_shop:app", "--port={port}", "--workers=2"],
    "fastapi, uvicorn, no lifespan": ["-m", "uvicorn", "fastapi_shop:app", "--port={port}", "--lifespan=off"],
    "flask, gunicorn, gthread, preloaded": [
        *("-m", "gunicorn", "flask_shop:app", "--bind=127.0.0.1:{port}", "--workers=2"),
        *("--worker-class=gthread", "--threads=4", "--preload"),
    ],
    "flask, gunicorn, gevent": [
        *(
            "-m",
            "gunicorn",
            "flask_shop:app",
            "--bind=127.0.0.1:{port}",
            "--workers=2",
            "--worker-class=gevent",
        ),
    ],
    "django, gunicorn": [
        *("-m", "gunicorn", "django_shop:application", "--bind=127.0.0.1:{port}", "--workers=2"),
        *("--worker-class=gthread", "--threads=4"),
    ],
    "django, runserver": ["django_shop.py", "runserver", "--noreload", "{port}"],
    "django, uvicorn": ["-m", "uvicorn", "django_shop:asgi_application", "--port={port}", "--workers=2"],
}
PACKAGES = ("uvicorn", "gunicorn", "gevent", "fastapi", "flask", "django")
for package in PACKAGES:
    pytest.importorskip(package, reason=f"needs {package}: pip install --group servers")


class RunningShop(NamedTuple):
    """An example that runs: where it is, what it has sent, what its workers share."""

    url: str
    convert: Collector
    state: Path
    process: Child

    def browser(self) -> httpx.Client:
        """A browser with a cookie jar of its own, and a connection for each request, so that any worker answers."""
        limits = httpx.Limits(max_keepalive_connections=0)
        return httpx.Client(base_url=self.url, timeout=120, trust_env=False, limits=limits, headers=BROWSER)

    def stored(self, visitor_id: str) -> None:
        """Wait until the workers share what they know of a visitor."""
        with_state = SqliteStore(self.state)
        try:
            while (found := with_state.load(f"1001-2002-{visitor_id}")) is None or not found.bucketing:
                Event().wait(0.01)
        finally:
            with_state.close()

    def arrived(self, visitor_id: str) -> list[Any]:
        """The events of one visitor that Convert has."""
        return [json.loads(event) for visitor, event in self.convert.events if visitor == visitor_id]


@contextmanager
def running(server: str, folder: Path) -> Iterator[RunningShop]:
    port = free_port()
    state, cache = folder / "shop.db", str(folder / "cache")
    command = [part.format(port=port) for part in SERVERS[server]]
    with site() as convert:
        at_site = {"config_endpoint": convert.url, "track_endpoint": convert.url}
        # The examples wait as briefly as shops do: a worker finds the document on disk.
        with Client(KEY, **at_site, cache_dir=cache, start_wait=PATIENCE) as client:  # type: ignore[arg-type]
            assert client.wait_until_ready(PATIENCE)
        assert [*Path(cache).iterdir()]
        environ = {
            "CONVERT_SDK_KEY": KEY,
            "CONVERT_CACHE_DIR": cache,
            "CONVERT_CONFIG_ENDPOINT": convert.url,
            "CONVERT_TRACK_ENDPOINT": convert.url,
            "SHOP_STATE": str(state),
            "PYTHONPATH": str(ROOT),
        }
        at = ("127.0.0.1", port)
        with server_program(sys.executable, *command, at=at, env=environ, cwd=EXAMPLES) as process:
            yield RunningShop(f"http://127.0.0.1:{port}", convert, state, process)


@pytest.fixture(params=SERVERS)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningShop]:
    with running(request.param, tmp_path) as found:
        yield found


def test_two_browsers(shop: RunningShop) -> None:
    with shop.browser() as first, shop.browser() as second:
        # Before an answer nothing is decided, nothing kept, nothing sent.
        assert [first.get("/").json()["button"] for _ in range(4)] == [None] * 4
        assert not first.cookies
        # Consent: from now on a variation, the same in every worker, exposed once.
        assert first.post("/answer/granted").status_code == 200
        visitor_id = first.cookies["convert_visitor_id"]
        shown = first.get("/").json()
        assert shown == {"visitor": visitor_id, "button": shown["button"]}
        assert shown["button"] in ("arm-1", "arm-2")
        shop.stored(visitor_id)
        assert [first.get("/").json() for _ in range(20)] == [shown] * 20
        # A conversion, credited to what was shown.
        assert first.post("/buy/order-1").json() == {"counted": True}
        # A refusal: no variation, no cookie.
        assert second.post("/answer/denied").status_code == 200
        assert second.get("/").json()["button"] is None
        assert "convert_visitor_id" not in second.cookies
        assert second.post("/buy/order-2").json() == {"counted": False}
        # Two devices of one user, and a shared device after them.
        first.post("/login/ann")
        assert first.get("/").json() == shown
        second.post("/answer/granted")
        second.post("/login/ann")
        assert second.get("/").json() == shown
        assert second.cookies["convert_visitor_id"] == visitor_id
        second.post("/logout")
        assert "convert_visitor_id" not in second.cookies
        assert second.get("/").json()["visitor"] not in (visitor_id, None)
        assert shop.convert.wait_for(4)
        shop.process.send(signal.SIGTERM)
        shop.process.end()
    # Two workers send, each when it comes to it.
    events = sorted(shop.arrived(visitor_id), key=lambda event: event["eventType"])
    variation = f"10{shown['button'][-1]}"
    assert [event["eventType"] for event in events] == ["bucketing", "conversion", "conversion"]
    assert events[0]["data"] == {"experienceId": "10", "variationId": variation}
    assert [event["data"]["bucketingData"] for event in events[1:]] == [{"10": variation}] * 2


def test_sigterm_in_traffic_loses_no_conversion(shop: RunningShop) -> None:
    """Every order whose page was answered has arrived, once; others only if their answer was lost."""
    counted: list[str] = []
    failed: list[str] = []
    enough = Event()

    def orders(buyer: int) -> None:
        with shop.browser() as browser:
            for number in range(10_000):
                order = f"{buyer}-{number}"
                browser.cookies.clear()
                browser.cookies.set("answer", "granted")
                try:
                    answer = browser.post(f"/buy/{order}")
                except httpx.TransportError:
                    failed.append(order)
                    return  # the server has gone
                if answer.status_code == 200 and answer.json()["counted"]:
                    counted.append(order)
                else:
                    failed.append(order)
                if len(counted) >= 150:
                    enough.set()

    with ThreadPoolExecutor(4) as pool:
        buyers = [pool.submit(orders, buyer) for buyer in range(4)]
        assert enough.wait(120)
        shop.process.send(signal.SIGTERM)
        for buyer in buyers:
            buyer.result()
    shop.process.end()
    arrived = Counter(
        datum["value"]
        for _, event in shop.convert.events
        for datum in json.loads(event)["data"].get("goalData", [])
        if datum["key"] == "transactionId"
    )
    assert set(counted) <= set(arrived)
    assert set(arrived) <= {*counted, *failed}
    assert set(arrived.values()) == {1}
