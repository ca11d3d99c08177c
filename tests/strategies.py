"""Documents, visitors and values as hypothesis draws them: sensible enough that gates open, too."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import NamedTuple

from hypothesis import strategies as st

from convert_sdk import ANYWHERE, Client, MemoryStore, Project, Visitor
from convert_sdk._core.facts import Place
from convert_sdk._core.operators import OPERATORS
from convert_sdk.stores import Changes
from tests.documents import (
    Json,
    bucketed_into,
    change,
    document,
    entity,
    experience,
    feature,
    leaf,
    variation,
)

MATCH_TYPES = sorted(OPERATORS)
KEYS = ("one", "two", "three")
NAMES = ("plan", "country", "age", "url")

texts = st.text(st.characters(codec=None, exclude_categories=()), max_size=8)
"""Any text, halves of emoji and NUL included."""
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values: st.SearchStrategy[object] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
"""Anything that JSON or an application could hold."""
plausible = st.sampled_from(
    ["pro", "free", "DE", "de", 18, 30, 5.5, True, None, "/cart", "", ["pro", 18], "30"]
)
facts: st.SearchStrategy[Json] = st.dictionaries(st.sampled_from(NAMES), plausible, max_size=4)
"""What an application knows of a visitor."""
attributes: st.SearchStrategy[Json] = st.dictionaries(st.sampled_from(NAMES) | texts, values, max_size=4)
"""What an application could pass by mistake."""
places: st.SearchStrategy[Place] = st.sampled_from([ANYWHERE, {}, ANYWHERE, ANYWHERE, None]) | facts
visitor_ids = st.text(st.characters(codec=None, exclude_categories=()), min_size=1, max_size=12)

leaves: st.SearchStrategy[Json] = st.builds(
    leaf, st.sampled_from(NAMES), plausible, st.sampled_from(MATCH_TYPES), negated=st.booleans()
)
exclusions: st.SearchStrategy[Json] = st.builds(
    bucketed_into, st.sampled_from([*KEYS, "nowhere"]), negated=st.booleans()
)


def _rules(conditions: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    groups = st.lists(st.lists(conditions, min_size=1, max_size=2).map(_either), min_size=1, max_size=2)
    return st.lists(groups.map(_all), min_size=1, max_size=2).map(lambda blocks: {"OR": blocks})


def _either(conditions: list[Json]) -> Json:
    return {"OR_WHEN": conditions}


def _all(groups: list[Json]) -> Json:
    return {"AND": groups}


rules: st.SearchStrategy[Json] = _rules(leaves)
variations: st.SearchStrategy[list[Json]] = st.lists(
    st.builds(
        variation,
        st.sampled_from("1234"),
        st.integers(0, 60),
        status=st.sampled_from(["running", "running", "stopped", None]),
        changes=st.lists(st.builds(change, st.sampled_from(["81", "82", "89"]), size=values), max_size=2),
    ),
    max_size=4,
)


@st.composite
def experiences(draw: st.DrawFn, number: int) -> Json:
    """The experience of this number: id 100 and key "one" for the first."""
    more: Json = draw(
        st.fixed_dictionaries(
            {"variations": variations},
            optional={
                "version": st.sampled_from([11, 12]),
                "environment": st.sampled_from(["live", "live", "live", "qa"]),
                "locations": st.just([]) | st.lists(st.sampled_from(["61", "62", "69"]), max_size=2),
                "site_area": st.none() | st.none() | rules,
                "audiences": st.lists(st.sampled_from(["51", "52", "53", "71", "59"]), max_size=3),
                "settings": st.just({"matching_options": {"audiences": "all"}}),
            },
        )
    )
    return experience(str(100 * (number + 1)), KEYS[number], **more)


@st.composite
def documents(draw: st.DrawFn) -> Json:
    """A document of up to three experiences, with something of everything."""
    listed = [draw(experiences(number)) for number in range(draw(st.integers(1, 3)))]
    return document(
        *listed,
        archived_experiences=draw(st.sampled_from([[], [], [], [], ["100"]])),
        audiences=[
            entity("51", "a", draw(rules), type=draw(st.sampled_from(["permanent", "transient"]))),
            entity("52", "b", draw(_rules(leaves | exclusions))),
            entity("53", "c", draw(st.none() | rules)),
        ],
        locations=[entity("61", "here", draw(rules)), entity("62", "there", draw(rules))],
        segments=[entity("71", "vip", draw(rules))],
        features=[feature("81", "banner", size="integer"), feature("82", "pricing", size="json")],
        goals=[entity("91", "buy", draw(st.none() | rules))],
    )


class Guest(NamedTuple):
    """Who asks, and what a store remembers of them."""

    id: str
    attributes: Json
    location: Place
    environment: str | None
    remembered: dict[str, str]
    segments: Json

    def visit(self, project: Project) -> Visitor:
        """This visitor, in a client of their own."""
        store = MemoryStore()
        store.save(Changes(f"1-2-{self.id}", bucketing=self.remembered, segments=self.segments))
        client = Client.offline(project, store=store, environment=self.environment)
        return client.visitor(self.id, self.attributes, location=self.location)


guests: st.SearchStrategy[Guest] = st.builds(
    Guest,
    visitor_ids,
    facts,
    places,
    st.sampled_from(["live", "live", "live", "qa", None]),
    st.dictionaries(st.sampled_from(["100", "200", "300"]), st.sampled_from("1239"), max_size=2),
    st.sampled_from([{}, {"customSegments": ["71"]}, {"country": "DE"}]),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A document in which up to three pieces were replaced, removed or renamed."""
    broken = deepcopy(draw(documents()))  # what is drawn may be drawn again, and must not have changed
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(broken))
        holder, step = draw(st.sampled_from(places))
        _damage(draw, holder, step)
    return json.dumps(broken).encode()


Holder = dict[str, object] | list[object]


def _places(value: object) -> list[tuple[Holder, str | int]]:
    """Every place in a document where something stands."""
    found: list[tuple[Holder, str | int]] = []
    if isinstance(value, dict):
        for key, item in value.items():
            found += [(value, key), *_places(item)]
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += [(value, index), *_places(item)]
    return found


def _damage(draw: st.DrawFn, holder: Holder, step: str | int) -> None:
    if draw(st.booleans()):
        holder[step] = deepcopy(draw(values))  # type: ignore[index]  # the step is of this holder
    elif isinstance(holder, list):
        holder.append(holder[step])  # type: ignore[index]  # as above
    else:
        del holder[step]  # type: ignore[arg-type]  # as above


def parsed(raw: Json) -> Project:
    """The project of a drawn document."""
    return Project.parse(json.dumps(raw))
