"""An application under uvicorn, which ends its workers by SIGTERM."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import httpx
import pytest

from tests.processes import ROOT
from tests.reliability.site import KEY, dead, site
from tests.servers.programs import free_port, server_program

pytest.importorskip("uvicorn", reason="needs uvicorn: pip install convert-sdk[server]")

APP = """
import asyncio, os
from convert_sdk import AsyncClient, Client

made = None

def client():
    global made
    if made is None:
        made = KIND(
            os.environ["SITE_KEY"],
            config_endpoint=os.environ["SITE"],
            track_endpoint=os.environ["SITE"],
            start_wait=60,
            shutdown_timeout=float(os.environ.get("SHUTDOWN", "60")),
        )
    return made

async def visitor(name):
    if KIND is Client:
        return client().visitor(name)
    return await client().visitor(name)

async def app(scope, receive, send):
    assert scope["type"] == "http"
    accepted = (await visitor(scope["path"])).track("goal-1")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(bool(accepted)).encode()})
"""
AT_IMPORT = "client()\n"
REQUESTS = 60


@pytest.mark.row
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("made", ["at import", "in a request"])
@pytest.mark.parametrize("kind", ["Client", "AsyncClient"])
def test_uvicorn_s_sigterm_loses_nothing(kind: str, made: str, workers: int, tmp_path: Path) -> None:
    code = APP.replace("KIND", kind) + (AT_IMPORT if made == "at import" else "")
    (tmp_path / "shop.py").write_text(code)
    port = free_port()
    with site() as convert:
        environ = {"SITE": convert.url, "SITE_KEY": KEY, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
        command = [sys.executable, "-m", "uvicorn", "shop:app", f"--port={port}", f"--workers={workers}"]
        with server_program(*command, "--lifespan=off", at=("127.0.0.1", port), env=environ) as uvicorn:
            track(port, REQUESTS)
            uvicorn.send(signal.SIGTERM)
            uvicorn.end()
        assert len(convert.events) == REQUESTS
        assert convert.duplicates() == 0


def test_what_an_endpoint_that_is_down_costs_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP.replace("KIND", "Client"))
    port = free_port()
    with site(dead) as convert:
        environ = {"SITE": convert.url, "SITE_KEY": KEY, "PYTHONPATH": f"{ROOT}:{tmp_path}", "SHUTDOWN": "1"}
        command = [sys.executable, "-m", "uvicorn", "shop:app", f"--port={port}", "--lifespan=off"]
        with server_program(*command, at=("127.0.0.1", port), env=environ) as uvicorn:
            track(port, 7)
            uvicorn.send(signal.SIGTERM)
            uvicorn.end()
            said = uvicorn.log()
    assert [line for line in said.splitlines() if "SIGTERM: 7 events could not be sent" in line], said
    assert said.count("could not be sent") == 1


def track(port: int, requests: int) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120, trust_env=False) as shop:
        for number in range(requests):
            assert shop.get(f"/v{number}").text == "True"
