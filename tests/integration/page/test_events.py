from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from convert_sdk.server.activity import MAX_BODIES, MAX_ENTRIES

from .conftest import PLACE, Served
from .streams import stream

CHECKOUT, ORIGINAL, ONE_PAGE = "100346001", "1003460011", "1003460012"


def exposure(variation: str = ORIGINAL, experience: str = CHECKOUT) -> dict[str, Any]:
    return {"eventType": "bucketing", "data": {"experienceId": experience, "variationId": variation}}


def purchase(served: Served, *data: dict[str, Any]) -> dict[str, Any]:
    goal = next(iter(served.shop.current.project.goals))
    more = {"goalData": [*data]} if data else {}
    return {"eventType": "conversion", "data": {"goalId": goal.id, **more}}


def track(served: Served, visitor: str, *events: object, client: str = "", packed: bool = False) -> int:
    body = json.dumps({"enrichData": True, "visitors": [{"visitorId": visitor, "events": events}]}).encode()
    headers = {"Content-Type": "application/json", **({"Convert-Client": client} if client else {})}
    if packed:
        body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
    return served.page.http.post(f"/track/{PLACE}", content=body, headers=headers).status_code


def rows(served: Served, **query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = served.page.get("/entries", **query)["rows"]
    return found


def test_the_stream_shows_what_comes(own: Served) -> None:
    path = f"{own.page.project}/stream"
    with stream(own.page.http, path) as live:
        assert live.next("revision")["revision"] == own.shop.current.name
        assert live.next("totals")["received"] == 0
        track(own, "v-1", exposure(), purchase(own))
        found = live.rows(3)
        assert [each["kind"] for each in found] == ["exposure", "conversion", "track"]
        assert {each["request"] for each in found} == {found[0]["request"]}
        assert (found[0]["visitor"], found[0]["experience"]) == ("v-1", "checkout-layout")
        assert found[2]["events"] == 2
        assert live.next("totals")["received"] == 2
        own.shop.replace({**own.shop.current.raw, "archived_experiences": [CHECKOUT]})
        assert live.next("revision")["by"] == "program"
    with stream(own.page.http, path, since="1") as again:
        assert [each["seq"] for each in again.rows(2)] == [2, 3]


def test_a_stream_is_filtered(own: Served) -> None:
    with stream(own.page.http, f"{own.page.project}/stream", visitor="v-2", kind="exposure") as live:
        live.next("revision")
        track(own, "v-1", exposure())
        track(own, "v-2", exposure(), purchase(own))
        assert [each["visitor"] for each in live.rows(1)] == ["v-2"]


def test_entries_are_filtered_by_what_they_are_about(own: Served) -> None:
    goal = next(iter(own.shop.current.project.goals))
    own.page.http.get(f"/config/{PLACE}", params={"environment": "staging"})
    track(own, "v-1", exposure(ONE_PAGE), purchase(own))
    track(own, "v-2", exposure("1", "2"))
    assert [each["kind"] for each in rows(own)] == [
        *("track", "exposure", "track", "conversion", "exposure", "config")
    ]
    assert [each["visitor"] for each in rows(own, experience="checkout-layout")] == ["v-1", "v-1"]
    assert [each["goal"] for each in rows(own, goal=goal.key)] == [goal.key]
    assert [each["environment"] for each in rows(own, kind="config")] == ["staging"]
    assert [(each["experience"], each["experience_id"]) for each in rows(own, experience="2")] == [
        (None, "2")
    ]
    last = rows(own)[0]["seq"]
    assert [each["seq"] for each in rows(own, before=str(last), limit="2")] == [last - 1, last - 2]
    assert own.page.http.get(f"{own.page.project}/entries?kind=hope").status_code == 400


def test_refused_requests_say_the_path(own: Served) -> None:
    assert track(own, "v-1", {"eventType": "bucketing", "data": {"experienceId": "1"}}) == 400
    assert own.page.http.get("/config/nobody").status_code == 401
    unknown, refused = rows(own, kind="refused")
    assert refused["path"] == "$.visitors[0].events[0].data.variationId"
    assert (unknown["status"], unknown["path"]) == (401, None)
    body = own.page.http.get(f"/_api/requests/{refused['request']}/body").json()
    assert json.loads(body["text"])["visitors"][0]["visitorId"] == "v-1"
    assert own.page.get("/totals")["refused"] == 1


def test_a_body_is_shown_as_it_came(own: Served) -> None:
    track(own, "v-1", exposure(), packed=True)
    entry = rows(own, kind="track")[0]
    body = own.page.http.get(f"/_api/requests/{entry['request']}/body").json()
    assert (body["encoding"], body["target"], body["truncated"]) == ("gzip", f"/track/{PLACE}", False)
    assert json.loads(body["text"])["visitors"][0]["events"] == [exposure()]
    assert own.page.http.get("/_api/requests/999/body").status_code == 404


def test_a_repeated_exposure_is_told_apart(own: Served) -> None:
    track(own, "v-1", exposure())
    track(own, "v-1", exposure())
    assert [each["repeated"] for each in rows(own, kind="exposure")] == [True, False]


def test_sums_have_intervals_and_the_sample_ratio(own: Served) -> None:
    for number in range(40):
        arm = (ORIGINAL, ONE_PAGE)[number % 2]
        bought = [purchase(own)] if number % 4 < (2 if arm == ORIGINAL else 4) and number % 3 else []
        track(own, f"v-{number}", exposure(arm), *bought)
    sums = own.page.get("/totals")
    experience = sums["experiences"][0]
    told = (experience["key"], experience["exposures"], experience["verdict"])
    assert told == ("checkout-layout", 40, "fits")
    assert experience["p"] == pytest.approx(1.0)
    control, other = (arm["goals"][0] for arm in experience["variations"])
    assert control["rate_interval"][0] < control["rate"] < control["rate_interval"][1]
    assert control["uplift"] is None
    low, high = other["uplift"]["rate_interval"]
    assert low < other["uplift"]["rate"] < high


def test_one_exposure_says_nothing_of_the_allocation(own: Served) -> None:
    track(own, "v-1", exposure())
    experience = own.page.get("/totals")["experiences"][0]
    assert (experience["p"], experience["verdict"]) == (None, "too_few")


def test_only_the_last_entries_and_bodies_are_kept(own: Served) -> None:
    activity = own.registry.activity
    for _ in range(MAX_ENTRIES // 100 + 1):
        track(own, "v", *([exposure()] * 100))
    assert (activity.newest - activity.oldest + 1, activity.oldest > 1) == (MAX_ENTRIES, True)
    with stream(own.page.http, f"{own.page.project}/stream", since="0") as live:
        assert live.next("rows")["skipped"] == activity.oldest - 1
    for _ in range(MAX_BODIES):
        track(own, "v", exposure())
    assert own.page.http.get("/_api/requests/1/body").status_code == 404


def test_clearing_needs_the_token_and_forgets(own: Served) -> None:
    track(own, "v-1", exposure())
    path = f"{own.page.project}/clear"
    refused = own.page.http.post(path)
    assert refused.status_code == 403
    assert "reload the page" in refused.json()["message"]
    assert own.page.change("POST", path).json() == {"cleared": True}
    assert (rows(own), own.page.get("/totals")["received"]) == ([], 0)


def report(own: Served, client: str, **events: int) -> int:
    counts = {"offered": 0, "sent": 0, "pending": 0, "in_flight": 0, "dropped": 0, "rejected": 0, **events}
    body = {"pid": 1, "uptime": 0.0, "status": {"events": {**counts, "deduplicated": 0}}}
    path = f"/_status/{PLACE}"
    return own.page.http.post(path, json=body, headers={"Convert-Client": client}).status_code


def test_clients_say_how_much_they_sent(own: Served) -> None:
    assert report(own, "c-1", offered=3, pending=3) == 200
    assert own.page.get("/clients")["clients"][0]["words"] == "in flight 3"
    track(own, "v-1", exposure(), purchase(own), client="c-1")
    report(own, "c-1", offered=3, sent=2, pending=1)
    client = own.page.get("/clients")["clients"][0]
    assert (client["received"], client["difference"], client["verdict"]) == (2, 1, "in_flight")
    track(own, "v-1", purchase(own), client="c-1")
    report(own, "c-1", offered=3, sent=3)
    assert own.page.get("/totals")["clients"]["words"] == "the difference is 0"
    report(own, "c-1", offered=5, sent=5)
    assert own.page.get("/clients")["clients"][0]["words"] == "the server lacks 2"


def test_a_page_of_another_origin_cannot_report(own: Served) -> None:
    headers = {"Convert-Client": "c-1", "Origin": "http://evil.example"}
    answer = own.page.http.post(f"/_status/{PLACE}", json={}, headers=headers)
    assert answer.status_code == 403
    assert own.page.http.post(f"/_status/{PLACE}", json={}).status_code == 404
    long = {"status": "x" * 100_000}
    answer = own.page.http.post(f"/_status/{PLACE}", json=long, headers={"Convert-Client": "c-1"})
    assert answer.status_code == 413
