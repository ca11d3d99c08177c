"""The projects of a local Serving API, and the keys and tokens that open them."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from hashlib import sha256
from hmac import compare_digest
from threading import Lock
from typing import NamedTuple

from convert_sdk._config.schema.document import Document, read_document
from convert_sdk._config.schema.experience import ExperienceModel
from convert_sdk._config.schema.project import ScriptSettings
from convert_sdk.errors import DocumentError

from .listing import Entities, Entity
from .record import Record

DEBUG_TOKEN_LIFETIME = 86_400.0
"""Seconds that a debug token is good for."""
HIDDEN = ("draft", "paused")
"""The statuses of experiences that are only served to a debug token."""


class ServedDocument(NamedTuple):
    """A body and its entity tag."""

    body: bytes
    etag: str


class DebugToken(NamedTuple):
    """A token and the time it ends, in seconds since the epoch."""

    token: str
    expires_at: float


class _Current(NamedTuple):
    raw: dict[str, object]
    read: Document


class ServedProject:
    """One project as it is served; `Registry.add` makes it."""

    def __init__(self, document: Mapping[str, object], clock: Callable[[], float]) -> None:
        read = read_document(document)
        self.account_id, self.project_id = _identity(read)
        self.record = Record()
        """The tracked events; they outlive new documents and restarts of the server."""
        self._clock = clock
        self._tokens: dict[str, float] = {}
        self._current = _Current(deepcopy(dict(document)), read)

    def __repr__(self) -> str:
        return f"ServedProject({self.account_id}/{self.project_id})"

    @property
    def needs_key(self) -> bool:
        """True if the endpoints without an SDK key are closed."""
        project = self._current.read.project
        return bool(project and project.settings and project.settings.disable_default_config)

    @property
    def name(self) -> str | None:
        """The project's name in the document."""
        project = self._current.read.project
        return project.name if project else None

    def entities(self) -> Entities:
        """Keys and names of what the document in use has."""
        read = self._current.read
        experiences = [each for each in read.experiences or () if each.id is not None]
        return Entities(
            {str(each.id): Entity(each.key, each.name) for each in experiences},
            {
                (str(each.id), str(variation.id)): Entity(variation.key, variation.name)
                for each in experiences
                for variation in each.variations or ()
            },
            {str(each.id): Entity(each.key, each.name) for each in read.goals or ()},
        )

    def replace(self, document: Mapping[str, object]) -> None:
        """Serve another document of the same project from now on."""
        read = read_document(document)
        if _identity(read) != (self.account_id, self.project_id):
            raise DocumentError(
                "$", f"a document of {self.account_id}/{self.project_id}", "another project's"
            )
        self._current = _Current(deepcopy(dict(document)), read)

    def issue_debug_token(self) -> DebugToken:
        """A new token for drafts and paused experiences, good for 24 hours."""
        issued = DebugToken(secrets.token_urlsafe(24), self._clock() + DEBUG_TOKEN_LIFETIME)
        self._tokens[issued.token] = issued.expires_at
        return issued

    def honours(self, token: str | None) -> bool:
        """True if `token` was issued for this project and still holds."""
        return token is not None and self._clock() < self._tokens.get(token, 0.0)

    def config(
        self, environment: str | None = None, *, debug: bool = False, preview: str | None = None
    ) -> ServedDocument:
        """The document with the experiences of `environment`; drafts only for `debug` or as the `preview`."""
        raw, read = self._current
        experiences = raw.get("experiences")
        body = {**raw, "is_debug": debug}
        if isinstance(experiences, list):
            body["experiences"] = [
                experience
                for experience, known in zip(experiences, read.experiences or (), strict=False)
                if _runs_in(known, environment)
                and (debug or known.id == preview or known.status not in HIDDEN)
            ]
        return _served(body)

    def settings(self) -> ServedDocument:
        """The answer of `/project-settings`."""
        project = self._current.read.project
        settings = project.settings if project else None
        known = settings.model_dump(by_alias=True, exclude_unset=True) if settings else {}
        listed = {name: known[name] for name in ScriptSettings.model_fields if name in known}
        return _served({"account_id": self.account_id, "project_id": self.project_id, **listed})


class Registry:
    """The projects, SDK keys and secrets of a local Serving API; it may change while it is served.

    `clock` gives seconds since the epoch, for the life of debug tokens.

    >>> registry = Registry()
    >>> registry.add({"account_id": "1", "project": {"id": "2"}}, sdk_key="1/2")
    ServedProject(1/2)
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = Lock()
        self._projects: dict[tuple[str, str], ServedProject] = {}
        self._keys: dict[str, tuple[ServedProject, str | None]] = {}

    def add(
        self, document: Mapping[str, object], *, sdk_key: str | None = None, secret: str | None = None
    ) -> ServedProject:
        """Serve `document`, under `sdk_key` too where one is given.

        A project that is served already gets the new document and keeps its keys and its record.
        Raises `DocumentError` where the document does not say whose it is.
        """
        if secret is not None and sdk_key is None:
            raise ValueError("secret: give the sdk_key that it belongs to")
        project = ServedProject(document, self._clock)
        with self._lock:
            known = self._projects.setdefault((project.account_id, project.project_id), project)
            if known is not project:
                known.replace(document)
            if sdk_key is not None:
                self._keys[sdk_key] = (known, secret or None)
        return known

    def project(self, account_id: str, project_id: str) -> ServedProject | None:
        """The project with these ids."""
        return self._projects.get((account_id, project_id))

    def listed(self) -> list[tuple[ServedProject, tuple[str, ...]]]:
        """Every project with its SDK keys; never their secrets."""
        with self._lock:
            keys = list(self._keys.items())
            projects = list(self._projects.values())
        return [(project, tuple(key for key, (owner, _) in keys if owner is project)) for project in projects]

    def knows(self, sdk_key: str) -> bool:
        """True if this key is registered."""
        return sdk_key in self._keys

    def unlock(self, sdk_key: str, authorization: str | None) -> ServedProject | None:
        """The project behind a registered key, if the Authorization header is right.

        A key with a secret needs `Bearer <secret>`; one without needs the header empty or absent.
        """
        project, secret = self._keys[sdk_key]
        given = (authorization or "").strip()
        if secret is None:
            return project if given in {"", "Bearer"} else None
        return project if compare_digest(given.encode(), f"Bearer {secret}".encode()) else None


def _identity(read: Document) -> tuple[str, str]:
    if not read.account_id:
        raise DocumentError("$.account_id", "the account's id", "nothing")
    if read.project is None or not read.project.id:
        raise DocumentError("$.project.id", "the project's id", "nothing")
    return read.account_id, read.project.id


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
