from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("typer", reason="needs the extra cli")
from typer.testing import CliRunner, Result

from convert_sdk.cli.app import app
from tests.export import export

RUN = CliRunner()


def run(*arguments: object) -> Result:
    return RUN.invoke(app, ["scan", *map(str, arguments)])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("shop.json").write_text(json.dumps(export()), "utf-8")
    Path("good.py").write_text('visitor.decide("home-hero")\nvisitor.track("purchase")\n', "utf-8")
    Path("bad.py").write_text('visitor.decide("home-heros")\n', "utf-8")
    return tmp_path


def test_the_exit_code() -> None:
    assert run("shop.json", "good.py").exit_code == 0
    found = run("shop.json", "good.py", "bad.py")
    assert found.exit_code == 1
    assert (
        "bad.py:1: experience 'home-heros' is not in the document: did you mean 'home-hero'" in found.stdout
    )


def test_as_json() -> None:
    found = json.loads(run("shop.json", "good.py", "--json").stdout)
    assert (found["files"], len(found["uses"]), found["absent"]) == (1, 2, [])
    assert {"kind": "goal", "key": "newsletter"} in found["unused"]


def test_misuse() -> None:
    assert run("shop.json").exit_code == 2
    found = run("shop.json", "none.py")
    assert found.exit_code == 2
    assert "none.py: No such file" in found.stderr
