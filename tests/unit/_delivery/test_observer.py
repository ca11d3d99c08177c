from __future__ import annotations

from collections import deque
from math import inf
from time import time
from typing import Any

import pytest

from convert_sdk import ANYWHERE, Client, Reason
from convert_sdk._delivery.observer import Observer
from convert_sdk.observation import Decided, Exposed, Incident, Observation
from convert_sdk.status import IncidentLevel
from tests.documents import LOW, Sink, experience, project, variation

INCIDENT = Incident(IncidentLevel.WARNING, "the store is down")


def test_what_a_hook_raises_is_counted_without_a_network_too() -> None:
    def fail(_: Observation) -> None:
        raise RuntimeError

    client = Client.offline(project(experience()), Sink(), hooks=[fail])
    assert client.visitor(LOW).decide("checkout")
    assert client.status().incidents["hooks"] == 2


def test_a_callback_that_brings_about_more_is_told_of_it_the_next_time() -> None:
    heard: list[Observation] = []

    def hear(observation: Observation) -> None:
        heard.append(observation)
        observer.add(observation)

    observer = Observer([hear])
    observer.add(INCIDENT)
    observer.deliver()
    assert heard == [INCIDENT]
    observer.deliver()
    assert heard == [INCIDENT, INCIDENT]


def test_of_two_threads_that_add_at_once_one_wakes_whoever_delivers() -> None:
    told: list[bool] = []
    observer = Observer([lambda _: None])
    observer.notify = lambda: told.append(True)

    class Waiting(deque[Observation]):
        def append(self, observation: Observation) -> None:
            super().append(observation)
            if len(self) == 1:  # the other thread comes before this one looks at what waits
                observer.add(INCIDENT)

    observer._waiting = Waiting()
    observer.add(INCIDENT)
    assert (len(observer._waiting), len(told)) == (2, 1)


def test_whoever_delivers_is_woken_once_for_all_that_waits() -> None:
    told: list[bool] = []
    observer = Observer([lambda _: None])
    observer.notify = lambda: told.append(True)
    for wakings in (1, 2):
        assert observer.due() == inf
        observer.add(INCIDENT)
        observer.add(INCIDENT)
        assert observer.due() == 0.0
        assert len(told) == wakings
        observer.deliver()
    observer.add(INCIDENT)
    observer.drop()
    observer.add(INCIDENT)
    assert len(told) == 4
    observer.reset_locks()
    observer.add(INCIDENT)
    assert len(told) == 5


def test_a_callback_that_raises_is_counted_and_the_rest_is_told() -> None:
    heard: list[Observation] = []

    def hear(observation: Observation) -> None:
        heard.append(observation)
        raise RuntimeError("no")

    observer = Observer([hear])
    observer.add(INCIDENT)
    observer.add(INCIDENT)
    observer.deliver()
    assert (len(heard), observer.failures) == (2, 2)


def test_hooks_are_called_at_once_and_one_that_raises_costs_no_other() -> None:
    heard: list[Observation] = []

    def broken(_: Observation) -> None:
        raise RuntimeError("of the application")

    observer = Observer([broken, heard.append], [broken, heard.append])
    observer.add(INCIDENT)
    assert (heard, observer.hook_failures, observer.failures) == ([INCIDENT], 1, 0)
    observer.deliver()
    assert (heard, observer.hook_failures, observer.failures) == ([INCIDENT, INCIDENT], 1, 1)


def test_nothing_waits_for_hooks_alone() -> None:
    observer = Observer((), [lambda _: None])
    observer.add(INCIDENT)
    assert observer.is_idle


@pytest.mark.parametrize("how", ["observe", "hooks"])
def test_only_decisions_with_a_variation_expose(how: str) -> None:
    heard: list[Observation] = []
    nobodys = experience("99", "nobodys", variations=[variation("9", 0)])
    served = project(nobodys, experience(), experience("101", "banner", variations=[variation("7", 100)]))
    options: Any = {how: [heard.append]}
    client = Client.offline(served, Sink(), **options)
    decisions = client.visitor(LOW).decide_all()
    client.flush()
    exposed = [(each.experience_id, each.variation_id) for each in heard if isinstance(each, Exposed)]
    assert [each.variation_key is None for each in decisions] == [True, False, False]
    assert exposed == [("100", "1"), ("101", "7")]


def test_a_decision_says_when_and_with_which_document() -> None:
    heard: list[Observation] = []
    served = project(experience())
    began = time()
    client = Client.offline(served, Sink(), hooks=[heard.append])
    client.visitor(LOW, {"plan": "pro"}).decide("checkout")
    [decided] = [each for each in heard if isinstance(each, Decided)]
    assert began <= decided.time <= time()
    assert (decided.visitor_id, decided.revision, decided.facts) == (LOW, served.revision, None)


@pytest.mark.parametrize("place", [{"url": "/cart"}, ANYWHERE, None])
def test_facts_are_given_where_they_are_asked_for(place: Any) -> None:
    heard: list[Observation] = []
    client = Client.offline(project(experience()), Sink(), hooks=[heard.append], observe_facts=True)
    visitor = client.visitor(LOW, {"plan": "pro", "country": "DE", "tags": ["a"]}, location=place)
    visitor.with_context(attributes={"age": 30}).decide("checkout")
    visitor.force("checkout", "no such arm")
    first, second = (each for each in heard if isinstance(each, Decided))
    assert first.facts == ({"plan": "pro", "country": "DE", "tags": ["a"], "age": 30}, place)
    assert second.facts == ({"plan": "pro", "country": "DE", "tags": ["a"]}, place)
    assert second.decision.reason is Reason.UNKNOWN_VARIATION
    assert "pro" not in f"{first!r} {first.facts!r}"
