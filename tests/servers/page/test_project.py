"""The view of the project, as a person uses it."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("starlette", reason="needs the extra server")
from convert_sdk.server import ServedProject, demo_document
from tests.servers.page.browser import Tab
from tests.waiting import eventually


def test_the_project_is_listed_and_an_experience_is_read_in_words(tab: Tab) -> None:
    tab.open()
    tab.sees("Northpeak Outdoor")
    tab.click(
        "link",
        "Checkout on one page active checkout-layout 100 % of its audience original 50 %, one-page 50 %",
    )
    tab.sees("path begins with", within=".detail")
    tab.sees("Everybody but staff", within=".detail")
    assert tab.run("location.hash") == "#/project/experiences/checkout-layout"
    tab.click("link", "checkout", within=".detail")
    tab.sees("express_payment", within=".detail")
    tab.page.go_back()
    tab.sees("path begins with", within=".detail")


def test_a_search_narrows_the_list_and_stands_in_the_address(tab: Tab) -> None:
    tab.open()
    tab.write("Search", "alpine")
    tab.sees("1 of 8 experiences")
    assert tab.reads(".item code") == ["alpine-prices"]
    assert "search=alpine" in tab.run("location.hash")


def test_arrow_keys_move_through_the_list(tab: Tab) -> None:
    tab.open()
    tab.sees("New navigation")
    tab.page.locator("a.item").first.focus()
    tab.press("ArrowDown")
    assert tab.focused().startswith("Prices for the Alps")
    tab.press("End")
    assert tab.focused().startswith("Winter banner")
    tab.press("Enter")
    tab.sees("winter-banner · id", within=".detail")


def held_back(tab: Tab) -> list[Any]:
    """The answers that a test lets go: the list is fetched again once the check of the document has answered."""
    held: list[Any] = []

    def hold(route: Any) -> None:
        held.append(route)

    tab.page.route("**/problems?limit=1", hold)
    tab.open()
    tab.sees("New navigation")
    eventually(lambda: tab.run("true") and held)
    return held


def test_rows_that_are_made_anew_leave_the_focus_where_it_is(tab: Tab) -> None:
    held = held_back(tab)
    tab.page.locator("a.item").first.focus()
    tab.press("End")
    assert tab.focused().startswith("Winter banner")
    assert tab.reads(".listed .chip.warn") == []
    held[0].continue_()
    tab.sees("1 warning", within=".listed")
    assert tab.focused().startswith("Winter banner")
    tab.press("Enter")
    tab.sees("winter-banner · id", within=".detail")


def test_rows_that_are_made_anew_lose_no_click(tab: Tab) -> None:
    held = held_back(tab)
    tab.page.locator("a.item", has_text="New navigation").hover()
    tab.page.mouse.down()
    held[0].continue_()
    tab.sees("1 warning", within=".listed")
    tab.page.mouse.up()
    tab.sees("new-navigation · id", within=".detail")


def test_another_document_leaves_the_focus_where_it_is(tab: Tab, shop: ServedProject) -> None:
    tab.open()
    tab.sees("1 warning", within=".listed")
    tab.sees("live", within="header")
    tab.page.locator("a.item", has_text="New navigation").focus()
    renamed = json.dumps(demo_document()).replace("New navigation", "Newer navigation")
    shop.replace(renamed.encode())
    tab.sees("Newer navigation", within=".listed")
    assert tab.focused().startswith("Newer navigation")
    tab.page.locator(".tabs a", has_text="Features").focus()
    shop.replace(demo_document())
    tab.sees("New navigation", within=".listed")
    assert tab.focused().startswith("Features")


def test_a_link_in_the_details_leads_on_from_what_it_shows(tab: Tab) -> None:
    tab.open("#/project/experiences/checkout-layout")
    tab.page.locator(".detail a", has_text="checkout").first.focus()
    tab.press("Enter")
    tab.sees("express_payment", within=".detail")
    tab.waits("document.activeElement.matches('.detail .title')")
