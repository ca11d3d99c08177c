"""The revisions of a served document: the one in use, what is known of it, and those before it."""

from __future__ import annotations

import json
import re
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from copy import deepcopy
from enum import StrEnum
from functools import cached_property
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, cast

from convert_sdk._config.json import read_json
from convert_sdk._config.schema.document import Document, read_document
from convert_sdk._config.schema.experience import ExperienceModel
from convert_sdk._config.schema.project import ScriptSettings
from convert_sdk._core.half_made import shown_half_made
from convert_sdk.errors import DocumentError
from convert_sdk.project import Project

from .listing import Entities, Entity

if TYPE_CHECKING:
    from convert_sdk.analysis import CheckReport

HIDDEN = ("draft", "paused")
"""The statuses of experiences that are only served to a debug token."""
MAX_REVISIONS = 50
MAX_REVISION_BYTES = 16 * 1024 * 1024
"""Of earlier documents, packed."""
_INDENT = re.compile(rb"\n( +)\S")


class ServedDocument(NamedTuple):
    """A body and its entity tag."""

    body: bytes
    etag: str


class RevisionOrigin(StrEnum):
    """The origin of a revision."""

    START = "start"
    FILE = "file"
    """The file that is followed changed."""
    PAGE = "page"
    """Somebody edited it on the page."""
    UNDO = "undo"
    PROGRAM = "program"
    """The program that holds the registry gave another document."""


@shown_half_made
class ServedRevision:
    """One document as it is served. What takes long is made when it is first wanted, in any thread.

    Args:
        document: The document, or its JSON, which is then kept as it is written.
        origin: Its origin.
        at: The time, in seconds since the epoch.
    """

    def __init__(self, document: Mapping[str, object] | bytes, origin: RevisionOrigin, at: float) -> None:
        self.raw: dict[str, object]
        if isinstance(document, bytes):
            given = read_json(document)
            self.read: Document = read_document(cast("Mapping[str, object]", given))
            self.raw = cast("dict[str, object]", given)
            self._source: bytes | None = document
        else:
            self.read = read_document(document)
            self.raw = deepcopy(dict(document))
            self._source = None
        self.origin = origin
        self.at = at

    def __repr__(self) -> str:
        return f"ServedRevision({self.origin.value!r})"

    @cached_property
    def source(self) -> bytes:
        """The JSON text."""
        if self._source is not None:
            return self._source
        return json.dumps(self.raw, indent=2, ensure_ascii=False).encode("utf-8", "surrogatepass")

    @property
    def size(self) -> int:
        """The bytes of its text."""
        return len(self.source)

    @cached_property
    def name(self) -> str:
        """Twelve hexadecimal digits, as `Project.revision`."""
        return sha256(self.source).hexdigest()[:12]

    @cached_property
    def project(self) -> Project:
        """The compiled document."""
        return Project.parse(self.source)

    @cached_property
    def report(self) -> CheckReport:
        """Everything that a check finds in it."""
        from convert_sdk.analysis import check

        return check(self.project)

    @property
    def is_checked(self) -> bool:
        """True once `report` is at hand."""
        return "report" in self.__dict__

    @cached_property
    def entities(self) -> Entities:
        """Keys and names of what it has."""
        experiences = [each for each in self.read.experiences or () if each.id is not None]
        return Entities(
            {str(each.id): Entity(each.key, each.name) for each in experiences},
            {
                (str(each.id), str(variation.id)): Entity(variation.key, variation.name)
                for each in experiences
                for variation in each.variations or ()
            },
            {str(each.id): Entity(each.key, each.name) for each in self.read.goals or ()},
        )

    def warm(self) -> None:
        """Make all that a page asks for first, and then the check, which takes longest."""
        self.project.warm()
        _ = self.etag, self.entities, self.report

    @cached_property
    def etag(self) -> str:
        """The entity tag under which it is served as a whole."""
        return self.config().etag

    def identity(self) -> tuple[str, str]:
        """The ids of account and project; raises DocumentError where the document does not say whose it is."""
        if not self.read.account_id:
            raise DocumentError("$.account_id", "the account's id", "nothing")
        if self.read.project is None or not self.read.project.id:
            raise DocumentError("$.project.id", "the project's id", "nothing")
        return self.read.account_id, self.read.project.id

    def config(
        self, environment: str | None = None, *, debug: bool = False, preview: str | None = None
    ) -> ServedDocument:
        """The document with the experiences of `environment`; drafts only for `debug` or as the `preview`."""
        experiences = self.raw.get("experiences")
        body = {**self.raw, "is_debug": debug}
        if isinstance(experiences, list):
            body["experiences"] = [
                experience
                for experience, known in zip(experiences, self.read.experiences or (), strict=False)
                if _runs_in(known, environment)
                and (debug or known.id == preview or known.status not in HIDDEN)
            ]
        return _served(body)

    def settings(self) -> ServedDocument:
        """The answer of `/project-settings`."""
        account_id, project_id = self.identity()
        project = self.read.project
        settings = project.settings if project else None
        known = settings.model_dump(by_alias=True, exclude_unset=True) if settings else {}
        listed = {name: known[name] for name in ScriptSettings.model_fields if name in known}
        return _served({"account_id": account_id, "project_id": project_id, **listed})

    def rewritten(self, raw: Mapping[str, object]) -> bytes:
        """The JSON text of another document, indented as this one is."""
        found = _INDENT.search(self.source[:4096])
        text = (
            json.dumps(raw, ensure_ascii=False, separators=(",", ":"))
            if found is None
            else json.dumps(raw, indent=len(found[1]), ensure_ascii=False) + "\n"
        )
        return text.encode("utf-8", "surrogatepass")


class PastRevision(NamedTuple):
    """A document that was served, packed."""

    name: str
    etag: str
    origin: RevisionOrigin
    at: float
    size: int
    packed: bytes

    @property
    def source(self) -> bytes:
        """The JSON text."""
        return zlib.decompress(self.packed)


class RevisionHistory:
    """The documents that were served before, the oldest first; the last 50, packed into at most 16 MiB."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._past: OrderedDict[int, PastRevision] = OrderedDict()
        self._next = 0
        self._undo: list[int] = []

    def __len__(self) -> int:
        return len(self._past)

    @property
    def can_undo(self) -> bool:
        """True if there is a document to go back to."""
        return bool(self._undo)

    def add(self, revision: ServedRevision, *, undone: bool = False) -> None:
        """Remember a document that is no longer served; one that was `undone` is not gone back to."""
        source = revision.source
        packed = zlib.compress(source, 1)
        past = PastRevision(revision.name, revision.etag, revision.origin, revision.at, len(source), packed)
        with self._lock:
            self._past[self._next] = past
            if not undone:
                self._undo.append(self._next)
            self._next += 1
            total = sum(len(each.packed) for each in self._past.values())
            while len(self._past) > 1 and (len(self._past) >= MAX_REVISIONS or total > MAX_REVISION_BYTES):
                number, gone = self._past.popitem(last=False)
                total -= len(gone.packed)
                if number in self._undo:
                    self._undo.remove(number)

    def take_undo(self) -> PastRevision | None:
        """The document to go back to; the next call gives the one before it."""
        with self._lock:
            return self._past[self._undo.pop()] if self._undo else None

    def listed(self) -> list[PastRevision]:
        """The documents, the newest first."""
        with self._lock:
            return [*reversed(self._past.values())]

    def find(self, name: str) -> PastRevision | None:
        """The newest document of a name."""
        return next((each for each in self.listed() if each.name == name), None)

    def before(self, name: str, current: str) -> PastRevision | None:
        """The document that was served before the newest one of a name."""
        listed = self.listed()
        if name == current:
            return listed[0] if listed else None
        places = [place for place, each in enumerate(listed) if each.name == name]
        after = places[0] + 1 if places else len(listed)
        return listed[after] if after < len(listed) else None


def _runs_in(experience: ExperienceModel, environment: str | None) -> bool:
    """`environment` decides; where it is empty the older list does; without both it runs everywhere."""
    if not environment:
        return True
    if experience.environment:
        return experience.environment == environment
    return not experience.environments or environment in experience.environments


def _served(body: object) -> ServedDocument:
    written = json.dumps(body, separators=(",", ":")).encode()
    return ServedDocument(written, f'"{sha256(written).hexdigest()[:32]}"')
