"""How the tests run, and what docstrings' examples take for granted: a small shop's `project`, `client`, `visitor`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no failure.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

# Modules whose extras are not installed have no examples to run.
EXTRAS = {"server": "starlette", "cli": "typer", "stores/redis.py": "redis"}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    missing = [place for place, needed in EXTRAS.items() if find_spec(needed) is None]
    places = [config.rootpath / "convert_sdk" / place for place in missing]
    return True if any(place in (collection_path, *collection_path.parents) for place in places) else None


@pytest.fixture(autouse=True)
def example_shop(request: pytest.FixtureRequest) -> None:
    if isinstance(request.node, pytest.DoctestItem):
        request.getfixturevalue("doctest_namespace").update(_shop())


def _shop() -> dict[str, object]:
    # Imported here: coverage is measured from a moment after this module is.
    from convert_sdk import Client, Project
    from tests.documents import change, entity, every, experience, feature, leaf, offline, variation

    arms = [
        variation("11", key="classic", changes=[change("81", discount="0.1")]),
        variation("12", key="one-page", changes=[change("81", discount="0.25")]),
    ]
    client = offline(
        experience("100", "checkout-layout", variations=arms),
        experience("200", "shipping-banner", audiences=["51"], variations=[variation("21", 100, key="on")]),
        audiences=[entity("51", "germans", every(leaf("country", "DE")))],
        segments=[entity("71", "big-spenders", every(leaf("spent", 1000, "less", negated=True)))],
        features=[feature("81", "pricing", discount="float")],
        goals=[entity("7", "purchase", every(leaf("total", 10, "less", negated=True)))],
    )
    return {
        "Client": Client,
        "Project": Project,
        "project": client.project,
        "client": client,
        "visitor": client.visitor("v-42"),
    }
