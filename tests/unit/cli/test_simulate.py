from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("typer", reason="needs the extra cli")
from typer.testing import CliRunner, Result

from convert_sdk.cli.app import app
from tests.documents import document, experience
from tests.export import export
from tests.processes import finished

RUN = CliRunner()


def run(*arguments: object, given: str | None = None) -> Result:
    return RUN.invoke(app, ["simulate", *map(str, arguments)], input=given)


@pytest.fixture(autouse=True)
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "shop.json"
    path.write_text(json.dumps(export()), "utf-8")
    return path


def test_shares_and_overlap() -> None:
    found = run("shop.json", "--sample", "300")
    assert found.exit_code == 0
    lines = found.stdout.splitlines()
    assert lines[0] == "300 visitors"
    assert any(line.startswith("search-engine: 300 take part, 100.0%; sample ratio p = ") for line in lines)
    assert any(line.startswith("    member-prices and search-engine: ") for line in lines)


def test_the_same_seed_gives_the_same() -> None:
    one, other = (run("shop.json", "--sample", "100", "--seed", "7", "--json").stdout for _ in "ab")
    assert one == other
    assert json.loads(one)["visitors"] == 100


def test_a_mismatch_ends_with_one() -> None:
    Path("halves.json").write_text(json.dumps(document(experience())), "utf-8")
    rows = "\n".join(f"v-{number},arm-1" for number in range(40))
    found = run("halves.json", "--visitors", "-", given=f"visitor_id,state.checkout\n{rows}\n")
    assert found.exit_code == 1
    assert "MISMATCH" in found.stdout


def test_what_a_test_takes() -> None:
    pytest.importorskip("scipy", reason="needs the extra stats")
    plan = ["--goal", "newsletter", "--rate", "0.1", "--lift", "0.2", "--daily", "500"]
    found = run("shop.json", "--sample", "200", *plan)
    assert (
        "to find +20% of newsletter at 10.00% in newsletter-form with 80% power: 7,682 visitors"
        in found.stdout
    )
    assert run("shop.json", "--sample", "0", "--goal", "newsletter", "--rate", "2").exit_code == 2


def test_an_unknown_goal() -> None:
    pytest.importorskip("scipy", reason="needs the extra stats")
    found = run("shop.json", "--sample", "10", "--goal", "newsleter")
    assert found.exit_code == 2
    assert "did you mean 'newsletter'" in found.stderr


def test_without_the_extra(shop: Path) -> None:
    program = "import sys; sys.modules['scipy'] = None; from convert_sdk.cli import main; main()"
    told = "scipy is not installed: pip install 'convert-sdk[stats]'\n"
    status, _, err = finished(program, "simulate", str(shop), "--sample", "10", "--goal", "purchase")
    assert (status, err) == (1, told)
