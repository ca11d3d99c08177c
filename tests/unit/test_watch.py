from __future__ import annotations

from convert_sdk._delivery.watch import Watch
from convert_sdk.observation import Lapse, Observation

LAPSE = Lapse("warning", "the store is down")


def test_a_callback_that_brings_about_more_is_told_of_it_the_next_time() -> None:
    heard: list[Observation] = []

    def hear(observation: Observation) -> None:
        heard.append(observation)
        watch.append(observation)

    watch = Watch(hear, inline=False)
    watch.append(LAPSE)
    watch.tell()
    assert heard == [LAPSE]
    watch.tell()
    assert heard == [LAPSE, LAPSE]


def test_a_callback_that_raises_is_counted_and_the_rest_is_told() -> None:
    heard: list[Observation] = []

    def hear(observation: Observation) -> None:
        heard.append(observation)
        raise RuntimeError("no")

    watch = Watch(hear, inline=False)
    watch.append(LAPSE)
    watch.append(LAPSE)
    watch.tell()
    assert (len(heard), watch.failures) == (2, 2)
