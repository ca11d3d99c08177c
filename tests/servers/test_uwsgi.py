"""uWSGI, which forks its workers without Python's hooks, over https with an authority of one's own."""

from __future__ import annotations

import shutil
import signal
import ssl
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import trustme

from tests.processes import ROOT
from tests.reliability.collector import Collector
from tests.reliability.site import KEY, serving, site
from tests.servers.programs import A_CONNECTION_EACH, free_port, server_program
from tests.waiting import eventually

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


@pytest.mark.row
@pytest.mark.parametrize("option", ["--py-call-uwsgi-fork-hooks", "--lazy-apps"])
def test_its_workers_neither_crash_nor_hang_nor_lose(option: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(tls)
    (tmp_path / "shop.py").write_text(APP)
    port = free_port()
    command = uwsgi_command(port, tmp_path, "--enable-threads", option)
    with Collector(serving(), tls=tls) as convert:
        environ = {"SITE": convert.url, "SITE_KEY": KEY, "PYTHONPATH": str(ROOT)}
        environ["AUTHORITY"] = str(tmp_path / "authority.pem")
        with server_program(*command, at=("127.0.0.1", port), env=environ) as uwsgi:
            made = answered(port)
            preloaded = WORKERS if option == "--lazy-apps" else 1
            # Before the end: a worker that uWSGI ends in the middle of a request runs no exit hook.
            assert convert.wait_for(made + preloaded)
            uwsgi.send(signal.SIGTERM)
            uwsgi.end()
            assert "segmentation fault" not in uwsgi.log().lower()
            assert "--py-call-uwsgi-fork-hooks" not in uwsgi.log()
        visitors = Counter(visitor for visitor, _ in convert.events)
        assert visitors.pop("preloaded") == preloaded
        assert (len(visitors), visitors.total()) == (made, made)


TWO_CLIENTS = """
second = Client(os.environ["SITE_KEY"], config_endpoint=os.environ["SITE"], track_endpoint=os.environ["SITE"])
second.start()
print("both have started", flush=True)

def application(environ, start_response):
    start_response("200 OK", [])
    return [b""]
"""


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        (["--enable-threads"], "--py-call-uwsgi-fork-hooks or --lazy-apps"),
        (["--lazy-apps", "--processes=1"], "--enable-threads"),
    ],
)
def test_options_that_cannot_do_are_said_once(options: list[str], advice: str, tmp_path: Path) -> None:
    app = APP.replace('os.environ["AUTHORITY"]', "None").partition("client.visitor(")[0]
    # A second client of the process would be another reason to say it.
    (tmp_path / "shop.py").write_text(f"{app}client.start()\n{TWO_CLIENTS}")
    port = free_port()
    with site() as convert:
        environ = {"SITE": convert.url, "SITE_KEY": KEY, "PYTHONPATH": str(ROOT)}
        command = uwsgi_command(port, tmp_path, *options)
        with server_program(*command, at=("127.0.0.1", port), env=environ) as uwsgi:
            eventually(lambda: "both have started" in uwsgi.log())
            assert uwsgi.log().count(advice) == 1


DOCTOR = """
from convert_sdk import Client, Project

client = Client.offline(Project.parse(b'{"account_id": "1", "project": {"id": "2"}}'))

def application(environ, start_response):
    found = client.doctor().of("uwsgi threads")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{found.verdict.value}: {found.found}".encode()]
"""


@pytest.mark.parametrize(
    ("option", "found"),
    [("--enable-threads", "ok: enabled"), ("--threads=2", "ok: enabled"), ("--lazy", "failed: not enabled")],
)
def test_the_doctor_sees_whether_there_are_threads(option: str, found: str, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(DOCTOR)
    port = free_port()
    command = uwsgi_command(port, tmp_path, option)
    with server_program(*command, at=("127.0.0.1", port), env={"PYTHONPATH": str(ROOT)}) as uwsgi:
        assert httpx.get(f"http://127.0.0.1:{port}/", timeout=60, trust_env=False).text == found
        uwsgi.send(signal.SIGKILL)
        uwsgi.end()


def uwsgi_command(port: int, folder: Path, *options: str) -> list[str]:
    assert UWSGI is not None
    command = [
        UWSGI,
        f"--http-socket=127.0.0.1:{port}",
        "--master",
        "--die-on-term",
        f"--processes={WORKERS}",
    ]
    return [*command, f"--wsgi-file={folder / 'shop.py'}", "--need-app", *options]


def answered(port: int) -> int:
    """Ask until every worker has answered; say how often."""
    workers: set[str] = set()
    made = 0
    with (
        httpx.Client(
            base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False, headers=A_CONNECTION_EACH
        ) as shop,
        ThreadPoolExecutor(WORKERS * 2) as pool,
    ):
        while len(workers) < WORKERS:
            replies = list(pool.map(lambda n: shop.get(f"/v{n}").text.split(), range(made, made + 20)))
            assert all(accepted == "True" for _, accepted in replies)
            workers.update(worker for worker, _ in replies)
            made += len(replies)
    return made
