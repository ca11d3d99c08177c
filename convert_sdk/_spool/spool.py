"""Events on disk: what is accepted survives the process."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import accumulate
from json import JSONDecoder
from pathlib import Path
from threading import Lock
from typing import NamedTuple, TypeVar
from weakref import WeakSet

from convert_sdk._core.events import Event, to_json
from convert_sdk._process.clock import Clock, steady_clock
from convert_sdk._process.fork import register_after_fork
from convert_sdk._process.sqlite import Database
from convert_sdk.errors import SpoolError

from .files import Adopted, SpoolFile, adopt, files, new_file, owner_folder, private_folder, release

_T = TypeVar("_T")
_decode = JSONDecoder().decode
_spools: WeakSet[Spool] = WeakSet()
_MESSAGE_LIMIT = 500
_ROW_OVERHEAD = 160  # the id twice, the columns and the index entries, generously


class Limits(NamedTuple):
    """When a spool lets go: `age` of an event in seconds, `size` of one process's file in bytes."""

    age: float = 86_400.0
    size: int = 64 * 1024 * 1024


class Counts(NamedTuple):
    """What lies in this process's file, and what this process let go of."""

    events: int = 0
    pending: int = 0
    dead: int = 0
    expired: int = 0
    """Deleted for their age."""
    overflowed: int = 0
    """Not stored, for want of room."""
    corrupt: int = 0
    """Orphan files that could not be read and were put aside."""


class Dead(NamedTuple):
    """An event that was refused for good: when it was stored (epoch seconds), and the refusal."""

    uuid: str
    stored: float
    status: int | None
    message: str


class Spool:
    """One process's events on disk, and the way to those of processes that died.

    `path` is a folder that clients may share; `owner` says under which key the events are sent, and
    only a spool of the same owner adopts them. The constructor does no I/O. Methods raise `SpoolError`,
    and nothing else, where the disk is full, read-only or broken.

    A commit survives any death of the process. Without `sync` a power cut may take the commits since
    the last checkpoint (about 4 MiB of events); with `sync` each is on the disk before it returns.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     stopped = Spool(folder, "10035569/10034190")
        ...     stored = stopped.append([Event("id-1", "visitor", "{}")])
        ...     stopped.close()
        ...     restarted = Spool(folder, "10035569/10034190")
        ...     adopted = restarted.adopt()
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
        limits: Limits | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self._folder = owner_folder(Path(path), owner)
        self._synchronous = "FULL" if sync else "NORMAL"
        self._clock = clock or steady_clock()
        self._current: tuple[SpoolFile, int, Database] | None = None
        self._start_anew()
        _spools.add(self)

    def __repr__(self) -> str:
        return f"Spool({str(self._folder)!r})"

    def append(self, events: Sequence[Event]) -> int:
        """Store events in one commit and say how many, counted from the first, are on disk.

        Fewer than given means that the size cap is met. An event that is stored already stays as it
        is; one with the id of a pending record replaces it.
        """
        return self._put("event", [(event.uuid, _body(event)) for event in events])

    def append_pending(self, records: Mapping[str, Mapping[str, object]]) -> int:
        """Store what cannot become an event yet, by the id that the event will have; as `append`."""
        return self._put("pending", [(uuid, to_json(dict(record))) for uuid, record in records.items()])

    def load(self, limit: int, *, skip: Container[str] = ()) -> list[Event]:
        """Up to `limit` undelivered events, oldest first, without those whose ids are in `skip`.

        Those past their age are deleted and counted on the way, unless they are skipped.
        """
        return self._take("event", limit, skip, _event)

    def load_pending(self, limit: int, *, skip: Container[str] = ()) -> dict[str, dict[str, object]]:
        """Up to `limit` pending records by their ids; as `load`."""
        return dict(self._take("pending", limit, skip, _record))

    def delete(self, uuids: Iterable[str]) -> None:
        """Forget events and pending records that are settled."""
        with self._writing() as connection:
            connection.executemany("DELETE FROM rows WHERE uuid = ?", ((uuid,) for uuid in uuids))

    def set_aside(self, events: Sequence[Event], status: int | None, message: str) -> None:
        """Keep refused events out of the way for 30 days, with the answer that refused them."""
        message = message[:_MESSAGE_LIMIT].encode("utf-8", "replace").decode()
        now = self._clock()
        with self._writing() as connection:
            connection.executemany(
                "INSERT INTO rows (uuid, kind, body, stored, status, message) VALUES (?, 'dead', ?, ?, ?, ?) "
                "ON CONFLICT (uuid) DO UPDATE SET kind = excluded.kind, stored = excluded.stored, "
                "status = excluded.status, message = excluded.message",
                [(event.uuid, _body(event), now, status, message) for event in events],
            )

    def dead(self, limit: int = 100) -> list[Dead]:
        """The events that were set aside, oldest first."""
        query = "SELECT uuid, stored, status, message FROM rows WHERE kind = 'dead' ORDER BY seq LIMIT ?"
        with self._reading() as connection:
            return [Dead(*row) for row in connection.execute(query, (limit,))]

    def adopt(self) -> int:
        """Take over the files of processes that died, and say how many events that brought.

        Each is emptied under its own lock, so one of several processes gets it. Killed between the
        commit and the deletion, the next process finds the same rows, with the same ids, again.
        """
        moved = 0
        with _as_spool_error():
            own = self._opened()
            for orphan in files(self._folder):
                if orphan.path == own.path:
                    continue
                with own.connection() as connection:
                    if _size(connection) >= self._limits.size:
                        break
                adopted = adopt(orphan, own, age=self._limits.age, now=self._clock())
                moved += self._count(adopted)
        return moved

    def counts(self) -> Counts:
        """What lies here, and what was let go of."""
        with self._reading() as connection:
            lying = dict(connection.execute("SELECT kind, count(*) FROM rows GROUP BY kind").fetchall())
        return Counts(
            lying.get("event", 0),
            lying.get("pending", 0),
            lying.get("dead", 0),
            self._expired,
            self._overflowed,
            self._corrupt,
        )

    def close(self) -> None:
        """Let go of the file: the next process adopts what lies in it; an empty one goes. Never raises."""
        if self._pid != os.getpid():
            self.after_fork_in_child()
        with self._opening:
            current, self._current = self._current, None
        if current is not None:
            file, descriptor, database = current
            with suppress(sqlite3.Error, OSError):
                _close(file, database)
            release(descriptor)

    def after_fork_in_child(self) -> None:
        """Leave the file and its lock to the parent, and start without one; twice is fine."""
        if self._pid == os.getpid():
            return
        if self._current is not None:
            _, descriptor, database = self._current
            database.after_fork_in_child()
            release(descriptor)
        self._start_anew()

    def _start_anew(self) -> None:
        self._pid = os.getpid()
        self._opening = Lock()
        self._current = None
        self._expired = self._overflowed = self._corrupt = 0

    def _opened(self) -> Database:
        if self._pid != os.getpid():
            self.after_fork_in_child()
        with self._opening:
            if self._current is None:
                private_folder(self._folder)
                file, descriptor = new_file(self._folder)
                self._current = file, descriptor, file.database(synchronous=self._synchronous)
            return self._current[2]

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with _as_spool_error(), self._opened().transaction() as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with _as_spool_error(), self._opened().connection() as connection:
            yield connection

    def _put(self, kind: str, rows: Sequence[tuple[str, str]]) -> int:
        now = self._clock()
        with self._writing() as connection:
            room = self._limits.size - _size(connection)
            stored = sum(end <= room for end in accumulate(len(body) + _ROW_OVERHEAD for _, body in rows))
            connection.executemany(
                "INSERT INTO rows (uuid, kind, body, stored) VALUES (?, ?, ?, ?) ON CONFLICT (uuid) "
                "DO UPDATE SET kind = excluded.kind, body = excluded.body WHERE kind = 'pending'",
                [(uuid, kind, body, now) for uuid, body in rows[:stored]],
            )
        self._overflowed += len(rows) - stored
        return stored

    def _take(self, kind: str, limit: int, skip: Container[str], read: Callable[[str, str], _T]) -> list[_T]:
        oldest = self._clock() - self._limits.age
        taken: list[_T] = []
        expired: list[tuple[str]] = []
        unreadable: list[tuple[str]] = []
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
                    unreadable.append((uuid,))
            connection.executemany("DELETE FROM rows WHERE uuid = ?", expired)
            aside = "UPDATE rows SET kind = 'dead', message = 'cannot be read' WHERE uuid = ?"
            connection.executemany(aside, unreadable)
        self._expired += len(expired)
        return taken

    def _count(self, adopted: Adopted) -> int:
        self._expired += adopted.expired
        self._corrupt += adopted.corrupt
        return adopted.events


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
