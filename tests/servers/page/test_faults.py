"""The view of faults, as a person uses it."""

from __future__ import annotations

import subprocess
from shutil import which

import httpx
import pytest

pytest.importorskip("starlette", reason="needs the extra server")
from convert_sdk.server import LocalServer
from tests.servers.page.browser import Tab
from tests.servers.page.requests import SHOWN, body, track


def test_faults_are_switched_on_counted_and_reset(tab: Tab, server: LocalServer) -> None:
    tab.open("#/faults")
    tracking = tab.page.get_by_role("region", name="Tracking")
    tracking.get_by_role("switch", name="Server error").check()
    tab.sees("1 on", within="nav")
    assert track(server, body("v-1", SHOWN)).status_code == 503
    tab.sees("1 time", within="main")
    tab.click("button", "All off, counters to 0")
    tab.waits("document.querySelectorAll('.fault.on').length === 0")
    assert track(server, body("v-1", SHOWN)).status_code == 200


@pytest.mark.skipif(which("curl") is None or which("sh") is None, reason="needs curl in a shell")
def test_the_commands_for_the_api_work_as_they_stand(tab: Tab, server: LocalServer) -> None:
    tab.open("#/faults")
    tab.sees("By API")
    tab.click("button", "Copy")
    tab.sees("Copied, with the token")
    for command in (tab.reads("main pre")[0], tab.run("navigator.clipboard.readText()")):
        subprocess.run(["sh", "-c", command], check=True, capture_output=True, timeout=60)
        faults = httpx.get(f"{server.url}/_api/faults", timeout=120, trust_env=False).json()["track"]
        error = next(each for each in faults if each["kind"] == "error")
        assert (error["on"], error["left"]) == (True, 10)
        assert track(server, body("v-1", SHOWN)).status_code == 503
        server.faults.reset()
