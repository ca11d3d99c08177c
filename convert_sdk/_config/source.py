"""The address of a document, and the request that fetches it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from convert_sdk._http.messages import TIMEOUT, Request, request_headers
from convert_sdk._urls import CONFIG_ENDPOINT, masked
from convert_sdk.errors import ConvertError, FetchError

_ETAG = re.compile(r"[\x20-\x7e]{1,256}")
_TOKEN = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_SAFE = "!'()*~"
"""The characters that `encodeURIComponent` keeps, besides letters, digits, `-`, `.` and `_`."""
_NO_HEADER = (
    "debug_token gave what no header can carry: expected text of visible ASCII characters on one line, "
    "without white space around it"
)


class DocumentSource(NamedTuple):
    """The origin of a document. `key` goes into the path as it is: an SDK key, or `account/project`."""

    key: str
    endpoint: str = CONFIG_ENDPOINT
    environment: str | None = None
    """Sent only when set."""
    low_cache: bool = False
    secret: str | None = None
    debug_token: str | Callable[[], str | None] | None = None
    """Drafts and paused experiences are served too; a callable is asked before each fetch."""
    timeout: float = TIMEOUT
    """Seconds for one whole answer."""

    def __repr__(self) -> str:
        return f"DocumentSource({masked(self.endpoint)}, environment={self.environment!r})"


def request_url(source: DocumentSource, *, debug: bool = False) -> str:
    """The address of a document.

    >>> request_url(DocumentSource("1002/1003", "https://cdn.example.com/v1/", environment="eu west"))
    'https://cdn.example.com/v1/config/1002/1003?environment=eu%20west'
    """
    return _url(source, None, low_cache=source.low_cache or debug)


def preview_url(source: DocumentSource, experience_id: str) -> str:
    """The address of a document with one experience that is not live.

    >>> preview_url(DocumentSource("1002/1003", "https://cdn.example.com/v1"), "77")
    'https://cdn.example.com/v1/config/1002/1003?exp=77&_conv_low_cache=1'
    """
    return _url(source, experience_id, low_cache=True)


def usable_etag(text: str | None) -> str | None:
    """An ETag that can be sent back; None for one that is no short ASCII text, which no server would take.

    >>> usable_etag('"v1"'), usable_etag('"\xe9"')
    ('"v1"', None)
    """
    return text if text is not None and _ETAG.fullmatch(text) else None


def document_request(
    source: DocumentSource, *, experience_id: str | None = None, etag: str | None = None
) -> Request:
    """One fetch; with `experience_id` that of a preview.

    Raises what a callable debug token raises, and FetchError for what it gave if no header can carry that.
    """
    token = source.debug_token() if callable(source.debug_token) else source.debug_token
    headers = request_headers(source.secret)
    if token:
        if not (isinstance(token, str) and _TOKEN.fullmatch(token)):
            raise FetchError(_NO_HEADER)  # the library's own error would quote it
        headers["convert-debug-token"] = token
    if etag:
        headers["If-None-Match"] = etag
    if experience_id is None:
        return Request("GET", request_url(source, debug=bool(token)), headers, timeout=source.timeout)
    return Request("GET", preview_url(source, experience_id), headers, timeout=source.timeout)


def token_failure(error: Exception) -> str:
    """The words for what a callable debug token raised, or for what it gave; neither is quoted."""
    return str(error) if isinstance(error, ConvertError) else f"debug_token raised {type(error).__name__}"


def _url(source: DocumentSource, experience_id: str | None, *, low_cache: bool) -> str:
    from urllib.parse import quote

    query = [f"environment={quote(source.environment, safe=_SAFE)}"] if source.environment else []
    if experience_id is not None:
        query.append(f"exp={quote(experience_id, safe=_SAFE)}")
    if low_cache:
        query.append("_conv_low_cache=1")
    address = f"{source.endpoint.removesuffix('/')}/config/{source.key}"
    return f"{address}?{'&'.join(query)}" if query else address
