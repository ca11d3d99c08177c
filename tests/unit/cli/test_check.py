from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("typer", reason="needs the extra cli")
from typer.testing import CliRunner, Result

from convert_sdk.cli.app import app
from tests.export import export

RUN = CliRunner()


def run(*arguments: object, given: str | None = None) -> Result:
    return RUN.invoke(app, ["check", *map(str, arguments)], input=given)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    noted = {**export(), "holdouts": []}
    wrong = {**export(), "segments": 5}
    for name, document in (("clean", export()), ("noted", noted), ("wrong", wrong)):
        (tmp_path / f"{name}.json").write_text(json.dumps(document, indent=1), "utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "fail_on", "status"),
    [
        ("clean", "note", 0),
        ("noted", "error", 0),
        ("noted", "warning", 0),
        ("noted", "note", 1),
        ("wrong", "error", 1),
        ("wrong", "never", 0),
    ],
)
def test_the_exit_code(folder: Path, name: str, fail_on: str, status: int) -> None:
    assert run(f"{name}.json", "--fail-on", fail_on).exit_code == status


def test_its_text(folder: Path) -> None:
    found = run("noted.json")
    line = (folder / "noted.json").read_text("utf-8").splitlines().index(' "holdouts": []') + 1
    assert found.stdout.splitlines() == [
        f"noted.json:{line}:14: note: the API has no top-level key 'holdouts' [unknown-top-level-key]",
        "    $.holdouts",
        "    Remove it, if it is not a new part of the API.",
        "no errors, no warnings, 1 note",
    ]


def test_standard_input(folder: Path) -> None:
    text = (folder / "wrong.json").read_text("utf-8")
    found = run("-", given=text)
    assert found.exit_code == 1
    assert found.stdout.startswith("standard input:")


def test_json_and_sarif(folder: Path) -> None:
    assert json.loads(run("noted.json", "--json").stdout)["counts"] == {"error": 0, "warning": 0, "note": 1}
    (ran,) = json.loads(run("noted.json", "--sarif").stdout)["runs"]
    (result,) = ran["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"] == {"uri": "noted.json"}


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("my project.json", "my%20project.json"),
        ("a:b#1.json", "a%3Ab%231.json"),
        ("ä/x.json", "%C3%A4/x.json"),
    ],
)
def test_sarif_names_a_file_by_a_uri(folder: Path, name: str, uri: str) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    (folder / "noted.json").rename(path)
    for given, wanted in ((name, uri), (str(path), path.as_uri())):
        (result,) = json.loads(run(given, "--sarif").stdout)["runs"][0]["results"]
        assert result["locations"][0]["physicalLocation"]["artifactLocation"] == {"uri": wanted}


def test_sarif_of_standard_input_names_no_file(folder: Path) -> None:
    log = json.loads(run("-", "--sarif", given=(folder / "noted.json").read_text("utf-8")).stdout)
    (result,) = log["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"description": {"text": "standard input"}}
    assert place["region"]["startLine"] >= 1


class TestIgnores:
    def test_a_file_in_the_folder_is_read(self, folder: Path) -> None:
        (folder / ".convert-check").write_text("unknown-top-level-key $.holdouts\nunused-goal\n", "utf-8")
        found = run("noted.json", "--fail-on", "note")
        assert found.exit_code == 0
        assert "1 ignored" in found.stdout
        assert "nothing fits the ignore: unused-goal *" in found.stderr

    def test_another_file_is_named(self, folder: Path) -> None:
        (folder / "mine").write_text("wrong-type\nunknown-audience\n", "utf-8")
        assert run("wrong.json", "--ignore", "mine").exit_code == 0

    def test_a_code_that_does_not_exist(self, folder: Path) -> None:
        (folder / ".convert-check").write_text("wrong-typo\n", "utf-8")
        found = run("clean.json")
        assert found.exit_code == 2
        assert "did you mean 'wrong-type'" in found.stderr


class TestMisuse:
    def test_no_document(self) -> None:
        found = run()
        assert found.exit_code == 2
        assert "--sdk-key" in found.stderr

    def test_a_file_that_is_not_there(self, folder: Path) -> None:
        found = run("none.json")
        assert found.exit_code == 2
        assert "none.json: No such file" in found.stderr

    def test_two_documents(self, folder: Path) -> None:
        assert run("clean.json", "noted.json").exit_code == 2

    def test_an_unknown_severity(self, folder: Path) -> None:
        found = run("clean.json", "--fail-on", "fatal")
        assert found.exit_code == 2
        assert "error, warning, note, never" in found.stderr
