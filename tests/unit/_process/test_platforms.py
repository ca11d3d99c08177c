"""A platform without forks, file locks and users, as Windows is: what works there, and what says that it cannot."""

from __future__ import annotations

import sys

from tests.processes import program

WITHOUT = """
import os, sys
for name in ("register_at_fork", "fork", "geteuid", "getuid", "O_NOFOLLOW", "O_NONBLOCK"):
    delattr(os, name)
os.supports_dir_fd.clear()
sys.modules["fcntl"] = None  # importing it fails
"""

IN_MEMORY = """
import json
from convert_sdk import ANYWHERE, Client, MemoryStore, Project, matches
from convert_sdk._core.decision import Reason
from tests.documents import document, every, experience, leaf, offline

rules = every(leaf("plan", "pro"))
assert matches(rules, {"plan": "pro"}) and not matches(rules, {"plan": "free"})
with offline(experience(), store=MemoryStore(), sink=print) as client:
    assert client.visitor("v-1").decide("checkout").reason is Reason.BUCKETED
"""

ONLINE = """
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from convert_sdk import Client
from convert_sdk.server import DEMO_SDK_KEY, Registry, demo_document, running

registry = Registry()
registry.add(demo_document(), sdk_key=DEMO_SDK_KEY)
with running(registry) as server, TemporaryDirectory() as cache:
    for _ in range(2):  # the second one reads what the first one wrote
        with Client(
            DEMO_SDK_KEY, config_endpoint=server.url, track_endpoint=server.url, cache_dir=cache, start_wait=120
        ) as client:
            assert client.visitor("v-1", location={"path": "/"}).decide("home-story")
            assert client.visitor("v-1").track("purchase")
            report = client.flush(120)
            assert (report.pending, report.dropped) == (0, 0)
    assert list(Path(cache).iterdir())
"""

SPOOL = """
from convert_sdk import Client, OptionError

try:
    Client("1/2", spool="events")
except OptionError as error:
    print(error)
"""

SPOOL_COMMAND = """
from pathlib import Path
from tempfile import TemporaryDirectory
from convert_sdk.cli import main

with TemporaryDirectory() as folder:
    (Path(folder) / "1%2F2").mkdir()
    (Path(folder) / "1%2F2" / "x.lock").touch()
    sys.argv = ["convert-sdk", "spool", "ls", folder]
    main()
"""


def run_without(script: str) -> tuple[int, str, str]:
    with program(sys.executable, "-c", WITHOUT + script) as child:
        ended = child.end()
        return ended.status, ended.out, ended.err


def test_deciding_and_rules_need_none_of_them() -> None:
    status, out, err = run_without(IN_MEMORY)
    assert (status, err) == (0, "")
    assert '"eventType":"bucketing"' in out


def test_a_client_fetches_delivers_and_keeps_the_document() -> None:
    status, _, err = run_without(ONLINE)
    assert status == 0, err


def test_a_spool_says_in_one_line_that_it_cannot() -> None:
    status, out, err = run_without(SPOOL)
    assert (status, out, err) == (
        0,
        "spool needs file locks, which this platform does not have (fcntl)\n",
        "",
    )


def test_the_command_line_says_so_too() -> None:
    status, _, err = run_without(SPOOL_COMMAND)
    assert (status, err) == (
        1,
        "error: a spool needs file locks, which this platform does not have (fcntl)\n",
    )
