"""uWSGI, which forks its workers without Python's hooks, over https with an authority of one's own."""

from __future__ import annotations

import shutil
import signal
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import trustme

from tests.processes import ROOT
from tests.reliability.collector import Collector
from tests.reliability.site import KEY, serving
from tests.servers.programs import free_port, server_program

UWSGI = shutil.which("uwsgi", path=str(Path(sys.executable).parent))
pytestmark = pytest.mark.skipif(UWSGI is None, reason="needs uWSGI: pip install --group uwsgi")

APP = """
import os
from convert_sdk import Client

client = Client(
    os.environ["SITE_KEY"],
    config_endpoint=os.environ["SITE"],
    track_endpoint=os.environ["SITE"],
    ca_bundle=os.environ["AUTHORITY"],
    start_wait=30,
)
client.visitor("preloaded").track("goal-0")

def application(environ, start_response):
    accepted = client.visitor(environ["PATH_INFO"]).track("goal-1")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {bool(accepted)}".encode()]
"""
WORKERS = 3
ROUNDS = [0, *(pytest.param(number, marks=pytest.mark.soak) for number in range(1, 20))]


@pytest.mark.parametrize("number", ROUNDS)
def test_its_workers_neither_crash_nor_hang_nor_lose(number: int, tmp_path: Path) -> None:
    assert UWSGI is not None
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(tls)
    (tmp_path / "shop.py").write_text(APP)
    port = free_port()
    command = [UWSGI, f"--http-socket=127.0.0.1:{port}", "--master", "--enable-threads", "--die-on-term"]
    command += [f"--processes={WORKERS}", f"--wsgi-file={tmp_path / 'shop.py'}", "--need-app"]
    with Collector(serving(), tls=tls) as convert:
        environ = {"SITE": convert.url, "SITE_KEY": KEY, "PYTHONPATH": str(ROOT)}
        environ["AUTHORITY"] = str(tmp_path / "authority.pem")
        with server_program(*command, at=("127.0.0.1", port), env=environ) as uwsgi:
            made = answered(port)
            uwsgi.send(signal.SIGTERM)
            uwsgi.end()
            assert "segmentation fault" not in uwsgi.log().lower()
        names = {visitor for visitor, _ in convert.events}
        assert (len(names - {"preloaded"}), convert.duplicates()) == (made, 0)


def answered(port: int) -> int:
    """Ask until every worker has answered; say how often."""
    workers: set[str] = set()
    made = 0
    with (
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as shop,
        ThreadPoolExecutor(WORKERS * 2) as pool,
    ):
        while len(workers) < WORKERS:
            replies = list(pool.map(lambda n: shop.get(f"/v{n}").text.split(), range(made, made + 20)))
            assert all(accepted == "True" for _, accepted in replies)
            workers.update(worker for worker, _ in replies)
            made += len(replies)
    return made
