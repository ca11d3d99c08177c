"""Answers that are no success, as errors that say what happened and give nothing away."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pydantic

from convert_sdk.commerce._json import Answer
from convert_sdk.commerce.errors import (
    AuthError,
    ConnectorError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    ValidationError,
)

ERROR_KEYS = ("error", "errors")
_LONGEST_DETAIL = 500
_BY_STATUS: Mapping[int, type[ConnectorError]] = {
    401: AuthError,
    403: AuthError,
    404: NotFoundError,
    429: RateLimitedError,
}


def never_refused(_: object) -> bool:
    """No body turns a 2xx into a refusal."""
    return False


def problem_of(
    call: str, answer: Answer, secrets: tuple[str, ...], refused: Callable[[object], bool]
) -> ConnectorError | None:
    """The error `answer` is, None for a success; a 2xx is one unless its body is `refused`."""
    status = answer.status
    payload = _payload(answer)
    if 200 <= status < 300 and not refused(payload):
        return None
    detail = scrubbed(_message(payload), secrets) or None
    hint = _redirect_hint(answer) if 300 <= status < 400 else ""
    suffix = f": {detail}" if detail else ""
    kind = _BY_STATUS.get(status, ServerError if status >= 500 else ValidationError)
    message = f"{call} answered {status}{hint}{suffix}"
    fields = {name: scrubbed(text, secrets) for name, text in _fields(payload).items()}
    return kind(
        message, status=status, request_id=answer.request_id, detail=detail, answer=answer, fields=fields
    )


def unreadable(call: str, answer: Answer, error: Exception, secrets: tuple[str, ...]) -> ServerError:
    """The error for a success whose body is not what it should be; names the place, never the value."""
    kind = answer.headers.get("content-type", "no content type").split(";")[0]
    if isinstance(error, pydantic.ValidationError):
        where = f"{answer.status}, but {place_of(error)}"
    else:
        where = f"{answer.status} with {kind} that is not the JSON expected"
    message = scrubbed(f"{call} answered {where}", secrets)
    return ServerError(message, status=answer.status, request_id=answer.request_id, answer=answer)


def place_of(error: Exception) -> str:
    """The place where a JSON document is wrong, and the reason; never its values."""
    if not isinstance(error, pydantic.ValidationError):
        return "not JSON"
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    path = "".join(f"[{at}]" if isinstance(at, int) else f".{at}" for at in first["loc"])
    return f"${path}: {first['msg']}"


def scrubbed(text: str, secrets: tuple[str, ...]) -> str:
    """`text` on one line and not too long, each secret in it replaced."""
    for secret in secrets:
        text = text.replace(secret, "***") if secret else text
    return " ".join(text.split())[:_LONGEST_DETAIL]


def _redirect_hint(answer: Answer) -> str:
    target = answer.headers.get("location", "").split("?")[0]
    return f" (to {target or 'nowhere'}; redirects are not followed: the key stays at its address)"


def _payload(answer: Answer) -> object:
    try:
        return answer.payload
    except ValueError:
        text = answer.body[: 4 * _LONGEST_DETAIL].decode(errors="replace").strip()
        return "" if text.startswith("<") else text


def _message(payload: object, depth: int = 4) -> str:
    """The human-readable part of any of the error shapes in use, not looked for too deep."""
    if isinstance(payload, str) or not depth:
        return payload if isinstance(payload, str) else ""
    if isinstance(payload, Mapping):
        named = (_message(payload.get(key), depth - 1) for key in ("message", *ERROR_KEYS, "general"))
        return next(filter(None, named), "") or _by_field(payload, depth)
    if isinstance(payload, Sequence):
        return "; ".join(filter(None, (_message(each, depth - 1) for each in payload)))
    return ""


def _fields(payload: object) -> dict[str, str]:
    """The answer's message for each field, in the shapes in use: `{"email": [...]}`, `[{"field": ...}]`."""
    found: dict[str, str] = {}
    keys = (*reversed(ERROR_KEYS), "fields")  # of two that name a field, the later one counts
    for each in [payload.get(key) for key in keys] if isinstance(payload, Mapping) else []:
        if isinstance(each, Mapping):
            found |= {str(name): text for name, value in each.items() if (text := _message(value))}
        for one in each if isinstance(each, list) else ():
            name = one.get("field") or one.get("path") if isinstance(one, Mapping) else None
            if isinstance(name, str) and (text := _message(one)):
                found[name] = text
    return {name: text for name, text in found.items() if name not in ("general", "message")}


def _by_field(payload: Mapping[str, object], depth: int) -> str:
    """`{"errors": {"email": ["is taken"]}}` names the field that is wrong."""
    named = ((key, _message(value, depth - 1)) for key, value in payload.items() if isinstance(value, list))
    return "; ".join(f"{key}: {text}" for key, text in named if text)
