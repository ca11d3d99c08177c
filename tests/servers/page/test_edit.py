"""The view of editing, as a person uses it."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

pytest.importorskip("starlette", reason="needs the extra server")
from convert_sdk.server import DEMO_SDK_KEY, LocalServer, ServedProject, demo_document
from tests.servers.page.browser import Browser, Tab
from tests.servers.page.requests import CONVERT_SDK
from tests.servers.programs import free_port, server_program


def test_an_allocation_is_served_at_once_and_taken_back(tab: Tab, server: LocalServer) -> None:
    def allocations() -> list[object]:
        document = httpx.get(f"{server.url}/config/{DEMO_SDK_KEY}", timeout=120, trust_env=False).json()
        served = document["experiences"]
        return [arm["traffic_allocation"] for arm in served[0]["variations"]]

    before = allocations()
    tab.open("#/edit/checkout-layout")
    tab.sees("Allocation")
    tab.write("Share of original, per cent", "20")
    tab.write("Share of one-page, per cent", "80")
    tab.sees("one-page", within=".outcome")
    assert allocations() == before
    tab.click("button", "Serve it")
    tab.sees("Served as revision")
    assert allocations() == [20, 80]
    assert tab.focused() == "What it changes"  # the button can do nothing more
    tab.click("button", "Undo")
    tab.waits("document.querySelector('input[type=number]')?.value === '50'")
    assert allocations() == before


@pytest.mark.parametrize("typed", ["160", "-5", ""])
def test_a_share_that_is_none_is_refused_as_it_is_typed(tab: Tab, shop: ServedProject, typed: str) -> None:
    before = shop.current
    tab.open("#/edit/checkout-layout")
    tab.sees("Allocation")
    tab.write("Share of original, per cent", typed)
    tab.sees("A share is a number from 0 to 100", within=".outcome")
    tab.click("button", "Serve it")
    assert (
        tab.run("document.activeElement.ariaLabel") == "Share of original, per cent"
    )  # the browser says why
    assert shop.current is before
    tab.write("Share of original, per cent", "40")
    tab.sees("is 40 %", within=".outcome")


def test_shares_of_more_than_all_are_served_by_who_has_read_the_error(tab: Tab, shop: ServedProject) -> None:
    before = shop.current
    tab.open("#/edit/checkout-layout")
    tab.sees("Allocation")
    tab.write("Share of original, per cent", "80")
    tab.write("Share of one-page, per cent", "70")
    tab.sees("150 %", within=".outcome .bad")
    assert tab.page.get_by_role("button", name="Serve it", exact=True).count() == 0
    assert shop.current is before
    tab.click("button", "Serve it with its error")
    tab.sees("Served as revision")
    assert shop.current is not before


def test_a_status_and_audiences_are_edited(tab: Tab, shop: ServedProject) -> None:
    tab.open("#/edit/checkout-layout")
    tab.choose("Status", "paused")
    tab.page.get_by_label("Signed in").check()
    tab.sees("paused", within=".outcome")
    tab.click("button", "Serve it")
    tab.sees("Served as revision")
    tab.open("#/project/experiences/checkout-layout")
    tab.sees("paused", within=".detail")
    tab.sees("Signed in", within=".detail")


def test_the_document_is_checked_as_it_is_typed(tab: Tab) -> None:
    tab.open("#/edit/document")
    tab.waits("document.querySelector('textarea')?.value.length > 1000")
    good = tab.value("The document")
    tab.write("The document", good.replace('"account_id"', '"account_id', 1))
    tab.sees("It cannot be served")
    assert tab.page.get_by_role("button", name="Serve it").is_disabled()
    tab.click("button", tab.reads(".outcome button")[0])
    assert tab.run("document.activeElement.tagName") == "TEXTAREA"
    tab.write("The document", good.replace("Northpeak Outdoor", "Southpeak Outdoor"))
    tab.waits("!document.querySelector('button.main').disabled")
    tab.click("button", "Serve it")
    tab.sees("Southpeak Outdoor", within="header")


def test_what_is_being_edited_outlives_another_document(tab: Tab, shop: ServedProject) -> None:
    tab.open("#/edit/checkout-layout")
    tab.sees("live", within="header")
    tab.choose("Status", "paused")
    tab.sees("paused", within=".outcome")
    shop.replace(json.dumps(demo_document()).replace("Northpeak", "Southpeak").encode())
    tab.sees("Southpeak Outdoor", within="header")
    tab.click("button", "Serve it")
    tab.sees("Served as revision")
    served = json.loads(shop.current.source)
    assert served["project"]["name"] == "Southpeak Outdoor"
    assert served["experiences"][0]["status"] == "paused"


def test_a_text_that_is_not_served_yet_outlives_another_view(tab: Tab) -> None:
    tab.open("#/edit/document")
    tab.waits("document.querySelector('textarea')?.value.length > 1000")
    tab.write("The document", tab.value("The document").replace("Northpeak", "Southpeak"))
    tab.sees("Southpeak", within=".outcome")
    tab.open("#/faults")
    tab.sees("Truncated")
    tab.page.go_back()
    tab.sees("Southpeak", within=".outcome")
    assert "Southpeak" in tab.value("The document")
    tab.click("button", "Discard")
    assert "Northpeak" in tab.value("The document")


def test_a_file_that_changes_is_shown_and_compared(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "project.json"
    path.write_text(json.dumps(demo_document()), "utf-8")
    port = free_port()
    command = (*CONVERT_SDK, "serve", str(path), "--watch", "--port", str(port))
    with server_program(*command, at=("127.0.0.1", port)), browser.tab(f"http://127.0.0.1:{port}") as tab:
        tab.open("#/edit/checkout-layout")
        tab.sees("live", within="header")
        tab.choose("Status", "paused")
        tab.click("button", "Serve it")
        tab.sees("Served as revision")
        tab.click("button", "Save to project.json")
        tab.sees("Saved to")
        assert json.loads(path.read_text("utf-8"))["experiences"][0]["status"] == "paused"
        path.write_text("{ nothing", "utf-8")
        tab.sees("The file cannot be served")
        path.write_text(json.dumps(demo_document()), "utf-8")
        tab.sees("the file changed")
        tab.open("#/project/revisions")
        tab.sees("What changed", within=".detail")
        tab.sees("checkout-layout", within=".detail")
        tab.sees("Whom it moves", within=".detail")
