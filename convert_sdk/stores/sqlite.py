"""Visitors in one file, for all processes of one host."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from json.encoder import encode_basestring_ascii as ascii_text
from pathlib import Path

from convert_sdk._core.state import Changes, VisitorState, Winners, apply
from convert_sdk._process.clock import Clock, steady_clock
from convert_sdk._process.sqlite import Database
from convert_sdk.errors import StoreError, VisitorStateError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS visitors
    (key TEXT PRIMARY KEY, state TEXT NOT NULL, expires REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS visitors_by_expiry ON visitors (expires)
"""
_READ_WAIT = 0.05
_WRITE_WAIT = 1.0
_PURGE_EVERY = 3600.0
_PURGE_ROWS = 10_000


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
        self._writes = Database(file, _SCHEMA, wait=_WRITE_WAIT)
        self._reads = Database(file, _SCHEMA, wait=_READ_WAIT) if file is not None else self._writes

    def __repr__(self) -> str:
        return f"SqliteStore({str(self._writes.path or ':memory:')!r})"

    def load(self, key: str) -> VisitorState | None:
        """The visitor's state, for the caller to keep; None for a stranger, and for a state that cannot be read."""
        with _as_store_error("read"), self._reads.connection() as connection:
            stored = _read(connection, ascii_text(key), self._clock())
        return None if stored is None else _state(stored)

    def save(self, changes: Changes) -> Winners:
        """Remember the changes in one transaction and say which decisions and claims stand."""
        key, now = ascii_text(changes.key), self._clock()
        with _as_store_error("written"), self._writes.transaction() as connection:
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

    def close(self) -> None:
        """Close the file; using the store again opens it again."""
        with _as_store_error("closed"):
            self._reads.close()
            self._writes.close()


def _read(connection: sqlite3.Connection, key: str, now: float) -> bytes | None:
    # As bytes: text that is no UTF-8 would fail in the middle of the query.
    query = "SELECT CAST(state AS BLOB) FROM visitors WHERE key = ? AND expires > ?"
    row = connection.execute(query, (key, now)).fetchone()
    return None if row is None else row[0]


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
