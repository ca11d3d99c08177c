"""What lies in a spool's folder, for a person to look at and to act on."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from convert_sdk._process.clock import Clock, steady_clock
from convert_sdk.errors import SpoolError

from .files import SpoolFile, files, release
from .spool import Dead

_PUT_BACK = "UPDATE rows SET kind = 'event', stored = ?, status = NULL, message = NULL WHERE kind = 'dead'"


class SpoolReport(NamedTuple):
    """One process's file; it names no visitor."""

    owner: str
    """The key that the events are sent under."""
    file: Path
    alive: bool
    """Whether the process that writes it is running."""
    events: int = 0
    pending: int = 0
    """Conversions tracked before the first document."""
    oldest: float | None = None
    """When the oldest waiting row was stored, in epoch seconds."""
    dead: tuple[Dead, ...] = ()
    problem: str | None = None
    """Why it cannot be read."""


class Outcome(NamedTuple):
    """How many events were moved or deleted, and the files that were left because they are in use."""

    events: int
    in_use: tuple[Path, ...]


def inspect(root: Path) -> list[SpoolReport]:
    """Every file below a spool's path; raises SpoolError where there is no such folder."""
    reports = [_report(file) for file in _all(root)]
    damaged = sorted(root.glob("*/*.corrupt"))
    return reports + [SpoolReport(SpoolFile(path).owner, path, False, problem="damaged") for path in damaged]


def replay(root: Path, clock: Clock | None = None) -> Outcome:
    """Put what was set aside back in the queue of the files that nobody uses, as stored now.

    The next client that starts on this path, with the same key, adopts and sends it.
    """
    now = (clock or steady_clock())()

    def put_back(file: SpoolFile) -> int:
        with closing(file.database()) as database, database.transaction() as connection:
            return connection.execute(_PUT_BACK, (now,)).rowcount

    return _each_unused(root, put_back)


def drop(root: Path, *, dead_only: bool = False) -> Outcome:
    """Delete for good what lies in the files that nobody uses, or only what was set aside."""
    if dead_only:
        return _each_unused(root, _forget_dead)
    outcome = _each_unused(root, _delete)
    for damaged in root.glob("*/*.corrupt*"):
        damaged.unlink()
    return outcome


def _forget_dead(file: SpoolFile) -> int:
    with closing(file.database()) as database, database.transaction() as connection:
        return connection.execute("DELETE FROM rows WHERE kind = 'dead'").rowcount


def _delete(file: SpoolFile) -> int:
    try:
        with closing(file.database()) as database, database.connection() as connection:
            count = int(connection.execute("SELECT count(*) FROM rows").fetchone()[0])
    except sqlite3.Error:
        count = 0  # damaged, and to be deleted all the same
    file.delete()
    return count


def _each_unused(root: Path, act: Callable[[SpoolFile], int]) -> Outcome:
    events, in_use = 0, []
    for file in _all(root):
        with _held(file) as free, _as_spool_error(file.path):
            if not free:
                in_use.append(file.path)
            elif file.path.exists():
                events += act(file)
    return Outcome(events, tuple(in_use))


def _all(root: Path) -> list[SpoolFile]:
    if not root.is_dir():
        raise SpoolError(f"there is no spool at {root}: give the folder that the client's spool option names")
    return [file for folder in sorted(root.iterdir()) if folder.is_dir() for file in files(folder)]


@contextmanager
def _held(file: SpoolFile) -> Iterator[bool]:
    with _as_spool_error(file.path):
        descriptor = file.lock()
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            release(descriptor)


def _report(file: SpoolFile) -> SpoolReport:
    with _held(file) as free:
        report = SpoolReport(file.owner, file.path, alive=not free)
        if not file.path.exists():
            return report
        try:
            with closing(file.database()) as database, database.connection() as connection:
                return _filled(report, connection)
        except (sqlite3.Error, OSError) as error:
            return report._replace(problem=str(error))


def _filled(report: SpoolReport, connection: sqlite3.Connection) -> SpoolReport:
    counts = dict(connection.execute("SELECT kind, count(*) FROM rows GROUP BY kind").fetchall())
    oldest = connection.execute("SELECT min(stored) FROM rows WHERE kind != 'dead'").fetchone()[0]
    dead = connection.execute(
        "SELECT uuid, stored, status, message FROM rows WHERE kind = 'dead' ORDER BY seq"
    )
    return report._replace(
        events=counts.get("event", 0),
        pending=counts.get("pending", 0),
        oldest=oldest,
        dead=tuple(Dead(*row) for row in dead),
    )


@contextmanager
def _as_spool_error(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise SpoolError(f"{path} cannot be used: {error}") from error
