"""What holds for every view: nothing of a project runs, all can be used without eyes and without a mouse."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("starlette", reason="needs the extra server")
from convert_sdk.server import LocalServer, Registry, ServedProject, demo_document, running
from tests.servers.page.browser import NARROW, WIDE, Browser, Tab
from tests.shapes import of
from tests.waiting import eventually

ROUTES = {
    "#/project": "Checkout on one page",
    "#/project/experiences/checkout-layout": "path begins with",
    "#/project/features/pricing": "free_shipping_from",
    "#/project/problems": "draft-runs",
    "#/project/revisions": "at the start",
    "#/visitor/checkout-layout?visitor=v-1": "gets no variation",
    "#/traffic": "Made-up visitors",
    "#/events": "Nothing has come yet",
    "#/events/sums": "Events received",
    "#/events/sdks": "No SDK says anything",
    "#/edit/checkout-layout": "Allocation",
    "#/edit/document": "Validated as you type",
    "#/faults": "Truncated",
}
"""Each view, and what it shows once it is there."""


TOO_WIDE = """[...document.querySelectorAll('main, .top, .detail, .detail .card')]
    .filter(each => each.scrollWidth > each.clientWidth).map(each => each.outerHTML.slice(0, 120))"""
"""What is wider than its part of the page."""
SCRIPT = "</script><script>window.ran = 1</script><img src=x onerror='window.ran = 1'>"


def hostile(value: object) -> object:
    """The document with a script in every name, key and text value."""
    if isinstance(value, dict):
        named = {
            name: f"{each} {SCRIPT}" if name in ("name", "key") and isinstance(each, str) else hostile(each)
            for name, each in value.items()
        }
        return {**named, SCRIPT: SCRIPT} if "id" in named else named
    return [hostile(each) for each in value] if isinstance(value, list) else value


def test_a_project_full_of_scripts_shows_as_text(browser: Browser) -> None:
    registry = Registry()
    registry.add(of(dict, hostile(demo_document())))
    with running(registry) as server, browser.tab(server.url) as tab:
        for name in ("project", "project/problems", "visitor", "traffic", "events", "edit", "faults"):
            tab.open(f"#/{name}")
            tab.sees("<img src=x", within="header")
            tab.waits("document.querySelector('main h1') !== null")
        tab.open("#/project/experiences/100346001")
        tab.sees("<script>window.ran = 1</script>", within=".detail")
        tab.open(f"#/visitor/100346001?visitor={SCRIPT}")
        tab.sees("gets no variation", within=".answer")
        assert tab.run("window.ran === undefined && document.querySelector('main script, main img') === null")


def test_long_keys_and_names_break_and_nothing_is_cut_off(browser: Browser) -> None:
    document = of(dict, demo_document())
    document["project"]["name"] = "P" * 300
    for kind in ("experiences", "features", "locations", "audiences", "goals"):
        for entity in of(list, document[kind]):
            entity.update(key=f"{entity['key']}{'k' * 300}", name=f"{entity['name']} {'N' * 300}")
    registry = Registry()
    registry.add(document)
    with running(registry) as server:
        for size in (WIDE, NARROW):
            with browser.tab(server.url, size) as tab:
                for section in ("experiences", "features", "locations", "audiences", "goals"):
                    tab.open(f"#/project/{section}")
                    tab.sees("NNN", within=".item")
                    tab.page.locator(".listed a.item").first.click()
                    tab.sees("NNN", within=".detail .title")
                    assert tab.run(TOO_WIDE) == [], f"{section} is cut off at {size[0]} pixels"


def test_a_key_that_turns_the_direction_turns_nothing_else(browser: Browser) -> None:
    document = of(dict, demo_document())
    of(list, document["experiences"])[0]["key"] = "turned\u202e"
    registry = Registry()
    registry.add(document)
    with running(registry) as server, browser.tab(server.url) as tab:
        tab.open("#/project/experiences/100346001")
        tab.sees("id 100346001", within=".detail")
        assert tab.run("getComputedStyle(document.querySelector('.detail code')).unicodeBidi") == "isolate"


@pytest.mark.parametrize("key", [".", ".."])
def test_a_key_that_a_path_cannot_hold_is_shown(browser: Browser, key: str) -> None:
    document = of(dict, demo_document())
    of(list, document["experiences"])[0]["key"] = key
    registry = Registry()
    registry.add(document)
    with running(registry) as server, browser.tab(server.url) as tab:
        tab.open()
        tab.page.locator("a.item", has_text="Checkout on one page").click()
        tab.sees(f"{key} · id 100346001", within=".detail")
        tab.open(f"#/edit/{key}")
        tab.sees("Allocation")


def test_the_section_that_is_shown_is_in_sight_in_a_narrow_window(
    browser: Browser, server: LocalServer
) -> None:
    with browser.tab(server.url, NARROW) as tab:
        tab.open("#/project/revisions")
        tab.sees("at the start")
        assert tab.run(
            "document.querySelector('.tabs [aria-current]').getBoundingClientRect().right <= innerWidth"
        )


@pytest.mark.parametrize(
    ("size", "dark"), [(WIDE, False), (NARROW, True)], ids=["wide, light", "narrow, dark"]
)
def test_nothing_serious_is_wrong_for_assistive_technology(
    browser: Browser, server: LocalServer, size: tuple[int, int], dark: bool
) -> None:
    found: dict[str, list[str]] = {}
    with browser.tab(server.url, size, dark=dark) as tab:
        for route, words in ROUTES.items():
            tab.open(route)
            tab.sees(words, within="main")
            if violations := tab.violations():
                found[route] = violations
            assert tab.run("document.documentElement.scrollWidth <= innerWidth"), f"{route} is too wide"
    assert found == {}


@pytest.mark.parametrize(
    ("route", "label"),
    [
        ("#/visitor?visitor=v-1", "Visitor id"),
        ("#/visitor?visitor=v-1", "country"),
        ("#/edit/checkout-layout", "Share of one-page, per cent"),
        ("#/edit/checkout-layout", "Status"),
    ],
)
def test_a_form_keeps_the_focus_under_another_document(
    tab: Tab, shop: ServedProject, route: str, label: str
) -> None:
    tab.open(route)
    tab.sees("live", within="header")
    field = tab.page.get_by_label(label, exact=True).first
    field.focus()
    before = field.element_handle()
    shop.replace(json.dumps(demo_document()).replace("Northpeak", "Southpeak").encode())
    tab.sees("Southpeak", within="header")
    eventually(lambda: not before.evaluate("each => each.isConnected"))  # the form is made anew
    assert field.evaluate("each => each === document.activeElement")


def test_every_view_is_reached_by_the_keyboard_alone(tab: Tab) -> None:
    tab.open()
    tab.sees("New navigation")
    tab.press("Tab")
    assert tab.focused() == "Skip to the content"
    tab.press("Enter")
    assert tab.run("document.activeElement.id") == "main"
    tab.page.locator("[data-view=project]").focus()
    tab.press("Tab")
    assert tab.focused() == "Visitor"
    tab.press("Enter")
    tab.sees("Decisions")
