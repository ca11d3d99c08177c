from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path

import pytest

from convert_sdk._process import sqlite
from convert_sdk._process.sqlite import Database

SCHEMA = "CREATE TABLE IF NOT EXISTS things (name TEXT NOT NULL)"


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "things.db", SCHEMA, wait=0.05)


def names(database: Database) -> list[str]:
    with database.connection() as connection:
        return [name for (name,) in connection.execute("SELECT name FROM things")]


def add(database: Database, name: str) -> None:
    with database.transaction() as connection:
        connection.execute("INSERT INTO things VALUES (?)", (name,))


def test_a_failure_takes_everything_back(database: Database) -> None:
    add(database, "kept")
    with pytest.raises(sqlite3.IntegrityError), database.transaction() as connection:
        connection.executemany("INSERT INTO things VALUES (?)", [("lost",), (None,)])
    assert names(database) == ["kept"]


def test_it_opens_again_after_closing(database: Database) -> None:
    add(database, "kept")
    database.close()
    assert names(database) == ["kept"]


def test_it_writes_ahead(database: Database) -> None:
    with database.connection() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_deleted_folder_is_no_new_file(database: Database, tmp_path: Path) -> None:
    moved = Database(tmp_path / "absent" / "things.db", SCHEMA, wait=0.05)
    with pytest.raises(OSError, match="absent"):
        add(moved, "x")


def test_another_writer_is_waited_for_only_so_long(database: Database, tmp_path: Path) -> None:
    other = Database(tmp_path / "things.db", SCHEMA, wait=0.05)
    with database.transaction(), pytest.raises(sqlite3.OperationalError, match="locked"):
        add(other, "x")


def test_it_is_closed_during_a_fork_and_threads_wait(database: Database) -> None:
    add(database, "before")
    database.before_fork()
    assert database._connection is None
    written = threading.Thread(target=add, args=(database, "after"))
    written.start()
    database.after_fork_in_parent()
    written.join()
    assert names(database) == ["before", "after"]


def test_a_fork_without_hooks_abandons_the_connection(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(database, "before")
    inherited = database._connection
    abandoned: list[sqlite3.Connection] = []
    monkeypatch.setattr(sqlite, "_abandoned", abandoned)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert names(database) == ["before"]
    assert database._connection is not inherited
    assert abandoned == [inherited]
    assert inherited is not None
    assert inherited.execute("SELECT 1").fetchone() == (1,)  # never closed
    inherited.close()
    database.close()


def test_one_that_is_forgotten_is_closed(tmp_path: Path) -> None:
    forgotten = Database(tmp_path / "things.db", SCHEMA, wait=0.05)
    add(forgotten, "kept")
    connection = forgotten._connection
    assert connection is not None
    del forgotten
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


def test_a_fork_does_not_wait_for_ever(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_FORK_TIMEOUT", 0.01)
    with database.connection() as connection:
        database.before_fork()
        assert connection.execute("SELECT 1").fetchone() == (1,)
        database.after_fork_in_parent()
    add(database, "after")
    assert names(database) == ["after"]
