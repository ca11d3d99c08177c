"""The view of made-up traffic, as a person uses it."""

from __future__ import annotations

from tests.servers.page.browser import Tab


def test_made_up_visitors_grow_into_shares_a_verdict_and_intervals(tab: Tab) -> None:
    tab.open("#/traffic")
    tab.write("Visitors", "6000")
    tab.choose("Set the mix of a fact", "country")
    tab.write("country: how often DE", "3")
    tab.click("button", "Simulate")
    tab.sees(", done", within=".progress")
    tab.click("link", "alpine-prices", within=".summary")
    tab.sees("as allocated", within=".summary")
    assert tab.run("document.querySelector('.chart canvas') !== null")
    assert "original" in tab.run("document.querySelector('.chart').getAttribute('aria-label')")
    assert tab.reads(".interval[role=img]") != []
    tab.sees("Visitors in two experiences at once")
    assert "visitors=6000" in tab.run("location.hash")
    assert tab.violations() == []


def test_a_simulation_is_stopped(tab: Tab) -> None:
    tab.open("#/traffic?visitors=1000000")
    tab.click("button", "Simulate")
    tab.waits("document.querySelector('progress')?.value > 0")
    tab.click("button", "Stop")
    tab.sees("stopped", within=".progress")
