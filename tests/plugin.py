"""How the tests run, and what docstrings' examples take for granted: a small shop's `project`, `client`, `visitor`."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings

from tests import processes

# A busy machine is no failure. Laws are tried with fewer examples where time is short: --hypothesis-profile=short.
settings.register_profile("unhurried", deadline=None)
settings.register_profile("short", deadline=None, max_examples=30)
settings.load_profile("unhurried")

# A shell has its programs in the background ignore Ctrl-C, and all that these start inherit it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = "pytester"

R = TypeVar("R", pytest.TestReport, pytest.CollectReport)

# Modules whose extras are not installed have no examples to run.
SERVERS = Path(__file__).parent / "servers"
TESTING = Path(__file__).parents[1] / "convert_sdk" / "testing"
SERVER = Path(__file__).parents[1] / "convert_sdk" / "server"
DJANGO = "integrations/django"
EXTRAS = {
    "analysis/power.py": "scipy",
    "server": "starlette",
    "cli": "typer",
    "stores/redis.py": "redis",
    "_tokens": "itsdangerous",
    "tables": "pyarrow",
    "integrations/starlette.py": "starlette",
    "integrations/fastapi.py": "fastapi",
    "integrations/flask.py": "flask",
    "integrations/openfeature": "openfeature",
    "integrations/celery.py": "celery",
    "integrations/rq.py": "rq",
    "integrations/dramatiq.py": "dramatiq",
    "integrations/requests.py": "requests",
    DJANGO: "django",
    "integrations/_web/user_agents.py": "ua_parser",
    "testing/strategies.py": "hypothesis",
    "testing/yaml_values.py": "ruamel",
}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    missing = [place for place, needed in EXTRAS.items() if find_spec(needed) is None]
    places = [config.rootpath / "convert_sdk" / place for place in missing]
    if DJANGO not in missing and config.rootpath / "convert_sdk" / DJANGO in collection_path.parents:
        import_module("tests.web.django_site")  # settings, which looking for examples asks for
    return True if any(place in (collection_path, *collection_path.parents) for place in places) else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A row of the table of servers runs twenty times, once where time is short."""
    if metafunc.definition.get_closest_marker("row"):
        again = [pytest.param(number, marks=pytest.mark.soak) for number in range(2, 21)]
        metafunc.fixturenames.append("time_of_twenty")
        metafunc.parametrize("time_of_twenty", [1, *again])


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
        namespace = request.getfixturevalue("doctest_namespace")
        namespace.clear()  # it is that of all tests
        namespace.update(_shop())
        if TESTING in request.node.path.parents:
            namespace.update(_testing())
        if SERVER in request.node.path.parents:
            namespace.update(_served())


def _shop() -> dict[str, object]:
    # Imported here: coverage is measured from a moment after this module is.
    from convert_sdk import Client, Project
    from convert_sdk.testing import attr, audience, experience, feature, goal, project, segment, variation

    shop = project(
        experience(
            "checkout-layout",
            [variation("classic", 50, id=11), variation("one-page", 50, id=12)],
            sets={"classic": {"pricing": {"discount": "0.1"}}, "one-page": {"pricing": {"discount": "0.25"}}},
            id=100,
        ),
        experience("shipping-banner", [variation("on", 100, id=21)], audience="germans", id=200),
        audience("germans", attr("country") == "DE", id=51),
        segment("big-spenders", attr("spent") >= 1000, id=71),
        feature("pricing", discount=float, id=81),
        goal("purchase", attr("total") >= 10, id=7),
        name="Shop",
    )
    client = Client.offline(Project.parse(shop.source))
    return {
        "Client": Client,
        "Project": Project,
        "project": client.project,
        "client": client,
        "visitor": client.visitor("v-42"),
    }


def _served() -> dict[str, object]:
    """A registry with one project, of which one exposure was recorded."""
    from convert_sdk.server import Registry
    from convert_sdk.server.tracking import TrackingRequest

    registry = Registry()
    document = {"account_id": "1", "project": {"id": "2"}, "experiences": [{"id": "100", "key": "checkout"}]}
    served = registry.add(document, sdk_key="shop")
    shown = {"eventType": "bucketing", "data": {"experienceId": "100", "variationId": "11"}}
    body = {"visitors": [{"visitorId": "v-42", "events": [shown]}]}
    served.record.add(TrackingRequest.model_validate(body))
    return {"registry": registry, "served": served}


def _testing() -> dict[str, object]:
    """What an application's tests import, for the examples of what builds projects: `project` is a function there."""
    from convert_sdk import testing

    return {name: getattr(testing, name) for name in testing.__all__}
