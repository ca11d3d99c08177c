"""Requests that the application makes itself: the project's settings, and experiences that are not live."""

from __future__ import annotations

import threading
from collections.abc import MutableMapping
from re import ASCII, fullmatch
from typing import TYPE_CHECKING, cast

from convert_sdk._config.source import DocumentSource, document_request
from convert_sdk._http.messages import Failure, Request, Response, request_headers
from convert_sdk.errors import ConvertError, DocumentError, FetchError

from .stats import error_of

if TYPE_CHECKING:
    from convert_sdk._config.schema.document import ProjectSettings
    from convert_sdk._core.model import Experience
    from convert_sdk.options import Options
    from convert_sdk.project import Project

_FRESH = 60.0
_MOST_FRESH = 1_000


class Previews:
    """Builds the requests and reads the responses; the caller exchanges them, in its own thread or task.

    Args:
        options: Those of the client.
        key: The SDK key; None for a client that is offline.
        experiences: Filled with the experiences that were found, by id.
    """

    def __init__(
        self, options: Options, key: str | None, experiences: MutableMapping[str, Experience]
    ) -> None:
        self._options = options
        self.key = key
        self._experiences = experiences
        self._lock = threading.RLock()
        self._loaded: MutableMapping[str, None] | None = None

    def settings_request(self, project: Project | None, timeout: float | None) -> Request:
        """The request for `/project-settings/{account_id}/{project_id}`, an endpoint without keys or secrets.

        Raises:
            FetchError: The account and the project are not known yet.
        """
        key = self.key or ""
        if project is not None:
            place = f"{project.account_id}/{project.id}"
        elif fullmatch(r"\d+/\d+", key, ASCII):
            place = key
        else:
            raise FetchError("whose settings is not known yet: no document has arrived")
        url = f"{self._options.config_endpoint.removesuffix('/')}/project-settings/{place}"
        return Request(
            "GET",
            url,
            request_headers(),
            timeout=self._options.request_timeout if timeout is None else timeout,
        )

    @staticmethod
    def parse_settings(answer: Response | Failure) -> ProjectSettings:
        """The settings in a response.

        Raises:
            FetchError: There are none.
        """
        from convert_sdk._config.json import read_json
        from convert_sdk._config.schema.document import read_project_settings

        body = body_of(answer)
        try:
            return read_project_settings(cast("dict[str, object]", read_json(body)))
        except ConvertError as error:
            raise FetchError(f"the project's settings cannot be read: {error}", status=200) from error

    def preview_request(
        self, experience_id: str, project: Project | None, timeout: float | None
    ) -> Request | None:
        """The request for the document with that experience; None if it is known and fresh."""
        if project is not None and project.experiences.of_id(experience_id) is not None:
            return None
        with self._lock:
            if experience_id in self._fresh():
                return None
        request = document_request(
            document_source(self._options, self.key or ""), experience_id=experience_id
        )
        return request if timeout is None else request._replace(timeout=timeout)

    def accept_preview(self, experience_id: str, served: Project | None, answer: Response | Failure) -> bool:
        """Make the experience known to `visitor.preview`; True if the response had it.

        Raises FetchError for a response without a document of this project. A failure is not remembered.
        """
        from convert_sdk.project import Project

        try:
            project = Project.parse(body_of(answer), bucketing=self._options.bucketing)
            if served is not None and (served.account_id, served.id) != (project.account_id, project.id):
                raise FetchError("the document is of another project", status=200)
        except DocumentError as error:
            raise FetchError(f"the preview cannot be read: {error}", status=200) from error
        experience = project.experiences.of_id(experience_id)
        if experience is None:
            return False
        with self._lock:
            self._experiences[experience_id] = experience
            self._fresh()[experience_id] = None
        return True

    def _fresh(self) -> MutableMapping[str, None]:
        """The ids that need not be fetched again yet; used under the lock."""
        if self._loaded is None:
            from cachetools import TTLCache

            self._loaded = TTLCache[str, None](_MOST_FRESH, _FRESH)
        return self._loaded


def document_source(options: Options, key: str) -> DocumentSource:
    """The source of the documents of this key."""
    return DocumentSource(
        key,
        options.config_endpoint,
        environment=options.environment,
        low_cache=options.cache == "low",
        secret=options.sdk_secret,
        debug_token=options.debug_token,
        timeout=options.request_timeout,
    )


def body_of(answer: Response | Failure) -> bytes:
    """The body of a good response.

    Raises:
        FetchError: It is not good; in the endpoint's own words, if it has any.
    """
    if isinstance(answer, Failure):
        raise FetchError(f"no answer: {answer.detail}")
    if answer.status != 200:
        message = error_of(answer).message
        raise FetchError(
            f"the config endpoint answers {answer.status}{': ' if message else ''}{message}",
            status=answer.status,
        )
    if answer.body_error:
        raise FetchError(f"the answer is {answer.body_error}", status=200)
    return answer.body
