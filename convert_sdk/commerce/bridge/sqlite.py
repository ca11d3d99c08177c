"""A ledger in one SQLite file."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import cast

from pydantic import TypeAdapter

from convert_sdk._core.half_made import shown_half_made
from convert_sdk._process.sqlite import Database
from convert_sdk.commerce._sites import canonical_scope
from convert_sdk.commerce.bridge.conversions import REPORTED, OrderConversion, Policy
from convert_sdk.commerce.bridge.ledger import (
    ExposureRecord,
    LedgerTransaction,
    Link,
    StateAndReason,
    Version,
    forgotten,
    mark_of,
)
from convert_sdk.commerce.bridge.orders import IdentityKey
from convert_sdk.errors import StoreError
from convert_sdk.status import EventOutcome

_SCHEMA = """
CREATE TABLE effects (
    key TEXT PRIMARY KEY, transaction_id TEXT NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL,
    first_seen REAL NOT NULL, due REAL, owner TEXT, event TEXT, visitor TEXT, resent INTEGER NOT NULL,
    body TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX effects_due ON effects (due) WHERE due IS NOT NULL;
CREATE INDEX effects_event ON effects (event) WHERE event IS NOT NULL;
CREATE INDEX effects_owner ON effects (owner) WHERE owner IS NOT NULL;
CREATE INDEX effects_visitor ON effects (visitor) WHERE visitor IS NOT NULL;
CREATE INDEX effects_transaction ON effects (transaction_id);
CREATE INDEX effects_unsent ON effects (key) WHERE state IN ('seen', 'waiting', 'claimed');
CREATE INDEX effects_reason ON effects (reason, first_seen);
CREATE TABLE clues (kind TEXT, value TEXT, key TEXT, PRIMARY KEY (kind, value, key)) WITHOUT ROWID;
CREATE INDEX clues_key ON clues (key);
CREATE TABLE links (
    kind TEXT, value TEXT, visitor TEXT, at REAL, expires REAL NOT NULL, tracking INTEGER NOT NULL,
    PRIMARY KEY (kind, value, visitor, at)
) WITHOUT ROWID;
CREATE INDEX links_visitor ON links (visitor);
CREATE INDEX links_expiry ON links (expires);
CREATE TABLE exposures (
    visitor TEXT, experience TEXT, variation TEXT NOT NULL, at REAL,
    PRIMARY KEY (visitor, at, experience)
) WITHOUT ROWID;
CREATE INDEX exposures_at ON exposures (at);
CREATE TABLE fates (event TEXT PRIMARY KEY, fate TEXT NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE cursors (name TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE versions (
    key TEXT PRIMARY KEY, digest TEXT NOT NULL, at INTEGER NOT NULL, sent INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE forgotten (mark TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE salt (value BLOB NOT NULL);
INSERT INTO salt VALUES (randomblob(32))
"""
_SECOND_VERSION = """
CREATE TABLE version_sources (key TEXT PRIMARY KEY, source TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX version_sources_source ON version_sources (source);
CREATE TABLE scopes (canonical TEXT PRIMARY KEY, scope TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE unreadable (name TEXT PRIMARY KEY, places TEXT NOT NULL, first_seen REAL NOT NULL) WITHOUT ROWID;
"""
_THIRD_VERSION = """
DROP INDEX version_sources_source;
ALTER TABLE version_sources RENAME TO last_sources;
CREATE TABLE version_sources (key TEXT, source TEXT, PRIMARY KEY (key, source)) WITHOUT ROWID;
CREATE INDEX version_sources_source ON version_sources (source);
INSERT INTO version_sources SELECT key, source FROM last_sources;
DROP TABLE last_sources;
"""
_LATER = {"given_back", "taken_back", "refunds"}
_WAIT = 10.0
_UNSENT = "state IN ('seen', 'waiting', 'claimed')"
_CONVERSION: TypeAdapter[OrderConversion] = TypeAdapter(OrderConversion)
_STORED_AS = {"match_source": "rung"}
"""Fields of a conversion that the file calls by another name; its tables keep theirs, too."""
_STORED_OUTCOMES: dict[str, str] = {"rejected": "dead"}
"""Outcomes of a delivery that the file calls by another name."""
_OUTCOMES = {stored: outcome for outcome, stored in _STORED_OUTCOMES.items()}


@shown_half_made
class Ledger:
    """The file `path` (0600), for all threads and processes of one host.

    With `sync`, what was committed survives a power cut; without, it survives the process.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     ledger = Ledger(Path(folder) / "bridge.db")
    ...     with ledger.transaction() as transaction:
    ...         transaction.move_cursor("orders", "1777000000")
    ...     with ledger.transaction() as transaction:
    ...         transaction.cursor("orders")
    ...     ledger.close()
    '1777000000'
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        policy: Policy | None = None,
        sync: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.policy = policy or Policy()
        self.clock = clock
        self._database = Database(
            Path(path).expanduser(),
            f"{_SCHEMA};{_SECOND_VERSION};{_THIRD_VERSION}",
            wait=_WAIT,
            synchronous="FULL" if sync else "NORMAL",
            migrations=[_SECOND_VERSION, _THIRD_VERSION],
        )

    def __repr__(self) -> str:
        return f"Ledger({str(self._database.path)!r})"

    @contextmanager
    def transaction(self) -> Iterator[LedgerTransaction]:
        """The ledger, for nobody else meanwhile; an exception undoes what was written."""
        rows: _Rows | None = None
        try:
            with self._database.transaction() as connection:
                connection.execute(
                    "PRAGMA secure_delete=ON"
                )  # what is deleted is overwritten, not just freed
                rows = _Rows(connection)
                yield rows
            if rows.has_forgotten:
                self._empty_log()
        except (sqlite3.Error, OSError) as error:
            if rows is not None and isinstance(error, OSError):
                raise  # of the caller's own code: ours come before it, from a file that cannot be opened
            raise StoreError(f"the bridge's ledger {self._database.path} cannot be used: {error}") from error

    def _empty_log(self) -> None:
        """The log beside the file still holds what was deleted; where somebody reads it, the next one empties it."""
        with self._database.connection() as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def close(self) -> None:
        """Close the file; using the ledger again opens it again."""
        self._database.close()


class _Rows:
    """The tables within one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._run = connection.execute
        self._run_many = connection.executemany
        self.has_forgotten = False

    def conversion(self, key: str) -> OrderConversion | None:
        return next(self._conversions("key = ?", key), None)

    def keep(self, conversion: OrderConversion) -> None:
        self._run(
            "REPLACE INTO effects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                conversion.key, conversion.order.transaction_id, conversion.state, conversion.reason,
                conversion.first_seen, conversion.due, conversion.owner, conversion.event,
                conversion.visitor_id, conversion.resent,
                _stored(conversion),
            ),
        )  # fmt: skip
        self._run("DELETE FROM clues WHERE key = ?", (conversion.key,))
        if not conversion.is_over:
            rows = [(*identity_key, conversion.key) for identity_key in conversion.order.identity_keys]
            self._run_many("INSERT OR IGNORE INTO clues VALUES (?, ?, ?)", rows)

    def _conversions(self, condition: str, *values: object) -> Iterator[OrderConversion]:
        # due is a column of its own, which make_due and renew change alone.
        for body, due in self._run(f"SELECT body, due FROM effects WHERE {condition}", values).fetchall():  # noqa: S608 - our own words
            conversion = _read(body)
            yield conversion if conversion.due == due else replace(conversion, due=due)

    def due(self, now: float, limit: int) -> list[OrderConversion]:
        return [*self._conversions("due <= ? ORDER BY due, key LIMIT ?", now, limit)]

    def make_due(self, identity_key: IdentityKey, now: float) -> None:
        self._run(
            "UPDATE effects SET due = ? WHERE state = 'waiting' AND reason = 'unresolved' "
            "AND key IN (SELECT key FROM clues WHERE kind = ? AND value = ?)",
            (now, *identity_key),
        )

    def awaiting(self, event: str) -> OrderConversion | None:
        return next(self._conversions("event = ?", event), None)

    def renew(self, owner: str, until: float) -> None:
        self._run(
            "UPDATE effects SET due = ? WHERE owner = ? AND state = 'claimed' AND event IS NOT NULL",
            (until, owner),
        )

    def tally(self) -> Mapping[StateAndReason, int]:
        rows = self._run("SELECT state, reason, COUNT(*) FROM effects GROUP BY state, reason")
        return {StateAndReason(state, reason): count for state, reason, count in rows}

    def waiting(self, reason: str, limit: int) -> list[OrderConversion]:
        return [*self._conversions("reason = ? ORDER BY first_seen, key LIMIT ?", reason, limit)]

    def still_waiting(self, reason: str, limit: int) -> list[OrderConversion]:
        own = "due IS NOT NULL AND state = 'waiting' AND reason = ? ORDER BY due, key LIMIT ?"
        return [*self._conversions(own, reason, limit)]

    def resent(self) -> int:
        return int(self._run("SELECT COALESCE(SUM(resent), 0) FROM effects").fetchone()[0])

    def note_outcome(self, event: str, outcome: EventOutcome, now: float) -> None:
        self._run("REPLACE INTO fates VALUES (?, ?, ?)", (event, _STORED_OUTCOMES.get(outcome, outcome), now))

    def take_outcome(self, event: str) -> EventOutcome | None:
        row = self._run("DELETE FROM fates WHERE event = ? RETURNING fate", (event,)).fetchone()
        return None if row is None else cast("EventOutcome", _OUTCOMES.get(row[0], row[0]))

    def add_link(self, link: Link) -> None:
        row = (*link.identity_key, link.visitor_id, link.at, link.expires, link.tracking)
        self._run("REPLACE INTO links VALUES (?, ?, ?, ?, ?, ?)", row)

    def links(self, identity_key: IdentityKey) -> list[Link]:
        rows = self._run(
            "SELECT visitor, at, expires, tracking FROM links WHERE kind = ? AND value = ?", identity_key
        )
        return [
            Link(identity_key, visitor, at, expires, bool(tracking))
            for visitor, at, expires, tracking in rows
        ]

    def links_to(self, visitor_id: str) -> list[Link]:
        rows = self._run(
            "SELECT kind, value, at, expires, tracking FROM links WHERE visitor = ?", (visitor_id,)
        )
        return [
            Link(IdentityKey(kind, value), visitor_id, at, expires, bool(tracking))
            for kind, value, at, expires, tracking in rows
        ]

    def add_exposure(self, record: ExposureRecord) -> None:
        visitor, experience, variation, at = record
        self._run("REPLACE INTO exposures VALUES (?, ?, ?, ?)", (visitor, experience, variation, at))

    def exposures(self, visitor_id: str, since: float, until: float) -> list[ExposureRecord]:
        rows = self._run(
            "SELECT visitor, experience, variation, at FROM exposures "
            "WHERE visitor = ? AND at BETWEEN ? AND ? ORDER BY at, experience",
            (visitor_id, since, until),
        )
        return [ExposureRecord(*row) for row in rows]

    def cursor(self, name: str) -> str | None:
        row = self._run("SELECT body FROM cursors WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def move_cursor(self, name: str, to: str) -> None:
        self._run("REPLACE INTO cursors VALUES (?, ?)", (name, to))

    def version(self, key: str) -> Version | None:
        row = self._run("SELECT digest, at, sent FROM versions WHERE key = ?", (key,)).fetchone()
        return None if row is None else Version(row[0], row[1], bool(row[2]))

    def keep_version(self, key: str, version: Version, source: str = "") -> None:
        self._run("REPLACE INTO versions VALUES (?, ?, ?, ?)", (key, *version))
        if source:
            self._run("INSERT OR IGNORE INTO version_sources VALUES (?, ?)", (key, source))

    def version_keys(self, source: str) -> list[str]:
        rows = self._run("SELECT key FROM version_sources WHERE source = ? ORDER BY key", (source,))
        return [key for (key,) in rows]

    def version_sources(self, key: str) -> list[str]:
        rows = self._run("SELECT source FROM version_sources WHERE key = ? ORDER BY source", (key,))
        return [source for (source,) in rows]

    def drop_source(self, key: str, source: str) -> None:
        self._run("DELETE FROM version_sources WHERE key = ? AND source = ?", (key, source))

    def drop_version(self, key: str) -> None:
        self._run("DELETE FROM versions WHERE key = ?", (key,))
        self._run("DELETE FROM version_sources WHERE key = ?", (key,))

    def scope_of(self, scope: str) -> str:
        row = self._run("SELECT scope FROM scopes WHERE canonical = ?", (scope,)).fetchone()
        if row is not None:
            return str(row[0])
        found = {each for each in self._scopes() if canonical_scope(each) == scope} - {scope}
        kept = max((scope, *sorted(found)), key=lambda each: (self._count_in(each), each != scope))
        self._run("INSERT INTO scopes VALUES (?, ?)", (scope, kept))
        return kept

    def _scopes(self) -> set[str]:
        """The scopes that anything here was kept under."""
        names = [name for (name,) in self._run("SELECT name FROM cursors")]
        found = {name.rpartition("/")[0] for name in names}
        for kind in ("order", "reference", "member", "contact"):
            links = "SELECT value FROM links WHERE kind = ? AND value > ? ORDER BY value LIMIT 1"
            found |= self._prefixes(links, kind, "")
        orders = "SELECT transaction_id FROM effects WHERE transaction_id > ? ORDER BY transaction_id LIMIT 1"
        return found | self._prefixes(orders, "website:")

    def _prefixes(self, query: str, *values: str) -> set[str]:
        """Everything before the last colon of some texts, one look at the index for each."""
        found: set[str] = set()
        *fixed, after = values
        while (row := self._run(query, (*fixed, after)).fetchone()) is not None:
            prefix = row[0].rpartition(":")[0]
            after = f"{prefix};" if prefix else f"{row[0]};"  # a semicolon follows a colon
            found.add(prefix)
        return found

    def _count_in(self, scope: str) -> int:
        between = "SELECT COUNT(*) FROM effects WHERE transaction_id > ? AND transaction_id < ?"
        return int(self._run(between, (f"{scope}:", f"{scope};")).fetchone()[0])

    def note_unreadable(self, name: str, places: str, now: float) -> bool:
        known = self._run("SELECT 1 FROM unreadable WHERE name = ?", (name,)).fetchone()
        self._run(
            "INSERT INTO unreadable VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET places = excluded.places",
            (name, places, now),
        )
        return known is None

    def note_readable(self, name: str) -> None:
        self._run("DELETE FROM unreadable WHERE name = ?", (name,))

    def unreadable(self, limit: int) -> list[str]:
        rows = self._run("SELECT name, places FROM unreadable ORDER BY first_seen, name LIMIT ?", (limit,))
        return [f"{name} ({places})" for name, places in rows]

    def has_reported(self, visitor_id: str, goal: str | int) -> bool:
        reported = ", ".join(f"'{state}'" for state in sorted(REPORTED))
        found = self._conversions(f"visitor = ? AND state IN ({reported})", visitor_id)
        return any(each.goal == goal and each.refund_of is None for each in found)

    def readmit(self, visitor_id: str) -> None:
        self._run("DELETE FROM forgotten WHERE mark = ?", (self._mark(visitor_id),))

    def conversions_of(self, transaction_id: str) -> list[OrderConversion]:
        found = self._conversions("transaction_id = ? ORDER BY key", transaction_id)
        return [each for each in found if each.refund_of is None]

    def unsent_of(self, visitor_id: str) -> list[OrderConversion]:
        named = "visitor = ? OR instr(json_extract(body, '$.order.token'), ?)"
        linked = "SELECT key FROM clues JOIN links USING (kind, value) WHERE links.visitor = ?"
        return [*self._conversions(f"{_UNSENT} AND ({named} OR key IN ({linked}))", *(visitor_id,) * 3)]

    def unsent_with(self, identity_key: IdentityKey) -> list[OrderConversion]:
        having = "SELECT key FROM clues WHERE kind = ? AND value = ?"
        return [*self._conversions(f"{_UNSENT} AND key IN ({having})", *identity_key)]

    def is_forgotten(self, visitor_id: str) -> bool:
        if self._run("SELECT 1 FROM forgotten LIMIT 1").fetchone() is None:
            return False
        mark = self._mark(visitor_id)
        return self._run("SELECT 1 FROM forgotten WHERE mark = ?", (mark,)).fetchone() is not None

    def _mark(self, visitor_id: str) -> str:
        return mark_of(self._run("SELECT value FROM salt").fetchone()[0], visitor_id)

    def forget(self, visitor_id: str) -> None:
        self.has_forgotten = True
        self._run("INSERT OR IGNORE INTO forgotten VALUES (?)", (self._mark(visitor_id),))
        for conversion in [*self._conversions("visitor = ?", visitor_id)]:
            self.keep(forgotten(conversion))
        self._run("DELETE FROM links WHERE visitor = ?", (visitor_id,))
        self._run("DELETE FROM exposures WHERE visitor = ?", (visitor_id,))

    def unlink(self, identity_key: IdentityKey) -> None:
        self.has_forgotten = True
        self._run("DELETE FROM links WHERE kind = ? AND value = ?", identity_key)

    def purge(self, *, links: float, exposures: float, outcomes: float) -> None:
        self._run("DELETE FROM links WHERE expires <= ?", (links,))
        self._run("DELETE FROM exposures WHERE at < ?", (exposures,))
        self._run("DELETE FROM unreadable WHERE first_seen < ?", (exposures,))
        self._run("DELETE FROM fates WHERE at < ?", (outcomes,))


def _stored(conversion: OrderConversion) -> str:
    body = _CONVERSION.dump_python(conversion, mode="json")
    named = {_STORED_AS.get(name, name): value for name, value in body.items() if _is_said(name, value)}
    return json.dumps(named, ensure_ascii=False, separators=(",", ":"))


def _is_said(name: str, value: object) -> bool:
    """True if a field is stored: those that the first version did not have, only where they say something."""
    return name not in _LATER or value not in (0, "0")


def _read(body: str) -> OrderConversion:
    stored = json.loads(body)
    for name in ("version", "earliest"):
        moment = stored["order"].get(name)
        if moment is not None and datetime.fromisoformat(moment).utcoffset() is None:
            stored["order"][name] = f"{moment}+00:00"  # a file may have some without a zone
    return _CONVERSION.validate_python(stored | {name: stored.get(old) for name, old in _STORED_AS.items()})
