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
from convert_sdk.errors import StoreError

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

    Reading never waits for writing. Pass `shared=False` where other hosts serve the same visitors.

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
        self.shared = shared
        self._ttl = ttl
        self._clock = clock or steady_clock()
        self._purge_at = self._clock()
        self._reads = Database(Path(path), _SCHEMA, wait=_READ_WAIT)
        self._writes = Database(Path(path), _SCHEMA, wait=_WRITE_WAIT)

    def __repr__(self) -> str:
        return f"SqliteStore({str(self._reads.path)!r})"

    def load(self, key: str) -> VisitorState | None:
        """The visitor's state, for the caller to keep; None for a stranger."""
        with _as_store_error("read"), self._reads.connection() as connection:
            return _read(connection, ascii_text(key), self._clock())

    def save(self, changes: Changes) -> Winners:
        """Remember the changes in one transaction and say which decisions and claims stand."""
        key, now = ascii_text(changes.key), self._clock()
        with _as_store_error("written"), self._writes.transaction() as connection:
            state = _read(connection, key, now) or VisitorState()
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
        return winners

    def close(self) -> None:
        """Close the file; using the store again opens it again."""
        with _as_store_error("closed"):
            self._reads.close()
            self._writes.close()


def _read(connection: sqlite3.Connection, key: str, now: float) -> VisitorState | None:
    row = connection.execute(
        "SELECT state FROM visitors WHERE key = ? AND expires > ?", (key, now)
    ).fetchone()
    return None if row is None else VisitorState.from_json(row[0])


@contextmanager
def _as_store_error(done: str) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError, ValueError, RecursionError) as error:
        raise StoreError(f"the visitors' file cannot be {done}: {error}") from error
