"""Commands that look into a live document, as a local Serving API has it."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("typer", reason="needs the extra cli")
pytest.importorskip("starlette", reason="needs the extra server")
from typer.testing import CliRunner

from convert_sdk.cli.app import app
from convert_sdk.server import DEMO_SDK_KEY, Registry, demo_document, running

RUN = CliRunner()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("CONVERT_SDK_SECRET", "CONVERT_SDK_KEY"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_the_live_document(environment: pytest.MonkeyPatch) -> None:
    registry = Registry()
    registry.add(demo_document(), sdk_key=DEMO_SDK_KEY)
    with running(registry) as server:
        environment.setenv("CONVERT_CONFIG_ENDPOINT", server.url)
        found = RUN.invoke(app, ["check", "--sdk-key", DEMO_SDK_KEY, "--json"])
        assert found.exit_code == 0, found.output
        assert json.loads(found.stdout)["counts"] == {
            "error": 0,
            "warning": 0,
            "note": 1,
        }  # no draft is served
        with server.failing(404):
            found = RUN.invoke(app, ["check", "--sdk-key", DEMO_SDK_KEY])
        assert found.exit_code == 2
        assert "404" in found.stderr


def test_a_key_that_cannot_be_one(environment: pytest.MonkeyPatch) -> None:
    found = RUN.invoke(app, ["check", "--sdk-key", '"quoted"'])
    assert found.exit_code == 2
    assert "sdk_key" in found.stderr
