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
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple
from urllib.parse import quote, unquote

from convert_sdk._core.events import to_json
from convert_sdk._process.folders import oddity, opened_folder
from convert_sdk._process.fork import hook_fork, register_after_fork
from convert_sdk._process.sqlite import Database
from convert_sdk.errors import SpoolError

from .salvage import Contents, Row, is_cut, is_damaged, salvage

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
REJECTED_AGE = 30 * 86_400.0
"""Seconds for which a rejected event is kept."""
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
_INSERT = "INSERT OR IGNORE INTO rows (uuid, kind, body, stored, status, message) VALUES (?, ?, ?, ?, ?, ?)"
_SELECT = """
SELECT uuid, kind, body, min(stored, ?), status, message FROM rows
WHERE kind = ? AND stored > ? ORDER BY seq
"""

_locking = threading.RLock()
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
        _require_locks()
        import fcntl

        flags = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        with _locking, opened_folder(self.path.parent) as folder:
            descriptor = os.open(self.lock_path.name, flags, 0o600, dir_fd=folder)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Another process may have deleted the file between the two calls above.
                there = os.stat(self.lock_path.name, dir_fd=folder, follow_symlinks=False)
                if os.path.samestat(os.fstat(descriptor), there):
                    _held.add(descriptor)
                    return descriptor
            except (BlockingIOError, FileNotFoundError):
                pass
            os.close(descriptor)
            return None

    def oddity(self) -> str | None:
        """The part of the file that no spool has made, as it is a link, a folder or another user's; None for ours."""
        _require_locks()
        with opened_folder(self.path.parent) as folder:
            parts = (self.lock_path.name, *(f"{self.path.name}{ending}" for ending in ("", "-wal", "-shm")))
            odd = ((part, oddity(part, folder)) for part in parts)
            return next((f"{part} is {why}: it is left alone" for part, why in odd if why is not None), None)

    def delete(self) -> None:
        """Delete everything, the lock last; only for the holder of the lock."""
        with opened_folder(self.path.parent) as folder:
            there = os.listdir(folder)  # noqa: PTH208  # a path has no descriptor
            drafts = [name for name in there if name.startswith(f".{self.path.name}.")]
            parts = [f"{self.path.name}{ending}" for ending in ("", "-wal", "-shm")]
            for name in (*drafts, *parts, self.lock_path.name):
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=folder)

    def keep_as_corrupt(self) -> str:
        """Rename a damaged file to `.corrupt`, for a person to look at; its name. Only for the holder of the lock."""
        kept = self.path.with_suffix(".corrupt").name
        with opened_folder(self.path.parent) as folder:
            for ending in ("", "-wal"):
                with suppress(FileNotFoundError):
                    source = f"{self.path.name}{ending}"
                    os.rename(source, f"{kept}{ending}", src_dir_fd=folder, dst_dir_fd=folder)
        self.delete()
        return kept

    def contents(self) -> Contents:
        """The bytes of the file and of what SQLite keeps beside it."""
        with opened_folder(self.path.parent) as folder:
            return Contents(
                *(_bytes_of(f"{self.path.name}{ending}", folder) for ending in ("", "-wal", "-shm"))
            )


def _require_locks() -> None:
    try:
        import fcntl  # noqa: F401  # the platforms that have it follow no link where they are told not to
    except ImportError:
        raise SpoolError("a spool needs file locks, which this platform does not have (fcntl)") from None


def _bytes_of(name: str, folder: int) -> bytes:
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return b""
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


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


def beginnings(visitor_id: str) -> tuple[str, ...]:
    """The beginnings of the bodies of a visitor's rows, as `Spool` writes events and pending records."""
    name = to_json(visitor_id)
    return f"[{name},", f'{{"visitor":{name},'


class DeletedRow(NamedTuple):
    """A row that was deleted with its visitor."""

    uuid: str
    kind: str


def delete_visitor(connection: sqlite3.Connection, visitor_id: str) -> list[DeletedRow]:
    """Delete a visitor's rows of every kind, in one transaction, and return them."""
    chosen = " OR ".join("substr(body, 1, ?) = ?" for _ in beginnings(visitor_id))
    values = [value for text in beginnings(visitor_id) for value in (len(text), text)]
    rows = [
        DeletedRow(*row)
        for row in connection.execute(f"SELECT uuid, kind FROM rows WHERE {chosen}", values)  # noqa: S608  # marks
    ]
    connection.executemany("DELETE FROM rows WHERE uuid = ?", [(row.uuid,) for row in rows])
    return rows


def delete_visitor_elsewhere(file: SpoolFile, visitor_id: str) -> int:
    """Delete a visitor's rows in the file of another process, which may live; returns their number.

    A file that is no spool's, or that is gone, has none; one that is damaged is left to its recovery.
    """
    try:
        if file.oddity() is not None or not file.path.exists():
            return 0
        # Never made anew: its owner may delete it at this moment.
        address = f"{file.path.as_uri()}?mode=rw"
        with closing(sqlite3.connect(address, uri=True, timeout=_WRITE_WAIT)) as connection, connection:
            return len(delete_visitor(connection, visitor_id))
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_ERROR):
            return 0
        raise
    except sqlite3.DatabaseError:
        return 0


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
    problem: str | None = None
    """The reason why it was not moved whole."""


class UnreadableError(Exception):
    """The orphan, and not our own file, raised an error; `damaged` if trying again cannot help."""

    def __init__(self, *, damaged: bool) -> None:
        super().__init__("the orphan cannot be read")
        self.damaged = damaged


def recover_orphan(orphan: SpoolFile, into: Database, *, age: float, now: float) -> Recovered:
    """Move an orphan's rows into our file and delete it, under its lock; do nothing if the lock is held.

    A damaged file is renamed when the rows that can be read were moved. One that cannot be read just now stays for the
    next time, and what is no file of a spool is left alone.
    """
    try:
        odd = orphan.oddity()
        if odd is not None:
            return Recovered(problem=odd)
        descriptor = orphan.lock()
    except OSError as error:
        return Recovered(problem=f"{orphan.path.name} cannot be taken over: {error.strerror or error}")
    if descriptor is None:
        return Recovered()
    try:
        return _recover_locked(orphan, into, age, now)
    finally:
        release_lock(descriptor)


def _recover_locked(orphan: SpoolFile, into: Database, age: float, now: float) -> Recovered:
    name = orphan.path.name
    contents = Contents()
    try:
        contents = orphan.contents()
        if orphan.path.exists():
            recovered = None if is_damaged(contents) else _move(orphan, into, age, now)
        else:
            recovered = Recovered()
    except UnreadableError as error:
        if not error.damaged:
            return Recovered(problem=f"{name} cannot be read")
        recovered = None
    except OSError as error:
        return Recovered(problem=f"{name} cannot be read: {error.strerror}")
    if recovered is None:
        return _salvage(orphan, contents, into, age, now)
    orphan.delete()
    return recovered


def _salvage(orphan: SpoolFile, contents: Contents, into: Database, age: float, now: float) -> Recovered:
    """Move the rows of a damaged file that can be read, and keep the file for a person to look at."""
    rows = [row for row in salvage(contents, SCHEMA) if row[1] in {*RowKind}]
    ages = {RowKind.EVENT: age, RowKind.PENDING: age, RowKind.REJECTED: REJECTED_AGE}
    young = [row for row in rows if row[3] > now - ages[RowKind(row[1])]]
    with into.transaction() as target:
        before = target.total_changes
        _insert(target, (row for row in young if row[1] == RowKind.EVENT), now)
        events = target.total_changes - before
        _insert(target, (row for row in young if row[1] != RowKind.EVENT), now)
    expired = sum(row[1] != RowKind.REJECTED for row in rows) - sum(
        row[1] != RowKind.REJECTED for row in young
    )
    kept = orphan.keep_as_corrupt()
    damage = "was cut short" if is_cut(contents) else "was damaged"
    problem = (
        f"the file of a dead process {damage}: {events} events of it could be read, the rest is in {kept}"
    )
    return Recovered(events, expired, 1, problem)


def _insert(target: sqlite3.Connection, rows: Iterable[Row], now: float) -> None:
    target.executemany(_INSERT, ((*row[:3], min(row[3], now), *row[4:]) for row in rows))


def _move(orphan: SpoolFile, into: Database, age: float, now: float) -> Recovered:
    with closing(orphan.database()) as database:
        old = "SELECT uuid FROM rows WHERE kind != ? AND stored <= ?"
        expired = sum(1 for _ in _rows(database, old, RowKind.REJECTED, now - age))
        with into.transaction() as target:
            before = target.total_changes
            target.executemany(_INSERT, _rows(database, _SELECT, now, RowKind.EVENT, now - age))
            events = target.total_changes - before
            target.executemany(_INSERT, _rows(database, _SELECT, now, RowKind.PENDING, now - age))
            target.executemany(_INSERT, _rows(database, _SELECT, now, RowKind.REJECTED, now - REJECTED_AGE))
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
    _locking = threading.RLock()
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


hook_fork(before=_before_fork, after_in_parent=_after_fork_in_parent)
register_after_fork(_after_fork_in_child)
