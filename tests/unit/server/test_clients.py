from __future__ import annotations

import pytest

pytest.importorskip("starlette", reason="needs the extra server")
from convert_sdk._delivery.status_report import GONE_AFTER
from convert_sdk.server.activity import Activity
from convert_sdk.server.clients import ClientVerdict, ConnectedClients

PLACE = "1/2"


class Ends:
    """A server and one client, with a clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.activity = Activity(lambda: self.now)
        self.clients = ConnectedClients(self.activity, lambda: self.now)

    def receive(self, events: int, client: str = "c-1") -> None:
        self.activity.note_received(self.activity.open(PLACE, client), events)

    def report(self, uptime: float = 0.0, *, closed: bool = False, **events: int) -> None:
        status = {"events": events}
        self.clients.report(PLACE, "c-1", {"status": status, "uptime": uptime, "closed": closed})

    def words(self) -> str:
        return self.clients.totals(PLACE).words


def test_a_report_that_is_older_than_the_events_is_no_difference() -> None:
    ends = Ends()
    ends.report(offered=5, pending=5)
    ends.receive(8)
    assert ends.clients.totals(PLACE).verdict is ClientVerdict.IN_FLIGHT
    ends.now += 2
    ends.report(offered=8, sent=8)
    assert ends.words() == "the difference is 0"


def test_events_that_came_twice_are_told() -> None:
    ends = Ends()
    ends.receive(10)
    ends.now += 2
    ends.report(offered=5, sent=5)
    assert ends.words() == "the server has 5 more"


def test_dropped_and_rejected_events_are_not_to_arrive() -> None:
    ends = Ends()
    ends.receive(5)
    ends.report(offered=10, sent=5, dropped=2, rejected=2, deduplicated=1)
    assert ends.words() == "the difference is 0"


def test_a_client_from_before_the_server_counts_from_its_first_report() -> None:
    ends = Ends()
    ends.now += 10
    ends.report(uptime=500.0, offered=103, sent=100, pending=3)
    assert ends.words() == "in flight 3"
    ends.receive(3)
    ends.report(uptime=501.0, offered=103, sent=103)
    assert ends.words() == "the difference is 0"


def test_counting_begins_anew_when_the_record_is_cleared() -> None:
    ends = Ends()
    ends.receive(5)
    ends.report(offered=5, sent=5)
    ends.activity.clear()
    ends.clients.clear(PLACE)
    assert ends.words() == "the difference is 0"
    ends.receive(2)
    ends.report(offered=7, sent=7)
    assert ends.words() == "the difference is 0"


def test_a_client_is_gone_when_it_is_closed_or_silent() -> None:
    ends = Ends()
    ends.report(offered=1, pending=1)
    assert ends.clients.listed(PLACE)[0]["gone"] is False
    ends.now += GONE_AFTER + 1
    assert ends.clients.listed(PLACE)[0]["gone"] is True
    ends.report(closed=True)
    assert (ends.clients.listed(PLACE)[0]["gone"], ends.clients.listed(PLACE)[0]["closed"]) == (True, True)


def test_what_is_no_status_is_survived() -> None:
    ends = Ends()
    for body in ({}, {"status": 5}, {"status": {"events": {"sent": "many"}}}, {"uptime": "long"}):
        ends.clients.report(PLACE, "c-1", body)
    assert ends.words() == "the difference is 0"
