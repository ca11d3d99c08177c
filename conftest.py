"""How the tests run, and what docstrings' examples take for granted: a small shop's `project`, `client`, `visitor`."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from hypothesis import settings

from convert_sdk import Client, Project
from tests.documents import change, entity, every, experience, feature, leaf, offline, variation

# A busy machine is no failure.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

# Modules whose extras are not installed have no examples to run.
EXTRAS = {"server": "starlette", "cli": "typer", "stores/redis.py": "redis"}
collect_ignore = [f"convert_sdk/{place}" for place, needed in EXTRAS.items() if find_spec(needed) is None]

ARMS = [
    variation("11", key="classic", changes=[change("81", discount="0.1")]),
    variation("12", key="one-page", changes=[change("81", discount="0.25")]),
]
GERMANS = entity("51", "germans", every(leaf("country", "DE")))
SPENDERS = entity("71", "big-spenders", every(leaf("spent", 1000, "less", negated=True)))
PURCHASE = entity("7", "purchase", every(leaf("total", 10, "less", negated=True)))


@pytest.fixture(autouse=True)
def example_shop(request: pytest.FixtureRequest) -> None:
    if isinstance(request.node, pytest.DoctestItem):
        client = offline(
            experience("100", "checkout-layout", variations=ARMS),
            experience(
                "200", "shipping-banner", audiences=["51"], variations=[variation("21", 100, key="on")]
            ),
            audiences=[GERMANS],
            segments=[SPENDERS],
            features=[feature("81", "pricing", discount="float")],
            goals=[PURCHASE],
        )
        namespace = request.getfixturevalue("doctest_namespace")
        namespace |= {
            "Client": Client,
            "Project": Project,
            "project": client.project,
            "client": client,
            "visitor": client.visitor("v-42"),
        }
