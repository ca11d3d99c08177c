"""A web server whose workers are forked after the application has been loaded and has used its client."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.processes import ROOT
from tests.reliability.site import KEY, site
from tests.servers.programs import A_CONNECTION_EACH, server_program
from tests.waiting import eventually

pytest.importorskip("gunicorn", reason="needs gunicorn: pip install --group reliability")

APP = """
import os
from convert_sdk import Client

client = Client(
    os.environ["SITE_KEY"],
    config_endpoint=os.environ["SITE"],
    track_endpoint=os.environ["SITE"],
    spool=os.environ.get("SPOOL") or None,
    start_wait=120,
    shutdown_timeout=120,
)
client.visitor("preloaded").track("goal-0")

def app(environ, start_response):
    name = environ["PATH_INFO"].strip("/")
    accepted = bool(name) and bool(client.visitor(name).track("goal-1"))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {accepted}".encode()]
"""
BOOTED = """
def post_worker_init(worker):
    worker.log.warning("now it hears signals")
"""
WORKERS = 4
CONVERSIONS = 400


@pytest.mark.row
@pytest.mark.parametrize(("spooled", "kind"), [(False, "sync"), (True, "sync"), (False, "gevent")])
def test_gunicorn_with_preload_loses_and_doubles_nothing(spooled: bool, kind: str, tmp_path: Path) -> None:
    """A worker of gevent is patched after the application was loaded, and forked."""
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "booted.py").write_text(BOOTED)
    address = str(tmp_path / "gunicorn.sock")
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--preload",
        f"--workers={WORKERS}",
        f"--bind=unix:{address}",
        f"--worker-class={kind}",
        f"--config={tmp_path / 'booted.py'}",
    ]
    command += ["--chdir", str(tmp_path), "--log-level=warning", "--timeout=120", "--graceful-timeout=120"]
    with site() as convert:
        environ = {"SITE": convert.url, "SITE_KEY": KEY, "PYTHONPATH": str(ROOT)}
        environ["SPOOL"] = str(tmp_path / "spool") if spooled else ""
        with server_program(*command, "shop:app", at=address, env=environ) as gunicorn:
            # One worker of gevent may take all requests.
            made = converted(address, CONVERSIONS, least=WORKERS if kind == "sync" else 1)
            # A worker that is told to end before it hears signals serves until the graceful timeout.
            eventually(lambda: gunicorn.log().count("now it hears signals") == WORKERS)
            gunicorn.send(signal.SIGTERM)
            assert gunicorn.end().status == 0
        assert convert.wait_for(made + 1)
        assert len(convert.events) == made + 1
        assert convert.duplicates() == 0


def visiting(address: str) -> httpx.Client:
    """A client for many threads, of a server at a unix socket."""
    transport = httpx.HTTPTransport(uds=address)
    return httpx.Client(transport=transport, base_url="http://shop", timeout=120, headers=A_CONNECTION_EACH)


def converted(address: str, conversions: int, *, least: int) -> int:
    """Make so many conversions, and more until so many workers have taken some; say how many they were."""
    workers: set[str] = set()
    made = 0
    with visiting(address) as shop, ThreadPoolExecutor(8) as pool:
        while made < conversions or len(workers) < least:
            names = range(made, made + 100)
            replies = list(pool.map(lambda n: shop.get(f"/v{n}").text.split(), names))
            assert all(accepted == "True" for _, accepted in replies)
            workers.update(worker for worker, _ in replies)
            made += len(names)
    return made


WARM_APP = """
import os
from convert_sdk import Client

client = Client(
    os.environ["SITE_KEY"],
    config_endpoint=os.environ["SITE"],
    track_endpoint=os.environ["SITE"],
    start_wait=120 if os.environ["WARM"] == "start" else 0,
)
if os.environ["WARM"] == "start":
    client.start()
elif os.environ["WARM"]:
    assert client.wait_until_ready(timeout=120)

def app(environ, start_response):
    name = environ["PATH_INFO"].strip("/")
    if name == "health":
        status = client.status()
        start_response("200 OK" if status.healthy else "503 Not Ready", [])
        return [f"{os.getpid()} {status.started}".encode()]
    start_response("200 OK", [])
    return [f"{os.getpid()} {client.visitor(name).decide('button-10').reason.value}".encode()]
"""


def asked(
    tmp_path: Path, *paths: str, warm: str, preload: bool, enough: Callable[[set[str]], bool]
) -> list[httpx.Response]:
    """The answers of two workers to these paths, again and again until it is enough, by their first words."""
    (tmp_path / "warm.py").write_text(WARM_APP)
    address = str(tmp_path / "gunicorn.sock")
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--workers=2",
        f"--bind=unix:{address}",
        "--log-level=warning",
    ]
    command += ["--chdir", str(tmp_path), "--timeout=120", *(["--preload"] if preload else [])]
    answers: list[httpx.Response] = []
    with site() as convert:
        environ = {
            "SITE": convert.url,
            "SITE_KEY": KEY,
            "PYTHONPATH": str(ROOT),
            "WARM": warm,
        }
        with (
            server_program(*command, "warm:app", at=address, env=environ) as gunicorn,
            visiting(address) as shop,
            ThreadPoolExecutor(8) as pool,
        ):
            while not enough({answer.text.split()[0] for answer in answers}):
                answers += pool.map(shop.get, paths)
            gunicorn.send(signal.SIGTERM)
            assert gunicorn.end().status == 0
    return answers


@pytest.mark.parametrize("warm", ["wait", "start"])
def test_a_warm_parent_makes_children_that_are_ready_at_once(warm: str, tmp_path: Path) -> None:
    """It waits for the document, or has only begun to fetch it: then a child waits as the first visitor does."""
    paths = [f"/v{number}" for number in range(300)]
    answers = asked(tmp_path, *paths, warm=warm, preload=True, enough=lambda workers: len(workers) == 2)
    assert {answer.text.split()[1] for answer in answers} == {"bucketed"}


@pytest.mark.parametrize("preload", [True, False])
def test_a_probe_may_be_the_only_request(preload: bool, tmp_path: Path) -> None:
    """Nobody has started the client in a worker: it says so, and is healthy."""
    paths = ["/health"] * 8
    answers = asked(tmp_path, *paths, warm="", preload=preload, enough=lambda workers: len(workers) == 2)
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.text.split()[1] for answer in answers} == {"False"}
