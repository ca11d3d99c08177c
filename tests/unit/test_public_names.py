from __future__ import annotations

import inspect
from importlib import import_module

import pytest

import convert_sdk
from convert_sdk import ConvertError

PUBLIC = [
    "ANYWHERE",
    "AsyncClient",
    "Client",
    "Consent",
    "ConversionReason",
    "ConversionResult",
    "ConvertError",
    "Counts",
    "Decision",
    "DocumentError",
    "Explanation",
    "FetchError",
    "FlushReport",
    "MemoryStore",
    "OptionError",
    "Problem",
    "Project",
    "Reason",
    "ResolvedFeature",
    "RuleTrace",
    "SpoolError",
    "Status",
    "Store",
    "StoreError",
    "Visitor",
    "VisitorState",
    "__version__",
    "bucket_value",
    "current_visitor",
    "explain_rules",
    "flush_before_os_exit",
    "matches",
    "parse_preview",
]
VERBS = [
    "bootstrap",
    *("decide", "decide_all", "explain", "feature", "features", "force", "handover", "match_segments"),
    *(
        "peek",
        "peek_all",
        "peek_feature",
        "preview",
        "project",
        "segments",
        "set_consent",
        "set_segments",
        "track",
        "with_context",
    ),
]
WORDLESS = {"__version__"}


def test_these_names_are_promised_and_no_others() -> None:
    assert convert_sdk.__all__ == PUBLIC


def test_each_of_them_is_there() -> None:
    assert [name for name in PUBLIC if not hasattr(convert_sdk, name)] == []


def test_these_are_a_visitors_verbs() -> None:
    own = vars(convert_sdk.Visitor)
    assert sorted(name for name in own if not name.startswith("_")) == VERBS


@pytest.mark.parametrize("name", [name for name in PUBLIC if name not in WORDLESS])
def test_each_has_an_example(name: str) -> None:
    """Examples run with the tests; an error is caught as its root is, a protocol is shown by what keeps it."""
    thing = getattr(convert_sdk, name)
    if inspect.isclass(thing) and issubclass(thing, ConvertError):
        thing = ConvertError
    elif name == "Store":
        thing = import_module(thing.__module__)
    assert ">>> " in (inspect.getdoc(thing) or "")


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "project"])
def test_each_verb_has_an_example(verb: str) -> None:
    assert ">>> " in (inspect.getdoc(vars(convert_sdk.Visitor)[verb]) or "")


@pytest.mark.parametrize("name", [name for name in PUBLIC if inspect.isclass(getattr(convert_sdk, name))])
def test_each_method_says_what_it_does(name: str) -> None:
    members = vars(getattr(convert_sdk, name)).items()
    methods = [(member, value) for member, value in members if inspect.isfunction(inspect.unwrap(value))]
    assert [member for member, value in methods if not member.startswith("_") and not value.__doc__] == []
