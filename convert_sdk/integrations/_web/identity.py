"""The id of a visitor: what comes in is checked, and who has none gets one."""

from __future__ import annotations

import uuid

from .cookies import Cookie, decoded
from .request import WebRequest

_LONGEST = 255


def new_id() -> str:
    """An id for somebody new."""
    return str(uuid.uuid4())


def usable_id(id: object) -> str | None:
    """The id as text; None for what cannot be one: too long, or with control characters or half characters in it.

    >>> usable_id(42), usable_id(""), usable_id("a\\nb")
    ('42', None, None)
    """
    if isinstance(id, int) and not isinstance(id, bool):
        return str(id)
    if not isinstance(id, str) or not 0 < len(id) <= _LONGEST:
        return None
    return None if any(not char.isprintable() and char != " " for char in id) else str(id)


def cookie_id(request: WebRequest, cookie: Cookie | None) -> str | None:
    """The id that the request's cookie has; None without a usable one."""
    if cookie is None:
        return None
    raw = request.cookies.get(cookie.name)
    return None if raw is None else usable_id(decoded(raw))
