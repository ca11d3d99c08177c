"""Visitors in one file, for all processes of one host."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from json.encoder import encode_basestring_ascii as ascii_text
from pathlib import Path

from convert_sdk._core.half_made import shown_half_made
from convert_sdk._core.state import (
    FORGOTTEN_FOR,
    Changes,
    ForgottenState,
    VisitorState,
    Winners,
    all_won,
    apply,
)
from convert_sdk._process.clock import Clock, steady_clock
from convert_sdk._process.sqlite import Database
from convert_sdk.errors import StoreError, VisitorStateError

_FORGOTTEN = "CREATE TABLE IF NOT EXISTS forgotten (key TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID"
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS visitors
    (key TEXT PRIMARY KEY, state TEXT NOT NULL, expires REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS visitors_by_expiry ON visitors (expires);
{_FORGOTTEN}
"""
_MIGRATIONS = (_FORGOTTEN,)
_READ_WAIT = 0.05
_WRITE_WAIT = 1.0
_PURGE_EVERY = 3600.0
_PURGE_ROWS = 10_000


@shown_half_made
class SqliteStore:
    """Visitors in the file `path` (0600), shared by the processes of one host; they are forgotten
    `ttl` seconds after their last change.

    Reading never waits for writing. Pass `shared=False` where other hosts serve the same visitors. `~` is the home
    folder, and `":memory:"` is no file: its visitors are this object's, in this process, and shared with nobody.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     store = SqliteStore(Path(folder) / "visitors.db")
        ...     winners = store.save(Changes("1-2-visitor", goals={"purchase": "first"}))
        ...     again = store.save(Changes("1-2-visitor", goals={"purchase": "second"}))
        ...     store.close()
        >>> again.goals["purchase"]
        'first'
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        shared: bool = True,
        ttl: float = 90 * 86_400,
        clock: Clock | None = None,
    ) -> None:
        file = None if path == ":memory:" else Path(path).expanduser()
        self.shared = shared and file is not None
        self.replaced = 0
        """States that could not be read, and that a save has replaced."""
        self._ttl = ttl
        self._clock = clock or steady_clock()
        self._purge_at = self._clock()
        self._writes = Database(file, _SCHEMA, wait=_WRITE_WAIT, migrations=_MIGRATIONS)
        self._reads = (
            Database(file, _SCHEMA, wait=_READ_WAIT, migrations=_MIGRATIONS)
            if file is not None
            else self._writes
        )

    def __repr__(self) -> str:
        return f"SqliteStore({str(self._writes.path or ':memory:')!r})"

    def load(self, key: str) -> VisitorState | None:
        """The visitor's state, for the caller to keep; None for a stranger, and for a state that cannot be read.

        >>> SqliteStore(":memory:").load("1-2-stranger") is None
        True
        """
        with _as_store_error("read"), self._reads.connection() as connection:
            name, now = ascii_text(key), self._clock()
            at = _forgotten_at(connection, name, now)  # first: a state that is read later is none from before
            stored = _read(connection, name, now)
        state = None if stored is None else _state(stored)
        return ForgottenState(state or VisitorState(), at) if at else state

    def save(self, changes: Changes) -> Winners:
        """Remember the changes in one transaction and say which decisions and claims stand.

        >>> SqliteStore(":memory:").save(Changes("1-2-visitor", goals={"7": "a-claim"})).goals
        {'7': 'a-claim'}
        """
        key, now = ascii_text(changes.key), self._clock()
        with _as_store_error("written"), self._writes.transaction() as connection:
            if changes.forgotten < _forgotten_at(connection, key, now):
                return all_won(changes)
            stored = _read(connection, key, now)
            known = None if stored is None else _state(stored)
            state = known or VisitorState()
            winners = apply(state, changes)
            connection.execute(
                "REPLACE INTO visitors VALUES (?, ?, ?)", (key, state.to_json(), now + self._ttl)
            )
            if now >= self._purge_at:
                self._purge_at = now + _PURGE_EVERY
                connection.execute(
                    "DELETE FROM visitors WHERE key IN (SELECT key FROM visitors WHERE expires <= ? LIMIT ?)",
                    (now, _PURGE_ROWS),
                )
        if stored is not None and known is None:
            self.replaced += 1
        return winners

    def delete(self, key: str) -> int:
        """Forget the visitor, and for a day what processes had remembered before it; returns the time of it.

        >>> store = SqliteStore(":memory:")
        >>> store.delete("1-2-visitor") < store.delete("1-2-visitor")
        True
        """
        name, now = ascii_text(key), self._clock()
        with _as_store_error("written"), self._writes.transaction() as connection:
            at = max(round(now * 1000), _forgotten_at(connection, name, now) + 1)
            connection.execute("DELETE FROM visitors WHERE key = ?", (name,))
            connection.execute("DELETE FROM forgotten WHERE at <= ?", (round((now - FORGOTTEN_FOR) * 1000),))
            connection.execute("REPLACE INTO forgotten VALUES (?, ?)", (name, at))
        return at

    def close(self) -> None:
        """Close the file; using the store again opens it again.

        >>> SqliteStore(":memory:").close()
        """
        with _as_store_error("closed"):
            self._reads.close()
            self._writes.close()


def _read(connection: sqlite3.Connection, key: str, now: float) -> bytes | None:
    # As bytes: text that is no UTF-8 would fail in the middle of the query.
    query = "SELECT CAST(state AS BLOB) FROM visitors WHERE key = ? AND expires > ?"
    row = connection.execute(query, (key, now)).fetchone()
    return None if row is None else row[0]


def _forgotten_at(connection: sqlite3.Connection, key: str, now: float) -> int:
    """The time at which the visitor was forgotten; 0 where that was more than a day ago, or never."""
    query = "SELECT at FROM forgotten WHERE key = ? AND at > ?"
    row = connection.execute(query, (key, round((now - FORGOTTEN_FOR) * 1000))).fetchone()
    return 0 if row is None else int(row[0])


def _state(stored: bytes) -> VisitorState | None:
    try:
        return VisitorState.from_json(stored.decode())
    except (ValueError, RecursionError):
        return None


@contextmanager
def _as_store_error(done: str) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        # A damaged page concerns the visitors on it.
        damaged = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CORRUPT
        kind = VisitorStateError if damaged else StoreError
        raise kind(f"the visitors' file cannot be {done}: {error}") from error
