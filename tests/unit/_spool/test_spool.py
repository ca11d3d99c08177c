from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert_sdk._core.events import Event
from convert_sdk._spool.spool import RejectedRow, Spool, SpoolCounts, SpoolLimits
from convert_sdk.errors import SpoolError

OWNER = "10035569/10034190"
MAGIC = b"SQLite format 3\0"


def event(uuid: str, wire: str = "{}") -> Event:
    return Event(uuid, f"visitor of {uuid}", wire)


def uuids(events: list[Event]) -> list[str]:
    return [each.uuid for each in events]


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def open_spool(tmp_path: Path) -> Callable[..., Spool]:
    def opened(owner: str = OWNER, **options: object) -> Spool:
        return Spool(tmp_path / "spool", owner, **options)  # type: ignore[arg-type]  # tests pass what they need

    return opened


OpenSpool = Callable[..., Spool]

texts = st.text(st.characters(), max_size=10)
events = st.builds(
    Event,
    uuid=st.uuids().map(str),
    visitor_id=texts,
    wire=texts,
    segments=st.none()
    | st.dictionaries(texts, st.none() | st.integers() | texts | st.booleans(), max_size=3),
    claim=st.none() | texts,
    attributed=st.booleans(),
)


class TestOneLife:
    @given(batch=st.lists(events, max_size=5, unique_by=lambda each: each.uuid))
    @settings(max_examples=50, deadline=None)
    def test_what_is_appended_is_loaded(
        self, tmp_path_factory: pytest.TempPathFactory, batch: list[Event]
    ) -> None:
        spool = Spool(tmp_path_factory.mktemp("spool"), OWNER)
        assert spool.append(batch) == len(batch)
        assert spool.load(10) == batch
        spool.delete(uuids(batch))
        assert spool.load(10) == []
        spool.close()

    def test_segments_behind_a_proxy_keep_their_values(self, open_spool: OpenSpool) -> None:
        spool = open_spool()
        spool.append([event("1")._replace(segments=MappingProxyType({"country": "DE"}))])
        assert spool.load(1)[0].segments == {"country": "DE"}

    def test_nothing_is_touched_before_use(self, open_spool: OpenSpool, tmp_path: Path) -> None:
        spool = open_spool()
        spool.close()
        assert list(tmp_path.iterdir()) == []

    def test_the_oldest_come_first_and_the_skipped_not_at_all(self, open_spool: OpenSpool) -> None:
        spool = open_spool()
        spool.append([event(str(n)) for n in range(10)])
        assert uuids(spool.load(3)) == ["0", "1", "2"]
        assert uuids(spool.load(3, skip={"0", "2", "3"})) == ["1", "4", "5"]

    def test_an_event_is_stored_once(self, open_spool: OpenSpool) -> None:
        spool = open_spool()
        assert spool.append([event("1", "first")]) == 1
        assert spool.append([event("1", "second"), event("2")]) == 2
        assert [each.wire for each in spool.load(10)] == ["first", "{}"]

    def test_an_event_replaces_its_pending_record(self, open_spool: OpenSpool) -> None:
        spool = open_spool()
        assert spool.append_pending({"1": {"goal": "buy", "revenue": "9.90"}, "2": {"goal": "visit"}}) == 2
        assert spool.load_pending(10) == {"1": {"goal": "buy", "revenue": "9.90"}, "2": {"goal": "visit"}}
        spool.append([event("1")])
        assert uuids(spool.load(10)) == ["1"]
        assert list(spool.load_pending(10)) == ["2"]
        spool.delete(["2"])
        assert spool.counts() == SpoolCounts(events=1)

    def test_a_refused_event_is_set_aside(self, open_spool: OpenSpool) -> None:
        clock = Clock()
        spool = open_spool(clock=clock)
        spool.append([event("1"), event("2")])
        spool.reject([event("1"), event("never stored")], 400, "no such goal" + "!" * 1000)
        assert uuids(spool.load(10)) == ["2"]
        first, second = spool.rejected()
        assert first == RejectedRow("1", clock.now, 400, ("no such goal" + "!" * 1000)[:500])
        assert second.uuid == "never stored"
        assert spool.counts() == SpoolCounts(events=1, rejected=2)
        spool.append([event("1")])
        assert uuids(spool.load(10)) == ["2"]

    def test_the_old_are_let_go_and_counted(self, open_spool: OpenSpool) -> None:
        clock = Clock()
        spool = open_spool(clock=clock, limits=SpoolLimits(age=60))
        spool.append([event("old"), event("held")])
        clock.now += 60
        spool.append([event("new")])
        assert uuids(spool.load(10, skip={"held"})) == ["new"]
        assert spool.counts() == SpoolCounts(events=2, expired=1)

    def test_the_size_is_capped_and_counted(self, open_spool: OpenSpool, tmp_path: Path) -> None:
        spool = open_spool(limits=SpoolLimits(size=200_000))
        offered = [event(str(n), "x" * 1000) for n in range(300)]
        stored = [spool.append(offered[n : n + 10]) for n in range(0, 300, 10)]
        assert 100 < sum(stored) < 200
        assert uuids(spool.load(1000))[:100] == uuids(offered[:100])
        assert spool.counts().events == sum(stored)
        spool.delete(uuids(offered))
        assert spool.append(offered[:50]) == 50
        spool.close()
        (path,) = tmp_path.rglob("*.db")
        assert path.stat().st_size <= 200_000 + 5 * 4096

    def test_the_first_of_a_batch_are_those_stored(self, open_spool: OpenSpool) -> None:
        spool = open_spool(limits=SpoolLimits(size=100_000))
        offered = [event(str(n), "x" * 1000) for n in range(300)]
        stored = spool.append(offered)
        assert 0 < stored < 300
        assert uuids(spool.load(1000)) == uuids(offered[:stored])

    def test_rejected_events_give_way_the_oldest_first(self, open_spool: OpenSpool, tmp_path: Path) -> None:
        spool = open_spool(limits=SpoolLimits(size=200_000))
        for first in range(0, 1_000, 10):
            offered = [event(str(n), "x" * 1000) for n in range(first, first + 10)]
            assert spool.append(offered) == 10, "there is room for what waits"
            spool.reject(offered, 400, "no")
        kept = [row.uuid for row in spool.rejected(1_000)]
        assert 50 < len(kept) < 200
        assert kept == [str(n) for n in range(1_000 - len(kept), 1_000)]
        waiting = [event(f"waits {n}", "x" * 1000) for n in range(300)]
        stored = sum(spool.append(waiting[n : n + 10]) for n in range(0, 300, 10))
        assert 100 < stored < 200
        assert spool.counts() == SpoolCounts(events=stored)
        spool.close()
        (path,) = tmp_path.rglob("*.db")
        assert path.stat().st_size <= 200_000 + 5 * 4096

    def test_rejected_events_that_were_never_stored_take_no_more(self, open_spool: OpenSpool) -> None:
        spool = open_spool(limits=SpoolLimits(size=200_000))
        for number in range(500):
            spool.reject([event(str(number), "x" * 1000)], 400, "no")
        assert spool.counts().rejected < 200
        assert spool.append([event("waits", "x" * 1000)]) == 1

    def test_rejected_events_go_after_thirty_days(self, open_spool: OpenSpool) -> None:
        clock = Clock()
        spool = open_spool(clock=clock)
        spool.reject([event("old")], 400, "no")
        clock.now += 86_400
        spool.append([event("waits")])
        spool.reject([event("young")], 400, "no")
        clock.now += 29 * 86_400 - 1
        spool.recover()
        assert [row.uuid for row in spool.rejected()] == ["old", "young"]
        clock.now += 1
        assert spool.recover() == 0
        assert [row.uuid for row in spool.rejected()] == ["young"]
        assert spool.counts() == SpoolCounts(events=1, rejected=1)

    def test_a_row_that_cannot_be_read_is_set_aside(self, open_spool: OpenSpool, tmp_path: Path) -> None:
        spool = open_spool()
        spool.append([event("good"), event("bad")])
        (path,) = tmp_path.rglob("*.db")
        with sqlite3.connect(path) as file:
            file.execute("UPDATE rows SET body = '[1' WHERE uuid = 'bad'")
        file.close()
        assert uuids(spool.load(10)) == ["good"]
        assert [dead.message for dead in spool.rejected()] == ["cannot be read"]
        assert list(spool.problems) == ["1 rows cannot be read: they are set aside as rejected"]

    def test_files_and_folders_are_private(self, open_spool: OpenSpool, tmp_path: Path) -> None:
        spool = open_spool()
        spool.append([event("1")])
        root = tmp_path / "spool"
        modes = {path.is_dir(): stat.S_IMODE(path.stat().st_mode) for path in [root, *root.rglob("*")]}
        assert modes == {True: 0o700, False: 0o600}
        every = {stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*") if path.is_file()}
        assert every == {0o600}

    def test_an_open_folder_is_closed_to_others(self, open_spool: OpenSpool, tmp_path: Path) -> None:
        spool = open_spool()
        spool.append([event("1")])
        (folder,) = (tmp_path / "spool").iterdir()
        spool.close()
        folder.chmod(0o777)
        open_spool().append([event("2")])
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    def test_it_is_plain_sqlite_and_json(self, open_spool: OpenSpool, tmp_path: Path) -> None:
        spool = open_spool()
        spool.append([event("1", '{"eventType":"bucketing"}')])
        spool.close()
        (path,) = tmp_path.rglob("*.db")
        assert path.read_bytes().startswith(MAGIC)
        with sqlite3.connect(path) as file:
            rows = file.execute("SELECT typeof(body), json_valid(body) FROM rows").fetchall()
        file.close()
        assert rows == [("text", 1)]

    def test_its_repr_names_the_folder_only(self, open_spool: OpenSpool, tmp_path: Path) -> None:
        assert repr(open_spool()) == f"Spool({str(tmp_path / 'spool' / '10035569%2F10034190')!r})"

    def test_an_empty_one_leaves_nothing_behind(self, open_spool: OpenSpool, tmp_path: Path) -> None:
        spool = open_spool()
        spool.append([event("1")])
        spool.delete(["1"])
        spool.close()
        spool.close()
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


class TestTheNextLife:
    def test_it_adopts_what_was_left(self, open_spool: OpenSpool, tmp_path: Path) -> None:
        before = open_spool()
        before.append([event("1"), event("2"), event("3")])
        before.append_pending({"4": {"goal": "buy"}})
        before.reject([event("3")], 422, "no")
        before.close()
        after = open_spool()
        assert after.recover() == 2
        assert uuids(after.load(10)) == ["1", "2"]
        assert after.load_pending(10) == {"4": {"goal": "buy"}}
        assert [dead.uuid for dead in after.rejected()] == ["3"]
        assert len(list(tmp_path.rglob("*.db"))) == 1
        assert after.recover() == 0

    def test_the_living_are_left_alone(self, open_spool: OpenSpool) -> None:
        alive, other = open_spool(), open_spool()
        alive.append([event("1")])
        assert other.recover() == 0
        assert uuids(alive.load(10)) == ["1"]

    def test_owners_do_not_mix(self, open_spool: OpenSpool) -> None:
        mine = open_spool("1/2")
        mine.append([event("1")])
        mine.close()
        for owner in ("1%2F2", "1/3", "..", "x" * 1000, "x" * 999, "\ud800"):
            theirs = open_spool(owner)
            assert theirs.recover() == 0
            theirs.append([event("theirs")])
            assert len(theirs.load(10)) == 1
            theirs.close()
        assert open_spool("1/2").recover() == 1

    def test_an_owner_is_needed(self, open_spool: OpenSpool) -> None:
        with pytest.raises(ValueError, match="owner"):
            open_spool("")

    def test_the_old_expire_unmoved(self, open_spool: OpenSpool) -> None:
        clock = Clock()
        before = open_spool(clock=clock)
        before.append([event("old")])
        before.reject([event("dead")], 400, "no")
        clock.now += 3600
        before.append([event("young")])
        before.close()
        clock.now += 86_400 - 3600
        after = open_spool(clock=clock)
        assert after.recover() == 1
        assert after.counts() == SpoolCounts(events=1, rejected=1, expired=1)

    def test_the_future_is_taken_for_now(self, open_spool: OpenSpool) -> None:
        clock = Clock()
        before = open_spool(clock=clock)
        before.append([event("1")])
        before.close()
        clock.now -= 10 * 365 * 86_400
        after = open_spool(clock=clock)
        assert after.recover() == 1
        clock.now += 86_400
        assert after.load(10) == []
        assert after.counts().expired == 1

    def test_a_full_spool_leaves_orphans_for_later(self, open_spool: OpenSpool) -> None:
        before = open_spool()
        before.append([event("1")])
        before.close()
        assert open_spool(limits=SpoolLimits(size=1)).recover() == 0
        assert open_spool().recover() == 1

    def test_rejected_events_leave_room_for_those_of_the_dead(self, open_spool: OpenSpool) -> None:
        before = open_spool()
        before.append([event("1")])
        before.close()
        after = open_spool(limits=SpoolLimits(size=100_000))
        with after._writing() as connection:
            row = "INSERT INTO rows (uuid, kind, body, stored) VALUES (?, 'dead', ?, ?)"
            connection.executemany(row, [(f"r{n}", "x" * 1000, after._clock()) for n in range(200)])
        assert after.recover() == 1
        assert uuids(after.load(10)) == ["1"]
        assert 0 < after.counts().rejected < 200

    def test_those_that_were_moved_count_although_the_disk_is_full_then(self, open_spool: OpenSpool) -> None:
        for name in "ab":
            before = open_spool()
            before.append([event(f"{name}{n}", "x" * 1000) for n in range(100)])
            before.close()
        after = open_spool()
        pages = "PRAGMA max_page_count = "
        with after._reading() as connection:
            connection.execute(f"{pages} 50")
        assert after.recover() == 100
        assert len(after.load(1_000)) == 100
        (problem,) = after.problems
        assert problem.endswith("cannot be taken over: database or disk is full")
        with after._reading() as connection:
            connection.execute(f"{pages} 5000")
        assert after.recover() == 100
        assert len(after.load(1_000)) == 200

    def test_a_disk_that_is_full_at_once_is_an_error(self, open_spool: OpenSpool) -> None:
        before = open_spool()
        before.append([event(str(n), "x" * 1000) for n in range(100)])
        before.close()
        after = open_spool()
        with after._reading() as connection:
            connection.execute("PRAGMA max_page_count = 10")
        with pytest.raises(SpoolError, match="disk is full"):
            after.recover()
        with after._reading() as connection:
            connection.execute("PRAGMA max_page_count = 5000")
        assert after.recover() == 100

    @pytest.mark.parametrize("content", [b"no database at all" * 400, MAGIC + b"\x00" * 5000])
    def test_a_damaged_file_is_put_aside(self, open_spool: OpenSpool, tmp_path: Path, content: bytes) -> None:
        before = open_spool()
        before.append([event("1")])
        before.close()
        (path,) = tmp_path.rglob("*.db")
        path.write_bytes(content)
        good = open_spool()
        good.append([event("2")])
        good.close()
        after = open_spool()
        assert after.recover() == 1
        assert after.counts() == SpoolCounts(events=1, corrupt=1)
        assert path.with_suffix(".corrupt").read_bytes() == content
        assert after.recover() == 0

    def test_damage_in_the_middle_costs_what_lies_there(self, open_spool: OpenSpool, tmp_path: Path) -> None:
        before = open_spool()
        before.append([event(str(n), "x" * 500) for n in range(500)])
        before.close()
        (path,) = tmp_path.rglob("*.db")
        content = bytearray(path.read_bytes())
        middle = len(content) // 2
        content[middle : middle + 40_000] = b"\xff" * 40_000
        path.write_bytes(content)
        after = open_spool()
        moved = after.recover()
        assert 400 < moved < 500
        assert after.counts() == SpoolCounts(events=moved, corrupt=1)
        assert len({each.wire for each in after.load(500)}) == 1
        assert f"{moved} events of it could be read" in after.problems[0]

    def test_a_lock_without_a_file_is_cleared_away(self, open_spool: OpenSpool, tmp_path: Path) -> None:
        spool = open_spool()
        spool.append([event("1")])
        (folder,) = (tmp_path / "spool").iterdir()
        (folder / "0123456789abcdef.lock").touch()
        (folder / ".0123456789abcdef.db.draft").touch()
        assert spool.recover() == 0
        assert not list(folder.glob("*0123456789abcdef*"))


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
class TestFork:
    def test_the_child_starts_without_the_parents_file(self, open_spool: OpenSpool, tmp_path: Path) -> None:
        spool = open_spool()
        spool.append([event("parent's")])
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                spool.append([event("child's")])
                told = f"{spool.recover()} {' '.join(uuids(spool.load(10)))}"
                os.write(writing, told.encode())
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        os.close(writing)
        with open(reading) as pipe:  # noqa: PTH123  # a descriptor, not a path
            assert pipe.read() == "0 child's"
        assert uuids(spool.load(10)) == ["parent's"]
        assert spool.recover() == 1
        assert uuids(spool.load(10)) == ["parent's", "child's"]

    def test_the_child_does_not_keep_the_parents_lock(self, open_spool: OpenSpool) -> None:
        spool = open_spool()
        spool.append([event("1")])
        reading, writing = os.pipe()
        born, crying = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.close(writing)
                os.write(crying, b"!")  # what it inherited is let go of by now
                os.read(reading, 1)  # lives until the parent has looked
            finally:
                os._exit(0)
        os.read(born, 1)
        spool.close()
        assert open_spool().recover() == 1
        os.close(writing)
        os.waitpid(pid, 0)
        for end in (reading, born, crying):
            os.close(end)


class TestNoDisk:
    def test_a_file_where_the_folder_should_be(self, tmp_path: Path) -> None:
        (tmp_path / "spool").touch()
        spool = Spool(tmp_path / "spool", OWNER)
        for use in (
            lambda: spool.append([event("1")]),
            lambda: spool.append_pending({"1": {}}),
            lambda: spool.load(1),
            lambda: spool.load_pending(1),
            lambda: spool.delete(["1"]),
            lambda: spool.reject([event("1")], None, ""),
            spool.rejected,
            spool.recover,
            spool.counts,
        ):
            with pytest.raises(SpoolError, match="cannot be used"):
                use()
        spool.close()

    def test_another_users_folder_is_refused(self, open_spool: OpenSpool, tmp_path: Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root can give a folder away")
        folder = tmp_path / "spool" / "10035569%2F10034190"
        folder.mkdir(parents=True)
        os.chown(folder, 65534, 65534)
        with pytest.raises(SpoolError, match="another user"):
            open_spool().append([event("1")])


@given(
    visitors=st.lists(st.text(st.characters(), min_size=1, max_size=5), min_size=2, max_size=6, unique=True)
)
@settings(max_examples=25)
def test_only_the_rows_of_one_visitor_are_deleted(
    visitors: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    spool = Spool(tmp_path_factory.mktemp("spool"), OWNER)
    spool.append([Event(f"e{n}", name, "{}") for n, name in enumerate(visitors)])
    spool.append_pending({f"p{n}": {"visitor": name, "goal": "g"} for n, name in enumerate(visitors)})
    assert {row.uuid for row in spool.delete_visitor(visitors[0])} == {"e0", "p0"}
    assert spool.delete_visitor_elsewhere(visitors[1]) == 0
    assert [each.visitor_id for each in spool.load(100)] == visitors[1:]
    assert [each["visitor"] for each in spool.load_pending(100).values()] == visitors[1:]
    spool.close()
