"""The pytest plugin of `convert_sdk`: fixtures and marks for tests of applications and of rules.

It stands beside the package and imports nothing of it until a fixture, a mark or an option needs it: a test suite
that measures its coverage, and one that has no use for the plugin, load nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from inspect import isfunction
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from convert_sdk import AsyncClient, Client, Project
    from convert_sdk.testing import AsyncRecordingClient, RecordingClient

_CONFIG = "convert_config"
_TABLES = "convert_tables"
_VARIATIONS = "convert_variations"
_HOW = (
    "name the project's JSON document in the configuration of pytest (convert_config = shop.json) or on its command "
    "line (--convert-config shop.json)"
)
_loaded: pytest.StashKey[Project] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the command line and of the configuration file."""
    group = parser.getgroup("convert", "Convert experiments")
    group.addoption(
        "--convert-config",
        metavar="FILE",
        help="the JSON document of the project that tests decide with, in place of convert_config",
    )
    parser.addini(_CONFIG, "the JSON document of the project that tests decide with, from the root directory")
    tables = ["*.convert.yaml", "*.convert.yml", "*.convert.csv"]
    parser.addini(_TABLES, "patterns of the files that are tables of rule tests", type="args", default=tables)
    group.addoption(
        "--convert-coverage",
        action="append",
        nargs="?",
        const="term",
        metavar="html|json|term[:FILE]",
        help="report which variations, and which outcomes of each condition of the rules, the tests have seen",
    )
    group.addoption(
        "--convert-coverage-fail-under",
        type=float,
        metavar="PERCENT",
        help="fail where less was seen than this",
    )
    parser.addini("convert_coverage_exclude", "patterns of keys, or kind:key, that do not count", type="args")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect the tables of rule tests, `checkout.convert.yaml` for one."""
    if not any(file_path.match(pattern) for pattern in parent.config.getini(_TABLES)):
        return None
    from convert_sdk.testing.table_items import TableFile

    return TableFile.from_parent(parent, path=file_path, document_path=document_path)


def pytest_configure(config: pytest.Config) -> None:
    """Add the marks."""
    config.addinivalue_line(
        "markers",
        "variations(experience, keys=None): run the test once for each variation of an experience, or for these keys",
    )
    reports, least = config.getoption("convert_coverage"), config.getoption("convert_coverage_fail_under")
    if reports or least is not None:
        from convert_sdk.testing.coverage.plugin import CoveragePlugin

        config.pluginmanager.register(
            CoveragePlugin(config, document_path(config), reports or ["term"], least)
        )


def document_path(config: pytest.Config) -> Path | None:
    """The file of the document: of the option, from the working directory, or of the configuration file."""
    given: str | None = config.getoption("convert_config")
    if given:
        return config.invocation_params.dir / given
    configured: str = config.getini(_CONFIG)
    return config.rootpath / configured if configured else None


def configured_project(config: pytest.Config) -> Project | None:
    """The project of the configuration, read once; None where none is named. A file that is no good fails the test."""
    path = document_path(config)
    if path is None:
        return None
    if _loaded not in config.stash:
        from convert_sdk import DocumentError, Project

        try:
            config.stash[_loaded] = Project.load(path)
        except OSError as error:
            pytest.fail(f"convert_config: {path} cannot be read: {error.strerror}", pytrace=False)
        except DocumentError as error:
            pytest.fail(f"convert_config: {path} is no document of a project: {error}", pytrace=False)
    return config.stash[_loaded]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Explain the rules that a failed assertion asked."""
    report = yield
    failure = call.excinfo
    if failure is not None and failure.errisinstance(AssertionError) and "convert_sdk" in sys.modules:
        from convert_sdk.testing.asked_rules import explained_failure

        if text := explained_failure(failure.tb):
            report.sections.append(("the rules that were asked", text))
    return report


# Fixtures.


@pytest.fixture(scope="session")
def convert_project(pytestconfig: pytest.Config) -> Project:
    """The project that tests decide with: of `convert_config`, or of a fixture of this name in a conftest."""
    project = configured_project(pytestconfig)
    if project is None:
        pytest.fail(f"there is no project: {_HOW}, or give a fixture convert_project", pytrace=False)
    return project


@pytest.fixture
def convert(convert_project: Project) -> RecordingClient:
    """A client that decides with the project and records what it would send."""
    from convert_sdk.testing import RecordingClient

    return RecordingClient(convert_project)


@pytest.fixture
def convert_async(convert: RecordingClient) -> AsyncRecordingClient:
    """The same for asyncio; it shares records, overrides and clock with `convert`."""
    from convert_sdk.testing import AsyncRecordingClient

    return AsyncRecordingClient(convert)


@pytest.fixture
def convert_app(convert: RecordingClient) -> Iterator[Callable[..., Any]]:
    """Make the test client of a web application whose Convert clients answer from the project and record in `convert`.

    Called with a FastAPI, Starlette or other ASGI application, a Flask application, or nothing for Django. All clients
    of the process that would use the network are meant, made before or meanwhile; or only those that are named after
    the application.
    """
    from convert_sdk.testing import replaced, replaced_everywhere
    from convert_sdk.testing.apps import http_client

    with ExitStack() as stack:

        def make(app: object = None, *clients: Client | AsyncClient) -> Any:
            for client in clients:
                stack.enter_context(replaced(client, convert))
            if not clients:
                stack.enter_context(replaced_everywhere(convert))
            return stack.enter_context(http_client(app))

        yield make


@pytest.fixture
def convert_forbid_network() -> Iterator[None]:
    """Refuse all network connections that leave this machine, in every thread, and fail the test that tries one."""
    from convert_sdk.testing.network import forbidden_network

    with forbidden_network() as attempts:
        yield
    if attempts:
        places = "; ".join(dict.fromkeys(attempts))
        pytest.fail(
            f"the test reached for the network: {places}\nreplace the client: convert_app, or testing.replaced",
            pytrace=False,
        )


@pytest.fixture
def convert_variations(request: pytest.FixtureRequest) -> Iterator[Mapping[str, str]]:
    """The variations of a test with the mark `variations`, by the keys of their experiences; they are overridden."""
    chosen: Mapping[str, str] = getattr(request, "param", {})
    with ExitStack() as stack:
        if chosen:
            convert: RecordingClient = request.getfixturevalue("convert")
            for experience, variation in chosen.items():
                stack.enter_context(convert.override(experience, variation, everywhere=True))
        yield chosen


# The mark `variations`.


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Module | pytest.Class, obj: object) -> None:
    """Have a test with the mark `variations` use the fixture, before the fixtures that it asks for itself."""
    if isfunction(obj):
        own: Sequence[pytest.Mark] = getattr(obj, "pytestmark", ())
        marked = any(mark.name == "variations" for mark in own)
        if marked or collector.get_closest_marker("variations") is not None:
            pytest.mark.usefixtures(_VARIATIONS)(obj)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test with the mark `variations` once for each of them; several marks give every combination."""
    chosen = {}
    for mark in reversed([*metafunc.definition.iter_markers("variations")]):  # the outermost first
        experience, keys = _of_mark(*mark.args, **mark.kwargs)
        chosen[experience] = _variations(metafunc.config, experience, keys)
    if not chosen:
        return
    combinations = [dict(zip(chosen, keys, strict=True)) for keys in product(*chosen.values())]
    ids = [",".join(f"{experience}={key}" for experience, key in each.items()) for each in combinations]
    metafunc.parametrize(_VARIATIONS, combinations, ids=ids, indirect=True)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test that has the mark `variations` where pytest runs it once, without an override."""
    chosen: Mapping[str, object] = getattr(getattr(item, "callspec", None), "params", {})
    if isinstance(item, pytest.Function) and _VARIATIONS not in chosen:
        for mark in item.iter_markers("variations"):
            pytest.fail(
                f"the mark variations({', '.join(map(repr, mark.args))}) does nothing here: it needs a function, or a "
                "method of a plain class, not of unittest.TestCase, and stands on it, its class or its module",
                pytrace=False,
            )


def _of_mark(
    experience: object = None, keys: object = None, *more: object, **named: object
) -> tuple[str, Sequence[str] | None]:
    """The arguments of the mark, checked."""
    listed = [*keys] if isinstance(keys, (list, tuple)) else None
    if not isinstance(experience, str) or more or named:
        pytest.fail('the mark is variations("checkout") or variations("checkout", ["a", "b"])', pytrace=False)
    if keys is not None and (not listed or not all(isinstance(each, str) for each in listed)):
        pytest.fail(f"variations({experience!r}): the keys must be a list of texts", pytrace=False)
    return experience, listed


def _variations(config: pytest.Config, experience_key: str, keys: Sequence[str] | None) -> Sequence[str]:
    """The keys of the variations, held against the project if there is one."""
    where, project = f"variations({experience_key!r})", configured_project(config)
    if project is None:
        if keys is None:
            pytest.fail(f"{where} needs the project: {_HOW}, or give the keys", pytrace=False)
        return keys
    from convert_sdk._checks import nearest

    experience = project.experiences.get(experience_key)
    if experience is None:
        near = nearest(experience_key, [each.key for each in project.experiences])
        pytest.fail(f"{where}: the project has no such experience{near}", pytrace=False)
    known = [each.key for each in experience.variations.values()]
    for key in keys or ():
        if key not in known:
            pytest.fail(f"{where}: there is no variation {key!r}{nearest(key, known)}", pytrace=False)
    if not known:
        pytest.fail(f"{where}: the experience has no variations", pytrace=False)
    return known if keys is None else keys
