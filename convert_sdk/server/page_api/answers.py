"""Answers of the page's endpoints: JSON, and refusals that say where something is wrong."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from convert_sdk._config.json import read_json
from convert_sdk._core.events import to_json
from convert_sdk._core.half_made import shown_half_made
from convert_sdk.analysis import check
from convert_sdk.analysis.positions import Positions
from convert_sdk.errors import DocumentError
from convert_sdk.server.body import bounded

MAX_DOCUMENT = 32 * 1024 * 1024
MAX_QUESTION = 2 * 1024 * 1024
"""Bytes of a document, and of any other body."""


@shown_half_made
class PageRefusal(HTTPException):
    """A refusal with more to say than its message."""

    def __init__(self, status: int, message: str, **more: object) -> None:
        super().__init__(status, message)
        self.more = more

    def __repr__(self) -> str:
        return f"PageRefusal({self.status_code})"

    def __str__(self) -> str:
        return f"{self.status_code}: {self.detail}"


def answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON of any value."""
    return Response(to_json(value), status, dict(headers or {}), "application/json")


def refusal(error: HTTPException) -> Mapping[str, object]:
    """The body of a refusal."""
    more = error.more if isinstance(error, PageRefusal) else {}
    return {"code": error.status_code, "message": error.detail, **more}


async def question(request: Request, most: int = MAX_QUESTION) -> Mapping[str, object]:
    """Read a body that is an object of JSON, within a bound."""
    try:
        value = read_json(await bounded(request, most))
    except DocumentError as error:
        raise HTTPException(400, str(error)) from None
    if not isinstance(value, dict):
        raise HTTPException(400, "the body must be a JSON object")
    return value


def document_fault(error: DocumentError, source: bytes) -> dict[str, object]:
    """The reason why a text is no document to be served, with its line and column."""
    if error.expected.startswith("JSON") or "levels" in error.expected:  # the check knows where it breaks off
        finding = check(source).findings[0]
        line, column = finding.line, finding.column
    else:
        line, column = Positions(source).of(error.path)
    return {"message": str(error), "path": error.path, "line": line, "column": column}


def number(request: Request, name: str, default: int, most: int) -> int:
    """A whole number of the query, from 0 to `most`."""
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or len(text) > 12:
        raise HTTPException(400, f"{name} must be a whole number")
    return min(int(text), most)
