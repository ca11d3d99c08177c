"""The text that an editor shows for a public name: what it does, its arguments, units, errors, and an example."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator

import pytest

from convert_sdk import AsyncClient, Client, Visitor
from convert_sdk.options import OPTIONS
from tests.documents import LOW, experience, offline

CLASSES = [Client, AsyncClient, Visitor]
FACTS = ["attributes", "environment", "id", "location", "project"]


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
    assert [name for name in dir(visitor) if not name.startswith("_")] == sorted([*verbs, *FACTS])
    assert {"decide", "track", "segments"} < set(verbs)
