from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

from convert_sdk import Client
from convert_sdk.server import demo_document
from convert_sdk.server.revisions import MAX_REVISIONS
from tests.waiting import PATIENCE, eventually

from .conftest import PLACE, Served

CHECKOUT = {"experience": "checkout-layout"}


def edit(own: Served, **changes: object) -> httpx.Response:
    return own.page.change("POST", f"{own.page.project}/edits", {**CHECKOUT, **changes})


def put(own: Served, document: object, **headers: str) -> httpx.Response:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return own.page.change("PUT", f"{own.page.project}/document", body, **headers)


def experience(own: Served) -> dict[str, Any]:
    listed = own.page.http.get(f"/config/{PLACE}").json()["experiences"]
    found: dict[str, Any] = next(each for each in listed if each["key"] == "checkout-layout")
    return found


def test_an_allocation_is_served_at_once_under_a_new_etag(own: Served) -> None:
    before = own.page.http.get(f"/config/{PLACE}").headers["etag"]
    told = edit(own, allocation={"1003460011": 30, "one-page": 70}).json()
    served = own.page.http.get(f"/config/{PLACE}", headers={"If-None-Match": before})
    assert (served.status_code, served.headers["etag"]) == (200, told["etag"])
    assert [arm["traffic_allocation"] for arm in experience(own)["variations"]] == [30, 70]
    assert "experience checkout-layout: traffic of one-page was 50 %, is 70 %" in told["changes"]
    assert told["can_undo"] is True


def test_status_audiences_and_matching(own: Served) -> None:
    told = edit(own, status="paused", audiences=["alpine-countries"], match="all").json()
    assert told["by"] == "page"
    detail = own.page.get("/experiences/checkout-layout")
    assert (detail["status"], detail["match"]) == ("paused", "all")
    assert [each["key"] for each in detail["uses"] if each["kind"] == "audience"] == ["alpine-countries"]
    assert edit(own, variation_status={"one-page": "stopped"}).status_code == 200
    assert own.page.get("/experiences/checkout-layout")["variations"][1]["status"] == "stopped"


def test_a_connected_client_decides_with_what_was_edited(own: Served) -> None:
    url = own.server.url
    with Client(PLACE, config_endpoint=url, track_endpoint=url, refresh_interval=0.1) as client:
        facts = {"customer_group": "retail"}
        assert client.wait_until_ready(PATIENCE)
        edit(own, allocation={"original": 0, "one-page": 100}, locations=[])
        eventually(
            lambda: (
                {client.visitor(f"v-{n}", facts).peek("checkout-layout").variation_key for n in range(10)}
                <= {"one-page", None}
            )
        )


def test_undo_goes_back_step_by_step(own: Served) -> None:
    first = own.shop.current.name
    edit(own, status="paused")
    second = own.shop.current.name
    edit(own, status="draft")
    undo = f"{own.page.project}/undo"
    assert [own.page.change("POST", undo).json()["revision"] for _ in range(2)] == [second, first]
    refused = own.page.change("POST", undo)
    assert (refused.status_code, own.shop.current.name) == (409, first)
    kinds = [each["by"] for each in own.page.get("/revisions")["revisions"]]
    assert kinds == ["undo", "undo", "page", "page", "start"]


def test_a_text_is_validated_without_being_served(own: Served) -> None:
    before = own.shop.current.name
    document = demo_document()
    changed = json.dumps({**document, "goals": []}).encode()
    found = own.page.ask_text("/validate", changed)
    assert found["ok"] is True
    assert found["changes"]
    broken = own.page.ask_text("/validate", b'{\n "account_id": "1",,\n}')
    assert (broken["ok"], broken["error"]["line"], broken["error"]["column"]) == (False, 2, 20)
    foreign = own.page.ask_text("/validate", json.dumps({**document, "account_id": "1"}).encode())
    assert "another project" in foreign["error"]["message"]
    assert own.shop.current.name == before


def test_a_text_is_served_as_it_is_written(own: Served) -> None:
    text = json.dumps({**demo_document(), "archived_experiences": ["100346001"]}, indent=4).encode()
    told = put(own, text).json()
    raw = own.page.http.get(f"{own.page.project}/document?download=1")
    assert raw.content == text
    assert raw.headers["etag"] == f'"{told["revision"]}"'
    assert "attachment" in raw.headers["content-disposition"]
    edit(own, status="paused")
    assert own.shop.current.source.startswith(b'{\n    "account_id"')  # the indentation stays


def test_what_is_no_document_of_the_project_is_not_served(own: Served) -> None:
    before = own.shop.current
    other = b'{"account_id": "10035569", "project": {"id": "9"}}'
    for text in (b"", b"[]", b'{"account_id": "1"}', b"\xff\xfe", other):
        refused = put(own, text)
        assert refused.status_code == 422
        assert {"code", "message", "path", "line", "column"} <= refused.json().keys()
    assert own.shop.current is before


def test_two_who_edit_at_once(own: Served) -> None:
    first = own.shop.current.name
    edit(own, status="paused")
    late = put(own, demo_document(), **{"If-Match": f'"{first}"'})
    assert (late.status_code, late.json()["revision"]) == (409, own.shop.current.name)
    assert edit(own, status="draft", revision=first).status_code == 409


def test_edits_that_cannot_be_made(own: Served) -> None:
    before = own.shop.current
    for changes, status in (
        ({"status": "hopeful"}, 400),
        ({"allocation": {"one-page": 101}}, 400),
        ({"allocation": {"one-page": "x"}}, 400),
        ({"allocation": {"two-page": 1}}, 404),
        ({"audiences": ["nobody"]}, 404),
        ({"experience": "checkout-layuot"}, 404),
        ({"colour": "red"}, 400),
        ({"match": "none"}, 400),
    ):
        assert edit(own, **changes).status_code == status, changes
    assert own.page.http.post(f"{own.page.project}/edits", json=CHECKOUT).status_code == 403
    assert own.shop.current is before
    dry = own.page.change("POST", f"{own.page.project}/edits?dry=1", {**CHECKOUT, "status": "paused"})
    assert dry.json()["changes"] == ["experience checkout-layout: status was active, is paused"]
    assert own.shop.current is before


def test_a_document_is_saved_to_its_file(own: Served, tmp_path: Path) -> None:
    save = f"{own.page.project}/save"
    assert own.page.change("POST", save).status_code == 409
    own.shop.file = tmp_path / "shop.json"
    own.shop.file.write_text("{}")
    own.shop.file.chmod(0o640)
    edit(own, status="paused")
    told = own.page.change("POST", save).json()
    assert told["bytes"] == own.shop.file.stat().st_size
    assert own.shop.file.read_bytes() == own.shop.current.source
    assert own.shop.file.stat().st_mode & 0o777 == 0o640


def test_revisions_and_their_difference(own: Served) -> None:
    first = own.shop.current.name
    edit(own, allocation={"original": 0, "one-page": 100}, locations=[], audiences=[])
    second = own.shop.current.name
    edit(own, status="paused")
    found = own.page.get(f"/revisions/{second}/diff", visitors=50)
    assert (found["from"], found["to"], found["visitors"]) == (first, second, 50)
    assert found["switching"] > 0
    assert any("traffic of one-page" in each["words"] for each in found["changes"])
    whole = own.page.get(f"/revisions/{own.shop.current.name}/diff?from={first}&visitors=0")
    assert any(each["what"] == "status" for each in whole["changes"])
    old = own.page.http.get(f"{own.page.project}/revisions/{first}/document")
    assert old.json() == demo_document()
    assert own.page.http.get(f"{own.page.project}/revisions/nothing/diff").status_code == 404


def test_only_so_many_revisions_are_kept(own: Served) -> None:
    for number in range(MAX_REVISIONS + 5):
        document = demo_document()
        document["goals"] = [{"id": str(number), "key": f"goal-{number}"}]
        own.shop.replace(document)
    assert len(own.page.get("/revisions")["revisions"]) == MAX_REVISIONS
