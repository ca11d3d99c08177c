"""`convert-sdk watch`: the files of running clients as a table."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import sys
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest

pytest.importorskip("typer", reason="needs the extra cli")
pytest.importorskip("starlette", reason="needs the extra server")
from convert_sdk import ANYWHERE, Client
from convert_sdk._delivery.status_report import GONE_AFTER, ReceivedReport
from convert_sdk.cli.watch import ClientRow
from convert_sdk.server import DEMO_SDK_KEY, Registry, demo_document, running
from tests import processes
from tests.waiting import PATIENCE, eventually

RUN = "from convert_sdk.cli import main; main()"
WIDE = {**os.environ, "COLUMNS": "200"}


def status_of_a_client(path: Path) -> None:
    registry = Registry()
    registry.add(demo_document(), sdk_key=DEMO_SDK_KEY)
    with running(registry) as server:
        url = server.url
        with Client(
            DEMO_SDK_KEY,
            config_endpoint=url,
            track_endpoint=url,
            status_file=str(path),
            start_wait=PATIENCE,
            shutdown_timeout=PATIENCE,
        ) as client:
            client.visitor("v-1", {"customer_group": "retail"}, location=ANYWHERE).decide_all()


def test_the_figures_once(tmp_path: Path) -> None:
    status_of_a_client(tmp_path / "one.json")
    status, out, _ = processes.finished(RUN, "watch", "--once", str(tmp_path / "*.json"), env=WIDE)
    assert status == 0
    assert "1 client, 0 events pending" in out
    assert f":{os.getpid()}" in out
    assert "closed" in out


def test_no_heading_is_cut_in_a_pipe(tmp_path: Path) -> None:
    status_of_a_client(tmp_path / "one.json")
    _, out, _ = processes.finished(RUN, "watch", "--once", str(tmp_path / "one.json"))
    assert "offered" in out
    assert "in flight" in out
    assert "visitors" in out


@pytest.mark.parametrize("columns", [120, 80, 40])
def test_a_terminal_of_any_width_shows_every_figure_by_its_name(tmp_path: Path, columns: int) -> None:
    status_of_a_client(tmp_path / "one.json")
    narrow = {**os.environ, "COLUMNS": str(columns), "FORCE_COLOR": "1", "TERM": "xterm"}
    _, out, _ = processes.finished(RUN, "watch", "--once", str(tmp_path / "one.json"), env=narrow)
    plain = re.sub("\x1b\\[[0-9;]*m", "", out)
    assert all(len(line) <= columns for line in plain.splitlines())
    words = " ".join(plain.split())
    for name in ("offered", "sent", "queued", "in flight", "dropped", "rejected", "retries", "visitors"):
        assert name in words
    assert "…" not in words


def test_json_for_tools_and_what_cannot_be_read(tmp_path: Path) -> None:
    status_of_a_client(tmp_path / "one.json")
    (tmp_path / "two.json").write_text("{")
    missing = str(tmp_path / "three.json")
    status, out, _ = processes.finished(RUN, "watch", "--json", str(tmp_path / "*.json"), missing)
    rows = json.loads(out)
    assert [each["state"] for each in rows] == ["closed", "cannot be read", "no file yet"]
    assert rows[0]["status"]["events"]["sent"] > 0
    assert status == 1


def test_a_client_is_gone_when_a_server_takes_it_for_gone() -> None:
    row = ClientRow("one.json", ReceivedReport({"at": 1000.0, "status": {"healthy": True}}))
    assert row.state(1000.0 + GONE_AFTER) == "healthy"
    assert row.state(1001.0 + GONE_AFTER) == f"silent for {GONE_AFTER + 1:.0f} s"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal of its own")
def test_a_terminal_shows_it_live_until_ctrl_c(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    status_of_a_client(path)
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(COLUMNS="200", TERM="xterm")
        os.execv(sys.executable, [sys.executable, "-c", RUN, "watch", "--every", "0.1", str(path)])  # noqa: S606
    shown = bytearray()

    def read() -> None:
        """A terminal that nobody reads would hold the process up."""
        with suppress(OSError):  # the other end is closed
            while part := os.read(terminal, 65_536):
                shown.extend(part)

    reading = Thread(target=read, daemon=True)
    reading.start()
    try:
        eventually(lambda: b"closed" in shown)
        report = json.loads(path.read_text())
        path.write_text(json.dumps({**report, "closed": False, "at": report["at"] - 60}))
        eventually(lambda: b"silent" in shown)
    finally:
        os.kill(child, signal.SIGINT)
        _, status = os.waitpid(child, 0)
        reading.join(PATIENCE)
        os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0
