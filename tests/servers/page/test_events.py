"""The view of events, as a person uses it while they arrive."""

from __future__ import annotations

import pytest

pytest.importorskip("starlette", reason="needs the extra server")
from convert_sdk import Client
from convert_sdk.demo.experiments.shoppers import Tally, shopper, walk
from convert_sdk.server import DEMO_SDK_KEY, LocalServer
from tests.servers.page.browser import Tab
from tests.servers.page.requests import SHOWN, body, track
from tests.shapes import of


def test_events_appear_as_they_arrive_and_are_filtered(tab: Tab, server: LocalServer) -> None:
    tab.open("#/events")
    tab.sees("Nothing has come yet")
    tab.sees("live", within="header")
    track(server, body("v-1", SHOWN))
    tab.sees("v-1", within=".stream")
    track(server, body("v-2", SHOWN))
    tab.sees("v-2", within=".stream")
    tab.write("Visitor", "v-2")
    tab.waits("document.querySelectorAll('.event').length === 1")
    assert "visitor=v-2" in tab.run("location.hash")
    tab.write("Visitor", "")
    tab.click("button", "track")
    tab.waits("[...document.querySelectorAll('.event .chip')].every(chip => chip.textContent === 'track')")


def test_the_stream_is_paused_and_goes_on(tab: Tab, server: LocalServer) -> None:
    tab.open("#/events")
    tab.sees("live", within="header")
    track(server, body("v-1", SHOWN))
    tab.sees("v-1", within=".stream")
    tab.click("button", "Pause")
    track(server, body("v-2", SHOWN))
    tab.sees("newer ones: show", within=".stream-view")
    assert "v-2" not in " ".join(tab.reads(".event"))
    tab.click("button", "Go on")
    tab.sees("v-2", within=".stream")


def test_an_event_leads_to_its_wire_body_and_to_why(tab: Tab, server: LocalServer) -> None:
    tab.open("#/events")
    tab.sees("live", within="header")
    track(server, body("visitor-42", SHOWN))
    tab.page.locator(".event", has_text="saw").first.click()
    tab.sees('"variationId": "1003460012"', within=".wire")
    assert tab.violations() == []
    tab.click("link", "Why one-page?")
    tab.sees("Bucketing", within=".visitor")
    assert tab.value("Visitor id") == "visitor-42"


def test_why_something_was_recorded_takes_two_clicks(tab: Tab, server: LocalServer) -> None:
    track(server, body("visitor-42", SHOWN))
    tab.open()
    tab.page.locator("nav a", has_text="Events").click()
    tab.click("link", "Why one-page for visitor-42?")
    tab.sees("What was recorded", within=".visitor")
    tab.sees("One page", within=".recorded")
    tab.sees("another than here", within=".recorded")
    tab.sees("whatever the facts", within=".recorded")  # the hash gives the other one: it was forced
    assert tab.violations() == []


def test_rows_that_come_leave_the_focus_on_its_event(tab: Tab, server: LocalServer) -> None:
    tab.open("#/events?kind=exposure")
    tab.sees("live", within="header")
    track(server, body("v-first", SHOWN))
    tab.page.locator("button.event", has_text="v-first").focus()
    track(
        server,
        {"visitors": [each for n in range(200) for each in of(list, body(f"v-{n}", SHOWN)["visitors"])]},
    )
    tab.sees("v-199", within=".stream")
    assert "v-first" in tab.focused()
    places = "[...document.querySelectorAll('.windowed-rows > li')].map(row => row.style.transform)"
    shown = tab.run(places)
    assert len(shown) == len(set(shown))  # no row covers another
    tab.press("ArrowUp")
    assert "v-0" in tab.focused()
    order = tab.run("[...document.querySelectorAll('.windowed-rows > li')].map(row => row.place)")
    assert order == sorted(order)  # Tab goes from row to row as they are seen


def test_a_refused_request_says_where_it_is_wrong(tab: Tab, server: LocalServer) -> None:
    tab.open("#/events")
    tab.sees("live", within="header")
    refused = track(server, body("v-1", {"eventType": "bucketing"}))
    assert refused.status_code == 400
    tab.sees("$.visitors[0].events[0].data", within=".stream")


def test_one_exposure_is_too_few_for_a_verdict(tab: Tab, server: LocalServer) -> None:
    track(server, body("v-1", SHOWN))
    tab.open("#/events/sums")
    tab.sees("too few to tell", within=".sums")
    for number in range(2, 12):
        track(server, body(f"v-{number}", SHOWN))
    tab.sees("sample ratio mismatch", within=".sums")  # all of eleven in one of two halves


def test_sums_and_what_sdks_say_of_themselves(tab: Tab, server: LocalServer) -> None:
    status_url = f"{server.url}/_status/{DEMO_SDK_KEY}"
    with Client(
        DEMO_SDK_KEY, config_endpoint=server.url, track_endpoint=server.url, status_url=status_url
    ) as client:
        client.wait_until_ready(30)
        for number in range(40):
            walk(client, shopper(number, 42), Tally())
        client.flush(timeout=30)
        tab.open("#/events/sums")
        tab.sees("Checkout on one page", within=".sums")
        tab.sees("Events received", within=".sums")
        tab.open("#/events/sdks")
        tab.sees("the difference is 0", within=".sums")
        made = f"{client.status().events.offered:,}"
        cells = tab.reads(".sums tbody td.n")  # offered, sent, pending, in flight, dropped, received here
        assert cells == [made, made, "0", "0", "0", made]
