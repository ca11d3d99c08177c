from __future__ import annotations

from typing import Any

import pytest

from convert_sdk.analysis import sample_visitors, simulate
from convert_sdk.server import ServedProject
from tests.waiting import eventually

from .conftest import Page
from .streams import stream


def start(page: Page, **plan: object) -> str:
    answer = page.http.post(f"{page.project}/simulations", json=plan)
    assert answer.status_code == 202, answer.text
    found: str = answer.json()["id"]
    return found


def ended(page: Page, run: str) -> Any:
    with stream(page.http, f"/_api/simulations/{run}/stream") as live:
        return live.next("end")


def test_shares_and_overlaps_are_those_of_a_simulation(page: Page, shop: ServedProject) -> None:
    found = ended(page, start(page, visitors=300, seed=7))
    project = shop.current.project
    expected = simulate(project, sample_visitors([project], 300, 7)).to_dict()
    assert (found["state"], found["done"]) == ("done", 300)
    assert found["experiences"] == expected["experiences"]
    assert found["overlaps"] == expected["overlaps"]


def test_plots_grow_while_it_runs(page: Page) -> None:
    run = start(page, visitors=1_000_000)
    with stream(page.http, f"/_api/simulations/{run}/stream") as live:
        first, second = live.next("progress"), live.next("progress")
        assert first["state"] == second["state"] == "running"
        assert first["done"] < second["done"] < 1_000_000
        assert page.http.get("/_api/projects").status_code == 200  # others are answered meanwhile
        cancelled = page.http.delete(f"/_api/simulations/{run}").json()
        assert cancelled["state"] == live.next("end")["state"] == "cancelled"


def test_a_mix_of_facts_and_made_up_conversions(page: Page) -> None:
    country = [{"value": "AT", "weight": 3}, {"value": "US", "weight": 1}]
    mix = {"attributes": {"country": country, "customer_group": [{"value": "retail"}]}, "location": {}}
    conversion = {"rate": 0.2, "lift": 0.5, "value": 50, "spread": 10}
    plan = {"visitors": 4000, "mix": mix, "experiences": ["alpine-prices"], "conversion": conversion}
    (found,) = ended(page, start(page, **plan))["experiences"]
    assert found["visitors"] < 4000
    assert found["is_off"] is False
    control, other = found["arms"][:2]
    assert control["uplift"] is None
    assert control["rate_interval"][0] < 0.2 < control["rate_interval"][1]
    assert other["uplift"]["rate_interval"][0] < 0.5 < other["uplift"]["rate_interval"][1]
    assert other["uplift"]["revenue_interval"][0] < 0.5 < other["uplift"]["revenue_interval"][1]
    assert other["revenue_interval"][0] < other["revenue_per_visitor"] < other["revenue_interval"][1]


def test_one_runs_at_a_time(page: Page) -> None:
    first, second = start(page, visitors=1_000_000), start(page, visitors=10)
    assert page.http.get(f"/_api/simulations/{first}").json()["state"] == "cancelled"
    eventually(lambda: page.http.get(f"/_api/simulations/{second}").json()["state"] == "done")
    assert page.http.get("/_api/simulations/s999").status_code == 404


@pytest.mark.parametrize(
    "plan",
    [
        {"visitors": 0},
        {"visitors": "many"},
        {"visitors": 2_000_000},
        {"mix": {"attributes": {"country": []}}},
        {"mix": {"attributes": {"country": [{"value": 1, "weight": 0}]}}},
        {"mix": {"weather": {}}},
        {"conversion": {"rate": 2}},
        {"experiences": "all"},
        {"colour": "red"},
    ],
)
def test_plans_that_cannot_be_used(page: Page, plan: object) -> None:
    assert page.http.post(f"{page.project}/simulations", json=plan).status_code == 400
