"""Taking over the events of a process that died."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

from convert_sdk._database import Database

from .spool_files import SpoolFile, release

_DEAD_AGE = 30 * 86_400.0
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
_INSERT = "INSERT OR IGNORE INTO rows (uuid, kind, body, stored, status, message) VALUES (?, ?, ?, ?, ?, ?)"
_SELECT = """
SELECT uuid, kind, body, min(stored, ?), status, message FROM rows
WHERE kind = ? AND stored > ? ORDER BY seq
"""


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
