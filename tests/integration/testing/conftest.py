"""Tests of tests: each runs pytest on files of its own, with the plugin as an application has it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from convert_sdk.testing import attr, experience, feature, goal, project

SHOP = project(
    experience(
        "checkout", {"classic": 100, "one-page": 0}, sets={"one-page": {"pricing": {"discount": 0.2}}}
    ),
    experience("banner", audience=attr("country") == "DE"),
    feature("pricing", discount=0.0),
    goal("purchase"),
)

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def shop(pytester: pytest.Pytester) -> Path:
    """The export of a project, named in the configuration."""
    pytester.makepyprojecttoml("[tool.pytest.ini_options]\nconvert_config = 'shop.json'\n")
    path = pytester.path / "shop.json"
    document = SHOP.document
    experiences = document["experiences"]
    assert isinstance(experiences, list)
    experiences.append({"id": "900", "key": "empty", "variations": []})
    path.write_text(json.dumps(document))
    return path


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Run pytest on the files of this test."""

    def running(*arguments: str, separately: bool = False) -> pytest.RunResult:
        start = pytester.runpytest_subprocess if separately else pytester.runpytest_inprocess
        return start("-p", "convert_sdk_pytest", "-p", "no:cacheprovider", *arguments)

    return running
