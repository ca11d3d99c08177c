"""The projects of a local Serving API, and the keys and tokens that open them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from hmac import compare_digest
from pathlib import Path
from threading import Lock, RLock
from typing import NamedTuple

from convert_sdk._core.half_made import shown_half_made
from convert_sdk.errors import DocumentError

from .activity import Activity
from .clients import ConnectedClients
from .listing import Entities
from .record import Record
from .revisions import RevisionHistory, RevisionOrigin, ServedDocument, ServedRevision

DEBUG_TOKEN_LIFETIME = 86_400.0
"""Seconds that a debug token is good for."""


class DebugToken(NamedTuple):
    """A token and the time it ends, in seconds since the epoch.

    >>> DebugToken("t0k3n", 1_700_000_000.0).token
    't0k3n'
    """

    token: str
    expires_at: float


@shown_half_made
class ServedProject:
    """One project as it is served; `Registry.add` makes it.

    >>> served.place, served.needs_key
    ('1/2', False)
    """

    def __init__(self, document: Mapping[str, object] | bytes, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._current = ServedRevision(document, RevisionOrigin.START, clock())
        self.account_id, self.project_id = self._current.identity()
        self.record = Record()
        """The tracked events; they outlive new documents and restarts of the server."""
        self.history = RevisionHistory()
        """The documents that were served before."""
        self.file: Path | None = None
        """The file that the document came from, to which the page may save it."""
        self.watched = False
        """True while that file is followed."""
        self.file_flaw = ""
        """The flaw for which that file is not served; empty while there is none."""
        self._tokens: dict[str, float] = {}
        self._replacing = RLock()

    def __repr__(self) -> str:
        return f"ServedProject({self.account_id}/{self.project_id})"

    @property
    def place(self) -> str:
        """Both ids, as they stand in a URL.

        >>> served.place
        '1/2'
        """
        return f"{self.account_id}/{self.project_id}"

    @property
    def current(self) -> ServedRevision:
        """The document in use.

        >>> served.current.raw["account_id"]
        '1'
        """
        return self._current

    @property
    def needs_key(self) -> bool:
        """True if the endpoints without an SDK key are closed.

        >>> closed = {"account_id": "1", "project": {"id": "3", "settings": {"disable_default_config": True}}}
        >>> Registry().add(closed).needs_key
        True
        """
        project = self._current.read.project
        return bool(project and project.settings and project.settings.disable_default_config)

    @property
    def name(self) -> str | None:
        """The project's name in the document.

        >>> Registry().add({"account_id": "1", "project": {"id": "3", "name": "Shop"}}).name
        'Shop'
        """
        project = self._current.read.project
        return project.name if project else None

    def entities(self) -> Entities:
        """Keys and names of what the document in use has.

        >>> served.entities().experiences["100"].key
        'checkout'
        """
        return self._current.entities

    def replace(
        self, document: Mapping[str, object] | bytes, origin: RevisionOrigin = RevisionOrigin.PROGRAM
    ) -> ServedRevision:
        """Serve another document of the same project from now on.

        Raises:
            DocumentError: The document is another project's.

        >>> served.replace({"account_id": "1", "project": {"id": "2", "name": "Shop"}}).read.project.name
        'Shop'
        """
        revision = ServedRevision(document, origin, self._clock())
        if revision.identity() != (self.account_id, self.project_id):
            raise DocumentError(
                "$", f"a document of {self.account_id}/{self.project_id}", "another project's"
            )
        with self._replacing:
            before = self._current
            if before.raw == revision.raw and (not isinstance(document, bytes) or before.source == document):
                return before
            self.history.add(before, undone=origin is RevisionOrigin.UNDO)
            self._current = revision
        return revision

    def undo(self) -> ServedRevision | None:
        """Serve the document from before the last change again; None where there is none.

        >>> _ = served.replace({"account_id": "1", "project": {"id": "2", "name": "Shop"}})
        >>> served.undo() is served.current, served.name
        (True, None)
        """
        with self._replacing:
            past = self.history.take_undo()
            return None if past is None else self.replace(past.source, RevisionOrigin.UNDO)

    def issue_debug_token(self) -> DebugToken:
        """A new token for drafts and paused experiences, good for 24 hours.

        >>> served.honours(served.issue_debug_token().token)
        True
        """
        issued = DebugToken(secrets.token_urlsafe(24), self._clock() + DEBUG_TOKEN_LIFETIME)
        self._tokens[issued.token] = issued.expires_at
        return issued

    def honours(self, token: str | None) -> bool:
        """True if `token` was issued for this project and still holds.

        >>> served.honours("guessed")
        False
        """
        return token is not None and self._clock() < self._tokens.get(token, 0.0)

    def config(
        self, environment: str | None = None, *, debug: bool = False, preview: str | None = None
    ) -> ServedDocument:
        """The document with the experiences of `environment`; drafts only for `debug` or as the `preview`.

        >>> served.config("production").body[:20]
        b'{"account_id":"1","p'
        """
        return self._current.config(environment, debug=debug, preview=preview)

    def settings(self) -> ServedDocument:
        """The answer of `/project-settings`.

        >>> b'"project_id":"2"' in served.settings().body
        True
        """
        return self._current.settings()


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
        self.activity = Activity(clock)
        """The requests of late, and what they brought."""
        self.clients = ConnectedClients(self.activity)
        """The SDKs that report their status."""
        self._projects: dict[tuple[str, str], ServedProject] = {}
        self._keys: dict[str, tuple[ServedProject, str | None]] = {}

    def add(
        self,
        document: Mapping[str, object] | bytes,
        *,
        sdk_key: str | None = None,
        secret: str | None = None,
    ) -> ServedProject:
        """Serve `document`, under `sdk_key` too where one is given.

        A project that is served already gets the new document and keeps its keys and its record.

        Args:
            document: The document, or its JSON text, which the page then shows and saves as it is written.
            sdk_key: A key that opens it.
            secret: The secret of that key.

        Raises:
            DocumentError: The document does not say whose it is.
            ValueError: A secret without the key that it belongs to.

        >>> registry.add(served.current.raw, sdk_key="other", secret="s3cret") is served
        True
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
        """The project with these ids.

        >>> registry.project("1", "2")
        ServedProject(1/2)
        """
        return self._projects.get((account_id, project_id))

    def listed(self) -> list[tuple[ServedProject, tuple[str, ...]]]:
        """Every project with its SDK keys; never their secrets.

        >>> registry.listed()
        [(ServedProject(1/2), ('shop',))]
        """
        with self._lock:
            keys = list(self._keys.items())
            projects = list(self._projects.values())
        return [(project, tuple(key for key, (owner, _) in keys if owner is project)) for project in projects]

    def place_of(self, name: str) -> str | None:
        """The account and project that a key, or both ids, lead to; None for what leads nowhere.

        >>> registry.place_of("shop"), registry.place_of("1/9")
        ('1/2', None)
        """
        if name in self._keys:
            return self._keys[name][0].place
        account_id, _, project_id = name.partition("/")
        return name if (account_id, project_id) in self._projects else None

    def knows(self, sdk_key: str) -> bool:
        """True if this key is registered.

        >>> registry.knows("shop")
        True
        """
        return sdk_key in self._keys

    def unlock(self, sdk_key: str, authorization: str | None) -> ServedProject | None:
        """The project behind a registered key, if the Authorization header is right.

        A key with a secret needs `Bearer <secret>`; one without needs the header empty or absent.

        >>> registry.unlock("shop", None)
        ServedProject(1/2)
        """
        project, secret = self._keys[sdk_key]
        given = (authorization or "").strip()
        if secret is None:
            return project if given in {"", "Bearer"} else None
        return project if compare_digest(given.encode(), f"Bearer {secret}".encode()) else None
