from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from convert_sdk._core.events import Event
from convert_sdk._spool.admin import inspect, replay
from convert_sdk._spool.spool import Spool
from convert_sdk.cli.spool import spool_app
from convert_sdk.errors import SpoolError

OWNER = "10035569/10034190"


def event(uuid: str) -> Event:
    return Event(uuid, "visitor-secret", '{"attribute":"secret"}')


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two events and a pending record of a process that ended, and an event that was refused."""
    spool = Spool(tmp_path / "spool", OWNER)
    spool.append([event("1"), event("2"), event("3")])
    spool.append_pending({"4": {"visitor": "visitor-secret"}})
    spool.reject([event("3")], 422, "no [such] goal")
    spool.close()
    return tmp_path / "spool"


@pytest.fixture
def living(folder: Path) -> Spool:
    spool = Spool(folder, "1/2")
    spool.append([event("5")])
    spool.reject([event("6")], 400, "no")
    return spool


def run(*arguments: str, answer: str = "") -> tuple[int, str]:
    result = CliRunner().invoke(spool_app, arguments, input=answer, env={"COLUMNS": "200"})
    return result.exit_code, result.output


def test_ls_shows_files_and_refusals_but_no_visitor(folder: Path, living: Spool) -> None:
    code, output = run("ls", str(folder))
    assert code == 0
    assert "secret" not in output
    for word in (OWNER, "1/2", "running", "gone", "422", "no [such] goal"):
        assert word in output


def test_ls_json(folder: Path) -> None:
    code, output = run("ls", str(folder), "--json")
    (report,) = json.loads(output)
    assert code == 0
    assert "secret" not in output
    assert (report["owner"], report["alive"], report["events"], report["pending"]) == (OWNER, False, 2, 1)
    assert [(each["uuid"], each["status"], each["message"]) for each in report["rejected"]] == [
        ("3", 422, "no [such] goal")
    ]


def test_ls_of_an_empty_folder(tmp_path: Path) -> None:
    assert run("ls", str(tmp_path)) == (0, "Nothing on disk.\n")


@pytest.mark.parametrize("command", [["ls"], ["replay"], ["drop", "--yes"]])
def test_a_missing_folder_is_said(tmp_path: Path, command: list[str]) -> None:
    code, output = run(*command, str(tmp_path / "absent"))
    assert code == 1
    assert "error: there is no spool at" in output


def test_ls_names_damage(folder: Path) -> None:
    (path,) = folder.rglob("*.db")
    path.write_bytes(b"no database" * 500)
    assert inspect(folder)[0].problem == "it is damaged; the next client takes over what can be read"
    after = Spool(folder, OWNER)
    after.recover()
    after.close()
    assert [report.problem for report in inspect(folder)] == ["damaged"]
    assert run("drop", str(folder), "--yes")[0] == 0
    assert inspect(folder) == []


def test_replay_puts_the_refused_back(folder: Path, living: Spool) -> None:
    code, output = run("replay", str(folder))
    assert code == 0
    assert output.startswith("1 event put back")
    assert "a running process uses it" in output
    after = Spool(folder, OWNER)
    assert after.recover() == 3
    assert [each.uuid for each in after.load(10)] == ["1", "2", "3"]
    assert living.counts().rejected == 1


def test_replayed_events_are_young_again(folder: Path) -> None:
    with sqlite3.connect(next(folder.rglob("*.db"))) as file:
        file.execute("UPDATE rows SET stored = 0")
    file.close()
    replay(folder)
    after = Spool(folder, OWNER)
    assert after.recover() == 1


def test_drop_asks_first(folder: Path) -> None:
    code, _ = run("drop", str(folder), answer="n\n")
    assert code == 1
    assert inspect(folder)[0].events == 2


def test_drop_deletes_what_nobody_uses(folder: Path, living: Spool) -> None:
    code, output = run("drop", str(folder), answer="y\n")
    assert code == 0
    assert "4 events deleted." in output
    assert [report.owner for report in inspect(folder)] == ["1/2"]
    assert [each.uuid for each in living.load(10)] == ["5"]


def test_drop_only_the_rejected(folder: Path) -> None:
    assert run("drop", str(folder), "--rejected-only", "--yes") == (0, "1 event deleted.\n")
    (report,) = inspect(folder)
    assert (report.events, report.pending, report.rejected) == (2, 1, ())


def test_a_damaged_file_stops_replay_by_name(folder: Path) -> None:
    (path,) = folder.rglob("*.db")
    other = Spool(folder, "another/key")
    other.append([Event("9", "v", "{}")])
    other.reject([Event("9", "v", "{}")], 400, "no")
    other.close()
    path.write_bytes(b"no database" * 500)
    with pytest.raises(SpoolError, match=f"{path.name} cannot be used: it is damaged"):
        replay(folder)
    assert other.recover() == 1
    other.close()


def test_a_damaged_file_can_be_dropped(folder: Path) -> None:
    (path,) = folder.rglob("*.db")
    path.write_bytes(b"no database" * 500)
    assert run("drop", str(folder), "--yes") == (0, "0 events deleted.\n")
    assert inspect(folder) == []
