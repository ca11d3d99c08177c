"""The spool: events on disk, which survive the process that accepted them.

Theory of operation
-------------------
A row has one of the kinds in `RowKind`: an event waits to be sent; a pending record is a conversion that waits for
the first document; a rejected event was refused for good and is kept for a person to look at, for 30 days and while
there is room.

=========  ==========================  ===========================================
from       by                          to
=========  ==========================  ===========================================
(nothing)  append, append_pending      event, pending
pending    append with the same id     event, in the same place of the order
event      delete                      (nothing): sent, or dropped and counted
any        delete_visitor              (nothing): the visitor was forgotten
event      reject, an unreadable body  rejected
event      its age, when it is loaded  (nothing): counted as expired; pending alike
rejected   30 days, want of room       (nothing): events need the room more
=========  ==========================  ===========================================

Rows are ordered by `seq`, the order of storing. A row's id is the event's id, unique in a file, so storing it twice
changes nothing. Events stay in the file while they are sent: a process that dies sends them again under the same id.

The file is opened on first use and belongs to one process (`files`). After a fork the child leaves it to the parent.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import accumulate, chain
from json import JSONDecoder
from pathlib import Path
from typing import NamedTuple, TypeVar
from weakref import WeakSet

from convert_sdk._core.events import Event, to_json
from convert_sdk._process.clock import Clock, steady_clock
from convert_sdk._process.folders import make_private_folder
from convert_sdk._process.fork import register_after_fork
from convert_sdk._process.sqlite import Database
from convert_sdk.errors import SpoolError

from .files import (
    REJECTED_AGE,
    DeletedRow,
    Recovered,
    RowKind,
    SpoolFile,
    create_file,
    delete_visitor,
    delete_visitor_elsewhere,
    list_files,
    owner_folder,
    recover_orphan,
    release_lock,
)

_T = TypeVar("_T")
_decode = JSONDecoder().decode
_spools: WeakSet[Spool] = WeakSet()
_MESSAGE_LIMIT = 500
_MOST_PROBLEMS = 100
"""More files than these are not named: somebody may have planted any number."""
_ROWS_OF_A_STATEMENT = 240
_MOST_PASSES = 3
_ROW_OVERHEAD = 160  # the id twice, the columns and the index entries, generously
_OLDEST_REJECTED = "SELECT seq FROM rows WHERE kind = :kind ORDER BY seq"
_DELETE_OLD = f"DELETE FROM rows WHERE stored <= :end AND seq IN ({_OLDEST_REJECTED} LIMIT 1000)"  # noqa: S608  # ours
"""Deletes the rejected rows that are past their age, a thousand at the most: what looks at more takes longer."""
_DELETE_HALF = f"""
DELETE FROM rows WHERE kind = :kind AND seq <= (
    {_OLDEST_REJECTED} LIMIT 1 OFFSET (SELECT (count(*) - 1) / 2 FROM rows WHERE kind = :kind)
)
"""  # noqa: S608  # as above
"""Deletes the older half of the rejected rows, and the last one."""


class SpoolLimits(NamedTuple):
    """The bounds of a spool: `age` of an event in seconds, `size` of one process's file in bytes."""

    age: float = 86_400.0
    size: int = 64 * 1024 * 1024


class SpoolCounts(NamedTuple):
    """The rows in this process's file, and those that this process gave up."""

    events: int = 0
    pending: int = 0
    rejected: int = 0
    expired: int = 0
    """Deleted for their age."""
    corrupt: int = 0
    """Orphan files that could not be read and were renamed."""


class RejectedRow(NamedTuple):
    """An event that was refused for good: the time at which it was stored (epoch seconds), and the refusal."""

    uuid: str
    stored: float
    status: int | None
    message: str


class _OpenFile(NamedTuple):
    """The file of this process, the descriptor of its lock, and its database."""

    file: SpoolFile
    lock: int
    database: Database


class Spool:
    """One process's events on disk, and the way to those of processes that died.

    `path` is a folder that clients may share; `owner` names the key that the events are sent under, and
    only a spool of the same owner recovers them. The constructor does no I/O. Methods raise `SpoolError`,
    and nothing else, if the disk is full, read-only or broken.

    A commit survives any death of the process. Without `sync` a power cut may take the commits since
    the last checkpoint (about 4 MiB of events); with `sync` each is on the disk before it returns.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     stopped = Spool(folder, "10035569/10034190")
        ...     stored = stopped.append([Event("id-1", "visitor", "{}")])
        ...     stopped.close()
        ...     restarted = Spool(folder, "10035569/10034190")
        ...     recovered = restarted.recover()
        ...     events = restarted.load(10)
        ...     restarted.delete(event.uuid for event in events)
        ...     restarted.close()
        >>> [event.uuid for event in events]
        ['id-1']
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        owner: str,
        *,
        sync: bool = False,
        limits: SpoolLimits | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._limits = limits or SpoolLimits()
        self._folder = owner_folder(Path(path).expanduser(), owner)
        self._synchronous = "FULL" if sync else "NORMAL"
        self._clock = clock or steady_clock()
        self._current: _OpenFile | None = None
        self.problems: deque[str] = deque()
        """The reasons why files of dead processes were not taken over, or not whole; each once, for whoever reports."""
        self._named: set[str] = set()
        self._reset()
        _spools.add(self)

    def __repr__(self) -> str:
        return f"Spool({str(self._folder)!r})"

    def append(self, events: Sequence[Event]) -> int:
        """Store events in one commit; return how many of them, counted from the first, are on disk.

        Fewer than given means that the file is full. An event that is stored already stays as it is;
        one with the id of a pending record replaces it.
        """
        return self._store(RowKind.EVENT, [(event.uuid, _body(event)) for event in events])

    def append_pending(self, records: Mapping[str, Mapping[str, object]]) -> int:
        """Store records that cannot become events yet, by the ids that the events will have; as `append`."""
        return self._store(
            RowKind.PENDING, [(uuid, to_json(dict(record))) for uuid, record in records.items()]
        )

    def load(self, limit: int, *, skip: Container[str] = ()) -> list[Event]:
        """Read up to `limit` undelivered events, oldest first, without those whose ids are in `skip`.

        Those past their age are deleted and counted on the way, unless they are skipped.
        """
        return self._read_rows(RowKind.EVENT, limit, skip, _event)

    def load_pending(self, limit: int, *, skip: Container[str] = ()) -> dict[str, dict[str, object]]:
        """Read up to `limit` pending records by their ids; as `load`."""
        return dict(self._read_rows(RowKind.PENDING, limit, skip, _record))

    def delete(self, uuids: Iterable[str]) -> None:
        """Delete events and pending records that are settled."""
        with self._writing() as connection:
            for batch in _batches(list(uuids)):
                marks = ", ".join("?" for _ in batch)
                connection.execute(f"DELETE FROM rows WHERE uuid IN ({marks})", batch)  # noqa: S608  # marks

    def reject(self, events: Sequence[Event], status: int | None, message: str) -> None:
        """Keep refused events apart, with the refusal's status and message: for 30 days, and while there is room."""
        message = message[:_MESSAGE_LIMIT].encode("utf-8", "replace").decode()
        now = self._clock()
        with self._writing() as connection:
            connection.executemany(
                "INSERT INTO rows (uuid, kind, body, stored, status, message) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (uuid) DO UPDATE SET kind = excluded.kind, stored = excluded.stored, "
                "status = excluded.status, message = excluded.message",
                [(event.uuid, RowKind.REJECTED, _body(event), now, status, message) for event in events],
            )
            self._make_room(connection, 0)

    def rejected(self, limit: int = 100) -> list[RejectedRow]:
        """Read the rejected events, oldest first."""
        query = "SELECT uuid, stored, status, message FROM rows WHERE kind = ? ORDER BY seq LIMIT ?"
        with self._reading() as connection:
            return [RejectedRow(*row) for row in connection.execute(query, (RowKind.REJECTED, limit))]

    def recover(self) -> int:
        """Take over the files of processes that died; return how many events that brought.

        Each is emptied under its own lock, so one of several processes gets it. Killed between the
        commit and the deletion, the next process finds the same rows, with the same ids, again.
        What could not be taken over, or not whole, is named in `problems`. An error raises where nothing was moved.
        """
        moved = 0
        with _as_spool_error():
            own = self._opened()
            with own.transaction() as connection:
                connection.execute(
                    _DELETE_OLD, {"kind": RowKind.REJECTED, "end": self._clock() - REJECTED_AGE}
                )
            for orphan in list_files(self._folder):
                if orphan.path == own.path:
                    continue
                try:
                    with own.transaction() as connection:
                        if self._make_room(connection, 1) <= 0:
                            break
                    recovered = recover_orphan(orphan, own, age=self._limits.age, now=self._clock())
                except (sqlite3.Error, OSError) as error:
                    if not moved:
                        raise
                    self._name(f"{orphan.path.name} cannot be taken over: {error}")
                    break  # those that were moved are in nobody's count but this one's
                moved += self._count(recovered)
        return moved

    def delete_visitor(self, visitor_id: str) -> list[DeletedRow]:
        """Delete a visitor's rows of every kind, and return them."""
        with self._writing() as connection:
            return delete_visitor(connection, visitor_id)

    def delete_visitor_elsewhere(self, visitor_id: str) -> int:
        """Do so in the files of this owner's other processes, which may live; returns the number of rows."""
        rows = 0
        with _as_spool_error():
            here = self._opened().path
            for _ in range(_MOST_PASSES):  # rows may move from one file to another meanwhile
                others = [file for file in list_files(self._folder) if file.path != here]
                deleted = sum(delete_visitor_elsewhere(file, visitor_id) for file in others)
                rows += deleted
                if not deleted:
                    break
        return rows

    def counts(self) -> SpoolCounts:
        """Count the rows, and those that were given up."""
        with self._reading() as connection:
            stored = dict(connection.execute("SELECT kind, count(*) FROM rows GROUP BY kind").fetchall())
        return SpoolCounts(
            stored.get(RowKind.EVENT, 0),
            stored.get(RowKind.PENDING, 0),
            stored.get(RowKind.REJECTED, 0),
            self._expired,
            self._corrupt,
        )

    def close(self) -> None:
        """Release the file to the next process, or delete an empty one. Never raises."""
        if self._pid != os.getpid():
            self.after_fork_in_child()
        with self._opening:
            current, self._current = self._current, None
        if current is not None:
            with suppress(sqlite3.Error, OSError):
                _close(current.file, current.database)
            release_lock(current.lock)

    def after_fork_in_child(self) -> None:
        """Leave the file and its lock to the parent, and start without one; idempotent."""
        if self._pid == os.getpid():
            return
        if self._current is not None:
            self._current.database.after_fork_in_child()
            release_lock(self._current.lock)
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._opening = threading.Lock()
        self._current = None
        self._expired = self._corrupt = 0

    def _opened(self) -> Database:
        if self._pid != os.getpid():
            self.after_fork_in_child()
        with self._opening:
            if self._current is None:
                make_private_folder(self._folder)
                file, lock = create_file(self._folder)
                self._current = _OpenFile(file, lock, file.database(synchronous=self._synchronous))
            return self._current.database

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with _as_spool_error(), self._opened().transaction() as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with _as_spool_error(), self._opened().connection() as connection:
            yield connection

    def _store(self, kind: RowKind, rows: Sequence[tuple[str, str]]) -> int:
        now = self._clock()
        with self._writing() as connection:
            ends = [*accumulate(len(body) + _ROW_OVERHEAD for _, body in rows)]
            room = self._make_room(connection, ends[-1] if ends else 0)
            stored = sum(end <= room for end in ends)
            for batch in _batches(rows[:stored]):
                values = ", ".join("(?, ?, ?, ?)" for _ in batch)
                connection.execute(
                    f"INSERT INTO rows (uuid, kind, body, stored) VALUES {values} ON CONFLICT (uuid) "  # noqa: S608  # marks
                    "DO UPDATE SET kind = excluded.kind, body = excluded.body WHERE kind = ?",
                    [*chain.from_iterable((uuid, kind, body, now) for uuid, body in batch), RowKind.PENDING],
                )
        return stored

    def _make_room(self, connection: sqlite3.Connection, wanted: int) -> int:
        """The bytes that are left, for which rejected rows are deleted where they are fewer than wanted."""
        while (room := self._limits.size - _size(connection)) < wanted:
            if not connection.execute(_DELETE_HALF, {"kind": RowKind.REJECTED}).rowcount:
                break
        return room

    def _read_rows(
        self, kind: RowKind, limit: int, skip: Container[str], read: Callable[[str, str], _T]
    ) -> list[_T]:
        oldest = self._clock() - self._limits.age
        taken: list[_T] = []
        expired: list[tuple[str]] = []
        unreadable: list[str] = []
        with self._writing() as connection:
            query = "SELECT uuid, body, stored FROM rows WHERE kind = ? ORDER BY seq"
            for uuid, body, stored in connection.execute(query, (kind,)):
                if len(taken) == limit:
                    break
                if uuid in skip:
                    continue
                if stored <= oldest:
                    expired.append((uuid,))
                    continue
                try:
                    taken.append(read(uuid, body))
                except (ValueError, TypeError, RecursionError):
                    unreadable.append(uuid)
            connection.executemany("DELETE FROM rows WHERE uuid = ?", expired)
            reject = "UPDATE rows SET kind = ?, message = 'cannot be read' WHERE uuid = ?"
            connection.executemany(reject, [(RowKind.REJECTED, uuid) for uuid in unreadable])
        self._expired += len(expired)
        if unreadable:
            self.problems.append(f"{len(unreadable)} rows cannot be read: they are set aside as rejected")
        return taken

    def _count(self, recovered: Recovered) -> int:
        if recovered.problem is not None:
            self._name(recovered.problem)
        self._expired += recovered.expired
        self._corrupt += recovered.corrupt
        return recovered.events

    def _name(self, problem: str) -> None:
        if problem not in self._named and len(self._named) < _MOST_PROBLEMS:
            self._named.add(problem)
            self.problems.append(problem)


def _close(file: SpoolFile, database: Database) -> None:
    empty = True
    if file.path.exists():
        try:
            with database.connection() as connection:
                empty = connection.execute("SELECT 1 FROM rows LIMIT 1").fetchone() is None
        finally:
            database.close()
    if empty:
        file.delete()


def _batches(rows: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """The rows of one statement each, within the number of values that every SQLite takes.

    Python lets go of the interpreter at each statement, and beside a busy thread waits 5 ms for it afterwards.
    """
    for first in range(0, len(rows), _ROWS_OF_A_STATEMENT):
        yield rows[first : first + _ROWS_OF_A_STATEMENT]


def _size(connection: sqlite3.Connection) -> int:
    pages, free, page = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * page)


def _body(event: Event) -> str:
    segments = None if event.segments is None else dict(event.segments)
    return to_json([event.visitor_id, event.wire, segments, event.claim, event.attributed])


def _event(uuid: str, body: str) -> Event:
    visitor_id, wire, segments, claim, attributed = _decode(body)
    if not (isinstance(visitor_id, str) and isinstance(wire, str)):
        raise ValueError("no event")
    if not (segments is None or isinstance(segments, dict)) or not (claim is None or isinstance(claim, str)):
        raise ValueError("no event")
    return Event(uuid, visitor_id, wire, segments, claim, attributed)


def _record(uuid: str, body: str) -> tuple[str, dict[str, object]]:
    return uuid, dict(_decode(body))


@contextmanager
def _as_spool_error() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise SpoolError(f"the spool cannot be used: {error}") from error


def _after_fork_in_child() -> None:
    for spool in list(_spools):
        spool.after_fork_in_child()


register_after_fork(_after_fork_in_child)
