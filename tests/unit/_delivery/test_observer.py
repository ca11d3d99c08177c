from __future__ import annotations

import pytest

from convert_sdk import Client
from convert_sdk._delivery.observer import Observer
from convert_sdk.observation import Exposed, Incident, Observation
from tests.documents import LOW, Sink, experience, project, variation

INCIDENT = Incident("warning", "the store is down")


def test_a_callback_that_brings_about_more_is_told_of_it_the_next_time() -> None:
    heard: list[Observation] = []

    def hear(observation: Observation) -> None:
        heard.append(observation)
        observer.add(observation)

    observer = Observer(hear, inline=False)
    observer.add(INCIDENT)
    observer.deliver()
    assert heard == [INCIDENT]
    observer.deliver()
    assert heard == [INCIDENT, INCIDENT]


def test_a_callback_that_raises_is_counted_and_the_rest_is_told() -> None:
    heard: list[Observation] = []

    def hear(observation: Observation) -> None:
        heard.append(observation)
        raise RuntimeError("no")

    observer = Observer(hear, inline=False)
    observer.add(INCIDENT)
    observer.add(INCIDENT)
    observer.deliver()
    assert (len(heard), observer.failures) == (2, 2)


@pytest.mark.parametrize("inline", [False, True])
def test_only_decisions_with_a_variation_expose(inline: bool) -> None:
    heard: list[Observation] = []
    nobodys = experience("99", "nobodys", variations=[variation("9", 0)])
    served = project(nobodys, experience(), experience("101", "banner", variations=[variation("7", 100)]))
    client = Client.offline(served, Sink(), observe=heard.append, observe_inline=inline)
    decisions = client.visitor(LOW).decide_all()
    client.flush()
    exposed = [(each.experience_id, each.variation_id) for each in heard if isinstance(each, Exposed)]
    assert [each.variation_key is None for each in decisions] == [True, False, False]
    assert exposed == [("100", "1"), ("101", "7")]
