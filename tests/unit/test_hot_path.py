"""The hot path is guarded by counting calls, which no other load on the machine can change."""

from __future__ import annotations

import gc
import json
import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType

import pytest

from convert_sdk import Client, Project, Visitor


def leaf(key: str, value: str) -> dict[str, object]:
    return {"key": key, "value": value, "matching": {"match_type": "equals", "negated": False}}


EXPERIENCE = {
    "id": "100",
    "key": "layout",
    "audiences": ["5"],
    "variations": [
        {
            "id": str(10 + arm),
            "key": f"arm-{arm}",
            "traffic_allocation": 50,
            "changes": [
                {
                    "type": "fullStackFeature",
                    "data": {"feature_id": "8", "variables_data": {"text": "hi"}},
                }
            ],
        }
        for arm in range(2)
    ],
}
DOCUMENT = {
    "account_id": "1",
    "project": {"id": "2"},
    "audiences": [
        {
            "id": "5",
            "key": "german-pros",
            "rules": {
                "OR": [{"AND": [{"OR_WHEN": [leaf("country", "DE")]}, {"OR_WHEN": [leaf("plan", "pro")]}]}]
            },
        }
    ],
    "features": [{"id": "8", "key": "banner", "variables": [{"key": "text", "type": "string"}]}],
    "experiences": [EXPERIENCE],
    "goals": [{"id": "7", "key": "buy"}],
}


@pytest.fixture
def client() -> Client:
    project = Project.parse(json.dumps(DOCUMENT))
    project.warm()
    Client.offline(project).visitor("v-0").feature("banner")
    used = Client.offline(project, sink=lambda body: None)
    visitor(used, "v-0").decide("layout")
    return used


def calls(work: Callable[[], object]) -> int:
    """How many functions, of Python and of C, are called by some work."""
    counted: Counter[str] = Counter()

    def count(frame: FrameType, event: str, argument: object) -> None:
        counted[event] += 1

    gc.disable()  # hypothesis has itself called by the collector
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
        gc.enable()
    return counted["call"] + counted["c_call"] - 2  # the work itself, and turning the profile off


def visitor(client: Client, visitor_id: str = "v-1") -> Visitor:
    return client.visitor(visitor_id, {"country": "DE", "plan": "pro"})


def test_making_a_visitor(client: Client) -> None:
    assert calls(lambda: visitor(client)) <= 4


def test_peeking(client: Client) -> None:
    someone = visitor(client)
    assert calls(lambda: someone.peek("layout")) <= 15


def test_deciding_for_the_first_time(client: Client) -> None:
    someone = visitor(client)
    assert calls(lambda: someone.decide("layout")) <= 37


def test_deciding_again(client: Client) -> None:
    someone = visitor(client)
    for _ in range(2):
        someone.decide("layout")
    assert calls(lambda: someone.decide("layout")) <= 13


def test_a_feature_that_was_decided(client: Client) -> None:
    someone = visitor(client)
    for _ in range(2):
        someone.decide("layout")
    assert calls(lambda: someone.feature("banner").get("text", "")) <= 27


def test_tracking(client: Client) -> None:
    someone = visitor(client)
    assert calls(lambda: someone.track("buy", revenue=10)) <= 61


def test_a_decision_costs_the_same_in_a_large_project() -> None:
    def peeking_in(count: int) -> int:
        experiences = [{**EXPERIENCE, "id": str(n), "key": f"layout-{n}"} for n in range(count)]
        project = Project.parse(json.dumps({**DOCUMENT, "experiences": experiences}))
        someone = visitor(Client.offline(project))
        someone.peek("layout-1")
        return calls(lambda: someone.peek("layout-1"))

    assert peeking_in(200) == peeking_in(2)


def test_a_hundred_at_once_cost_less_than_one_by_one() -> None:
    def calls_in(count: int, work: Callable[[Visitor], object]) -> int:
        experiences = [{**EXPERIENCE, "id": str(n), "key": f"layout-{n}"} for n in range(count)]
        used = Client.offline(
            Project.parse(json.dumps({**DOCUMENT, "experiences": experiences})), lambda body: None
        )
        work(visitor(used, "v-0"))  # it compiles what the next one only asks
        someone = visitor(used)
        return calls(lambda: work(someone))

    assert calls_in(110, Visitor.peek_all) - calls_in(10, Visitor.peek_all) <= 800
    assert calls_in(110, Visitor.decide_all) - calls_in(10, Visitor.decide_all) <= 1100
