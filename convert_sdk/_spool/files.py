"""Spool files: their places, their locks, and the recovery of those that a dead process left.

Theory of operation
-------------------
Each process has a file of its own, `<path>/<owner>/<id>.db`, and beside it `<id>.lock`, which it keeps locked with
`flock` for as long as it lives. The system frees the lock when the process dies, however it dies. So the states are:

==============  =========  ============================================================================
lock            file       meaning
==============  =========  ============================================================================
held            any        a living process's; nobody else opens it
free            there      an orphan: whoever takes the lock may move its rows, and delete it
free            missing    a process that stored nothing, or that died while it deleted; delete the lock
none            there      cannot be: the lock is made before its file and deleted after it
==============  =========  ============================================================================

- A lock belongs to an inode, not to a name. After taking one, `lock` compares both: another process may have deleted
  the name between the opening and the locking.
- Recovery inserts the rows into our own file and commits before it deletes the orphan. A process that is killed in
  between leaves rows in both files; their ids are unique, so inserting them again changes nothing.
- A lock belongs to the open file, which a fork shares. The child closes its copies, or they would keep the lock after
  the parent's death. `_locking` is held during a fork, so that no thread is in the middle of taking one.

The owner (the endpoints and the key that events are sent under) is a folder, so that clients with different keys may
share a path and never send each other's events.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from threading import RLock
from typing import NamedTuple
from urllib.parse import quote, unquote

from convert_sdk._process.fork import hook_fork, register_after_fork
from convert_sdk._process.sqlite import Database
from convert_sdk.errors import SpoolError

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
_REJECTED_AGE = 30 * 86_400.0
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
_INSERT = "INSERT OR IGNORE INTO rows (uuid, kind, body, stored, status, message) VALUES (?, ?, ?, ?, ?, ?)"
_SELECT = """
SELECT uuid, kind, body, min(stored, ?), status, message FROM rows
WHERE kind = ? AND stored > ? ORDER BY seq
"""

_locking = RLock()
_held: set[int] = set()


class RowKind(StrEnum):
    """The kinds of rows, under the words that stored files have: these stay as they are, whatever we call a kind."""

    EVENT = "event"
    PENDING = "pending"
    REJECTED = "dead"


class SpoolFile(NamedTuple):
    """The file of one process; it may not exist yet."""

    path: Path

    @property
    def lock_path(self) -> Path:
        return self.path.with_suffix(".lock")

    @property
    def owner(self) -> str:
        """The owner, or its digest if the name was too long for a folder."""
        return unquote(self.path.parent.name)

    def database(self, *, synchronous: str = "NORMAL") -> Database:
        """Open the file; the caller closes it."""
        return Database(self.path, SCHEMA, wait=_WRITE_WAIT, synchronous=synchronous)

    def lock(self) -> int | None:
        """Take the lock and return its descriptor; None while another process holds it.

        Raises SpoolError on a platform without file locks.
        """
        try:
            import fcntl
        except ImportError:
            raise SpoolError("a spool needs file locks, which this platform does not have (fcntl)") from None
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
        """Rename a damaged file to `.corrupt`, for a person to look at; only for the holder of the lock."""
        for ending in ("", "-wal"):
            source = Path(f"{self.path}{ending}")
            if source.exists():
                source.rename(f"{self.path.with_suffix('.corrupt')}{ending}")
        self.delete()


def release_lock(descriptor: int) -> None:
    """Release a lock; nothing to do for one that was inherited by a fork, which is released already."""
    with _locking:
        if descriptor in _held:
            _held.remove(descriptor)
            os.close(descriptor)


def owner_folder(root: Path, owner: str) -> Path:
    """Return the owner's folder: the name made safe, or a digest if that is too long for a file system."""
    if not owner:
        raise ValueError("a spool needs an owner: the key its events are sent under")
    name = quote(owner, safe="", errors="surrogatepass").replace(".", "%2E")
    return root / (name if len(name) <= _NAME_LIMIT else sha256(name.encode()).hexdigest())


def make_private_folder(folder: Path) -> None:
    """Make the folder, for this user alone (0700)."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.stat()
    if hasattr(os, "geteuid") and found.st_uid != os.geteuid():
        raise PermissionError(f"{folder} belongs to another user")
    if found.st_mode & 0o077:
        folder.chmod(0o700)


class LockedFile(NamedTuple):
    """A file of this process, and the descriptor of its lock."""

    file: SpoolFile
    lock: int


def create_file(folder: Path) -> LockedFile:
    """Choose a file that nobody else has, and lock it; the database is made on first use."""
    while True:
        file = SpoolFile(folder / f"{token_hex(8)}.db")
        descriptor = file.lock()
        if descriptor is not None:
            return LockedFile(file, descriptor)


def list_files(folder: Path) -> Iterator[SpoolFile]:
    """Yield the owner's files, in the order of their names."""
    for lock_path in sorted(folder.glob("*.lock")):
        yield SpoolFile(lock_path.with_suffix(".db"))


class Recovered(NamedTuple):
    """The result for one orphan: events moved, rows too old to move, and 1 if it was damaged."""

    events: int = 0
    expired: int = 0
    corrupt: int = 0


class UnreadableError(Exception):
    """The orphan, and not our own file, raised an error; `damaged` if trying again cannot help."""

    def __init__(self, *, damaged: bool) -> None:
        super().__init__("the orphan cannot be read")
        self.damaged = damaged


def recover_orphan(orphan: SpoolFile, into: Database, *, age: float, now: float) -> Recovered:
    """Move an orphan's rows into our file and delete it, under its lock; do nothing if the lock is held.

    A damaged file is renamed. One that cannot be read just now stays for the next time.
    """
    descriptor = orphan.lock()
    if descriptor is None:
        return Recovered()
    try:
        recovered = _move(orphan, into, age, now) if orphan.path.exists() else Recovered()
        orphan.delete()
    except UnreadableError as error:
        if not error.damaged:
            return Recovered()
        orphan.keep_as_corrupt()
        return Recovered(corrupt=1)
    else:
        return recovered
    finally:
        release_lock(descriptor)


def _move(orphan: SpoolFile, into: Database, age: float, now: float) -> Recovered:
    with closing(orphan.database()) as database:
        old = "SELECT uuid FROM rows WHERE kind != ? AND stored <= ?"
        expired = sum(1 for _ in _rows(database, old, RowKind.REJECTED, now - age))
        with into.transaction() as target:
            before = target.total_changes
            target.executemany(_INSERT, _rows(database, _SELECT, now, RowKind.EVENT, now - age))
            events = target.total_changes - before
            target.executemany(_INSERT, _rows(database, _SELECT, now, RowKind.PENDING, now - age))
            target.executemany(_INSERT, _rows(database, _SELECT, now, RowKind.REJECTED, now - _REJECTED_AGE))
        with into.connection() as connection:
            # The orphan is deleted next: its rows must be as safe from a power cut here as they were there.
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    return Recovered(events, expired)


def _rows(database: Database, query: str, *values: float | str) -> Iterator[tuple[object, ...]]:
    try:
        with database.connection() as connection:
            yield from connection.execute(query, values)
    except sqlite3.Error as error:
        # An error without a code means text that does not decode.
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


hook_fork(before=_before_fork, after_in_parent=_after_fork_in_parent)
register_after_fork(_after_fork_in_child)
