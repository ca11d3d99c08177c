"""Small documents, built piece by piece; what a test does not name is as plain as can be."""

from __future__ import annotations

import json
from collections.abc import Mapping

from convert_sdk import Client, MemoryStore, Project
from convert_sdk.stores import Changes

Json = dict[str, object]

LOW = "v-1"
"""A visitor with the bucket value 1508 in experience 100: the first half."""
HIGH = "v-2"
"""A visitor with the bucket value 6565 in experience 100: the second half."""


def leaf(
    key: str = "plan",
    value: object = "pro",
    match_type: str = "equals",
    *,
    negated: object = False,
    **more: object,
) -> Json:
    """One condition."""
    return {"key": key, "value": value, "matching": {"match_type": match_type, "negated": negated}, **more}


def every(*leaves: Json) -> Json:
    """Rules that hold where all of the conditions do."""
    return {"OR": [{"AND": [{"OR_WHEN": [each]} for each in leaves]}]}


def some(*leaves: Json) -> Json:
    """Rules that hold where one of the conditions does."""
    return {"OR": [{"AND": [{"OR_WHEN": [*leaves]}]}]}


def bucketed_into(experience_key: str, *, negated: bool = False) -> Json:
    """The condition of an audience about another experience."""
    return leaf("", experience_key, negated=negated, rule_type="bucketed_into_experience_key")


def entity(id: str, key: str, rules: Json | None = None, **more: object) -> Json:
    """An audience, location, segment or goal."""
    return {"id": id, "key": key, "name": key.title(), "rules": rules, **more}


def variation(id: str, percent: object = 50, **more: object) -> Json:
    """An arm whose key is `arm-` and its id."""
    return {"id": id, "key": f"arm-{id}", "name": f"Arm {id}", "traffic_allocation": percent, **more}


def experience(id: str = "100", key: str = "checkout", **more: object) -> Json:
    """An experience of two halves, "1" and "2"."""
    halves = [variation("1"), variation("2")]
    return {"id": id, "key": key, "name": key.title(), "variations": halves, **more}


def change(feature_id: object, **variables: object) -> Json:
    """What a variation sets a feature to."""
    return {
        "id": 1,
        "type": "fullStackFeature",
        "data": {"feature_id": feature_id, "variables_data": variables},
    }


def feature(id: str, key: str, **types: str) -> Json:
    """A feature and the types of its variables."""
    return {
        "id": id,
        "key": key,
        "name": key.title(),
        "variables": [{"key": name, "type": type_name} for name, type_name in types.items()],
    }


def document(*experiences: Json, **more: object) -> Json:
    """A document of account 1 and project 2."""
    return {"account_id": "1", "project": {"id": "2", "name": "Shop"}, "experiences": [*experiences], **more}


def project(*experiences: Json, **more: object) -> Project:
    """The project of such a document."""
    return Project.parse(json.dumps(document(*experiences, **more)))


def problems(*experiences: Json, **more: object) -> dict[str, str]:
    """Path to message of what is wrong in such a document."""
    return {problem.path: problem.message for problem in project(*experiences, **more).problems}


class Sink(list[Json]):
    """Takes the bodies of tracking requests, and reads them."""

    def __call__(self, body: bytes) -> None:
        self.append(json.loads(body))

    @property
    def events(self) -> list[Json]:
        """Every event, whoever's it is."""
        return [
            event
            for body in self
            for visitor in _list(body, "visitors")
            for event in _list(visitor, "events")
        ]

    @property
    def visitors(self) -> list[Json]:
        """Every visitor's entry."""
        return [visitor for body in self for visitor in _list(body, "visitors")]


def _list(holder: Json, name: str) -> list[Json]:
    found = holder[name]
    assert isinstance(found, list)
    return found


def exposure(experience_id: str, variation_id: str) -> Json:
    """The event of an exposure."""
    return {"eventType": "bucketing", "data": {"experienceId": experience_id, "variationId": variation_id}}


def conversion(goal_id: str, **data: object) -> Json:
    """The event of a conversion."""
    return {"eventType": "conversion", "data": {"goalId": goal_id, **data}}


def remembering(visitor_id: str, **remembered: Mapping[str, object] | tuple[str, ...]) -> MemoryStore:
    """A store that knows one visitor; the keywords are the fields of `Changes`."""
    store = MemoryStore()
    store.save(Changes(f"1-2-{visitor_id}", **remembered))  # type: ignore[arg-type]  # as the caller says
    return store


def offline(
    *experiences: Json, sink: Sink | None = None, store: MemoryStore | None = None, **more: object
) -> Client:
    """An offline client of such a document."""
    return Client.offline(project(*experiences, **more), sink, store=store)
