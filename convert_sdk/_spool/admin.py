"""The command line's view of a spool's folder: inspect, replay, drop."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from convert_sdk._process.clock import Clock, steady_clock
from convert_sdk.errors import SpoolError

from .files import RowKind, SpoolFile, list_files, release_lock
from .salvage import is_damaged
from .spool import RejectedRow

_REPLAY = "UPDATE rows SET kind = ?, stored = ?, status = NULL, message = NULL WHERE kind = ?"


class SpoolReport(NamedTuple):
    """One process's file; it names no visitor."""

    owner: str
    """The key that the events are sent under."""
    file: Path
    alive: bool
    """True while the process that writes it is running."""
    events: int = 0
    pending: int = 0
    """Conversions tracked before the first document."""
    oldest: float | None = None
    """The time at which the oldest waiting row was stored, in epoch seconds."""
    rejected: tuple[RejectedRow, ...] = ()
    problem: str | None = None
    """The reason why it cannot be read."""


class AdminOutcome(NamedTuple):
    """The number of events moved or deleted, and the files that were left because they are in use."""

    events: int
    in_use: tuple[Path, ...]


def inspect(root: Path) -> list[SpoolReport]:
    """Report on every file below a spool's path; raise SpoolError if there is no such folder."""
    reports = [_report(file) for file in _all(root)]
    damaged = sorted(path for folder in _folders(root) for path in folder.glob("*.corrupt"))
    return reports + [SpoolReport(SpoolFile(path).owner, path, False, problem="damaged") for path in damaged]


def replay(root: Path, clock: Clock | None = None) -> AdminOutcome:
    """Turn the rejected events of files that nobody uses back into waiting ones, stored at this moment.

    The next client that starts on this path, with the same key, recovers and sends them.
    """
    now = (clock or steady_clock())()

    def put_back(file: SpoolFile) -> int:
        _refuse_damaged(file)
        with closing(file.database()) as database, database.transaction() as connection:
            return connection.execute(_REPLAY, (RowKind.EVENT, now, RowKind.REJECTED)).rowcount

    return _each_unused(root, put_back)


def drop(root: Path, *, rejected_only: bool = False) -> AdminOutcome:
    """Delete every row of the files that nobody uses, or only the rejected events."""
    if rejected_only:
        return _each_unused(root, _delete_rejected)
    outcome = _each_unused(root, _delete)
    for folder in _folders(root):
        for damaged in folder.glob("*.corrupt*"):
            damaged.unlink()
    return outcome


def _delete_rejected(file: SpoolFile) -> int:
    _refuse_damaged(file)
    with closing(file.database()) as database, database.transaction() as connection:
        return connection.execute("DELETE FROM rows WHERE kind = ?", (RowKind.REJECTED,)).rowcount


def _delete(file: SpoolFile) -> int:
    try:
        with closing(file.database()) as database, database.connection() as connection:
            count = int(connection.execute("SELECT count(*) FROM rows").fetchone()[0])
    except sqlite3.Error:
        count = 0  # damaged, and to be deleted all the same
    file.delete()
    return count


def _each_unused(root: Path, act: Callable[[SpoolFile], int]) -> AdminOutcome:
    """Act on each file that nobody uses; raise SpoolError for the first that cannot be used, after the others."""
    events, in_use, failures = 0, [], []
    for file in _all(root):
        if file.oddity() is not None:
            continue  # `inspect` says so
        try:
            with _held(file) as free, _as_spool_error(file.path):
                if not free:
                    in_use.append(file.path)
                elif file.path.exists():
                    events += act(file)
        except SpoolError as error:
            failures.append(error)
    if failures:
        raise failures[0]
    return AdminOutcome(events, tuple(in_use))


def _refuse_damaged(file: SpoolFile) -> None:
    """Raise DatabaseError for a damaged file: opening it would hide that what its log had is missing."""
    if is_damaged(file.contents()):
        raise sqlite3.DatabaseError("it is damaged; the next client takes over what can be read")


def _all(root: Path) -> list[SpoolFile]:
    if not root.is_dir():
        raise SpoolError(f"there is no spool at {root}: give the folder that the client's spool option names")
    return [file for folder in _folders(root) for file in list_files(folder)]


def _folders(root: Path) -> list[Path]:
    """The owners' folders; a link is none, wherever it leads."""
    return [folder for folder in sorted(root.iterdir()) if folder.is_dir() and not folder.is_symlink()]


@contextmanager
def _held(file: SpoolFile) -> Iterator[bool]:
    with _as_spool_error(file.path):
        descriptor = file.lock()
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            release_lock(descriptor)


def _report(file: SpoolFile) -> SpoolReport:
    odd = file.oddity()
    if odd is not None:
        return SpoolReport(file.owner, file.path, alive=False, problem=odd)
    with _held(file) as free:
        report = SpoolReport(file.owner, file.path, alive=not free)
        if not file.path.exists():
            return report
        try:
            if free:
                _refuse_damaged(file)
            with closing(file.database()) as database, database.connection() as connection:
                return _filled(report, connection)
        except (sqlite3.Error, OSError) as error:
            return report._replace(problem=str(error))


def _filled(report: SpoolReport, connection: sqlite3.Connection) -> SpoolReport:
    counts = dict(connection.execute("SELECT kind, count(*) FROM rows GROUP BY kind").fetchall())
    waiting = "SELECT min(stored) FROM rows WHERE kind != ?"
    oldest = connection.execute(waiting, (RowKind.REJECTED,)).fetchone()[0]
    rejected = connection.execute(
        "SELECT uuid, stored, status, message FROM rows WHERE kind = ? ORDER BY seq", (RowKind.REJECTED,)
    )
    return report._replace(
        events=counts.get(RowKind.EVENT, 0),
        pending=counts.get(RowKind.PENDING, 0),
        oldest=oldest,
        rejected=tuple(RejectedRow(*row) for row in rejected),
    )


@contextmanager
def _as_spool_error(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise SpoolError(f"{path} cannot be used: {error}") from error
