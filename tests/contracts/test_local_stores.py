"""What only the stores of one host promise."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from convert_sdk.errors import StoreError, VisitorStateError
from convert_sdk.stores import Changes, MemoryStore, VisitorState
from convert_sdk.stores.sqlite import SqliteStore
from tests.processes import finished


class TestMemoryStore:
    def test_the_longest_unused_is_forgotten(self) -> None:
        store = MemoryStore(max_visitors=2)
        for name in ("ann", "bob"):
            store.save(Changes(name))
        store.load("ann")
        store.save(Changes("eve"))
        assert store.load("bob") is None
        assert store.load("ann") is not None

    def test_after_a_day_nobody_was_forgotten(self) -> None:
        now = [1_000.0]
        store = MemoryStore(clock=lambda: now[0])
        store.delete("ann")
        now[0] += 86_399
        store.save(Changes("ann", {"100": "late"}))
        assert store.load("ann") == VisitorState()
        now[0] += 1
        assert store.load("ann") is None
        store.delete("bob")
        assert store.save(Changes("ann", {"100": "new"})).bucketing == {"100": "new"}
        assert store.load("ann") == VisitorState({"100": "new"})

    def test_no_room_is_refused(self) -> None:
        with pytest.raises(ValueError, match="at least 1"):
            MemoryStore(max_visitors=0)

    def test_a_fork_finds_the_lock_free(self) -> None:
        status, _, err = finished(FORKS)
        assert (status, err) == (0, "")


# Forks while a thread saves all the time; a child that inherited the lock taken would hang.
FORKS = """
import os, threading
from convert_sdk.stores import Changes, MemoryStore

store = MemoryStore(max_visitors=100)
store.save(Changes("before", {"100": "one"}))
stop = threading.Event()

def write():
    n = 0
    while not stop.is_set():
        store.save(Changes(f"parent-{n % 50}"))
        n += 1

thread = threading.Thread(target=write)
thread.start()
for child in range(50):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            for n in range(200):
                store.save(Changes(f"child-{n}"))
            assert store.load("child-199") is not None
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
stop.set()
thread.join()
"""


class TestSqliteStore:
    def test_it_survives_a_restart(self, tmp_path: Path) -> None:
        store = SqliteStore(tmp_path / "visitors.db")
        store.save(Changes("ann", {"100": "one"}))
        store.close()
        store.close()
        assert SqliteStore(tmp_path / "visitors.db").load("ann") == VisitorState({"100": "one"})

    def test_the_files_are_private(self, tmp_path: Path) -> None:
        store = SqliteStore(tmp_path / "visitors.db")
        store.save(Changes("ann"))
        assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}

    def test_a_visitor_is_forgotten_after_its_life(self, tmp_path: Path) -> None:
        now = [1000.0]
        store = SqliteStore(tmp_path / "visitors.db", ttl=60, clock=lambda: now[0])
        store.save(Changes("ann", {"100": "one"}))
        now[0] += 59
        assert store.load("ann") is not None
        now[0] += 1
        assert store.load("ann") is None
        assert store.save(Changes("ann", {"100": "two"})).bucketing == {"100": "two"}

    def test_after_a_day_nobody_was_forgotten(self, tmp_path: Path) -> None:
        now = [1_000.0]
        store = SqliteStore(tmp_path / "visitors.db", clock=lambda: now[0])
        store.delete("ann")
        now[0] += 86_399
        store.save(Changes("ann", {"100": "late"}))
        assert store.load("ann") == VisitorState()
        now[0] += 1
        assert store.load("ann") is None
        store.delete("bob")
        assert store.save(Changes("ann", {"100": "new"})).bucketing == {"100": "new"}
        store.close()
        with sqlite3.connect(tmp_path / "visitors.db") as file:
            assert file.execute("SELECT key FROM forgotten").fetchall() == [('"bob"',)]
        file.close()

    def test_the_file_of_an_earlier_version_is_used(self, tmp_path: Path) -> None:
        path = tmp_path / "visitors.db"
        with sqlite3.connect(path) as file:
            file.execute(
                "CREATE TABLE visitors (key TEXT PRIMARY KEY, state TEXT NOT NULL, expires REAL NOT NULL) "
                "WITHOUT ROWID"
            )
        file.close()
        store = SqliteStore(path)
        store.save(Changes("ann", {"100": "one"}))
        store.delete("ann")
        assert store.load("ann") == VisitorState()

    def test_the_dead_leave_the_file(self, tmp_path: Path) -> None:
        now = [1000.0]
        store = SqliteStore(tmp_path / "visitors.db", ttl=60, clock=lambda: now[0])
        store.save(Changes("ann"))
        now[0] += 4000
        store.save(Changes("bob"))
        store.close()
        with sqlite3.connect(tmp_path / "visitors.db") as file:
            assert file.execute("SELECT count(*) FROM visitors").fetchone() == (1,)
        file.close()

    def test_a_file_that_is_no_database_is_a_store_error(self, tmp_path: Path) -> None:
        (tmp_path / "visitors.db").write_text("not a database, but long enough to be taken for one" * 50)
        store = SqliteStore(tmp_path / "visitors.db")
        with pytest.raises(StoreError, match="cannot be read"):
            store.load("ann")
        with pytest.raises(StoreError, match="cannot be written"):
            store.save(Changes("ann"))

    def test_an_empty_file_is_taken_over(self, tmp_path: Path) -> None:
        (tmp_path / "visitors.db").touch()
        store = SqliteStore(tmp_path / "visitors.db")
        store.save(Changes("ann"))
        assert store.load("ann") == VisitorState()

    def test_a_missing_folder_is_a_store_error(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="cannot be written"):
            SqliteStore(tmp_path / "absent" / "visitors.db").save(Changes("ann"))

    def test_a_damaged_page_concerns_its_visitors(self, tmp_path: Path) -> None:
        path = tmp_path / "visitors.db"
        store = SqliteStore(path)
        names = [f"visitor-{number:04}" for number in range(500)]
        for name in names:
            store.save(Changes(name, segments={"text": "x" * 200}))
        store.close()
        content = bytearray(path.read_bytes())
        pages = [content[start : start + 4096] for start in range(0, len(content), 4096)]
        leaves = [number for number, page in enumerate(pages) if page[0] == 10 and b'{"version' in page]
        damaged = leaves[len(leaves) // 2]
        content[damaged * 4096 : (damaged + 1) * 4096] = b"\xff" * 4096
        path.write_bytes(content)
        store = SqliteStore(path)
        failed = []
        for name in names:
            try:
                assert store.load(name) is not None
                store.save(Changes(name, {"100": "one"}))
            except VisitorStateError:
                failed.append(name)
        assert 0 < len(failed) < 40
        loaded = store.load("visitor-0000")
        assert loaded is not None
        assert loaded.bucketing == {"100": "one"}

    def test_a_home_folder_is_found(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        store = SqliteStore("~/visitors.db")
        store.save(Changes("ann"))
        assert (tmp_path / "visitors.db").exists()

    def test_in_memory_it_is_the_objects_alone(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        store, other = SqliteStore(":memory:"), SqliteStore(":memory:")
        store.save(Changes("ann", {"100": "one"}))
        assert store.load("ann") == VisitorState({"100": "one"})
        assert other.load("ann") is None
        assert (store.shared, repr(store)) == (False, "SqliteStore(':memory:')")
        assert not list(tmp_path.iterdir())

    @pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
    def test_in_memory_it_survives_a_fork_and_the_child_has_its_own(self) -> None:
        store = SqliteStore(":memory:")
        store.save(Changes("ann", {"100": "one"}))
        pid = os.fork()
        if pid == 0:
            os._exit(0 if store.load("ann") is None and not store.save(Changes("ann")).goals else 1)
        assert os.waitpid(pid, 0)[1] == 0
        assert store.load("ann") == VisitorState({"100": "one"})

    def test_its_repr_says_where(self, tmp_path: Path) -> None:
        assert (
            repr(SqliteStore(tmp_path / "visitors.db")) == f"SqliteStore({str(tmp_path / 'visitors.db')!r})"
        )
