"""The text that an editor shows for a public name: what it does, its arguments, units, errors, and an example."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType

import pytest

import convert_sdk
import convert_sdk.errors
import convert_sdk.observation
import convert_sdk.status
import convert_sdk.stores.breaker
import convert_sdk.stores.redis
import convert_sdk.stores.sqlite
from convert_sdk import AsyncClient, Client, Visitor
from convert_sdk.options import OPTIONS
from tests.documents import LOW, experience, offline

MODULES = [
    *(convert_sdk.observation, convert_sdk.status, convert_sdk.stores, convert_sdk.errors),
    *(convert_sdk.stores.breaker, convert_sdk.stores.sqlite, convert_sdk.stores.redis),
]
CLASSES = [Client, AsyncClient, Visitor]
FACTS = ["attributes", "bucketing_id", "environment", "id", "location", "project"]


def public(cls: type) -> Iterator[tuple[str, Callable[..., object]]]:
    for name, value in vars(cls).items():
        if not name.startswith("_") and callable(getattr(cls, name)):
            yield name, value.__func__ if isinstance(value, classmethod) else value


METHODS = [pytest.param(value, id=f"{cls.__name__}.{name}") for cls in CLASSES for name, value in public(cls)]


def hover(thing: object) -> str:
    """As editors show it: the signature, and the docstring without its indentation."""
    assert callable(thing)
    return f"{inspect.signature(thing)}\n{inspect.getdoc(thing)}"


@pytest.mark.parametrize("method", METHODS)
def test_a_method_describes_each_argument_and_has_an_example(method: Callable[..., object]) -> None:
    text = inspect.getdoc(method) or ""
    arguments = [name for name in inspect.signature(method).parameters if name not in ("self", "cls")]
    described = re.findall(r"^    (\w+): ", text.partition("Args:\n")[2].partition("\n\n")[0], re.MULTILINE)
    assert described == arguments
    assert ">>> " in text
    assert re.match(r"[A-Z`]", text)
    assert text.splitlines()[0].endswith(".")


@pytest.mark.parametrize("method", METHODS)
def test_a_method_says_what_it_returns(method: Callable[..., object]) -> None:
    text = inspect.getdoc(method) or ""
    returns = inspect.signature(method).return_annotation
    if returns not in ("None", "Self", "Status", "Visitor") and "Args:" in text:
        assert "Returns:\n    " in text


def documented() -> Iterator[tuple[str, str]]:
    """Every class and function that an application imports by name, and their public members, with their texts."""
    names = [(convert_sdk, name) for name in convert_sdk.__all__ if name not in ("ANYWHERE", "__version__")]
    for module in MODULES:
        names += [(module, name) for name, value in vars(module).items() if value_of(module, value)]
    yield from texts_of(names)


def texts_of(names: Iterable[tuple[ModuleType, str]]) -> Iterator[tuple[str, str]]:
    for module, name in names:
        thing = getattr(module, name)
        yield f"{module.__name__}.{name}", inspect.getdoc(thing) or ""
        for member in dir(thing) if inspect.isclass(thing) else ():
            value = inspect.getattr_static(thing, member)
            function = (
                getattr(value, "__func__", None)
                or getattr(value, "fget", None)
                or getattr(value, "func", value)
            )
            if not member.startswith("_") and inspect.isfunction(function):
                yield f"{module.__name__}.{name}.{member}", inspect.getdoc(function) or ""


def value_of(module: ModuleType, value: object) -> bool:
    """True for a class that this module is the place of."""
    return (
        inspect.isclass(value) and value.__module__ == module.__name__ and not value.__name__.startswith("_")
    )


def test_whatever_is_imported_by_name_has_an_example() -> None:
    texts = dict(documented())
    assert [name for name, text in texts.items() if ">>> " not in text] == []
    assert {
        "convert_sdk.Project.parse",
        "convert_sdk.Status.healthy",
        "convert_sdk.observation.Decided",
        "convert_sdk.stores.redis.RedisStore.save",
        "convert_sdk.SpoolError",
    } < texts.keys()


def test_so_has_the_local_server() -> None:
    server = pytest.importorskip("convert_sdk.server", reason="needs the extra server", exc_type=ImportError)
    texts = dict(texts_of((server, name) for name in server.__all__ if name != "DEMO_SDK_KEY"))
    assert [name for name, text in texts.items() if ">>> " not in text] == []
    assert {"convert_sdk.server.LocalServer.start", "convert_sdk.server.serve"} < texts.keys()


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_a_client_shows_its_options_with_their_meaning(client: type) -> None:
    text = " ".join(hover(client).split())
    for name, option in OPTIONS.items():
        assert f"{name}: {option.meaning}" in text
        assert option.variable is None or f"variable {option.variable})" in text
    assert "_parts" not in text
    assert "OptionError" in text
    assert ">>> " in text


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        (Visitor.decide, ["key: str", "Decision", "`reason` says why", "TypeError", "visitor.decide("]),
        (Visitor.force, ["variation: ", "variation_id: ", "`UNKNOWN_VARIATION`", "visitor.force("]),
        (
            Visitor.track,
            [
                "goal_id: ",
                "revenue: An amount of money",
                "1 to 5",
                "allow_repeat: True counts",
                "ValueError",
                "TypeError",
            ],
        ),
        (Client.flush, ["timeout: Seconds", "FlushReport", "client.flush("]),
    ],
)
def test_hovering_a_verb(verb: Callable[..., object], words: list[str]) -> None:
    text = hover(verb).replace("'", "")
    assert [word for word in words if word not in text] == []


def test_a_visitor_shows_its_verbs_and_facts_only() -> None:
    verbs = [name for name in vars(Visitor) if not name.startswith("_") and name not in FACTS]
    visitor = offline(experience()).visitor(LOW)
    assert dir(visitor) == sorted([*verbs, *FACTS])
    assert {"decide", "track", "segments"} < set(verbs)
