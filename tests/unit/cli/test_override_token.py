from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("typer", reason="needs the extra cli")
from typer.testing import CliRunner, Result

from convert_sdk import Client, Project
from convert_sdk._tokens.override import read_override
from convert_sdk.cli.app import app
from tests.documents import document, experience

RUN = CliRunner()
SECRETS = "the-newest-of-the-site an-older-one-of-the-site"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CONVERT_SECRETS", SECRETS)
    path = tmp_path / "shop.json"
    path.write_text(json.dumps(document(experience())), "utf-8")
    return path


def run(*arguments: object) -> Result:
    return RUN.invoke(app, ["override-token", *map(str, arguments)])


def variations(shop: Path, token: str) -> object:
    client = Client.offline(Project.load(shop), secrets=SECRETS.split()[:1])
    return read_override(client._engine, token).variations


def test_a_token(shop: Path) -> None:
    found = run(shop, "checkout=arm-2", "--expires", "8h")
    assert found.exit_code == 0
    assert variations(shop, found.stdout.strip()) == {"checkout": "arm-2"}


@pytest.mark.parametrize(
    ("url", "begins", "ends"),
    [
        ("https://shop.example/", "https://shop.example/?convert_override=", ""),
        ("https://shop.example/?a=1#top", "https://shop.example/?a=1&convert_override=", "#top"),
    ],
)
def test_a_link(shop: Path, url: str, begins: str, ends: str) -> None:
    link = run(shop, "checkout=arm-2", "--url", url).stdout.strip()
    assert link.startswith(begins)
    assert variations(shop, link.removeprefix(begins).removesuffix(ends)) == {"checkout": "arm-2"}


def test_it_is_for_an_environment(shop: Path) -> None:
    token = run(shop, "checkout=arm-2", "--environment", "staging").stdout.strip()
    assert variations(shop, token) == {}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["chekout=arm-2"], "error: there is no experience 'chekout': did you mean 'checkout'?"),
        (["checkout"], "expected EXPERIENCE=VARIATION, found 'checkout'"),
        (["checkout=arm-2", "--expires", "25h"], "24 hours at most"),
        (["checkout=arm-2", "--expires", "soon"], "expected a time such as 90s"),
    ],
)
def test_mistakes(shop: Path, arguments: list[str], said: str) -> None:
    found = run(shop, *arguments)
    assert found.exit_code == 2
    assert said in found.output


def test_the_secret_is_in_the_environment(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONVERT_SECRETS")
    found = run(shop, "checkout=arm-2")
    assert (found.exit_code, found.output) == (2, "error: set CONVERT_SECRETS to the secrets of the site\n")
    monkeypatch.setenv("CONVERT_SECRETS", "hunter2")
    found = run(shop, "checkout=arm-2")
    assert found.exit_code == 2
    assert "secrets of 16 characters or more" in found.output
    assert "hunter2" not in found.output
