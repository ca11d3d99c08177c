from __future__ import annotations

import json

import pytest

pytest.importorskip("typer", reason="needs the extra cli")
pytest.importorskip("starlette", reason="needs the extra server")
from typer.testing import CliRunner

from convert_sdk.cli.app import app
from convert_sdk.server import DEMO_SDK_KEY, Registry, demo_document, running

RUN = CliRunner()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("CONVERT_SDK_KEY", "CONVERT_SDK_SECRET", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_beside_a_server(environment: pytest.MonkeyPatch) -> None:
    registry = Registry()
    registry.add(demo_document(), sdk_key=DEMO_SDK_KEY)
    with running(registry) as server:
        for name in ("CONVERT_CONFIG_ENDPOINT", "CONVERT_TRACK_ENDPOINT"):
            environment.setenv(name, server.url)
        found = RUN.invoke(app, ["doctor", "--sdk-key", DEMO_SDK_KEY])
        assert found.exit_code == 0, found.output
        assert "ok       config endpoint       HTTP 200 in " in found.stdout
        found = RUN.invoke(app, ["doctor", "--sdk-key", "no/such", "--wait", "0", "--json"])
        assert found.exit_code == 1
        assert json.loads(found.stdout)["healthy"] is False


def test_without_a_key() -> None:
    found = RUN.invoke(app, ["doctor"])
    assert found.exit_code == 2
    assert "CONVERT_SDK_KEY" in found.stderr
