"""One SQLite file that threads, processes and forks may share.

Theory of operation
-------------------
*Threads.* A `Database` has one connection, lent to one thread at a time under a re-entrant lock. A signal handler may
interrupt the thread that holds it and use the database again: it gets the same connection, and may read. It cannot
begin a transaction within the interrupted one: `transaction` raises where one is open.

*Processes.* The file is in WAL mode, so that readers wait for nobody. A writer takes the write lock at once (`BEGIN
IMMEDIATE`), and waits at most `wait` seconds while another process has it. The file appears whole: it is made under
another name, with its tables and mode 0600, and linked into place; of several processes that do so the first one wins.

*Forks.* SQLite's locks belong to a process and a file, so a connection must not cross a fork:

============================  =============================================================================
before a fork                 the connection is closed, and the lock held so that no thread opens another
afterwards, in the parent     the lock is released; the next use opens the file again
afterwards, in the child      a new lock, and no connection
in the child of C code        the process id has changed: the inherited connection is kept, unused, for ever
============================  =============================================================================

A thread that forks in the middle of its own transaction, or a lock that does not come free within two seconds, leaves
the connection open. Then the child keeps it unused, too: closing it would release the parent's locks.

A database in memory is no file: the parent keeps it open through a fork, and the child starts with an empty one.

*Versions.* `PRAGMA user_version` counts the migrations of the schema; the file of a later release is refused.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from weakref import WeakSet

from .fork import hook_fork, register_after_fork
from .locks import held_by_this_thread

_databases: WeakSet[Database] = WeakSet()
_abandoned: list[sqlite3.Connection] = []
_FORK_TIMEOUT = 2.0


class Database:
    """A SQLite file in WAL mode: opened on first use, closed before a fork, opened again after it.

    SQLite keeps its locks per process and per file, so a connection must not cross a fork, not even
    unused beside a new one on the same file. Where a fork did not run Python's hooks before it, the
    child keeps the inherited connection without using or closing it.

    Methods raise `sqlite3.Error` and `OSError`.

    Args:
        path: The file; it is made, readable for this user alone, if it does not exist. None for a database in memory,
            which only `close` empties: it stays open in the parent of a fork, and the child starts with an empty one.
        schema: The statements that make its tables.
        wait: Seconds to wait for another writer.
        synchronous: SQLite's setting; "FULL" has every commit on the disk before it returns.
        migrations: The statements that lead to each version of the schema after the first, from the one before.
    """

    def __init__(
        self,
        path: Path | None,
        schema: str,
        *,
        wait: float,
        synchronous: str = "NORMAL",
        migrations: Sequence[str] = (),
    ) -> None:
        self.path = path
        self.synchronous = synchronous
        self._schema = schema
        self._migrations = migrations
        self._wait = wait
        self._lock = threading.RLock()
        self._forking: int | None = None
        self._pid = os.getpid()
        self._connection: sqlite3.Connection | None = None
        _databases.add(self)

    def __del__(self) -> None:
        if getattr(self, "_pid", None) == os.getpid():  # None where the constructor raised
            self._close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction that holds the write lock from its start; a nested one raises `OperationalError`."""
        with self.connection() as connection:
            if connection.in_transaction:
                raise sqlite3.OperationalError("a signal came in the middle of a transaction")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # A full disk may have rolled back already, and may fail the rollback itself.
                with suppress(sqlite3.Error):
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                raise

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection to the calling thread alone."""
        if self._pid != os.getpid():
            self.after_fork_in_child()
        with self._lock:
            if self._connection is None:
                opened = self._open()
                if self._connection is None:
                    self._connection = opened
                else:  # a signal handler opened one meanwhile
                    opened.close()
            yield self._connection

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        if self._pid != os.getpid():
            self.after_fork_in_child()
        with self._lock:
            self._close()

    def before_fork(self) -> None:
        """Close the connection and keep every thread out until the fork is over, unless this thread is using it."""
        if not held_by_this_thread(self._lock) and self._lock.acquire(timeout=_FORK_TIMEOUT):
            self._forking = threading.get_ident()
            if self.path is not None:
                self._close()

    def after_fork_in_parent(self) -> None:
        """Let the other threads in again."""
        if self._forking == threading.get_ident():
            self._forking = None
            self._lock.release()

    def after_fork_in_child(self) -> None:
        """Start without a connection; the inherited one is never used and never closed."""
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._forking = None
        if self._connection is not None:
            _abandoned.append(self._connection)
            self._connection = None

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> sqlite3.Connection:
        if self.path is not None and not self.path.exists():
            self._create(self.path)
        connection = _connect(self.path, self._wait)
        try:
            version = _version(connection)
            if version == 0:
                _prepare(connection, self._schema, 1 + len(self._migrations))
            elif version != 1 + len(self._migrations):
                _migrate(connection, self._migrations)
            connection.execute(f"PRAGMA synchronous={self.synchronous}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _create(self, path: Path) -> None:
        """Make the file under another name and link it into place, so that it appears complete and with mode 0600."""
        draft = path.with_name(f".{path.name}.{token_hex(8)}")
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            connection = _connect(draft, self._wait)
            try:
                _prepare(connection, self._schema, 1 + len(self._migrations))
            finally:
                connection.close()
            with suppress(FileExistsError):
                os.link(draft, path)
        finally:
            draft.unlink(missing_ok=True)


def _connect(path: Path | None, wait: float) -> sqlite3.Connection:
    if path is None:
        return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    # mode=rw: a file that was deleted meanwhile must not come back empty.
    uri = f"{path.absolute().as_uri()}?mode=rw"
    return sqlite3.connect(uri, uri=True, timeout=wait, isolation_level=None, check_same_thread=False)


def _prepare(connection: sqlite3.Connection, schema: str, version: int) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.executescript(f"BEGIN IMMEDIATE; {schema}; PRAGMA user_version={version}; COMMIT")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _migrate(connection: sqlite3.Connection, migrations: Sequence[str]) -> None:
    """Bring a file to the last version, all or nothing; another process may be doing the same."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        version, last = _version(connection), 1 + len(migrations)
        if version > last:
            raise sqlite3.DatabaseError(
                f"its version is {version}, and this release knows {last}: use a later one"
            )
        for statements in migrations[version - 1 :]:
            for statement in filter(None, map(str.strip, statements.split(";"))):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version={last}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _before_fork() -> None:
    for database in list(_databases):
        database.before_fork()


def _after_fork_in_parent() -> None:
    for database in list(_databases):
        database.after_fork_in_parent()


def _after_fork_in_child() -> None:
    for database in list(_databases):
        database.after_fork_in_child()


hook_fork(before=_before_fork, after_in_parent=_after_fork_in_parent)
register_after_fork(_after_fork_in_child)
