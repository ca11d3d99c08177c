"""The rows of a damaged spool file, as far as they can be read.

Theory of operation
-------------------
Nothing here writes. The bytes of the file and of its write-ahead log are put together in memory (`Image`): of each
page the newest version that was committed, each frame of the log checked by itself, as SQLite takes everything after a
bad frame for unwritten. A first page that makes no sense is replaced by that of an empty spool: all spools are made
alike, so its tables begin on the same pages. SQLite then reads the image in memory, and the rows are asked for one by
one, so that a page that cannot be read costs its own rows only.

A log that is damaged may hide that a row was deleted: what was sent just before may be sent once more.

A log whose end is missing looks as if no more had been written. But a process that dies leaves the index of its log
behind (`-shm`, memory that its connections shared), which counts the frames that were committed, and those of them that
are in the file already. Where the log has fewer, and the file has not all of them, something is lost.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from math import inf, isfinite
from struct import unpack, unpack_from
from typing import NamedTuple

MAGIC = b"SQLite format 3\0"
_LOG_MAGIC = (0x377F0682, 0x377F0683)
_LOG_HEADER, _FRAME_HEADER = 32, 24
_INDEX_HEADER, _INDEX_FRAMES = 48, 16
_INDEX_START = (3_007_000, 1)
"""The version of the index, and that it is initialized."""
_MOST_BYTES = 512 * 1024 * 1024
_SMALLEST_ROW = 32
_PAGE = 4_096
Row = tuple[str, str, str, float, int | None, str | None]
"""Id, kind, body, time of storing, status and message, as the table has them."""


class Contents(NamedTuple):
    """The bytes of a file, of its write-ahead log and of the log's index; empty where there is none."""

    file: bytes = b""
    log: bytes = b""
    log_index: bytes = b""


class Log(NamedTuple):
    """A write-ahead log: the newest committed version of each page by its number, the pages' size, and the state."""

    pages: dict[int, bytes]
    page_size: int
    damaged: bool
    """True if something was committed after a frame that cannot be read, or the log has no beginning."""
    frames: int = 0
    """The frames up to the last one that was committed, if all before it can be read."""


class LogIndex(NamedTuple):
    """The index of a log, as a process left it."""

    frames: int
    """The frames that were committed."""
    in_file: int
    """Those of them that are in the file."""


def is_damaged(contents: Contents) -> bool:
    """Tell what SQLite would overlook or make worse: a file cut to nothing, no header, a bad frame within the log or a
    log that is cut short.
    """
    log = _read_log(contents.log)
    index = _read_index(contents.log_index)
    return not contents.file.startswith(MAGIC) or log.damaged or log.frames < index.frames


def is_cut(contents: Contents) -> bool:
    """True if the end of the log is missing, and the file does not have it."""
    log, index = _read_log(contents.log), _read_index(contents.log_index)
    return max(log.frames, index.in_file) < index.frames


def salvage(contents: Contents, schema: str) -> list[Row]:
    """Read what can be read of a spool file, in the order of storing; no row for what is no spool file."""
    found: list[Row] = []
    for whole_header in (True, False):
        with (
            suppress(sqlite3.Error, ValueError),
            closing(_opened(contents, schema, whole_header)) as image,
        ):
            rows = [row for raw in _raw_rows(image) if (row := _row(raw)) is not None]
            found = max(found, rows, key=len)
    return found


def _opened(contents: Contents, schema: str, whole_header: bool) -> sqlite3.Connection:
    """A database in memory with the pages of the file, under its own first page or that of an empty spool."""
    content, newest = contents.file, _read_log(contents.log)
    if newest.frames < _read_index(contents.log_index).in_file and not newest.damaged:
        newest = newest._replace(pages={})  # the file has newer ones
    size = newest.page_size or _page_size(content)
    last = max([-(-len(content) // size), 1, *newest.pages])
    if last * size > _MOST_BYTES:
        raise ValueError("too large to be a spool's")
    image = bytearray(content.ljust(last * size, b"\0")[: last * size])
    for number, page in newest.pages.items():
        image[(number - 1) * size : number * size] = page
    if not whole_header:
        image[:size] = _empty(size, schema)[:size]
    image[18:20] = b"\1\1"  # no log: its pages are in place
    image[24:32] = b"\0\0\0\1" + last.to_bytes(4, "big")
    image[92:96] = b"\0\0\0\1"
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.text_factory = bytes
    connection.deserialize(bytes(image))
    return connection


def _empty(page_size: int, schema: str) -> bytes:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size={page_size}")
        connection.executescript(schema)
        image: bytes = connection.serialize()
        return image


def _page_size(content: bytes) -> int:
    size = int.from_bytes(content[16:18], "big")
    return size if size in {512 << power for power in range(7)} else _PAGE


# The write-ahead log.


def _read_log(log: bytes) -> Log:
    if not log:
        return Log({}, 0, damaged=False)
    if len(log) < _LOG_HEADER:
        return Log({}, 0, damaged=True)
    magic, _, size = unpack_from(">3I", log)
    if magic not in _LOG_MAGIC or size not in {512 << power for power in range(8)}:
        return Log({}, 0, damaged=True)
    order, salt = ">" if magic & 1 else "<", log[16:24]
    pages: dict[int, bytes] = {}
    uncommitted: dict[int, bytes] = {}
    before, broken, damaged, frames = log[24:32], False, False, 0
    for start in range(_LOG_HEADER, len(log) - _FRAME_HEADER - size + 1, _FRAME_HEADER + size):
        body = start + _FRAME_HEADER
        head, page = log[start:body], log[body : body + size]
        sums = _checksum(head[:8] + page, before, order)
        before = head[16:24]
        number, commits = unpack_from(">2I", head)
        if head[8:16] != salt or sums != before or not 0 < number * size <= _MOST_BYTES:
            broken = True
            continue
        uncommitted[number] = page
        if commits:
            damaged = damaged or broken
            pages |= uncommitted
            uncommitted = {}
            frames = frames if broken else (start - _LOG_HEADER) // (_FRAME_HEADER + size) + 1
    return Log(pages, size, damaged, frames)


def _read_index(index: bytes) -> LogIndex:
    """Read the index; its header stands there twice, as it may be torn."""
    headers = (index[:_INDEX_HEADER], index[_INDEX_HEADER : 2 * _INDEX_HEADER])
    if len(index) < 2 * _INDEX_HEADER + 4 or any(
        unpack_from("=I8xB", each) != _INDEX_START for each in headers
    ):
        return LogIndex(0, 0)
    frames = min(unpack_from("=I", each, _INDEX_FRAMES)[0] for each in headers)
    (in_file,) = unpack_from("=I", index, 2 * _INDEX_HEADER)
    return LogIndex(frames, min(frames, in_file))


def _checksum(data: bytes, before: bytes, order: str) -> bytes:
    """SQLite's sum of a frame, which goes on from that of the frame before."""
    first, second = (int.from_bytes(half, "big") for half in (before[:4], before[4:]))
    words: Iterator[int] = iter(unpack(f"{order}{len(data) // 4}I", data))
    for one, two in zip(words, words, strict=True):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + two + first) & 0xFFFFFFFF
    return first.to_bytes(4, "big") + second.to_bytes(4, "big")


# The rows.


def _raw_rows(image: sqlite3.Connection) -> Iterator[tuple[object, ...]]:
    """Every row that can be reached: from both ends until something cannot be read, and one by one between."""
    columns = "seq, uuid, kind, body, stored, status, message"
    found: dict[int, tuple[object, ...]] = {}
    upwards = _until_error(image, f"SELECT {columns} FROM rows NOT INDEXED ORDER BY seq")  # noqa: S608  # ours
    found.update((row[0], row[1:]) for row in upwards.rows)
    if not upwards.complete:
        low = max(found, default=0)
        down = _until_error(image, f"SELECT {columns} FROM rows NOT INDEXED ORDER BY seq DESC")  # noqa: S608  # as above
        found.update((row[0], row[1:]) for row in down.rows)
        high = min((seq for seq in found if seq > low), default=low + _most_rows(image))
        for seq in range(low + 1, high):
            one = _until_error(image, f"SELECT {columns} FROM rows NOT INDEXED WHERE seq = {seq}")  # noqa: S608  # as above
            found.update((row[0], row[1:]) for row in one.rows)
    yield from (found[seq] for seq in sorted(found))


class _Found(NamedTuple):
    rows: list[tuple[int, *tuple[object, ...]]]
    complete: bool


def _until_error(image: sqlite3.Connection, query: str) -> _Found:
    rows: list[tuple[int, *tuple[object, ...]]] = []
    try:
        for row in image.execute(query):
            rows.append(row)  # noqa: PERF402  # those before the error are kept
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_ERROR:  # no such table: the next first page may have it
            raise
        return _Found(rows, complete=False)
    except sqlite3.DatabaseError:
        return _Found(rows, complete=False)
    return _Found(rows, complete=True)


def _most_rows(image: sqlite3.Connection) -> int:
    pages, size = (image.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    return int(pages * size) // _SMALLEST_ROW


def _row(raw: tuple[object, ...]) -> Row | None:
    """A row of the right types; None for one whose id, kind or body are not what we wrote."""
    uuid, kind, body, stored, status, message = raw
    name, sort, text = _text(uuid), _text(kind), _text(body)
    if not name or not sort or text is None:
        return None
    # One whose time cannot be read was stored just before its process died.
    moment = float(stored) if isinstance(stored, (int, float)) and isfinite(stored) else inf
    return name, sort, text, moment, status if isinstance(status, int) else None, _text(message)


def _text(value: object) -> str | None:
    try:
        return value.decode() if isinstance(value, bytes) else None
    except ValueError:
        return None
