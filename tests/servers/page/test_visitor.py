"""The view of a visitor, as a person uses it."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="needs the extra server")
from convert_sdk.server import LocalServer
from tests.processes import program
from tests.servers.page.browser import Browser, Tab
from tests.servers.page.requests import CONVERT_SDK


def test_why_a_visitor_gets_a_variation_takes_two_clicks(tab: Tab) -> None:
    tab.open()
    tab.write("Ask about a visitor", "visitor-42")
    tab.press("Enter")
    tab.sees("Checkout on one page", within=".visitor")
    tab.page.locator(".visitor a.item", has_text="Checkout on one page").click()
    tab.sees("2,395", within=".ruler")  # the bucket value, on the ruler and in words
    tab.sees("in the range of original", within=".hash")
    assert tab.run("document.querySelector('.mark span').getClientRects()[0].height") < 30  # in one line
    tab.sees("gets no variation", within=".answer")  # where the visitor is, nobody has said yet
    tab.sees("location.path is", within=".takes")
    tab.page.get_by_role("button", name="Apply", exact=True).focus()
    tab.press("Enter")
    tab.sees("Original", within=".gets-what")
    assert tab.value("path") == "/checkout"
    tab.waits("document.activeElement.matches('.gets-what')")  # not lost with the button


def test_an_answer_follows_the_facts_as_they_are_typed(tab: Tab) -> None:
    tab.open("#/visitor/alpine-prices?visitor=v-7")
    tab.sees("not in its audience", within=".answer")
    tab.write("country", "AT")
    tab.sees("bucketed", within=".answer")
    tab.write("country", "US")
    tab.sees("not in its audience", within=".answer")
    tab.write("country", "")
    tab.write("orders", "5")
    assert "attributes=%7B%22orders%22%3A5%7D" in tab.run("location.hash")  # a number, not a text
    tab.choose("The visitor is at", "anywhere")
    tab.sees("bucketed", within=".visitor .master")


def test_a_click_puts_a_variation_in_place_of_the_decision(tab: Tab) -> None:
    tab.open("#/visitor/checkout-layout?visitor=v-7&location=anywhere")
    tab.sees("bucketed", within=".answer")
    for how, reason in (("force", "forced"), ("preview", "preview"), ("override", "override")):
        tab.choose("In place of the decision", how)
        tab.click("button", "one-page", within=".instead")
        tab.sees("One page", within=".gets-what")
        tab.sees(reason, within=".answer")
        assert tab.focused() == "one-page"  # the answer is made anew, and the focus stays
        tab.click("button", "one-page", within=".instead")
        tab.sees("bucketed", within=".answer")
    tab.choose("In place of the decision", "override")
    tab.click("button", "none", within=".instead")
    tab.sees("gets no variation", within=".answer")
    tab.click("button", "Remove")
    tab.click("button", "Remember it")
    tab.sees("remembered", within=".answer")


def test_what_is_seen_is_copied_as_a_test_a_row_and_a_link(tab: Tab) -> None:
    tab.open('#/visitor/alpine-prices?visitor=v-7&attributes={"country":"AT"}')
    tab.sees("bucketed", within=".answer")
    tab.click("button", "pytest test")
    tab.sees("Copied: pytest test")
    copied = tab.run("navigator.clipboard.readText()")
    assert "visitor = client.visitor('v-7', {'country': 'AT'}" in copied
    compile(copied, "copied", "exec")
    tab.click("button", "table row")
    tab.sees("Copied: table row")
    assert tab.run("navigator.clipboard.readText()").startswith("name,visitor,attributes.country,")
    tab.click("button", "Link")
    tab.sees("Copied: Link")
    link = tab.run("navigator.clipboard.readText()")
    answer = tab.reads(".gets-what")
    tab.page.goto("about:blank")
    tab.page.goto(link)
    tab.sees("bucketed", within=".answer")
    assert tab.reads(".gets-what") == answer
    assert tab.value("country") == "AT"


@pytest.mark.parametrize("width", [360, 900, 1180, 1600])
def test_no_part_of_the_view_covers_another(browser: Browser, server: LocalServer, width: int) -> None:
    with browser.tab(server.url, (width, 800)) as tab:
        tab.open("#/visitor/recommendations?visitor=visitor-42")
        tab.sees("What it takes")
        boxes = tab.run(
            "[...document.querySelectorAll('.visitor > *')].map(part => part.getBoundingClientRect())"
        )
        for first, second in combinations(boxes, 2):
            beside = first["right"] <= second["left"] or second["right"] <= first["left"]
            above = first["bottom"] <= second["top"] or second["bottom"] <= first["top"]
            assert beside or above
        assert all(box["width"] >= 200 for box in boxes)


def test_a_segment_is_ticked_and_stands_in_the_address(tab: Tab) -> None:
    tab.open("#/visitor/checkout-layout?visitor=v-7")
    tab.page.get_by_label("Large baskets").check()
    assert "segments=%5B%22large-baskets%22%5D" in tab.run("location.hash")


def test_an_explanation_is_kept_as_a_page(tab: Tab, tmp_path: Path) -> None:
    tab.open("#/visitor/checkout-layout?visitor=v-7&location=anywhere")
    tab.sees("bucketed", within=".answer")
    with tab.page.expect_download() as waiting:
        tab.click("button", "Page to keep")
    kept = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(kept)
    assert kept.name == "checkout-layout.html"
    assert "v-7" in kept.read_text("utf-8")


def test_the_demonstration_answers_why_for_a_visitor_who_was_there(browser: Browser) -> None:
    with program(*CONVERT_SDK, "demo", "--page", "--no-open", "--visitors", "100") as demo:
        url = next(line.split()[-1] for line in demo.lines() if line.startswith("The page: "))
        with browser.tab(url.rstrip("/")) as tab:
            tab.open("#/events?kind=exposure&visitor=visitor-42")
            tab.page.locator(".event", has_text="visitor-42").first.click()
            tab.page.get_by_role("link", name="Why").first.click()
            tab.sees("Bucketing", within=".visitor")
            assert tab.value("Visitor id") == "visitor-42"
