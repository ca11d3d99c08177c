from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from convert_sdk import Counts, Status
from convert_sdk._delivery.status_report import ReceivedReport, StatusReport
from convert_sdk._version import __version__
from convert_sdk.options import Options
from convert_sdk.status import DeliveryError

COUNTS = Counts(28, 1, 2, 3, 4, 5, 6, 7)
STATUS = Status(
    "6bf257005086",
    age=1.0,
    events=COUNTS,
    retries=8,
    last_error=DeliveryError(400, 12, "events[0]"),
    fetch_error="HTTP 503",
    incidents={"store": 1, "spool": 2},
    visitors=9,
    worker_alive=True,
)


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    written = StatusReport(Options(status_file=str(path)), lambda kind, text: pytest.fail(f"{kind}: {text}"))
    written.status = lambda: STATUS
    written.closed = True
    written.send()
    read = ReceivedReport(json.loads(path.read_text("utf-8")))
    assert read.client == written.client_id
    assert [*read.about.values()] == [os.getpid(), socket.gethostname(), __version__, "python"]
    assert (read.closed, read.healthy, read.revision) == (True, True, STATUS.revision)
    assert {name: read.events(name) for name in Counts._fields} == COUNTS._asdict()
    assert read.events("pending") == COUNTS.pending
    assert (read.figure("retries"), read.figure("visitors")) == (8, 9)
    assert [*read.errors()] == ["HTTP 503", "tracking: 400 events[0]", "store 1, spool 2"]
    assert None not in (read.at, read.uptime)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"status": 5, "at": "now", "uptime": True, "closed": "yes"},
        {
            "status": {
                "events": 5,
                "healthy": 1,
                "revision": 7,
                "fetch_error": 5,
                "incidents": [],
                "retries": "2",
            }
        },
        {"status": {"events": {"sent": "many"}, "retries": True, "last_error": "broken"}},
    ],
)
def test_what_is_of_another_kind_counts_as_not_told(content: dict[str, object]) -> None:
    read = ReceivedReport(content)
    assert (read.closed, read.healthy, read.revision, read.at, read.uptime) == (
        False,
        False,
        None,
        None,
        None,
    )
    assert (read.events("sent"), read.figure("retries"), [*read.errors()]) == (0, 0, [])
