"""The document on disk: whole or not at all, and nobody else's."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert_sdk._config.cache import CachedDocument, DocumentCache, document_name
from convert_sdk._config.source import DocumentSource
from tests.processes import finished

SOURCE = DocumentSource("1002/1003", "https://cdn.example.com/v1", "production", secret="s3cret")
DOCUMENT = CachedDocument(b'{"account_id": "1002"}\n{}', '"v\n7"')


def test_a_saved_document_is_loaded_by_the_next_process(tmp_path: Path) -> None:
    assert DocumentCache(tmp_path, SOURCE).load() is None
    DocumentCache(tmp_path, SOURCE).save(DOCUMENT)
    assert DocumentCache(tmp_path, SOURCE).load() == DOCUMENT
    DocumentCache(tmp_path, SOURCE).save(CachedDocument(b"{}"))
    assert DocumentCache(tmp_path, SOURCE).load() == CachedDocument(b"{}", None)
    assert len(list(tmp_path.iterdir())) == 1


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    cache = DocumentCache(tmp_path / "deep" / "er", SOURCE)
    cache.save(DOCUMENT)
    assert stat.S_IMODE(cache.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(cache.path.parent.stat().st_mode) == 0o700


def test_the_file_name_gives_nothing_away(tmp_path: Path) -> None:
    name = DocumentCache(tmp_path, SOURCE).path.name
    assert all(part not in name for part in ("1002", "production", "example", "s3cret"))


@pytest.mark.parametrize(
    "other",
    [
        SOURCE._replace(key="1002/1004"),
        SOURCE._replace(endpoint="https://eu.example.com/v1"),
        SOURCE._replace(environment="staging"),
        SOURCE._replace(environment=None),
    ],
)
def test_each_endpoint_key_and_environment_has_its_own(tmp_path: Path, other: DocumentSource) -> None:
    DocumentCache(tmp_path, SOURCE).save(DOCUMENT)
    assert DocumentCache(tmp_path, other).load() is None


def test_what_does_not_change_the_document_does_not_change_its_name() -> None:
    same = SOURCE._replace(endpoint="https://cdn.example.com/v1/", secret=None, low_cache=True)
    assert document_name(same) == document_name(SOURCE)


@pytest.mark.parametrize("token", ["token", lambda: None])
def test_debug_documents_stay_out(tmp_path: Path, token: str | Callable[[], None]) -> None:
    debug = DocumentCache(tmp_path, SOURCE._replace(debug_token=token))
    debug.save(DOCUMENT)
    assert not list(tmp_path.iterdir())
    DocumentCache(tmp_path, SOURCE).save(DOCUMENT)
    assert debug.load() is None


@given(where=st.integers(0, 10_000), how=st.sampled_from(["flip", "cut", "grow"]))
def test_a_damaged_document_is_ignored_and_removed(
    tmp_path_factory: pytest.TempPathFactory, where: int, how: str
) -> None:
    cache = DocumentCache(tmp_path_factory.mktemp("cache"), SOURCE)
    cache.save(DOCUMENT)
    raw = bytearray(cache.path.read_bytes())
    where %= len(raw)
    if how == "flip":
        raw[where] ^= 0x01
    elif how == "cut":
        del raw[where:]
    else:
        raw.insert(where, 0x20)
    cache.path.write_bytes(raw)
    assert cache.load() is None
    assert not cache.path.exists()


@pytest.mark.parametrize("kind", ["symlink", "get_for_update", "folder", "fifo"])
def test_what_is_not_ours_is_ignored(tmp_path: Path, kind: str) -> None:
    cache = DocumentCache(tmp_path, SOURCE)
    cache.save(DOCUMENT)
    if kind == "symlink":
        elsewhere = tmp_path / "elsewhere"
        cache.path.rename(elsewhere)
        cache.path.symlink_to(elsewhere)
    elif kind == "get_for_update":
        cache.path.chmod(0o666)
    else:
        cache.path.unlink()
        cache.path.mkdir() if kind == "folder" else os.mkfifo(cache.path)
    assert cache.load() is None


def test_a_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    DocumentCache("~/cache", SOURCE).save(DOCUMENT)
    assert DocumentCache(tmp_path / "cache", SOURCE).load() == DOCUMENT


def test_another_users_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a link away")
    (tmp_path / "theirs").mkdir()
    link = tmp_path / "cache"
    link.symlink_to(tmp_path / "theirs")
    os.chown(link, 65534, 65534, follow_symlinks=False)
    with pytest.raises(PermissionError, match="a link of another user"):
        DocumentCache(link, SOURCE).save(DOCUMENT)
    assert not list((tmp_path / "theirs").iterdir())


def test_a_folder_in_place_of_the_file_is_told(tmp_path: Path) -> None:
    cache = DocumentCache(tmp_path, SOURCE)
    cache.path.mkdir()
    assert cache.load() is None
    with pytest.raises(OSError):  # noqa: PT011  # what the system says
        cache.save(DOCUMENT)
    assert [each.name for each in tmp_path.iterdir()] == [cache.path.name]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = DocumentCache(tmp_path / "file" / "cache", SOURCE)
    assert cache.load() is None
    with pytest.raises(NotADirectoryError):
        cache.save(DOCUMENT)


FULL = """
import resource, signal, sys
from convert_sdk._config.cache import *
from convert_sdk._config.source import DocumentSource
cache = DocumentCache(sys.argv[1], DocumentSource("key"))
cache.save(CachedDocument(b"good"))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
try:
    cache.save(CachedDocument(b"x" * 100_000))
except OSError:
    print(cache.load().body.decode())
"""


def test_a_full_disk_leaves_the_last_document(tmp_path: Path) -> None:
    assert finished(FULL, str(tmp_path)) == (0, "good\n", "")
    assert len(list(tmp_path.iterdir())) == 1
