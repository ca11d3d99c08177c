"""Files that an earlier version wrote: nothing in them is lost, and each state is understood.

`tests/fixtures/stored/make.py.txt` is the script that made them, and says with which version.
What it wrote by the wall clock is moved in the copy to look as if it had been written a minute ago.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import redis
from typer.testing import CliRunner

from convert_sdk import Client, ConversionReason, VisitorState
from convert_sdk.cli.spool import spool_app
from convert_sdk.commerce.bridge import Bridge, Goals, Identity, IdentityKey, Ledger, Policy, recording
from convert_sdk.commerce.bridge.cursors import CURSOR
from convert_sdk.options import OptionArguments
from convert_sdk.stores import Changes
from convert_sdk.stores.redis import RedisStore
from convert_sdk.stores.sqlite import SqliteStore
from tests.servers.programs import redis_server
from tests.waiting import eventually

STORED = Path(__file__).parents[1] / "fixtures" / "stored"
MADE = 1_777_000_000.0
DAY = 86_400.0
KEY = "1001/2002"
ODD = 'v-ü "\ud800"\n'


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A copy that belongs to us alone, as the files did; a checkout may have given others rights."""
    copy = tmp_path / "stored"
    shutil.copytree(STORED, copy)
    for path in copy.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return copy


class Convert:
    """Both endpoints, without a network: the addresses are part of what the files are found by."""

    def __init__(self, document: bytes | None) -> None:
        self.document = document
        self.asked: list[httpx.Request] = []
        self.bodies: list[Any] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            self.bodies.append(json.loads(request.content))
            return httpx.Response(200, json={"code": 200, "message": "OK"})
        self.asked.append(request)
        if self.document is None:
            raise httpx.ConnectError("the network is down")
        return httpx.Response(200, content=self.document)

    @property
    def events(self) -> Counter[tuple[str, str]]:
        """How often each event came: the visitor and the event's JSON."""
        return Counter(
            (visitor["visitorId"], json.dumps(event, sort_keys=True))
            for body in self.bodies
            for visitor in body["visitors"]
            for event in visitor["events"]
        )

    def entry(self, visitor_id: str, *, enriched: bool = True) -> Any:
        """The visitor's only entry in requests of this kind."""
        (found,) = (
            visitor
            for body in self.bodies
            if body["enrichData"] is enriched
            for visitor in body["visitors"]
            if visitor["visitorId"] == visitor_id
        )
        return found


def document(folder: Path) -> bytes:
    """The document that the files were made with."""
    (first, *_) = sorted((folder / "documents").iterdir())
    return first.read_bytes().partition(b"\n")[2]


# The spool


class Row(NamedTuple):
    uuid: str
    kind: str
    body: str
    status: int | None
    message: str | None


OURS = "1001%2F2002"
OLD = {"old-1.0", "old-2.0", "old-3.0"}
"""What was past its age already when the files were made."""
TORN = {"torn-1.0", "torn-2.0"}
"""What nobody can read."""


def rows(folder: Path, scratch: Path) -> list[Row]:
    """Every row of an owner's files as it lies there, those of a write-ahead log too; the files stay as they are."""
    shutil.copytree(folder, scratch)
    found: list[Row] = []
    for path in sorted(scratch.glob("*.db")):
        with closing(sqlite3.connect(path)) as connection:
            query = "SELECT uuid, kind, body, status, message FROM rows ORDER BY seq"
            found += [Row(*row) for row in connection.execute(query)]
    return found


@pytest.fixture
def spool(stored: Path, tmp_path: Path) -> Path:
    """The spool, as if it had been written a minute ago; what a kill left in a write-ahead log is there still."""
    moved = time.time() - 60 - MADE
    for target in (stored / "spool").glob("*/*.db"):
        work = Path(shutil.copytree(target.parent, tmp_path / f"moving-{target.stem}"), target.name)
        with closing(sqlite3.connect(work)) as connection:
            with connection:
                connection.execute("UPDATE rows SET stored = stored + ?", (moved,))
            log = Path(f"{target}-wal")
            if log.exists():  # closing the last connection would write the log into the file
                shutil.copyfile(work, target)
                shutil.copyfile(f"{work}-wal", log)
                continue
        shutil.copyfile(work, target)
    return stored / "spool"


def sent_events(kept: list[Row], kind: str) -> Counter[tuple[str, str]]:
    """What must arrive of the rows of one kind that hold an event."""
    bodies = [json.loads(row.body) for row in kept if row.kind == kind and row.uuid not in OLD | TORN]
    return Counter((body[0], json.dumps(json.loads(body[1]), sort_keys=True)) for body in bodies)


PENDING = [
    ("p-1", "71", [("amount", 7.5), ("productsCount", 1), ("transactionId", "T-2")], True),
    ("p-2", "72", None, True),
    ("p-4", "71", None, True),
    ("p-5", "71", [("amount", 1)], True),
    ("p-5", "71", [("amount", 2)], False),
]
"""Visitor, goal, data, and whether the conversion is the visitor's first, of what a document lets count.

The others come to nothing by what they say: p-3's rules do not hold, p-6 is not to be tracked, p-7 names no goal.
"""


def expected_of_pending() -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for visitor, goal, data, first in PENDING:
        said: dict[str, object] = {"goalId": goal}
        if visitor == "p-4":
            said["bucketingData"] = {"9": "92"}
        full = {**said, "goalData": [{"key": key, "value": value} for key, value in data or ()]}
        for each in ([said] if first else []) + ([full] if data else []):
            found[visitor, json.dumps({"eventType": "conversion", "data": each}, sort_keys=True)] += 1
    return found


def test_the_spools_files_hold_every_kind_of_row(tmp_path: Path) -> None:
    """So that no test below passes for want of something to read."""
    folders = sorted((STORED / "spool").iterdir())
    kept = [row for folder in folders for row in rows(folder, tmp_path / folder.name)]
    assert Counter(row.kind for row in kept) == {"event": 14, "pending": 11, "dead": 5}
    assert len(list(STORED.glob("spool/*/*.db"))) == len(list(STORED.glob("spool/*/*.lock"))) == 8
    assert len(list(STORED.glob("spool/*/*.db-wal"))) == 5


@contextmanager
def claiming(convert: Convert, spool: Path, tmp_path: Path) -> Iterator[Client]:
    """A client that shares a store: a claimed conversion is claimed there at once, and not waited for."""
    store = SqliteStore(tmp_path / "claims.db")
    transport = httpx.MockTransport(convert)
    with Client(
        KEY, spool=str(spool), store=store, enrich_data=True, transport=transport, start_wait=120
    ) as client:
        yield client
    store.close()


def test_a_client_sends_all_that_waits_in_the_spool(stored: Path, spool: Path, tmp_path: Path) -> None:
    before = rows(spool / OURS, tmp_path / "before")
    convert = Convert(document(stored))
    with claiming(convert, spool, tmp_path) as client:
        client.visitor("restart")
        assert client.flush(120).pending == 0
        status = client.status()
    expected = sent_events(before, "event") + expected_of_pending()
    assert convert.events == expected
    assert status.events.sent == expected.total() == 16
    # An event and a conversion were past their age, one event cannot be read; all else has arrived.
    assert status.dropped == {"expired": 2, "spool": 1}
    assert convert.entry("v-1")["segments"] == {"country": "DE", "browser": "firefox"}
    assert convert.entry("p-1")["segments"] == {"country": "FR"}
    assert convert.entry("c-1")["segments"] == {"country": "ES", "customSegments": ["5"]}
    assert [len(convert.entry(each, enriched=False)["events"]) for each in ("v-3", "p-4")] == [1, 1]
    # What was refused lies there as before, with what could not be read beside it.
    after = rows(spool / OURS, tmp_path / "after")
    refused = [row for row in before if row.kind == "dead" and row.uuid not in OLD]
    torn = [row._replace(kind="dead", message="cannot be read") for row in before if row.uuid in TORN]
    assert sorted(after) == sorted(refused + torn)


@pytest.mark.parametrize(
    "options",
    [
        {"environment": "staging"},
        {"track_endpoint": "https://metrics.example.com/v1/"},
        {"environment": "long " * 30},
    ],
    ids=["environment", "endpoint", "long"],
)
def test_each_owner_finds_its_files(stored: Path, spool: Path, options: OptionArguments) -> None:
    convert = Convert(document(stored))
    options = {
        **options,
        "flush_interval": 3600.0,
        "start_wait": 120,
        "spool": str(spool),
        "transport": httpx.MockTransport(convert),
    }
    with Client(KEY, **options) as client:
        client.visitor("restart")
        assert client.flush(120).sent == 1
    wire = {"eventType": "conversion", "data": {"goalId": "71"}}
    assert convert.events == {("v-1", json.dumps(wire, sort_keys=True)): 1}


def test_the_command_line_shows_and_replays_what_was_refused(
    stored: Path, spool: Path, tmp_path: Path
) -> None:
    before = rows(spool / OURS, tmp_path / "before")
    listed = CliRunner().invoke(spool_app, ["ls", str(spool), "--json"])
    reports = json.loads(listed.output)
    assert sorted((each["owner"], each["alive"], each["problem"]) for each in reports) == sorted(
        [(KEY, False, None)] * 5
        + [(f"{KEY} staging", False, None), (f"{KEY} https://metrics.example.com/v1", False, None)]
        + [("e2f6495830d38234eb39ae1a901037254bcddb1df82671d1e98cc45b7a59fbf3", False, None)]
    )
    assert sum(each["events"] for each in reports) == 14
    assert sum(each["pending"] for each in reports) == 11
    rejected = {
        tuple(one[key] for key in ("uuid", "status", "message"))
        for each in reports
        for one in each["rejected"]
    }
    assert rejected == {(row.uuid, row.status, row.message) for row in before if row.kind == "dead"}
    assert CliRunner().invoke(spool_app, ["replay", str(spool)]).output.startswith("5 events put back")
    convert = Convert(document(stored))
    with claiming(convert, spool, tmp_path) as client:
        client.visitor("restart")
        assert client.flush(120).pending == 0
    replayed = Counter(
        (body[0], json.dumps(json.loads(body[1]), sort_keys=True))
        for body in (json.loads(row.body) for row in before if row.kind == "dead")
    )
    assert convert.events == sent_events(before, "event") + replayed + expected_of_pending()


# Documents


@pytest.mark.parametrize("environment", [None, "staging"])
def test_a_document_on_disk_serves_while_the_network_is_down(stored: Path, environment: str | None) -> None:
    convert = Convert(None)
    with Client(
        KEY,
        cache_dir=str(stored / "documents"),
        environment=environment,
        transport=httpx.MockTransport(convert),
    ) as client:
        assert client.visitor("v-1").decide("button").variation_key in {"arm-1", "arm-2"}
        assert client.status().stale
        assert client.project is not None
        assert client.project.document == json.loads(document(stored))
        eventually(lambda: convert.asked)
    assert [request.headers.get("if-none-match") for request in convert.asked[:1]] == ['"one"']


def test_a_document_without_an_etag_serves_too(stored: Path) -> None:
    convert = Convert(None)
    folder = str(stored / "documents")
    with Client("1001/no-etag", cache_dir=folder, transport=httpx.MockTransport(convert)) as client:
        assert client.visitor("v-1").decide("button").variation_key in {"arm-1", "arm-2"}
        eventually(lambda: convert.asked)
    assert all("if-none-match" not in request.headers for request in convert.asked)


# Visitors

STATES = {
    "1001-2002-v-1": VisitorState(
        {"10": "102", "11": "none"},
        {"purchase": "0123-1", "large": ""},
        {"country": "DE", "customSegments": ["5", "6"], "visitorType": None, "n": 1.5, "deep": {"a": [True]}},
        ("home", "100"),
    ),
    "1001-2002-v-2": VisitorState({"10": "101"}),
    "1001-2002-v-3": VisitorState(goals={"purchase": "0123-2"}),
    "1001-2002-v-4": VisitorState(segments={"source": "ad"}),
    f"1001-2002-{ODD}": VisitorState({ODD: ODD}, {ODD: ODD}, {ODD: ODD}, (ODD,)),
}


def texts() -> Mapping[str, str]:
    found: dict[str, str] = json.loads((STORED / "visitors.json").read_text())
    return found


def test_a_visitors_json_is_read_and_written_as_it_was() -> None:
    read = {key: VisitorState.from_json(text) for key, text in texts().items()}
    assert read == STATES
    assert {key: state.to_json() for key, state in read.items()} == texts()


def test_visitors_in_a_file(stored: Path) -> None:
    store = SqliteStore(stored / "visitors.db", clock=lambda: MADE + DAY)
    assert {key: store.load(key) for key in STATES} == STATES
    assert store.load("1001-2002-stranger") is None
    known = store.save(Changes("1001-2002-v-1", {"10": "101", "12": "1"}, {"purchase": "other"}))
    assert (known.bucketing, known.goals) == ({"10": "102", "12": "1"}, {"purchase": "0123-1"})
    store.close()
    with closing(sqlite3.connect(stored / "visitors.db")) as connection:
        kept = dict(connection.execute("SELECT key, state FROM visitors WHERE key != '\"1001-2002-v-1\"'"))
    assert {json.loads(key): text for key, text in kept.items()} == {
        key: text for key, text in texts().items() if key != "1001-2002-v-1"
    }


def test_a_visitor_in_a_file_stays_with_what_was_decided(stored: Path) -> None:
    store = SqliteStore(stored / "visitors.db", clock=lambda: MADE + DAY)
    convert = Convert(document(stored))
    with Client(KEY, store=store, transport=httpx.MockTransport(convert), start_wait=120) as client:
        for visitor, arm in (("v-1", "arm-2"), ("v-2", "arm-1")):
            assert client.visitor(visitor).decide("button").variation_key == arm
        assert client.visitor("v-3").track("purchase").reason is ConversionReason.DUPLICATE
        assert client.visitor("v-4").segments == {"source": "ad"}
    store.close()
    assert not convert.bodies


def test_visitors_of_a_file_are_forgotten_when_they_had_to_be(stored: Path) -> None:
    store = SqliteStore(stored / "visitors.db", clock=lambda: MADE + 90 * DAY)
    assert {store.load(key) for key in STATES} == {None}
    store.close()


@pytest.mark.servers
def test_visitors_in_redis() -> None:
    hashes: dict[str, dict[str, str]] = json.loads((STORED / "redis.json").read_text())
    assert len(hashes) == len(STATES)
    with redis_server() as server, redis.Redis.from_url(server.url) as client:
        for key, fields in hashes.items():
            client.hset(key, mapping=dict(fields.items()))
        store = RedisStore(client)
        assert {key: store.load(key) for key in STATES} == STATES
        known = store.save(Changes("1001-2002-v-1", {"10": "101"}, {"purchase": "other"}))
        assert (known.bucketing, known.goals) == ({"10": "102"}, {"purchase": "0123-1"})
        fields = client.hgetall("convert:1001-2002-v-1")
    assert fields == {
        name.encode(): value.encode() for name, value in hashes["convert:1001-2002-v-1"].items()
    }


# The bridge's ledger

IDENTITY = Identity("a secret of our own", pepper="a pepper of our own")
TRIED_AGAIN = {
    *("kept until the document arrives", "unknown goal", "the goal has no rules", "rules", "duplicate"),
    *("nothing to send", "tracking off", "preview", "queue full", "the client is closed"),
}
DROPPED = [
    *("cancelled", "tracking off", "too old", "refused", "ambiguous", "unusable", "forgotten", "unpaid"),
]


def tables(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    with closing(sqlite3.connect(path)) as connection:
        names = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        everything = {name: f"SELECT * FROM {name}" for name in names}  # noqa: S608 - the file's own names
        return {name: connection.execute(query).fetchall() for name, query in everything.items()}


@pytest.fixture
def ledger(stored: Path) -> Iterator[Ledger]:
    opened = Ledger(stored / "bridge.db", clock=lambda: MADE + 10)
    yield opened
    opened.close()


def test_the_ledger_holds_every_state_and_every_table(stored: Path) -> None:
    """So that no test below passes for want of something to read."""
    kept = tables(stored / "bridge.db")
    assert {name for name, found in kept.items() if not found} == set()
    assert {row[2] for row in kept["effects"]} == {
        "seen",
        "waiting",
        "claimed",
        "sent",
        "reversed",
        "dropped",
    }
    assert len(kept) == 9


def test_each_row_of_the_ledger_is_read_and_written_as_it_was(stored: Path, ledger: Ledger) -> None:
    before = tables(stored / "bridge.db")
    with ledger.transaction() as transaction:
        for key, *_ in before["effects"]:
            conversion = transaction.conversion(key)
            assert conversion is not None
            transaction.keep(conversion)
        for kind, value, visitor, *rest in before["links"]:
            link = next(each for each in transaction.links(IdentityKey(kind, value)) if each[1] == visitor)
            assert link in transaction.links_to(visitor)
            assert [*link] == [(kind, value), visitor, *rest]
            transaction.add_link(link)
        for number, shown in enumerate(transaction.exposures("b-seen", 0.0, MADE)):
            assert tuple(shown) == ("b-seen", f"1{number}", f"10{number}", MADE - 1000 + number)
            transaction.add_exposure(shown)
        for name, text in before["cursors"]:
            assert transaction.cursor(name) == text == CURSOR.dump_json(CURSOR.validate_json(text)).decode()
        for key, *fields in before["versions"]:
            version = transaction.version(key)
            assert version is not None
            assert [*version] == fields
            transaction.keep_version(key, version)
        assert transaction.is_forgotten("gone")
        assert not transaction.is_forgotten("b-seen")
    after = tables(stored / "bridge.db")
    assert {name: after[name] for name in before} == before
    # The tables of the second version, which the file got when it was opened.
    assert {name: rows for name, rows in after.items() if name not in before} == {
        "scopes": [], "unreadable": [], "version_sources": [],
    }  # fmt: skip


def test_news_in_the_ledger_is_given_once(ledger: Ledger) -> None:
    with ledger.transaction() as transaction:
        for number, outcome in enumerate(("sent", "dropped", "rejected", "deduplicated")):
            assert transaction.take_outcome(f"0123-1.{number}") == outcome
            assert transaction.take_outcome(f"0123-1.{number}") is None
        awaiting = transaction.awaiting("0123-6.1")
        assert awaiting is not None
        assert awaiting.key == "purchase|website:shop.example.com:claimed"


def test_the_ledgers_links_lead_to_their_visitors(ledger: Ledger) -> None:
    with ledger.transaction() as transaction:
        kinds = {link.identity_key.kind for link in transaction.links_to("l-1")}
        assert kinds == {"order", "reference", "member", "contact", "email"}
        links = transaction.links(IdentityKey("email", IDENTITY.email_key("ann@example.com")))
        assert {(link.visitor_id, link.tracking) for link in links} == {("l-1", True), ("l-2", False)}
        resolved = transaction.conversion("purchase|website:shop.example.com:unresolved")
        assert resolved is not None
        assert resolved in transaction.unsent_with(
            IdentityKey("member", "website:shop.example.com:m-unresolved")
        )


def test_a_bridge_goes_on_where_the_ledger_stands(stored: Path) -> None:
    now = MADE + 10
    ledger = Ledger(stored / "bridge.db", policy=Policy(refunds="negative"), clock=lambda: now)
    convert = Convert(document(stored))
    told: list[str] = []
    transport = httpx.MockTransport(convert)
    with Client(KEY, transport=transport, observe=[recording(ledger)], start_wait=120) as client:
        bridge = Bridge(
            client,
            ledger,
            goals=Goals("purchase"),
            identity=IDENTITY,
            on_reversed=lambda conversion: told.append(conversion.transaction_id),
        )
        report = bridge.report()
        assert report.states == {
            "seen": 6, "waiting": 5 + len(TRIED_AGAIN), "claimed": 2, "sent": 1, "reversed": 1, "dropped": 8,
        }  # fmt: skip
        assert report.waiting == Counter(
            {"unpaid", "held", "undated", "unresolved", "undelivered"} | TRIED_AGAIN
        )
        assert report.dropped == Counter(DROPPED)
        assert (report.resent, report.unresolved) == (1, ("website:shop.example.com:unresolved",))
        # What is due goes out, under the transaction ids that it had.
        assert bridge.tick() == 7
        assert client.flush(120).pending == 0
        assert amounts(convert) == {
            "website:shop.example.com:seen": 49.9,
            "website:shop.example.com:seen-by-id": 49.9,
            "booking:shop.example.com:booking": 49.9,
            "form:shop.example.com:form": None,
            "website:shop.example.com:undelivered": 49.9,
            "website:shop.example.com:resent": 49.9,
            "website:shop.example.com:reversed:refund": -49.9,
        }
        assert told == ["website:shop.example.com:reversed"]
        # Claims of a process that died, and what a client had refused, have their turn.
        now = MADE + 4000
        assert bridge.tick() == 4 + len(TRIED_AGAIN)
        assert client.flush(120).pending == 0
        late = {name.rpartition(":")[2] for name in amounts(convert)}
        assert {"claimed", "claimed-unheard", "held", "undated"} < late
        assert bridge.report().waiting == {"unpaid": 1, "unresolved": 1}
    ledger.close()


def amounts(convert: Convert) -> dict[str, float | None]:
    """Transaction ids and amounts of the conversions that came."""
    found: dict[str, float | None] = {}
    for body in convert.bodies:
        for visitor in body["visitors"]:
            for event in visitor["events"]:
                data = {each["key"]: each["value"] for each in event["data"].get("goalData", ())}
                if data:
                    found[data["transactionId"]] = data.get("amount")
    return found
