from __future__ import annotations

import json
import time
from email.utils import parsedate_to_datetime
from threading import Thread
from typing import Any

import httpx
import pytest

from convert_sdk import Client
from tests.waiting import PATIENCE, eventually

from .conftest import PLACE, Served

CONFIG = f"/config/{PLACE}"


def switch(own: Served, endpoint: str = "config", **kinds: object) -> Any:
    answer = own.page.change("PUT", "/_api/faults", {endpoint: kinds})
    assert answer.status_code == 200, answer.text
    return answer.json()


def fault(own: Served, kind: str, endpoint: str = "config") -> dict[str, Any]:
    listed = own.page.http.get("/_api/faults").json()[endpoint]
    found: dict[str, Any] = next(each for each in listed if each["kind"] == kind)
    return found


def test_switches_need_the_token(own: Served) -> None:
    body = {"config": {"error": {"on": True}}}
    assert own.page.http.put("/_api/faults", json=body).status_code == 403
    wrong = {"Convert-Page-Token": "x" * 32}
    assert own.page.http.put("/_api/faults", json=body, headers=wrong).status_code == 403
    assert own.page.http.get(CONFIG).status_code == 200


def test_every_fault_is_counted_and_ends_after_so_many_requests(own: Served) -> None:
    switch(own, error={"on": True, "value": 502, "left": 2})
    assert [own.page.http.get(CONFIG).status_code for _ in range(3)] == [502, 502, 200]
    found = fault(own, "error")
    assert (found["hits"], found["on"], found["left"]) == (2, False, 0)
    entries = own.page.get("/entries", kind="config")["rows"]
    assert [(each["status"], each["fault"]) for each in entries] == [
        (200, None),
        (502, "error"),
        (502, "error"),
    ]
    own.page.change("POST", "/_api/faults/reset")
    assert fault(own, "error")["hits"] == 0


def test_answers_that_refuse_break_or_lie(own: Served) -> None:
    http = own.page.http
    whole = http.get(CONFIG)
    switch(own, too_many={"on": True, "value": 7})
    assert (http.get(CONFIG).status_code, http.get(CONFIG).headers["retry-after"]) == (429, "7")
    switch(own, too_many={"on": False}, truncated={"on": True})
    assert http.get(CONFIG).content == whole.content[: len(whole.content) // 2]
    switch(own, truncated={"on": False}, garbage={"on": True})
    with pytest.raises(json.JSONDecodeError):
        json.loads(http.get(CONFIG).text)
    switch(own, garbage={"on": False}, redirect={"on": True, "value": "/config/elsewhere"})
    assert http.get(CONFIG).headers["location"] == "/config/elsewhere"
    switch(own, redirect={"on": False}, etag={"on": True})
    tags = [http.get(CONFIG).headers["etag"] for _ in range(2)]
    assert len({*tags, whole.headers["etag"]}) == 3
    switch(own, etag={"on": False}, clock_skew={"on": True, "value": 86_400})
    ahead = parsedate_to_datetime(http.get(CONFIG).headers["date"]).timestamp() - time.time()
    assert 86_000 < ahead < 87_000
    assert len(http.get(CONFIG).headers.get_list("date")) == 1


def test_an_answer_that_is_late(own: Served) -> None:
    switch(own, latency={"on": True, "value": 0.2})
    started = time.monotonic()
    assert own.page.http.get(CONFIG).status_code == 200
    assert time.monotonic() - started >= 0.2


def test_a_hanging_request_goes_on_once_the_switch_is_off(own: Served) -> None:
    switch(own, hang={"on": True})
    answers: list[int] = []

    def ask() -> None:
        answers.append(httpx.get(f"{own.server.url}{CONFIG}", trust_env=False, timeout=PATIENCE).status_code)

    asking = Thread(target=ask)
    asking.start()
    eventually(lambda: fault(own, "hang")["hits"] == 1)
    switch(own, hang={"on": False})
    asking.join(PATIENCE)
    assert answers == [503]


def test_the_server_stops_while_requests_hang(own: Served) -> None:
    switch(own, hang={"on": True})
    asking = Thread(target=lambda: httpx.get(f"{own.server.url}{CONFIG}", trust_env=False, timeout=PATIENCE))
    asking.start()
    eventually(lambda: fault(own, "hang")["hits"] == 1)
    own.server.stop()
    asking.join(PATIENCE)
    assert not asking.is_alive()


def test_a_client_gets_everything_through_in_spite_of_faults(own: Served) -> None:
    own.server.faults.switch({"track": {"error": {"on": True, "left": 2}}})
    url = own.server.url
    with Client(
        PLACE,
        config_endpoint=url,
        track_endpoint=url,
        flush_interval=0.05,
        start_wait=PATIENCE,
        shutdown_timeout=PATIENCE,
    ) as client:
        for number in range(20):
            client.visitor(
                f"v-{number}", {"customer_group": "retail"}, location={"path": "/checkout"}
            ).decide_all()
        eventually(lambda: client.status().events.pending == 0)
        offered = client.status().events.offered
    assert own.shop.record.summary().received == offered > 0
    assert fault(own, "error", "track")["hits"] == 2


UNUSABLE: list[object] = [
    {"config": {"error": {"value": 200}}},
    {"config": {"latency": {"value": -1}}},
    {"config": {"latency": {"value": "x"}}},
    {"config": {"latency": {"share": 2}}},
    {"config": {"latency": {"left": 1.5}}},
    {"config": {"latency": {"on": 1}}},
    {"config": {"latency": {"colour": 1}}},
    {"config": {"redirect": {"value": "//evil.example"}}},
    {"config": {"redirect": {"value": "/a\r\nSet-Cookie: x"}}},
    {"config": {"hope": {}}},
    {"track": {"etag": {}}},
    {"elsewhere": {}},
    {"config": []},
]


def test_switches_that_cannot_be_used(own: Served) -> None:
    for body in UNUSABLE:
        answer = own.page.change("PUT", "/_api/faults", body)
        assert answer.status_code == 400, body
        assert answer.json()["message"]
    assert own.page.http.get(CONFIG).status_code == 200
