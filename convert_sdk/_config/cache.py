"""The last good document on disk, so that a cold start decides while the network is down."""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import sha256
from json import dumps, loads
from pathlib import Path
from tempfile import mkstemp
from typing import NamedTuple

from convert_sdk._http.messages import SIZE_CAP
from convert_sdk._process.folders import refuse_planted_link

from .source import DocumentSource

_MAGIC = b"convert-document-1"
_LONGEST_HEADER = 4_096


class CachedDocument(NamedTuple):
    """A document as the server gave it."""

    body: bytes
    etag: str | None = None


class DocumentCache:
    """One file per endpoint, key and environment, readable by its owner only.

    A damaged file is ignored and removed, one that is not ours is ignored. Documents fetched with a
    debug token neither go in nor come out.
    """

    __slots__ = ("_debug", "_path")

    def __init__(self, folder: str | Path, source: DocumentSource) -> None:
        self._debug = source.debug_token is not None
        self._path = Path(folder).expanduser() / f"{document_name(source)}.document"

    @property
    def path(self) -> Path:
        """The file of the document."""
        return self._path

    def load(self) -> CachedDocument | None:
        """The last good document; None where there is none that can be trusted."""
        if self._debug:
            return None
        try:
            raw = _read(self._path)
        except OSError:
            return None
        document = _parsed(raw)
        if document is None:
            self.discard()
        return document

    def save(self, document: CachedDocument) -> None:
        """Replace the document on disk, whole or not at all. Raises OSError where the disk does not take it."""
        if self._debug:
            return
        folder = self._path.parent
        refuse_planted_link(folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, draft = mkstemp(dir=folder, prefix=f".{self._path.stem}.")  # readable by the owner only
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_header(document))
                file.write(document.body)
                file.flush()
                os.fsync(descriptor)
            Path(draft).replace(self._path)
        except BaseException:
            with suppress(OSError):
                Path(draft).unlink()
            raise
        _sync_folder(folder)

    def discard(self) -> None:
        """Remove the document, where that is possible."""
        with suppress(OSError):
            self._path.unlink()


def document_name(source: DocumentSource) -> str:
    """A name for the documents of one endpoint, key and environment, which gives none of them away.

    >>> len(document_name(DocumentSource("1002/1003")))
    32
    """
    parts = (source.endpoint.removesuffix("/"), source.key, source.environment)
    return sha256(dumps(parts).encode()).hexdigest()[:32]


def _read(path: Path) -> bytes:
    """The file, if it is a plain file of ours that nobody else may write."""
    with open(path, "rb", opener=_plainly) as file:
        facts = os.fstat(file.fileno())
        # Without users like those of POSIX (Windows) the folder's own protection counts.
        if hasattr(os, "geteuid") and (facts.st_uid != os.geteuid() or facts.st_mode & 0o022):
            raise PermissionError
        return file.read(SIZE_CAP + _LONGEST_HEADER + 1)


def _plainly(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


def _header(document: CachedDocument) -> bytes:
    etag = dumps(document.etag).encode()
    return b" ".join((_MAGIC, _checksum(etag, document.body), etag)) + b"\n"


def _checksum(etag: bytes, body: bytes) -> bytes:
    return sha256(etag + b"\n" + body).hexdigest().encode()


def _parsed(raw: bytes) -> CachedDocument | None:
    header, _, body = raw.partition(b"\n")
    magic, _, rest = header.partition(b" ")
    checksum, _, etag = rest.partition(b" ")
    if magic != _MAGIC or checksum != _checksum(etag, body):
        return None
    return CachedDocument(body, loads(etag))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
