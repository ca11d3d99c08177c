"""Whatever a document holds: it is checked, described, compared, simulated and explained, or refused."""

from __future__ import annotations

import json
from copy import deepcopy
from random import Random
from typing import Any

import pytest

from convert_sdk import Client, Project
from convert_sdk.analysis import (
    check,
    counterfactual,
    describe,
    description_html,
    diff,
    explanation_html,
    find,
    sample_visitors,
    sarif_log,
    simulate,
)
from convert_sdk.analysis.entities import Kind, index_of
from convert_sdk.errors import DocumentError
from tests.export import export

ODD: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        -1,
        1.5,
        1e308,
        10**40,
        float("nan"),
        "",
        "x",
        "9" * 400,
        "100",
        "*",
        "less",
        "\x00",
    ),
    *("[", "(a+)+$", "\ud800", "<script>", [], {}, [None], [[]], {"a": 1}, ["x", "x"]),
    *({"OR": []}, {"OR": [{"AND": [{"OR_WHEN": []}]}]}),
]
"""Values that stand where others are expected."""


def places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document but the document itself."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [each for key, item in items for each in ((*place, key), *places(item, (*place, key)))]


def mutant(chance: Random) -> Any:
    """An export with values replaced, removed, doubled, or put where others are."""
    document: Any = deepcopy(export())
    for _ in range(chance.choice([1, 1, 2, 5, 20])):
        *way, last = chance.choice(places(document))
        holder = document
        for key in way:
            holder = holder[key]
        match chance.randrange(5):
            case 0:
                del holder[last]
            case 1 if isinstance(holder, list):
                holder.append(deepcopy(holder[last]))
            case _:
                holder[last] = deepcopy(chance.choice(ODD))
    return document


@pytest.mark.parametrize("count", [30, pytest.param(2_000, marks=pytest.mark.soak)])
def test_nothing_but_a_refusal_leaves(count: int) -> None:
    usual = Project.parse(json.dumps(export()))
    for number in range(count):
        text = json.dumps(mutant(Random(number)))  # no secret is made of it
        report = check(text)
        json.loads(report.to_json())
        json.dumps(sarif_log(report, "x.json"))
        assert str(report)
        try:
            project = Project.parse(text)
        except DocumentError:
            continue
        visitors = [*sample_visitors([usual, project], 5)]
        assert str(diff(usual, project, visitors))
        assert str(diff(project, usual, visitors))
        assert str(simulate(project, visitors))
        visitor = Client.offline(project).visitor("v", {"plan": "silver"}, location={"path": "/"})
        for experience in project.experiences:
            needed = counterfactual(visitor, experience.key)
            assert str(needed)
            assert explanation_html(visitor.explain(experience.key), needed)
        for kind in Kind:
            for key in [entity.key for entity in index_of(project, kind) if entity.key]:
                described = describe(project, find(project, key, [kind]))
                assert str(described)
                assert description_html(described)
                assert described.to_json()


def test_a_key_with_half_an_emoji_has_a_fingerprint() -> None:
    document = export()
    document["goals"] = [{"id": "1", "key": "\ud83d"}, {"id": "2", "key": "\ud83d"}]
    assert all(finding.fingerprint for finding in check(json.dumps(document)).findings)
