"""Files of dead processes that something has happened to, and what is no file of a spool at all."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert_sdk._core.events import Event
from convert_sdk._spool import admin
from convert_sdk._spool.files import SCHEMA
from convert_sdk._spool.salvage import Contents, is_damaged, salvage
from convert_sdk._spool.spool import Spool
from convert_sdk.errors import SpoolError

OWNER = "10035569/10034190"
NUMBER = 200
PAGE = 4_096


def events(first: int = 0, last: int = NUMBER) -> list[Event]:
    return [
        Event(f"e-{number}", f"visitor-{number}", '{"a":"' + "x" * 200 + '"}')
        for number in range(first, last)
    ]


class Orphan(NamedTuple):
    """The file of a dead process, with what only its log has; `old` of the events are in the file itself."""

    root: Path
    path: Path
    old: int

    @property
    def log(self) -> Path:
        return Path(f"{self.path}-wal")

    @property
    def log_index(self) -> Path:
        return Path(f"{self.path}-shm")

    @property
    def contents(self) -> Contents:
        files = (self.path, self.log, self.log_index)
        return Contents(*(each.read_bytes() if each.exists() else b"" for each in files))

    def heir(self) -> Spool:
        return Spool(self.root, OWNER)


def left_behind(root: Path, *, checkpointed: int, commits: int = 1, index: bool = False) -> Orphan:
    """The files as a kill leaves them, copied while the process that writes them lives.

    `commits` share what only the log has; the `index` of the log is lost at the end of the machine.
    """
    living = Spool(root / "living", OWNER, sync=True)
    living.append(events(0, checkpointed))
    (path,) = (root / "living").rglob("*.db")
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.close()
    size = -(-(NUMBER - checkpointed) // commits) or 1
    for first in range(checkpointed, NUMBER, size):
        living.append(events(first, first + size))
    folder = root / "spool" / path.parent.name
    folder.mkdir(parents=True)
    for each in path.parent.glob(f"{path.name}*"):
        if index or not each.name.endswith("-shm"):
            shutil.copy(each, folder)
    (folder / path.with_suffix(".lock").name).touch()
    living.close()
    return Orphan(root / "spool", folder / path.name, checkpointed)


@pytest.fixture(params=[0, NUMBER // 2, NUMBER], ids=["in the log", "in both", "in the file"])
def orphan(request: pytest.FixtureRequest, tmp_path: Path) -> Orphan:
    return left_behind(tmp_path, checkpointed=request.param)


def recovered(orphan: Orphan) -> list[str]:
    """The ids of the events that the next process takes over."""
    with closing_spool(orphan) as heir:
        heir.recover()
        return [event.uuid for event in heir.load(10 * NUMBER)]


class closing_spool:  # noqa: N801  # a context manager, used as a function
    def __init__(self, orphan: Orphan) -> None:
        self.spool = orphan.heir()

    def __enter__(self) -> Spool:
        return self.spool

    def __exit__(self, *_: object) -> None:
        self.spool.close()


def overwrite(path: Path, start: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(data)


def mkfifo(path: Path) -> None:
    os.mkfifo(path)


ALL = [event.uuid for event in events()]


class TestCutShort:
    """The end of the log is missing: what is left looks whole."""

    @pytest.fixture(params=[0, NUMBER // 2], ids=["in the log", "in both"])
    def cut(self, request: pytest.FixtureRequest, tmp_path: Path) -> Orphan:
        return left_behind(tmp_path, checkpointed=request.param, commits=20, index=True)

    def test_a_whole_one_is_moved_in_silence(self, cut: Orphan) -> None:
        assert not is_damaged(cut.contents)
        with closing_spool(cut) as heir:
            assert heir.recover() == NUMBER
            assert not heir.problems
        assert not cut.path.exists()

    @pytest.mark.parametrize("part", [0.95, 0.5, 0.1, 0.001, 0])
    def test_it_is_said_and_the_rest_is_saved(self, cut: Orphan, part: float) -> None:
        log = cut.log.read_bytes()
        cut.log.write_bytes(log[: int(len(log) * part)])
        with closing_spool(cut) as heir:
            moved = heir.recover()
            assert [event.uuid for event in heir.load(10 * NUMBER)] == ALL[:moved]
            assert cut.old <= moved < NUMBER
            assert (moved > cut.old) == (part >= 0.1)
            (problem,) = heir.problems
            assert f"was cut short: {moved} events of it could be read, the rest is in " in problem
            assert heir.counts().corrupt == 1

    def test_a_log_that_is_gone_is_one_that_was_cut(self, cut: Orphan) -> None:
        cut.log.unlink()
        with closing_spool(cut) as heir:
            assert heir.recover() == cut.old
            assert "was cut short" in heir.problems[0]

    @pytest.mark.parametrize("part", [1, 0.5, 0])
    def test_what_the_file_has_is_not_lost(self, tmp_path: Path, part: float) -> None:
        living = Spool(tmp_path / "living", OWNER, sync=True)
        living.append(events())
        (path,) = (tmp_path / "living").rglob("*.db")
        with closing(sqlite3.connect(path)) as other:
            other.execute("PRAGMA wal_checkpoint(PASSIVE)")
        shutil.copytree(tmp_path / "living", tmp_path / "spool")
        living.close()
        orphan = Orphan(
            tmp_path / "spool", tmp_path / "spool" / path.relative_to(tmp_path / "living"), NUMBER
        )
        log = orphan.log.read_bytes()
        orphan.log.write_bytes(log[: int(len(log) * part)])
        with closing_spool(orphan) as heir:
            assert heir.recover() == NUMBER
            assert [event.uuid for event in heir.load(10 * NUMBER)] == ALL
            assert not any("cut short" in problem for problem in heir.problems)

    def test_no_command_hides_it(self, cut: Orphan) -> None:
        cut.log.write_bytes(cut.log.read_bytes()[:-PAGE])
        (report,) = admin.inspect(cut.root)
        assert report.problem == "it is damaged; the next client takes over what can be read"
        for command in (admin.replay, partial(admin.drop, rejected_only=True)):
            with pytest.raises(SpoolError, match="it is damaged"):
                command(cut.root)
        with closing_spool(cut) as heir:
            heir.recover()
            assert "was cut short" in heir.problems[0]

    @settings(max_examples=200)
    @given(st.binary(max_size=200), st.integers(0, 136))
    def test_an_index_of_anything_raises_nothing(self, noise: bytes, at: int) -> None:
        index = b"".join([bytes(at), noise])
        assert is_damaged(Contents(b"", b"", index))

    def test_each_problem_is_said(self, tmp_path: Path) -> None:
        """A link that somebody planted hides no damage."""
        orphan = left_behind(tmp_path, checkpointed=NUMBER)
        folder = orphan.path.parent
        (folder / "0000.lock").symlink_to("nowhere")
        orphan.path.write_bytes(b"no database")
        orphan.path.rename(folder / "ffff.db")
        (folder / orphan.path.with_suffix(".lock").name).rename(folder / "ffff.lock")
        with closing_spool(orphan) as heir:
            heir.recover()
            assert ["left alone" in problem for problem in heir.problems] == [True, False]


class TestDamage:
    def test_without_any_all_is_moved(self, orphan: Orphan) -> None:
        assert not is_damaged(orphan.contents)
        assert recovered(orphan) == ALL
        assert not orphan.path.exists()

    @pytest.mark.parametrize("data", [b"no database", b"\0" * 100, b"\xff" * PAGE, b"\0" * PAGE])
    def test_a_header_that_is_none(self, orphan: Orphan, data: bytes) -> None:
        overwrite(orphan.path, 0, data)
        assert recovered(orphan) == ALL

    def test_cut_to_nothing_the_log_still_speaks(self, orphan: Orphan) -> None:
        orphan.path.write_bytes(b"")
        with closing_spool(orphan) as heir:
            heir.recover()
            ids = [event.uuid for event in heir.load(10 * NUMBER)]
            assert set(ids) >= set(ALL[orphan.old :])
            assert heir.counts().corrupt == 1
            assert len(heir.problems) == 1
        if orphan.old == 0:
            assert ids == ALL

    @pytest.mark.parametrize("data", [b"\0", b"\xff", b"\x0d", b"x"])
    @pytest.mark.parametrize(
        ("old", "target"), [(0, "log"), (NUMBER // 2, "file"), (NUMBER // 2, "log"), (NUMBER, "file")]
    )
    def test_a_page_in_the_middle(self, tmp_path: Path, old: int, target: str, data: bytes) -> None:
        orphan = left_behind(tmp_path, checkpointed=old)
        path = orphan.path if target == "file" else orphan.log
        overwrite(path, path.stat().st_size // 2 // PAGE * PAGE, data * PAGE)
        ids = recovered(orphan)
        assert len(ids) == len(set(ids)) >= NUMBER // 2
        assert set(ids) <= set(ALL)

    def test_cut_in_half(self, tmp_path: Path) -> None:
        orphan = left_behind(tmp_path, checkpointed=NUMBER)
        os.truncate(orphan.path, orphan.path.stat().st_size // 2)
        ids = recovered(orphan)
        assert NUMBER // 4 < len(ids) < NUMBER

    def test_it_is_said_and_kept(self, orphan: Orphan) -> None:
        overwrite(orphan.path, 0, b"\0" * 100)
        content = orphan.path.read_bytes()
        with closing_spool(orphan) as heir:
            assert heir.recover() == NUMBER
            assert heir.recover() == 0
            (problem,) = heir.problems
            assert f"{NUMBER} events of it could be read" in problem
        assert orphan.path.with_suffix(".corrupt").read_bytes() == content

    @given(
        start=st.integers(0, 100_000), data=st.binary(min_size=1, max_size=5_000), cut=st.integers(0, 100_000)
    )
    @settings(max_examples=60, deadline=None)
    def test_whatever_happens_nothing_raises_and_nothing_is_invented(
        self, images: tuple[bytes, bytes], start: int, data: bytes, cut: int
    ) -> None:
        for content, log in (images, images[::-1]):
            spoilt = bytearray(content)
            spoilt[start % (len(content) or 1) : start % (len(content) or 1) + len(data)] = data
            for pair in ((bytes(spoilt), log), (content[: cut % (len(content) + 1)], log)):
                rows = salvage(Contents(*pair), SCHEMA)
                assert len({row[0] for row in rows}) == len(rows)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    orphan = left_behind(tmp_path_factory.mktemp("images"), checkpointed=NUMBER // 2)
    return orphan.path.read_bytes(), orphan.log.read_bytes()


OTHER_SCHEMAS = [
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, uuid TEXT)",
    "CREATE TABLE rows (seq INTEGER PRIMARY KEY, uuid TEXT)",
    "CREATE TABLE rows (seq, uuid, kind, body, stored, status, message)",
]


class TestOddRows:
    @pytest.mark.parametrize("schema", OTHER_SCHEMAS)
    def test_another_schema(self, tmp_path: Path, schema: str) -> None:
        orphan = left_behind(tmp_path, checkpointed=NUMBER)
        orphan.path.unlink()
        with sqlite3.connect(orphan.path) as file:
            file.executescript(f"{schema}; PRAGMA user_version=1")
        file.close()
        assert recovered(orphan) == []
        # Only an empty table of the right columns is as good as ours.
        assert orphan.path.with_suffix(".corrupt").exists() == ("stored" not in schema)

    @pytest.mark.parametrize(
        "change",
        [
            "body = CAST(x'ff' AS TEXT)",
            "body = x'ff'",
            "body = '[1, 2, 3, 4, 5]'",
            'body = \'["v", "{}", 7, null, false]\'',
            "body = '{'",
            "uuid = CAST(x'ff' AS TEXT)",
            "uuid = x'00'",
            "stored = 'yesterday'",
        ],
    )
    def test_one_odd_row_costs_itself(self, tmp_path: Path, change: str) -> None:
        orphan = left_behind(tmp_path, checkpointed=NUMBER)
        with sqlite3.connect(orphan.path) as file:
            assert file.execute(f"UPDATE rows SET {change} WHERE uuid = 'e-7'").rowcount == 1  # noqa: S608  # the test's own
        file.close()
        ids = [each for each in recovered(orphan) if isinstance(each, str)]
        assert set(ids) >= set(ALL) - {"e-7"}


class TestWhatIsNoFile:
    """Something else under the name of a file, beside a file of which everything is taken over."""

    @pytest.fixture
    def victim(self, tmp_path: Path) -> Iterator[Path]:
        path = tmp_path / "somebody" / "theirs.db"
        path.parent.mkdir()
        with sqlite3.connect(path) as file:
            file.execute("CREATE TABLE theirs (a)")
        file.close()
        path.chmod(0o644)
        before, facts = path.read_bytes(), path.stat()
        yield path
        after = path.stat()
        assert (path.read_bytes(), after.st_mode, after.st_ino) == (before, facts.st_mode, facts.st_ino)
        assert os.listdir(path.parent) == ["theirs.db"]  # noqa: PTH208  # names

    MAKES: tuple[Callable[[Path, Path], object], ...] = (
        lambda path, victim: path.symlink_to(victim),
        lambda path, victim: path.symlink_to("nowhere"),
        lambda path, victim: path.mkdir(),
        lambda path, victim: mkfifo(path),
    )

    @pytest.mark.parametrize("make", MAKES, ids=["a link", "a broken link", "a folder", "a pipe"])
    @pytest.mark.parametrize("ending", [".db", ".db-wal", ".lock"])
    def test_it_is_left_alone(
        self, tmp_path: Path, victim: Path, make: Callable[[Path, Path], object], ending: str
    ) -> None:
        orphan = left_behind(tmp_path, checkpointed=NUMBER)
        planted = orphan.path.with_name(f"0123{ending}")
        if ending != ".lock":
            planted.with_name("0123.lock").touch()
        if ending == ".db-wal":
            shutil.copy(orphan.path, planted.with_name("0123.db"))
        make(planted, victim)
        with closing_spool(orphan) as heir:
            assert heir.recover() == NUMBER
            assert heir.recover() == 0
            (problem,) = heir.problems
            assert "left alone" in problem
        assert os.path.lexists(planted)
        assert "left alone" in " ".join(str(report.problem) for report in admin.inspect(orphan.root))
        admin.drop(orphan.root)
        assert os.path.lexists(planted)

    def test_another_users_file_is_left_alone(self, tmp_path: Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root can give a file away")
        orphan = left_behind(tmp_path, checkpointed=NUMBER)
        os.chown(orphan.path, 65534, 65534)
        assert recovered(orphan) == []
        assert orphan.path.exists()

    def test_a_folder_that_is_a_link_is_refused(self, tmp_path: Path) -> None:
        theirs = tmp_path / "theirs"
        theirs.mkdir(mode=0o755)
        (theirs / "a.lock").touch()
        (theirs / "a.db").write_text("a diary")
        (theirs / "b.corrupt").touch()
        folder = tmp_path / "spool" / "10035569%2F10034190"
        folder.parent.mkdir()
        folder.symlink_to(theirs)
        spool = Spool(tmp_path / "spool", OWNER)
        with pytest.raises(SpoolError, match="is a link"):
            spool.append(events())
        with pytest.raises(SpoolError, match="is a link"):
            spool.recover()
        assert admin.inspect(tmp_path / "spool") == []
        assert admin.drop(tmp_path / "spool").events == 0
        assert sorted(each.name for each in theirs.iterdir()) == ["a.db", "a.lock", "b.corrupt"]
        assert theirs.stat().st_mode & 0o777 == 0o755

    def test_a_folder_that_becomes_a_link_is_refused(self, tmp_path: Path) -> None:
        """Between the check and the use."""
        orphan = left_behind(tmp_path, checkpointed=NUMBER)
        with closing_spool(orphan) as heir:
            heir.append([Event("mine", "v", "{}")])
            folder = orphan.path.parent
            moved = folder.rename(tmp_path / "moved")
            theirs = tmp_path / "theirs"
            shutil.copytree(moved, theirs)
            folder.symlink_to(theirs)
            names = sorted(each.name for each in theirs.iterdir())
            heir.recover()
            assert sorted(each.name for each in theirs.iterdir()) == names
            folder.unlink()
            moved.rename(folder)

    def test_a_link_to_the_root_is_refused(self, tmp_path: Path) -> None:
        real, link = tmp_path / "real", tmp_path / "spool"
        real.mkdir()
        link.symlink_to(real)
        with pytest.raises(SpoolError, match="it is a link: give the folder that it leads to"):
            Spool(link, OWNER).append(events())
        assert list(real.iterdir()) == []

    def test_another_users_link_to_the_root_is_refused(self, tmp_path: Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root can give a link away")
        (tmp_path / "real").mkdir()
        link = tmp_path / "spool"
        link.symlink_to(tmp_path / "real")
        os.chown(link, 65534, 65534, follow_symlinks=False)
        with pytest.raises(SpoolError, match="a link of another user"):
            Spool(link, OWNER).append(events())


def test_a_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    spool = Spool("~/spool", OWNER)
    spool.append(events())
    assert list((tmp_path / "spool").rglob("*.db"))
    spool.close()
