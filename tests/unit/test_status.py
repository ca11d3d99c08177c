from __future__ import annotations

import json

import pytest

from convert_sdk import Counts, FlushReport, Status
from convert_sdk._core.events import Event
from convert_sdk.status import DeliveryError, DropReason, EndpointState, RejectedEvent

GOOD = Status("6bf257005086", age=1.0, worker_alive=True)


@pytest.mark.parametrize(
    ("status", "healthy"),
    [
        (GOOD, True),
        (GOOD._replace(revision=None), False),
        (GOOD._replace(stale=True), False),
        (GOOD._replace(worker_alive=False), False),
        (GOOD._replace(worker_alive=False, offline=True), True),
        (GOOD._replace(endpoint=EndpointState.DENIED), False),
        (GOOD._replace(endpoint=EndpointState.RETRYING), True),
        (GOOD._replace(failing_for=60.0), True),
        (GOOD._replace(failing_for=60.1), False),
        (GOOD._replace(started=False, revision=None, worker_alive=False), True),
    ],
)
def test_what_is_healthy(status: Status, healthy: bool) -> None:
    assert status.healthy is healthy


def test_json_has_everything_and_names_no_visitor() -> None:
    error = DeliveryError(400, 12, "events[0]")
    event = Event("id-1", "s3cret", '{"a": "s3cret"}', {"country": "s3cret"})
    status = GOOD._replace(
        events=Counts(offered=3, rejected=1, queued=2),
        dropped={DropReason.FULL: 4},
        last_error=error,
        rejected=(RejectedEvent(event, error),),
        incidents={"store": 1},
    )
    found = json.loads(status.to_json())
    assert found == status.to_dict()
    assert set(found) == {*Status._fields, "ready", "healthy"}
    assert (found["ready"], found["healthy"], found["endpoint"]) == (True, True, "ok")
    assert (found["events"]["pending"], found["dropped"], found["incidents"]) == (
        2,
        {"full": 4},
        {"store": 1},
    )
    assert found["rejected"] == [{"uuid": "id-1", "status": 400, "code": 12, "message": "events[0]"}]
    assert "s3cret" not in status.to_json()
    assert json.loads(Status(None).to_json())["last_error"] is None


def test_a_flush_report_is_three_figures() -> None:
    report = FlushReport(2, 1, 0)
    assert report.to_dict() == {"sent": 2, "pending": 1, "dropped": 0}
    assert json.loads(report.to_json()) == report.to_dict()


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (GOOD, "worker    running"),
        (GOOD._replace(worker_alive=False), "worker    not running"),
        (GOOD._replace(started=False), "worker    not started yet"),
        (GOOD._replace(offline=True), "visitors  0 remembered"),
    ],
)
def test_the_last_line_is_about_the_worker(status: Status, line: str) -> None:
    assert str(status).splitlines()[-1] == line
