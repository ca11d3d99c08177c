from __future__ import annotations

import pytest

from convert_sdk import Client
from convert_sdk.analysis import check
from convert_sdk.server import DEMO_SDK_KEY, LocalServer, ServedProject, demo_document
from tests.shapes import of

from .conftest import PLACE, Page, Served


def test_a_browser_gets_the_page_and_a_program_the_index(page: Page) -> None:
    opened = page.http.get("/", headers={"Accept": "text/html,*/*"})
    assert opened.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in opened.headers["content-security-policy"]
    assert "{{token}}" not in opened.text
    assert page.http.get("/").json()["projects"][0]["projectId"] == "10034190"


@pytest.mark.parametrize("path", ["../app.py", "..%2fapp.py", "nothing.js", "", ".hidden.js", "a//b.js"])
def test_only_files_of_the_page_are_served(page: Page, path: str) -> None:
    answer = page.http.get(f"/_page/{path}")
    assert answer.status_code == 404


def test_projects_and_their_figures(page: Page, shop: ServedProject) -> None:
    listed = page.http.get("/_api/projects").json()
    assert [each["place"] for each in listed["projects"]] == [PLACE]
    figures = page.get()
    assert figures["revision"] == shop.current.project.revision == listed["projects"][0]["revision"]
    assert figures["counts"]["experiences"] == len(shop.current.project.experiences)
    served = page.http.get(f"/config/{PLACE}")
    assert figures["etag"] == served.headers["etag"]


@pytest.mark.parametrize(
    "section", ["experiences", "audiences", "locations", "segments", "features", "goals"]
)
def test_lists_come_in_parts_and_every_row_has_its_details(page: Page, section: str) -> None:
    whole = page.get(f"/{section}")
    assert whole["matched"] == whole["total"] == len(whole["items"]) > 0
    assert page.get(f"/{section}", offset=1, limit=1)["items"] == whole["items"][1:2]
    for row in whole["items"]:
        detail = page.get(f"/{section}/{row['key']}")
        assert {key: detail[key] for key in ("kind", "key", "id", "name", "index")} == {
            key: row[key] for key in ("kind", "key", "id", "name", "index")
        }
        assert detail["raw"]["id"] == row["id"]
        assert detail["lines"]


def test_a_search_looks_into_what_an_experience_names(page: Page) -> None:
    keys = [row["key"] for row in page.get("/experiences", search="ALPINE")["items"]]
    assert keys == ["alpine-prices"]
    drafts = page.get("/experiences", status="draft")
    assert {row["status"] for row in drafts["items"]} == {"draft"}


def test_shares_of_the_traffic_and_rules_in_words(page: Page) -> None:
    detail = page.get("/experiences/checkout-layout")
    assert sum(arm["percent"] for arm in detail["variations"]) == detail["traffic"]
    tree = page.get("/audiences/alpine-countries")["rules"][0]
    leaf = tree["any_of"][0]["all_of"][0]["any_of"][0]
    assert leaf["key"] == "country"
    assert leaf["words"] in tree["words"]


def test_problems_stand_beside_what_they_concern(page: Page, shop: ServedProject) -> None:
    found = page.get("/problems")
    report = check(shop.current.project)
    assert found["counts"] == {severity.value: count for severity, count in report.counts().items()}
    assert found["items"] == [finding.to_dict() for finding in report.findings]
    for row in page.get("/experiences")["items"]:
        assert sum(row["problems"].values()) == len(report.of(f"experiences/{row['key']}"))


def test_names_that_lead_nowhere(page: Page) -> None:
    project = page.project
    missing = page.http.get(f"{project}/experiences/checkout-layuot")
    assert missing.status_code == 404
    assert missing.json()["near"] == ["checkout-layout"]
    assert page.http.get(f"{project}/things").status_code == 404
    assert page.http.get("/_api/projects/1/2").status_code == 404
    assert page.http.get(f"{project}/experiences?offset=x").status_code == 400


def test_a_key_that_a_path_cannot_hold(own: Served) -> None:
    document = of(dict, demo_document())
    of(list, document["experiences"])[0]["key"] = ".."
    own.shop.replace(document)
    assert own.page.get("/experiences/", key="..")["id"] == "100346001"
    assert own.page.http.get(f"{own.page.project}/experiences/").status_code == 404


def test_the_revision_that_clients_name_is_told(own: Served) -> None:
    """A draft is left out of what a client fetches, so that its document is another one."""
    with Client(DEMO_SDK_KEY, config_endpoint=own.server.url, trust_env=False) as client:
        assert client.wait_until_ready(60)
        assert client.project is not None
        fetched = client.project.revision
    assert own.page.get()["client_revision"] == fetched != own.page.get()["revision"]
    own.shop.replace(b'{"account_id": "10035569", "project": {"id": "10034190"}}')
    assert [each["client_revision"] for each in own.page.get("/revisions")["revisions"]][1] == fetched


def test_pages_of_other_origins_and_foreign_names_are_refused(page: Page, server: LocalServer) -> None:
    for path in ("/", "/_page/index.html", "/_api/projects", page.project):
        foreign = page.http.get(path, headers={"Origin": "http://evil.example"})
        assert foreign.status_code == 403
        rebound = page.http.get(path, headers={"Host": f"evil.example:{server.port}"})
        assert rebound.status_code == 403
