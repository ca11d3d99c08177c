"""The flags that OpenFeature's scenarios ask for, and the Convert document that they become.

A flag becomes a feature; a scalar one has the variable `value`, one with objects a variable for each member. Each of
its variants is a variation, and what chooses among them are experiences that carry the feature: one with an audience
for the targeting, then one without for the variant that everybody else gets. A disabled flag is carried by none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import count
from typing import NamedTuple

from convert_sdk import Client, Project
from convert_sdk.stores import Store
from tests.documents import Json, change, document, entity, every, leaf

BALLMER = "ballmer@macrosoft.com"
PICTURES = {"showImages": True, "title": "Check out these pics!", "imagesPerPage": 100}


class Targeting(NamedTuple):
    """The variant that those get for whom all conditions hold."""

    variant: str
    conditions: tuple[Json, ...]


class FlagDefinition(NamedTuple):
    """One flag of the set."""

    variants: Mapping[str, object]
    default: str | None = None
    targeting: Targeting | None = None
    disabled: bool = False


def _zero(zero: object, other: object, *, targeted: bool = False) -> FlagDefinition:
    """A flag whose value is the zero of its type, targeted or not."""
    rule = Targeting("zero", (leaf("email", BALLMER),)) if targeted else None
    return FlagDefinition({"zero": zero, "non-zero": other}, "zero", rule)


_KINDS: Mapping[str, FlagDefinition] = {
    "boolean": FlagDefinition({"on": True, "off": False}, "on"),
    "string": FlagDefinition({"greeting": "hi", "parting": "bye"}, "greeting"),
    "integer": FlagDefinition({"one": 1, "ten": 10}, "ten"),
    "float": FlagDefinition({"tenth": 0.1, "half": 0.5}, "half"),
    "object": FlagDefinition({"empty": {}, "template": PICTURES}, "template"),
}
_ZEROS: Mapping[str, tuple[object, object]] = {
    "boolean": (False, True),
    "string": ("", "str"),
    "integer": (0, 1),
    "float": (0.0, 1.0),
    "object": ({}, PICTURES),
}
_INSIDE = {"internal": "INTERNAL", "external": "EXTERNAL"}

FLAGS: Mapping[str, FlagDefinition] = {
    **{f"{kind}-flag": flag for kind, flag in _KINDS.items()},
    **{f"{kind}-disabled-flag": flag._replace(disabled=True) for kind, flag in _KINDS.items()},
    **{f"{kind}-zero-flag": _zero(*values) for kind, values in _ZEROS.items()},
    **{f"{kind}-targeted-zero-flag": _zero(*values, targeted=True) for kind, values in _ZEROS.items()},
    "metadata-flag": _KINDS["boolean"],
    "wrong-flag": FlagDefinition({"one": "uno", "two": "dos"}, "one"),
    "complex-targeted": FlagDefinition(
        _INSIDE,
        "external",
        Targeting(
            "internal",
            (leaf("customer", False), leaf("email", BALLMER), leaf("age", 10, "lessEqual", negated=True)),
        ),
    ),
    "context-aware": FlagDefinition(
        _INSIDE,
        "external",
        Targeting(
            "internal",
            (leaf("fn", "Sulisław"), leaf("ln", "Świętopełk"), leaf("age", 29), leaf("customer", False)),
        ),
    ),
}
"""As the specification's own file of flags has them; their metadata have no place in a document of Convert."""

_TYPES = {bool: "boolean", int: "integer", float: "float", str: "string"}


def translated(flags: Mapping[str, FlagDefinition] = FLAGS) -> Json:
    """The document in which the flags are features, and experiences carry them."""
    features: list[Json] = []
    experiences: list[Json] = []
    audiences: list[Json] = []
    ids = map(str, count(1000))
    for key, flag in flags.items():
        feature_id = next(ids)
        features.append(_feature(feature_id, key, flag))
        if flag.disabled:
            continue
        if flag.targeting is not None:
            audience = entity(next(ids), f"{key}-audience", every(*flag.targeting.conditions))
            audiences.append(audience)
            chosen = flag.targeting.variant
            experiences.append(_experience(next(ids), f"{key}-targeted", chosen, flag, feature_id, audience))
        if flag.default is not None:
            experiences.append(_experience(next(ids), f"{key}-everybody", flag.default, flag, feature_id))
    return document(*experiences, features=features, audiences=audiences)


def _feature(id: str, key: str, flag: FlagDefinition) -> Json:
    types = {
        name: _TYPES[type(value)] for each in flag.variants.values() for name, value in _members(each).items()
    }
    variables = [{"key": name, "type": type_name} for name, type_name in types.items()]
    return {"id": id, "key": key, "name": key, "variables": variables}


def _experience(
    id: str, key: str, chosen: str, flag: FlagDefinition, feature_id: str, audience: Json | None = None
) -> Json:
    """An experience in which everybody gets one variant."""
    variations = [
        {
            "id": f"{id}{place}",
            "key": variant,
            "name": variant,
            "traffic_allocation": 100 if variant == chosen else 0,
            "changes": [change(feature_id, **_members(value))],
        }
        for place, (variant, value) in enumerate(flag.variants.items())
    ]
    asked = [] if audience is None else [audience["id"]]
    return {"id": id, "key": key, "name": key, "variations": variations, "audiences": asked}


def _members(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {"value": value}


DOCUMENT = json.dumps(translated()).encode()


def flag_client(store: Store | None = None) -> Client:
    """A client that has all of the flags."""
    return Client.offline(Project.parse(DOCUMENT), store=store)


if __name__ == "__main__":
    import sys

    sys.stdout.write(json.dumps(translated(), indent=2) + "\n")
