from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("typer", reason="needs the extra cli")
from typer.testing import CliRunner

from convert_sdk.cli.app import app

RUN = CliRunner()


@pytest.mark.parametrize(
    "command",
    [
        ["explain", "broken.json", "checkout"],
        ["decide", "broken.json", "visitors.csv"],
        ["diff", "broken.json", "broken.json"],
        ["simulate", "broken.json"],
        ["scan", "broken.json", "."],
    ],
    ids=lambda command: command[0],
)
@pytest.mark.parametrize("text", ["", "{", "[]", '{"account_id": "1"}'])
def test_a_document_that_is_none_cannot_be_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str], text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.json").write_text(text, "utf-8")
    Path("visitors.csv").write_text("visitor_id\nv-1\n", "utf-8")
    found = RUN.invoke(app, command)
    assert found.exit_code == 2
    assert found.stderr.startswith("error: broken.json: $")


MAIN = "import sys; sys.argv[0] = 'convert-sdk'; from convert_sdk.cli import main; main()"


def ended(*arguments: str, output: int | None = None, **variables: str) -> tuple[int, str, str]:
    """The exit code and what was written by a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", MAIN, *arguments],
        stdout=subprocess.PIPE if output is None else output,
        stderr=subprocess.PIPE,
        env={**os.environ, **variables},
        timeout=60,
        check=False,
    )
    return done.returncode, (done.stdout or b"").decode("latin-1"), done.stderr.decode()


@pytest.fixture
def project(tmp_path: Path) -> str:
    path = tmp_path / "project.json"
    path.write_text(
        '{"account_id": "1", "project": {"id": "2"}, "experiences": [{"id": "9", "key": "k\u00e4se"}]}',
        "utf-8",
    )
    return str(path)


def test_a_page_that_cannot_be_written_is_one_line(tmp_path: Path, project: str) -> None:
    page = str(tmp_path / "nowhere" / "page.html")
    assert ended("explain", project, "9", "--html", page) == (
        2,
        "",
        f"error: {page}: No such file or directory\n",
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_an_output_that_is_full_is_one_line(project: str) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        code, _, said = ended("check", project, "--json", output=full)
    finally:
        os.close(full)
    assert code == 2
    assert said.startswith("error: No space left on device")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_the_letters_of_a_key(tmp_path: Path, project: str, encoding: str) -> None:
    visitors = tmp_path / "visitors.csv"
    visitors.write_text("visitor_id\n\u65e5\n", "utf-8")
    code, written, said = ended("decide", project, str(visitors), PYTHONIOENCODING=encoding)
    assert (code, said) == (0, "")
    assert written.splitlines()[1].startswith("\\u65e5,k")
