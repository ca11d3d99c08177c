"""The page itself: static files of the package, under a policy that lets nothing from anywhere else in."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from .access import PRIVATE

TOKEN_PLACE: Final = "{{token}}"  # noqa: S105 # where the token goes, no token
_TYPES: Final[Mapping[str, str]] = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "mjs": "text/javascript; charset=utf-8",
    "png": "image/png",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
    "woff2": "font/woff2",
}
POLICY: Final[Mapping[str, str]] = {
    **PRIVATE,
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}
"""On the page and each of its files."""
_NO_PAGE: Final = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A local Serving API</title></head>'
    "<body><h1>A local Serving API</h1><p>The files of the page are not installed.</p></body></html>"
)


class PageFile(NamedTuple):
    """A file of the page."""

    body: bytes
    media_type: str
    etag: str


@cache
def page_file(path: str) -> PageFile | None:
    """The file at a path within the page's folder; None where there is none."""
    steps = path.split("/")
    media_type = _TYPES.get(path.rpartition(".")[2])
    if media_type is None or any(
        step in ("", "..") or step.startswith(".") or "\\" in step for step in steps
    ):
        return None
    found = files("convert_sdk.server").joinpath("page", *steps)
    if not found.is_file():
        return None
    body = found.read_bytes()
    return PageFile(body, media_type, f'"{sha256(body).hexdigest()[:32]}"')


def wants_html(request: Request) -> bool:
    """True for a browser that opens an address."""
    return "text/html" in request.headers.get("accept", "")


def page_answer(token: str) -> Response:
    """The page, with the token of this start."""
    found = page_file("index.html")
    text = _NO_PAGE if found is None else found.body.decode()
    headers = {**POLICY, "Vary": "Accept"}
    return Response(text.replace(TOKEN_PLACE, escape(token)), media_type=_TYPES["html"], headers=headers)


def file_answer(request: Request) -> Response | None:
    """One of the page's files; None where there is none."""
    found = page_file(request.path_params["path"])
    if found is None:
        return None
    headers = {**POLICY, "ETag": found.etag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == found.etag:
        return Response(status_code=304, headers=headers)
    return Response(found.body, media_type=found.media_type, headers=headers)
