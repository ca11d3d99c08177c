"""How the tests run, and what docstrings' examples take for granted: a small shop's `project`, `client`, `visitor`."""

from __future__ import annotations

import os
from collections.abc import Generator
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings

from tests import processes

# A busy machine is no failure.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

R = TypeVar("R", pytest.TestReport, pytest.CollectReport)

# Modules whose extras are not installed have no examples to run.
SERVERS = Path(__file__).parent / "servers"
EXTRAS = {"server": "starlette", "cli": "typer", "stores/redis.py": "redis"}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    missing = [place for place, needed in EXTRAS.items() if find_spec(needed) is None]
    places = [config.rootpath / "convert_sdk" / place for place in missing]
    return True if any(place in (collection_path, *collection_path.parents) for place in places) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests in tests/servers, and whatever uses the Redis of all tests, start a real server."""
    for item in items:
        if SERVERS in item.path.parents or "redis_url" in getattr(item, "fixturenames", ()):
            item.add_marker("servers")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With a failure, what the processes said that the test has started."""
    report = yield
    if report.failed:
        report.sections.extend((f"process {name}", log) for name, log in processes.logs())
    if report.when == "teardown":
        processes.forget()
    return _unskipped(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _unskipped((yield))


def _unskipped(report: R) -> R:
    """In CI everything is installed, so that what is skipped for want of something is a failure."""
    if report.skipped and isinstance(report.longrepr, tuple) and os.environ.get("CI"):
        path, line, reason = report.longrepr
        if not reason.startswith("Skipped: only "):  # where another user or platform is needed
            report.outcome = "failed"
            report.longrepr = f"{path}:{line}: in CI nothing is skipped: {reason}"
    return report


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
