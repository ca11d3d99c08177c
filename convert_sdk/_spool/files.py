"""Where a spool keeps its files, and who owns them.

`<path>/<owner>/<id>.db` is one process's events and `<id>.lock` is locked for as long as that process
lives: a file whose lock is free is an orphan, and whoever takes the lock may empty and delete it. The
owner (what is sent where, and under which key) is a folder of its own, so that clients with different
keys may share a path and never send each other's events.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from threading import RLock
from typing import NamedTuple
from urllib.parse import quote, unquote

from convert_sdk._process.fork import register_after_fork
from convert_sdk._process.sqlite import Database

SCHEMA = """
CREATE TABLE IF NOT EXISTS rows (
    seq INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN ('event', 'pending', 'dead')),
    body TEXT NOT NULL,
    stored REAL NOT NULL,
    status INTEGER,
    message TEXT
);
CREATE INDEX IF NOT EXISTS rows_by_kind ON rows (kind, seq)
"""
_WRITE_WAIT = 1.0
_NAME_LIMIT = 120
_DEAD_AGE = 30 * 86_400.0
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
_INSERT = "INSERT OR IGNORE INTO rows (uuid, kind, body, stored, status, message) VALUES (?, ?, ?, ?, ?, ?)"
_SELECT = """
SELECT uuid, kind, body, min(stored, ?), status, message FROM rows
WHERE kind = ? AND stored > ? ORDER BY seq
"""

# A lock belongs to the open file, which a fork shares: the child closes its copies, or they would outlive the
# parent. Nobody is in the middle of taking one during a fork.
_locking = RLock()
_held: set[int] = set()


class SpoolFile(NamedTuple):
    """One process's file, whether it exists yet or not."""

    path: Path

    @property
    def lock_path(self) -> Path:
        return self.path.with_suffix(".lock")

    @property
    def owner(self) -> str:
        """Whose events these are, as far as the folder's name can tell."""
        return unquote(self.path.parent.name)

    def database(self, *, synchronous: str = "NORMAL") -> Database:
        """The file, to be closed by the caller."""
        return Database(self.path, SCHEMA, wait=_WRITE_WAIT, synchronous=synchronous)

    def lock(self) -> int | None:
        """Take the lock and return its descriptor; None while another process lives by it."""
        with _locking:
            descriptor = os.open(self.lock_path, os.O_CREAT | os.O_RDWR, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Another process may have deleted the file between the two calls above.
                if os.path.samestat(os.fstat(descriptor), self.lock_path.stat()):
                    _held.add(descriptor)
                    return descriptor
            except (BlockingIOError, FileNotFoundError):
                pass
            os.close(descriptor)
            return None

    def delete(self) -> None:
        """Delete everything, the lock last; only for the holder of the lock."""
        for leftover in self.path.parent.glob(f".{self.path.name}.*"):
            leftover.unlink(missing_ok=True)
        for ending in ("", "-wal", "-shm"):
            Path(f"{self.path}{ending}").unlink(missing_ok=True)
        self.lock_path.unlink(missing_ok=True)

    def keep_as_corrupt(self) -> None:
        """Put a damaged file out of the way, for a person to look at; only for the holder of the lock."""
        for ending in ("", "-wal"):
            source = Path(f"{self.path}{ending}")
            if source.exists():
                source.rename(f"{self.path.with_suffix('.corrupt')}{ending}")
        self.delete()


def release(descriptor: int) -> None:
    """Give a lock back; one that a fork took away is given back already."""
    with _locking:
        if descriptor in _held:
            _held.remove(descriptor)
            os.close(descriptor)


def owner_folder(root: Path, owner: str) -> Path:
    """The owner's folder: its name made safe, or a digest where that is too long for a file system."""
    if not owner:
        raise ValueError("a spool needs an owner: the key its events are sent under")
    name = quote(owner, safe="", errors="surrogatepass").replace(".", "%2E")
    return root / (name if len(name) <= _NAME_LIMIT else sha256(name.encode()).hexdigest())


def private_folder(folder: Path) -> None:
    """Make the folder, for this user alone (0700)."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.geteuid():
        raise PermissionError(f"{folder} belongs to another user")
    if found.st_mode & 0o077:
        folder.chmod(0o700)


def new_file(folder: Path) -> tuple[SpoolFile, int]:
    """A file nobody else has, and its lock; the database is made on first use."""
    while True:
        file = SpoolFile(folder / f"{token_hex(8)}.db")
        descriptor = file.lock()
        if descriptor is not None:
            return file, descriptor


def files(folder: Path) -> Iterator[SpoolFile]:
    """The owner's files, oldest name first. A lock is made before its file and deleted after it."""
    for lock_path in sorted(folder.glob("*.lock")):
        yield SpoolFile(lock_path.with_suffix(".db"))


class Adopted(NamedTuple):
    """What one orphan brought: events, rows past their age, and whether it was damaged."""

    events: int = 0
    expired: int = 0
    corrupt: int = 0


class UnreadableError(Exception):
    """The orphan, not our own file, gave an error; `damaged` where trying again cannot help."""

    def __init__(self, *, damaged: bool) -> None:
        super().__init__("the orphan cannot be read")
        self.damaged = damaged


def adopt(orphan: SpoolFile, into: Database, *, age: float, now: float) -> Adopted:
    """Move an orphan's rows into our file and delete it, under its lock; nothing where that is taken.

    A damaged file is put aside. One that only cannot be read now stays for the next time.
    """
    descriptor = orphan.lock()
    if descriptor is None:
        return Adopted()
    try:
        adopted = _move(orphan, into, age, now) if orphan.path.exists() else Adopted()
        orphan.delete()
    except UnreadableError as error:
        if not error.damaged:
            return Adopted()
        orphan.keep_as_corrupt()
        return Adopted(corrupt=1)
    else:
        return adopted
    finally:
        release(descriptor)


def _move(orphan: SpoolFile, into: Database, age: float, now: float) -> Adopted:
    with closing(orphan.database()) as database:
        old = "SELECT uuid FROM rows WHERE kind != 'dead' AND stored <= ?"
        expired = sum(1 for _ in _rows(database, old, now - age))
        with into.transaction() as target:
            before = target.total_changes
            target.executemany(_INSERT, _rows(database, _SELECT, now, "event", now - age))
            events = target.total_changes - before
            target.executemany(_INSERT, _rows(database, _SELECT, now, "pending", now - age))
            target.executemany(_INSERT, _rows(database, _SELECT, now, "dead", now - _DEAD_AGE))
        with into.connection() as connection:
            # The orphan is deleted next: its rows must be as safe from a power cut here as they were there.
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    return Adopted(events, expired)


def _rows(database: Database, query: str, *values: float | str) -> Iterator[tuple[object, ...]]:
    try:
        with database.connection() as connection:
            yield from connection.execute(query, values)
    except sqlite3.Error as error:
        # Without a code it is text that does not decode.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
        raise UnreadableError(damaged=code & 0xFF in _DAMAGE) from error
    except OSError as error:
        raise UnreadableError(damaged=False) from error


def _before_fork() -> None:
    _locking.acquire()


def _after_fork_in_parent() -> None:
    _locking.release()


def _after_fork_in_child() -> None:
    global _locking  # noqa: PLW0603  # the child needs a lock of its own
    _locking = RLock()
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent)
register_after_fork(_after_fork_in_child)
